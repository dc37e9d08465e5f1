#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# progress.sh - what takes longer than a second says so on a terminal, and nowhere else. The
# terminal is a pseudo-terminal that script(1) of util-linux makes; a reader that waits makes the
# command slow.
. "$(dirname "$0")/lib.sh"

t "many" sh -c 'awk "BEGIN { for (i = 0; i < 20000; i++) printf \"%08d\tvalue %d\n\", i, i }" |
	"$1" load s.kv -' sh "$KV"
on_terminal() { # SHELL-COMMAND: with a terminal for its standard error
	script -qec "$1" typescript </dev/null >/dev/null
}
slow() { # COMMAND PATTERN: its output waits for a reader, and what the terminal shows matches
	on_terminal "$KV $1 | (sleep 1.6; cat >/dev/null)" && grep -q "$2" typescript && return 0
	cat -v typescript
	return 1
}
if command -v script >/dev/null; then
	t "scan" slow 'scan s.kv' 'kv scan: 1 s, [0-9][0-9]* entries'
	t "dump" slow 'dump s.kv' 'kv dump: 1 s, [0-9][0-9]* entries read'
	printf 'count\nscan\ncount\n' >script
	t "batch, as a share of its script" slow 'batch s.kv script' \
		'kv batch: 1 s, 6 of 17 bytes of the script, 35 %'
	t "the line is gone in the end" grep -q "$(printf '\r\033\\[K$')" typescript
	quick() { on_terminal "$KV check s.kv >/dev/null" && ! grep -q 'kv check: ' typescript; }
	t "nothing of what is quick" quick
	stays() { # COMMAND PATTERN: the last line, with its newline, however quick the command is
		on_terminal "$KV $1 >/dev/null" &&
			tr -d '\r' <typescript | grep -q "kv $2$(printf '\033\\[K$')" && return 0
		cat -v typescript
		return 1
	}
	kv scan s.kv >s.tsv
	t "what was loaded stays" stays 'load t.kv s.tsv' \
		'load: [0-9]* s, 20000 entries, [0-9.]* MiB, [0-9][0-9]* entries/s'
	t "also beside numbers on the output" stays 'load u.kv s.tsv --ack' \
		'load: .* 20000 entries,.*'
	if kv export s.kv lmdb.mdb >log 2>&1; then
		t "what was exported" stays 'export s.kv other.mdb' \
			'export: [0-9]* s, 20000 of 20000 entries, 100 %'
		t "what was imported" stays 'import other.mdb i.kv' \
			'import: [0-9]* s, 20000 of 20000 entries, 100 %'
	else
		skip "what was imported and exported" "$(cat log)"
	fi
	to_terminal() { on_terminal "$KV scan s.kv --limit 3" && ! grep -q 'kv scan: ' typescript; }
	t "nothing among the output" to_terminal
else
	skip "on a terminal" "no script(1)"
fi
elsewhere() { kv scan s.kv 2>err | (sleep 1.4 && cat >/dev/null) && [ ! -s err ]; }
t "nothing in a file" elsewhere
finish
