// peer: Rust std, threads
// does: echo
// needs: rustc
// install: apt-get install rustc
// version: rustc --version
// build: rustc --edition 2021 -C opt-level=3 -o {out} {file}
// run: {out} {port}
// note: a thread per connection; std's backlog of 128
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut chunk = [0; 8192];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&chunk[..count])?;
    }
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    for stream in listener.incoming().flatten() {
        // A thread that cannot be had costs this connection, not the server.
        let _ = thread::Builder::new().spawn(move || echo(stream));
    }
    Ok(())
}
