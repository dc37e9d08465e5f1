#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# scan.sh - kv scan: ranges, prefixes, both directions, and what it leaves out.
. "$(dirname "$0")/lib.sh"

printf '%s\t%s\n' a 1 b 2 ba 3 bb 4 c 5 d 6 >six.tsv
t load exits 0 kv load s.kv six.tsv
keys() { # the keys of a scan on one line
	keys_wanted=$1
	shift
	exits 0 kv scan "$@" --keys || return 1
	keys_got=$(tr '\n' ' ' <"$log/out")
	[ "$keys_got" = "$keys_wanted" ] && return 0
	echo "got '$keys_got' instead of '$keys_wanted'"
	return 1
}
t "key and value" prints "a	1
b	2" kv scan s.kv --limit 2
t all keys "a b ba bb c d " s.kv
t reverse keys "d c bb ba b a " s.kv --reverse
t "from, included" keys "bb c d " s.kv --from bb
t "from between two" keys "bb c d " s.kv --from bab
t "from behind all" keys "" s.kv --from e
t "to, not included" keys "a b " s.kv --to ba
t "to, not included, reverse" keys "b a " s.kv --to ba --reverse
t "to between two" keys "a b ba " s.kv --to baa
t "to before all" keys "" s.kv --to A
t "from and to" keys "b ba " s.kv --from b --to bb
t "from and to, reverse" keys "ba b " s.kv --from b --to bb --reverse
t "from and to the same" keys "" s.kv --from b --to b
t "from behind to" keys "" s.kv --from c --to b
t prefix keys "b ba bb " s.kv --prefix b
t "prefix, reverse" keys "bb ba b " s.kv --prefix b --reverse
t "prefix without a match" keys "" s.kv --prefix bc
t "an empty prefix" keys "a b ba bb c d " s.kv --prefix ''
t "prefix and from" keys "ba bb " s.kv --prefix b --from ba
t "prefix and to" keys "b " s.kv --prefix b --to ba
t "prefix and a to behind it, reverse" keys "bb ba b " s.kv --prefix b --to c --reverse
t "prefix and a from before it" keys "b ba bb " s.kv --prefix b --from a
t "prefix, from, limit" keys "ba " s.kv --prefix b --from ba --limit 1
t "limit, reverse" keys "d c " s.kv --reverse --limit 2
t "a limit of nothing" exits 2 kv scan s.kv --limit 0
t "a limit that is no number" exits 2 kv scan s.kv --limit x
t "an empty from" exits 2 kv scan s.kv --from ''

t "a key of highest bytes" exits 0 kv put s.kv '\xff\xff\x01' 7
t "a prefix that nothing comes after" keys '\xff\xff\x01 ' s.kv --prefix '\xff\xff'
t "the same, reverse" keys '\xff\xff\x01 ' s.kv --prefix '\xff\xff' --reverse
t "a prefix ending in the highest byte" keys '\xff\xff\x01 ' s.kv --prefix '\xff' --reverse

t "a database among the entries" exits 0 kv create s.kv --db bz
t "is left out" keys "b ba bb " s.kv --prefix b
t "also in reverse" keys "bb ba b " s.kv --prefix b --reverse
t "duplicates" exits 0 kv create s.kv --db dup --dup-sort
for pair in 'x 1' 'x 2' 'y 1' 'y 2' 'y 3'; do
	# shellcheck disable=SC2086 # key and value
	t "put $pair" exits 0 kv put s.kv --db dup $pair
done
t "all pairs" prints "x	1
x	2
y	1
y	2
y	3" kv scan s.kv --db dup
t "keys once" keys "x y " s.kv --db dup
t "keys once, reverse" keys "y x " s.kv --db dup --reverse
t "pairs in reverse" prints "y	3
y	2
y	1" kv scan s.kv --db dup --reverse --limit 3
t "pairs of a key in reverse" prints "x	2
x	1" kv scan s.kv --db dup --reverse --to y
t "a database of reverse keys" exits 0 kv create s.kv --db rev --reverse-key
for key in za ab ba zc; do
	t "put $key" exits 0 kv put s.kv $key v --db rev
done
t "in its order" keys "ba za ab zc " s.kv --db rev
t "prefixes are found wherever they are" keys "za zc " s.kv --db rev --prefix z
t "bounds are in its order" keys "za " s.kv --db rev --from za --to ab
t "a prefix and bounds" keys "za " s.kv --db rev --from za --to ab --prefix z
t "a database that is missing" exits 1 kv scan s.kv --db none
awk 'BEGIN { for (i = 0; i < 20000; i++) printf "%08d\tvalue %d\n", i, i }' >many.tsv
t "a large store" exits 0 kv load many.kv many.tsv
t "comes out as it went in" sh -c '"$1" scan many.kv | cmp - many.tsv' sh "$KV"
t "and in reverse" sh -c '"$1" scan many.kv --reverse >r; sort -r many.tsv | cmp - r' sh "$KV"
t "the middle" sh -c 'test "$("$1" scan many.kv --from 00005000 --to 00015000 | wc -l)" -eq 10000' \
	sh "$KV"
finish
