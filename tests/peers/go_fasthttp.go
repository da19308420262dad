// peer: Go fasthttp
// does: hello files
// needs: go /usr/share/gocode/src/github.com/valyala/fasthttp
// install: apt-get install golang-go golang-github-valyala-fasthttp-dev
// version: dpkg-query -W golang-github-valyala-fasthttp-dev
// build: env GO111MODULE=off GOPATH=/usr/share/gocode go build -o {out} {file}
// run: {out} {port} {www}
package main

import (
	"log"
	"os"
	"strings"

	"github.com/valyala/fasthttp"
)

func main() {
	fs := fasthttp.FS{Root: os.Args[2], PathRewrite: fasthttp.NewPathPrefixStripper(len("/files")), AcceptByteRange: true}
	files := fs.NewRequestHandler()
	log.Fatal(fasthttp.ListenAndServe("127.0.0.1:"+os.Args[1], func(ctx *fasthttp.RequestCtx) {
		if strings.HasPrefix(string(ctx.Path()), "/files/") {
			files(ctx)
			return
		}
		ctx.SetContentType("text/plain")
		ctx.SetBodyString("Hello, World!")
	}))
}
