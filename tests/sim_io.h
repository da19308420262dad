// sim_io.h: the >>io section of io_fake.h for a simulation, in which threads, locks, CPUs and listeners are not the
// system's either. What the header calls from here on is sim.h's: the thread that calls is the task whose step runs,
// and where threads meet - a fence, a swap, an addition, a lock - the scheduler may let others go first.
#include "io_fake.h"

static uint64_t sim_thread_self(void);
static bool sim_thread_start(fsi_thread *thread, void (*body)(void *), void *arg, const char *name);
static void sim_thread_join(fsi_thread *thread);
static void sim_lock_take(fsi_lock *lock);
static void sim_lock_give(fsi_lock *lock);
static void sim_signal_wait(fsi_lock *lock, uint64_t due_ns);
static void sim_point(void);
static int sim_listen(void);
static uint32_t sim_cpus(fsi_cpu *out);
static inline void sim_cpus_look(fsi_cpu *cpus, uint32_t count); // not called where connections do not move

// clang-format off
#define fsi_thread_self() sim_thread_self()
#define fsi_thread_start(thread, body, arg, name) sim_thread_start(thread, body, arg, name)
#define fsi_thread_join(thread) sim_thread_join(thread)
#define fsi_lock_take(lock) sim_lock_take(lock)
#define fsi_lock_give(lock) sim_lock_give(lock)
#define fsi_signal_wait(signal, lock, due_ns) sim_signal_wait(lock, due_ns)
#define fsi_signal_all(signal) ((void)(signal))
#define fsi_fence() sim_point()
#define fsi_swap32(at, v) (sim_point(), (fsi_swap32)(at, v))
#define fsi_add32(at, v) (sim_point(), (fsi_add32)(at, v))
#define fsi_affinity_pin(cpu) ((void)(cpu), true)
#define fsi_cpus(out) sim_cpus(out)
#define fsi_cpus_look(cpus, count, passed_us) ((void)(passed_us), sim_cpus_look(cpus, count))
#define fsi_sock_limit() UINT64_MAX
#define fsi_sock_listen(at, share, v6_only, backlog) \
    ((void)(at), (void)(share), (void)(v6_only), (void)(backlog), sim_listen())
#define fsi_sock_name(fd, at) ((void)(fd), (void)(at), true)
#define fsi_sock_unsent(fd) ((void)(fd), 0u)
#define fsi_sock_steer(fd, cpus, cpu_count, loops) ((void)(fd), (void)(cpus), (void)(cpu_count), (void)(loops), true)
// clang-format on
