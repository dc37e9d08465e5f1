#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# salvage.sh - kv salvage: what is left of a damaged store becomes a new one.
. "$(dirname "$0")/lib.sh"

# noise FILE PAGE... - these pages of 4096 bytes are overwritten.
noise() {
	noise_file=$1
	shift
	for noise_page; do
		head -c 4096 /dev/urandom |
			dd of="$noise_file" bs=4096 seek="$noise_page" conv=notrunc 2>/dev/null
	done
}

# loses FILE NEW PLACE - the salvage succeeds but for that place, which it tells.
loses() {
	"$KV" salvage "$1" "$2" >"$log/out" 2>"$log/err"
	[ $? -eq 4 ] && grep -q "lost: .*$3" "$log/err" && grep -q 'entries saved, [1-9]' "$log/out"
}

awk 'BEGIN { for (i = 0; i < 5000; i++) printf "key%06d\tvalue of %d\n", i, i * i }' >in.tsv
head -c 100000 /dev/urandom >large
kv load a.kv in.tsv || exit 2
kv put a.kv large --from large || exit 2
kv create a.kv --db tags --dup-sort || exit 2
for value in red green blue; do kv put a.kv --db tags apple $value || exit 2; done
kv create a.kv --db ids --integer-key || exit 2
kv put a.kv --db ids 'ABCD' four || exit 2
kv dump a.kv >a.dump
rm -f a.kv-lock

t "a sound store" exits 0 kv salvage a.kv b.kv
t "is the same" sh -c '"$1" dump b.kv | cmp - a.dump' sh "$KV"
t "and sound" exits 0 kv check b.kv
rm -f a.kv-lock
t "never over a file" unchanged b.kv exits 3 kv salvage a.kv b.kv
t "the file is only read" unchanged a.kv exits 0 kv salvage a.kv c.kv
t "no lock file is made" sh -c '! [ -e a.kv-lock ] && ! [ -e c.kv-lock ]'

cp a.kv d.kv
noise d.kv 0
t "without a superblock" loses d.kv e.kv superblock
t "all is there" sh -c '"$1" dump e.kv | cmp - a.dump' sh "$KV"
t "the new one is sound" exits 0 kv check e.kv

cp a.kv f.kv
noise f.kv 14
t "a page is lost" loses f.kv g.kv 0xe000
t "the new one is sound" exits 0 kv check g.kv
kv scan a.kv >a.scan
kv scan g.kv >g.scan
t "nothing else came" sh -c '[ -s g.scan ] && [ -z "$(comm -13 a.scan g.scan)" ]'

t "not a store" exits 4 kv salvage in.tsv h.kv
t "nothing there" exits 3 kv salvage none h.kv
t "no directory" exits 3 kv salvage a.kv none/h.kv
t "nothing is left" sh -c '! ls h.kv* none 2>/dev/null | grep .'
t "one operand" exits 2 kv salvage a.kv

# Killed in the middle, there is no NEW.
awk 'BEGIN { for (i = 0; i < 300000; i++) printf "key%07d\tvalue of %d\n", i, i }' >many.tsv
kv load many.kv many.tsv || exit 2
"$KV" salvage many.kv killed.kv >"$log/killed" 2>&1 &
victim=$!
while kill -0 $victim 2>/dev/null && ! ls killed.kv.salvage-* >/dev/null 2>&1; do :; done
kill -9 $victim 2>/dev/null
wait $victim 2>/dev/null
t "a killed salvage makes no NEW" sh -c '! [ -e killed.kv ]'

finish
