// peer: Node cluster
// does: hello
// needs: node
// install: apt-get install nodejs
// version: node --version
// run: node {file} {port} {threads}
// note: a process per CPU behind one that accepts
const cluster = require('node:cluster');
const http = require('node:http');

if (cluster.isPrimary) {
  for (let i = 0; i < Number(process.argv[3]); i++) cluster.fork();
} else {
  const server = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/plain');
    response.end('Hello, World!');
  });
  server.listen({port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096});
}
