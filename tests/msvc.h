// msvc.h: makes of clang with a target of MSVC and of mingw-w64's headers as much of a cl as those allow, so that
// fastserve.h, and the tests, take their branches for cl: `make msvc-check` puts it before each file. What it proves:
// that code is C, its intrinsics exist and, linked by mingw-w64, do what the others do. What it does not: cl's own
// warnings and headers, and its code generator.

// clang's own intrinsics come first: mingw-w64 takes a compiler that is not gcc for one without attributes, and they
// need theirs.
#define __MM_MALLOC_H
#include <x86intrin.h>

#include <_mingw.h>
#undef __MINGW_ATTRIB_DEPRECATED // what cl takes before a declaration only
#define __MINGW_ATTRIB_DEPRECATED
#undef __MINGW_ATTRIB_NORETURN
#define __MINGW_ATTRIB_NORETURN
#include <stdarg.h> // its arithmetic on arguments is not for a compiler that optimises
#undef va_start
#undef va_arg
#undef va_end
#undef va_copy
#define va_start(list, last) __builtin_va_start(list, last)
#define va_arg(list, type) __builtin_va_arg(list, type)
#define va_end(list) __builtin_va_end(list)
#define va_copy(to, from) __builtin_va_copy(to, from)
#undef __clang__
void _ReadWriteBarrier(void); // as cl's <intrin.h> declares them
unsigned char _BitScanForward64(unsigned long *, unsigned long long);
unsigned char _BitScanReverse64(unsigned long *, unsigned long long);
