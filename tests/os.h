// os.h: everything that tests ask of the system and that is not C: sockets, descriptors, files, processes. One half per
// system, with the same functions in the same order; a test body asks no system for its name. What only some system can
// do answers false, and the case says SKIP with that reason.
//
// Sockets are int everywhere: handles of 64-bit Windows have 32 significant bits, which stay the same when they are
// widened again. They block, are not inherited, and raise no signal. A test includes test.h before this, a program that
// is no test fastserve.h or nothing.
#ifndef FASTSERVE_TEST_OS_H
#define FASTSERVE_TEST_OS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OS_READ 1u  // what os_poll is asked for: it can be read, or has ended
#define OS_WRITE 2u // it can be written
#define OS_CUT 4u   // told unasked: the connection is gone

// Why the last call on a socket has failed.
typedef enum os_why { OS_BLOCKED, OS_RESET, OS_REFUSED, OS_OTHER } os_why;

// How signals are set, for the thread that asks.
typedef struct os_signals {
    uint64_t blocked; // a bit for each
    bool pipe_ends;   // SIGPIPE ends the process
} os_signals;

// A process of its own that runs the body given to os_child_start.
typedef struct os_child {
    int to, from;
    int64_t id;
} os_child;

#if !defined(_WIN32)
// ---------------------------------------------------------------------------------------------------------
// POSIX
// ---------------------------------------------------------------------------------------------------------
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/inotify.h>
#endif
#ifdef __OpenBSD__
#include <pthread_np.h>
#define OS_NAME_OF_THREAD(out, size) (pthread_get_name_np(pthread_self(), out, size), 0)
#else
#define OS_NAME_OF_THREAD(out, size) pthread_getname_np(pthread_self(), out, size)
#endif

#define OS_NULL_FILE "/dev/null"
#define OS_E(name) name                                           // an error as the system's calls give it
#define OS_FULL_FILE "/dev/full"                                  // where every write fails, if there is such a thing
#define OS_SIGNALS (1u << SIGINT | 1u << SIGTERM | 1u << SIGUSR1) // what a program uses

#define OS_UTC_LAST INT64_MAX // that os_utc knows

#ifdef __APPLE__
#define OS_RSS_BYTES 1 // of what getrusage counts in
#else
#define OS_RSS_BYTES 1024
#endif

#ifdef __linux__
#define OS_PAGE_NOTE unsigned char
#else
#define OS_PAGE_NOTE char
#endif
#ifdef O_LARGEFILE // 32-bit programs have their files end at 2 GiB else
#define OS_LARGE O_LARGEFILE
#else
#define OS_LARGE 0
#endif
#ifdef __GLIBC__
#define OS_SEEK(fd, at) lseek64(fd, at, SEEK_SET)
#else
#define OS_SEEK(fd, at) lseek(fd, at, SEEK_SET)
#endif

#ifdef __linux__
#define OS_ABSTRACT true // Unix-domain addresses without a file
#else
#define OS_ABSTRACT false
#endif

// Where there is no MSG_NOSIGNAL there is SO_NOSIGPIPE, and the other way round.
#ifdef MSG_NOSIGNAL
#define OS_SEND_FLAGS MSG_NOSIGNAL
#else
#define OS_SEND_FLAGS 0
#endif
#ifdef SO_NOSIGPIPE
#define OS_QUIET SO_NOSIGPIPE
#else
#define OS_QUIET SO_KEEPALIVE // a stand-in that does no harm
#endif

// Before the first socket. What goes through standard streams is bytes.
static inline bool os_begin(void)
{
    return true;
}

static inline os_why os_error(void)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK) return OS_BLOCKED;
    if (errno == ECONNREFUSED) return OS_REFUSED;
    return errno == ECONNRESET || errno == EPIPE ? OS_RESET : OS_OTHER;
}

static inline bool os_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// What the system keeps unsent of a connection, at most; -1: it has no such bound.
#ifdef TCP_NOTSENT_LOWAT
static inline int64_t os_unsent_most(int fd)
{
    int most = 0;
    socklen_t size = sizeof most;
    if (getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, &size) != 0) return -1;
    return most < 0 ? INT32_MAX : most;
}
#else
static inline int64_t os_unsent_most(int fd)
{
    (void)fd;
    return -1;
}
#endif

static inline int os_tame(int fd)
{
    if (fd < 0) return -1;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)os_option(fd, SOL_SOCKET, OS_QUIET, 1);
    return fd;
}

// A stream socket, or -1.
static inline int os_socket(int family)
{
    return os_tame(socket(family, SOCK_STREAM, 0));
}

static inline int os_accept(int listener)
{
    int fd = os_tame(accept(listener, NULL, NULL));
    if (fd >= 0) (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

static inline void os_close(int fd)
{
    (void)close(fd);
}

static inline bool os_connect(int fd, const void *at, size_t size)
{
    return connect(fd, (const struct sockaddr *)at, (socklen_t)size) == 0;
}

static inline bool os_listen(int fd, const void *at, size_t size, int backlog)
{
    return bind(fd, (const struct sockaddr *)at, (socklen_t)size) == 0 && listen(fd, backlog) == 0;
}

// The address of this end, or of the other one; size is that of *at and becomes the address's.
static inline bool os_name(int fd, bool peer, void *at, size_t *size)
{
    socklen_t len = (socklen_t)*size;
    struct sockaddr *to = (struct sockaddr *)at;
    if ((peer ? getpeername(fd, to, &len) : getsockname(fd, to, &len)) != 0) return false;
    *size = len;
    return true;
}

// Bytes; 0 at the end; -1: os_error tells why.
static inline int64_t os_recv(int fd, void *to, size_t len)
{
    ssize_t n;
    do n = recv(fd, to, len, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

static inline int64_t os_send(int fd, const void *from, size_t len)
{
    ssize_t n;
    do n = send(fd, from, len, OS_SEND_FLAGS);
    while (n < 0 && errno == EINTR);
    return n;
}

static inline void os_block(int fd, bool block)
{
    int flags = fcntl(fd, F_GETFL);
    (void)fcntl(fd, F_SETFL, block ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

// Receiving and sending fail after so long.
static inline void os_guard(int fd, uint32_t ms)
{
    struct timeval limit;
    memset(&limit, 0, sizeof limit);
    limit.tv_sec = (time_t)(ms / 1000);
    limit.tv_usec = (suseconds_t)(ms % 1000 * 1000);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static inline bool os_is_wine(void)
{
    return false;
}

// Whether the peer of a reset sees more than an end.
static inline bool os_tells_resets(void)
{
    return true;
}

// The next os_close of it is a reset.
static inline void os_close_resets(int fd)
{
    struct linger now;
    now.l_onoff = 1;
    now.l_linger = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

// Ends what we send; with `both`, what comes is not taken any more either.
static inline void os_shut(int fd, bool both)
{
    (void)shutdown(fd, both ? SHUT_RDWR : SHUT_WR);
}

// What has come of OS_READ and OS_WRITE within ms (UINT32_MAX: no limit); 0: nothing.
static inline uint32_t os_poll(int fd, uint32_t want, uint32_t ms)
{
    struct pollfd look;
    look.fd = fd;
    look.events = (short)((want & OS_READ ? POLLIN : 0) | (want & OS_WRITE ? POLLOUT : 0));
    look.revents = 0;
    if (poll(&look, 1, ms == UINT32_MAX ? -1 : (int)ms) <= 0) return 0;
    return (look.revents & POLLIN ? OS_READ : 0) | (look.revents & POLLOUT ? OS_WRITE : 0) |
           (look.revents & (POLLERR | POLLHUP) ? OS_CUT : 0);
}

// Whether fsv_server_descriptor's says within ms that there is work.
static inline bool os_descriptor_wait(int64_t descriptor, uint32_t ms)
{
    return os_poll((int)descriptor, OS_READ, ms) != 0;
}

// What stands on the standard input, as soon as there is something. 0 at its end.
static inline int64_t os_input(void *to, size_t len)
{
    return read(0, to, len);
}

// Two connected sockets.
static inline bool os_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return false;
    (void)os_tame(fds[0]);
    (void)os_tame(fds[1]);
    return true;
}

// Descriptors that this process may have.
static inline uint64_t os_descriptors_max(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint64_t)limit.rlim_cur : 0;
}

// Sets that, UINT64_MAX: as high as it goes. False: not possible here.
static inline bool os_descriptors_limit(uint64_t most)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
    limit.rlim_cur = most == UINT64_MAX ? limit.rlim_max : (rlim_t)most;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

// Lets files grow to so many bytes, UINT64_MAX: any; a write beyond fails, and ends nothing. False: not possible here.
static inline bool os_file_limit(uint64_t most)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    limit.rlim_cur = most == UINT64_MAX ? limit.rlim_max : (rlim_t)most;
    return signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0;
}

// A descriptor more, or -1 when there is none left.
static inline int os_descriptor_take(void)
{
    return dup(0);
}

static inline void os_descriptor_give(int fd)
{
    (void)close(fd);
}

// A number that does not grow while every descriptor is given back: the lowest that is free.
static inline int64_t os_descriptors_mark(void)
{
    int fd = dup(0);
    if (fd >= 0) (void)close(fd);
    return fd;
}

static inline uint64_t os_process_id(void)
{
    return (uint64_t)getpid();
}

static inline void os_yield(void)
{
    (void)sched_yield();
}

// The system's own lock and condition, to compare with: what they wake is one thread.
typedef pthread_mutex_t os_mutex;
typedef pthread_cond_t os_cond;

// clang-format off
static inline void os_mutex_init(os_mutex *lock) { if (pthread_mutex_init(lock, NULL) != 0) abort(); }
static inline void os_mutex_free(os_mutex *lock) { (void)pthread_mutex_destroy(lock); }
static inline void os_mutex_take(os_mutex *lock) { (void)pthread_mutex_lock(lock); }
static inline void os_mutex_give(os_mutex *lock) { (void)pthread_mutex_unlock(lock); }
static inline void os_cond_init(os_cond *signal) { if (pthread_cond_init(signal, NULL) != 0) abort(); }
static inline void os_cond_free(os_cond *signal) { (void)pthread_cond_destroy(signal); }
static inline void os_cond_one(os_cond *signal) { (void)pthread_cond_signal(signal); }
static inline void os_cond_wait(os_cond *signal, os_mutex *lock) { (void)pthread_cond_wait(signal, lock); }
// clang-format on

// Of the thread that calls; "" where nobody keeps it.
static inline void os_thread_name(char *out, size_t size)
{
    if (OS_NAME_OF_THREAD(out, size) != 0) out[0] = 0;
}

// False: the C library's calendar does not go so far.
static inline bool os_utc(time_t at, struct tm *out)
{
    return gmtime_r(&at, out) != NULL;
}

static inline os_signals os_signals_now(void)
{
    os_signals now = {0, false};
    struct sigaction of_pipe;
    sigset_t mask;
    sigemptyset(&mask);
    memset(&of_pipe, 0, sizeof of_pipe);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (int i = 1; i < 32; i++)
        if (sigismember(&mask, i)) now.blocked |= (uint64_t)1 << i;
    now.pipe_ends =
        sigaction(SIGPIPE, NULL, &of_pipe) == 0 && of_pipe.sa_handler == SIG_DFL && !sigismember(&mask, SIGPIPE);
    return now;
}

// With SIGPIPE as a program begins with it.
static inline os_signals os_signals_begin(void)
{
    (void)signal(SIGPIPE, SIG_DFL);
    return os_signals_now();
}

// Whether a SIGPIPE waits until this thread lets it in.
static inline bool os_pipe_waits(void)
{
    sigset_t waiting;
    sigemptyset(&waiting);
    return sigpending(&waiting) == 0 && sigismember(&waiting, SIGPIPE);
}

// Keeps SIGPIPE out of this thread and sends it one.
static inline bool os_pipe_raise(void)
{
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    return pthread_sigmask(SIG_BLOCK, &pipe_only, NULL) == 0 && pthread_kill(pthread_self(), SIGPIPE) == 0;
}

// Takes that one, and lets more in.
static inline void os_pipe_take(void)
{
    int number;
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    if (os_pipe_waits()) (void)sigwait(&pipe_only, &number);
    (void)pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
}

// The folder for files of a moment.
static inline const char *os_temp(void)
{
    const char *folder = getenv("TMPDIR");
    return folder && *folder ? folder : "/tmp";
}

// The short name that the system has given a file besides its own. False: none.
static inline bool os_short_name(const char *path, char *out, size_t size)
{
    (void)path;
    (void)out;
    (void)size;
    return false;
}

// Makes a folder of this process's own; os_folder_remove when it is empty.
static inline bool os_folder_make(char *path, size_t size)
{
    return snprintf(path, size, "%s/fastserve-XXXXXX", os_temp()) < (int)size && mkdtemp(path) != NULL;
}

static inline void os_folder_remove(const char *path)
{
    (void)rmdir(path);
}

// Whether something stands there, which need not be a file.
static inline bool os_exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static inline bool os_link(const char *to, const char *path)
{
    return symlink(to, path) == 0;
}

// A hard link: the same file by another name.
static inline bool os_link_hard(const char *to, const char *path)
{
    return link(to, path) == 0;
}

static inline bool os_folder_add(const char *path)
{
    return mkdir(path, 0755) == 0;
}

// What is no file and no folder: a FIFO, a listening socket's file.
static inline bool os_fifo(const char *path)
{
    return mkfifo(path, 0644) == 0;
}

static inline bool os_socket_file(const char *path)
{
    struct sockaddr_un at;
    int fd = os_socket(AF_UNIX);
    memset(&at, 0, sizeof at);
    at.sun_family = AF_UNIX;
    if (fd < 0 || strlen(path) >= sizeof at.sun_path) return false;
    memcpy(at.sun_path, path, strlen(path));
    bool fine = os_listen(fd, &at, sizeof at, 1);
    os_close(fd);
    return fine;
}

// Puts one in the other's place at once.
static inline bool os_rename(const char *from, const char *to)
{
    return rename(from, to) == 0;
}

// Watches who opens it. -1: not here.
static inline int os_opens_watch(const char *path)
{
#ifdef __linux__
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch < 0 || inotify_add_watch(watch, path, IN_OPEN) >= 0) return watch;
    close(watch);
#endif
    (void)path;
    return -1;
}

// Whether somebody has since it was asked before.
static inline bool os_opens_seen(int watch)
{
    char events[4096];
    return read(watch, events, sizeof events) > 0;
}

// Gives it to another user. False: only root can.
static inline bool os_owner(const char *path, unsigned user)
{
    return chown(path, user, (gid_t)-1) == 0;
}

// Takes everyone's permission to read. False: whoever runs this may read it all the same, or there is no such thing.
static inline bool os_unreadable(const char *path)
{
    return geteuid() != 0 && chmod(path, 0) == 0;
}

static inline bool os_readable(const char *path)
{
    return chmod(path, 0755) == 0;
}

// Writes bytes at a place of a file, which is made if need be; between is a hole, where the file system has those.
static inline bool os_file_put(const char *path, uint64_t at, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | OS_LARGE, 0644);
    if (fd < 0) return false;
    bool fine = OS_SEEK(fd, (int64_t)at) == (int64_t)at && write(fd, bytes, len) == (ssize_t)len;
    (void)close(fd);
    return fine;
}

static inline bool os_file_cut(const char *path, uint32_t size)
{
    return truncate(path, (off_t)size) == 0;
}

// Writes the file to the disk and asks the system to forget it. False: it cannot, or keeps it all the same.
#ifdef __linux__
static inline bool os_file_chill(const char *path)
{
    OS_PAGE_NOTE page = 1;
    int fd = open(path, O_RDWR);
    if (fd < 0) return false;
    bool asked = fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
    void *map = asked ? mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    bool cold = map != MAP_FAILED && mincore(map, 1, &page) == 0 && !(page & 1);
    if (map != MAP_FAILED) (void)munmap(map, 1);
    (void)close(fd);
    return cold;
}
#else
static inline bool os_file_chill(const char *path)
{
    (void)path;
    return false;
}
#endif

// Removes all that stands below a folder, and the folder. Links are removed, not followed.
static inline void os_tree_remove(const char *path)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0) (void)fprintf(stderr, "%s stays behind\n", path);
}

// Whether a file may be called con.txt, or end with a dot: on Windows those are something else.
static inline bool os_any_name(void)
{
    return true;
}

// A file without a name, to be written and then read.
static inline FILE *os_stream(void)
{
    return tmpfile();
}

static inline bool os_has_python(void)
{
    return system("command -v python3 >/dev/null 2>&1 && python3 -c '' 2>/dev/null") == 0;
}

// The end of so many bytes; what stands behind it cannot be touched. Kept until the process ends.
static inline char *os_guarded(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;
    void *memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (memory == MAP_FAILED || mprotect((char *)memory + room, page, PROT_NONE) != 0) return NULL;
    return (char *)memory + room;
}

// Most memory that this process has had, in bytes; 0: unknown. getrusage may count what the parent had.
static inline uint64_t os_memory_most(void)
{
    char line[256];
    uint64_t kib = 0;
    struct rusage used;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file) return getrusage(RUSAGE_SELF, &used) == 0 ? (uint64_t)used.ru_maxrss * OS_RSS_BYTES : 0;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0) kib = strtoull(line + 6, NULL, 10);
    (void)fclose(file);
    return kib * 1024;
}

// ---- another process: here a copy of this one, so it is to be made before there are threads

static inline int *os_parent(void) // where the child reads and writes
{
    static int fds[2] = {-1, -1};
    return fds;
}

static inline bool os_child_read(const os_child *child, void *to, size_t len)
{
    return read(child ? child->from : os_parent()[0], to, len) == (ssize_t)len;
}

// child NULL, of these two: the one that started this process.
static inline bool os_child_write(const os_child *child, const void *from, size_t len)
{
    return write(child ? child->to : os_parent()[1], from, len) == (ssize_t)len;
}

// body returns the exit status. main() begins with os_child_main.
static inline bool os_child_start(os_child *child, int (*body)(void))
{
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0) return false;
    child->id = fork();
    if (child->id == 0) {
        (void)close(down[1]);
        (void)close(up[0]);
        os_parent()[0] = down[0];
        os_parent()[1] = up[1];
        _exit(body());
    }
    (void)close(down[0]);
    (void)close(up[1]);
    child->to = down[1];
    child->from = up[0];
    return child->id > 0;
}

// Waits for its end; its exit status, -1: it crashed.
static inline int os_child_end(os_child *child)
{
    int status = -1;
    (void)close(child->to);
    (void)close(child->from);
    if (waitpid((pid_t)child->id, &status, 0) != (pid_t)child->id || !WIFEXITED(status)) return -1;
    return WEXITSTATUS(status);
}

// If this process is somebody's child: runs the body and does not return.
static inline void os_child_main(int argc, char **argv, int (*body)(void))
{
    (void)argc;
    (void)argv;
    (void)body;
}

#else
// ---------------------------------------------------------------------------------------------------------
// Windows
// ---------------------------------------------------------------------------------------------------------
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <psapi.h>
#include <winioctl.h>
#include <fcntl.h>
#include <io.h>
#include <time.h>

#define OS_NULL_FILE "NUL"
#define OS_FULL_FILE ""         // there is none
#define OS_UTC_LAST 32535215999 // that os_utc knows: 2999
#define OS_E(name) WSA##name
#define WSAENFILE WSAEMFILE // there is no table of the whole system that could be full
#define OS_SIGNALS 0u
#define OS_ABSTRACT false

static inline bool os_begin(void)
{
    static bool begun;
    WSADATA data;
    (void)_setmode(_fileno(stdin), _O_BINARY);
    (void)_setmode(_fileno(stdout), _O_BINARY);
    if (!begun) begun = WSAStartup(MAKEWORD(2, 2), &data) == 0;
    return begun;
}

static inline os_why os_error(void)
{
    int error = WSAGetLastError();
    if (error == WSAEWOULDBLOCK || error == WSAETIMEDOUT) return OS_BLOCKED;
    if (error == WSAECONNREFUSED) return OS_REFUSED;
    return error == WSAECONNRESET || error == WSAECONNABORTED ? OS_RESET : OS_OTHER;
}

static inline bool os_option(int fd, int level, int name, int value)
{
    return setsockopt((SOCKET)fd, level, name, (const char *)&value, sizeof value) == 0;
}

static inline int64_t os_unsent_most(int fd)
{
    (void)fd;
    return -1;
}

static inline int os_tame(SOCKET fd)
{
    if (fd == INVALID_SOCKET) return -1;
    (void)SetHandleInformation((HANDLE)fd, HANDLE_FLAG_INHERIT, 0);
    return (int)fd;
}

static inline int os_socket(int family)
{
    return os_begin() ? os_tame(socket(family, SOCK_STREAM, 0)) : -1;
}

static inline int os_accept(int listener)
{
    u_long no = 0;
    SOCKET fd = accept((SOCKET)listener, NULL, NULL);
    if (fd != INVALID_SOCKET) (void)ioctlsocket(fd, (long)FIONBIO, &no);
    return os_tame(fd);
}

static inline void os_close(int fd)
{
    (void)closesocket((SOCKET)fd);
}

static inline bool os_connect(int fd, const void *at, size_t size)
{
    return connect((SOCKET)fd, (const struct sockaddr *)at, (int)size) == 0;
}

static inline bool os_listen(int fd, const void *at, size_t size, int backlog)
{
    return bind((SOCKET)fd, (const struct sockaddr *)at, (int)size) == 0 && listen((SOCKET)fd, backlog) == 0;
}

static inline bool os_name(int fd, bool peer, void *at, size_t *size)
{
    int len = (int)*size;
    SOCKET sock = (SOCKET)fd;
    struct sockaddr *to = (struct sockaddr *)at;
    if ((peer ? getpeername(sock, to, &len) : getsockname(sock, to, &len)) != 0) return false;
    *size = (size_t)len;
    return true;
}

static inline int64_t os_recv(int fd, void *to, size_t len)
{
    return recv((SOCKET)fd, (char *)to, len > INT_MAX ? INT_MAX : (int)len, 0);
}

static inline int64_t os_send(int fd, const void *from, size_t len)
{
    return send((SOCKET)fd, (const char *)from, len > INT_MAX ? INT_MAX : (int)len, 0);
}

static inline void os_block(int fd, bool block)
{
    u_long on = !block;
    (void)ioctlsocket((SOCKET)fd, (long)FIONBIO, &on);
}

static inline void os_guard(int fd, uint32_t ms)
{
    (void)os_option(fd, SOL_SOCKET, SO_RCVTIMEO, (int)ms);
    (void)os_option(fd, SOL_SOCKET, SO_SNDTIMEO, (int)ms);
}

static inline bool os_is_wine(void)
{
    return GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") != NULL;
}

static inline bool os_tells_resets(void) // Wine ends a connection before it resets it
{
    return !os_is_wine();
}

static inline void os_close_resets(int fd)
{
    struct linger now;
    now.l_onoff = 1;
    now.l_linger = 0;
    (void)setsockopt((SOCKET)fd, SOL_SOCKET, SO_LINGER, (const char *)&now, sizeof now);
}

static inline void os_shut(int fd, bool both)
{
    (void)shutdown((SOCKET)fd, both ? SD_BOTH : SD_SEND);
}

static inline uint32_t os_poll(int fd, uint32_t want, uint32_t ms)
{
    WSAPOLLFD look;
    look.fd = (SOCKET)fd;
    look.events = (SHORT)((want & OS_READ ? POLLRDNORM : 0) | (want & OS_WRITE ? POLLWRNORM : 0));
    look.revents = 0;
    if (WSAPoll(&look, 1, ms == UINT32_MAX ? -1 : (int)ms) <= 0) return 0;
    return (look.revents & (POLLRDNORM | POLLHUP) ? OS_READ : 0) | (look.revents & POLLWRNORM ? OS_WRITE : 0) |
           (look.revents & (POLLERR | POLLHUP) ? OS_CUT : 0);
}

static inline bool os_descriptor_wait(int64_t descriptor, uint32_t ms) // there is none
{
    (void)descriptor;
    (void)ms;
    return false;
}

static inline int64_t os_input(void *to, size_t len)
{
    return _read(0, to, (unsigned)len);
}

static inline bool os_pair(int fds[2])
{
    struct sockaddr_in at;
    size_t size = sizeof at;
    int listener = os_socket(AF_INET);
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fds[0] = os_socket(AF_INET);
    bool fine = listener >= 0 && fds[0] >= 0 && os_listen(listener, &at, size, 1) &&
                os_name(listener, false, &at, &size) && os_connect(fds[0], &at, size) &&
                (fds[1] = os_accept(listener)) >= 0;
    if (!fine && fds[0] >= 0) os_close(fds[0]);
    if (listener >= 0) os_close(listener);
    return fine;
}

static inline uint64_t os_descriptors_max(void)
{
    return 1u << 24; // handles of a process
}

static inline bool os_descriptors_limit(uint64_t most)
{
    return most == UINT64_MAX;
}

static inline bool os_file_limit(uint64_t most)
{
    (void)most;
    return false;
}

static inline int os_descriptor_take(void)
{
    return -1;
}

static inline void os_descriptor_give(int fd)
{
    (void)fd;
}

static inline int64_t os_descriptors_mark(void)
{
    DWORD count = 0;
    (void)GetProcessHandleCount(GetCurrentProcess(), &count);
    return count;
}

static inline uint64_t os_process_id(void)
{
    return GetCurrentProcessId();
}

static inline void os_yield(void)
{
    (void)SwitchToThread();
}

typedef SRWLOCK os_mutex;
typedef CONDITION_VARIABLE os_cond;

// clang-format off
static inline void os_mutex_init(os_mutex *lock) { InitializeSRWLock(lock); }
static inline void os_mutex_free(os_mutex *lock) { (void)lock; }
static inline void os_mutex_take(os_mutex *lock) { AcquireSRWLockExclusive(lock); }
static inline void os_mutex_give(os_mutex *lock) { ReleaseSRWLockExclusive(lock); }
static inline void os_cond_init(os_cond *signal) { InitializeConditionVariable(signal); }
static inline void os_cond_free(os_cond *signal) { (void)signal; }
static inline void os_cond_one(os_cond *signal) { WakeConditionVariable(signal); }
static inline void os_cond_wait(os_cond *signal, os_mutex *lock)
{ (void)SleepConditionVariableSRW(signal, lock, INFINITE, 0); }
// clang-format on

typedef HRESULT(WINAPI *os_description)(HANDLE, PWSTR *); // since Windows 10

static inline void os_thread_name(char *out, size_t size)
{
    WCHAR *name = NULL;
    size_t len = 0;
    FARPROC found = GetProcAddress(GetModuleHandleA("kernel32.dll"), "GetThreadDescription");
    os_description get = NULL;
    memcpy(&get, &found, sizeof found);
    if (get && get(GetCurrentThread(), &name) >= 0 && name)
        for (; name[len] && len + 1 < size; len++) out[len] = (char)name[len];
    out[len] = 0;
    if (name) (void)LocalFree(name);
}

static inline bool os_utc(time_t at, struct tm *out)
{
    return gmtime_s(out, &at) == 0;
}

static inline os_signals os_signals_now(void) // there are none
{
    os_signals now = {0, true};
    return now;
}

static inline os_signals os_signals_begin(void)
{
    return os_signals_now();
}

static inline bool os_pipe_waits(void)
{
    return false;
}

static inline bool os_pipe_raise(void)
{
    return false;
}

static inline void os_pipe_take(void) {}

static inline const char *os_temp(void)
{
    static char folder[MAX_PATH + 1];
    DWORD len = GetTempPathA(sizeof folder, folder);
    if (len == 0 || len > MAX_PATH) return ".";
    if (folder[len - 1] == '\\') folder[len - 1] = 0;
    return folder;
}

static inline bool os_folder_make(char *path, size_t size)
{
    static unsigned count;
    do { // one that was left behind by another process of the same number is not ours
        if (snprintf(path, size, "%s\\fastserve-%lu-%u", os_temp(), GetCurrentProcessId(), ++count) >= (int)size)
            return false;
        if (CreateDirectoryA(path, NULL)) return true;
    } while (GetLastError() == ERROR_ALREADY_EXISTS);
    return false;
}

static inline void os_folder_remove(const char *path)
{
    (void)RemoveDirectoryA(path);
}

static inline bool os_exists(const char *path)
{
    return GetFileAttributesA(path) != INVALID_FILE_ATTRIBUTES;
}

// UTF-8 as the system has it, with its own slashes. What is too long is empty.
static inline const WCHAR *os_wide(WCHAR *out, int size, const char *path)
{
    if (MultiByteToWideChar(CP_UTF8, 0, path, -1, out, size) <= 0) out[0] = 0;
    for (WCHAR *at = out; *at; at++)
        if (*at == L'/') *at = L'\\';
    return out;
}

// A right that few users have, and nothing at all under Wine.
static inline bool os_link(const char *to, const char *path)
{
    WCHAR a[1024], b[1024], whole[2048];
    DWORD unprivileged = 2, folder = 0;
    (void)os_wide(a, 1024, to);
    (void)os_wide(b, 1024, path);
    if (os_is_wine()) return false;
    if (a[0] == L'\\' || (a[0] && a[1] == L':')) {
        (void)lstrcpyW(whole, a);
    } else { // relative to the folder of the link
        (void)lstrcpyW(whole, b);
        for (WCHAR *end = whole + lstrlenW(whole); end > whole && end[-1] != L'\\'; end--) end[-1] = 0;
        (void)lstrcatW(whole, a);
    }
    DWORD kind = GetFileAttributesW(whole);
    if (kind != INVALID_FILE_ATTRIBUTES && (kind & FILE_ATTRIBUTE_DIRECTORY)) folder = SYMBOLIC_LINK_FLAG_DIRECTORY;
    return CreateSymbolicLinkW(b, a, unprivileged | folder) != 0;
}

static inline bool os_link_hard(const char *to, const char *path)
{
    WCHAR a[1024], b[1024];
    return CreateHardLinkW(os_wide(b, 1024, path), os_wide(a, 1024, to), NULL) != 0;
}

static inline bool os_short_name(const char *path, char *out, size_t size)
{
    char whole[1024];
    DWORD len = GetShortPathNameA(path, whole, sizeof whole);
    if (len == 0 || len >= sizeof whole || !strchr(whole, '~')) return false;
    const char *name = whole + len;
    while (name > whole && name[-1] != '\\' && name[-1] != '/') name--;
    return strchr(name, '~') && snprintf(out, size, "%s", name) < (int)size;
}

static inline bool os_folder_add(const char *path)
{
    WCHAR wide[1024];
    return CreateDirectoryW(os_wide(wide, 1024, path), NULL) != 0;
}

static inline bool os_fifo(const char *path)
{
    (void)path;
    return false;
}

static inline bool os_socket_file(const char *path)
{
    (void)path;
    return false;
}

static inline bool os_rename(const char *from, const char *to)
{
    WCHAR a[1024], b[1024];
    return MoveFileExW(os_wide(a, 1024, from), os_wide(b, 1024, to), MOVEFILE_REPLACE_EXISTING) != 0;
}

static inline bool os_readable(const char *path)
{
    (void)path;
    return true;
}

static inline int os_opens_watch(const char *path)
{
    (void)path;
    return -1;
}

static inline bool os_opens_seen(int watch)
{
    (void)watch;
    return false;
}

static inline bool os_owner(const char *path, unsigned user)
{
    (void)path, (void)user;
    return false;
}

static inline bool os_unreadable(const char *path)
{
    (void)path;
    return false;
}

static inline bool os_file_put(const char *path, uint64_t at, const void *bytes, size_t len)
{
    WCHAR wide[1024];
    LARGE_INTEGER to;
    DWORD n = 0;
    HANDLE file = CreateFileW(os_wide(wide, 1024, path), GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                              OPEN_ALWAYS, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) return false;
    to.QuadPart = (LONGLONG)at;
    if (at > 1u << 20) (void)DeviceIoControl(file, FSCTL_SET_SPARSE, NULL, 0, NULL, 0, &n, NULL);
    bool fine =
        SetFilePointerEx(file, to, NULL, FILE_BEGIN) && WriteFile(file, bytes, (DWORD)len, &n, NULL) && n == len;
    (void)CloseHandle(file);
    return fine;
}

static inline bool os_file_cut(const char *path, uint32_t size)
{
    WCHAR wide[1024];
    LARGE_INTEGER to;
    HANDLE file = CreateFileW(os_wide(wide, 1024, path), GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                              OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) return false;
    to.QuadPart = size;
    bool fine = SetFilePointerEx(file, to, NULL, FILE_BEGIN) && SetEndOfFile(file);
    (void)CloseHandle(file);
    return fine;
}

static inline bool os_file_chill(const char *path)
{
    (void)path;
    return false;
}

static inline void os_tree_remove_wide(WCHAR *path, size_t len) // with room for 1024
{
    WIN32_FIND_DATAW found;
    (void)lstrcpyW(path + len, L"\\*");
    HANDLE names = FindFirstFileW(path, &found);
    while (names != INVALID_HANDLE_VALUE) {
        size_t more = (size_t)lstrlenW(found.cFileName);
        if (lstrcmpW(found.cFileName, L".") != 0 && lstrcmpW(found.cFileName, L"..") != 0 && len + more + 4 < 1024) {
            (void)lstrcpyW(path + len + 1, found.cFileName);
            if (!(found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY))
                (void)DeleteFileW(path);
            else if (found.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT)
                (void)RemoveDirectoryW(path);
            else
                os_tree_remove_wide(path, len + 1 + more);
        }
        if (!FindNextFileW(names, &found)) break;
    }
    if (names != INVALID_HANDLE_VALUE) (void)FindClose(names);
    path[len] = 0;
    (void)RemoveDirectoryW(path);
}

static inline void os_tree_remove(const char *path)
{
    WCHAR wide[1024];
    os_tree_remove_wide(wide, (size_t)lstrlenW(os_wide(wide, 1024, path)));
}

static inline bool os_any_name(void)
{
    return false;
}

static inline FILE *os_stream(void)
{
    char path[MAX_PATH + 1];
    return GetTempFileNameA(os_temp(), "fsv", 0, path) ? fopen(path, "w+bD") : NULL; // D: removed when it is closed
}

static inline bool os_has_python(void)
{
    return false; // nobody says what it is called
}

static inline char *os_guarded(size_t size)
{
    DWORD before;
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    size_t page = info.dwPageSize, room = (size + page - 1) / page * page;
    char *memory = (char *)VirtualAlloc(NULL, room + page, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (!memory || !VirtualProtect(memory + room, page, PAGE_NOACCESS, &before)) return NULL;
    return memory + room;
}

static inline uint64_t os_memory_most(void)
{
    PROCESS_MEMORY_COUNTERS used;
    memset(&used, 0, sizeof used);
    return K32GetProcessMemoryInfo(GetCurrentProcess(), &used, sizeof used) ? used.PeakWorkingSetSize : 0;
}

// ---- another process: this program once more, with an argument that says so, and its standard input and output as pipes

#define OS_CHILD_WORD "--test-child"

static inline bool os_child_read(const os_child *child, void *to, size_t len)
{
    DWORD n = 0;
    HANDLE from = child ? (HANDLE)(intptr_t)child->from : GetStdHandle(STD_INPUT_HANDLE);
    return ReadFile(from, to, (DWORD)len, &n, NULL) && n == len;
}

static inline bool os_child_write(const os_child *child, const void *from, size_t len)
{
    DWORD n = 0;
    HANDLE to = child ? (HANDLE)(intptr_t)child->to : GetStdHandle(STD_OUTPUT_HANDLE);
    return WriteFile(to, from, (DWORD)len, &n, NULL) && n == len;
}

static inline bool os_child_start(os_child *child, int (*body)(void))
{
    char command[MAX_PATH + 64], program[MAX_PATH + 1];
    HANDLE down[2], up[2];
    SECURITY_ATTRIBUTES inherited;
    STARTUPINFOA start;
    PROCESS_INFORMATION made;
    (void)body; // os_child_main has it
    memset(&start, 0, sizeof start);
    memset(&inherited, 0, sizeof inherited);
    inherited.nLength = sizeof inherited;
    inherited.bInheritHandle = TRUE;
    if (!GetModuleFileNameA(NULL, program, sizeof program)) return false;
    if (!CreatePipe(&down[0], &down[1], &inherited, 0) || !CreatePipe(&up[0], &up[1], &inherited, 0)) return false;
    (void)SetHandleInformation(down[1], HANDLE_FLAG_INHERIT, 0);
    (void)SetHandleInformation(up[0], HANDLE_FLAG_INHERIT, 0);
    start.cb = sizeof start;
    start.dwFlags = STARTF_USESTDHANDLES;
    start.hStdInput = down[0];
    start.hStdOutput = up[1];
    start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    (void)snprintf(command, sizeof command, "\"%s\" " OS_CHILD_WORD, program);
    BOOL fine = CreateProcessA(program, command, NULL, NULL, TRUE, 0, NULL, NULL, &start, &made);
    (void)CloseHandle(down[0]);
    (void)CloseHandle(up[1]);
    if (!fine) return false;
    (void)CloseHandle(made.hThread);
    child->id = (int64_t)(intptr_t)made.hProcess;
    child->to = (int)(intptr_t)down[1];
    child->from = (int)(intptr_t)up[0];
    return true;
}

static inline int os_child_end(os_child *child)
{
    DWORD status = (DWORD)-1;
    HANDLE process = (HANDLE)(intptr_t)child->id;
    (void)CloseHandle((HANDLE)(intptr_t)child->to);
    (void)CloseHandle((HANDLE)(intptr_t)child->from);
    (void)WaitForSingleObject(process, INFINITE);
    (void)GetExitCodeProcess(process, &status);
    (void)CloseHandle(process);
    return (int)status;
}

static inline void os_child_main(int argc, char **argv, int (*body)(void))
{
    if (argc != 2 || strcmp(argv[1], OS_CHILD_WORD) != 0) return;
    exit(os_begin() ? body() : 1);
}
#endif

// ---------------------------------------------------------------------------------------------------------
// For every system
// ---------------------------------------------------------------------------------------------------------

// A path for a file of this process's own, where nothing stands yet. The caller removes what it puts there.
static inline const char *os_temp_path(char *out, size_t size, const char *name)
{
    static unsigned count;
    (void)snprintf(out, size, "%s/fastserve-%llu-%u-%s", os_temp(), (unsigned long long)os_process_id(), ++count, name);
    (void)remove(out);
    return out;
}

// What was written to os_stream's, in memory of the caller's to free, terminated. Closes it. NULL: something failed.
static inline char *os_stream_all(FILE *file, size_t *len)
{
    long size = ftell(file);
    char *text = size < 0 || ferror(file) ? NULL : (char *)malloc((size_t)size + 1);
    rewind(file);
    *len = text ? fread(text, 1, (size_t)size, file) : 0;
    if (text) text[*len] = 0;
    (void)fclose(file);
    return text;
}

// What was written to os_stream's, terminated; what does not fit is cut. Closes it. Returns how many bytes.
static inline size_t os_stream_text(FILE *file, char *out, size_t size)
{
    rewind(file);
    size_t len = fread(out, 1, size - 1, file);
    out[len] = 0;
    (void)fclose(file);
    return len;
}
#endif
