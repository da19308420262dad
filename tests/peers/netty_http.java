// peer: Netty http
// does: hello
// needs: javac java /usr/share/java/netty-codec-http.jar /usr/share/java/jctools-core.jar
// install: apt-get install default-jdk-headless libnetty-java
// version: dpkg-query -W libnetty-java
// build: sh -c "mkdir -p lib && ln -sf /usr/share/java/netty-*.jar /usr/share/java/jctools-core.jar lib
// build:   && exec javac -d . -cp 'lib/*' {file}"
// run: java -Djava.net.preferIPv4Stack=true -cp {dir}:{dir}/lib/* NettyHttp {port}
// when: by hand
// note: over NIO, no native epoll in Debian; compiles itself in the first seconds of load

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpServerKeepAliveHandler;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.util.CharsetUtil;

class NettyHttp {
    private static final ByteBuf BODY =
        Unpooled.unreleasableBuffer(Unpooled.copiedBuffer("Hello, World!", CharsetUtil.US_ASCII));

    private static class Hello extends SimpleChannelInboundHandler<HttpObject> {
        @Override
        protected void channelRead0(ChannelHandlerContext context, HttpObject part) {
            if (!(part instanceof HttpRequest)) return;
            HttpRequest request = (HttpRequest) part;
            FullHttpResponse response =
                new DefaultFullHttpResponse(request.protocolVersion(), HttpResponseStatus.OK, BODY.duplicate());
            HttpUtil.setKeepAlive(response, HttpUtil.isKeepAlive(request));
            response.headers().set(HttpHeaderNames.CONTENT_TYPE, HttpHeaderValues.TEXT_PLAIN);
            response.headers().setInt(HttpHeaderNames.CONTENT_LENGTH, BODY.readableBytes());
            context.write(response);
        }

        @Override
        public void channelReadComplete(ChannelHandlerContext context) {
            context.flush();
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
                    channel.pipeline().addLast(new HttpServerCodec(), new HttpServerKeepAliveHandler(), new Hello());
                }
            })
            .bind("127.0.0.1", Integer.parseInt(args[0])).sync().channel().closeFuture().sync();
    }
}
