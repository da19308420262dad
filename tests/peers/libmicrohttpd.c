// peer: libmicrohttpd
// does: hello
// needs: cc /usr/include/microhttpd.h
// install: apt-get install gcc libmicrohttpd-dev
// version: {out}
// build: cc -O2 {file} -lmicrohttpd -o {out}
// run: {out} {port} {threads}
//
// A pool of threads, each with an epoll of its own; one answer is made once and queued for each request.

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct MHD_Response *hello;

static enum MHD_Result answer(void *user, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *body, size_t *body_size, void **state)
{
    static char begun;
    (void)user, (void)method, (void)version, (void)body, (void)body_size;
    if (!*state) { // the head has come; an answer that is queued now would end the connection
        *state = &begun;
        return MHD_YES;
    }
    return MHD_queue_response(connection, strcmp(url, "/") ? MHD_HTTP_NOT_FOUND : MHD_HTTP_OK, hello);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        printf("libmicrohttpd %s\n", MHD_get_version());
        return 0;
    }
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL); // before there are threads, which inherit it

    static char text[] = "Hello, World!";
    hello = MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(hello, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
    struct MHD_Daemon *server = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, 0, NULL, NULL, answer, NULL, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&at, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)atoi(argv[2]), MHD_OPTION_CONNECTION_LIMIT,
        16384u, MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096u, MHD_OPTION_CONNECTION_TIMEOUT, 300u, MHD_OPTION_END);
    if (!server) {
        perror("libmicrohttpd");
        return 1;
    }
    int signal_number;
    sigwait(&stop, &signal_number);
    MHD_stop_daemon(server);
    MHD_destroy_response(hello);
    return 0;
}
