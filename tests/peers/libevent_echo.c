// peer: libevent
// does: echo
// needs: cc /usr/include/event2/bufferevent.h
// install: apt-get install gcc libevent-dev
// version: {out}
// build: cc -O2 -pthread {file} -levent_core -o {out}
// run: {out} {port} {threads}
//
// Buffered events: what came is moved to what leaves, without a copy. A loop and a listener for each thread, as in
// libevent.c.

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static struct sockaddr_in at = {.sin_family = AF_INET};

static void echo(struct bufferevent *connection, void *user)
{
    (void)user;
    evbuffer_add_buffer(bufferevent_get_output(connection), bufferevent_get_input(connection));
}

static void ended(struct bufferevent *connection, short what, void *user)
{
    (void)what, (void)user;
    bufferevent_free(connection);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int length, void *user)
{
    (void)from, (void)length, (void)user;
    struct bufferevent *connection =
        bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(connection, echo, NULL, ended, NULL);
    bufferevent_enable(connection, EV_READ | EV_WRITE);
}

static void *loop(void *unused)
{
    (void)unused;
    struct event_base *base = event_base_new();
    if (!evconnlistener_new_bind(base, accepted, NULL,
                                 LEV_OPT_REUSEABLE | LEV_OPT_REUSEABLE_PORT | LEV_OPT_CLOSE_ON_FREE, 4096,
                                 (struct sockaddr *)&at, sizeof at)) {
        perror("libevent: bind");
        exit(1);
    }
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
