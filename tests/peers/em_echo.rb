# peer: EventMachine
# log: 4
# does: echo
# needs: ruby /usr/share/doc/ruby-eventmachine
# install: apt-get install ruby-eventmachine
# version: dpkg-query -W ruby-eventmachine
# run: ruby {file} {port}
# when: by hand
# note: one process on one CPU; drops what is unsent when a client half-closes
require 'eventmachine'

module Echo
  def post_init
    set_sock_opt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
  end

  def receive_data(data)
    send_data(data)
  end
end

Signal.trap('TERM') { EventMachine.stop }
EventMachine.epoll
EventMachine.run { EventMachine.start_server('127.0.0.1', ARGV[0].to_i, Echo) }
