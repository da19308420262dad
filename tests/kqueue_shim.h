// kqueue_shim.h: kqueue() and kevent() on Linux, over epoll, as far as fastserve.h's >>io-kqueue uses them:
//
//   cc -pthread -DFSV_KQUEUE_SHIM='"tests/kqueue_shim.h"' tests/test_io.c
//
// The path is as fastserve.h would include it: from its own directory, or by -I.
//
// What it proves: that >>io-kqueue, and what stands above it, is right about kqueue as the manual pages tell it: one
// event for each filter of a descriptor; EV_CLEAR: an event is told once, until something new happens to that side
// alone; EV_EOF beside data that is still to be read; EV_RECEIPT and EV_ERROR for each change; changes before the wait;
// descriptors that leave with their close; NOTE_TRIGGER from any thread or signal handler; listeners without EV_CLEAR;
// a filter that no longer holds when its event is fetched is not told. It also runs what macOS runs without flags of
// socket() and accept4(), with one loop that accepts for all. What it does not prove: anything about the sockets of
// macOS and the BSDs, which stay Linux's (what errors say, when a write has room, what an accepted socket inherits), or
// that those kernels keep to their manuals.
//
// KQUEUE_SHIM_SEED=n in the environment asks for mischief, each of which a kqueue may do: events in any order, some of
// them one call later or told twice, room to write told again with every arrival as an ACK does, waits that a signal
// cuts short. The descriptor of the kqueue may then poll readable once in vain, when an event was put off and its
// socket has been closed since: test_server's poll_by_descriptor, which asks for more, may fail with it.
#ifndef KQUEUE_SHIM_H
#define KQUEUE_SHIM_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Names and values of macOS.
#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#ifndef KQUEUE_SHIM_PIPE // as on OpenBSD
#define EVFILT_USER (-10)
#endif
#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_CLEAR 0x0020
#define EV_RECEIPT 0x0040
#define EV_ERROR 0x4000
#define EV_EOF 0x8000
#define NOTE_TRIGGER 0x01000000u

#define KQS_USER (-10)
#define KQS_FDS (1 << 20)
#define KQS_PAGE 64
#define KQS_BATCH 256
#define KQS_BELL UINT64_MAX // in epoll's data, instead of a descriptor
#define KQS_WRITES (UINT64_MAX - 1)

struct kevent {
    uintptr_t ident;
    int16_t filter;
    uint16_t flags;
    uint32_t fflags;
    intptr_t data;
    void *udata;
};

// What one kqueue knows of one descriptor; [0] for reading, [1] for writing. epoll drops what was closed, so a note may
// be out of date: epoll_ctl tells.
typedef struct kqs_note {
    bool on[2], listener;
    uint16_t flags[2];
    void *udata[2];
} kqs_note;

// A kqueue. Its descriptor is an epoll with everything for reading, the bell, and a second epoll with everything for
// writing: so each side has edges of its own.
typedef struct kqs {
    int fd, writes, bell;
    pthread_mutex_t lock; // of all but what is atomic: the signal handler that triggers must not wait
    kqs_note **pages;
    size_t page_count;
    uint32_t user_on, user_triggered; // atomic
    void *user_data;                  // atomic
    uint64_t random;                  // 0: no mischief
    struct {
        int fd, side;
    } late[KQS_BATCH]; // events for the next call
    int late_count;
} kqs;

static kqs *kqs_all[KQS_FDS]; // by descriptor, atomic

static inline kqs *kqs_find(int fd)
{
    return fd < 0 || fd >= KQS_FDS ? NULL : __atomic_load_n(&kqs_all[fd], __ATOMIC_ACQUIRE);
}

// close() of a kqueue has more than one descriptor to close.
static inline int kqs_close(int fd)
{
    kqs *k = kqs_find(fd);
    if (k) {
        __atomic_store_n(&kqs_all[fd], (kqs *)NULL, __ATOMIC_RELEASE);
        (void)close(k->writes);
        (void)close(k->bell);
        for (size_t i = 0; i < k->page_count; i++) free(k->pages[i]);
        free(k->pages);
        pthread_mutex_destroy(&k->lock);
        free(k);
    }
    return close(fd);
}
#define close(fd) kqs_close(fd)

static inline bool kqs_add(int to, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = events;
    event.data.u64 = data;
    return epoll_ctl(to, EPOLL_CTL_ADD, fd, &event) == 0;
}

static inline int kqueue(void)
{
    static uint64_t made;
    const char *seed = getenv("KQUEUE_SHIM_SEED");
    kqs *k = (kqs *)calloc(1, sizeof *k);
    if (!k) return -1;
    k->fd = epoll_create1(0);
    k->writes = epoll_create1(EPOLL_CLOEXEC);
    k->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&k->lock, NULL);
    if (seed && atoi(seed))
        k->random = (uint64_t)atoi(seed) * 0x9e3779b97f4a7c15u + __atomic_add_fetch(&made, 2, __ATOMIC_RELAXED);
    if (k->fd >= 0 && k->fd < KQS_FDS && k->writes >= 0 && k->bell >= 0 &&
        kqs_add(k->fd, k->bell, EPOLLIN | EPOLLET, KQS_BELL) && kqs_add(k->fd, k->writes, EPOLLIN, KQS_WRITES)) {
        __atomic_store_n(&kqs_all[k->fd], k, __ATOMIC_RELEASE);
        return k->fd;
    }
    int error = errno, fds[3] = {k->fd, k->writes, k->bell};
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0) (void)close(fds[i]);
    pthread_mutex_destroy(&k->lock);
    free(k);
    errno = error;
    return -1;
}

static inline bool kqs_chance(kqs *k, uint64_t one_in)
{
    if (!k->random) return false;
    k->random ^= k->random << 13;
    k->random ^= k->random >> 7;
    k->random ^= k->random << 17;
    return (k->random >> 20) % one_in == 0;
}

// ---- changes

// The note of a descriptor, made if need be. NULL: out of memory, or no descriptor.
static inline kqs_note *kqs_note_of(kqs *k, int fd)
{
    if (fd < 0) return NULL;
    size_t page = (size_t)fd / KQS_PAGE;
    if (page >= k->page_count) {
        kqs_note **more = (kqs_note **)realloc((void *)k->pages, (page + 16) * sizeof *more);
        if (!more) return NULL;
        memset((void *)(more + k->page_count), 0, (page + 16 - k->page_count) * sizeof *more);
        k->pages = more;
        k->page_count = page + 16;
    }
    if (!k->pages[page]) k->pages[page] = (kqs_note *)calloc(KQS_PAGE, sizeof(kqs_note));
    return k->pages[page] ? &k->pages[page][fd % KQS_PAGE] : NULL;
}

// Tells epoll of one side of a descriptor. 0, or the error.
static inline int kqs_control(const kqs *k, int op, int fd, int side, uint16_t flags)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = side ? (uint32_t)EPOLLOUT : (uint32_t)(EPOLLIN | EPOLLRDHUP);
    if (flags & EV_CLEAR) event.events |= (uint32_t)EPOLLET;
    event.data.u64 = (uint64_t)fd;
    return epoll_ctl(side ? k->writes : k->fd, op, fd, &event) == 0 ? 0 : errno;
}

static inline int kqs_change_fd(kqs *k, const struct kevent *change)
{
    int fd = (int)change->ident, side = change->filter == EVFILT_WRITE, error, listens = 0;
    socklen_t size = sizeof listens;
    kqs_note *note = kqs_note_of(k, fd);
    if (!note) return fd < 0 ? EBADF : ENOMEM;
    if (change->flags & EV_DELETE) {
        error = kqs_control(k, EPOLL_CTL_DEL, fd, side, 0);
        note->on[side] = false;
        return error;
    }
    error = kqs_control(k, EPOLL_CTL_ADD, fd, side, change->flags);
    if (error == 0 && note->on[side]) note->on[!side] = false; // the note was of a descriptor that has been closed
    if (error == EEXIST && change->flags & EV_ADD) error = kqs_control(k, EPOLL_CTL_MOD, fd, side, change->flags);
    if (error) return error;
    note->listener = getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
    note->on[side] = true;
    note->flags[side] = change->flags & EV_CLEAR;
    note->udata[side] = change->udata;
    return 0;
}

// Takes no lock: also for signal handlers. A change replaces udata, also one that only triggers.
static inline int kqs_change_user(kqs *k, const struct kevent *change)
{
    uint64_t one = 1;
    if (change->flags & EV_ADD)
        __atomic_store_n(&k->user_on, 1, __ATOMIC_RELEASE);
    else if (!__atomic_load_n(&k->user_on, __ATOMIC_ACQUIRE))
        return ENOENT;
    __atomic_store_n(&k->user_data, change->udata, __ATOMIC_RELEASE);
    if (!(change->fflags & NOTE_TRIGGER)) return 0;
    __atomic_store_n(&k->user_triggered, 1, __ATOMIC_SEQ_CST);
    return write(k->bell, &one, sizeof one) == (ssize_t)sizeof one || errno == EAGAIN ? 0 : errno;
}

static inline int kqs_change(kqs *k, const struct kevent *change)
{
    if (change->flags & (uint16_t) ~(EV_ADD | EV_DELETE | EV_CLEAR | EV_RECEIPT)) return EINVAL; // not needed so far
    if (change->filter == KQS_USER) return kqs_change_user(k, change);
    if (change->filter != EVFILT_READ && change->filter != EVFILT_WRITE) return EINVAL;
    if (!(change->flags & (EV_ADD | EV_DELETE))) return EINVAL;
    pthread_mutex_lock(&k->lock);
    int error = kqs_change_fd(k, change);
    pthread_mutex_unlock(&k->lock);
    return error;
}

// ---- events

// Whether our direction is ended, or was never begun: a write filter calls that EV_EOF, too.
static inline bool kqs_cannot_send(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
    return info.tcpi_state != TCP_ESTABLISHED && info.tcpi_state != TCP_CLOSE_WAIT && info.tcpi_state != TCP_SYN_SENT &&
           info.tcpi_state != TCP_SYN_RECV;
}

// Fills in the event of a descriptor that is ready as epoll or poll says. False: the filter does not hold.
static inline bool kqs_tell(kqs *k, int fd, int side, uint32_t ready, struct kevent *out)
{
    int bytes = 0, room = 0;
    socklen_t size = sizeof room;
    kqs_note *note = kqs_note_of(k, fd);
    if (!note || !note->on[side]) return false;
    memset(out, 0, sizeof *out);
    out->ident = (uintptr_t)fd;
    out->filter = (int16_t)(side ? EVFILT_WRITE : EVFILT_READ);
    out->flags = note->flags[side];
    out->udata = note->udata[side];
    if (note->listener) {
        out->data = 1; // at least
        return (ready & EPOLLIN) != 0;
    }
    // epoll's bits are poll's. The error itself cannot be asked for without taking it away: a likely one.
    if (ready & (EPOLLHUP | EPOLLERR | (side ? 0u : (uint32_t)EPOLLRDHUP))) out->flags |= (uint16_t)EV_EOF;
    if (ready & EPOLLERR) out->fflags = ECONNRESET;
    if (!side) {
        if (ioctl(fd, FIONREAD, &bytes) != 0) return false;
        out->data = bytes;
        return bytes > 0 || out->flags & EV_EOF;
    }
    if (kqs_cannot_send(fd)) out->flags |= (uint16_t)EV_EOF;
    if (!(ready & EPOLLOUT) && !(out->flags & EV_EOF)) return false;
    (void)ioctl(fd, TIOCOUTQ, &bytes);
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &size) == 0) out->data = room > bytes ? room - bytes : 0;
    return true;
}

static inline uint32_t kqs_poll(int fd)
{
    struct pollfd look;
    look.fd = fd;
    look.events = POLLIN | POLLOUT | POLLRDHUP;
    look.revents = 0;
    (void)poll(&look, 1, 0);
    return (uint16_t)look.revents;
}

// Events that were put off, as things stand now.
static inline int kqs_collect_late(kqs *k, struct kevent *out, int room)
{
    int n = 0, left = 0;
    for (int i = 0; i < k->late_count; i++) {
        int fd = k->late[i].fd, side = k->late[i].side;
        kqs_note *note = kqs_note_of(k, fd);
        if (n == room)
            k->late[left++] = k->late[i];
        else if (note && note->on[side] && kqs_control(k, EPOLL_CTL_MOD, fd, side, note->flags[side]) == 0)
            n += kqs_tell(k, fd, side, kqs_poll(fd), &out[n]); // not closed
    }
    k->late_count = left;
    return n;
}

static inline int kqs_collect_side(kqs *k, int side, struct kevent *out, int room, bool *writes)
{
    struct epoll_event got[KQS_BATCH];
    int n = 0,
        count = room <= 0 ? 0 : epoll_wait(side ? k->writes : k->fd, got, room < KQS_BATCH ? room : KQS_BATCH, 0);
    for (int i = 0; i < count; i++) {
        if (got[i].data.u64 == KQS_WRITES)
            *writes = true;
        else if (got[i].data.u64 != KQS_BELL)
            n += kqs_tell(k, (int)got[i].data.u64, side, got[i].events, &out[n]);
    }
    return n;
}

// What a kqueue may do. Returns how many events are left in out.
static inline int kqs_mischief(kqs *k, struct kevent *out, int n, int room)
{
    int kept = 0;
    for (int i = 0; i < n; i++) { // any order
        int other = i + (int)((k->random >> 8) % (uint64_t)(n - i));
        struct kevent held = out[i];
        out[i] = out[other];
        out[other] = held;
        (void)kqs_chance(k, 2);
    }
    for (int i = 0; i < n; i++) {
        bool edge = out[i].filter != KQS_USER && out[i].flags & EV_CLEAR;
        bool later = edge && kqs_chance(k, 8), twice = edge && kqs_chance(k, 8);
        if ((later || twice) && k->late_count < KQS_BATCH) {
            k->late[k->late_count].fd = (int)out[i].ident;
            k->late[k->late_count++].side = out[i].filter == EVFILT_WRITE;
            if (later) continue;
        }
        out[kept++] = out[i];
    }
    for (int i = 0, told = kept; i < told && kept < room; i++)
        if (out[i].filter == EVFILT_READ && out[i].flags & EV_CLEAR && kqs_chance(k, 4))
            kept += kqs_tell(k, (int)out[i].ident, 1, kqs_poll((int)out[i].ident), &out[kept]);
    return kept;
}

// The user event, if it was triggered since the last look.
static inline int kqs_collect_user(kqs *k, struct kevent *out, int room)
{
    if (room <= 0 || !__atomic_exchange_n(&k->user_triggered, 0, __ATOMIC_SEQ_CST)) return 0;
    memset(out, 0, sizeof *out);
    out->filter = KQS_USER;
    out->flags = EV_CLEAR;
    out->udata = __atomic_load_n(&k->user_data, __ATOMIC_ACQUIRE);
    return 1;
}

static inline int kqs_collect(kqs *k, struct kevent *out, int room)
{
    uint64_t one = 1;
    ssize_t again = 0;
    bool writes = false;
    int n = kqs_collect_user(k, out, room); // first, so that descriptors never crowd it out
    pthread_mutex_lock(&k->lock);
    n += kqs_collect_late(k, out + n, room - n);
    n += kqs_collect_side(k, 0, out + n, room - n, &writes);
    if (writes) n += kqs_collect_side(k, 1, out + n, room - n, &writes);
    if (k->random) n = kqs_mischief(k, out, n, room);
    // What is left for the next call shows on the kqueue's descriptor; the bell that was heard may have been for it.
    if (k->late_count || __atomic_load_n(&k->user_triggered, __ATOMIC_SEQ_CST))
        again = write(k->bell, &one, sizeof one);
    (void)again;
    pthread_mutex_unlock(&k->lock);
    return n;
}

static inline int64_t kqs_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int kqs_wait(kqs *k, struct kevent *out, int room, const struct timespec *limit)
{
    int64_t due = limit ? kqs_now_ns() + (int64_t)limit->tv_sec * 1000000000 + limit->tv_nsec : 0;
    for (;;) {
        int n = kqs_collect(k, out, room);
        int64_t left = limit ? due - kqs_now_ns() : 1;
        if (n > 0 || left <= 0) return n;
        struct pollfd look;
        struct timespec rest;
        look.fd = k->fd;
        look.events = POLLIN;
        rest.tv_sec = (time_t)(left / 1000000000);
        rest.tv_nsec = (long)(left % 1000000000);
        if (kqs_chance(k, 16))
            errno = EINTR;
        else if (ppoll(&look, 1, limit ? &rest : NULL, NULL) >= 0)
            continue;
        return -1;
    }
}

static inline int kqs_kevent(int kq, const struct kevent *changes, int change_count, struct kevent *out, int room,
                             const struct timespec *limit)
{
    kqs *k = kqs_find(kq);
    int n = 0;
    if (!k) {
        errno = EBADF;
        return -1;
    }
    for (int i = 0; i < change_count; i++) {
        int error = kqs_change(k, &changes[i]);
        if (n < room && (error || changes[i].flags & EV_RECEIPT)) {
            out[n] = changes[i];
            out[n].flags |= EV_ERROR;
            out[n++].data = error;
        } else if (error) {
            errno = error;
            return -1;
        }
    }
    return n || room == 0 ? n : kqs_wait(k, out, room, limit);
}
// A function of that name would hide the constructor of the struct in C++.
#define kevent(kq, changes, change_count, out, room, limit) kqs_kevent(kq, changes, change_count, out, room, limit)
#endif
