#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# compact.sh - kv compact: beside a process that writes and one that reads, in parts, and killed.
. "$(dirname "$0")/lib.sh"

entries() { seq "$1" "$2" | awk '{ printf "key%07d\tvalue %d of some length\n", $1, $1 }'; }
thin() { # nine of ten go
	entries 1 40000 | kv load "$1" - >/dev/null || return 1
	for digit in 1 2 3 4 5 6 7 8 9; do
		kv del "$1" --prefix "key000$digit" >/dev/null || return 1
		kv del "$1" --prefix "key001$digit" >/dev/null || return 1
		kv del "$1" --prefix "key002$digit" >/dev/null || return 1
	done
}
bytes() { wc -c <"$1"; }

t "a store with room in it" thin s.kv
kv count s.kv >count
kv scan s.kv >before
kv load beside.kv before >/dev/null
held() { # the file is as large as it was while it is open
	kv watch s.kv --count 1000 --interval 0.02 >watched &
	watch_pid=$!
	wait_for test -s watched
}
writer() {
	i=0
	while [ -e go ]; do
		kv put s.kv "zzz$i" v || return 1
		i=$((i + 1))
	done
	echo "$i" >written
}
beside() {
	size=$(bytes s.kv)
	touch go
	held || return 1
	writer &
	writer_pid=$!
	kv compact s.kv --budget 20 >first && kv compact s.kv >second
	status=$?
	rm go
	wait "$writer_pid" || return 1
	kill "$watch_pid"
	wait "$watch_pid" 2>/dev/null
	[ "$status" -eq 0 ] && [ -s written ] && [ "$(bytes s.kv)" -lt "$size" ]
}
t "in parts, beside a writer and a process that looks" beside
t "the sizes are printed" grep -q 'to [0-9]* bytes, [0-9]* pages moved' second
same() { kv scan s.kv --to zzz >after && cmp before after; }
t "with the same entries" same
t "and every rule of the format" exits 0 kv check s.kv
kills() { # a killed one leaves a whole store
	i=0
	while [ "$i" -lt 40 ]; do
		kv del killed.kv --prefix "key00$((i % 4))$((i % 10))" >/dev/null 2>&1
		kv compact killed.kv >/dev/null 2>&1 &
		pid=$!
		sleep "0.00$((i % 10))"
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
		i=$((i + 1))
	done
	kv check killed.kv
}
entries 1 40000 | kv load killed.kv - >/dev/null
t "killed again and again, it is whole" kills
entries 1 40000 | kv load timed.kv - >/dev/null
thin_out() {
	for digit in 0 1 2; do
		kv del timed.kv --prefix "key000$digit" >/dev/null || return 1
		kv del timed.kv --prefix "key002$digit" >/dev/null || return 1
	done
}
in_time() { # a call of a millisecond stops, and says that more is left; others do the rest
	thin_out || return 1
	kv compact timed.kv --ms 1 >first || return 1
	grep -q 'more can be moved' first || return 1
	i=0
	until kv compact timed.kv --ms 20 >last && ! grep -q 'more can be moved' last; do
		i=$((i + 1))
		[ "$i" -lt 500 ] || return 1
	done
	kv check timed.kv >/dev/null && [ "$(kv count timed.kv)" = 34001 ]
}
t "in milliseconds" in_time
t "no milliseconds" exits 2 kv compact s.kv --ms 0
t "too many" exits 2 kv compact s.kv --ms 5000000000
t "a budget of nothing" exits 2 kv compact s.kv --budget 0
t "with little free nothing is done" sh -c '"$1" compact timed.kv --if-free 99 >out &&
	grep -q "are free: nothing to do$" out' sh "$KV"
if_free() { # the same call does something once enough is free
	kv load free.kv before >/dev/null && kv compact free.kv >/dev/null || return 1
	size=$(bytes free.kv)
	kv compact free.kv --if-free 60 | grep -q 'nothing to do' || return 1
	[ "$(bytes free.kv)" -eq "$size" ] || return 1
	entries 100000 140000 | kv load free.kv - >/dev/null || return 1
	"$KV" watch free.kv --interval 0.02 >watched & # else closing cuts the file
	watch_pid=$!
	wait_for test -s watched
	kv del free.kv --from key0100000 >/dev/null || return 1
	size=$(bytes free.kv)
	kv compact free.kv --if-free 60 >out || return 1
	kill "$watch_pid"
	wait "$watch_pid" 2>/dev/null
	! grep -q 'nothing to do' out && [ "$(bytes free.kv)" -lt "$size" ]
}
t "with much free it is" if_free
t "no share" exits 2 kv compact s.kv --if-free 100
t "a file that is not there" exits 3 kv compact none.kv
finish
