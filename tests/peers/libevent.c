// peer: libevent evhttp
// does: hello
// needs: cc /usr/include/event2/http.h
// install: apt-get install gcc libevent-dev
// version: {out}
// build: cc -O2 -pthread {file} -levent_core -levent_extra -o {out}
// run: {out} {port} {threads}
//
// evhttp belongs to one thread, so each thread has its own, with a listener of its own on the same port (SO_REUSEPORT).

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static struct sockaddr_in at = {.sin_family = AF_INET};

static void hello(struct evhttp_request *request, void *user)
{
    (void)user;
    struct evbuffer *body = evbuffer_new();
    evbuffer_add_reference(body, "Hello, World!", 13, NULL, NULL);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "text/plain");
    evhttp_send_reply(request, HTTP_OK, "OK", body);
    evbuffer_free(body);
}

static void *loop(void *unused)
{
    (void)unused;
    struct event_base *base = event_base_new();
    struct evhttp *http = evhttp_new(base);
    struct evconnlistener *listener =
        evconnlistener_new_bind(base, NULL, NULL, LEV_OPT_REUSEABLE | LEV_OPT_REUSEABLE_PORT | LEV_OPT_CLOSE_ON_FREE,
                                4096, (struct sockaddr *)&at, sizeof at);
    if (!listener) {
        perror("libevent: bind");
        exit(1);
    }
    evhttp_bind_listener(http, listener);
    evhttp_set_cb(http, "/", hello, NULL);
    event_base_dispatch(base);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        printf("libevent %s\n", event_get_version());
        return 0;
    }
    at.sin_port = htons((unsigned short)atoi(argv[1]));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 1; i < atoi(argv[2]); i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, loop, NULL);
    }
    loop(NULL);
}
