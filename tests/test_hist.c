// test_hist.c: >>hist. The promise is one number, an error of at most 1/256, over the whole range of 64 bits.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"

static fsi_hist one, two, both; // 59 KB each
static uint64_t seed;

static uint64_t dice(void) // splitmix64
{
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t dice_log(void) // every magnitude is as likely
{
    return dice() >> (dice() & 63);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static void check_value(uint64_t value)
{
    uint32_t cell = fsi_hist_cell(value);
    uint64_t middle;
    ROW("%llu (0x%llx)", (unsigned long long)value, (unsigned long long)value);
    REQUIRE(cell < FSI_HIST_CELLS);
    middle = fsi_hist_value(cell);
    CHECK(distance(middle, value) <= value / 256);
    CHECK_EQ(fsi_hist_cell(middle), cell);
}

// Goal: the error bound holds on both sides of every power of two, where shifts are easily off by one, up to the last
// value of 64 bits, and no value falls outside the table.
TEST(hist_error_at_powers)
{
    for (int bit = 0; bit < 64; bit++)
        for (uint64_t more = 0; more < 1024; more++) {
            check_value(((uint64_t)1 << bit) + more);
            check_value(((uint64_t)1 << bit) - more);
        }
    check_value(0);
    check_value(UINT64_MAX);
    for (int bit = 8; bit < 64; bit++) // and on both sides of each of the 128 parts
        for (uint64_t part = 128; part < 256; part++) {
            uint64_t edge = part << (bit - 7);
            check_value(edge - 1);
            check_value(edge);
            check_value(edge + 1);
        }
}

// Goal: the same anywhere in between.
TEST(hist_error_anywhere)
{
    for (int i = 0; i < 300000; i++) check_value(dice_log());
}

// Goal: latencies of a few units are not rounded at all.
TEST(hist_is_exact_below_256)
{
    for (uint64_t value = 0; value < 256; value++) {
        ROW("%llu", (unsigned long long)value);
        CHECK_EQ(fsi_hist_value(fsi_hist_cell(value)), value);
    }
}

// Goal: a larger value never has a smaller cell, every cell has a value of its own, and the last one is used.
TEST(hist_cells_are_in_order)
{
    uint64_t before = 0;
    for (uint32_t cell = 0; cell < FSI_HIST_CELLS; cell++) {
        uint64_t value = fsi_hist_value(cell);
        ROW("cell %u", cell);
        CHECK(cell == 0 || value > before);
        CHECK_EQ(fsi_hist_cell(value), cell);
        before = value;
    }
    CHECK_EQ(fsi_hist_cell(UINT64_MAX), FSI_HIST_CELLS - 1);
}

// Goal: an empty histogram gives zeroes, not the markers it starts with, and never divides by its count.
TEST(hist_empty)
{
    fsi_hist_init(&one);
    CHECK_EQ(one.count, 0);
    CHECK_EQ(one.max, 0);
    CHECK(one.min == UINT64_MAX);
    CHECK_EQ(fsi_hist_at(&one, 0), 0);
    CHECK_EQ(fsi_hist_at(&one, 0.5), 0);
    CHECK_EQ(fsi_hist_at(&one, 1), 0);
    CHECK(!(fsi_hist_share(&one, 0, 1e30) > 0));
}

// Goal: one value is every percentile, exactly: the middle of its cell may lie outside what was recorded.
TEST(hist_of_one_value)
{
    static const double shares[] = {0, 0.001, 0.5, 0.99, 0.99999, 1};
    for (int i = 0; i < 2000; i++) {
        uint64_t value = i == 0 ? UINT64_MAX : dice_log();
        fsi_hist_init(&one);
        fsi_hist_add(&one, value, 1);
        ROW("%llu", (unsigned long long)value);
        CHECK(one.min == value && one.max == value);
        for (size_t k = 0; k < sizeof shares / sizeof shares[0]; k++) CHECK(fsi_hist_at(&one, shares[k]) == value);
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

// Goal: percentiles are those of the sorted values (off-by-one of the rank, wrong end of the walk), to the cell's
// error.
TEST(hist_percentiles_against_sorted)
{
    static uint64_t values[5000];
    static const double shares[] = {0, 0.0001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1};
    static const size_t counts[] = {1, 2, 3, 10, 99, 100, 101, 1000, 5000};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (int shape = 0; shape < 3; shape++) { // exact ones, of one magnitude, of all magnitudes
            size_t n = counts[c];
            fsi_hist_init(&one);
            for (size_t i = 0; i < n; i++) {
                values[i] = shape == 0 ? dice() % 256 : shape == 1 ? 1000000 + dice() % 3000000 : dice_log();
                fsi_hist_add(&one, values[i], 1);
            }
            qsort(values, n, sizeof values[0], by_value);
            CHECK(one.min == values[0] && one.max == values[n - 1]);
            for (size_t k = 0; k < sizeof shares / sizeof shares[0]; k++) {
                size_t rank = 0; // how many of the smallest values it takes
                while (rank < n && (double)rank < shares[k] * (double)n) rank++;
                uint64_t want = values[rank ? rank - 1 : 0], got = fsi_hist_at(&one, shares[k]);
                ROW("n=%zu shape=%d q=%g got %llu want %llu", n, shape, shares[k], (unsigned long long)got,
                    (unsigned long long)want);
                CHECK(distance(got, want) <= want / 256);
                CHECK(got >= one.min && got <= one.max);
            }
        }
    }
}

// Goal: percentiles do not fall while the share grows.
TEST(hist_percentiles_grow)
{
    uint64_t before = 0;
    fsi_hist_init(&one);
    for (int i = 0; i < 3000; i++) fsi_hist_add(&one, dice_log(), 1 + dice() % 5);
    for (int i = 0; i <= 10000; i++) {
        uint64_t at = fsi_hist_at(&one, (double)i / 10000);
        ROW("q=%d/10000", i);
        CHECK(at >= before);
        before = at;
    }
}

// Goal: histograms of several loops, merged, are the histogram of all their values; an empty one changes nothing.
TEST(hist_merge_is_recording_into_one)
{
    fsi_hist_init(&one);
    fsi_hist_init(&two);
    fsi_hist_init(&both);
    for (int i = 0; i < 20000; i++) {
        uint64_t value = dice() >> (32 + (dice() & 31)), times = 1 + dice() % 3; // sums of these are exact
        fsi_hist_add(dice() & 1 ? &one : &two, value, times);
        fsi_hist_add(&both, value, times);
    }
    fsi_hist_merge(&one, &two);
    CHECK_EQ(one.count, both.count);
    CHECK(one.min == both.min && one.max == both.max);
    CHECK(memcmp(one.cells, both.cells, sizeof one.cells) == 0);
    CHECK(one.sum - both.sum <= 0 && one.sum - both.sum >= 0);
    CHECK(one.sum2 - both.sum2 <= 1e-9 * both.sum2 && both.sum2 - one.sum2 <= 1e-9 * both.sum2);

    fsi_hist_init(&two);
    fsi_hist_merge(&one, &two); // nothing into something
    CHECK_EQ(one.count, both.count);
    CHECK(one.min == both.min && one.max == both.max);
    fsi_hist_merge(&two, &one); // something into nothing
    CHECK_EQ(two.count, both.count);
    CHECK(two.min == both.min && two.max == both.max);
    CHECK(memcmp(two.cells, both.cells, sizeof two.cells) == 0);
}

// Goal: a value with a weight counts as that many values, in the sums as well.
TEST(hist_times)
{
    fsi_hist_init(&one);
    fsi_hist_init(&two);
    for (uint64_t i = 0; i < 500; i++) {
        uint64_t value = dice() & 0xfffff, times = i % 7;
        if (times) fsi_hist_add(&one, value, times);
        for (uint64_t k = 0; k < times; k++) fsi_hist_add(&two, value, 1);
    }
    CHECK(memcmp(one.cells, two.cells, sizeof one.cells) == 0);
    CHECK_EQ(one.count, two.count);
    CHECK(one.min == two.min && one.max == two.max);
    CHECK_EQ((long long)one.sum, (long long)two.sum);
    CHECK_EQ((long long)one.sum2, (long long)two.sum2);
}

// Goal: the share counts both ends of its range, and all of a range that holds everything is 1.
TEST(hist_share)
{
    fsi_hist_init(&one);
    for (uint64_t value = 1; value <= 100; value++) fsi_hist_add(&one, value, 1);
    static const struct row {
        double low, high;
        int percent;
    } rows[] = {
        {1, 100, 100}, {0, 1e30, 100}, {1, 1, 1},   {100, 100, 1},   {11, 20, 10},     {0, 0.5, 0},
        {101, 1e9, 0}, {-5, 50, 50},   {20, 11, 0}, {50.5, 100, 50}, {50.5, 50.75, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%g to %g", rows[i].low, rows[i].high);
        CHECK_EQ((int)(fsi_hist_share(&one, rows[i].low, rows[i].high) * 100 + 0.5), rows[i].percent);
    }
}

TEST_MAIN(CASE(hist_error_at_powers), CASE(hist_error_anywhere), CASE(hist_is_exact_below_256),
          CASE(hist_cells_are_in_order), CASE(hist_empty), CASE(hist_of_one_value),
          CASE(hist_percentiles_against_sorted), CASE(hist_percentiles_grow), CASE(hist_merge_is_recording_into_one),
          CASE(hist_times), CASE(hist_share))
