#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# manuals.sh - scripts/man-calls finds what daxkv(3) and daxkv.h do not have in common: each way in
# which the two can differ is made here, in copies of them.
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/lib.sh"

# differ PATTERN - one line for each fault, at least one, and all of them with the pattern
differ() {
	"$top/scripts/man-calls" header.h page.3 >"$log/out" 2>&1 || return 1
	[ -s "$log/out" ] && ! grep -v "$1" "$log/out"
}

# copies FILE SED - both files as they are, but for what a command of sed changes in one of them
copies() {
	cp "$top/include/daxkv.h" header.h
	cp "$top"/include/daxkv*.h .
	cp "$top/docs/daxkv.3" page.3
	sed -i "$2" "$1"
}

t "they agree" sh -c '[ -z "$("$1/scripts/man-calls" 2>&1)" ]' sh "$top"
copies header.h '$a int daxkv_more(void);'
t "a call that the page lacks" differ 'daxkv_more.*\(synopsis\|description\)'
copies header.h '/^int daxkv_sync(/d'
t "a call that the header lacks" differ daxkv_sync
copies page.3 '/^\.Fo daxkv_sync$/,/^\.Fc/d'
t "a call that the synopsis lacks" differ 'daxkv_sync.*synopsis'
copies page.3 's/^\.It Fn daxkv_sync .*/.It Sync/'
t "a call that is not described" differ 'daxkv_sync.*description'
copies header.h \
	's/^int daxkv_sync(struct daxkv_store \*store);/int daxkv_sync(int store, int how);/'
t "another parameter" differ daxkv_sync
copies header.h 's/^uint64_t daxkv_size(/uint32_t daxkv_size(/'
t "another type" differ daxkv_size
copies header.h 's/DAXKV_POPULATE = 0x8/DAXKV_POPULATE = 0x8, DAXKV_MORE = 0x800/'
t "a constant that the page lacks" differ DAXKV_MORE
copies page.3 's/DAXKV_POPULATE/DAXKV_PREFAULT/'
t "a constant that the header lacks" differ 'DAXKV_POPULATE\|DAXKV_PREFAULT'

# Each command of kv has its text and an example in the manual, and a test.
each_command() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE ALSO/p' "$top/docs/kv.1" >examples
	kv help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' >commands
	[ -s commands ] && [ -s examples ] || return 1
	while read -r command; do
		grep -q "^\.It Cm $command\( \|\$\)" "$top/docs/kv.1" || echo "$command: no text"
		grep -q "kv $command\( \|\$\)" examples || echo "$command: no example"
		grep -q "kv $command " "$top"/tests/cli/[!m]*.sh || echo "$command: no test"
	done <commands >lacks
	cat lacks
	[ ! -s lacks ]
}
t "each command has its text, an example and a test" each_command
finish
