#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# load.sh - kv load: its three formats, batches, and input that it must refuse.
. "$(dirname "$0")/lib.sh"

# ---- tsv

printf 'b\t2\na\\x09\\\\\t\\x00\\xff\nc\t\nd\ttab\there\n' >in.tsv
t "makes the store" exits 0 kv load a.kv in.tsv
t "what was loaded" prints 'a\x09\\	\x00\xff
b	2
c	
d	tab\x09here' kv scan a.kv
from_stdin() { kv load b.kv <in.tsv; }
t "from the standard input" from_stdin
from_dash() { cat in.tsv | kv load c.kv -; }
t "from -" from_dash
same() { kv dump "$1" >1.dump && kv dump "$2" >2.dump && cmp 1.dump 2.dump; }
t "all the same" same a.kv b.kv
t "all the same" same a.kv c.kv
t "scan loads back" sh -c '"$1" scan a.kv | "$1" load d.kv && "$1" scan d.kv >d && "$1" scan a.kv |
	cmp - d' sh "$KV"
printf 'last\tno newline' >end.tsv
t "the last line needs no end" exits 0 kv load a.kv end.tsv
t "its value" prints "last	no newline" kv scan a.kv --from last
t "replaces" sh -c 'printf "last\tnew\n" | "$1" load a.kv && test "$("$1" get a.kv last)" = new' \
	sh "$KV"
: >empty
t "empty input makes an empty store" exits 0 kv load e.kv empty
t "it is sound" exits 0 kv check e.kv
t "into a database that is made" exits 0 kv load a.kv in.tsv --db new
t "there it is" exits 0 kv get a.kv b --db new
t "with flags" sh -c 'printf "k\t2\nk\t1\n" | "$1" load a.kv --db dups --dup-sort' sh "$KV"
t "that hold" prints "k	1
k	2" kv scan a.kv --db dups

# ---- batches

awk 'BEGIN { for (i = 0; i < 2500; i++) printf "%06d\tv%d\n", i, i }' >many.tsv
t "--ack with the default batch" kv load f.kv many.tsv --ack
t "the last line says how many" test "$(tail -n 1 "$log/report")" = 2500
# The entries of an input that stops do not wait for it, by the thousand.
t "an input that waits" sh -c '
	{ head -n 1000 many.tsv && for i in 1 2 3 4 5 6 7 8 9 10; do
		sleep 0.2 && [ ! -s acks ] || break
	done && tail -n +1001 many.tsv; } | "$1" load slow.kv --ack >acks' sh "$KV"
t "they were durable before more came" test "$(head -n 1 acks)" = 1000
t "and the others" test "$(tail -n 1 acks)" = 2500
t "--batch" prints "900
1800
2500" kv load g.kv many.tsv --ack --batch 900
t "a batch of all" prints "2500" kv load h.kv many.tsv --ack --batch 2500
t "all the same" same f.kv g.kv
t "without --ack nothing is printed" sh -c 'test -z "$("$1" load i.kv many.tsv 2>&1)"' sh "$KV"
if command -v script >"$log/which" && script -qec true none >"$log/script" 2>&1; then
	# shellcheck disable=SC2016 # for the shell in the terminal
	t "progress on a terminal" \
		sh -c 'kv=$1 script -qec "\"\$kv\" load tty.kv many.tsv" none |
			grep -q "2500 entries, .* entries/s"' sh "$KV"
	t "and the store" same f.kv tty.kv
else
	skip "progress on a terminal" "script(1) is not installed, or there are no pseudo-terminals"
fi
head -c 6000000 /dev/zero | tr '\0' x >six.mb
{ for k in 1 2 3 4 5; do
	printf '%s\t' $k
	cat six.mb
	echo
done; } >large.tsv
t "16 MiB end a batch" prints "2
4
5" kv load j.kv large.tsv --ack
t "the store is sound" exits 0 kv check j.kv
t "--batch 0" exits 2 kv load k.kv many.tsv --batch 0
t "the store was not made" test ! -e k.kv

# The last of these does not fit the leaf; wherever a leaf that is kept nearly full could be cut,
# one side has too much.
for entry in a:785 b:785 c:1940 d:80 e:1940; do
	awk -v key=${entry%:*} -v size=${entry#*:} 'BEGIN { printf "%s\t%0" size "d\n", key, 0 }'
done >rising.tsv
t "large entries about a leaf's end" exits 0 kv load rising.kv rising.tsv --batch 1
t "are whole" sh -c '"$1" scan rising.kv | cmp - rising.tsv' sh "$KV"
t "the store is sound" exits 0 kv check rising.kv

# ---- what is refused; committed batches stay

refuse() { # NAME TEXT: printf format
	# shellcheck disable=SC2059
	printf "$2" >bad.tsv
	t "$1" exits 2 kv load bad.kv bad.tsv --batch 1
	t "$1: the line is named" says "line 2"
	t "$1: the line before it stays" exits 0 kv get bad.kv good
	t "$1: the store is sound" exits 0 kv check bad.kv
	rm -f bad.kv bad.kv-lock
}
refuse "a line without a tab" 'good\t1\nno tab\n'
refuse "a lone backslash in a key" 'good\t1\na\\b\t1\n'
refuse "a lone backslash in a value" 'good\t1\na\tb\\\n'
refuse "an empty key" 'good\t1\n\tv\n'
long=$(head -c 40000 /dev/zero | tr '\0' k)
printf 'good\t1\n%s\tv\n' "$long" >bad.tsv
t "a key too long" exits 2 kv load bad.kv bad.tsv
t "nothing of its batch is kept" test ! -e bad.kv
t "input that is missing" exits 3 kv load none.kv no-such-file
t "no store was made for it" test ! -e none.kv
t "a format that is none" exits 2 kv load none.kv in.tsv --format xml
t "--format tsv of a directory" exits 3 kv load none.kv . --format tsv
t "--format dir of a file" exits 3 kv load none.kv in.tsv --format dir
t "--format dir of the standard input" exits 2 kv load none.kv --format dir
t "none of them made the store" test ! -e none.kv

# ---- texts from other systems

text() { # NAME FORMAT: printf format
	rm -f text.kv text.kv-lock
	# shellcheck disable=SC2059
	printf "$2" >text.tsv
	t "$1" exits 0 kv load text.kv text.tsv
}
text "a byte order mark" '\357\273\277alpha\t1\nbeta\t2\n'
t "is no part of the key" prints "alpha	1
beta	2" kv scan text.kv
text "one that is escaped" '\\xef\\xbb\\xbfalpha\t1\n'
t "is" prints '\xef\xbb\xbfalpha	1' kv scan text.kv
text "a byte order mark alone" '\357\273\277'
t "is no entry" prints "" sh -c '"$1" scan text.kv; echo' sh "$KV"
text "lines that end in CR LF" 'alpha\t1\r\nbeta\t2\\x0d\r\ngamma\t3'
t "end there" prints 'alpha	1
beta	2\x0d
gamma	3' kv scan text.kv
text "a carriage return inside" 'alpha\t1\r2\nbeta\t2\n'
t "is data" prints 'alpha	1\x0d2
beta	2' kv scan text.kv
refuse "a line that ends in CR LF, after one in LF" 'good\t1\nb\t2\r\n'
refuse "a last line that ends in CR" 'good\t1\nb\t2\r'
refuse "a line that ends in LF, after one in CR LF" 'good\t1\r\nb\t2\n'
printf '\377\376a\0\t\0001\0' >bad.tsv
t "a text in UTF-16" exits 2 kv load utf16.kv bad.tsv
t "is named so" says "UTF-16"
t "the store was not made" test ! -e utf16.kv
t "a dump" sh -c '"$1" dump f.kv | sed "s/\$/\r/" >crlf.dump && "$1" load crlf.kv crlf.dump' \
	sh "$KV"
t "with lines in CR LF" same f.kv crlf.kv

# ---- a directory

mkdir -p tree/sub/deep
echo one >tree/one
: >tree/sub/empty
head -c 100000 /dev/urandom >tree/sub/deep/big
printf x >"tree/sub/a	tab"
ln -s one tree/link
ln -s sub tree/linked-dir
mkfifo tree/fifo
t "load a directory" exits 0 kv load dir.kv tree
t "regular files alone" prints 'one
sub/a\x09tab
sub/deep/big
sub/empty' kv scan dir.kv --keys
t "content" sh -c '"$1" get dir.kv sub/deep/big | cmp - tree/sub/deep/big' sh "$KV"
t "an empty file" sh -c 'test -z "$("$1" get dir.kv sub/empty)"' sh "$KV"
t "a slash behind the name" exits 0 kv load dir2.kv tree//
t "changes nothing" same dir.kv dir2.kv
ln -s tree named
t "the directory named by a link" exits 0 kv load dir3.kv named
t "changes nothing, either" same dir.kv dir3.kv
t "the store inside the directory" exits 0 kv load tree/self.kv tree
t "does not hold itself" same dir.kv tree/self.kv
rm -f tree/self.kv tree/self.kv-lock
rm tree/sub/deep/big
t "a directory, with duplicates" exits 0 kv load dup.kv tree --db d --dup-sort
t "twice is once" exits 0 kv load dup.kv tree --db d
t "each pair there once" sh -c 'test "$("$1" scan dup.kv --db d | wc -l)" -eq 3' sh "$KV"
t "one file in a batch" prints "1
2
3" kv load dir4.kv tree --batch 1 --ack
# ---- a store that was made for nothing

printf 'no tab\n' >bad.tsv
printf 'a\t1\nno tab\n' >later.tsv
printf 'VERSION=3\nformat=bytevalue\nHEADER=END\n 61\n 6z\nDATA=END\n' >bad.mdb
gone() { ! test -e "$1" && ! test -e "$1-lock"; }
left() { test -e "$1"; }
t "a bad first line" exits 2 kv load made.kv bad.tsv
t "leaves no store" gone made.kv
t "a bad line in the first transaction" exits 2 kv load made.kv later.tsv --db name
t "leaves none" gone made.kv
t "a bad dump" exits 2 kv load made.kv bad.mdb
t "leaves none" gone made.kv
t "an input that ends the wait for it" sh -c 'printf "no tab\n" | "$1" load made.kv; test $? = 2' \
	sh "$KV"
t "leaves none" gone made.kv
t "a name that cannot be" exits 2 kv create made.kv --db ""
t "leaves none" gone made.kv
t "a bad line behind a transaction" exits 2 kv load made.kv later.tsv --batch 1
t "leaves what is durable" exits 0 kv get made.kv a
t "a store that was there" exits 2 kv load made.kv bad.tsv
t "stays" exits 0 kv get made.kv a
: >there.kv
t "so does a file that was there" exits 2 kv load there.kv bad.tsv
t "as a store" left there.kv
mkfifo input
"$KV" load used.kv input --format tsv 2>used.err &
loads=$!
exec 3>input
for i in 1 2 3 4 5 6 7 8 9 10; do test -s used.kv || sleep 0.2; done
t "another writes meanwhile" exits 0 kv put used.kv mine 1
echo "no tab" >&3
exec 3>&-
wait $loads
t "its entry stays" exits 0 kv get used.kv mine

# An entry that the store does not take is named by its key and by its line.
{
	printf 'a\t1\nb\t2\n'
	head -c 3000 /dev/zero | tr '\0' x
	printf '\tv\n'
} >long.tsv
t "a key that is too long" exits 2 kv load long.kv long.tsv
t "its line" says "x\.\.\.' of line 3; 0 entries"
{
	printf 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\n a\n 1\n '
	head -c 3000 /dev/zero | tr '\0' x
	printf '\n v\nDATA=END\n'
} >long.dump
t "of a dump" exits 2 kv load long.kv long.dump
t "the line that its value is" says "' of line 8; 0 entries"
finish
