// test_http_read_words.c: test_http_read.c where there are no vectors, only words.
#define FSV_NO_SIMD
#include "test_http_read.c"
