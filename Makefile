# SPDX-License-Identifier: BSD-3-Clause
#
# daxkv: `make help` lists the targets. There is no configure step; variables that matter:
#   CC=clang            another compiler; BUILD=build-clang keeps its build beside the default one
#   CFLAGS="-O2 -g"     optimisation and debugging; CPPFLAGS and LDFLAGS as usual, such as those of
#                       dpkg-buildflags
#   SANITIZE=address    any of -fsanitize's values
#   WERROR=-Werror      a warning is an error: for a change of the sources
#   V=1                 show whole commands
#   PREFIX, DESTDIR     where `make install` puts things

ifeq ($(origin CC),default)
CC := gcc
endif
BUILD ?= build
CFLAGS ?= -O2 -g
WERROR ?=
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share
# The binary tools belong to the compiler: a cross compiler has its own.
tool_of_cc = $(or $(shell $(CC) -print-prog-name=$(1) 2>/dev/null),$(1))
OBJCOPY ?= $(call tool_of_cc,objcopy)
ifeq ($(origin AR),default)
AR := $(call tool_of_cc,ar)
endif

version_part = $(shell sed -n 's/^.define DAXKV_VERSION_$(1) //p' include/daxkv.h)
VERSION := $(call version_part,MAJOR).$(call version_part,MINOR).$(call version_part,PATCH)
SONAME := libdaxkv.so.0

WARN := -Wall -Wextra -Wconversion -Wshadow -Wmissing-prototypes $(WERROR)
SAN := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
# Functions begin at cache lines: otherwise the cost of a short one depends on the code before it
# (docs/DESIGN.md, Looking up one key).
# The static library's names are made local, and tests wrap calls: both need objects of machine
# code, so link-time optimisation is taken back where a distribution's flags ask for it.
LTO := $(if $(filter -flto%,$(CFLAGS) $(LDFLAGS)),-fno-lto)
FLAGS := -std=c11 -D_GNU_SOURCE -falign-functions=64 $(CPPFLAGS) $(CFLAGS) $(LTO) $(WARN) \
	-fvisibility=hidden -pthread $(SAN) $(COVERAGE) -Iinclude
# The engine runs on the stacks of its callers' threads: a function takes at most 9 KiB of one, room
# for a copy of the longest key. Sanitizers make frames larger.
FRAME := $(if $(SANITIZE),,-Wframe-larger-than=9216)
LINK = $(CC) -pthread $(CFLAGS) $(SAN) $(COVERAGE) $(LDFLAGS) $(LTO)

# The engine's folders, bottom to top: src/LAYERS.
ENGINE_SRC := $(filter-out src/cli/% src/lmdb/%,$(wildcard src/*/*.c))
CLI_SRC := $(wildcard src/cli/*.c)
TESTLIB_SRC := $(wildcard tests/lib/*.c)
UNIT_SRC := $(wildcard tests/unit/*/test_*.c)
MODEL_SRC := $(wildcard tests/model/*.c)
CRASH_SRC := $(wildcard tests/crash/*.c)
FAULT_SRC := $(wildcard tests/fault/*.c)
STORM_SRC := $(wildcard tests/storm/*.c)
SHARE_SRC := $(wildcard tests/share/*.c)
# Other engines are in the benchmark when their packages are found; nothing else looks for them.
BENCH_OPTIONAL := sqlite rocksdb leveldb wiredtiger
BENCH_FIND = $(if $(filter bench bench-instructions %/bench \
	%/bench-count,$(MAKECMDGOALS)),$(shell CC='$(CC)' bench/find-engines $(1)))
BENCH_FOUND := $(call BENCH_FIND,names)
BENCH_SRC := $(filter-out $(patsubst \
	%,bench/engine_%.c,$(filter-out $(BENCH_FOUND),$(BENCH_OPTIONAL))),$(wildcard bench/*.c))
BENCH_COUNT_SRC := $(wildcard bench/instructions/*.c)
AWKWARD_SRC := $(wildcard bench/awkward/*.c)
EXAMPLE_SRC := $(wildcard examples/*.c)
LMDB_SRC := $(wildcard src/lmdb/*.c)
MAN_SRC := $(wildcard docs/*.[1-8])

comma := ,
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
ENGINE_OBJ := $(call objects,$(ENGINE_SRC))
UNIT := $(addprefix $(BUILD)/tests/unit/,$(basename $(notdir $(UNIT_SRC))))
EXAMPLES := $(EXAMPLE_SRC:%.c=$(BUILD)/%)
LIBS := $(BUILD)/libdaxkv.a $(BUILD)/$(SONAME) $(BUILD)/libdaxkv.so
KV := $(if $(CLI_SRC),$(BUILD)/kv)
FAULT := $(if $(FAULT_SRC),$(BUILD)/tests/fault)
STORM := $(if $(STORM_SRC),$(BUILD)/tests/storm)
FLIP_SRC := tests/flip/flip.c
FLIP := $(BUILD)/tests/flip
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
FUZZ := $(addprefix $(BUILD)/tests/,damage fuzz-image fuzz-load)
LMDB_TOOLS := $(patsubst src/lmdb/tools/%.c,$(BUILD)/lmdb/%,$(wildcard src/lmdb/tools/mdb_*.c))
SHARE := $(SHARE_SRC:tests/share/%.c=$(BUILD)/tests/%)
LMDB := $(if $(LMDB_SRC),$(BUILD)/lmdb/liblmdb.so.0 $(LMDB_TOOLS))
ABI_SRC := $(wildcard tests/abi/area*.c tests/abi/differ*.c tests/abi/steps*.c) tests/abi/damaged.c
ABI := $(if $(LMDB_SRC),$(addprefix $(BUILD)/tests/abi/,areas differ steps addressbook layout \
	layout-stock \
	load-stock damaged))
MODEL := $(if $(MODEL_SRC),$(BUILD)/tests/model)
CRASH := $(if $(CRASH_SRC),$(BUILD)/tests/crash)
BENCH := $(if $(BENCH_SRC),$(BUILD)/bench)
AWKWARD := $(if $(LMDB_SRC),$(BUILD)/bench-awkward)
PTY := $(BUILD)/tests/pty
LAZY := $(BUILD)/tests/lazy
WRITER := $(BUILD)/tests/writer
FORGET := $(if $(LMDB_SRC),$(BUILD)/tests/cluster/forget.so)
PROGRAMS := $(LIBS) $(LMDB) $(KV) $(EXAMPLES) $(UNIT) $(MODEL) $(FAULT) $(STORM) $(FLIP) $(FUZZ) \
	$(SHARE) $(CRASH) $(ABI) $(FORGET) $(AWKWARD) $(PTY) $(LAZY) $(WRITER)
ALL_OBJ := $(call objects,$(ENGINE_SRC) $(CLI_SRC) $(LMDB_SRC) $(ABI_SRC) \
	$(wildcard src/lmdb/tools/*.c) $(TESTLIB_SRC) $(UNIT_SRC) $(MODEL_SRC) $(FAULT_SRC) \
	$(STORM_SRC) $(FLIP_SRC) $(FUZZ_SRC) $(SHARE_SRC) $(CRASH_SRC) $(BENCH_SRC) \
	$(BENCH_COUNT_SRC) $(AWKWARD_SRC) tests/cli/pty.c tests/cli/lazy.c \
	tests/upkeep/writer.c \
	$(EXAMPLE_SRC))

# quiet - name what is made instead of showing the command
quiet = $(if $(V),,@printf '  %-5s %s\n' $(1) $@;)

RUN := BUILD=$(BUILD) scripts/run-tests

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: FORCE
.DEFAULT_GOAL := all

## build the library, the kv command and the examples (default)
all: $(LIBS) $(LMDB) $(KV) $(EXAMPLES)

## print this list
help:
	@awk '/^## / { text = text (text == "" ? "" : " ") substr($$0, 4); next } \
		/^[a-z][a-z -]*:/ && text != "" { \
			sub(/:.*/, ""); printf "  %-20s %s\n", $$0, text } \
		{ text = "" }' Makefile

# ---- objects -------------------------------------------------------------------------------------

# Changed flags or a changed list of files rebuild what depends on them.
SIGNATURE := $(CC) $(FLAGS) $(LDFLAGS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(SIGNATURE)' | cmp -s - $@ || \
		{ CC='$(CC)' FLAGS='$(filter-out $(WARN),$(FLAGS))' scripts/install-deps --check \
		--build && \
		echo '$(SIGNATURE)' > $@; }

# What the tests need beyond that is named here, not by a compiler's message. FLAGS: a cross build
# has its own headers.
$(BUILD)/test-packages: $(BUILD)/flags
	@CC='$(CC)' FLAGS='$(filter-out $(WARN),$(FLAGS))' scripts/install-deps --check
	@touch $@

$(BUILD)/engine-files: FORCE
	@mkdir -p $(@D)
	@echo '$(ENGINE_SRC)' | cmp -s - $@ || echo '$(ENGINE_SRC)' > $@

# export.h makes what daxkv.h declares visible outside the library; all else is hidden.
$(BUILD)/obj/src/%.o: src/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(FLAGS) $(FRAME) -fPIC -Isrc -include src/base/export.h \
		-MMD -MP -c -o $@ $<

# The command and the layer over LMDB's interface use daxkv.h, and LMDB's types (src/abi).
$(BUILD)/obj/src/cli/%.o: src/cli/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(FLAGS) -Isrc/abi -MMD -MP -c -o $@ $<

$(BUILD)/obj/src/lmdb/%.o: src/lmdb/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(FLAGS) -fPIC -Isrc/abi -MMD -MP -c -o $@ $<

$(BUILD)/obj/bench/%.o: bench/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(FLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/tests/%.o: tests/%.c $(BUILD)/flags | $(BUILD)/test-packages
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(FLAGS) -Isrc -Isrc/abi -Itests/lib -Itests/fuzz -Itests/unit -MMD \
		-MP -c -o $@ $<

$(BUILD)/obj/examples/%.o: examples/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(FLAGS) -MMD -MP -c -o $@ $<

-include $(ALL_OBJ:.o=.d)

# ---- libraries and programs ----------------------------------------------------------------------

# One object whose hidden symbols are local: the engine's short names cannot clash with those of an
# application.
$(BUILD)/libdaxkv.a: $(ENGINE_OBJ) $(BUILD)/engine-files
	@$(CC) -r -nostdlib -o $(BUILD)/daxkv.o $(ENGINE_OBJ)
	@$(OBJCOPY) --localize-hidden $(BUILD)/daxkv.o
	@rm -f $@
	$(call quiet,AR)$(AR) rcs $@ $(BUILD)/daxkv.o

$(BUILD)/$(SONAME): $(ENGINE_OBJ) $(BUILD)/engine-files src/daxkv.map
	$(call quiet,LINK)$(LINK) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=src/daxkv.map \
		-Wl,-Bsymbolic-functions -o $@ $(ENGINE_OBJ) -ldl

$(BUILD)/libdaxkv.so: $(BUILD)/$(SONAME)
	@ln -sf $(SONAME) $@

$(BUILD)/kv: $(call objects,$(CLI_SRC)) $(BUILD)/libdaxkv.a
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

# LMDB's interface over daxkv's: its symbols have no version, as liblmdb's have none.
$(BUILD)/lmdb/liblmdb.so.0: $(call objects,$(LMDB_SRC)) $(BUILD)/libdaxkv.a src/lmdb/lmdb.map
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -shared -Wl,-soname,liblmdb.so.0 \
		-Wl,--version-script=src/lmdb/lmdb.map -o $@ $(call objects,$(LMDB_SRC)) \
		$(BUILD)/libdaxkv.a -ldl

$(BUILD)/lmdb/mdb_%: $(BUILD)/obj/src/lmdb/tools/mdb_%.o $(BUILD)/obj/src/lmdb/tools/tool.o \
	$(call objects,$(LMDB_SRC)) $(BUILD)/libdaxkv.a
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

# Programs of LMDB's users, linked with the stock library. LD_LIBRARY_PATH decides which library
# they run with.
$(BUILD)/tests/abi/areas: $(call objects,$(wildcard tests/abi/area*.c))
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -llmdb

# This project's mdb_load with the installed library: for versions whose own tool has faults.
$(BUILD)/tests/abi/load-stock: $(call objects,src/lmdb/tools/mdb_load.c src/lmdb/tools/tool.c)
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -llmdb

$(BUILD)/tests/abi/layout: tests/abi/layout.c src/abi/lmdb_abi.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(FLAGS) -Isrc/abi -o $@ $<

$(BUILD)/tests/abi/layout-stock: tests/abi/layout.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(FLAGS) -DSTOCK -o $@ $<

$(BUILD)/tests/abi/addressbook: tests/abi/addressbook.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(filter-out -I%,$(FLAGS)) -o $@ $< $(LDFLAGS) -llmdb

$(BUILD)/tests/abi/differ: $(call objects,$(wildcard tests/abi/differ*.c))
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -llmdb

$(BUILD)/tests/abi/damaged: $(call objects,tests/abi/damaged.c)
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -llmdb

$(BUILD)/tests/cluster/forget.so: tests/cluster/forget.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(filter-out -I% -fvisibility=%,$(FLAGS)) -fPIC -shared -o $@ $< \
		$(LDFLAGS)

# This one opens the libraries that it is told.
$(BUILD)/tests/abi/steps: $(call objects,$(wildcard tests/abi/steps*.c))
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

# Unit tests reach the engine's internals. They link its plain objects from an archive, so that each
# test takes what it needs.
$(BUILD)/tests/engine.a: $(ENGINE_OBJ) $(BUILD)/engine-files
	@mkdir -p $(@D)
	@rm -f $@
	$(call quiet,AR)$(AR) rcs $@ $(ENGINE_OBJ)

$(BUILD)/tests/lib.a: $(call objects,$(TESTLIB_SRC)) $(BUILD)/flags
	@mkdir -p $(@D)
	@rm -f $@
	$(call quiet,AR)$(AR) rcs $@ $(call objects,$(TESTLIB_SRC))

# A test lies in the folder of what it tests; its program does not.
.SECONDEXPANSION:
$(BUILD)/tests/unit/%: $$(call objects,$$(wildcard tests/unit/*/$$*.c)) $(BUILD)/tests/lib.a \
		$(BUILD)/tests/engine.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl -lcmocka

$(BUILD)/tests/model: $(call objects,$(MODEL_SRC)) $(BUILD)/tests/lib.a $(BUILD)/libdaxkv.a
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl -llmdb

# wrap - a program's calls to these go to __wrap_NAME. Flags of a build rename calls on the way:
# _FILE_OFFSET_BITS=64 asks for open64, which takes the same arguments here, and _FORTIFY_SOURCE
# for __open_2.
wrap = $(foreach name,$(1),-Wl$(comma)--wrap=$(name) \
	$(if $(filter $(name),$(WRAP_64)),$(call wrap_64,$(name))))
wrap_64 = -Wl$(comma)--wrap=$(1)64$(comma)--defsym=__wrap_$(1)64=__wrap_$(1)
WRAP_64 := mmap open fcntl fallocate posix_fallocate ftruncate pwrite pread stat fstat lstat lseek

# The explorer slides its persistence layer and its images under the engine's objects, and counts
# what they do.
CRASH_WRAP := pm_init fsync map_grow map_grow_later map_shrink map_open_file map_attach \
	map_detach map_close ring_write ring_write_spilled limbo_take wset_retire \
	commit_checkpoint desc_says desc_new wset_retire_extent tree_join tree_tally_flush \
	space_trim space_zone_compact map_memory commit_memory_out
CRASH_LINK := $(call wrap,$(CRASH_WRAP))
$(BUILD)/tests/crash: $(call objects,$(CRASH_SRC)) $(BUILD)/tests/lib.a $(BUILD)/tests/engine.a
	$(call quiet,LINK)$(LINK) $(CRASH_LINK) -o $@ $^ -ldl

# The engine's calls to these go through tests/fault/inject.c, which lets them fail.
FAULT_CALLS := malloc calloc realloc aligned_alloc strdup strndup asprintf free mmap madvise \
	pthread_key_create pthread_setspecific getrandom \
	open fcntl fallocate ftruncate fdatasync fsync msync pwrite pread renameat2 link unlink \
		memfd_create stat fstat lstat lseek
# What _FORTIFY_SOURCE makes of them, where it makes something of them.
FAULT_FORTIFIED := __asprintf_chk __open_2 __open64_2 __pread_chk __pread64_chk

$(BUILD)/tests/fault: $(call objects,$(FAULT_SRC)) $(BUILD)/tests/engine.a
	@tests/fault/calls $(BUILD)/tests/engine.a $(FAULT_CALLS) -- $(FAULT_FORTIFIED) \
		$(WRAP_64:%=%64)
	$(call quiet,LINK)$(LINK) $(call wrap,$(FAULT_CALLS)) $(FAULT_FORTIFIED:%=-Wl,--wrap=%) \
		-o $@ $^ -ldl

$(BUILD)/tests/stress: $(BUILD)/obj/tests/share/stress.o $(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

# A person at a terminal, for the tests of the command.
$(PTY): $(call objects,tests/cli/pty.c)
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -lutil

# A writer that leaves lazy commits, for the same.
$(LAZY): $(call objects,tests/cli/lazy.c) $(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

$(WRITER): $(call objects,tests/upkeep/writer.c) $(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

$(BUILD)/tests/evict $(BUILD)/tests/create $(BUILD)/tests/passive $(BUILD)/tests/wild: \
	$(BUILD)/tests/%: $(BUILD)/obj/tests/share/%.o $(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

# Each call of these is a step at which a writer can be killed.
TAKEOVER_WRAP := pm_init share_limbo_add share_limbo_cut share_limbo_load share_limbo_drop \
	lock_share lock_enter lock_reader ftruncate fallocate \
	posix_fallocate wlock_wait wlock_give
$(BUILD)/tests/takeover: $(BUILD)/obj/tests/share/takeover.o $(BUILD)/tests/engine.a
	$(call quiet,LINK)$(LINK) $(call wrap,$(TAKEOVER_WRAP)) -o $@ $^ -ldl

# What the tests of damaged files share.
DAMAGE_LIB := $(call objects,$(addprefix tests/fuzz/,sample.c probe.c probe_salvage.c \
	probe_write.c jobs.c areas.c))

$(FLIP): $(call objects,$(FLIP_SRC)) $(DAMAGE_LIB) $(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

# The kv command as a function: tests/fuzz/command.c has its main file.
COMMAND_LIB := $(call objects,tests/fuzz/command.c $(filter-out src/cli/main.c,$(CLI_SRC)))

$(BUILD)/tests/damage: $(call objects,tests/fuzz/damage.c) $(DAMAGE_LIB) $(COMMAND_LIB) \
	$(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

FUZZ_IMAGE := $(call objects,$(addprefix tests/fuzz/,fuzz_image.c reseal.c)) $(DAMAGE_LIB) \
	$(BUILD)/obj/src/base/crc.o
$(BUILD)/tests/fuzz-image: $(call objects,tests/fuzz/driver.c) $(FUZZ_IMAGE) $(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

FUZZ_LOAD := $(call objects,$(addprefix tests/fuzz/,fuzz_load.c sample.c jobs.c)) $(COMMAND_LIB)
$(BUILD)/tests/fuzz-load: $(call objects,tests/fuzz/driver.c) $(FUZZ_LOAD) $(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

# The same with libFuzzer: for `make fuzz`, which builds everything for it.
$(BUILD)/libfuzzer/image: $(call objects,tests/fuzz/libfuzzer.c) $(FUZZ_IMAGE) $(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -fsanitize=fuzzer -o $@ $^ -ldl

$(BUILD)/libfuzzer/load: $(call objects,tests/fuzz/libfuzzer.c) $(FUZZ_LOAD) $(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -fsanitize=fuzzer -o $@ $^ -ldl

$(BUILD)/tests/storm: $(call objects,$(STORM_SRC)) $(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

$(BUILD)/bench: $(call objects,$(BENCH_SRC)) $(BUILD)/libdaxkv.a $(BUILD)/bench-engines | \
	$(BUILD)/lmdb/liblmdb.so.0
	$(call quiet,LINK)$(LINK) -o $@ $(filter %.o %.a,$^) -lpmem -ldl -llmdb \
		$(call BENCH_FIND,libs) -lm

$(BUILD)/bench-engines: FORCE
	@mkdir -p $(@D)
	@echo '$(BENCH_FOUND)' | cmp -s - $@ || echo '$(BENCH_FOUND)' > $@

$(BUILD)/obj/bench/engine_%.o: bench/engine_%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(FLAGS) $(call BENCH_FIND,cflags) -MMD -MP -c -o $@ $<

$(BUILD)/bench-count: $(call objects,bench/instructions/count.c) $(BUILD)/libdaxkv.a
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

$(BUILD)/bench-count-lmdb: $(call objects,bench/instructions/count_lmdb.c) \
	$(BUILD)/lmdb/liblmdb.so.0
	$(call quiet,LINK)$(LINK) -o $@ $^ -Wl,-rpath,'$$ORIGIN/lmdb'

# This one opens the libraries that it compares.
$(BUILD)/bench-awkward: $(call objects,$(AWKWARD_SRC)) | $(BUILD)/lmdb/liblmdb.so.0
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl -lm

$(BUILD)/examples/%: $(BUILD)/obj/examples/%.o $(BUILD)/libdaxkv.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(LINK) -o $@ $^ -ldl

programs: $(PROGRAMS)
.PHONY: programs

# ---- tests ---------------------------------------------------------------------------------------

## install the packages that building and testing need, or name them
deps:
	@scripts/install-deps

## the test run of the README: install what is missing, build, run all quick tests
test: deps
	@$(MAKE) --no-print-directory programs
	@$(RUN) lint unit cli examples abi cluster model:200000:512:1 model:200000:4096:1 \
		crash:3000:64:1 crash:1200:64:6 crash:2000:64:4 crash:2000:512:2 crash:1000:4096:4 \
		crash:1000:512:22:60 crash:1000:4096:9:40 fault storm:20 \
		share flip:97 damage:600 fuzz:2500

## unit tests, CLI tests, the README's example and a short model test; about a minute
check: programs
	@$(RUN) unit cli examples model:50000:512:1 model:50000:4096:1

## unit tests
check-unit: $(UNIT)
	@$(RUN) unit

## tests of the kv command
check-cli: $(KV) $(PTY) $(LAZY) $(BUILD)/tests/abi/load-stock
	@$(RUN) cli

## README's two commands in bare systems of Debian and Ubuntu, as root and as a user; an hour
check-distros:
	@BUILD=$(BUILD) scripts/check-distros $(DISTROS_ARGS)
.PHONY: check-distros

## large inputs of the kv command; a minute or two, 2 GiB of /tmp and 6 GiB of /dev/shm
check-big: $(KV) $(BUILD)/tests/abi/load-stock
	@KV=$(KV) KV_BIG=1 sh tests/cli/big.sh
.PHONY: check-big

## backups and compaction of large stores beside readers and writers: their figures, and the bounds
## that they keep; some minutes, 13 GiB of /dev/shm
check-upkeep: $(KV) $(WRITER)
	@KV=$(abspath $(KV)) WRITER=$(abspath $(WRITER)) tests/upkeep/run.sh $(UPKEEP_PARTS)
.PHONY: check-upkeep

## every call of the engine that can fail fails; a minute
check-fault: $(FAULT)
	@$(RUN) fault-all

# It is slow under sanitizers. There the test fills the bytes that nobody reads instead of flipping
# each of their bits (tests/flip).
## every bit of small stores, flipped, and 20,000 larger stores damaged at random; then the same
## under AddressSanitizer and UBSan; an hour
check-flip:
	@$(MAKE) --no-print-directory $(FLIP) $(FUZZ)
	@TEST_TIMEOUT=7200 $(RUN) flip:1 damage:20000
	@$(MAKE) --no-print-directory BUILD=build-asan SANITIZE=address,undefined \
		build-asan/tests/flip build-asan/tests/damage
	@BUILD=build-asan TEST_TIMEOUT=14400 scripts/run-tests flip-fill damage:5000
.PHONY: check-flip

## the protocol drawn small, in Python: all rules hold, and without any one of them something
## breaks; a minute or two
check-models:
	@tests/models/run-all
.PHONY: check-models

TIME ?= 60
## libFuzzer on whole store files and on the input of kv load, TIME=60 seconds each; needs clang,
## installed when missing
fuzz:
	@scripts/install-deps --fuzz
	@$(MAKE) --no-print-directory BUILD=build-fuzz CC=clang \
		SANITIZE=fuzzer-no-link$(comma)address$(comma)undefined \
		$(addprefix build-fuzz/,libfuzzer/image libfuzzer/load \
		tests/fuzz-image tests/fuzz-load)
	@TIME=$(TIME) tests/fuzz/run build-fuzz
.PHONY: fuzz

## kill a writing process 300 times on emulated persistent memory and 300 times on a regular file
check-storm: $(STORM)
	@BUILD=$(BUILD) scripts/crash-storm --rounds 300

## processes on one store: readers and writers, bounds, kills at random and at every step; ten
## minutes
check-share: $(SHARE) $(BUILD)/tests/unit/test_share $(BUILD)/tests/unit/test_fork \
	$(BUILD)/tests/unit/test_wlock
	@TEST_TIMEOUT=600 $(RUN) share-all
.PHONY: check-share

## power cuts, DAX and its absence, in virtual machines (QEMU, installed when missing); a few
## minutes
check-vm: $(KV) $(STORM)
	@BUILD=$(BUILD) tests/vm/run
.PHONY: check-fault check-storm check-vm

## the LMDB-compatible library against the stock one, with programs of Debian's packages; takes some
## minutes
check-abi: all $(ABI)
	@TEST_TIMEOUT=3600 $(RUN) abi-full

## the test suites of LMDB's clients (OpenLDAP, ldb, py-lmdb, LMDB_File, lmdb-go) with LMDB and with
## ours; hours. CLIENTS="ldb go"
check-clients: all
	@BUILD=$(BUILD) tests/abi/suites/run $(CLIENTS)
.PHONY: check-clients

## servers that replicate to each other (OpenLDAP, Knot DNS), killed while they are written to; ten
## minutes
check-cluster: all $(FORGET)
	@TEST_TIMEOUT=3600 $(RUN) cluster-full
.PHONY: check-cluster

## the model test with 20 seeds of 1,000,000 operations; long
check-model: $(MODEL)
	@TEST_TIMEOUT=3600 $(RUN) $(addprefix model:1000000:512:,1 2 3 4 5 6 7 8 9 10) \
		$(addprefix model:1000000:4096:,11 12 13 14 15 16 17 18 19 20)

## build with AddressSanitizer and UBSan in build-asan; unit, CLI, model, crash, fault, storm, flip,
## damage and fuzz tests
check-asan asan:
	@$(MAKE) --no-print-directory BUILD=build-asan SANITIZE=address,undefined programs
	@BUILD=build-asan TEST_TIMEOUT=1200 scripts/run-tests unit cli examples model:100000:512:1 \
		model:100000:4096:1 crash:1000:64:1 crash:500:4096:2 fault-all storm:20 flip:29 \
		damage:600 fuzz:2500

## build with ThreadSanitizer in build-tsan; tests with threads and a short model test
check-tsan tsan:
	@$(MAKE) --no-print-directory BUILD=build-tsan SANITIZE=thread programs
	@BUILD=build-tsan TEST_TIMEOUT=1200 scripts/run-tests unit-threads abi-threads \
		model:20000:4096:1

## line coverage of the engine and the kv command, file by file
cov:
	@rm -rf build-cov
	@$(MAKE) --no-print-directory BUILD=build-cov CFLAGS='-O0 -g' \
		COVERAGE='--coverage -fprofile-update=atomic' programs
	@BUILD=build-cov scripts/run-tests unit cli model:100000:512:1 model:100000:4096:1
	@scripts/cov build-cov

CRASH_SEEDS := 1-16
CRASH_OPS := 2500
## every state that a power cut, a killed process or a failed sync could leave: lines, sectors and
## pages; a few minutes
check-crash: $(CRASH)
	@python3 tests/crash/sweep.py --build $(BUILD) --seeds $(CRASH_SEEDS) --ops $(CRASH_OPS) \
		--images 1000000

# mutate.py builds each mutant from one changed file and these.
mutate: export MUTATE_CC := $(CC)
mutate: export MUTATE_CFLAGS := $(filter-out $(WARN),$(FLAGS))
mutate: export MUTATE_CRASH := $(call objects,$(CRASH_SRC))
mutate: export MUTATE_MODEL := $(call objects,$(MODEL_SRC))
mutate: export MUTATE_LDFLAGS_CRASH := $(CRASH_LINK)
## break the engine in some 200 places, one at a time: do the tests notice? MUTATE_ARGS="--only
## NAME"; some minutes on two idle processors
mutate: $(CRASH) $(MODEL) $(UNIT)
	@python3 tests/crash/mutate.py --build $(BUILD) $(MUTATE_ARGS)
.PHONY: check-crash mutate

## rules that compilers do not know: layers, sizes, fences, invariants, exports, man pages
lint: $(BUILD)/libdaxkv.so
	@scripts/lint $(BUILD)

## clang-format over the C files that differ from the last commit
format:
	@{ git ls-files -mo --exclude-standard '*.c' '*.h'; git diff --cached --name-only \
		--diff-filter=ACM -- '*.c' '*.h'; } | \
		sort -u | while read -r file; do [ ! -f "$$file" ] || clang-format -i "$$file"; done

## build and run the benchmark, a few minutes; BENCH_ARGS are its arguments
bench: $(BENCH)
	$(BENCH) $(BENCH_ARGS)

## LMDB and daxkv's library for its programs in awkward work, side by side; BENCH_ARGS
bench-awkward: $(AWKWARD)
	$(AWKWARD) $(BENCH_ARGS)

## OpenLDAP's slapadd and server with LMDB and with daxkv's library; BENCH_ARGS
bench-slapd: $(BUILD)/lmdb/liblmdb.so.0
	@BUILD=$(BUILD) bench/slapd $(BENCH_ARGS)
.PHONY: bench-slapd

## install the other engines that the benchmark compares with, gnuplot for its pictures, and
## valgrind
bench-deps:
	@scripts/install-deps --bench

## instructions of a get and of one-put commits, under valgrind; REVISIONS="A B" compares two
## commits
bench-instructions:
	@BUILD=$(BUILD) CC='$(CC)' scripts/bench-instructions $(REVISIONS)
.PHONY: bench-awkward bench-deps bench-instructions

## a tour on real files: load, compare, change, kill in the middle, check
demo:
	@scripts/demo

# ---- what users get ------------------------------------------------------------------------------

## check the manual pages and render them as text into the build directory
man:
	@mkdir -p $(BUILD)/man
	mandoc -Tlint -W warning $(MAN_SRC)
	@for page in $(MAN_SRC); do mandoc -Tutf8 "$$page" > \
		"$(BUILD)/man/$$(basename "$$page").txt"; done; ls $(BUILD)/man

$(BUILD)/daxkv.pc: daxkv.pc.in include/daxkv.h FORCE
	@mkdir -p $(@D)
	@sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' daxkv.pc.in > \
		$@

## install below DESTDIR and PREFIX (/usr/local)
install: all $(BUILD)/daxkv.pc
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 755 $(BUILD)/kv $(DESTDIR)$(PREFIX)/bin/kv
	install -m 644 include/daxkv.h include/daxkv_backup.h include/daxkv_compact.h \
		include/daxkv_salvage.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(BUILD)/libdaxkv.a $(DESTDIR)$(LIBDIR)/libdaxkv.a
	install -m 755 $(BUILD)/$(SONAME) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libdaxkv.so
	install -d $(DESTDIR)$(LIBDIR)/daxkv
	install -m 755 $(LMDB) $(DESTDIR)$(LIBDIR)/daxkv
	install -m 644 $(BUILD)/daxkv.pc $(DESTDIR)$(LIBDIR)/pkgconfig/daxkv.pc
	install -D -m 644 completions/kv.bash $(DESTDIR)$(DATADIR)/bash-completion/completions/kv
	install -D -m 644 completions/_kv $(DESTDIR)$(DATADIR)/zsh/site-functions/_kv
	for page in $(MAN_SRC); do install -D -m 644 "$$page" \
		"$(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}" || exit 1; done
	@DESTDIR='$(DESTDIR)' LIBDIR='$(LIBDIR)' SONAME='$(SONAME)' scripts/linker-hint

## remove what install put there
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/kv $(DESTDIR)$(PREFIX)/include/daxkv.h \
		$(DESTDIR)$(PREFIX)/include/daxkv_backup.h \
		$(DESTDIR)$(PREFIX)/include/daxkv_compact.h \
		$(DESTDIR)$(PREFIX)/include/daxkv_salvage.h \
		$(DESTDIR)$(LIBDIR)/libdaxkv.a
	rm -f $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libdaxkv.so \
		$(DESTDIR)$(LIBDIR)/pkgconfig/daxkv.pc
	rm -rf $(DESTDIR)$(LIBDIR)/daxkv
	rm -f $(DESTDIR)$(DATADIR)/bash-completion/completions/kv \
		$(DESTDIR)$(DATADIR)/zsh/site-functions/_kv
	for page in $(MAN_SRC); do rm -f "$(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}"; done

## a source archive of the last commit
dist:
	@mkdir -p $(BUILD)
	git archive --format=tar.gz --prefix=daxkv-$(VERSION)/ -o $(BUILD)/daxkv-$(VERSION).tar.gz \
		HEAD

## remove everything that was built
clean:
	rm -rf $(BUILD) build-asan build-tsan build-cov build-fuzz

.PHONY: all help deps test check check-unit check-cli check-abi check-model check-asan asan \
	check-tsan tsan cov lint format bench demo man install \
	uninstall dist clean
