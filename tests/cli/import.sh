#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# import.sh - kv import and kv export: LMDB files become stores and stores LMDB files. Needs
# liblmdb.so.0, and the tools of lmdb-utils beside it.
stock=$(cd "$(dirname "$0")/../abi" && pwd)/stock.sh
. "$(dirname "$0")/lib.sh"
. "$stock"

if ! command -v mdb_load >"$log/which" || ! command -v mdb_dump >>"$log/which"; then
	skip "import and export" "lmdb-utils is not installed"
	finish
fi
cat >in.mdb <<'END'
VERSION=3
format=print
database=dups
type=btree
mapsize=1048576
dupsort=1
HEADER=END
 a
 1
 a
 2
 b
 \00\ff
DATA=END
VERSION=3
format=print
database=other
type=btree
mapsize=1048576
HEADER=END
 key
 value
DATA=END
END
mkdir lmdb out
mkdir probe
stock_probe probe "$(dirname "$KV")/tests/abi/load-stock"
"$stock_load" -f in.mdb lmdb 2>"$log/load" || exit 2
printf 'plain\nrecord\n' | mdb_load -T lmdb || exit 2
t "import a directory" exits 0 kv import lmdb a.kv
t "what it has" prints "(main)	1	-
dups	3	dup-sort
other	1	-" kv list a.kv
t "it is sound" exits 0 kv check a.kv
t "main's entry" sh -c 'test "$("$1" get a.kv plain)" = record' sh "$KV"
t "import a file" exits 0 kv import lmdb/data.mdb b.kv
t "never over a store" unchanged a.kv exits 3 kv import lmdb a.kv
t "not LMDB's" exits 4 kv import a.kv c.kv
t "no store is left" sh -c '! [ -e c.kv ]'
t "nothing there" exits 3 kv import none c.kv
mkdir hollow
: >empty
printf '%03000d' 0 >text
no_lock() { ! [ -e "$1-lock" ] && ! [ -e "$1/lock.mdb" ]; }
for from in none hollow text a.kv empty; do
	case $from in
	none | hollow) ends=3 ;;
	*) ends=4 ;;
	esac
	rm -f "$from-lock"
	t "$from is no LMDB file" exits "$ends" kv import "$from" c.kv
	t "no lock file beside $from" no_lock "$from"
done
t "what is wrong is said" says "'empty' is not an LMDB file: it is empty"
t "export" exits 0 kv export a.kv out
same() {
	mdb_dump "$@" lmdb | grep -v '^mapsize' >1.dump &&
		mdb_dump "$@" out | grep -v '^mapsize' >2.dump && cmp 1.dump 2.dump
}
t "the same databases" same -a
t "never over a file" unchanged out/data.mdb exits 3 kv export a.kv out
t "export to a file" exits 0 kv export a.kv out.mdb
t "import it again" exits 0 kv import out.mdb d.kv
t "the same" sh -c '"$1" dump a.kv >1 && "$1" dump d.kv >2 && cmp 1 2' sh "$KV"

kv create own.kv && kv create own.kv --db other
awk 'BEGIN { for (i = 0; i < 2000; i++) printf "%05d\t%d\n", i, i }' >many.tsv
t "load" exits 0 kv load own.kv many.tsv --db other
t "export many" exits 0 kv export own.kv many.mdb
t "import many" exits 0 kv import many.mdb many.kv
t "all the same" sh -c '"$1" dump own.kv >1 && "$1" dump many.kv >2 && cmp 1 2' sh "$KV"

# Every combination of flags keeps its flags and its entries, named and in the main database.
flagged() { # [DATABASE] FLAGS... - a dump of it
	printf 'VERSION=3\nformat=bytevalue\n'
	[ -z "$1" ] || echo "database=$1"
	echo type=btree
	shift
	for flag in "$@"; do echo "$flag=1"; done
	printf 'HEADER=END\n'
	for key in 0100000000000002 0200000000000001 ff00000000000000; do
		for value in 0700000000000001 0100000000000007; do
			printf ' %s\n %s\n' $key $value
			case " $* " in *" dupsort "*) ;; *) break ;; esac
		done
	done
	echo DATA=END
}
n=0
: >flags.mdb
for keys in '' integerkey reversekey 'integerkey reversekey'; do
	for dups in '' dupsort 'dupsort dupfixed' 'dupsort integerdup' 'dupsort reversedup' \
		'dupsort dupfixed integerdup' 'dupsort dupfixed reversedup' \
		'dupsort integerdup reversedup' 'dupsort dupfixed integerdup reversedup'; do
		n=$((n + 1))
		# shellcheck disable=SC2086 # words
		flagged "db$n" $keys $dups >>flags.mdb
		# shellcheck disable=SC2086 # words
		flagged '' $keys $dups >main.mdb
		rm -f main.kv* main.lmdb* main-back.kv*
		t "the main database, $keys $dups" exits 0 kv load main.kv main.mdb
		t "export it" exits 0 kv export main.kv main.lmdb
		t "import it" exits 0 kv import main.lmdb main-back.kv
		t "the same" sh -c '"$1" dump main.kv >1 && "$1" dump main-back.kv >2 &&
			cmp 1 2' sh "$KV"
	done
done
t "$n databases" exits 0 kv load flags.kv flags.mdb
t "export all" exits 0 kv export flags.kv flags.lmdb
t "import all" exits 0 kv import flags.lmdb flags-back.kv
t "flags and counts are the same" sh -c '"$1" list flags.kv >1 && "$1" list flags-back.kv >2 &&
	cmp 1 2 && [ "$(wc -l <1)" -eq $(($2 + 1)) ]' sh "$KV" $n
t "entries, too" sh -c '"$1" dump flags.kv >1 && "$1" dump flags-back.kv >2 && cmp 1 2' sh "$KV"
t "it is sound" exits 0 kv check flags-back.kv
for print in '' -p; do
	rm -f flags-load.kv*
	# shellcheck disable=SC2086 # nothing or one word
	kv dump $print flags.kv >flags.dump
	t "dump $print and load" exits 0 kv load flags-load.kv flags.dump
	t "the same" sh -c '"$1" dump flags.kv >1 && "$1" dump flags-load.kv >2 && cmp 1 2' sh "$KV"
done
mdb_dump -n -a flags.lmdb >flags.dump
rm -f flags-load.kv*
t "LMDB's dump of the export" exits 0 kv load flags-load.kv flags.dump
t "has the same" sh -c '"$1" dump flags.kv >1 && "$1" dump flags-load.kv >2 && cmp 1 2' sh "$KV"

# With both flags LMDB compares from the last byte: keys that are no integers of one size lose
# integer-key.
flagged mixed reversekey >mixed.mdb
sed -i 's/^reversekey=1/&\nintegerkey=1/; s/^ ff00000000000000/ ff00/' mixed.mdb
mkdir mixed.lmdb
"$stock_load" -f mixed.mdb mixed.lmdb 2>"$log/load"
t "import keys that are no integers" exits 0 kv import mixed.lmdb mixed.kv
t "by their last byte" prints "(main)	0	-
mixed	3	reverse-key" kv list mixed.kv

# what LMDB cannot take
awk 'BEGIN { for (i = 0; i < 600; i++) printf "k" }' >long
t "a long key" exits 0 kv put own.kv "$(cat long)" v
t "is refused" exits 2 kv export own.kv long.mdb
t "and no file is left" sh -c '! [ -e long.mdb ]'
t "without the library" sh -c 'LD_LIBRARY_PATH=$PWD/lib; export LD_LIBRARY_PATH; mkdir lib &&
	echo x >lib/liblmdb.so.0; "$1" import lmdb z.kv 2>said; test $? -eq 3 &&
	grep -q "not installed" said' sh "$KV"
finish
