#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# range.sh - kv count, and kv del of ranges: what scan prints is what is counted, and what goes.
. "$(dirname "$0")/lib.sh"

printf '%s\t%s\n' a 1 b 2 ba 3 bb 4 c 5 d 6 >six.tsv
t load exits 0 kv load s.kv six.tsv
for options in '' '--from b' '--from bab' '--to ba' '--from b --to c' '--from c --to b' \
	'--prefix b' '--prefix bc' \
	'--prefix b --from ba' '--prefix b --to bb' '--from e' '--to A' \
	'--prefix b --from a --to d'; do
	# shellcheck disable=SC2086 # options
	lines=$(kv scan s.kv $options | wc -l)
	# shellcheck disable=SC2086
	t "count $options" prints "$lines" kv count s.kv $options
	# shellcheck disable=SC2086
	t "count $options --estimate" prints "$lines" kv count s.kv $options --estimate
done
t "an empty from" exits 2 kv count s.kv --from ''
t "a database that is missing" exits 1 kv count s.kv --db none
t "an option of scan" exits 2 kv count s.kv --reverse

# ---- removing

kept() { # the keys that are left
	kept_got=$(kv scan s.kv --keys | tr '\n' ' ')
	[ "$kept_got" = "$1" ] && return 0
	echo "kept '$kept_got'"
	return 1
}
t "neither key nor range" exits 2 kv del s.kv
t "both" exits 2 kv del s.kv a --from b
t "an empty prefix" exits 2 kv del s.kv --prefix ''
t "nothing of that went" kept 'a b ba bb c d '
t "a prefix" prints "deleted 3 entries with the prefix 'b'" kv del s.kv --prefix b
t "is gone" kept 'a c d '
t "nothing there" prints "deleted 0 entries with the prefix 'b'" kv del s.kv --prefix b
t "from and to" prints "deleted 1 entry from 'b' on before 'd'" kv del s.kv --from b --to d
t "is gone" kept 'a d '
t "an open end" prints "deleted 1 entry from 'b' on" kv del s.kv --from b
t "load again" exits 0 kv load s.kv six.tsv
t "a prefix within a range" prints "deleted 1 entry from 'ba' on before 'bb' with the prefix 'b'" \
	kv del s.kv --prefix b --from ba --to bb
t "left its neighbours" kept 'a b bb c d '
t "bytes" exits 0 kv put s.kv '\xff\xff\x01' 1
t "of the highest bytes" prints "deleted 1 entry with the prefix '\\xff\\xff'" kv del s.kv \
	--prefix '\xff\xff'

# ---- names of databases among the keys

t "a database among the keys" exits 0 kv create s.kv --db bz
t "is not counted" prints 2 kv count s.kv --prefix b
t "nor without a range" prints 5 kv count s.kv
t "nor estimated" prints 2 kv count s.kv --prefix b --estimate
t "stays" prints "deleted 2 entries with the prefix 'b'" kv del s.kv --prefix b
t "with its own keys" exits 0 kv put s.kv k v --db bz
t "all others are gone" kept 'a c d '
t "in a database" prints "deleted 1 entry from 'a' on in the database 'bz'" kv del s.kv --db bz \
	--from a

# ---- other orders

t "duplicates" exits 0 kv create s.kv --db dup --dup-sort
for pair in 'x 1' 'x 2' 'y 1' 'y 2' 'y 3'; do
	# shellcheck disable=SC2086 # key and value
	t "put $pair" exits 0 kv put s.kv --db dup $pair
done
t "each value counts" prints 3 kv count s.kv --db dup --from y
t "and goes" prints "deleted 2 entries with the prefix 'x' in the database 'dup'" kv del s.kv --db \
	dup --prefix x
t "the other key stays" prints 3 kv count s.kv --db dup
t "a database of reverse keys" exits 0 kv create s.kv --db rev --reverse-key
for key in za ab ba zc; do
	t "put $key" exits 0 kv put s.kv $key v --db rev
done
t "prefixes lie apart" prints 2 kv count s.kv --db rev --prefix z
t "bounds are in its order" prints 1 kv count s.kv --db rev --from za --to ab
t "and both" prints 1 kv count s.kv --db rev --from za --to ab --prefix z
t "they go" prints "deleted 2 entries with the prefix 'z' in the database 'rev'" kv del s.kv --db \
	rev --prefix z
t "and nothing else" prints "ab	v
ba	v" sh -c '"$1" scan s.kv --db rev | sort' sh "$KV"
t "all is sound" prints "0 faults" kv check s.kv

# ---- many

t "many" sh -c 'awk "BEGIN { for (i = 0; i < 20000; i++) printf \"%08d\tvalue %d\n\", i, i }" |
	"$1" load many.kv -' sh "$KV"
t "are counted" prints 10000 kv count many.kv --from 00005000 --to 00015000
about() {
	about_got=$(kv count many.kv --from 00005000 --to 00015000 --estimate)
	[ "$about_got" -gt 9000 ] && [ "$about_got" -lt 11000 ] && return 0
	echo "estimated $about_got"
	return 1
}
t "and estimated" about
t "and go" prints "deleted 9000 entries from '00001000' on before '00010000'" kv del many.kv \
	--from 00001000 --to 00010000
t "others stay" prints 11000 kv count many.kv
t "many are sound" prints "0 faults" kv check many.kv

# ---- so many that they go in parts

# parts FORMAT OPTION... - 240,000 entries in a database made with the options, of which awk prints
# the keys; from the 20,001st on 200,000 go, in a transaction that has changed pages of theirs.
parts() {
	parts_format=$1
	shift
	rm -f parts.kv
	kv create parts.kv >/dev/null && kv create parts.kv --db d "$@" >/dev/null &&
		awk "BEGIN { for (i = 0; i < 240000; i++) { $parts_format } }" |
		kv load parts.kv - --db d >/dev/null || return 1
	kv scan parts.kv --db d >all
	parts_from=$(sed -n 20001p all | cut -f 1)
	parts_to=$(sed -n 220001p all | cut -f 1)
	sed -n 90001,91000p all | while read -r key value; do
		printf "put --db d '%s' '%s'\n" "$key" "$value"
	done >script
	printf "del --db d --from '%s' --to '%s'\n" "$parts_from" "$parts_to" >>script
	kv batch parts.kv script >out || return 1
	sed 20001,220000d all >wanted
	kv scan parts.kv --db d | cmp - wanted && grep '^deleted 200000 entries' out &&
		kv check parts.kv
}
t "plain keys" parts 'printf "%08d\tv\n", i'
t "integers" parts 'printf "\\x%02x\\x%02x\\x%02x\\x00\t%d\n",
	128 + i % 128, 128 + i / 128 % 128, 128 + i / 16384, i' --integer-key
t "keys that compare from their last byte" parts 'printf "%08d\tv\n", i' --reverse-key
t "values of one key after the other" parts 'printf "%06d\t%d\n", i / 5, i % 5' --dup-sort
t "few keys with more values than a part has" parts 'printf "%02d\t%08d\n", i / 10000, i' \
	--dup-sort
beside_a_name() { # what is a database's name stays, and parts before it may be gone by then
	rm -f parts.kv
	awk 'BEGIN { for (i = 0; i < 240000; i++) printf "%08d\tv\n", i }' | kv load parts.kv - &&
		kv create parts.kv --db 00150000x && kv put parts.kv k v --db 00150000x &&
		kv del parts.kv --from 00020000 --to 00220000 >out || return 1
	grep "^deleted 200000 entries from '00020000' on before '00220000'" out &&
		[ "$(kv count parts.kv)" = 40000 ] && kv get parts.kv k --db 00150000x &&
		kv check parts.kv
}
t "a database's name among them" beside_a_name
finish
