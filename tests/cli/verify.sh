#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# verify.sh - dumps and scans compare checksums: a damaged entry is an error that says where, and
# never a silent copy of the damage.
. "$(dirname "$0")/lib.sh"

i=0
while [ $i -lt 3000 ]; do
	printf 'key%06d\tvalue-%06d\n' $i $i
	i=$((i + 1))
done >in.tsv
t "a store" exits 0 kv load a.kv in.tsv
head -c 50000 /dev/zero | tr '\0' L >large
t "with a large value" exits 0 kv put a.kv large --from large
t "and one by itself" exits 0 kv put a.kv key001500x tail-entry
place() { LC_ALL=C grep -abo -e "$1" a.kv | tail -n 1 | cut -d: -f1; }
bad() { # NAME BYTES: the store with a bit of these bytes flipped
	cp a.kv bad.kv
	rm -f bad.kv-lock
	flip bad.kv $(($(place "$2") + 3)) 1
	for command in 'dump bad.kv' 'dump bad.kv -p' 'scan bad.kv' 'scan bad.kv --reverse' \
		'check bad.kv'; do
		# shellcheck disable=SC2086 # the words of a command
		t "$1: kv $command" exits 4 kv $command
	done
	t "$1: dump says where" exits 4 kv dump bad.kv
	t "$1: it does" says "corrupted at 0x"
	t "$1: what is printed before it ends there" sh -c '! grep -q "^DATA=END" "$1"' \
		sh "$log/out"
	t "$1: the rest can be read" exits 0 kv get bad.kv key000000
	t "$1: and scanned" exits 0 kv scan bad.kv --to key000003
}
bad "a value in a leaf" value-002000
bad "a key" key002999
bad "a value put by itself" tail-entry
bad "a large value" LLLLLLLLLLLLLLLL
t "the sound store" exits 0 kv dump a.kv
"$KV" dump a.kv >whole.dump
t "its dump is whole" sh -c 'test "$(tail -n 1 whole.dump)" = DATA=END' sh
t "with the large value" sh -c 'test "$("$1" get a.kv large | wc -c)" -eq 50000' sh "$KV"

# A closed store needs neither the ring nor the mark: one flipped bit there is told by check alone.
ring() { # NAME OFFSET
	cp a.kv ring.kv
	rm -f ring.kv-lock
	flip ring.kv "$2" 4
	t "$1: get" exits 0 kv get ring.kv key000000
	t "$1: dump" sh -c '"$1" dump ring.kv | cmp - whole.dump' sh "$KV"
	t "$1: put" exits 0 kv put ring.kv more 1
	t "$1: it is there" exits 0 kv get ring.kv more
}
newest=$("$KV" info a.kv | sed -n 's/^newest commit: //p')
ring "the newest record, its number" $((4096 + newest % 64 * 512))
ring "the newest record, its hash" $((4096 + newest % 64 * 512 + 9))
ring "the newest record, its words" $((4096 + newest % 64 * 512 + 30))
ring "the record before" $((4096 + (newest - 1) % 64 * 512 + 30))
ring "the mark" 256
ring "the mark's checksum" 263
finish
