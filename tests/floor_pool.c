// floor_pool: the least work an epoll server can do that gives each request to a pool of workers by a mutex and a condition
// variable. The yardstick for the pool of fastserve.
//
//   cc -O2 -pthread floor_pool.c -o floor_pool
//   ./floor_pool PORT LOOPS WORKERS job|batch
//
// Loops are those of `floor PORT LOOPS local`: one on each CPU, a read, a count of "\r\n\r\n", a write of so many fixed answers. But
// between read and write the request goes to a worker and back.
//   job    each request is signalled to the workers, and each that is done writes to its loop's eventfd
//   batch  the workers are signalled once for all requests of an epoll_wait, and a loop once for all that are done before it looks
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nServer: floor\r\n\r\nHello, World!"
#define PIPELINE_MAX 256
#define LOOPS_MAX 64
#define JOBS_MAX 65536 // one for each connection at most: never full

typedef struct job {
    int fd, loop, count; // answers
} job;

typedef struct ring {
    pthread_mutex_t lock;
    job jobs[JOBS_MAX];
    uint32_t head, tail;
} ring;

static int port, loops, workers, batch;
static volatile int turn;
static char answers[sizeof ANSWER * PIPELINE_MAX];
static ring todo, done[LOOPS_MAX];
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static int wakes[LOOPS_MAX];

static int listener(int index)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sock_filter code[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, (unsigned)(SKF_AD_OFF + SKF_AD_CPU)}, {BPF_RET | BPF_A, 0, 0, 0}};
    struct sock_fprog program = {.len = 2, .filter = code};
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(index, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (turn != index) sched_yield();
    if (bind(fd, (void *)&at, sizeof at) || listen(fd, 4096)) {
        perror("floor_pool: bind");
        exit(1);
    }
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
    __sync_synchronize();
    turn = index + 1;
    return fd;
}

// Reads, and gives what was asked to the workers. Returns how many jobs that made: 1 or 0.
static int ask(int fd, int index, char *in, size_t size)
{
    ssize_t got = read(fd, in, size);
    job made = {fd, index, 0};
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) close(fd);
        return 0;
    }
    for (char *at = in; (at = memmem(at, (size_t)(in + got - at), "\r\n\r\n", 4)); at += 4) made.count++;
    if (!made.count) return 0;
    if (made.count > PIPELINE_MAX) made.count = PIPELINE_MAX;
    pthread_mutex_lock(&todo.lock);
    todo.jobs[todo.tail++ % JOBS_MAX] = made;
    pthread_mutex_unlock(&todo.lock);
    if (!batch) pthread_cond_signal(&work);
    return 1;
}

static void *worker(void *arg)
{
    uint64_t one = 1;
    (void)arg;
    for (;;) {
        pthread_mutex_lock(&todo.lock);
        while (todo.head == todo.tail) pthread_cond_wait(&work, &todo.lock);
        job mine = todo.jobs[todo.head++ % JOBS_MAX];
        pthread_mutex_unlock(&todo.lock);
        ring *home = &done[mine.loop];
        pthread_mutex_lock(&home->lock);
        int first = home->head == home->tail;
        home->jobs[home->tail++ % JOBS_MAX] = mine;
        pthread_mutex_unlock(&home->lock);
        if (first || !batch) (void)!write(wakes[mine.loop], &one, sizeof one);
    }
    return 0;
}

static void answer(int index)
{
    uint64_t count;
    (void)!read(wakes[index], &count, sizeof count);
    for (;;) {
        pthread_mutex_lock(&done[index].lock);
        int any = done[index].head != done[index].tail;
        job mine = any ? done[index].jobs[done[index].head++ % JOBS_MAX] : (job){0, 0, 0};
        pthread_mutex_unlock(&done[index].lock);
        if (!any) return;
        if (write(mine.fd, answers, (sizeof ANSWER - 1) * (size_t)mine.count) < 0) close(mine.fd);
    }
}

static void *loop(void *arg)
{
    static __thread char in[65536];
    struct epoll_event events[1024], want = {.events = EPOLLIN};
    int index = (int)(long)arg, ep = epoll_create1(0), listening = listener(index);
    want.data.fd = wakes[index];
    epoll_ctl(ep, EPOLL_CTL_ADD, wakes[index], &want);
    want.data.fd = listening;
    epoll_ctl(ep, EPOLL_CTL_ADD, listening, &want);
    for (;;) {
        int n = epoll_wait(ep, events, 1024, -1), asked = 0;
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == wakes[index]) {
                answer(index);
            } else if (fd != listening) {
                asked += ask(fd, index, in, sizeof in);
            } else {
                while ((fd = accept4(listening, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    want.data.fd = fd;
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &want);
                }
            }
        }
        if (batch && asked == 1) pthread_cond_signal(&work);
        if (batch && asked > 1) pthread_cond_broadcast(&work);
    }
    return 0;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    if (argc < 5 || (strcmp(argv[4], "job") != 0 && strcmp(argv[4], "batch") != 0)) {
        fprintf(stderr, "usage: floor_pool PORT LOOPS WORKERS job|batch\n");
        return 2;
    }
    port = atoi(argv[1]);
    loops = atoi(argv[2]);
    workers = atoi(argv[3]);
    batch = !strcmp(argv[4], "batch");
    if (loops < 1 || loops > LOOPS_MAX || workers < 1) return 2;
    signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&todo.lock, NULL);
    for (int i = 0; i < PIPELINE_MAX; i++) memcpy(answers + (sizeof ANSWER - 1) * (size_t)i, ANSWER, sizeof ANSWER - 1);
    for (int i = 0; i < loops; i++) {
        pthread_mutex_init(&done[i].lock, NULL);
        wakes[i] = eventfd(0, EFD_NONBLOCK);
    }
    for (int i = 0; i < workers; i++) pthread_create(&thread, 0, worker, NULL);
    for (long i = 1; i < loops; i++) pthread_create(&thread, 0, loop, (void *)i);
    loop(0);
}
