# peer: Twisted web
# does: hello files
# needs: /usr/bin/python3 /usr/lib/python3/dist-packages/twisted
# install: apt-get install python3-twisted
# version: dpkg-query -W python3-twisted
# run: /usr/bin/python3 {file} {port} {www}
# note: one process on one CPU; HTTP/1.0 is not kept alive
import sys
from twisted.internet import reactor
from twisted.web import resource, server, static

class Hello(resource.Resource):
    def render_GET(self, request):
        request.setHeader(b"content-type", b"text/plain")
        return b"Hello, World!"

root = resource.Resource()
root.putChild(b"", Hello())
root.putChild(b"files", static.File(sys.argv[2]))
reactor.listenTCP(int(sys.argv[1]), server.Site(root), backlog=4096, interface="127.0.0.1")
reactor.run()
