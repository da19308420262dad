// peer: Go net/http
// log: 3
// does: hello files
// needs: go
// install: apt-get install golang-go
// version: go version
// build: env GO111MODULE=off go build -o {out} {file}
// run: {out} {port} {www}
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "Hello, World!")
}

func main() {
	http.HandleFunc("/", hello)
	http.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(os.Args[2]))))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
