// head_bench.c: reads the request head that a browser sends, as often as its argument says, for an instrument that
// counts from outside (tests/beside, row head).
#define FASTSERVE_IMPLEMENTATION
#include "../fastserve.h"

static const char head_bytes[] =
    "GET /index.html?utm_source=newsletter HTTP/1.1\r\nHost: localhost:8080\r\nConnection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "
    "\"Linux\"\r\n"
    "Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
    "Gecko) "
    "Chrome/130.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: id=1\r\n\r\n";

int main(int argc, char **argv)
{
    long times = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    fsi_limits limits = {16384, 8192, 64};
    fsi_field fields[64];
    fsi_head head;
    for (long i = 0; i < times; i++)
        if (fsi_read_request(head_bytes, sizeof head_bytes - 1, &limits, &head, fields) != sizeof head_bytes - 1)
            return 1;
    printf("%u bytes\n", (unsigned)sizeof head_bytes - 1);
    return 0;
}
