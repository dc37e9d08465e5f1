#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# run.sh - what upkeep costs beside those who use the store: figures, and the bounds they must keep.
#
# usage: KV=build/kv WRITER=build/tests/writer tests/upkeep/run.sh [PART]...
#   backup   to a pipe, beside a writer, which keeps 80 % of its commits; the copy has the same.
#            Once the writer makes its changes itself, and once kv load reads them from a pipe
#   delta    1 % of the entries changed: a delta of at most 10 %, and restored the same
#   compact  nine of ten entries deleted, beside a reader and a writer: at most 1.3 of a new store
#   kills    200 kills of a compaction lose nothing
# DIR (/dev/shm) has room for three times the store, because a backup holds back what the writer
# replaces meanwhile. BYTES (4294967296) is what backup's values have together, ENTRIES (1000000)
# how many compact has, KILLS (200) how many kills. WRITERS ("itself load") are backup's, in turn.
set -eu
. "$(dirname "$0")/../../scripts/usage.sh"
usage_asked "$@"
case ${1:-} in
-*) usage_wrong "unknown option '$1'" ;;
esac
KV=${KV:-$PWD/build/kv}
WRITER=${WRITER:-$PWD/build/tests/writer}
WRITERS=${WRITERS:-itself load}
BYTES=${BYTES:-4294967296}
ENTRIES=${ENTRIES:-1000000}
KILLS=${KILLS:-200}
dir=$(mktemp -d "${DIR:-/dev/shm}/upkeep.XXXXXX")
failed=0
cd "$dir"
done_with() {
	rm -f go
	wait
	cd /
	rm -rf "$dir"
}
trap done_with EXIT
trap 'exit 1' INT TERM HUP

bound() { # WHAT VALUE OP LIMIT - say it, and whether it holds
	if awk "BEGIN { exit !($2 $3 $4) }"; then
		echo "$1: $2 ($3 $4)"
	else
		echo "$1: $2, and not $3 $4: FAILED"
		failed=1
	fi
}
part() { awk "BEGIN { printf \"%.3f\", $1 / $2 }"; }
bytes() { wc -c <"$1"; }
commits() { "$KV" watch "$1" --count 1 --json | sed 's/.*"commits": \([0-9]*\).*/\1/'; }
now() { date +%s%N; }

# entries FROM TO WORD - lines of keys and values of some 900 bytes, of which WORD is the begin.
entries() {
	awk -v i="$1" -v to="$2" -v word="$3" 'BEGIN {
		for (n = 0; n < 90; n++)
			v = v sprintf("%010d", n * 7919)
		for (; i <= to; i++)
			printf "key%09d\t%s%d%s\n", i, word, i, v
	}'
}

# Two writers: durable commits of one entry each, without a pause, while the file go is there.
itself() { exec "$WRITER" "$1" go; }
changes() {
	awk 'BEGIN {
		while ((getline line < "go") >= 0) {
			close("go")
			for (n = 0; n < 100; n++)
				printf "zzz%09d\tv\n", i++ % 1000
		}
	}'
}
load() {
	rm -f changes
	mkfifo changes
	changes >changes &
	exec "$KV" load "$1" changes --batch 1 --ack >/dev/null
}

# spent - the writer's processor time, in nanoseconds: in the program, and in the system.
spent() {
	awk -v tick="$((1000000000 / $(getconf CLK_TCK)))" \
		'{ printf "%.0f %.0f", $14 * tick, $15 * tick }' "/proc/$writer/stat"
}

# rate STORE COMMAND... - commits a second while the command runs, and what one costs.
rate() {
	rate_store=$1
	shift
	rate_spent=$(spent)
	rate_commits=$(commits "$rate_store")
	rate_begin=$(now)
	"$@"
	rate_ns=$(($(now) - rate_begin))
	rate_commits=$(($(commits "$rate_store") - rate_commits))
	rate=$((rate_commits * 1000000000 / rate_ns))
	rate_cost=$(echo "$rate_spent $(spent) $rate_commits" | awk '{
		printf "%.0f ns in the program, ", ($3 - $1) / $5
		printf "%.0f in the system", ($4 - $2) / $5
	}')
}

sum() { "$KV" scan "$1" --to zzz | md5sum; } # of all but what the writer put
same() { # SUM SUM
	[ "$1" = "$2" ] && echo "the same entries: $1" && return
	echo "entries differ: FAILED"
	failed=1
}

to_pipe() { "$KV" backup big.kv - | cat >copy.kv; }

big() {
	[ -e big.kv ] || entries 1 $((BYTES / 1024)) a | "$KV" load big.kv - >/dev/null
}

# touched - memory that the run will need was used before. A virtual machine pays for the first use
# of each page, some ten times what an allocation costs, and that is not a backup's price.
touched() {
	[ "$(stat -f -c %T .)" = tmpfs ] || return 0
	head -c "$((BYTES * 2))" /dev/zero >touched 2>/dev/null || :
	rm touched
}

backup_beside() { # itself | load
	rm -f copy.kv
	touched
	touch go
	"$1" big.kv &
	writer=$!
	sleep 2
	rate big.kv sleep 10
	alone=$rate
	echo "writer ($1) alone: $rate commits a second, each $rate_cost"
	rate big.kv to_pipe
	echo "a backup of $(bytes copy.kv) bytes in $((rate_ns / 1000000)) ms"
	echo "writer ($1) beside it: $rate commits a second, each $rate_cost"
	rm go
	wait
	bound "share of the writer's commits" "$(part "$rate" "$alone")" ">=" 0.8
	"$KV" check copy.kv >/dev/null && echo "the copy is sound"
	same "$(sum big.kv)" "$(sum copy.kv)"
}

backup() {
	big
	for writers in $WRITERS; do
		backup_beside "$writers"
	done
}

delta() {
	big
	[ -e copy.kv ] || to_pipe
	count=$((BYTES / 1024))
	entries 1 "$count" b | awk 'BEGIN { srand(7) } rand() < 0.01' |
		"$KV" load big.kv - >/dev/null
	"$KV" backup big.kv delta.kvd --since copy.kv
	echo "a delta of $(bytes delta.kvd) bytes, of $(bytes copy.kv)"
	bound "delta's part of the store" "$(part "$(bytes delta.kvd)" "$(bytes copy.kv)")" "<=" 0.1
	sum=$(sum big.kv)
	rm -f big.kv*
	"$KV" restore copy.kv delta.kvd restored.kv >/dev/null
	same "$sum" "$(sum restored.kv)"
	rm -f copy.kv* delta.kvd restored.kv*
}

# thin STORE - a store of ENTRIES small entries, of which each but one of ten is deleted, at random.
thin() {
	awk -v n="$ENTRIES" 'BEGIN { for (i = 0; i < n; i++)
		printf "key%08d\tvalue %d of some length, to be kept or not\n", i, i }' |
		"$KV" load "$1" - >/dev/null
	awk -v n="$ENTRIES" 'BEGIN { for (i = 0; i < n; i++) a[i] = i
		srand(3)
		for (i = n - 1; i > 0; i--) {
			j = int(rand() * (i + 1)); t = a[i]; a[i] = a[j]; a[j] = t
		}
		for (i = 0; i < n * 9 / 10; i++) printf "del key%08d\n", a[i] }' |
		split -l 20000 - deletions.
	for file in deletions.*; do
		"$KV" batch "$1" "$file" >/dev/null
	done
	rm deletions.*
}

# reader - snapshots, one after the other. A process that watches has the store open all the time:
# else a reader that finds itself alone behind a writer would show a copy, and keep others out.
reader() {
	while [ -e go ]; do
		"$KV" scan thin.kv >/dev/null
	done
}

# putter - a writer that leaves the store about as large as it is.
putter() {
	i=0
	while [ -e go ]; do
		"$KV" put thin.kv "zzz$((i % 100))" "$i"
		i=$((i + 1))
	done
	echo "$i entries were put meanwhile"
}

compact() {
	thin thin.kv
	"$KV" scan thin.kv >kept
	before=$(bytes thin.kv)
	touch go
	"$KV" watch thin.kv >/dev/null &
	watch=$!
	sleep 1
	reader &
	putter &
	sleep 1
	begin=$(now)
	"$KV" compact thin.kv
	echo "$(($(now) - begin)) ns, $before bytes before, $(bytes thin.kv) behind it"
	rm go
	kill "$watch"
	wait
	"$KV" check thin.kv >/dev/null && echo "it is sound"
	"$KV" load new.kv kept >/dev/null
	bound "times a new store's size" "$(part "$(bytes thin.kv)" "$(bytes new.kv)")" "<=" 1.3
	same "$(sum thin.kv)" "$(sum new.kv)"
	rm -f thin.kv* new.kv* kept
}

kills() {
	thin killed.kv
	"$KV" scan killed.kv >kept
	cp killed.kv whole.kv
	i=0
	cut=0
	lost=0
	while [ "$i" -lt "$KILLS" ]; do
		cp whole.kv killed.kv
		rm -f killed.kv-lock
		"$KV" compact killed.kv >/dev/null 2>&1 &
		pid=$!
		sleep "$(printf '0.%03d' $((i * 7 % 200)))"
		kill -9 "$pid" 2>/dev/null && cut=$((cut + 1))
		wait "$pid" 2>/dev/null || :
		"$KV" scan killed.kv | cmp - kept && "$KV" check killed.kv >/dev/null ||
			lost=$((lost + 1))
		i=$((i + 1))
	done
	echo "$i compactions, $cut of them killed"
	bound "stores that are not whole" "$lost" "==" 0
	rm -f killed.kv* whole.kv kept
}

[ $# -gt 0 ] || set -- backup delta compact kills
for name; do
	case $name in
	backup | delta | compact | kills) "$name" ;;
	*) echo "no part $name" >&2 && exit 2 ;;
	esac
done
exit "$failed"
