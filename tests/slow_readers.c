// slow_readers.c: clients that take a large file of zeros slowly, for tests/static_large.sh.
//
//   slow_readers PORT TARGET COUNT BYTES     each of COUNT connections takes up to BYTES once a second
//
// Prints "ready" when every one has got the head of its answer and the first of its bytes, goes on until its input
// ends, then says what it got. Exit: 0; 1 usage or no connection; 2 one that has ended, or a byte that is not zero.
#define FASTSERVE_IMPLEMENTATION
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "../fastserve.h"
#include "os.h"

#define READERS_MAX 20000
#define TAKE_MAX 65536

typedef struct reader {
    int fd;
    bool in_body;
    char last[4]; // of the head
} reader;

static reader readers[READERS_MAX];
static char taken[TAKE_MAX];
static uint64_t bytes, wrong, ended, begun;

static int dial(uint32_t port, const char *target)
{
    char ask[600];
    fsi_sockaddr at;
    fsi_sockaddr_v4(&at, 0x7f000001u, port);
    int fd = os_socket(AF_INET);
    if (fd < 0 || !os_option(fd, SOL_SOCKET, SO_RCVBUF, 8192)) return -1; // so that what waits, waits at the server
    if (!os_connect(fd, &at.storage, (size_t)at.len)) return -1;
    int len = snprintf(ask, sizeof ask, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", target);
    if (os_send(fd, ask, (size_t)len) != len) return -1;
    os_block(fd, false);
    return fd;
}

// Takes what there is of one, at most so much.
static void take(reader *r, size_t most)
{
    if (r->fd < 0) return;
    int64_t n = os_recv(r->fd, taken, most), at = 0;
    if (n == 0 || (n < 0 && os_error() != OS_BLOCKED)) {
        ended++;
        os_close(r->fd);
        r->fd = -1;
        return;
    }
    for (; !r->in_body && at < n; at++) {
        memmove(r->last, r->last + 1, 3);
        r->last[3] = taken[at];
        r->in_body = memcmp(r->last, "\r\n\r\n", 4) == 0;
    }
    begun += at > 0 && r->in_body;
    for (; at < n; at++, bytes++) wrong += taken[at] != 0;
}

int main(int argc, char **argv)
{
    uint32_t port = argc == 5 ? (uint32_t)atoi(argv[1]) : 0, count = argc == 5 ? (uint32_t)atoi(argv[3]) : 0;
    size_t most = argc == 5 ? (size_t)atoi(argv[4]) : 0;
    if (!port || !count || count > READERS_MAX || !most || most > TAKE_MAX || !os_begin()) return 1;
    if (!os_descriptors_limit(UINT64_MAX) || os_descriptors_max() < count + 20) return 1;
    for (uint32_t i = 0; i < count; i++)
        if ((readers[i].fd = dial(port, argv[2])) < 0) {
            fprintf(stderr, "slow_readers: no connection for reader %u\n", i);
            return 1;
        }
    os_block(0, false);
    bool ready = false;
    for (uint32_t turn = 0;; turn++) { // few at a time, evenly
        char byte;
        for (uint32_t i = turn % 1000; i < count; i += 1000) take(&readers[i], most);
        if (!ready && begun + ended >= count) {
            printf("ready\n");
            (void)fflush(stdout);
            ready = true;
        }
        if (os_input(&byte, 1) == 0) break;
        fsi_sleep_ns(1000000);
    }
    printf("%u readers, %llu bytes, %llu wrong, %llu ended\n", count, (unsigned long long)bytes,
           (unsigned long long)wrong, (unsigned long long)ended);
    return wrong || ended ? 2 : 0;
}
