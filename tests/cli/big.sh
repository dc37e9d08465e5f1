#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# big.sh - the kv command with large inputs: more than 10,000 files, 100,000 entries of LMDB, a
# store beyond 4 GiB. make check-big runs it: it takes a minute or two, 2 GiB of the scratch
# directory and 6 GiB of the directory KV_BIG_DIR (/dev/shm).
top=$(cd "$(dirname "$0")/../.." && pwd)
if [ "${KV_BIG:-}" != 1 ]; then
	echo "skip large inputs: make check-big runs them"
	exit 0
fi
stock=$(cd "$(dirname "$0")/../abi" && pwd)/stock.sh
. "$(dirname "$0")/lib.sh"
. "$stock"
same_dump() { # A.kv B.kv
	kv dump "$1" >1.dump && kv dump "$2" >2.dump && cmp 1.dump 2.dump
}

# ---- many files

mkdir tree
i=0
while [ "$i" -lt 100 ]; do
	mkdir "tree/d $i"
	i=$((i + 1))
done
# Sizes from nothing to 5,000 bytes, contents of all kinds of bytes, names with what names may have.
awk 'BEGIN {
	for (i = 0; i < 10000; i++) {
		file = sprintf("tree/d %d/%d", i % 100, i)
		if (i % 7 == 0) file = file "\\ \303\244"
		if (i % 11 == 0) file = file "\tt"
		if (i % 13 == 0) file = file "\nline"
		text = sprintf("file %d\t\\\001\377\n", i)
		size = i * 37 % 5001
		for (n = 0; n < size; n += length(text)) printf "%s", text >file
		printf "" >file
		close(file)
	}
}'
count_files() { find "$@" -type f -exec printf '.%.0s' {} + | wc -c; }
t "load a tree of 10,000 files" exits 0 kv load a.kv tree
all=$(count_files tree)
t "that many were made" test "$all" -ge 10000
for dir in /usr/include /usr/share/doc; do
	[ -d $dir ] || continue
	t "load $dir" exits 0 kv load a.kv $dir --db $dir
	n=$(count_files $dir)
	t "all its files" test "$(kv scan a.kv --db $dir --keys | wc -l)" -eq "$n"
	all=$((all + n))
done
echo "$all files"
t "all files of the tree" test "$(kv scan a.kv --keys | wc -l)" -eq "$(count_files tree)"
contents() { # DIR [OPTION...]: every 40th file's content is in the store, byte for byte
	contents_dir=$1
	shift
	find "$contents_dir" -type f ! -name '*
*' ! -name '*\\*' | LC_ALL=C sort | awk 'NR % 40 == 0' >names
	[ -s names ] || return 1
	while IFS= read -r name; do
		key=$(printf %s "${name#"$contents_dir"/}" | sed 's/\\/\\\\/g')
		kv get a.kv "$@" -- "$key" | cmp - "$name" || {
			echo "$name"
			return 1
		}
	done <names
}
t "contents of the tree" contents tree
for dir in /usr/include /usr/share/doc; do
	[ ! -d $dir ] || t "contents of $dir" contents $dir --db $dir
done
t "the store is sound" exits 0 kv check a.kv
t "dump | load" sh -c '"$1" dump a.kv | "$1" load b.kv' sh "$KV"
t "says the same" same_dump a.kv b.kv
t "dump -p | load" sh -c '"$1" dump -p a.kv | "$1" load c.kv' sh "$KV"
t "says the same" same_dump a.kv c.kv
t "the copies are sound" sh -c '"$1" check b.kv && "$1" check c.kv' sh "$KV"
rm -rf tree ./*.kv ./*.dump

# ---- LMDB

if command -v mdb_load >"$log/which" && command -v mdb_dump >"$log/which"; then
	awk 'BEGIN {
		head = "type=btree\nmapsize=1073741824\nmaxreaders=126\ndb_pagesize=4096\n"
		printf "VERSION=3\nformat=bytevalue\ndatabase=dups\n%s", head
		printf "duplicates=1\ndupsort=1\nHEADER=END\n"
		for (i = 0; i < 50000; i++)
			printf " %08x\n %04x%06x00ff5c0a\n", i * 7919 % 5003, i % 65536,
				i * 31 % 1000003
		printf "DATA=END\nVERSION=3\nformat=bytevalue\ndatabase=plain\n%sHEADER=END\n", head
		large = "5c00ff"
		while (length(large) < 12000) large = large large
		for (i = 0; i < 50000; i++)
			printf " %08x\n %08x%s\n", i * 7919 % 50021, i,
				substr(large, 1, i % 100 == 0 ? i % 12000 * 2 : i % 60 * 2)
		print "DATA=END"
	}' >lmdb.in
	mkdir lmdb1 lmdb2
	contents_of() { mdb_dump -a "$1" >"$2.all" &&
		grep -v -e '^mapsize=' -e '^maxreaders=' "$2.all" >"$2"; }
	mkdir probe
	stock_probe probe "$(dirname "$KV")/tests/abi/load-stock"
	t "an LMDB database" "$stock_load" -f lmdb.in lmdb1
	t "mdb_dump" contents_of lmdb1 from-lmdb1
	t "it has 100,000 entries" test "$(grep -c '^ ' from-lmdb1)" -eq 200000
	t "kv load" exits 0 kv load lmdb.kv from-lmdb1.all
	t "two databases" prints '(main)	0	-
dups	50000	dup-sort
plain	50000	-' kv list lmdb.kv
	t "the store is sound" exits 0 kv check lmdb.kv
	t "kv dump" sh -c '"$1" dump lmdb.kv >from-kv' sh "$KV"
	t "mdb_load takes it" "$stock_load" -f from-kv lmdb2
	t "mdb_dump again" contents_of lmdb2 from-lmdb2
	t "is the first one" cmp from-lmdb1 from-lmdb2
	rm -rf lmdb1 lmdb2 lmdb.kv from-*
else
	skip "LMDB" "mdb_load and mdb_dump are not installed"
fi

# ---- beyond 4 GiB, and killed there

large=4294967296
roomy=${KV_BIG_DIR:-/dev/shm}
if [ "$(df -Pk "$roomy" | awk 'NR == 2 { print $4 }')" -lt 6291456 ]; then
	skip "a store beyond 4 GiB" "$roomy has less than 6 GiB"
	finish
fi
grow=$(mktemp -d "$roomy/kv-big.XXXXXX") || exit 2
loader=
at_end='[ -z "$loader" ] || kill -9 "$loader"; rm -rf "$grow"'
entries() { # small values, values that nearly fill a page, and a large one in a hundred
	awk 'BEGIN {
		page = sprintf("%03900d", 0)
		large = page
		for (i = 0; i < 8; i++) large = large large
		for (i = 0; ; i++)
			printf "key%09d\t%s%d\n", i, i % 100 == 99 ? large : i % 3 ? "" : page, i
	}'
}
mkfifo feed
entries >feed 2>"$log/entries" &
t "a store of 2 MiB" exits 0 kv create "$grow/kv" --initial-size 2M
t "of that size" test "$(stat -c %s "$grow/kv")" -eq 2097152
"$KV" load "$grow/kv" feed --ack >acks 2>load.err &
loader=$!
reached() { [ "$(stat -c %s "$grow/kv")" -gt "$large" ]; }
grown() {
	grown_rounds=0
	until reached; do
		grown_rounds=$((grown_rounds + 1))
		[ "$grown_rounds" -lt 6000 ] && kill -0 "$loader" || return 1
		sleep 0.05
	done
}
t "it grows beyond 4 GiB" grown
kill -9 "$loader"
wait "$loader" 2>"$log/killed"
t "it was killed while loading" test $? -eq 137
loader=
acked=$(tail -n 1 acks)
t "its store is unclean" sh -c '"$1" info "$2" | grep -q "^last use: not closed"' sh "$KV" \
	"$grow/kv"

cat >open.c <<'END'
#include <daxkv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
int main(int argc, char **argv)
{
	int read_only = argc > 2 && strcmp(argv[2], "read-only") == 0;
	struct daxkv_options options = {.flags = read_only ? DAXKV_READ_ONLY : 0};
	struct daxkv_val key = {12, "key000000001"}, value;
	struct timespec a, b;
	struct daxkv_info info;
	struct daxkv_txn *txn;
	struct daxkv_store *kv;
	double ms;
	clock_gettime(CLOCK_MONOTONIC, &a);
	if (daxkv_open(argv[1], &options, &kv) != 0 ||
	    daxkv_txn_begin(kv, NULL, DAXKV_TXN_READ_ONLY, &txn) != 0 ||
	    daxkv_get(txn, DAXKV_MAIN, &key, &value) != 0) {
		puts(daxkv_errmsg());
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
	if (value.size != 1 || memcmp(value.data, "1", 1) != 0 || daxkv_info(kv, &info) != 0)
		return 2;
	printf("open and get, %s: %.3f ms, %llu bytes, %llu records replayed\n", argv[2], ms,
	       (unsigned long long)info.file_size, (unsigned long long)info.recovered);
	fflush(stdout);
	/* Without a close: the next open finds what this one left. */
	_Exit(ms < 10 && info.recovered > 0 ? 0 : 3);
}
END
lib=$(dirname "$KV")/libdaxkv.a
if [ -e "$lib" ] &&
	${CC:-cc} -O2 -I"$top/include" -o open open.c "$lib" -ldl -pthread >"$log/cc" 2>&1; then
	timed() {
		./open "$grow/kv" "$1" >open.out && cat open.out >>opened && return
		cat open.out
		return 1
	}
	t "opened read-only in less than 10 ms" timed read-only
	t "again" timed read-only
	t "opened for writing in less than 10 ms" timed writing
	cat opened
else
	skip "the time to open it" "a program with the library $lib cannot be built here"
fi
t "the store is sound" exits 0 kv check "$grow/kv"
kv scan "$grow/kv" --keys >keys
t "what was acknowledged is there" test "$(wc -l <keys)" -ge "${acked:-1}"
t "and at most one commit more" test "$(wc -l <keys)" -le $((acked + 1000))
t "in order, without a gap" sh -c 'awk "{ if (\$0 != sprintf(\"key%09d\", NR - 1)) exit 1 }" keys'
echo "killed at $(stat -c %s "$grow/kv") bytes with $acked entries acknowledged," \
	"$(wc -l <keys) there"
awk 'BEGIN { for (i = 0; i < 5000; i++) printf "more%d\t%d\n", i, i }' >more.tsv
t "it can be written" exits 0 kv load "$grow/kv" more.tsv
t "and is sound" exits 0 kv check "$grow/kv"
t "and has more entries" test "$(kv scan "$grow/kv" --keys | wc -l)" -eq $(($(wc -l <keys) + 5000))
finish
