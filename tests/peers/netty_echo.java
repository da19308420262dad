// peer: Netty
// log: 4
// does: echo
// needs: javac java /usr/share/java/netty-transport.jar /usr/share/java/jctools-core.jar
// install: apt-get install default-jdk-headless libnetty-java
// version: dpkg-query -W libnetty-java
// build: sh -c "mkdir -p lib && ln -sf /usr/share/java/netty-*.jar /usr/share/java/jctools-core.jar lib
// build:   && exec javac -d . -cp 'lib/*' {file}"
// run: java -Djava.net.preferIPv4Stack=true -cp {dir}:{dir}/lib/* NettyEcho {port}
// when: by hand
// note: for Clojure's aleph; NIO, no native epoll; compiles itself in the first seconds

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;

class NettyEcho {
    private static class Echo extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext context, Object data) {
            context.write(data);
        }

        @Override
        public void channelReadComplete(ChannelHandlerContext context) {
            context.flush();
        }

        // A client that does not read is not read from.
        @Override
        public void channelWritabilityChanged(ChannelHandlerContext context) {
            context.channel().config().setAutoRead(context.channel().isWritable());
            context.fireChannelWritabilityChanged();
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            context.close();
        }
    }

    public static void main(String[] args) throws InterruptedException {
        new ServerBootstrap()
            .group(new NioEventLoopGroup(1), new NioEventLoopGroup())
            .channel(NioServerSocketChannel.class)
            .option(ChannelOption.SO_BACKLOG, 4096)
            .childOption(ChannelOption.TCP_NODELAY, true)
            .childHandler(new ChannelInitializer<SocketChannel>() {
                @Override
                protected void initChannel(SocketChannel channel) {
                    channel.pipeline().addLast(new Echo());
                }
            })
            .bind("127.0.0.1", Integer.parseInt(args[0])).sync().channel().closeFuture().sync();
    }
}
