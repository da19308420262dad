# peer: Twisted
# log: 4
# does: echo
# needs: /usr/bin/python3 /usr/lib/python3/dist-packages/twisted
# install: apt-get install python3-twisted
# version: dpkg-query -W python3-twisted
# run: /usr/bin/python3 {file} {port}
# note: one process on one CPU, as in the log
import sys
from twisted.internet import interfaces, protocol, reactor
from zope.interface import implementer

# Half-closeable: what a client has sent goes back even when it has closed its side.
@implementer(interfaces.IHalfCloseableProtocol)
class Echo(protocol.Protocol):
    def connectionMade(self):
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data):
        self.transport.write(data)

    def readConnectionLost(self):
        self.transport.loseConnection()

    def writeConnectionLost(self):
        pass

reactor.listenTCP(int(sys.argv[1]), protocol.Factory.forProtocol(Echo), backlog=4096, interface="127.0.0.1")
reactor.run()
