// raw.c: sends its input as it stands and prints what comes back, up to the end of the connection.
//
//   printf 'GET / HTTP/1.0\r\n\r\n' | raw 127.0.0.1:8080      or unix:PATH
//
// Exit: 0 the server ended the connection, 1 usage or no connection, 2 it was reset, 3 nothing came for 10 s.
// With -h as the first argument it connects, prints a line and then holds the connection until its input ends; with -e it
// ends its direction behind its input.
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int dial(const char *address)
{
    struct sockaddr_in in4;
    struct sockaddr_un un;
    char host[64];
    const char *colon = strrchr(address, ':');
    struct timeval guard = {10, 0};
    if (strncmp(address, "unix:", 5) == 0 && strlen(address + 5) < sizeof un.sun_path) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        memset(&un, 0, sizeof un);
        un.sun_family = AF_UNIX;
        memcpy(un.sun_path, address + 5, strlen(address + 5));
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &guard, sizeof guard);
        return connect(fd, (struct sockaddr *)(void *)&un, sizeof un) == 0 ? fd : -1;
    }
    if (!colon || (size_t)(colon - address) >= sizeof host) return -1;
    memset(&in4, 0, sizeof in4);
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = 0;
    in4.sin_family = AF_INET;
    in4.sin_port = htons((unsigned short)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &in4.sin_addr) != 1) return -1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &guard, sizeof guard);
    return connect(fd, (struct sockaddr *)(void *)&in4, sizeof in4) == 0 ? fd : -1;
}

int main(int argc, char **argv)
{
    char buf[65536];
    ssize_t n;
    int hold = argc == 3 && strcmp(argv[1], "-h") == 0;
    int ends = argc == 3 && strcmp(argv[1], "-e") == 0;
    int fd = argc == 2 || hold || ends ? dial(argv[argc - 1]) : -1;
    if (fd < 0) {
        fprintf(stderr, "raw: no connection\n");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    if (hold) {
        printf("connected\n");
        fflush(stdout);
    }
    while ((n = read(0, buf, sizeof buf)) > 0)
        for (ssize_t at = 0, sent; at < n; at += sent)
            if ((sent = send(fd, buf + at, (size_t)(n - at), 0)) <= 0) return 2;
    if (hold) return 0;
    if (ends) shutdown(fd, SHUT_WR);
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0) fwrite(buf, 1, (size_t)n, stdout);
    return n == 0 ? 0 : errno == ECONNRESET ? 2 : 3;
}
