// peer: Rust std, pool
// log: 2 5
// does: hello
// needs: rustc
// install: apt-get install rustc
// version: rustc --version
// build: rustc --edition 2021 -C opt-level=3 -o {out} {file}
// run: {out} {port}
// note: 10 threads; a job is a connection, so it closes after each answer; backlog 128
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{mpsc, Arc, Mutex};
use std::thread;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\
    Connection: close\r\n\r\nHello, World!";

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let (mut input, mut chunk) = (Vec::new(), [0; 4096]);
    while !input.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let count = stream.read(&mut chunk)?;
        if count == 0 || input.len() > 65536 {
            return Ok(());
        }
        input.extend_from_slice(&chunk[..count]);
    }
    stream.write_all(ANSWER)
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    let (sender, receiver) = mpsc::channel::<TcpStream>();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..10 {
        let receiver = Arc::clone(&receiver);
        thread::spawn(move || loop {
            // The lock is held while waiting and given up before the job is done.
            let job = receiver.lock().unwrap().recv();
            match job {
                Ok(stream) => drop(serve(stream)),
                Err(_) => return,
            }
        });
    }
    for stream in listener.incoming().flatten() {
        sender.send(stream).unwrap();
    }
    Ok(())
}
