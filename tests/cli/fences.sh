#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# fences.sh - what kv asks of the system on a regular file, as strace sees it: one fdatasync, or one
# msync of the record's page, makes a commit durable, and it comes before the commit is
# acknowledged; reading asks for none.
. "$(dirname "$0")/lib.sh"

t "create a store" exits 0 kv create a.kv --pmem file --initial-size 4M # it need not grow
if ! command -v strace >"$log/which" || ! strace -o probe -e trace=exit_group \
	true 2>"$log/strace" || ! grep -q exit_group probe; then
	skip "fences" "strace is not installed or may not trace"
	finish
fi

# traced FILE COMMAND... - kv COMMAND, its fences and acknowledgements in FILE: "fence fdatasync",
# "ack", one a line.
traced() {
	traced_to=$1
	shift
	ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 strace -f -qq -e signal=none \
		-e trace=fdatasync,fsync,msync,sync,syncfs,sync_file_range,write -o trace "$KV" \
		"$@" >acks || return 1
	sed -n -e 's/^[0-9]* *write(1,.*/ack/p' \
		-e 's/^[0-9]* *\([a-z_]*sync[a-z_]*\)(.*/fence \1/p' trace >"$traced_to"
}

# one_each N FILE - N acknowledgements, and before each of them, since the one before, one fdatasync
# or msync and nothing else; before the first also the one that makes sure of what was found.
one_each() {
	awk -v wanted="$1" '
	$1 == "fence" { fences++; if ($2 !~ /^(fdatasync|msync)$/) other = $2 }
	$1 == "ack" {
		if (fences != 1 + (acks == 0) || other != "") {
		printf "commit %d: %d fences %s\n", acks + 1, fences, other; bad = 1; exit }
		acks++
		fences = 0
	}
	END {
		if (!bad && acks != wanted) { printf "%d acknowledgements\n", acks; bad = 1 }
		if (!bad && fences > 2) { printf "%d fences to close\n", fences; bad = 1 }
		exit bad
	}' "$2"
}

awk 'BEGIN { for (i = 0; i < 1000; i++) printf "key%06d\tvalue %d\n", i, i }' >in.tsv
t "1,000 commits under strace" traced fences load a.kv in.tsv --batch 1 --ack --pmem file
t "all of them" test "$(tail -n 1 acks)" = 1000
t "one fence for each, before it is acknowledged" one_each 1000 fences
t "again, replacing" traced fences load a.kv in.tsv --batch 1 --ack --pmem file
t "the same" one_each 1000 fences
t "commits of 100 entries" traced fences load a.kv in.tsv --batch 100 --ack --pmem file
t "the same" one_each 10 fences
traced_load() { # one commit in ten entries
	traced fences load b.kv in.tsv --batch 10 --pmem file
}
t "100 commits without acknowledgements" traced_load
t "wait for the disk at the end alone" test "$(grep -c fence fences)" -le 9
t "all of them are there" test "$("$KV" count b.kv)" = 1000
t "one put" traced fences put a.kv k v --pmem file
t "its fence, one before it and two to close" test "$(grep -c fence fences)" -le 4
for command in 'get k' scan dump list stat info check; do
	# shellcheck disable=SC2086 # a command and its operands
	set -- $command
	name=$1
	shift
	t "$name" traced fences "$name" a.kv "$@" --pmem file
	t "asks for no fence" sh -c '! grep fence fences'
done
t "the store is sound" exits 0 kv check a.kv
finish
