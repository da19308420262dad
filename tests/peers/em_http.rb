# peer: EventMachine
# does: hello
# needs: ruby /usr/share/doc/ruby-eventmachine
# install: apt-get install ruby-eventmachine
# version: dpkg-query -W ruby-eventmachine
# run: ruby {file} {port}
# when: by hand
# note: one process on one CPU; no HTTP library; backlog 100
require 'eventmachine'

module Hello
  HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: "
  KEEP = "#{HEAD}keep-alive\r\n\r\nHello, World!".freeze
  CLOSE = "#{HEAD}close\r\n\r\nHello, World!".freeze

  def post_init
    @input = String.new
    set_sock_opt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
  end

  def receive_data(data)
    @input << data
    while (head = @input.slice!(/\A.*?\r\n\r\n/m))
      close = head.match?(%r{^connection: *close\r$}i) ||
              head.match?(%r{\A[^\r]* HTTP/1\.0\r$}) && !head.match?(/^connection: *keep-alive\r$/i)
      send_data(close ? CLOSE : KEEP)
      return close_connection_after_writing if close
    end
    close_connection if @input.size > 65_536
  end
end

Signal.trap('TERM') { EventMachine.stop }
EventMachine.epoll
EventMachine.run { EventMachine.start_server('127.0.0.1', ARGV[0].to_i, Hello) }
