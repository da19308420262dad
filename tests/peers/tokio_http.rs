// peer: Rust tokio
// log: 1 3
// does: hello
// needs: cargo /usr/share/cargo/registry/tokio-1*
// install: apt-get install cargo librust-tokio-dev
// version: dpkg-query -W librust-tokio-dev
// build: sh -c "sed -n 's,^//| ,,p' {file} >Cargo.toml && cp {file} main.rs && exec cargo build --release --offline
// build:   --target-dir ../cargo
// build:   --config 'source.crates-io.replace-with=\"debian\"'
// build:   --config 'source.debian.directory=\"/usr/share/cargo/registry\"'"
// run: {dir}/../cargo/release/tokio_http {port}
// note: no HTTP library, as in the logs
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const KEEP: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\
    Connection: keep-alive\r\n\r\nHello, World!";
const CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\
    Connection: close\r\n\r\nHello, World!";

fn wants_close(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let old = lines.next().map_or(true, |line| line.ends_with("HTTP/1.0"));
    let field = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("connection"));
    match field {
        Some((_, value)) if value.trim().eq_ignore_ascii_case("close") => true,
        Some((_, value)) if value.trim().eq_ignore_ascii_case("keep-alive") => false,
        _ => old,
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (Vec::with_capacity(4096), Vec::new());
    while input.len() < 65536 && stream.read_buf(&mut input).await? != 0 {
        let mut start = 0;
        while let Some(len) = input[start..].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let close = wants_close(&input[start..start + len]);
            output.extend_from_slice(if close { CLOSE } else { KEEP });
            if close {
                return stream.write_all(&output).await;
            }
            start += len + 4;
        }
        input.drain(..start);
        stream.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}

// One worker thread for each CPU, which is the runtime's default.
fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        }
    })
}

//| [package]
//| name = "tokio_http"
//| version = "0.0.0"
//| edition = "2021"
//| [[bin]]
//| name = "tokio_http"
//| path = "main.rs"
//| [dependencies]
// One list of features in tokio_http, tokio_echo and hyper, so that tokio is compiled once.
//| tokio = { version = "1", features = ["io-util", "net", "rt-multi-thread", "sync", "time"] }
