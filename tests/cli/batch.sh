#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# batch.sh - kv batch: all lines or none, what a line may say, and how failures name it.
. "$(dirname "$0")/lib.sh"

t "a store" exits 0 kv create s.kv
batch() { # LINES [OPTION...]
	batch_lines=$1
	shift
	printf '%b' "$batch_lines" | kv batch s.kv "$@"
}
t "several lines" exits 0 batch \
	'put a 1\nput b 2\n\n# a comment\n  del a\nput "c d" '"'"'e "f"'"'"'\n'
t "are done" prints 'b	2
c d	e "f"' kv scan s.kv
t "the last line without its end" exits 0 batch 'put b 3'
t "lines that end in CR LF" exits 0 batch 'put b 4\r\nput e 5\r\n'
t "are done" prints 'b	4
c d	e "f"
e	5' kv scan s.kv
t "escapes" exits 0 batch 'put "\\x00\\x22" \\\\\n'
t "are those of arguments" test "$(kv get s.kv '\x00\x22')" = '\'
t "without a line" exits 0 batch ''
t "without a script" exits 0 batch '\n\n'

# ---- nothing of it

refused() { # STATUS PATTERN LINES
	kv dump s.kv >before || return 1
	exits "$1" batch "$3" && says "$2" && says 'nothing was changed' && kv dump s.kv |
		cmp - before
}
t "a key that is missing" refused 1 'line 3: del: cannot' 'put x 1\nput y 2\ndel z\nput a 1\n'
t "an unknown command" refused 2 "line 2: no command 'pot'; did you mean 'put'" 'put x 1\npot y 2\n'
t "an unknown option" refused 2 "line 1: put: no option '--bd'; did you mean '--db'" \
	'put x 1 --bd y\n'
t "a missing operand" refused 2 'line 2: get: .*usage: get KEY' 'put x 1\nget\n'
t "a quote" refused 2 'line 2: a quote is not closed' 'put x 1\nput "x y\n'
t "a zero byte" refused 2 'line 1: a zero byte' 'put x \0\n'
t "a bad escape" refused 2 'line 1: put: a backslash' 'put x "\\xg"\n'
t "a database that is missing" refused 1 'line 1: put: cannot open the database' \
	'put x 1 --db none\n'
t "a value that is not expected" refused 1 'line 2: put: ' 'put x 1\nput x 2 --expect 0\n'
t "a command that is none for a line" refused 2 "line 1: 'load' is no command for a line" 'load x\n'
t "the standard input as a value" refused 2 'line 1: put: the standard input' 'put x -\n'
t "a store in it" refused 2 'line 1: create: the store is open' 'create\n'

# ---- all of it

t "databases" exits 0 batch 'create --db one --dup-sort
put k 1 --db one
put k 2 --db one
copy one two
rename one three
drop two
'
t "tell what was dropped" grep -q "dropped the database 'two', which had 2 entries" "$log/out"
t "are there" prints 'k	1
k	2' kv scan s.kv --db three
read_back() {
	batch 'put k 7\nget k\ncount --db three\nput "\\x01" "a b" --return-old\nlist\n' \
		>"$log/out" 2>"$log/err" &&
		[ "$(head -n 2 "$log/out")" = "7
2" ] && grep -q '^three	2	dup-sort$' "$log/out" &&
		grep -q 'line 4: put: the key was not there' "$log/err" &&
		! grep -q 'nothing was changed' "$log/err"
}
t "reading sees what the lines before have changed" read_back
t "a range" exits 0 batch 'del --from k --to l\n'
t "is gone" exits 1 kv get s.kv k
printf 'put from file\n' >script
t "a script in a file" exits 0 kv batch s.kv script
t "is done" test "$(kv get s.kv from)" = file
t "a script that is missing" exits 3 kv batch s.kv none
t "a store that is missing" exits 3 kv batch none.kv script
awk 'BEGIN { for (i = 0; i < 20000; i++) printf "put %08d value%d\n", i, i }' >many
t "many lines" exits 0 kv batch s.kv many
t "are all there" prints 20000 kv count s.kv --from 0 --to 1
t "one transaction" sh -c 'before=$("$1" info s.kv | sed -n "s/newest commit: //p");
	printf "put 1 2\nput 3 4\n" | "$1" batch s.kv &&
	after=$("$1" info s.kv | sed -n "s/newest commit: //p");
	test $((after - before)) -eq 1' sh "$KV"
t "all is sound" prints "0 faults" kv check s.kv
finish
