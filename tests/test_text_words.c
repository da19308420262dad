// test_text_words.c: test_text.c where there are no vectors, only words.
#define FSV_NO_SIMD
#include "test_text.c"
