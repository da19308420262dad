// peer: Node http
// log: 3
// does: hello
// needs: node
// install: apt-get install nodejs
// version: node --version
// run: node {file} {port}
// note: one process on one CPU, as in the log
const http = require('node:http');

const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/plain');
  response.end('Hello, World!');
});

server.listen({port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096});
