// peer: Rust tokio
// does: echo
// needs: cargo /usr/share/cargo/registry/tokio-1*
// install: apt-get install cargo librust-tokio-dev
// version: dpkg-query -W librust-tokio-dev
// build: sh -c "sed -n 's,^//| ,,p' {file} >Cargo.toml && cp {file} main.rs && exec cargo build --release --offline
// build:   --target-dir ../cargo
// build:   --config 'source.crates-io.replace-with=\"debian\"'
// build:   --config 'source.debian.directory=\"/usr/share/cargo/registry\"'"
// run: {dir}/../cargo/release/tokio_echo {port}
// note: stands in for coio and mioco
use std::io;
use tokio::net::{TcpListener, TcpStream};

async fn echo(mut stream: TcpStream) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await
}

// One worker thread for each CPU, which is the runtime's default.
fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        }
    })
}

//| [package]
//| name = "tokio_echo"
//| version = "0.0.0"
//| edition = "2021"
//| [[bin]]
//| name = "tokio_echo"
//| path = "main.rs"
//| [dependencies]
// One list of features in tokio_http, tokio_echo and hyper, so that tokio is compiled once.
//| tokio = { version = "1", features = ["io-util", "net", "rt-multi-thread", "sync", "time"] }
