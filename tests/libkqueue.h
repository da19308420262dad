// libkqueue.h: >>io-kqueue on Linux over libkqueue (github.com/mheily/libkqueue), by hand, where that is installed:
//
//   make test-libkqueue LIBKQUEUE=/usr/local
//
// What it proves: that >>io-kqueue needs nothing that only tests/kqueue_shim.h does. This kqueue was written by others,
// from the manual pages and beside the kernels' own, and its edges, batches and receipts come otherwise than the shim's.
// What it does not prove: anything about the sockets of macOS and the BSDs, which stay Linux's.
//
// Where libkqueue 2.7.0 differs from those systems in what >>io-kqueue may count on, this file makes up for it, from
// outside: each of these is numbered below. Each by itself loses events, or what they say.
#ifndef LIBKQUEUE_H
#define LIBKQUEUE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KQL_QUEUES 4096 // a thread for each connection has one, too

void libkqueue_drain_pending_close(void); // libkqueue's, which has it for tests and in no header

// Open kqueues. A descriptor is its epoll's, by which libkqueue does not know it: that is the id.
static struct {
    int fd, id; // fd: + 1, atomic; 0: none
} kql_queues[KQL_QUEUES];
static int kql_most;                // below it stand all that there ever were, atomic
static __thread bool kql_inside;    // libkqueue runs
static __thread int kql_epoll = -1; // the first one that it has made

static inline int kql_id(int fd)
{
    for (int i = 0, most = __atomic_load_n(&kql_most, __ATOMIC_ACQUIRE); fd >= 0 && i < most; i++)
        if (__atomic_load_n(&kql_queues[i].fd, __ATOMIC_ACQUIRE) == fd + 1) return kql_queues[i].id;
    return -1;
}

// 1. What kqueue() returns is one end of a pipe, which never polls readable.
static inline int kql_kqueue(void)
{
    static int busy; // one at a time fills in
    kql_inside = true;
    kql_epoll = -1;
    int id = kqueue(), i = 0;
    kql_inside = false;
    if (id < 0) return -1;
    while (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE)) continue;
    while (i < KQL_QUEUES && __atomic_load_n(&kql_queues[i].fd, __ATOMIC_RELAXED)) i++;
    if (i < KQL_QUEUES) {
        kql_queues[i].id = id;
        __atomic_store_n(&kql_queues[i].fd, kql_epoll + 1, __ATOMIC_RELEASE);
        if (i >= kql_most) __atomic_store_n(&kql_most, i + 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
    if (i < KQL_QUEUES) return kql_epoll;
    (void)close(id);
    errno = EMFILE;
    return -1;
}

int epoll_create1(int flags)
{
    int fd = (int)syscall(SYS_epoll_create1, flags);
    if (kql_inside && kql_epoll < 0) kql_epoll = fd;
    return fd;
}

// 2. Filters outlive the close of their descriptor, and are then taken for those of the next one with its number
//    (BUGS.md). What a kqueue has open itself is closed some time after it, by a thread.
static inline int kql_close(int fd)
{
    struct kevent changes[2], receipts[2];
    memset(changes, 0, sizeof changes);
    for (int i = 0; i < 2; i++) {
        changes[i].ident = (uintptr_t)fd;
        changes[i].filter = (short)(i ? EVFILT_WRITE : EVFILT_READ);
        changes[i].flags = EV_DELETE | EV_RECEIPT;
    }
    for (int i = 0, most = __atomic_load_n(&kql_most, __ATOMIC_ACQUIRE); fd >= 0 && i < most; i++) {
        int queue = __atomic_load_n(&kql_queues[i].fd, __ATOMIC_ACQUIRE) - 1, id = kql_queues[i].id;
        if (queue == fd) {
            __atomic_store_n(&kql_queues[i].fd, 0, __ATOMIC_RELEASE);
            int result = close(id);
            libkqueue_drain_pending_close();
            return result;
        }
        if (queue >= 0) (void)kevent(id, changes, 2, receipts, 2, NULL);
    }
    return close(fd);
}

// 3. Where EVFILT_READ comes before EVFILT_WRITE, the second change drops EPOLLRDHUP: no EV_EOF as long as there is
//    something to read (epoll_update() in src/linux/platform.c: its have_ev has lost the options).
static inline int kql_kevent(int kq, const struct kevent *changes, int change_count, struct kevent *out, int room,
                             const struct timespec *limit)
{
    struct kevent turned[2];
    bool before = kql_inside; // in a signal handler, too
    if (change_count == 2) {
        turned[0] = changes[1];
        turned[1] = changes[0];
        changes = turned;
    }
    kql_inside = true;
    int n = kevent(kql_id(kq), changes, change_count, out, room, limit);
    kql_inside = before;
    return n;
}

// 4. To say it, it asks the socket for its error, and so takes that away from everyone else (evfilt_read_copyout(),
//    evfilt_write_copyout()).
int getsockopt(int fd, int level, int name, void *to, socklen_t *size)
{
    if (!kql_inside || level != SOL_SOCKET || name != SO_ERROR)
        return (int)syscall(SYS_getsockopt, fd, level, name, to, size);
    *(int *)to = ECONNRESET; // a likely one
    return 0;
}

// 5. It fetches as many descriptors as there is room for events, and each may make two: what has no room is lost, also
//    edges (linux_kevent_copyout()).
int epoll_wait(int fd, struct epoll_event *events, int room, int limit_ms)
{
    return epoll_pwait(fd, events, kql_inside && room > 1 ? room / 2 : room, limit_ms, NULL);
}

#define close(fd) kql_close(fd)
#define kqueue() kql_kqueue()
#define kevent(kq, changes, change_count, out, room, limit) kql_kevent(kq, changes, change_count, out, room, limit)
#endif
