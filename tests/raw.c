// raw.c: sends its input as it stands and prints what comes back, up to the end of the connection.
//
//   printf 'GET / HTTP/1.0\r\n\r\n' | raw 127.0.0.1:8080      or unix:PATH
//
// Exit: 0 the server ended the connection, 1 usage or no connection, 2 it was reset, 3 nothing came for 10 s.
// With -h as the first argument it connects, prints a line and then holds the connection until its input ends; with -e
// it ends its direction behind its input.
#define FASTSERVE_IMPLEMENTATION
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "../fastserve.h"
#include "os.h"

static int dial(const char *address)
{
    fsi_sockaddr at;
    uint32_t port;
    bool local = strncmp(address, "unix:", 5) == 0;
    if (local ? !fsi_sockaddr_unix(&at, address + 5) : !fsi_sockaddr_parse(address, &at, &port)) return -1;
    if (!os_begin() || at.storage.ss_family == 0) return -1;
    int fd = os_socket(at.storage.ss_family);
    if (fd < 0) return -1;
    os_guard(fd, 10000);
    return os_connect(fd, &at.storage, (size_t)at.len) ? fd : -1;
}

int main(int argc, char **argv)
{
    static char buf[65536];
    int64_t len, n;
    bool hold = argc == 3 && strcmp(argv[1], "-h") == 0, ends = argc == 3 && strcmp(argv[1], "-e") == 0;
    int fd = argc == 2 || hold || ends ? dial(argv[argc - 1]) : -1;
    if (fd < 0) {
        fprintf(stderr, "raw: no connection\n");
        return 1;
    }
    if (hold) {
        printf("connected\n");
        fflush(stdout);
    }
    while ((len = os_input(buf, sizeof buf)) > 0)
        for (int64_t at = 0; at < len; at += n)
            if ((n = os_send(fd, buf + at, (size_t)(len - at))) <= 0) return 2;
    if (hold) return 0;
    if (ends) os_shut(fd, false);
    while ((n = os_recv(fd, buf, sizeof buf)) > 0) fwrite(buf, 1, (size_t)n, stdout);
    return n == 0 ? 0 : os_error() == OS_RESET ? 2 : 3;
}
