#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# awkward.sh - bench-awkward runs each of its phases with LMDB and with daxkv, small. Whatever the
# two answer differently ends it; what it measures here says nothing.
build=$(cd "$(dirname "$KV")" && pwd)
bench=$build/bench-awkward
. "$(dirname "$0")/lib.sh"

phases() {
	"$bench" --help | sed -n 's/^  \([a-z0-9-]*\)  *[A-Za-z0-9].*/\1/p' | sort
}

# all_run - a line for each phase, with two times and a ratio
all_run() {
	"$bench" --dir . --scale 0.001 --rounds 1 --markdown table >out || return 1
	cmp out table || return 1
	sed -n 's/^| \([a-z0-9-]*\) | .* | [0-9]* | [0-9]* | [0-9.]* |.*/\1/p' out | sort >ran
	phases >named
	diff named ran && [ "$(wc -l <ran)" -ge 60 ]
}

# left - nothing of the stores is left behind
left() {
	! ls -d awkward.*
}

t "each phase runs" all_run
t "nothing is left" left
# ends STATUS ARGUMENT... - how a small run of these ends
ends() {
	ends_wanted=$1
	shift
	ends_status=0
	"$bench" --dir . --scale 0 --rounds 1 "$@" >out 2>err || ends_status=$?
	[ "$ends_status" -eq "$ends_wanted" ]
}

some() {
	ends 0 --only 'queue*,scan' && [ "$(grep -c '^| [qs]' out)" -eq 4 ]
}

no_phase() {
	ends 1 --only nonsense && grep -q nonsense err
}

no_option() {
	ends 2 --nonsense && [ -s err ]
}

no_library() {
	ends 1 --only scan --daxkv ./none.so && grep -q none.so err
}

t "some by name" some
t "a ratio over the limit" ends 1 --only scan --limit 0
t "no such phase" no_phase
t "no such option" no_option
t "a library that is not there" no_library
finish
