#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# libpmem.sh - a store in a file needs no libpmem, which comes with many other libraries; flushing
# cache lines does, and says so where it is missing.
. "$(dirname "$0")/lib.sh"

without() {
	LD_LIBRARY_PATH=$scratch/none "$@"
}
prints_value() { # STORE KEY VALUE
	[ "$(kv get "$1" "$2")" = "$3" ]
}
mkdir none
: >none/libpmem.so.1 # found first, and no library
for command in 'create a.kv' 'put a.kv k v' 'get a.kv k' 'load a.kv /dev/null' 'check a.kv'; do
	# shellcheck disable=SC2086 # a command and its operands
	t "without libpmem: $command" exits 0 without "$KV" $command
done
t "nor does the program ask for it" sh -c '! ldd "$1" | grep -q libpmem' sh "$KV"
t "cache-line flushes" exits 3 without "$KV" put a.kv k w --pmem force
t "are refused in words" says 'libpmem.so.1 is missing'
t "and nothing was changed" prints_value a.kv k v
t "with it" exits 0 kv put a.kv k w --pmem force
t "they work" prints_value a.kv k w
finish
