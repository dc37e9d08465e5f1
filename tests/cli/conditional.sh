#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# conditional.sh - kv put that depends on the value that is there, or tells it.
. "$(dirname "$0")/lib.sh"

t "a store" exits 0 kv create s.kv
t "absent" exits 0 kv put s.kv k one --if-absent
t "not absent" unchanged s.kv exits 3 kv put s.kv k two --if-absent
t "as expected" exits 0 kv put s.kv k two --expect one
t "not as expected" unchanged s.kv exits 1 kv put s.kv k three --expect one
t "says so" says "expected value"
t "nothing is there to expect" exits 1 kv put s.kv other three --expect one
t "an empty value is one" exits 1 kv put s.kv other three --expect ''
t "the value" test "$(kv get s.kv k)" = two
t "the old value" prints two sh -c '"$1" put s.kv k three --return-old && echo' sh "$KV"
t "it was replaced" test "$(kv get s.kv k)" = three
first() { # there was none: a line says so, and nothing is printed
	kv put s.kv new 1 --return-old >"$log/out" 2>"$log/err" && [ ! -s "$log/out" ] &&
		says "was not there"
}
t "no old value" first
t "is stored all the same" test "$(kv get s.kv new)" = 1
t "bytes" exits 0 kv put s.kv b '\x00\xff'
t "are expected as bytes" exits 0 kv put s.kv b 1 --expect '\x00\xff'
t "a bad escape" exits 2 kv put s.kv b 2 --expect '\x'
t "two of them" exits 2 kv put s.kv b 2 --expect 1 --return-old
t "a file" sh -c 'head -c 100000 /dev/urandom >big && "$1" put s.kv b --from big --expect 1' \
	sh "$KV"
t "arrives" sh -c '"$1" get s.kv b | cmp - big' sh "$KV"
t "comes back" sh -c '"$1" put s.kv b small --return-old | cmp - big' sh "$KV"
t "the standard input" \
	sh -c 'printf more | "$1" put s.kv b - --expect small && test "$("$1" get s.kv b)" = more' \
	sh "$KV"

t "duplicates" exits 0 kv create s.kv --db dup --dup-sort
t "the first" exits 0 kv put s.kv k 1 --db dup --if-absent
t "the second" exits 0 kv put s.kv k 2 --db dup
t "one of them" exits 0 kv put s.kv k 3 --db dup --expect 1
t "gives way" prints "k	2
k	3" kv scan s.kv --db dup
t "which old one is not said" exits 2 kv put s.kv k 4 --db dup --return-old
t "a database's name" exits 2 kv put s.kv dup 4 --return-old
t "all is sound" prints "0 faults" kv check s.kv
finish
