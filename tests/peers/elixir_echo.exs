# peer: Elixir
# log: 4
# does: echo
# needs: elixir
# install: apt-get install elixir
# version: dpkg-query -W elixir
# run: elixir {file} {port}
# when: by hand
# note: gen_tcp, a process per connection
defmodule Echo do
  # exit_on_close: what a client has sent goes back even when it has closed its side.
  @options [:binary, ip: {127, 0, 0, 1}, active: false, reuseaddr: true,
            nodelay: true, backlog: 4096, exit_on_close: false]

  def main(port) do
    {:ok, listener} = :gen_tcp.listen(port, @options)
    accept(listener)
  end

  defp accept(listener) do
    with {:ok, socket} <- :gen_tcp.accept(listener) do
      server = spawn(fn -> receive do: (:yours -> echo(socket)) end)
      :gen_tcp.controlling_process(socket, server)
      send(server, :yours)
    end

    accept(listener)
  end

  defp echo(socket) do
    with {:ok, data} <- :gen_tcp.recv(socket, 0),
         :ok <- :gen_tcp.send(socket, data) do
      echo(socket)
    else
      _ -> :gen_tcp.close(socket)
    end
  end
end

[port] = System.argv()
Echo.main(String.to_integer(port))
