#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# databases.sh - kv rename, copy and drop.
. "$(dirname "$0")/lib.sh"

t "a store" exits 0 kv put "$(kv create s.kv && echo s.kv)" plain 1
t "a database" exits 0 kv create s.kv --db one --dup-sort
t "its pairs" sh -c 'printf "k\t1\nk\t2\nl\t3\n" | "$1" load s.kv - --db one' sh "$KV"

t "rename" exits 0 kv rename s.kv one 'a b\x00'
t "the new name has it all" prints "k	1
k	2
l	3" kv scan s.kv --db 'a b\x00'
t "the old one is gone" exits 1 kv scan s.kv --db one
t "one that is missing" exits 1 kv rename s.kv one two
t "to a key of the main one" exits 3 kv rename s.kv 'a b\x00' plain
t "to its own name" exits 3 kv rename s.kv 'a b\x00' 'a b\x00'
t "to nothing" exits 2 kv rename s.kv 'a b\x00' ''
t "without a name" exits 2 kv rename s.kv 'a b\x00'
t "back" exits 0 kv rename s.kv 'a b\x00' one

t "copy" exits 0 kv copy s.kv one two
t "has its flags and pairs" prints "(main)	1	-
one	3	dup-sort
two	3	dup-sort" kv list s.kv
t "the same" sh -c '"$1" scan s.kv --db one >1 && "$1" scan s.kv --db two | cmp - 1' sh "$KV"
t "each for itself" exits 0 kv del s.kv k --db two
t "the other is as it was" prints 3 kv count s.kv --db one
t "onto one that is there" unchanged s.kv exits 3 kv copy s.kv one two
t "onto a key" unchanged s.kv exits 2 kv copy s.kv one plain
t "of one that is missing" unchanged s.kv exits 1 kv copy s.kv none three
t "a large value" sh -c 'head -c 200000 /dev/zero >big && "$1" create s.kv --db large &&
	"$1" put s.kv big --from big --db large && "$1" copy s.kv large three' sh "$KV"
t "is copied too" sh -c '"$1" get s.kv big --db three | cmp - big' sh "$KV"
t "drop" prints "dropped the database 'two', which had 1 entries" kv drop s.kv two
t "is gone" exits 1 kv scan s.kv --db two
t "again" exits 1 kv drop s.kv two
t "empty" prints "emptied the database 'one', which had 3 entries" kv drop s.kv one --empty
t "stays, with its flags" prints "one	0	dup-sort" sh -c '"$1" list s.kv | grep one' sh "$KV"
t "all is sound" prints "0 faults" kv check s.kv
finish
