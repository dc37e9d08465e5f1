#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# backup.sh - kv backup and kv restore: pieces that make the store again, and what becomes of those
# that were interrupted.
. "$(dirname "$0")/lib.sh"

# same STORE DUMP - the store has exactly that content, and is sound.
same() {
	"$KV" dump "$1" | cmp -s - "$2" && "$KV" check "$1" >/dev/null
}

# says TEXT COMMAND... - it fails, and says so.
says() {
	says_text=$1
	shift
	! "$@" >"$log/out" 2>"$log/err" && grep -q "$says_text" "$log/err"
}

awk 'BEGIN { for (i = 0; i < 20000; i++) printf "key%06d\tvalue of %d\n", i, i * i }' >in.tsv
head -c 100000 /dev/urandom >large
kv load a.kv in.tsv || exit 2
kv create a.kv --db tags --dup-sort || exit 2
for value in red green blue; do kv put a.kv --db tags apple $value || exit 2; done
kv create a.kv --db gone || exit 2
kv put a.kv --db gone key value || exit 2
kv create a.kv --db empty --integer-key || exit 2
chmod 640 a.kv

t "a full backup" exits 0 kv backup a.kv full.kv
kv dump a.kv >0.dump
t "is a store of the same content" same full.kv 0.dump
t "who may read the store may read it" sh -c '[ "$(stat -c %a full.kv)" = 640 ]'
t "to a pipe" sh -c '"$1" backup a.kv - | cat >piped.kv' sh "$KV"
t "it is the same" same piped.kv 0.dump
# gives_way N OPTION... - a backup whose pipe nobody empties has a priority that is N lower than
# this shell's.
gives_way() {
	gives_n=$1
	shift
	rm -f fifo
	mkfifo fifo || return 1
	"$KV" backup a.kv - "$@" >fifo &
	gives_pid=$!
	exec 9<fifo
	gives_wanted=$(($(cut -d ' ' -f 19 /proc/self/stat) + gives_n))
	[ "$gives_wanted" -le 19 ] || gives_wanted=19
	for gives_round in 1 2 3 4 5 6 7 8 9 10; do
		gives_found=$(cut -d ' ' -f 19 "/proc/$gives_pid/stat")
		[ "$gives_found" != "$gives_wanted" ] || break
		sleep 0.2
	done
	exec 9<&-
	wait "$gives_pid"
	[ "$gives_found" = "$gives_wanted" ]
}
t "a backup gives way" gives_way 10
t "by as much as it is told" gives_way 3 --nice 3
t "and not at all" gives_way 0 --nice 0
t "--nice has a bound" exits 2 kv backup a.kv x.kv --nice 20
t "and is a number" exits 2 kv backup a.kv x.kv --nice low
t "never over a file" unchanged full.kv exits 3 kv backup a.kv full.kv

kv put a.kv key000100 new || exit 2
kv del a.kv key000200 || exit 2
kv put a.kv key0002005 between || exit 2
kv put a.kv large --from large || exit 2
kv del a.kv --from key010000 --to key011000 >/dev/null || exit 2
kv put a.kv --db tags apple yellow || exit 2
kv drop a.kv gone >/dev/null || exit 2
kv rename a.kv tags labels || exit 2
kv create a.kv --db fresh || exit 2
kv dump a.kv >1.dump
t "a delta" exits 0 kv backup a.kv 1.delta --since full.kv
kv del a.kv large || exit 2
kv put a.kv key010500 back || exit 2
kv dump a.kv >2.dump
t "a delta behind it, to a pipe" sh -c '"$1" backup a.kv - --since 1.delta | cat >2.delta' sh "$KV"
t "which is small" sh -c '[ "$(wc -c <2.delta)" -lt 20000 ]'
kv restore full.kv 0.kv || exit 2
kv restore full.kv 1.delta 1.kv || exit 2
kv restore full.kv 1.delta 2.delta 2.kv || exit 2
for n in 0 1 2; do t "the store at moment $n" same $n.kv $n.dump; done
t "its lists are the same" sh -c '[ "$("$1" list a.kv)" = "$("$1" list 2.kv)" ]' sh "$KV"
t "no lock file is made" sh -c '! ls full.kv-lock* 0.kv*-lock 2>/dev/null | grep restore'

t "a gap" says 'one is missing' kv restore full.kv 2.delta x.kv
t "another order" says '2.delta.*order is wrong' kv restore full.kv 2.delta 1.delta x.kv
t "no full backup first" says '1.delta: a delta' kv restore 1.delta 2.delta x.kv
t "two full ones" says 'a store' kv restore full.kv full.kv x.kv
kv load other.kv in.tsv || exit 2
kv backup other.kv other.full || exit 2
kv backup other.kv other.delta --since other.full || exit 2
t "another store's" says 'other.delta: of store' kv restore full.kv other.delta x.kv
t "a backup of another store" says 'is of store' kv backup a.kv x --since other.full
t "a store that is no backup" says 'no backup' kv backup a.kv x --since other.kv
t "an earlier one that is not there" exits 3 kv backup a.kv x --since none
t "a file that is none" exits 4 kv backup a.kv x --since in.tsv
head -c 50000 1.delta >cut.delta
t "nothing is built on it" says 'its end is missing' kv backup a.kv x --since cut.delta
t "a part of a delta" says 'its end is missing' kv restore full.kv cut.delta x.kv
head -c 60000 full.kv >cut.kv
t "a part of a full backup" exits 4 kv restore cut.kv x.kv
t "which does not open" exits 4 kv list cut.kv
t "never over a store" unchanged 1.kv exits 3 kv restore full.kv 1.kv
t "nothing is left" sh -c '! ls x x.kv* x.* 2>/dev/null | grep .'
cp full.kv changed.kv
kv put changed.kv key000000 other || exit 2
t "a backup that was changed since" says 'was changed' kv backup a.kv x --since changed.kv
t "no operand" exits 2 kv backup a.kv
t "one operand" exits 2 kv restore full.kv

t "a reader that goes away" sh -c '
	trap "" PIPE
	{ "$1" backup other.kv -; echo $? >status; } 2>err | head -c 10 >/dev/null
	[ "$(cat status)" = 3 ] && grep -q "at byte .*Broken pipe" err' sh "$KV"
t "a full device" sh -c '! "$1" backup a.kv - >/dev/full 2>err && grep -q "No space" err' sh "$KV"
t "a full disk" sh -c '
	mkdir small && mount -t tmpfs -o size=200k none small 2>/dev/null || exit 0
	"$1" backup a.kv small/full 2>err
	one=$?
	"$1" restore full.kv small/store 2>err2
	two=$?
	left=$(ls small)
	umount small
	[ $one -eq 3 ] && [ $two -eq 3 ] && [ -z "$left" ] &&
		grep -q "No space" err && grep -q "No space" err2' sh "$KV"

# Killed in the middle, there is neither a backup nor a store.
awk 'BEGIN { for (i = 0; i < 200000; i++) printf "key%07d\tvalue of %d\n", i, i }' >many.tsv
kv load many.kv many.tsv || exit 2
kv backup many.kv many.full || exit 2
# killed PATTERN COMMAND... - killed when the file that it makes is there, and killed.kv is not. One
# that was done before the signal came has made a whole one, and is run again.
killed() { killed_by 9 "$@"; }
killed_by() { # SIGNAL PATTERN COMMAND...
	killed_signal=$1
	killed_pattern=$2
	shift 2
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		rm -f killed.kv*
		"$KV" "$@" >"$log/killed" 2>&1 &
		victim=$!
		while kill -0 $victim 2>/dev/null && ! [ -e "$(echo "$killed_pattern"*)" ]; do
			:
		done
		kill -"$killed_signal" $victim 2>/dev/null
		wait $victim 2>/dev/null
		killed_status=$?
		if ! [ -e killed.kv ]; then
			[ $killed_status -eq $((128 + killed_signal)) ]
			return
		fi
		same killed.kv many.dump || return 1
	done
	return 1
}
kv dump many.kv >many.dump || exit 2
t "a killed backup has no name" killed killed.kv.backup- backup many.kv killed.kv
t "a killed restore has none" killed killed.kv.restore- restore many.full killed.kv
rm -f killed.kv.*
ended() { # COMMAND...: its signals may be handled, and what it has begun is gone
	killed_by 15 "$@" && ! ls killed.kv*
}
t "an ended backup has left nothing" ended killed.kv.backup- backup many.kv killed.kv
t "nor has a restore" ended killed.kv.restore- restore many.full killed.kv
t "nor has a salvage" ended killed.kv.salvage- salvage many.kv killed.kv
rm -f killed.kv*

# A writer commits all the time, and the pipe is slow: the copy is one moment, and sound.
(
	i=0
	while [ $i -lt 200 ]; do
		"$KV" put a.kv --db labels writer $i || exit 1
		i=$((i + 1))
	done
) 2>"$log/writer" &
writer=$!
"$KV" backup a.kv - 2>"$log/err" | { sleep 0.5 && cat >moment.kv; }
"$KV" backup a.kv - --since 2.delta 2>>"$log/err" | { sleep 0.5 && cat >moment.delta; }
t "beside a writer" exits 0 kv check moment.kv
t "a delta beside a writer" exits 0 kv restore full.kv 1.delta 2.delta moment.delta moment2.kv
t "is sound" exits 0 kv check moment2.kv
t "the writer went on" wait $writer
kv dump a.kv >3.dump
kv backup a.kv 4.delta --since moment.delta || exit 2
t "and the next delta goes on" sh -c '"$1" restore full.kv 1.delta 2.delta moment.delta 4.delta \
	last.kv && "$1" dump last.kv | cmp -s - 3.dump' sh "$KV"

# A backup has what is durable alone: lazy commits are synced for it.
lazy=$(dirname "$KV")/tests/lazy
if [ -x "$lazy" ]; then
	kv load lazy.kv in.tsv || exit 2
	"$lazy" lazy.kv lazily done || exit 2
	t "a backup of lazy commits" exits 0 kv backup lazy.kv lazy.backup
	t "has them" test "$(kv get lazy.backup lazily)" = done
	rm -f lazy.kv-lock
	t "and the store has them without its lock file" test "$(kv get lazy.kv lazily)" = done
else
	skip "lazy commits" "no $lazy"
fi
finish
