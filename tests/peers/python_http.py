# peer: Python http
# does: hello files
# needs: python3
# install: apt-get install python3
# version: python3 --version
# run: python3 {file} {port} {www}
# note: ThreadingHTTPServer, a thread per connection; not meant for production
import http.server, sys

port, www = int(sys.argv[1]), sys.argv[2]

class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave in one write, and no write waits for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def __init__(self, *args):
        super().__init__(*args, directory=www)

    def do_GET(self):
        if self.path.startswith("/files/"):
            self.path = self.path.removeprefix("/files")
            return super().do_GET()
        body = b"Hello, World!"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 4096

Server(("127.0.0.1", port), Handler).serve_forever()
