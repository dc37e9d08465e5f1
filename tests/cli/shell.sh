#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shell.sh - kv shell: lines from a pipe, and from a person at a pseudo-terminal (pty.c).
. "$(dirname "$0")/lib.sh"
PTY=$(dirname "$KV")/tests/pty
HOME=$scratch
unset KV_HISTORY
export HOME

t "a store" exits 0 kv create s.kv
t "a database" exits 0 kv create s.kv --db cities

# ---- a pipe

shell() { # LINES: on the standard input of kv shell
	printf '%b' "$1" | kv shell s.kv
}
t "lines" exits 0 shell 'put a 1\n# a comment\n\nput "b c" "\\x00\\xff"\nget "b c"\nscan --keys\n'
t "print what they should" sh -c 'printf "%s\n" "\\x00\\xff" a "b c" | cmp - "$1"' sh "$log/out"
t "the last line without its end" prints 1 shell 'get a'
goes_on() { # an error does not end it, and is its status
	status=0
	shell 'get none\nput x 1\nnonsense\nget x\n' >"$log/out" 2>"$log/err" || status=$?
	[ "$status" -eq 2 ] && [ "$(cat "$log/out")" = 1 ] && [ "$(wc -l <"$log/err")" -eq 2 ] &&
		says 'kv shell: s.kv: line 1: get: cannot get' &&
		says "line 3: no command 'nonsense'"
}
t "an error does not end it" goes_on
t "exit does" prints 1 shell 'get a\nexit\nget a\n'
t "quit does" exits 0 shell 'quit\nnonsense\n'
t "of another's word" exits 2 shell 'delete a\n'
t "says so" says "did you mean 'del'"

gone() { # nobody reads any more: it ends, as a pipe does
	awk 'BEGIN { for (i = 0; i < 100000; i++) print "get a" }' >lines
	(
		kv shell s.kv 2>err
		echo $? >status
	) <lines | sleep 0.2
	[ "$(cat status)" -eq 141 ] && [ ! -s err ]
}
t "nobody reads what it prints" gone

# ---- transactions

t "committed" prints 3 shell 'begin\nput t 3\ncommit\nget t\n'
t "and durable" test "$(kv get s.kv t)" = 3
t "aborted" exits 1 shell 'begin\nput t 4\ncreate --db gone\nabort\nscan --db gone\n'
t "is as it was" test "$(kv get s.kv t)" = 3
t "left open" exits 2 shell 'begin\nput t 4\n'
t "says so" says 'undone'
t "is as it was" test "$(kv get s.kv t)" = 3
t "begun twice" exits 2 shell 'begin\nbegin\nabort\n'
t "none to commit" exits 2 shell 'commit\n'
t "none to abort" exits 2 shell 'abort\n'
half_done() { # what fails leaves nothing of itself, and the transaction is well
	status=0
	shell 'begin\nput u 1\nput u 2 --db none\ncopy cities cities\nput v 2\ncommit\n' \
		>"$log/out" 2>"$log/err" || status=$?
	[ "$status" -eq 3 ] && [ "$(wc -l <"$log/err")" -eq 2 ] && [ "$(kv get s.kv u)" = 1 ] &&
		[ "$(kv get s.kv v)" = 2 ]
}
t "a failure within one" half_done
t "reading sees it" prints '2
(main)	7	-
cities	0	-
new	0	-
7' shell 'begin\nput w 2\nget w\ncreate --db new\nlist\ncount\nabort\n'
awk 'BEGIN {
	for (i = 0; i < 3000; i++)
		print "create --db d" i "\nput k" i " v --db d" i
	print "count --db d2999"
}' >many
t "many databases" sh -c 'test "$("$1" shell s.kv <many)" -eq 1' sh "$KV"
t "a name that is given away and made anew" prints "k	2
dropped the database 'n2', which had 1 entries" \
	shell 'create --db n\nput k 1 --db n\nrename n n2\ncreate --db n
put k 2 --db n\nscan --db n\ndrop n2\n'
t "all is sound" prints "0 faults" kv check s.kv

# ---- stores that cannot be changed, or are not there

if [ "$(id -u)" -eq 0 ]; then
	skip "a store that may only be read" "root may write"
else
	t "a store that may only be read" sh -c 'cp s.kv r.kv && chmod 444 r.kv &&
		test "$(echo get a | "$1" shell r.kv 2>/dev/null)" = 1' sh "$KV"
fi
t "a file that is missing" exits 3 kv shell none.kv

# ---- a person

# libedit never frees the names of functions that are added to it.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
person() { # NAME STEPS: at a terminal
	person_name=$1
	printf '%s\n' "$2" >steps
	if TERM=${terminal:-xterm} ASAN_OPTIONS=$ASAN_OPTIONS "$PTY" "$KV" shell s.kv \
		<steps >"$log/terminal" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $person_name: the terminal showed"
		cat -v "$log/terminal"
	fi
}
edits() { ldconfig -p 2>/dev/null | grep -q 'libedit\.so\.[02]'; }
# Without libedit the terminal reads lines, and control-D after the prompt is their end.
raw=
! edits || raw='= raw
'
if [ -x "$PTY" ]; then
	person "a command" '> kv> 
< get a\r
> 1\r
> kv> 
< exit\r'
	person "the end of the input" "> kv> 
$raw< \\x04"
	person "mistakes do not end it" '> kv> 
< gte a\r
> did you mean '"'get'"'
> kv> 
< get none\r
> not found
> kv> 
< exit\r'
	person "a transaction has a prompt of its own" '> kv> 
< begin\r
> kv*> 
< put p 1\r
> kv*> 
< commit\r
> kv> 
< get p\r
> 1\r
> kv> 
< exit\r'
	person "a person who goes without commit" '> kv> 
< begin\r
> kv*> 
< put p 2\r
> kv*> 
< exit\r
> undone'
	t "has changed nothing" test "$(kv get s.kv p)" = 1
	terminal=dumb person "without a library" '> kv> 
< get a\r
> 1\r
> kv> 
< half
> half
< \x03
> kv> 
< more\x03
> kv> 
< get p\r
> 1\r
> kv> 
< exit\r'
	if edits; then
		person "completion of a command, an option, a name" '> kv> 
< cou\t--db ci\t--est\t\r
> 0\r
> kv> 
< exit\r'
		person "what there is to complete" '> kv> 
< co\t\t
> copy
> commit
= raw
< \x03
> kv> 
< exit\r'
		# The prompt is there before control-C is a key: then it is a signal.
		for again in 1 2 3 4 5; do
			person "control-C behind the prompt ($again)" '> kv> 
< half\x03
> kv> 
< get a\r
> 1\r
> kv> 
< exit\r'
		done
		person "lines can be edited, and given up" '> kv> 
< get x\x7fa\r
> 1\r
> kv> 
= raw
< put p 9\x03
> kv> 
< get p\r
> 1\r
> kv> 
< exit\r'
		t "lines are kept" grep -q 'get' "$HOME/.kv_history"
		t "for their owner" test "$(stat -c %a "$HOME/.kv_history")" = 600
		person "and called back" '> kv> 
< get b\x20\x20\r
> kv> 
= raw
< \e[A\x01\x0bget a\r
> 1\r
> kv> 
< exit\r'
		person "by what the last session typed" '> kv> 
< \e[A\e[A\r
> 1\r
> kv> 
< exit\r'
		kept=$(cksum <"$HOME/.kv_history")
		KV_HISTORY='' person "or not kept" '> kv> 
< get p\r
> kv> 
< exit\r'
		t "then the file is as it was" test "$(cksum <"$HOME/.kv_history")" = "$kept"
	else
		skip "editing" "no libedit"
	fi
else
	skip "at a terminal" "no $PTY"
fi
finish
