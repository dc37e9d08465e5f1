#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# dump.sh - kv dump, its way back through kv load, and LMDB's tools at both ends.
stock=$(cd "$(dirname "$0")/../abi" && pwd)/stock.sh
. "$(dirname "$0")/lib.sh"
. "$stock"

printf 'k\\x00\tv\\\\\na\t\n' >in.tsv
t load exits 0 kv load a.kv in.tsv
t "the format" prints 'VERSION=3
format=bytevalue
type=btree
mapsize=16777216
maxreaders=126
db_pagesize=4096
HEADER=END
 61
 
 6b00
 765c
DATA=END' kv dump a.kv
t "-p" prints 'VERSION=3
format=print
type=btree
mapsize=16777216
maxreaders=126
db_pagesize=4096
HEADER=END
 a
 
 k\00
 v\\
DATA=END' kv dump a.kv -p
t "an empty store" exits 0 kv create empty.kv
t "is dumped as an empty database" prints 'VERSION=3
format=bytevalue
type=btree
mapsize=16777216
maxreaders=126
db_pagesize=4096
HEADER=END
DATA=END' kv dump empty.kv
t "create only named databases" exits 0 kv create named.kv --db one
t "another" exits 0 kv create named.kv --db two --dup-sort
t "put" exits 0 kv put named.kv k v --db one
databases() { # the databases of a dump
	databases_wanted=$1
	shift
	kv dump "$@" >dump || return 1
	databases_got=$(awk '/^VERSION/ { name = "-" } /^database=/ { name = substr($0, 10) }
		/^HEADER=END/ { printf "%s ", name }' dump)
	[ "$databases_got" = "$databases_wanted" ] && return 0
	echo "got '$databases_got' instead of '$databases_wanted'"
	return 1
}
t "a main database without entries of its own is left out" databases "one two " named.kv
t "--db" databases "two " named.kv --db two
t "--db of a missing one" exits 1 kv dump named.kv --db three
t "an entry of its own" exits 0 kv put named.kv plain v
t "brings it back" databases "- one two " named.kv

# ---- everything there and back

t "a store with all kinds" exits 0 kv load all.kv in.tsv
t "dup-sort" exits 0 kv create all.kv --db dup --dup-sort
t "pairs" sh -c 'printf "k\t%s\n" c b a z y | "$1" load all.kv --db dup' sh "$KV"
t "integer-key" exits 0 kv create all.kv --db int --integer-key
t "put" exits 0 kv put all.kv '\x01\x02\x03\x04' v --db int
t "integer-dup" exits 0 kv create all.kv --db intdup --integer-dup
t "put" exits 0 kv put all.kv k '\x01\x02\x03\x04' --db intdup
t "reverse-key" exits 0 kv create all.kv --db rev --reverse-key
t "put" exits 0 kv put all.kv abc v --db rev
t "reverse-dup" exits 0 kv create all.kv --db revdup --reverse-dup
t "put" exits 0 kv put all.kv abc v --db revdup
t "an empty database" exits 0 kv create all.kv --db 'an empty one'
t "a name of any bytes" exits 0 kv create all.kv --db 'new\x0aline\x00zero\\'
t "put" exits 0 kv put all.kv k v --db 'new\x0aline\x00zero\\'
head -c 200000 /dev/urandom >big
t "a large value" exits 0 kv put all.kv big --from big
there_and_back() {
	rm -f back.kv back.kv-lock
	kv dump all.kv "$@" >1.dump && kv load back.kv 1.dump && kv dump back.kv "$@" >2.dump &&
		cmp 1.dump 2.dump
}
t "dump, load, dump" there_and_back
t "the same with -p" there_and_back -p
t "large values are whole" sh -c '"$1" get back.kv big | cmp - big' sh "$KV"
t "flags, too" sh -c '"$1" list all.kv >1; "$1" list back.kv | cmp - 1 && grep -q dup-fixed 1' \
	sh "$KV"
t "the copy is sound" exits 0 kv check back.kv
t "through a pipe" sh -c '"$1" dump all.kv | "$1" load piped.kv &&
	"$1" dump piped.kv | cmp - 1.dump || "$1" dump -p piped.kv | cmp - 1.dump' sh "$KV"
t "one database into another" \
	sh -c '"$1" dump a.kv | "$1" load all.kv --db copy && "$1" get all.kv --db copy a' sh "$KV"

# ---- dumps that must be refused

refuse() { # NAME TEXT
	# shellcheck disable=SC2059
	printf "$2" >bad
	t "$1" exits 2 kv load bad.kv bad --format mdb
	t "$1: the line is named" says 'line [0-9]'
	t "$1: no store stays" test ! -e bad.kv -a ! -e bad.kv-lock
	rm -f bad.kv bad.kv-lock
}
refuse "nothing" ''
refuse "another version" 'VERSION=2\n'
refuse "no end of the header" 'VERSION=3\nformat=print\n'
refuse "no end of the data" 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\n k\n v\n'
refuse "a key without a value" 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\n k\nDATA=END\n'
refuse "the end after a key" 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\n k\n'
refuse "no blank" 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\nk\n v\nDATA=END\n'
refuse "an odd number of digits" \
	'VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n 616\n 61\nDATA=END\n'
refuse "no digits" 'VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n zz\n 61\nDATA=END\n'
refuse "a lone backslash" 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\n k\\q\n v\nDATA=END\n'
refuse "a hash table" 'VERSION=3\nformat=print\ntype=hash\nHEADER=END\nDATA=END\n'
refuse "an unknown format" 'VERSION=3\nformat=xml\ntype=btree\nHEADER=END\nDATA=END\n'
refuse "a flag of 2" 'VERSION=3\nformat=print\ntype=btree\ndupsort=2\nHEADER=END\nDATA=END\n'
refuse "something between two databases" \
	'VERSION=3\nformat=print\ntype=btree\nHEADER=END\nDATA=END\nx\n'
printf 'VERSION=3\nformat=print\ncolour=red\ntype=btree\nHEADER=END\n k\n v\nDATA=END\n' >unknown
t "an unknown keyword is passed over" exits 0 kv load unknown.kv unknown
t "and named" says "line 3.*colour"

# ---- LMDB's tools

if ! command -v mdb_load >"$log/which" || ! command -v mdb_dump >"$log/which"; then
	skip "exchange with LMDB" "mdb_load and mdb_dump are not installed"
	finish
fi
sizes() { grep -v -e '^mapsize=' -e '^maxreaders=' "$1"; }
mkdir lmdb1 lmdb2 lmdb3 probe
stock_probe probe "$(dirname "$KV")/tests/abi/load-stock"
cat >lmdb.in <<'END'
VERSION=3
format=bytevalue
database=dups
type=btree
mapsize=16777216
duplicates=1
dupsort=1
HEADER=END
 61
 31
 61
 325c7800ff097a
 62
 33
DATA=END
VERSION=3
format=bytevalue
database=plain
type=btree
HEADER=END
 6b
 76
 6b00
 00ff5c0a
DATA=END
END
t "mdb_load" "$stock_load" -f lmdb.in lmdb1
t "mdb_dump" sh -c 'mdb_dump -a lmdb1 >from-lmdb1'
t "kv load" exits 0 kv load lmdb.kv from-lmdb1
t "kv dump" sh -c '"$1" dump lmdb.kv >from-kv' sh "$KV"
t "mdb_load again" "$stock_load" -f from-kv lmdb2
t "mdb_dump again" sh -c 'mdb_dump -a lmdb2 >from-lmdb2'
same_dump() { sizes "$1" >1 && sizes "$2" >2 && cmp 1 2; }
t "kv's dump is LMDB's" same_dump from-lmdb1 from-kv
t "and what LMDB makes of it is the first" same_dump from-lmdb1 from-lmdb2
t "duplicates came along" prints 'a	1
a	2\\x\x00\xff\x09z
b	3' kv scan lmdb.kv --db dups
printf '\\x01\\x02\t%s\n' "$(head -c 3000 big | od -An -v -tx1 | tr -d ' \n')" >>in.tsv
t "a main database for LMDB" sh -c '"$1" load main.kv in.tsv && "$1" dump main.kv >main-kv' sh "$KV"
t "mdb_load takes it" mdb_load -f main-kv lmdb3
t "and gives it back" sh -c 'mdb_dump lmdb3 >main-lmdb'
t "as it was" same_dump main-kv main-lmdb
mkdir lmdb4
t "the printable form" sh -c '"$1" dump -p main.kv | mdb_load lmdb4 &&
	mdb_dump lmdb4 >main-lmdb' sh "$KV"
t "says the same" same_dump main-kv main-lmdb
mkdir lmdb5
awk 'BEGIN { for (i = 0; i < 30000; i++)
	printf "key %07d\tvalue %d of some length to fill pages with: %060d\n", i, i, i }' >many.tsv
t "many entries" sh -c '"$1" load many.kv many.tsv && "$1" dump many.kv >many-kv &&
	mdb_load -f many-kv lmdb5 && mdb_dump lmdb5 >many-lmdb' sh "$KV"
t "fit the mapsize and are the same" same_dump many-kv many-lmdb
finish
