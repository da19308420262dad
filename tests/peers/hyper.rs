// peer: Rust hyper
// does: hello
// needs: cargo /usr/share/cargo/registry/hyper-0.14*
// install: apt-get install cargo librust-hyper-dev
// version: dpkg-query -W librust-hyper-dev
// build: sh -c "sed -n 's,^//| ,,p' {file} >Cargo.toml && cp {file} main.rs && exec cargo build --release --offline
// build:   --target-dir ../cargo
// build:   --config 'source.crates-io.replace-with=\"debian\"'
// build:   --config 'source.debian.directory=\"/usr/share/cargo/registry\"'"
// run: {dir}/../cargo/release/hyper {port}
// note: tokio's HTTP library, on which Rocket stands
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::server::{conn::AddrIncoming, Server};
use hyper::service::{make_service_fn, service_fn};
use hyper::{Body, Request, Response};
use std::convert::Infallible;
use tokio::net::TcpListener;

async fn hello(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::from("Hello, World!"));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

// One worker thread for each CPU, which is the runtime's default.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).expect("a port");
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
        let mut incoming = AddrIncoming::from_listener(listener)?;
        incoming.set_nodelay(true);
        let service = make_service_fn(|_| async { Ok::<_, Infallible>(service_fn(hello)) });
        Server::builder(incoming).serve(service).await?;
        Ok(())
    })
}

//| [package]
//| name = "hyper"
//| version = "0.0.0"
//| edition = "2021"
//| [[bin]]
//| name = "hyper"
//| path = "main.rs"
//| [dependencies]
//| hyper = { version = "0.14", features = ["http1", "server", "tcp"] }
// One list of features in tokio_http, tokio_echo and hyper, so that tokio is compiled once.
//| tokio = { version = "1", features = ["io-util", "net", "rt-multi-thread", "sync", "time"] }
