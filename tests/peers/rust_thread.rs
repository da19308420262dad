// peer: Rust std, threads
// log: 2 3 5
// does: hello
// needs: rustc
// install: apt-get install rustc
// version: rustc --version
// build: rustc --edition 2021 -C opt-level=3 -o {out} {file}
// run: {out} {port}
// note: a thread per connection; no HTTP library; std's backlog of 128
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

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

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output, mut chunk) = (Vec::new(), Vec::new(), [0; 4096]);
    while input.len() < 65536 {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        input.extend_from_slice(&chunk[..count]);
        let mut start = 0;
        while let Some(len) = input[start..].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let close = wants_close(&input[start..start + len]);
            output.extend_from_slice(if close { CLOSE } else { KEEP });
            if close {
                return stream.write_all(&output);
            }
            start += len + 4;
        }
        input.drain(..start);
        stream.write_all(&output)?;
        output.clear();
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    for stream in listener.incoming().flatten() {
        // A thread that cannot be had costs this connection, not the server.
        let _ = thread::Builder::new().spawn(move || serve(stream));
    }
    Ok(())
}
