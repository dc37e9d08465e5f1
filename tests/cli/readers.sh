#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# readers.sh - kv readers; and what a read transaction costs in system calls.
. "$(dirname "$0")/lib.sh"

t "a store" exits 0 kv create a.kv
t "with an entry" exits 0 kv put a.kv k v
t "nobody reads" exits 0 kv readers a.kv
t "and nothing is printed" test ! -s "$log/out"
t "as JSON" prints '[]' kv readers a.kv --json
i=0
while [ $i -lt 20000 ]; do
	printf 'key%06d\tvalue\n' $i
	i=$((i + 1))
done >in.tsv
t "many entries" exits 0 kv load a.kv in.tsv
mkfifo out
"$KV" scan a.kv >out 2>scan.err & # stops when the pipe is full
scanner=$!
exec 8<out
shows_scanner() {
	"$KV" readers a.kv | tr '\t' ' ' | grep -q "^$scanner [1-9][0-9]* [0-9]*\.[0-9][0-9][0-9]\$"
}
t "a scan that waits for its reader is listed" wait_for shows_scanner
t "once" test "$(kv readers a.kv | wc -l)" -eq 1
t "as JSON, too" sh -c '"$1" readers a.kv --json |
	grep -q "^\[{\"pid\": $2, \"thread\": $2, $3}\]\$"' \
	sh "$KV" "$scanner" '"snapshot": [1-9][0-9]*, "seconds": [0-9.]*, "evicted": false'
kill -9 "$scanner"
wait "$scanner" 2>"$log/killed"
exec 8<&-
t "a reader that was killed is not listed" prints '[]' kv readers a.kv --json
t "readers of a missing store" exits 3 kv readers none.kv
t "readers takes one file" exits 2 kv readers a.kv b.kv
finish
