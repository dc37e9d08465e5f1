#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# run.sh - the LMDB-compatible library against the stock one: the same programs run with each, and
# what they print is compared.
#
# usage: BUILD=build tests/abi/run.sh quick|full|clients [CLIENT...]|tools|threads|
# steps CASES SEED|walk SEED OPS
#   quick     exported names, the areas, the tools, a short random walk: under 30 seconds
#   clients   programs of the system's packages, installed with apt-get when run by root, else
#             skipped; see clients/run
#   steps     cursors, a few calls at a time
#   threads   the areas that have threads, for a build with ThreadSanitizer
#   walk      one random walk, as a failed one is replayed
#   full      all of these, with 20 walks of 100,000 operations, by turns on emulated persistent
#             memory and on files
set -eu
. "$(dirname "$0")/../../scripts/usage.sh"
usage_asked "$@"
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
case $BUILD in
/*) ;;
*) BUILD=$PWD/$BUILD ;;
esac
. tests/abi/stock.sh
ours=$BUILD/lmdb
stock=$(ldconfig -p | awk '$1 == "liblmdb.so.0" { print $NF; exit }')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

skip() {
	echo "skip: $*"
}

fault() {
	echo "FAIL: $*"
	failed=1
}

# both NAME COMMAND... - run COMMAND in two new directories, named by $dir in it, and compare what
# it prints
both() {
	name=$1
	shift
	for library in stock ours; do
		mkdir -p "$work/$name/$library"
		[ "$library" = ours ] && path=$ours || path=
		(cd "$work/$name/$library" && mkdir dir && DAXKV_PMEM=${DAXKV_PMEM:-} \
			LD_LIBRARY_PATH=$path timeout 280 "$@" >out 2>&1 || echo "status $?" >>out)
	done
	if cmp -s "$work/$name/stock/out" "$work/$name/ours/out"; then
		echo "ok: $name ($(wc -l <"$work/$name/ours/out") lines)"
	else
		fault "$name: < stock, > ours"
		diff "$work/$name/stock/out" "$work/$name/ours/out" | head -n 20
	fi
	rm -rf "${work:?}/$name"
}

exports() {
	nm -D --defined-only "$stock" | awk '{ print $3 }' | grep '^mdb_' | grep -v '^mdb_mid' |
		sort >"$work/stock"
	nm -D --defined-only "$ours/liblmdb.so.0" | awk '{ print $3 }' | sort >"$work/ours"
	if ! diff "$work/stock" "$work/ours"; then
		fault "exports: < stock, > ours"
	else
		echo "ok: exports ($(wc -l <"$work/ours") functions)"
	fi
	"$BUILD/tests/abi/layout-stock" >"$work/stock"
	"$BUILD/tests/abi/layout" >"$work/ours"
	diff "$work/stock" "$work/ours" || fault "layout: < stock, > ours"
	readelf -d "$ours/liblmdb.so.0" | grep -q 'soname: \[liblmdb.so.0\]' ||
		fault "the library's soname"
}

# The layer is written with daxkv.h and the types of LMDB alone: it includes nothing else of the
# engine's, and links with the library that exports nothing else.
layer() {
	for file in src/lmdb/*.[ch] src/lmdb/tools/*.[ch]; do
		sed -n 's|^ *# *include "\(.*\)".*|\1|p' "$file" | while read -r header; do
			[ "$header" = daxkv.h ] || [ -e "src/abi/$header" ] ||
				[ -e "$(dirname "$file")/$header" ] || echo "$file includes $header"
		done
	done >"$work/includes"
	[ ! -s "$work/includes" ] || { fault "the layer's includes:" && cat "$work/includes"; }
	if "${CC:-cc}" -shared -Wl,-z,defs -o "$work/layer.so" "$BUILD"/obj/src/lmdb/*.o \
		-L"$BUILD" -ldaxkv -pthread 2>"$work/link"; then
		echo "ok: layer"
	else
		fault "the layer uses what daxkv.h does not have:"
		cat "$work/link"
	fi
}

# Some programs compare the version with the one that they were compiled for.
version() {
	case $("$ours/mdb_stat" -V) in
	*"LMDB 0.9.24:"*) ;;
	*) fault "the version that is reported" ;;
	esac
	case $(DAXKV_LMDB_VERSION=0.9.29 "$ours/mdb_stat" -V) in
	*"LMDB 0.9.29:"*) echo "ok: version" ;;
	*) fault "the version that DAXKV_LMDB_VERSION sets" ;;
	esac
}

# Longer keys than LMDB's are for programs that ask how long they may be.
key_size() {
	awk 'BEGIN {
		printf "VERSION=3\nformat=print\ntype=btree\nHEADER=END\n "
		for (i = 0; i < 1000; i++) printf "k"
		print "\n v\nDATA=END"
	}' >"$work/long"
	mkdir "$work/keys"
	said=$("$ours/mdb_load" -f "$work/long" "$work/keys" 2>&1) &&
		fault "a key of 1000 bytes is taken"
	case $said in *MDB_BAD_VALSIZE*) ;; *) fault "a key of 1000 bytes: $said" ;; esac
	DAXKV_MAXKEYSIZE=999 "$ours/mdb_load" -f "$work/long" "$work/keys" 2>/dev/null &&
		fault "a key of 1000 bytes is taken with DAXKV_MAXKEYSIZE=999"
	for size in 1000 4000000000; do
		DAXKV_MAXKEYSIZE=$size "$ours/mdb_load" -f "$work/long" "$work/keys" ||
			fault "a key of 1000 bytes is refused with DAXKV_MAXKEYSIZE=$size"
	done
	"$ours/mdb_dump" "$work/keys" | grep -q '^ 6b6b' || fault "a key of 1000 bytes is not read"
	for size in 0 -5 9x 99999999999999999999; do
		DAXKV_MAXKEYSIZE=$size "$ours/mdb_stat" "$work/keys" >/dev/null 2>&1 &&
			fault "DAXKV_MAXKEYSIZE=$size is taken"
	done
	echo "ok: key size"
}

areas() {
	for area in env open txn threads hands map flags dbi handles misuse cancel order entry \
		cursor dups deleted full copy file process fork sync asked number; do
		both "area-$area" "$BUILD/tests/abi/areas" dir "$area"
	done
}

# With our library alone: ThreadSanitizer ends a program that has met a data race with a status.
threads() {
	for area in threads hands; do
		mkdir -p "$work/$area/dir"
		if (cd "$work/$area" && LD_LIBRARY_PATH=$ours timeout 280 \
			"$BUILD/tests/abi/areas" dir "$area" >out 2>&1); then
			echo "ok: threads, area-$area"
		else
			fault "threads, area-$area:"
			head -n 40 "$work/$area/out"
		fi
		rm -rf "${work:?}/$area"
	done
}

# A whole program, which knows lmdb.h alone.
program() {
	both addressbook "$BUILD/tests/abi/addressbook" dir
}

# Every operation on a cursor behind every way of deleting, a few calls at a time. LMDB_SECOND names
# one more library to agree with: where LMDBs differ, none of them is followed.
steps() { # CASES SEED
	mkdir -p "$work/steps"
	if (ulimit -c 0 && DAXKV_PMEM=force timeout 1500 "$BUILD/tests/abi/steps" \
		"$ours/liblmdb.so.0" \
		"$work/steps" "$1" "$2" "$stock" \
		${LMDB_SECOND:+"$LMDB_SECOND"}) >"$work/steps.out" 2>&1; then
		echo "ok: steps, $(tail -n 1 "$work/steps.out")"
	else
		fault "steps $1 $2:"
		head -n 60 "$work/steps.out"
		tail -n 1 "$work/steps.out"
		echo "again: BUILD=$BUILD tests/abi/run.sh steps $1 $2"
	fi
	rm -rf "$work/steps"
}

# Damaged stores: nothing that was stored is missing without an error.
damaged() { # CASES SEED
	mkdir -p "$work/damaged"
	if (ulimit -c 0 && DAXKV_PMEM=force LD_LIBRARY_PATH=$ours timeout 280 \
		"$BUILD/tests/abi/damaged" \
		"$work/damaged" "$ours" "$1" "$2") >"$work/damaged.out" 2>&1; then
		echo "ok: damaged, $(tail -n 1 "$work/damaged.out")"
	else
		fault "damaged $1 $2:"
		head -n 20 "$work/damaged.out"
		tail -n 1 "$work/damaged.out"
	fi
	rm -rf "$work/damaged"
}

walk() { # SEED OPS
	before=$failed
	failed=0
	both "walk-$1-$2" "$BUILD/tests/abi/differ" dir "$1" "$2"
	[ "$failed" -eq 0 ] || echo \
		"again: DAXKV_PMEM=${DAXKV_PMEM:-} BUILD=$BUILD tests/abi/run.sh walk $1 $2"
	[ "$before" -eq 0 ] || failed=1
}

# The tools of lmdb-utils have LMDB inside: they are the stock side, and ours stand beside them.
tools() {
	command -v mdb_load >/dev/null || { skip "tools: lmdb-utils is not installed" && return; }
	stock_probe "$work" "$BUILD/tests/abi/load-stock"
	cat >"$work/input" <<-'END'
		VERSION=3
		format=print
		database=first
		type=btree
		mapsize=2097152
		maxreaders=126
		duplicates=1
		dupsort=1
		HEADER=END
		 a
		 1
		 a
		 2\0a
		 b
		 last
		DATA=END
		VERSION=3
		format=print
		database=second
		type=btree
		mapsize=2097152
		maxreaders=126
		HEADER=END
		 key
		 \00\ff
		DATA=END
	END
	for side in stock ours; do
		[ "$side" = ours ] && bin=$ours/ load=$ours/mdb_load || bin='' load=$stock_load
		mkdir "$work/$side.db" "$work/$side.copy"
		{
			# It says that it does not know a word that mdb_dump writes.
			"$load" -f "$work/input" "$work/$side.db" 2>/dev/null
			"$load" -N -f "$work/input" "$work/$side.db" 2>/dev/null
			"${bin}mdb_dump" -l "$work/$side.db"
			"${bin}mdb_dump" -a "$work/$side.db"
			"${bin}mdb_dump" -p -s first "$work/$side.db"
			"${bin}mdb_dump" -p -s none "$work/$side.db" || echo "no such database: $?"
			"${bin}mdb_copy" "$work/$side.db" "$work/$side.copy"
			"${bin}mdb_dump" -a "$work/$side.copy"
			"${bin}mdb_copy" "$work/$side.db" "$work/$side.copy" || echo "refused: $?"
			"${bin}mdb_copy" -c "$work/$side.db" >"$work/$side.file"
			"${bin}mdb_dump" -n -a "$work/$side.file"
			"${bin}mdb_stat" -e -a "$work/$side.db" |
			grep -v 'pages used\|Last transaction'
			"${bin}mdb_stat" -r "$work/$side.db" ||
			: # its status is what printing returned
			printf 'k1\nv1\nk2\nv2\n' | "${bin}mdb_load" -T -n "$work/$side.text"
			"${bin}mdb_dump" -n -p "$work/$side.text"
			"${bin}mdb_load" -n -f /dev/null "$work/$side.text"
			"${bin}mdb_stat" -n "$work/$side.none" || echo "no environment: $?"
		} 2>&1 | sed "s|$ours/||; s|$work/$side|DIR|g" >"$work/$side.out"
	done
	if diff "$work/stock.out" "$work/ours.out" >"$work/diff"; then
		echo "ok: tools ($(wc -l <"$work/ours.out") lines)"
	else
		fault "tools: < stock, > ours"
		cat "$work/diff"
	fi
	mkdir "$work/append"
	"$ours/mdb_load" -a -f "$work/input" "$work/append" &&
	"$ours/mdb_dump" -a "$work/append" >"$work/append.out"
	"$ours/mdb_dump" -a "$work/ours.db" | cmp - "$work/append.out" || fault "mdb_load -a"
	cp "$work/stock.db/data.mdb" "$work/lmdb-file"
	"$ours/mdb_stat" "$work/stock.db" 2>/dev/null && fault "a file of LMDB's own was opened"
	cmp "$work/stock.db/data.mdb" "$work/lmdb-file" || fault "a file of LMDB's own was changed"
}

case ${1:-quick} in
quick)
	exports
	layer
	version
	key_size
	areas
	program
	tools
	BUILD=$BUILD tests/abi/tools.sh || failed=1
	damaged 300 1
	steps 20000 1
	walk 1 15000
	;;
full)
	exports
	layer
	version
	key_size
	areas
	program
	tools
	BUILD=$BUILD tests/abi/tools.sh || failed=1
	both area-large "$BUILD/tests/abi/areas" dir large
	tests/abi/clients/run || failed=1
	damaged 5000 2
	for seed in 2 3 4; do
		steps 200000 "$seed"
	done
	for seed in $(seq 1 20); do
		[ $((seed % 2)) -eq 0 ] && DAXKV_PMEM=file || DAXKV_PMEM=force
		walk "$seed" 100000
	done
	;;
clients)
	shift
	tests/abi/clients/run "$@" || failed=1
	;;
tools) tools ;;
threads) threads ;;
walk) walk "$2" "$3" ;;
steps) steps "$2" "$3" ;;
*)
	usage_wrong "'$1' is not known"
	;;
esac
exit "$failed"
