#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# import.sh - kv import and kv export: LMDB files become stores and stores LMDB files. Needs liblmdb.so.0, and the tools of lmdb-utils beside it.
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
t "main's record" sh -c 'test "$("$1" get a.kv plain)" = record' sh "$KV"
t "import a file" exits 0 kv import lmdb/data.mdb b.kv
t "never over a store" unchanged a.kv exits 3 kv import lmdb a.kv
t "not LMDB's" exits 4 kv import a.kv c.kv
t "no store is left" sh -c '! [ -e c.kv ]'
t "nothing there" exits 3 kv import none c.kv
t "export" exits 0 kv export a.kv out
same() { mdb_dump "$@" lmdb | grep -v '^mapsize' >1.dump && mdb_dump "$@" out | grep -v '^mapsize' >2.dump && cmp 1.dump 2.dump; }
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

# what LMDB cannot take
awk 'BEGIN { for (i = 0; i < 600; i++) printf "k" }' >long
t "a long key" exits 0 kv put own.kv "$(cat long)" v
t "is refused" exits 2 kv export own.kv long.mdb
t "and no file is left" sh -c '! [ -e long.mdb ]'
t "without the library" sh -c 'LD_LIBRARY_PATH=$PWD/lib; export LD_LIBRARY_PATH; mkdir lib && echo x >lib/liblmdb.so.0; "$1" import lmdb z.kv 2>said; test $? -eq 3 && grep -q "not installed" said' sh "$KV"
finish
