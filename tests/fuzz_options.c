// fuzz_options.c: command lines of `bench` and `serve`, and the values in them, on hostile words. fuzz.h says how to build
// it.
//
// The first byte of an input says which command reads its lines as words; each line is also read as a value of every kind.
// What must hold:
//   - what is refused is told in a line that ends; what is accepted is within the limits that the help names
//   - a number, a time or an address that is accepted means the same when it is written and read again
//   - a request that is built of an accepted command line is one by the server's own reader, with all of its body
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE // before the first system header
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"

static FILE *told; // what the programs print
#undef stdout
#undef stderr
#define stdout told
#define stderr told
#define printf(...) fprintf(told, __VA_ARGS__)
#define main serve_program
int serve_program(int argc, char **argv);
#include "../main.c"
#undef main
#undef printf
#undef stdout
#undef stderr

#define WORDS_MAX 32

static size_t commands[2], values; // that were accepted

// ---- values

static void try_numbers(const char *text)
{
    char back[64];
    uint64_t n = 0, again = 0;
    double share;
    if (!bench_read_count(text, 1000000, &n)) {
        MUST(n >= 1 && n <= 1000000);
        (void)snprintf(back, sizeof back, "%llu", (unsigned long long)n);
        MUST(!bench_read_count(back, n, &again) && again == n);
        MUST(bench_read_count(back, n - 1, &again) != NULL);
        values++;
    }
    if (!bench_read_time(text, &n)) {
        MUST(n >= 1 && n <= 3600000000000000u);
        bench_length_text(back, sizeof back, n);
        if (n % 1000 == 0) MUST(!bench_read_time(back, &again) && (again == n || n > 1000000000));
        values++;
    }
    if (!bench_read_rate(text, &share)) MUST(share > 0 && share < 1e18);
    if (!bench_read_share(text, &share)) MUST(share >= 0 && share <= 1);
    if (serve_count(text, 1000, &n)) MUST(n <= 1000);
    if (serve_bytes(text, 1000, &n)) MUST(n <= 1000);
    if (serve_time_ms(text, 4000000000u, &n)) MUST(n > 0 && n <= 4000000000u);
}

static void try_address(const char *text)
{
    char back[128];
    fsi_sockaddr at, again;
    uint32_t port, port_again;
    if (!fsi_sockaddr_parse(text, &at, &port)) return;
    MUST(port <= 65535);
    if (!at.len) return;
    size_t len = fsi_sockaddr_text(&at, back, sizeof back);
    MUST(len && len < 64 && strlen(back) == len);
    MUST(fsi_sockaddr_parse(back, &again, &port_again) && port == port_again);
    MUST(at.len == again.len && memcmp(&at.storage, &again.storage, (size_t)at.len) == 0);
    values++;
}

static void try_texts(const char *text)
{
    static bench_slo slo;
    static bench_law law;
    static serve_site site;
    fsv_str name = {text, strlen(text)};
    if (!bench_slo_parse(text, &slo)) values++;
    if (!bench_law_parse(text, &law)) {
        uint64_t half = bench_law_quantile(&law, 0.5), most = bench_law_quantile(&law, 0.99);
        MUST(half <= most);
        MUST(strspn(law.text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:,/.-") ==
             strlen(law.text));
        values++;
    }
    memset(&site, 0, sizeof site);
    if (!serve_add_field(&site, text)) {
        const char *value = site.fields + strlen(site.fields) + 1;
        MUST(fsi_field_is_clean(site.fields, strlen(site.fields), value, strlen(value)));
        MUST(!fsi_field_is_ours(site.fields, strlen(site.fields)));
    }
    if (!serve_set_cache(&site, text)) MUST(fsi_field_is_clean("c", 1, site.cache, strlen(site.cache)));
    if (!serve_set_login(&site, text)) MUST(site.login_len % 4 == 0 && site.login_len < sizeof site.login);
    if (!serve_add_host(&site, text)) MUST(serve_host_fits(&site, name));
    (void)serve_add_type(&site, text);
    (void)serve_parse_mount(&site, text);
}

// ---- command lines

// A request that nobody has put fields into.
static void try_request(const bench_options *options, const bench_url *url)
{
    static const bench_text none = {NULL, 0, 0, false};
    static const fsi_limits limits = {1 << 20, 1 << 20, 100};
    static fsi_field fields[100];
    bench_request request;
    bench_text out;
    fsi_head head;
    uint64_t seed = 1;
    const char *wrong = bench_build(options, url, &none, &request);
    memset(&out, 0, sizeof out);
    for (uint64_t i = 0; i < 3 && !wrong; i++) {
        out.len = 0;
        bench_render(&request, i, &seed, &out);
        MUST(!out.failed);
        if (options->echo || options->fields.len) continue;
        if (!fsi_is_host(url->authority.ptr, url->authority.len, url->authority.ptr + url->authority.len) ||
            (options->method && strlen(options->method) > 32))
            continue;
        int64_t n = fsi_read_request(out.ptr, out.len, &limits, &head, fields);
        MUST(n > 0 || memchr(out.ptr, '*', out.len)); // "*" is nobody's to check
        if (n > 0) MUST((uint64_t)n + (head.has_length ? head.content_length : 0) == out.len);
    }
    bench_text_free(&out);
    bench_text_free(&request.bytes);
}

static void try_bench(int argc, char **argv)
{
    static bench_options options;
    char error[512] = "";
    if (bench_parse(argc, argv, &options, error, sizeof error)) {
        MUST(options.url_count <= BENCH_URLS_MAX && options.pipeline >= 1 && options.timeout_ns >= 1);
        MUST(options.max_errors >= 0 && options.max_errors <= 1);
        for (uint32_t i = 0; i < options.url_count && options.size <= 4096; i++) {
            bench_url url;
            if (bench_url_parse(&url, options.urls[i])) continue;
            MUST(url.host[0] && (url.local || url.port[0]));
            if (!options.body_file) try_request(&options, &url);
        }
        commands[0]++;
    } else {
        MUST(error[0] && strlen(error) < sizeof error);
    }
    bench_options_free(&options);
}

static void try_serve(int argc, char **argv)
{
    static serve_options o;
    memset(&o, 0, sizeof o);
    o.port = 8080;
    int code = serve_parse(&o, argc, argv);
    MUST(code >= -1 && code <= 1);
    if (code >= 0) return;
    MUST(o.port <= 65535 && o.bind_count <= 16 && o.desc.loops <= 1024 && o.desc.workers <= 4096);
    MUST(o.desc.head_bytes_max == 0 || (o.desc.head_bytes_max >= 256 && o.desc.head_bytes_max <= 1048576));
    MUST(o.desc.conns_max <= 0x7fffffff && o.log_form <= 3 && o.site.mount_count <= SERVE_MOUNTS_MAX);
    commands[1]++;
}

// What an input is put through.
static void put_through(const uint8_t *data, size_t size)
{
    char *argv[WORDS_MAX + 2], command[] = "x";
    int argc = 1;
    if (size < 1 || size > 8192) return;
    if (!told) told = fopen("/dev/null", "w");
    if (!told) abort();
    char *text = (char *)malloc(size);
    if (!text) abort();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    argv[0] = command;
    for (char *at = text, *end = text + size; at < end && argc <= WORDS_MAX; at += strlen(at) + 1) {
        at[strcspn(at, "\n")] = 0;
        argv[argc] = fuzz_copy((const uint8_t *)at, strlen(at) + 1); // exactly its size
        try_numbers(argv[argc]);
        try_address(argv[argc]);
        try_texts(argv[argc]);
        argc++;
    }
    argv[argc] = NULL;
    if (data[0] & 1)
        try_serve(argc, argv);
    else
        try_bench(argc, argv);
    while (argc > 1) free(argv[--argc]);
    free(text);
}

static const char *const seeds[] = {
    "0-c500\n-t2\n-d10s\n-L\nhttp://127.0.0.1:8080/",
    "0-R\n1.5k\n--slo\np99<5ms,errors<0.1%,rate>1k\n-d1m\nhttp://[::1]:80/a?b={i}",
    "0--conn-rate=150\n--calls=10\n-m\nPOST\n-b\nx={rand:1-9}\nhttp://a.b",
    "0tcp://127.0.0.1:7000\n--echo\n--size=64\n--close\n--rst\n-c10k",
    "0-H\nA: b\n-H\nHost: c\n--expect-status\n2xx,404\n--timeout=500ms\nunix:/x/y:/z",
    "0--find-rate\np99<5ms\n--runs\n3\n--format=ab\n--max-errors=1%\nhttp://h/",
    "1public\n-p8080\n-b\n0.0.0.0\n--auth\na:b\n--cache=1h\n--header\nX: y\n--mime\nmd=text/plain",
    "1--mount\n/docs=./doc\n--mount=/img=/x\n--host\na.b\n--spa\n--cors\n--log=-\n--log-format\njson",
    "1--law\nexp:2ms,freeze:1s/5s\n-q\n-p\n0",
    "1-t2\n-w\n8\n--model=pool\n--max-conns=10k\n--max-head\n64K\n--max-body=1G\n--head-timeout\n500ms",
    "1--echo\n-l\n[::1]:80\n--unix=/x\n--law\nlognormal:1ms/2",
    "1--law=pareto:1ms/1.5,seed:7\n--law\nuniform:1ms-2ms\n--law=const:5us,spin",
};

static const char *const words[] = {"\n",       "-",       "--",         "=",     ":",          "/",
                                    ",",        ".",       "0",          "1",     "9999999999", "18446744073709551616",
                                    "k",        "M",       "G",          "ms",    "us",         "s",
                                    "%",        "<",       ">",          "-c",    "-p",         "--law",
                                    "exp:",     "freeze:", "lognormal:", "--slo", "p99.9<",     "errors<",
                                    "mean<",    "http://", "tcp://",     "unix:", "[",          "]",
                                    "{i}",      "{rand:",  "}",          "-H\n",  "--mount\n/", "--header\n",
                                    "e9",       "0x1",     "nan",        "inf",   "\x80",       "--help",
                                    "--version"};

static size_t seed(size_t index, uint8_t *data)
{
    const char *text = seeds[index % (sizeof seeds / sizeof seeds[0])];
    memcpy(data, text, strlen(text));
    return strlen(text);
}

static void end(void)
{
    if (told) fclose(told);
    printf("%zu values, %zu command lines of bench and %zu of serve accepted\n", values, commands[0], commands[1]);
}

static const fuzz_driver driver = {put_through, seed, end, words, sizeof words / sizeof words[0], 100000, 6, 0};
FUZZ_MAIN(driver)
