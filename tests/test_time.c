// test_time.c: >>time. The Date field against the C library, the timer wheel against a list of due times. Time is a
// number that the tests move; nothing here waits or looks at a clock.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"
#include "os.h"

static uint64_t seed;

static uint64_t dice(void) // splitmix64
{
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t dice_log(unsigned bits) // below 2^bits, every magnitude as likely
{
    return (dice() & (((uint64_t)1 << bits) - 1)) >> (dice() % bits);
}

// ---- the Date field

static void check_date(int64_t seconds)
{
    char got[40], want[40];
    time_t at = (time_t)seconds;
    struct tm parts;
    if (at != seconds || seconds > OS_UTC_LAST) return; // the C library's calendar ends in 2038, or 3000
    memset(got, '#', sizeof got);
    fsi_date_write(got, seconds);
    REQUIRE(os_utc(at, &parts) && strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &parts) == 29);
    ROW("%lld", (long long)seconds);
    CHECK_BYTES(got, 29, want, 29);
    CHECK_EQ(got[29], '#'); // no terminator is written behind it
}

// Goal: every day of 150 years is right, at its first and last second and in between, whatever the leap years do.
TEST(date_every_day)
{
    for (int64_t day = 0; day < 150 * 366; day++) {
        check_date(day * 86400);
        check_date(day * 86400 + 86399);
        check_date(day * 86400 + (int64_t)(dice() % 86400));
    }
}

// Goal: the rule of 4, 100 and 400 years, and the ends of the range that the comment promises.
TEST(date_ends_and_leaps)
{
    static const struct row {
        int64_t seconds;
        const char *want;
    } rows[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {951868800, "Wed, 01 Mar 2000 00:00:00 GMT"},
        {2147483648, "Tue, 19 Jan 2038 03:14:08 GMT"},
        {4107542399, "Sun, 28 Feb 2100 23:59:59 GMT"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
        {4294967296, "Sun, 07 Feb 2106 06:28:16 GMT"},
        {13574563200, "Tue, 29 Feb 2400 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char got[30] = "";
        fsi_date_write(got, rows[i].seconds);
        ROW("%lld", (long long)rows[i].seconds);
        CHECK_STR(got, rows[i].want);
    }
    for (int64_t day = 150 * 365; day * 86400 <= 253402300799; day += 1 + (int64_t)(dice() % 60))
        check_date(day * 86400 + (int64_t)(dice() % 86400));
}

// ---- the wheel against a list

#define TIMERS 64

typedef struct alarm_model {
    fsi_timer timer; // first
    uint64_t due;
    uint64_t latest; // when the wheel must have been turned for it: the end of a slot of 4 ms
    bool armed;
} alarm_model;

static fsi_wheel wheel;
static alarm_model model[TIMERS];
static uint64_t now;
static size_t fired;

static void start(uint64_t at)
{
    memset(model, 0, sizeof model);
    now = at;
    fired = 0;
    fsi_wheel_init(&wheel, now);
}

static void arm(alarm_model *it, uint64_t due)
{
    fsi_timer_set(&wheel, &it->timer, due);
    it->due = due;
    it->latest = (due > now ? due : now) | 3; // what is overdue already sits in the slot of now
    it->armed = true;
}

static uint64_t first_latest(void) // UINT64_MAX: none is armed
{
    uint64_t latest = UINT64_MAX;
    for (int i = 0; i < TIMERS; i++)
        if (model[i].armed && model[i].latest < latest) latest = model[i].latest;
    return latest;
}

// Takes what is due. rearm: some of them are set again at once, as a handler would.
static void drain(bool rearm)
{
    fsi_timer *timer;
    size_t calls = 0;
    while ((timer = fsi_wheel_next(&wheel, now)) != NULL) {
        alarm_model *it = (alarm_model *)(void *)timer;
        REQUIRE(it >= model && it < model + TIMERS);
        CHECK(it->armed);           // else it fired twice, or after it was removed
        CHECK(it->due <= now);      // else it fired early
        CHECK(timer->next == NULL); // it is out of the wheel
        it->armed = false;
        fired++;
        REQUIRE(++calls <= 100 * TIMERS);
        if (rearm && dice() % 4 == 0) arm(it, now + 1 + dice_log(20));
    }
    for (int i = 0; i < TIMERS; i++) {
        ROW("now=%llu timer %d due=%llu", (unsigned long long)now, i, (unsigned long long)model[i].due);
        if (model[i].armed) CHECK(model[i].due > now); // else it was missed
    }
}

// The wheel's own idea of how long to sleep, held against the list.
static uint32_t check_wait(void)
{
    uint32_t wait = fsi_wheel_wait_ms(&wheel, now);
    uint64_t latest = first_latest();
    ROW("now=%llu latest=%llu wait=%u", (unsigned long long)now, (unsigned long long)latest, wait);
    if (latest == UINT64_MAX) return wait;
    CHECK(wait != UINT32_MAX); // would sleep for ever
    CHECK(now + wait <= (latest > now ? latest : now));
    return wait;
}

// Sleeps as the wheel says until nothing is armed. A turn that sleeps 0 ms right after a drain would spin.
static void sleep_until_empty(size_t turns_max)
{
    size_t turns = 0;
    while (first_latest() != UINT64_MAX) {
        uint32_t wait = check_wait();
        CHECK(wait > 0);
        REQUIRE(++turns <= turns_max);
        now += wait;
        drain(false);
    }
}

static void random_walk(uint64_t begin, size_t steps, unsigned due_bits, unsigned jump_bits)
{
    start(begin);
    for (size_t i = 0; i < steps && test_failures == 0; i++) {
        alarm_model *it = &model[dice() % TIMERS];
        switch (dice() % 10) {
        case 0:
        case 1:
        case 2: arm(it, now + dice_log(due_bits)); break;
        case 3:
            if (it->armed) arm(it, it->due + dice_log(due_bits)); // later
            break;
        case 4:
            if (it->armed && it->due > now) arm(it, now + dice() % (it->due - now)); // earlier, or now
            break;
        case 5:
            if (it->armed) arm(it, it->due > 1000 ? it->due - dice() % 1000 : 0); // perhaps into the past
            break;
        case 6:
            fsi_timer_remove(&it->timer);
            it->armed = false;
            break;
        case 7:
            now += dice_log(jump_bits);
            drain(true);
            break;
        case 8:
            now += dice() % 9;
            drain(false);
            break;
        default: {
            uint32_t wait = check_wait();
            if (first_latest() != UINT64_MAX) now += wait;
            drain(dice() & 1);
            break;
        }
        }
        (void)check_wait();
    }
    drain(false);
    sleep_until_empty(TIMERS * (FSI_WHEEL_LEVELS + 1) + FSI_WHEEL_LEVELS * FSI_WHEEL_SLOTS + 400);
    CHECK(fired > 0);
}

// Goal: timers of all lengths, moved and removed at will while time goes in steps of all sizes: each one fires once,
// never early, and is never passed over; the sleep never goes beyond the next one.
TEST(wheel_random_all_sizes)
{
    for (int i = 0; i < 12; i++) random_walk(dice_log(40), 4000, 34, 34);
}

// Goal: the same where most of it happens, in the first two levels, and across their borders.
TEST(wheel_random_short)
{
    for (int i = 0; i < 12; i++) random_walk(((uint64_t)1 << (8 + 2 * i)) - 50, 4000, 11, 10);
}

// Goal: the same with timers far apart and small steps, where a timer passes through every level on its way.
TEST(wheel_random_far)
{
    for (int i = 0; i < 6; i++) random_walk(dice_log(36), 3000, 38, 24);
}

// Goal: a jump of years (a suspended machine) takes everything that is due, once, and does not turn for each slot.
TEST(wheel_huge_jumps)
{
    start(12345);
    for (int i = 0; i < TIMERS; i++) arm(&model[i], now + ((uint64_t)1 << (i % 40)));
    now += (uint64_t)1 << 45;
    drain(false);
    CHECK_EQ(fired, TIMERS);
    CHECK(first_latest() == UINT64_MAX);
    (void)fsi_wheel_wait_ms(&wheel, now);
    arm(&model[0], now + 10); // and it goes on afterwards
    now += 9;
    drain(false);
    CHECK_EQ(fired, TIMERS);
    now += 1;
    drain(false);
    CHECK_EQ(fired, TIMERS + 1);
}

// Goal: one timer at every distance around the borders of the levels fires exactly at its due time, not a slot later.
TEST(wheel_exact_at_borders)
{
    for (int bit = 0; bit < 36; bit++) {
        for (int off = -5; off <= 5; off++) {
            uint64_t begin = (uint64_t)(dice() & 1023), due = begin + ((uint64_t)1 << bit) + 5;
            due = off < 0 ? due - (uint64_t)-off : due + (uint64_t)off;
            start(begin);
            arm(&model[0], due);
            ROW("bit=%d off=%d", bit, off);
            CHECK(fsi_wheel_next(&wheel, due - 1) == NULL);
            CHECK(fsi_wheel_next(&wheel, due) == &model[0].timer);
            CHECK(fsi_wheel_next(&wheel, due) == NULL);
        }
    }
}

// Goal: one timer needs no more turns than there are levels; a wheel that wakes for nothing at all spins.
TEST(wheel_sleeps_towards_one_timer)
{
    for (int i = 0; i < 400; i++) {
        uint64_t away = dice_log(32);
        start(dice_log(40));
        arm(&model[0], now + away);
        drain(false);
        sleep_until_empty(FSI_WHEEL_LEVELS + 2);
    }
}

// Goal: a timer beyond the last level is kept and comes in time, also one that is set to "never".
TEST(wheel_beyond_the_last_level)
{
    start(777);
    arm(&model[0], now + ((uint64_t)1 << 40));
    arm(&model[1], UINT64_MAX);
    drain(false);
    for (int turn = 0; model[0].armed && turn < 2000; turn++) {
        now += check_wait();
        drain(false);
    }
    CHECK(!model[0].armed);
    CHECK(model[1].armed);
    CHECK(now >= 777 + ((uint64_t)1 << 40) && now <= ((777 + ((uint64_t)1 << 40)) | 3));
}

// Goal: moving a timer later a thousand times (each request of a connection does) is not a turn each.
TEST(wheel_moved_later_is_cheap)
{
    size_t turns = 0;
    start(0);
    arm(&model[0], 5000);
    for (int i = 0; i < 1000; i++) {
        now += 7;
        arm(&model[0], now + 5000);
        if (fsi_wheel_wait_ms(&wheel, now) == 0) {
            drain(false);
            turns++;
        }
    }
    CHECK(turns <= 10);
    sleep_until_empty(10);
    CHECK_EQ(fired, 1);
    CHECK(now >= 12000 && now <= 12003);
}

// Goal: an empty wheel sleeps without limit; what was removed wakes it a few times at most and never fires.
TEST(wheel_empty_and_removed)
{
    start(99);
    CHECK_EQ(fsi_wheel_wait_ms(&wheel, now), UINT32_MAX);
    CHECK(fsi_wheel_next(&wheel, now + 1000000) == NULL);
    CHECK_EQ(fsi_wheel_wait_ms(&wheel, now), UINT32_MAX);
    start(99);
    for (int i = 0; i < TIMERS; i++) arm(&model[i], now + 1 + dice_log(30));
    for (int i = 0; i < TIMERS; i++) {
        fsi_timer_remove(&model[i].timer);
        fsi_timer_remove(&model[i].timer); // twice is nothing
        model[i].armed = false;
    }
    size_t turns = 0;
    for (uint32_t wait; (wait = fsi_wheel_wait_ms(&wheel, now)) != UINT32_MAX; turns++) {
        REQUIRE(turns <= TIMERS);
        CHECK(wait > 0 || turns == 0);
        now += wait;
        drain(false);
    }
    CHECK_EQ(fired, 0);
}

// Goal: several timers of one slot, one of them removed or moved by the handler of another: none is lost.
TEST(wheel_handlers_touch_their_neighbours)
{
    start(1000);
    for (int i = 0; i < 8; i++) arm(&model[i], 1101); // one slot
    now = 1101;
    fsi_timer *first = fsi_wheel_next(&wheel, now);
    REQUIRE(first != NULL);
    CHECK(first == &model[0].timer); // in the order in which they were set
    model[0].armed = false;
    fsi_timer_remove(&model[1].timer);
    model[1].armed = false;
    arm(&model[2], 1300); // moved later: noted only
    arm(&model[3], 1102); // into the same slot, but not due
    drain(false);
    CHECK_EQ(fired, 4);
    CHECK(model[2].armed && model[3].armed);
    now = 1103;
    drain(false);
    CHECK(!model[3].armed && model[2].armed);
    sleep_until_empty(8);
    CHECK_EQ(fired, 6);
}

TEST_MAIN(CASE(date_every_day), CASE(date_ends_and_leaps), CASE(wheel_random_all_sizes), CASE(wheel_random_short),
          CASE(wheel_random_far), CASE(wheel_huge_jumps), CASE(wheel_exact_at_borders),
          CASE(wheel_sleeps_towards_one_timer), CASE(wheel_beyond_the_last_level), CASE(wheel_moved_later_is_cheap),
          CASE(wheel_empty_and_removed), CASE(wheel_handlers_touch_their_neighbours))
