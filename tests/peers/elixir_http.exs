# peer: Elixir
# does: hello
# needs: elixir
# install: apt-get install elixir
# version: dpkg-query -W elixir
# run: elixir {file} {port}
# when: by hand
# note: gen_tcp and its HTTP parser, a process per connection
defmodule Hello do
  @options [:binary, ip: {127, 0, 0, 1}, packet: :http_bin, active: false, reuseaddr: true,
            nodelay: true, backlog: 4096]
  @head "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: "
  @keep @head <> "keep-alive\r\n\r\nHello, World!"
  @close @head <> "close\r\n\r\nHello, World!"

  def main(port) do
    {:ok, listener} = :gen_tcp.listen(port, @options)
    accept(listener)
  end

  defp accept(listener) do
    with {:ok, socket} <- :gen_tcp.accept(listener) do
      server = spawn(fn -> receive do: (:yours -> serve(socket)) end)
      :gen_tcp.controlling_process(socket, server)
      send(server, :yours)
    end

    accept(listener)
  end

  defp serve(socket) do
    with {:ok, {:http_request, _method, _path, version}} <- :gen_tcp.recv(socket, 0),
         {:ok, keep} <- fields(socket, version >= {1, 1}),
         :ok <- :gen_tcp.send(socket, if(keep, do: @keep, else: @close)),
         true <- keep do
      serve(socket)
    else
      _ -> :gen_tcp.close(socket)
    end
  end

  defp fields(socket, keep) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, :http_eoh} -> {:ok, keep}
      {:ok, {:http_header, _, :Connection, _, value}} -> fields(socket, keep?(String.downcase(value), keep))
      {:ok, {:http_header, _, _, _, _}} -> fields(socket, keep)
      other -> other
    end
  end

  defp keep?("close", _), do: false
  defp keep?("keep-alive", _), do: true
  defp keep?(_, keep), do: keep
end

[port] = System.argv()
Hello.main(String.to_integer(port))
