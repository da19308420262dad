# fastserve, with GNU make. `make help` lists the targets.
# CC CXX CFLAGS CXXFLAGS LDFLAGS LDLIBS PREFIX DESTDIR are yours; what the code needs is added to them.
CFLAGS ?= -O2
CXXFLAGS ?= $(CFLAGS)
PREFIX ?= /usr/local
CLANG ?= clang
CLANG_TIDY ?= clang-tidy
CLANG_FORMAT ?= clang-format
CPPCHECK ?= cppcheck
GCC ?= gcc
TESTFLAGS ?= -O0
CHAOS_S ?= 20
# GNU make builds on every CPU unless told otherwise; tests themselves run one after the other.
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
FUZZ_S ?= 30
ifeq ($(origin CXX),default)
CXX := c++
endif

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef
C := -std=c11 -pthread $(WARN)
CPP := -std=c++17 -pthread $(WARN)
# Unoptimised: clang takes ten times as long to optimise what sanitizers add, for tests that mostly wait.
SANE := -g -O0 -fno-omit-frame-pointer
ASAN := $(SANE) -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN := $(SANE) -fsanitize=thread

# The program faces networks: what the compiler and the linker have against overwritten memory, as far as they know it.
# HARDEN= leaves it out.
HARDEN ?= -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -fPIE
HARDEN_LINK ?= -pie -Wl,-z,relro,-z,now,-z,noexecstack
takes = $(shell dir=$$(mktemp -d) && echo 'int main(void) { return 0; }' >$$dir/a.c && $(CC) -Werror $(1) $$dir/a.c -o $$dir/a \
    2>/dev/null && echo '$(1)'; rm -rf "$$dir")
HARDEN_CFLAGS = $(foreach flag,$(HARDEN),$(call takes,$(flag))) $(if $(and $(strip $(HARDEN)),$(filter -O1 -O2 -O3 -Os \
    -Oz,$(CFLAGS))),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
HARDEN_LDFLAGS = $(if $(strip $(HARDEN)),$(call takes,-fPIE $(HARDEN_LINK)))

TESTS := $(sort $(notdir $(basename $(wildcard tests/test_*.c))))
SCRIPTS := $(sort $(wildcard tests/test_*.sh))
FORMATTED := $(filter-out tests/floor%,$(wildcard fastserve.h main.c bench.c tests/*.c tests/*.cpp tests/*.h tests/peers/*.c))
LINTED := $(wildcard main.c tests/build_c.c)

all: fastserve

# $(call flavour,DIRECTORY,PROGRAM,COMPILE,LINK,TEST FLAGS,SUFFIX): one kind of build, of the program and of what stands
# in tests/.
define flavour
$(2): $(1)/main.o
	$(4) $$^ $$(LDFLAGS) $$(LDLIBS) $$(LIBS_$(notdir $(1))) -o $$@
$(1)/%.o: %.c Makefile
	@mkdir -p $(1)
	$(3) $$(HARDENED) -MMD -MP -c $$< -o $$@
$(1)/%.o: tests/%.c Makefile
	@mkdir -p $(1)
	$(3) $(5) -MMD -MP -c $$< -o $$@
$(TESTS:%=$(1)/%$(6)) $(1)/sim$(6) $(1)/chaos$(6) $(1)/queue_bench$(6) $(1)/soak$(6) $(1)/slow_readers$(6): $(1)/%$(6): $(1)/%.o
	$(4) $$< $$(LDFLAGS) $$(LDLIBS) $$(LIBS_$(notdir $(1))) -o $$@
-include $(wildcard $(1)/*.d)
endef
$(eval $(call flavour,build,fastserve,$(CC) $(C) $(CFLAGS),$(CC) $(C) $(CFLAGS),$$(TESTFLAGS)))
build/main.o: HARDENED = $(HARDEN_CFLAGS)
fastserve: LDFLAGS += $(HARDEN_LDFLAGS)
$(eval $(call flavour,build/asan,build/asan/fastserve,$(CC) $(C) $(CFLAGS) $(ASAN),$(CC) $(ASAN) -pthread))
$(eval $(call flavour,build/tsan,build/tsan/fastserve,$(CC) $(C) $(CFLAGS) $(TSAN),$(CC) $(TSAN) -pthread))
$(eval $(call flavour,build/coverage,build/coverage/fastserve,$(CC) $(C) -g -O0 --coverage -fprofile-update=atomic,$(CC) --coverage -pthread))
$(eval $(call flavour,build/cxx,build/cxx/fastserve,$(CXX) -x c++ $(CPP) $(CXXFLAGS),$(CXX) $(CXXFLAGS) -pthread,$$(TESTFLAGS)))

# Other systems, by compilers that run here. zig brings the headers of every one of them.
found = $(firstword $(foreach name,$(1),$(shell command -v $(name) 2>/dev/null)))
ZIG ?= zig
MUSL_CC ?= $(if $(call found,musl-gcc),musl-gcc,$(ZIG) cc -target x86_64-linux-musl)
# x87's wider numbers end a nanosecond beside those that the tests expect.
CC_32 ?= gcc -m32 -msse2 -mfpmath=sse
ARM64_CC ?= $(ZIG) cc -target aarch64-linux-musl
QEMU_ARM64 ?= qemu-aarch64
MINGW_CC ?= x86_64-w64-mingw32-gcc
MINGW_CXX ?= x86_64-w64-mingw32-g++
LIBS_windows := -lws2_32
LIBS_windows-arm64 := -lws2_32 -s
LIBS_windows-cxx := -lws2_32
$(eval $(call flavour,build/musl,build/musl/fastserve,$(MUSL_CC) $(C) $(CFLAGS),$(MUSL_CC) -static -pthread,$$(TESTFLAGS)))
$(eval $(call flavour,build/32,build/32/fastserve,$(CC_32) $(C) $(CFLAGS),$(CC_32) -pthread,$$(TESTFLAGS)))
$(eval $(call flavour,build/arm64,build/arm64/fastserve,$(ARM64_CC) $(C) $(CFLAGS),$(ARM64_CC) -static -pthread,-O2))
# Programs to hand out are small: size is what these builds promise.
SMALL_CFLAGS ?= -Oz $(filter-out -O%,$(CFLAGS))
SMALL_CXXFLAGS ?= -Oz $(filter-out -O%,$(CXXFLAGS))
$(eval $(call flavour,build/windows,build/windows/fastserve.exe,$(MINGW_CC) $(C) $(SMALL_CFLAGS),$(MINGW_CC) \
    -static,$$(TESTFLAGS),.exe))
$(eval $(call flavour,build/windows-cxx,build/windows-cxx/fastserve.exe,$(MINGW_CXX) -x c++ $(CPP) \
    $(SMALL_CXXFLAGS),$(MINGW_CXX) -static,$$(TESTFLAGS),.exe))
define flavour_zig
$(call flavour,build/$(1),build/$(1)/fastserve$(3),$(4) cc -target $(2) -fno-sanitize=undefined $(C) $(SMALL_CFLAGS) $(5),$(4) cc -target \
    $(2) $(SMALL_CFLAGS),$$(TESTFLAGS),$(3))
endef
# macOS keeps frame pointers, by which debuggers find their way through C; tables for that are 8 % of the program.
FRAMES := -fno-asynchronous-unwind-tables -fno-unwind-tables
$(eval $(call flavour_zig,windows-arm64,aarch64-windows-gnu,.exe,$(ZIG)))
$(eval $(call flavour_zig,macos-aarch64,aarch64-macos,,$(ZIG),$(FRAMES)))
$(eval $(call flavour_zig,macos-x86_64,x86_64-macos,,$(ZIG),$(FRAMES)))
# Of the BSDs zig has headers and libraries from 0.16 on; what it makes for macOS is larger than what older ones make.
ZIG_BSD ?= $(ZIG)
BSDS := freebsd-x86_64 freebsd-aarch64 netbsd-x86_64 openbsd-x86_64
$(foreach name,$(BSDS),$(eval $(call flavour_zig,$(name),$(lastword $(subst -, ,$(name)))-$(firstword $(subst -, ,$(name))),,$(ZIG_BSD))))
# The branches for cl, by clang and mingw-w64: tests/msvc.h says how far that goes.
MINGW_INCLUDE ?= /usr/share/mingw-w64/include
LIBS_msvc := -lws2_32
MSVC_CC ?= $(CLANG) --target=x86_64-pc-windows-msvc -fms-compatibility-version=19.30 -nostdlibinc -isystem $(MINGW_INCLUDE) \
    -include tests/msvc.h -fno-autolink -mno-stack-arg-probe
$(eval $(call flavour,build/msvc,build/msvc/fastserve.exe,$(MSVC_CC) -std=c11 $(WARN) -Wno-unused-function \
    -Wno-ignored-attributes -Wno-pragma-pack -Wno-language-extension-token $(CFLAGS),$(MINGW_CC) -static,$$(TESTFLAGS),.exe))
# The kqueue section on Linux, over a kevent that tests/kqueue_shim.h makes of epoll.
SHIM := -DFSV_KQUEUE_SHIM='"tests/kqueue_shim.h"' -I.
$(eval $(call flavour,build/kqueue,build/kqueue/fastserve,$(CC) $(C) $(CFLAGS) $$(SHIM),$(CC) $(C) $(CFLAGS),$$(TESTFLAGS)))
# Likewise over libkqueue, where it is installed.
LIBKQUEUE ?= /usr
LIBS_libkqueue := -L$(LIBKQUEUE)/lib -Wl,-rpath,$(LIBKQUEUE)/lib -lkqueue
$(eval $(call flavour,build/libkqueue,build/libkqueue/fastserve,$(CC) $(C) $(CFLAGS) -DFSV_KQUEUE_SHIM='"tests/libkqueue.h"' \
    -I. -isystem $$(LIBKQUEUE)/include/kqueue,$(CC) $(C) $(CFLAGS),$$(TESTFLAGS)))

# The model counts states, all in one thread: 4 s, but much longer unoptimised or under TSan, which it gives no work.
%/test_queue_model.o %/test_wake_model.o: TESTFLAGS = -O1
%/queue_bench.o: TESTFLAGS = -O2
%/sim.o: TESTFLAGS = -O2
%/test_sim.o: TESTFLAGS = -O1
# Mathematics, and calls of it are slow in Wine.
build/windows/test_law.o build/msvc/test_law.o: TESTFLAGS = -O1
# The models have no memory of their own to go wrong in, and what runs in one thread alone is nothing for TSan.
ASAN_TESTS := $(filter-out test_queue_model test_wake_model,$(TESTS))
TSAN_TESTS := $(filter-out test_queue_model test_wake_model test_answers test_audit test_formats test_hist test_http_read \
    test_http_read_words test_http_write test_entity test_json test_judge test_rules test_serve test_sim test_text \
    test_text_words test_time,$(TESTS))

# FASTSERVE is the program that tests start when they need one.
test: fastserve $(TESTS:%=build/%)
	@FASTSERVE=./fastserve CC='$(CC)' CXX='$(CXX)' sh tests/run.sh $(TESTS:%=build/%) $(SCRIPTS) tests/builds.sh

asan: build/asan/fastserve $(ASAN_TESTS:%=build/asan/%)
	@FASTSERVE=build/asan/fastserve TEST_WATCHDOG_S=300 UBSAN_OPTIONS=print_stacktrace=1 \
	    sh tests/run.sh $(ASAN_TESTS:%=build/asan/%) $(filter-out tests/test_readme.sh tests/test_compare.sh,$(SCRIPTS))

tsan: build/tsan/fastserve $(TSAN_TESTS:%=build/tsan/%)
	@FASTSERVE=build/tsan/fastserve TEST_WATCHDOG_S=300 TSAN_OPTIONS=halt_on_error=1 \
	    sh tests/run.sh $(TSAN_TESTS:%=build/tsan/%) $(filter-out tests/test_readme.sh tests/test_compare.sh,$(SCRIPTS))

# Which of the header's lines and branches the tests reach. With gcc, whose gcov it asks. The sandbox lets no counters be written.
COVERAGE_LEAST ?= 95 85
coverage: build/coverage/fastserve $(TESTS:%=build/coverage/%)
	@rm -f build/coverage/*.gcda
	@FASTSERVE=build/coverage/fastserve TEST_WATCHDOG_S=300 sh tests/run.sh $(TESTS:%=build/coverage/%) \
	    $(filter-out tests/test_readme.sh tests/test_sandbox.sh tests/test_compare.sh,$(SCRIPTS))
	@python3 tests/coverage.py build/coverage $(COVERAGE_LEAST)

cxx: build/cxx/fastserve build/cxx/chaos build/cxx/queue_bench $(TESTS:%=build/cxx/%)
	$(CXX) $(CPP) $(CXXFLAGS) tests/build_cpp.cpp $(LDFLAGS) $(LDLIBS) -o build/cxx/build_cpp

# All of it as C++ in the eyes of a compiler, without code.
cxx-syntax:
	@for f in main.c tests/build_cpp.cpp tests/chaos.c tests/queue_bench.c tests/soak.c tests/sim.c $(TESTS:%=tests/%.c); do \
	    $(CXX) -x c++ $(CPP) $(CXXFLAGS) -fsyntax-only $$f || exit 1; done

# Their tests run with the time that an emulator takes. What runs a program of another system stands in RUN; scripts start
# it by a script of the same name.
FOREIGN_SCRIPTS := $(filter-out tests/test_readme.sh tests/test_compare.sh,$(SCRIPTS))
RUN_arm64 = $(QEMU_ARM64)
RUN_windows = sh tests/wine.sh
RUN_msvc = $(RUN_windows)
build/%/fastserve.sh: build/%/fastserve
	@printf '#!/bin/sh\nexec %s %s "$$@"\n' '$(RUN_$*)' '$<' >$@ && chmod 755 $@
build/%/fastserve.sh: build/%/fastserve.exe
	@printf '#!/bin/sh\nexec %s %s "$$@"\n' '$(RUN_$*)' '$<' >$@ && chmod 755 $@

musl: build/musl/fastserve
	@MUSL_CC='$(MUSL_CC)' sh tests/binaries.sh musl
test-musl: build/musl/fastserve $(TESTS:%=build/musl/%)
	@FASTSERVE=build/musl/fastserve sh tests/run.sh $(TESTS:%=build/musl/%) $(FOREIGN_SCRIPTS)

32: build/32/fastserve
test-32: build/32/fastserve $(TESTS:%=build/32/%)
	@FASTSERVE=build/32/fastserve sh tests/run.sh $(TESTS:%=build/32/%) $(FOREIGN_SCRIPTS)

arm64: build/arm64/fastserve
	@ARM64_CC='$(ARM64_CC)' sh tests/binaries.sh arm64
test-arm64: build/arm64/fastserve.sh $(TESTS:%=build/arm64/%)
	@FASTSERVE=build/arm64/fastserve.sh RUN='$(RUN_arm64)' TEST_WATCHDOG_S=300 \
	    sh tests/run.sh $(TESTS:%=build/arm64/%) $(FOREIGN_SCRIPTS)

kqueue: build/kqueue/fastserve
test-kqueue: build/kqueue/fastserve $(TESTS:%=build/kqueue/%)
	@FASTSERVE=build/kqueue/fastserve sh tests/run.sh $(TESTS:%=build/kqueue/%) $(FOREIGN_SCRIPTS)

# By hand, with libkqueue: make test-libkqueue LIBKQUEUE=/usr/local
libkqueue: build/libkqueue/fastserve
test-libkqueue: build/libkqueue/fastserve $(TESTS:%=build/libkqueue/%)
	@FASTSERVE=build/libkqueue/fastserve sh tests/run.sh $(TESTS:%=build/libkqueue/%) $(FOREIGN_SCRIPTS)

# As C and as C++ by mingw-w64; where zig is, for arm64 too.
ZIG_HERE := $(call found,$(ZIG))
windows: build/windows/fastserve.exe $(TESTS:%=build/windows/%.exe) build/windows-cxx/fastserve.exe \
    $(if $(ZIG_HERE),build/windows-arm64/fastserve.exe)
	@ZIG='$(ZIG)' MINGW_CC='$(MINGW_CC)' sh tests/binaries.sh windows $(if $(ZIG_HERE),windows-arm64)
test-windows: build/windows/fastserve.sh $(TESTS:%=build/windows/%.exe)
	@FASTSERVE=build/windows/fastserve.sh RUN='$(RUN_windows)' BESIDE='sh tests/wine.sh --beside' TEST_WATCHDOG_S=120 \
	    sh tests/wine.sh --around sh tests/run.sh $(TESTS:%=build/windows/%.exe) $(FOREIGN_SCRIPTS)

# build.bat under Wine's cmd.
test-bat:
	@MINGW_CC='$(MINGW_CC)' sh tests/wine.sh --around sh tests/build_bat.sh

msvc: build/msvc/fastserve.exe
msvc-check: build/msvc/fastserve.sh $(TESTS:%=build/msvc/%.exe)
	@FASTSERVE=build/msvc/fastserve.sh RUN='$(RUN_msvc)' BESIDE='sh tests/wine.sh --beside' TEST_WATCHDOG_S=120 \
	    sh tests/wine.sh --around sh tests/run.sh $(TESTS:%=build/msvc/%.exe) $(FOREIGN_SCRIPTS)

ifneq ($(ZIG_HERE),)
macos: build/macos-aarch64/fastserve build/macos-x86_64/fastserve $(TESTS:%=build/macos-aarch64/%)
	@ZIG='$(ZIG)' sh tests/binaries.sh macos-aarch64 macos-x86_64
else
macos:
	@echo 'make macos needs zig, a compiler for other systems: ZIG=/path/to/zig' >&2; exit 1
endif

ifneq ($(call found,$(ZIG_BSD)),)
bsd: $(BSDS:%=build/%/fastserve) $(foreach name,$(BSDS),$(TESTS:%=build/$(name)/%))
	@ZIG='$(ZIG_BSD)' sh tests/binaries.sh $(BSDS)
else
bsd:
	@echo 'make bsd needs zig 0.16 or newer, a compiler for other systems: ZIG_BSD=/path/to/zig' >&2; exit 1
endif

builds:
	@CC='$(CC)' CXX='$(CXX)' sh tests/builds.sh

clients: fastserve
	@FASTSERVE=./fastserve sh tests/clients.sh

# Files: curl, wget, ab and what looks at every byte; by hand, a quiet minute or more: beside nginx and h2o, much of it.
static: fastserve
	@FASTSERVE=./fastserve sh tests/static.sh

# make compare-static COMPARE='--rounds 3 --seconds 2'; wrk's figures stand beside those of bench.
compare-static: fastserve
	@FASTSERVE=./fastserve python3 tests/compare.py files --peers nginx,h2o --rounds 5 --seconds 3 --client bench,wrk $(COMPARE)

static-large: fastserve build/slow_readers
	@FASTSERVE=./fastserve sh tests/static_large.sh

.PHONY: formats
formats: fastserve build/test_formats
	@FASTSERVE=./fastserve sh tests/formats.sh

chaos: fastserve build/asan/fastserve build/chaos
	@FASTSERVE=build/asan/fastserve sh tests/chaos.sh $(CHAOS_S)

FUZZERS := $(sort $(notdir $(basename $(wildcard tests/fuzz_*.c))))
$(FUZZERS:%=build/fuzz/%): build/fuzz/%: tests/%.c Makefile
	@mkdir -p build/fuzz
	$(CLANG) $(C) -g -O1 -DFUZZ_LIBFUZZER -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	    -MMD -MP -MT $@ -MF $@.d $< -o $@
-include $(FUZZERS:%=build/fuzz/%.d)
fuzzers: $(FUZZERS:%=build/fuzz/%)
# What it prints stands in a log: several run at a time.
$(FUZZERS): %: build/fuzz/%
	@mkdir -p build/fuzz/$@.corpus
	@FUZZ_SEEDS=build/fuzz/$@.corpus build/fuzz/$@ -max_total_time=$(FUZZ_S) -max_len=4096 -timeout=25 -print_final_stats=1 \
	    -dict=build/fuzz/$@.corpus.dict -artifact_prefix=build/fuzz/ build/fuzz/$@.corpus >build/fuzz/$@.log 2>&1 || \
	    { tail -n 60 build/fuzz/$@.log; exit 1; }
	@sed -n 's/^\(.*\)DONE *\(cov: [0-9]* ft: [0-9]*\).*/$@: \2/p; s/^stat::/$@:/p' build/fuzz/$@.log
fuzz: $(FUZZERS)

# What no byte was ever written to is never looked at: of what is pure, and of the server in memory. Fuzz drivers with their
# own mutations.
MSAN := $(SANE) -fsanitize=memory -fno-sanitize-recover=all
MSAN_TESTS := $(filter $(TESTS),test_answers test_conn test_entity test_hist test_http_read test_http_write test_json \
    test_rules test_tcp_conn test_text)
$(eval $(call flavour,build/msan,build/msan/fastserve,$(CLANG) $(C) $(CFLAGS) $(MSAN),$(CLANG) $(MSAN) -pthread))
$(FUZZERS:%=build/msan/%): build/msan/%: build/msan/%.o
	$(CLANG) $(MSAN) -pthread $< -o $@
msan: $(MSAN_TESTS:%=build/msan/%) $(FUZZERS:%=build/msan/%)
	@TEST_WATCHDOG_S=300 sh tests/run.sh $(MSAN_TESTS:%=build/msan/%)
	@for f in $(FUZZERS); do printf '%s: ' $$f && build/msan/$$f 1000 || exit 1; done

# By hand, SEEDS runs of about 80 connections each: 13,000 are a million, 10 minutes. sim-asan: a twentieth of it.
SEEDS ?= 1000
sim: build/sim
	build/sim $(SEEDS) $(SEED)

sim-asan: build/asan/sim
	UBSAN_OPTIONS=print_stacktrace=1 build/asan/sim $$(($(SEEDS) / 20)) $(SEED)

# By hand, minutes: mistakes in copies of the header, each of which the simulation must find.
sim-mutations:
	@CC='$(CC)' python3 tests/sim_mutations.py $(MUTATIONS)

# By hand, ten minutes: everything at once that a server meets in a day; soak-asan and soak-tsan the same under sanitizers.
SOAK_S ?= 600
soak: fastserve build/chaos build/soak
	@python3 tests/soak_day.py $(SOAK_S)
soak-asan soak-tsan: soak-%: build/%/fastserve build/chaos build/%/soak
	@SANITIZED=1 FASTSERVE=build/$*/fastserve SOAK=build/$*/soak python3 tests/soak_day.py $(SOAK_S)

# By hand, a minute: handles and memory must return to where they began. SOAK: connections, seconds and a seed.
SOAK ?= 5000 60
soak-conns: build/soak
	build/soak $(SOAK)

soak-windows: build/windows/soak.exe
	@sh tests/wine.sh --around sh tests/wine.sh build/windows/soak.exe $(SOAK)

# By hand, on a quiet machine, 2 minutes: slowhttptest's attacks.
slow-attacks: fastserve
	@FASTSERVE=./fastserve sh tests/slow_attacks.sh

# By hand, on a quiet machine, 10 s.
queue-bench: build/queue_bench
	build/queue_bench

# Instructions and system calls for each request, beside tests/cost.txt; a change that is meant: make cost-renew, and commit it.
cost cost-renew: fastserve
	@python3 tests/cost.py $(if $(filter cost-renew,$@),--renew)

# By hand, on a quiet machine, less than 15 minutes: the five published logs as commands, beside every server of tests/peers that
# is installed. make compare LOGS=1,3 PEERS=nginx,h2o ROUNDS=5 FULL=1; tests/compare.py --help, COMPARE= more of its options.
compare: fastserve
	@FASTSERVE=./fastserve CC='$(CC)' python3 tests/compare.py $(LOGS) $(if $(PEERS),--peers $(PEERS)) \
	    $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(FULL),--full) $(COMPARE)

# By hand, on a quiet machine: make beside BESIDE='--only keep,stock --rounds 3'
beside goals: fastserve
	tests/beside $(if $(filter goals,$@),--goals) $(BESIDE) -- ./fastserve serve -p {port} -q

# By hand, on a quiet machine, 25 s. Wine's output goes into a file, for what still runs there keeps a pipe open.
selftest: fastserve
	./fastserve bench --selftest

selftest-windows: build/windows/fastserve.sh
	@sh tests/wine.sh --around build/windows/fastserve.sh bench --selftest >build/selftest.log 2>&1 </dev/null; \
	    status=$$?; cat build/selftest.log; exit $$status

# By hand, on a quiet machine: make truth TRUTH='--only bench,wrk --seconds 5'
truth: fastserve
	tests/truth $(TRUTH) ./fastserve

# cppcheck reads no header of the system, so it is told what those would. gcc's analyzer takes what a list keeps for lost
# (its -analyzer-malloc-leak): every test that counts allocations, and LeakSanitizer in `make asan`, see what is. It reads the
# header alone: of main.c it would have more than 5 GB.
CPPCHECK_FLAGS := --std=c11 --enable=warning,portability,performance --inline-suppr --quiet --error-exitcode=1 \
    -D_GNU_SOURCE -D__linux__ -D__GNUC__=12 -D__x86_64__ -DCPU_SET -DCPU_SETSIZE=1024
lint:
	for f in $(LINTED) $(wildcard tests/test_*.c tests/chaos.c tests/queue_bench.c tests/soak.c tests/sim.c); do \
	    $(CLANG) $(C) -Wreserved-identifier -Wmissing-prototypes -Wstrict-prototypes -Wimplicit-fallthrough -Wvla \
	        -Werror -fsyntax-only $$f || exit 1; done
	for f in $(LINTED); do $(CLANG) $(C) --analyze --analyzer-output text -Xclang -analyzer-werror $$f || exit 1; done
	$(CLANG_TIDY) --quiet $(LINTED) -- $(C)
	$(CPPCHECK) $(CPPCHECK_FLAGS) $(LINTED)
	$(GCC) $(C) -O1 -fanalyzer -Wno-analyzer-malloc-leak -Werror -c tests/build_c.c -o /dev/null

format:
	$(CLANG_FORMAT) -i $(FORMATTED)

format-check:
	$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)

toc:
	@awk '/^\/\/ >>/ { sub(/^\/\/ /, ""); sub(/\. .*/, ""); print FILENAME ":" FNR ": " $$0 }' fastserve.h bench.c main.c

install: fastserve
	mkdir -p $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include
	cp fastserve $(DESTDIR)$(PREFIX)/bin/fastserve
	cp fastserve.h $(DESTDIR)$(PREFIX)/include/fastserve.h
	chmod 755 $(DESTDIR)$(PREFIX)/bin/fastserve
	chmod 644 $(DESTDIR)$(PREFIX)/include/fastserve.h

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/fastserve $(DESTDIR)$(PREFIX)/include/fastserve.h

clean:
	rm -rf build fastserve

help:
	@echo 'Build'
	@echo '    make               ./fastserve'
	@echo '    make install       header and program under PREFIX (/usr/local); make uninstall'
	@echo '    make clean         remove what was built'
	@echo '    make toc           sections of all sources'
	@echo
	@echo 'Test'
	@echo '    make test          every test'
	@echo '    make asan, tsan    the same under ASan and UBSan, or TSan; msan: parsers under MSan (clang)'
	@echo '    make cxx, builds   everything as C++17; the header in all its modes'
	@echo '    make lint          analyzers, clang-tidy, cppcheck'
	@echo '    make format        lay the code out (clang-format); format-check only says what it would change'
	@echo '    make coverage      lines and branches that tests reach (gcc, python3)'
	@echo '    make fuzz          libFuzzer, FUZZ_S=30 each (clang)'
	@echo '    make sim           a simulated world, SEEDS= runs from SEED= on; sim-asan; sim-mutations: mistakes that it must find'
	@echo '    make chaos         load with resets under ASan, CHAOS_S=20'
	@echo '    make soak          all that a server meets in a day, in ten minutes, SOAK_S=; soak-asan, soak-tsan (python3)'
	@echo '    make soak-conns    5,000 connections at random for 60 s, SOAK=; soak-windows under Wine'
	@echo '    make clients       curl, wrk, ab, Node, Go ... against serve'
	@echo '    make static        curl, wget, ab ... against serve DIR; static-large: 100,000 files, 1,000 slow readers, 9 GiB'
	@echo '    make slow-attacks  slowhttptest against serve, 200 connections, 2 minutes'
	@echo '    make cost          instructions and system calls of a request, beside tests/cost.txt (valgrind, strace); cost-renew'
	@echo
	@echo 'Measure, on a quiet machine'
	@echo '    make goals         what is wanted and what was reached, a table; 11 quiet minutes with 20 peers (wrk, python3)'
	@echo '    make beside        figures beside the floor servers; see tests/beside, BESIDE= its options'
	@echo '    make compare       beside nginx, h2o, Go, Node ... as five published logs did; LOGS=1,3 PEERS=nginx,h2o ROUNDS=5 FULL=1'
	@echo '    make compare-static  files beside nginx and h2o; COMPARE= more options of tests/compare.py'
	@echo '    make selftest      bench against built-in targets with known latencies, 25 s; selftest-windows under Wine, 100 s'
	@echo '    make truth         load generators against known latencies; see tests/truth, TRUTH= its options'
	@echo '    make queue-bench   the queue beside a mutex and condition variables, 10 s'
	@echo
	@echo 'Other systems'
	@echo '    make musl          a static Linux program; test-musl, test-32, test-arm64 (zig, qemu-user): tests of other Linux builds'
	@echo '    make windows       .exe files (mingw-w64); test-windows under Wine; test-bat: build.bat'
	@echo '    make msvc-check    tests of the branches for cl, by clang, under Wine'
	@echo '    make macos         for both CPUs (zig)'
	@echo '    make bsd           FreeBSD, NetBSD, OpenBSD (zig 0.16)'
	@echo '    make test-kqueue   tests over the kqueue section, on Linux; test-libkqueue: LIBKQUEUE=/usr/local'
	@echo
	@echo 'Variables: CC CXX CFLAGS CXXFLAGS LDFLAGS LDLIBS PREFIX DESTDIR CLANG CLANG_TIDY CLANG_FORMAT; TESTS= names some tests'
	@echo 'Of other systems: MUSL_CC CC_32 ARM64_CC QEMU_ARM64 MINGW_CC MINGW_CXX MSVC_CC ZIG ZIG_BSD WINE'

.PHONY: all coverage soak soak-asan soak-tsan soak-conns soak-windows selftest-windows test asan tsan cxx builds clients chaos fuzz queue-bench beside goals selftest truth lint format format-check toc install uninstall clean help
.PHONY: $(FUZZERS) fuzzers cxx-syntax musl test-musl 32 test-32 arm64 test-arm64 kqueue test-kqueue windows test-windows test-bat msvc msvc-check macos bsd
.PHONY: sim sim-asan sim-mutations libkqueue test-libkqueue
.PHONY: cost cost-renew static compare compare-static static-large slow-attacks
.SECONDARY:
