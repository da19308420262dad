// peer: Go
// log: 4
// does: echo
// needs: go
// install: apt-get install golang-go
// version: go version
// build: env GO111MODULE=off go build -o {out} {file}
// run: {out} {port}
package main

import (
	"log"
	"net"
	"os"
)

// Not io.Copy: between sockets it splices, which takes a pipe per connection and gains nothing on short messages.
func echo(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		if conn, err := listener.Accept(); err == nil {
			go echo(conn)
		}
	}
}
