// io_fake.h: an >>io section in memory, for tests that put a scripted world under the server:
//
//   #define FSV_IO_HEADER "io_fake.h"
//   #define FASTSERVE_IMPLEMENTATION
//   #include "fastserve.h"
//
// A socket is a fake_sock: the test appends what the peer sends (fake_send, fake_eof, fake_cut) and reads what the peer
// got (out, out_len). It decides how much one call takes (read_max, write_max), when output blocks (room, pend) and
// which call fails (fake.fail_at). With fake.completion the section behaves like IOCP: a write from memory that stays
// is only noted and its bytes are read later, and a closed socket is told of later. Time is fake.now_ns and moves when
// the test says so, or when a wait has nothing to report. With fake.draw the world has a will of its own: what a wait
// tells of, in which order, and when something completes is drawn, and no wait moves the time. What the core does
// against the rules of >>io goes to fake.error.
#define FSI_IO_CAN_MOVE 1
#define FSI_IO_ONE_ACCEPTOR fake.one_acceptor

#define FAKE_FD 1000000 // descriptors from here on are ours: close() on one that slips through harms nobody
#define FAKE_SOCKS 4096
#define FAKE_BACKLOG 256
#define FAKE_READ FSI_READY_READ
#define FAKE_WRITE FSI_READY_WRITE
#define FAKE_END 4u // the peer has ended or cut the connection
#define FAKE_START_NS ((uint64_t)1000 * 1000000000)
#define FAKE_START_S 784111777 // Sun, 06 Nov 1994 08:49:37 GMT

typedef struct fake_sock {
    int fd;
    fsi_chan *chan; // while it is open
    char *in, *out; // sent by the peer; taken by the peer
    size_t in_len, in_at, in_cap, out_len, out_cap;
    size_t room;     // bytes that the peer takes before a write would block
    size_t drip;     // room that the driver adds when nothing else moves
    size_t read_max; // of one call
    size_t write_max;
    uint32_t edges; // to be told by the next wait
    uint32_t lies;  // told without a reason, so far
    uint32_t fired; // told by the last wait, not yet dispatched
    bool pend;      // every other write would block, although there is room
    bool pend_next;
    bool blocked;                 // a write would have blocked: the next room is an edge
    bool eof, cut;                // what the peer did
    bool shut, closed, was_reset; // what the server did
    bool unstable;                // a write said PENDING and took nothing: a stable one must follow at once
    bool in_flight, done;         // completion: a write was noted; its bytes have gone
    bool dialing;                 // a connect that the peer has not answered
    bool closing;                 // the core is yet to be told that it is closed
    fsi_buf pending[16];
    uint32_t pending_count;
    size_t pending_bytes, pending_done;
    uint64_t pending_sum;
    fsi_os_file file; // of a part that is sent, while it is in flight: `pending` is file_part
    uint64_t file_at;
    char *file_part;
    int cpu;           // on which its packets arrive
    fsi_sockaddr peer; // len 0: not known
    bool listener, registered;
    int backlog[FAKE_BACKLOG]; // of a listener, a ring: FSI_EMPTY, FSI_FAILED or descriptors
    uint32_t backlog_at, backlog_len;
    void *user; // the test's
} fake_sock;

static struct {
    fake_sock *socks[FAKE_SOCKS];
    uint32_t count;
    uint64_t now_ns;
    uint64_t last_wait_us;
    uint64_t calls, fail_at;       // the fail_at-th call of a function that can fail does; 0: none
    uint32_t (*draw)(uint32_t n);  // below n; NULL: all of it happens at once and in order
    void (*dialed)(fake_sock *);   // a connect has begun; NULL: all of them succeed at once
    bool one_acceptor;             // FSI_IO_ONE_ACCEPTOR
    bool completion;               // as IOCP
    bool later;                    // fsi_chan_closed comes in the next wait, else from within fsi_io_close
    bool cold;                     // files are, for who does not wait
    uint64_t cold_told;            // how often a call heard that
    bool spurious;                 // every open channel is told that it is ready, in every turn
    bool asleep;                   // a wait without a limit had nothing to report
    fsi_chan *closing[FAKE_SOCKS]; // to be told of
    fake_sock *closing_sock[FAKE_SOCKS];
    uint32_t closing_count;
    char error[256]; // the first rule that was broken
} fake;

static void fake_fault(const char *what, const fake_sock *sock)
{
    if (!fake.error[0])
        (void)snprintf(fake.error, sizeof fake.error, "%s (socket %d)", what, sock ? sock->fd - FAKE_FD : -1);
}

// ---- the test's side

static void fake_begin(void)
{
    memset(&fake, 0, sizeof fake);
    fake.now_ns = FAKE_START_NS;
}

// Its descriptor may be another socket's from here on.
static void fake_forget(fake_sock *sock)
{
    if (!sock) return;
    fake.socks[sock->fd - FAKE_FD] = NULL;
    free(sock->in);
    free(sock->out);
    free(sock->file_part);
    free(sock);
}

static void fake_end(void)
{
    for (uint32_t i = 0; i < fake.count; i++) fake_forget(fake.socks[i]);
    fake.count = 0;
}

static fake_sock *fake_socket(void)
{
    fake_sock *sock = (fake_sock *)calloc(1, sizeof *sock);
    uint32_t at = 0;
    while (at < fake.count && fake.socks[at]) at++; // the lowest, as systems do it
    if (!sock || at == FAKE_SOCKS) abort();
    sock->fd = FAKE_FD + (int)at;
    sock->room = sock->read_max = sock->write_max = SIZE_MAX;
    sock->cpu = -1;
    sock->file = FSI_NO_FILE;
    fake.socks[at] = sock;
    if (at == fake.count) fake.count++;
    return sock;
}

static fake_sock *fake_of(int fd)
{
    if (fd < FAKE_FD || fd >= FAKE_FD + (int)fake.count) return NULL;
    return fake.socks[fd - FAKE_FD];
}

static void fake_append(char **to, size_t *len, size_t *cap, const char *data, size_t size)
{
    if (size == 0) return;
    if (*len + size > *cap) {
        *cap = (*len + size) * 2;
        *to = (char *)realloc(*to, *cap);
        if (!*to) abort();
    }
    memcpy(*to + *len, data, size);
    *len += size;
}

// The peer sends; ends its direction; cuts the connection.
static void fake_send(fake_sock *sock, const char *data, size_t size)
{
    if (size == 0) return;
    fake_append(&sock->in, &sock->in_len, &sock->in_cap, data, size);
    sock->edges |= FAKE_READ;
}

static void fake_eof(fake_sock *sock)
{
    sock->eof = true;
    sock->edges |= FAKE_READ | FAKE_END;
}

static inline void fake_cut(fake_sock *sock)
{
    sock->cut = true;
    sock->edges |= FAKE_READ | FAKE_WRITE | FAKE_END;
}

// The peer takes so many bytes more.
static inline void fake_room(fake_sock *sock, size_t more)
{
    sock->room = more > SIZE_MAX - sock->room ? SIZE_MAX : sock->room + more;
    if (sock->blocked) sock->edges |= FAKE_WRITE;
    sock->blocked = false;
}

// Whether the next wait of this io has something to report or to do.
static bool fake_busy(const fsi_io *io)
{
    if (io->wake.can_read) return true;
    for (uint32_t i = 0; i < fake.closing_count; i++)
        if (fake.closing[i]->io == io) return true;
    for (uint32_t i = 0; i < fake.count; i++) {
        const fake_sock *sock = fake.socks[i];
        if (!sock || !sock->chan || sock->chan->io != io) continue;
        if (sock->listener ? sock->registered && sock->backlog_at < sock->backlog_len : sock->edges != 0) return true;
        if (sock->in_flight && !sock->done && (sock->room || sock->cut)) return true;
    }
    return false;
}

// ---- the system's side, for the code of the header that follows

static void fake_close_fd(int fd)
{
    fake_sock *sock = fake_of(fd);
    if (!sock) {
        (fsi_sock_close)(fd);
        return;
    }
    if (sock->closed) fake_fault("closed twice", sock);
    sock->closed = true;
    sock->chan = NULL;
}

FSI_PRIVATE int fake_cpu(int fd) // not called where the core may not move connections
{
    const fake_sock *sock = fake_of(fd);
    return sock ? sock->cpu : -1;
}
#define fsi_sock_close(fd) fake_close_fd(fd)
#define fsi_sock_cpu(fd) fake_cpu(fd)

FSI_PRIVATE bool fake_peer(int fd, fsi_sockaddr *at)
{
    const fake_sock *sock = fake_of(fd);
    if (sock) *at = sock->peer;
    return sock && at->len;
}
#define fsi_sock_peer(fd, at) fake_peer(fd, at)

FSI_PRIVATE uint64_t fsi_wall_ns(void)
{
    return (uint64_t)FAKE_START_S * 1000000000 + (fake.now_ns - FAKE_START_NS);
}

FSI_PRIVATE uint64_t fsi_clock_ns(void)
{
    return fake.now_ns;
}

// ---- the section itself

static bool fake_fails(void)
{
    return ++fake.calls == fake.fail_at;
}

// Whether the world lets something wait a little longer.
static bool fake_delays(void)
{
    return fake.draw && fake.draw(4) == 0;
}

static uint64_t fake_sum(const fake_sock *sock)
{
    uint64_t sum = 14695981039346656037u, word;
    for (uint32_t i = 0; i < sock->pending_count; i++) {
        const fsi_buf *buf = &sock->pending[i];
        for (size_t k = 0; k < buf->len; k += sizeof word) {
            word = 0;
            memcpy(&word, buf->ptr + k, buf->len - k < sizeof word ? buf->len - k : sizeof word);
            sum = (sum ^ word) * 1099511628211u;
            sum ^= sum >> 32;
        }
    }
    return sum;
}

// Whether the world tells of what has not happened: now and then, since idle time begins anew with it.
static bool fake_lies(fake_sock *sock)
{
    return fake.draw && !sock->dialing && sock->lies < 20 && fake.draw(64) == 0 && ++sock->lies;
}

// Copies at most n bytes to the peer.
static void fake_take(fake_sock *sock, const fsi_buf *bufs, uint32_t count, size_t n)
{
    if (sock->room != SIZE_MAX) sock->room -= n;
    for (uint32_t i = 0; i < count && n; i++) {
        size_t part = bufs[i].len < n ? bufs[i].len : n;
        fake_append(&sock->out, &sock->out_len, &sock->out_cap, bufs[i].ptr, part);
        n -= part;
    }
}

// A write that was noted goes on: its bytes must still be what they were.
static void fake_complete(fake_sock *sock)
{
    size_t n = sock->pending_bytes;
    if (!sock->in_flight || sock->done) return;
    if (n > sock->room) n = sock->room;
    if (n > sock->write_max) n = sock->write_max;
    if (n == 0 && !sock->cut) return;
    if (fake_sum(sock) != sock->pending_sum) fake_fault("bytes of a pending write have changed", sock);
    if (!sock->cut) {
        fake_take(sock, sock->pending, sock->pending_count, n);
        sock->pending_done = n;
    }
    sock->done = true;
    sock->edges |= FAKE_WRITE;
}

// Tells of what was closed on this io; `all` without delay.
static void fake_tell_closed(fsi_io *io, bool all)
{
    uint32_t kept = 0, count = fake.closing_count;
    for (uint32_t i = 0; i < count; i++) {
        fsi_chan *chan = fake.closing[i];
        fake_sock *sock = fake.closing_sock[i];
        if (chan->io != io || (!all && fake_delays())) {
            fake.closing[kept] = chan;
            fake.closing_sock[kept++] = sock;
            continue;
        }
        if (sock->in_flight && !sock->done && fake_sum(sock) != sock->pending_sum)
            fake_fault("bytes of a pending write have changed before the close", sock);
        sock->in_flight = sock->closing = false;
        if (chan->fd != -1 || chan->kind != FSI_CHAN_CONN || ((fsi_conn *)(void *)chan)->state != FSI_CONN_CLOSE)
            fake_fault("a connection was reused before the io had let go of it", sock);
        else
            fsi_chan_closed(chan);
    }
    fake.closing_count = kept;
}

FSI_PRIVATE void fsi_io_free(fsi_io *io)
{
    if (io->fd >= 0) fake_tell_closed(io, true);
    io->fd = io->wake.fd = -1;
}

FSI_PRIVATE bool fsi_io_init(fsi_io *io, fsi_loop *loop)
{
    memset(io, 0, sizeof *io);
    fsi_chan_init(&io->wake, FSI_CHAN_WAKE);
    io->loop = loop;
    io->fd = -1;
    if (fake_fails()) return false;
    io->fd = 0;
    return true;
}

FSI_PRIVATE uint32_t fsi_io_wait(fsi_io *io, uint64_t timeout_us)
{
    fake.last_wait_us = timeout_us;
    fake_tell_closed(io, false);
    io->event_count = 0;
    for (uint32_t i = 0; i < fake.count; i++) {
        fake_sock *sock = fake.socks[i];
        if (!sock || !sock->chan || sock->chan->io != io) continue;
        if (sock->unstable) fake_fault("a write that took nothing was not repeated from memory that stays", sock);
        if (sock->listener) {
            sock->fired = sock->registered && sock->backlog_at < sock->backlog_len ? FAKE_READ : 0;
        } else {
            if (!fake_delays()) fake_complete(sock);
            sock->fired = fake_delays() ? 0 : sock->edges;
            sock->edges &= ~sock->fired;
            if (fake.spurious || fake_lies(sock)) sock->fired |= FAKE_READ | FAKE_WRITE;
        }
        if (sock->fired) io->event_count++;
    }
    if (io->wake.can_read) io->event_count++;
    io->wake.can_read = false;
    if (io->event_count || fake.draw) return io->event_count;
    if (timeout_us == UINT64_MAX)
        fake.asleep = true;
    else
        fake.now_ns += timeout_us * 1000;
    return 0;
}

FSI_PRIVATE void fsi_io_dispatch(fsi_io *io)
{
    uint32_t first = fake.draw && fake.count ? fake.draw(fake.count) : 0, count = fake.count;
    for (uint32_t k = 0; k < count; k++) {
        fake_sock *sock = fake.socks[(first + k) % count];
        uint32_t fired = sock ? sock->fired : 0;
        if (!fired || !sock->chan || sock->chan->io != io) continue;
        sock->fired = 0;
        if (fired & FAKE_END) sock->chan->eof = true;
        if (fired & FAKE_READ) sock->chan->can_read = true;
        if (fired & FAKE_WRITE) sock->chan->can_write = true;
        if (sock->chan->kind == FSI_CHAN_CLIENT)
            io->on_client(sock->chan, fired & (FAKE_READ | FAKE_WRITE));
        else
            fsi_chan_ready(sock->chan, fired & (FAKE_READ | FAKE_WRITE));
    }
    io->event_count = 0;
}

FSI_PRIVATE void fsi_io_wake(fsi_io *io)
{
    io->wake.can_read = true;
}

FSI_PRIVATE bool fsi_io_listen(fsi_io *io, fsi_chan *chan, bool shared)
{
    fake_sock *sock = fake_of(chan->fd);
    (void)shared;
    if (fake_fails() || !sock) return false;
    chan->io = io;
    sock->chan = chan;
    sock->listener = sock->registered = true;
    return true;
}

FSI_PRIVATE void fsi_io_unlisten(fsi_chan *chan)
{
    fake_sock *sock = fake_of(chan->fd);
    if (!sock || !sock->registered)
        fake_fault("unlisten of what does not listen", sock);
    else
        sock->registered = false;
}

FSI_PRIVATE bool fsi_io_waiting(const fsi_chan *chan)
{
    const fake_sock *sock = fake_of(chan->fd);
    return sock && sock->backlog_at < sock->backlog_len;
}

FSI_PRIVATE int fsi_io_accept(const fsi_chan *chan)
{
    fake_sock *sock = fake_of(chan->fd);
    if (!sock || sock->backlog_at == sock->backlog_len) return FSI_PENDING;
    if (fake_fails()) return FSI_FAILED;
    return sock->backlog[sock->backlog_at++ % FAKE_BACKLOG];
}

FSI_PRIVATE bool fsi_io_open(fsi_io *io, fsi_chan *chan)
{
    fake_sock *sock = fake_of(chan->fd);
    chan->can_read = chan->can_write = true;
    chan->eof = false;
    if (!sock || sock->closed || sock->chan) {
        fake_fault("open of what is open or closed", sock);
        return false;
    }
    if (fake_fails()) return false;
    chan->io = io;
    sock->chan = chan;
    sock->edges |= FAKE_WRITE | (sock->in_at < sock->in_len || sock->eof || sock->cut ? FAKE_READ : 0u) |
                   (sock->eof || sock->cut ? FAKE_END : 0u);
    return true;
}

FSI_PRIVATE void fsi_io_detach(fsi_chan *chan)
{
    fake_sock *sock = fake_of(chan->fd);
    if (!sock || sock->chan != chan || sock->in_flight)
        fake_fault("detach of what is not open or has a write under way", sock);
    else
        sock->chan = NULL;
    chan->io = NULL;
}

FSI_INLINE int64_t fsi_io_read(fsi_chan *chan, void *to, size_t size)
{
    fake_sock *sock = fake_of(chan->fd);
    if (!sock || sock->closed || sock->chan != chan || size == 0) {
        fake_fault("a read from what is closed, or of nothing", sock);
        return FSI_FAILED;
    }
    if (!chan->can_read) return FSI_PENDING;
    if (fake_fails()) sock->cut = true;
    if (sock->cut) return FSI_FAILED;
    size_t left = sock->in_len - sock->in_at, n = left < size ? left : size;
    if (n > sock->read_max) n = sock->read_max;
    if (n == 0) {
        if (sock->eof) return 0;
        chan->can_read = false;
        return FSI_PENDING;
    }
    memcpy(to, sock->in + sock->in_at, n);
    sock->in_at += n;
    if (n < size && !chan->eof) {
        chan->can_read = false;
        if (n < left) sock->edges |= FAKE_READ; // as if the rest came later
    }
    return (int64_t)n;
}

FSI_INLINE int64_t fsi_io_write(fsi_chan *chan, const fsi_buf *bufs, uint32_t count, bool stable)
{
    fake_sock *sock = fake_of(chan->fd);
    size_t total = 0, n;
    for (uint32_t i = 0; i < count; i++) total += bufs[i].len;
    if (!sock || sock->closed || sock->shut || total == 0 || count > 16) {
        fake_fault("a write to what is closed or shut, or of nothing", sock);
        return FSI_FAILED;
    }
    if (fake_fails()) sock->cut = true;
    if (stable) sock->unstable = false;
    if (sock->in_flight) {
        if (!stable || bufs[0].ptr != sock->pending[0].ptr)
            fake_fault("a write that was pending has other bytes now", sock);
        if (!sock->done) return sock->cut ? FSI_FAILED : FSI_PENDING;
        sock->in_flight = false;
        return sock->cut ? FSI_FAILED : (int64_t)sock->pending_done;
    }
    if (sock->cut) return FSI_FAILED;
    if (!fake.completion && !chan->can_write) return FSI_PENDING;
    n = total < sock->room ? total : sock->room;
    if (n > sock->write_max) n = sock->write_max;
    if (sock->pend) {
        sock->pend_next = !sock->pend_next;
        if (sock->pend_next) n = 0;
    }
    if (n) {
        fake_take(sock, bufs, count, n);
        return (int64_t)n;
    }
    chan->can_write = false;
    if (!fake.completion) {
        if (sock->room)
            sock->edges |= FAKE_WRITE;
        else
            sock->blocked = true;
        return FSI_PENDING;
    }
    if (!stable) {
        sock->unstable = true;
        if (sock->pend) sock->pend_next = false; // so that the stable one blocks, too
        return FSI_PENDING;
    }
    memcpy(sock->pending, bufs, sizeof *bufs * count);
    sock->pending_count = count;
    sock->pending_bytes = total;
    sock->pending_done = 0;
    sock->pending_sum = fake_sum(sock);
    sock->in_flight = true;
    sock->done = false;
    return FSI_PENDING;
}

#if FSI_FILES
// As a write of what stands in the file now. A part that is in flight is read when it is noted.
FSI_PRIVATE int64_t fsi_io_send_file(fsi_chan *chan, fsi_os_file file, uint64_t at, uint64_t len,
                                     const fsi_file_look *look, bool wait)
{
    fake_sock *sock = fake_of(chan->fd);
    fsi_buf part;
    if (!sock || sock->closed || sock->shut || len == 0 || file == FSI_NO_FILE) {
        fake_fault("a file to what is closed or shut, or nothing of it", sock);
        return FSI_FAILED;
    }
    if (sock->in_flight) {
        if (sock->file != file || sock->file_at != at) fake_fault("a file that was pending is another one now", sock);
        part.ptr = sock->file_part;
        part.len = 1;
        int64_t sent = fsi_io_write(chan, &part, 1, true);
        if (sent != FSI_PENDING) sock->file = FSI_NO_FILE;
        return sent;
    }
    if (!fake.completion && !chan->can_write) return FSI_PENDING;
    if (fake.cold && !wait) {
        fake.cold_told++;
        return FSI_COLD;
    }
    free(sock->file_part);
    sock->file_part = (char *)malloc(FSI_FILE_TURN);
    if (!sock->file_part) abort();
    int64_t got = fsi_file_read(file, at, sock->file_part, (size_t)(len < FSI_FILE_TURN ? len : FSI_FILE_TURN), true);
    if (got <= 0) return got;
    if (look && !fsi_file_holds(file, look)) return FSI_FAILED;
    part.ptr = sock->file_part;
    part.len = (size_t)got;
    int64_t sent = fsi_io_write(chan, &part, 1, false);
    if (sent == FSI_PENDING) sent = fsi_io_write(chan, &part, 1, true);
    if (sock->in_flight) {
        sock->file = file;
        sock->file_at = at;
    }
    return sent;
}
#endif

FSI_PRIVATE void fsi_io_shut(fsi_chan *chan)
{
    fake_sock *sock = fake_of(chan->fd);
    if (!sock || sock->closed || sock->in_flight)
        fake_fault("shut of what is closed or has a write under way", sock);
    else
        sock->shut = true;
}

FSI_PRIVATE void fsi_io_close(fsi_chan *chan, bool reset)
{
    fake_sock *sock = fake_of(chan->fd);
    if (chan->fd < 0) return;
    fake_close_fd(chan->fd);
    chan->fd = -1;
    if (!sock) return;
    sock->was_reset = reset;
    sock->unstable = false;
    if (chan->kind != FSI_CHAN_CONN) return;
    if (fake.later) {
        sock->closing = true;
        fake.closing[fake.closing_count] = chan;
        fake.closing_sock[fake.closing_count++] = sock;
        return;
    }
    fsi_chan_closed(chan);
}

FSI_PRIVATE int fsi_io_connected(const fsi_chan *chan)
{
    const fake_sock *sock = fake_of(chan->fd);
    return sock && !sock->cut ? 0 : ECONNREFUSED;
}

#if FSI_CLIENT
FSI_PRIVATE int fsi_io_connect(fsi_io *io, fsi_chan *chan, const fsi_sockaddr *to, const fsi_sockaddr *from,
                               int *os_error)
{
    (void)to;
    (void)from;
    fake_sock *sock = fake_socket();
    chan->fd = sock->fd;
    if (fsi_io_open(io, chan)) {
        if (!fake.dialed) return FSI_PENDING;
        chan->can_write = false;
        sock->edges = 0;
        sock->dialing = true; // until the peer says otherwise
        fake.dialed(sock);
        return FSI_PENDING;
    }
    *os_error = ECONNREFUSED;
    fake_close_fd(chan->fd);
    chan->fd = -1;
    return FSI_FAILED;
}

FSI_PRIVATE uint32_t fsi_io_retransmits(const fsi_chan *chan)
{
    (void)chan;
    return 0;
}
#endif
