// peer: Gin
// log: 3
// does: hello files
// needs: go /usr/share/gocode/src/github.com/gin-gonic/gin
// install: apt-get install golang-go golang-github-gin-gonic-gin-dev
// version: dpkg-query -W golang-github-gin-gonic-gin-dev
// build: env GO111MODULE=off GOPATH=/usr/share/gocode go build -o {out} {file}
// run: {out} {port} {www}
// note: release mode, no logger; on Go's net/http
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
)

func main() {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "Hello, World!") })
	router.Static("/files", os.Args[2])
	log.Fatal(router.Run("127.0.0.1:" + os.Args[1]))
}
