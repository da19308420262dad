// peer: Node net
// log: 4
// does: echo
// needs: node
// install: apt-get install nodejs
// version: node --version
// run: node {file} {port}
// note: one process on one CPU, as in the log
const net = require('node:net');

const server = net.createServer({noDelay: true}, socket => {
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
});

server.listen({port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096});
