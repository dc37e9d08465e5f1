#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# tools.sh - mdb_load, mdb_dump, mdb_stat and mdb_copy beside those of lmdb-utils on equal content,
# byte for byte; kv import and kv export between the two; files of the other library refused. What
# may differ is written as N: numbers of pages, the number of the last transaction, and mdb_dump's
# map size behind kv export.
#
# usage: BUILD=build tests/abi/tools.sh
set -eu
. "$(dirname "$0")/../../scripts/usage.sh"
usage_none "$@"
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
case $BUILD in
/*) ;;
*) BUILD=$PWD/$BUILD ;;
esac
if ! command -v mdb_load >/dev/null || ! command -v mdb_dump >/dev/null; then
	echo "skip: tools: lmdb-utils is not installed"
	exit 0
fi
. tests/abi/stock.sh
stock=$(dirname "$(command -v mdb_load)")
ours=$BUILD/lmdb
kv=$BUILD/kv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0
DAXKV_PMEM=${DAXKV_PMEM:-force} # nothing here is about power cuts
export DAXKV_PMEM

# same NAME A B - two files are equal
same() {
	if cmp -s "$2" "$3" && [ -s "$2" ]; then
		echo "ok: $1 ($(wc -l <"$2") lines)"
	else
		echo "FAIL: $1: < $2, > $3"
		diff "$2" "$3" | head -n 20
		failed=1
	fi
}

stock_probe "$work" "$BUILD/tests/abi/load-stock"
[ "$stock_flags" = yes ] || echo \
	"note: this mdb_load loses the flags of databases: load-stock stands in for it"

# ---- content: every flag a database can have -----------------------------------------------------

database() { # NAME FLAGS AWK-PROGRAM
	printf 'VERSION=3\nformat=bytevalue\n'
	[ -z "$1" ] || printf 'database=%s\n' "$1"
	printf 'type=btree\nmapsize=8388608\nmaxreaders=126\n'
	for flag in $2; do echo "$flag=1"; done
	printf 'HEADER=END\n'
	awk "$3"
	printf 'DATA=END\n'
}
{
	database plain '' 'BEGIN { for (i = 0; i < 700; i++) {
		printf " %06x00%04x\n ", i * 37 % 700, i
		for (k = 0; k < i % 90; k++) printf "%02x", (i + k) % 256
		print "" } }'
	database large '' 'BEGIN { for (i = 0; i < 9; i++) {
		printf " 6c%02x\n ", i
		for (k = 0; k < i * 2300; k++) printf "%02x", (i + k) % 256
		print "" } }'
	database reverse 'reversekey' \
		'BEGIN { for (i = 0; i < 300; i++)
			printf " %02x%02x%02x\n 76%02x\n",
				i * 7 % 256, i % 3, i * 13 % 256, i % 256 }'
	database integers 'integerkey' \
		'BEGIN { for (i = 0; i < 500; i++)
			printf " %02x%02x%02x00\n 76\n", i * 7 % 256, i % 256, i * 13 % 5 }'
	database wide 'integerkey' \
		'BEGIN { for (i = 0; i < 300; i++)
			printf " %02x%02x0000%02x000000\n 77%02x\n",
				i % 256, i / 256, i * 29 % 100, i % 256 }'
	database dups 'dupsort' \
		'BEGIN { for (i = 0; i < 900; i++)
			printf " 6b%02x\n %02x%02x\n", i % 7, i * 11 % 256, i % 256 }'
	database fixed 'dupsort dupfixed' \
		'BEGIN { for (i = 0; i < 900; i++)
			printf " 6b%02x\n %02x%02x%02x%02x\n",
				i % 5, i % 9, i * 11 % 256, i % 256, i % 4 }'
	database numbers 'dupsort dupfixed integerdup' \
		'BEGIN { for (i = 0; i < 900; i++)
			printf " 6b%02x\n %02x%02x0000\n", i % 5, i * 11 % 256, i % 256 }'
	database backwards 'dupsort reversedup' \
		'BEGIN { for (i = 0; i < 300; i++)
			printf " 6b%02x\n %02x%02x\n", i % 3, i % 100, i * 11 % 256 }'
	database all 'reversekey dupsort dupfixed reversedup' \
		'BEGIN { for (i = 0; i < 300; i++)
			printf " %02x6b%02x\n %02x%02x\n", i % 2, i % 3, i % 100, i * 11 % 256 }'
	database nothing '' 'BEGIN { }'
} >input
{ database '' '' 'BEGIN { for (i = 0; i < 20; i++) printf " 6d%02x00\n 76%02x\n", i, i }';
} >input.main

mkdir S O
"$stock_load" -f input S 2>/dev/null # it warns of words that mdb_dump writes
"$stock_load" -f input.main S 2>/dev/null
"$ours/mdb_load" -f input O
"$ours/mdb_load" -f input.main O

# ---- the same content ----------------------------------------------------------------------------

read_all() { # TOOLS ENVIRONMENT
	"$1/mdb_dump" -a "$2"
	printed=cat
	[ "$1" != "$stock" ] || printed=stock_printed
	"$1/mdb_dump" -a -p "$2" | $printed | sed 's/\\5c/\\/g'
	"$1/mdb_dump" -l "$2"
	# entries of named databases
	"$1/mdb_dump" "$2" | grep -v '^ [0-9a-f]\{48\}$\|^ [0-9a-f]\{96\}$'
	"$1/mdb_dump" -s dups "$2"
}
read_all "$stock" S >S.dump
read_all "$ours" O >O.dump
same "loaded by each, dumped by each" S.dump O.dump
"$stock/mdb_dump" -a S >S.a
"$ours/mdb_dump" -a O >O.a
mkdir S2 O2
"$stock_load" -f O.a S2 2>/dev/null
"$ours/mdb_load" -f S.a O2
"$stock/mdb_dump" -a S2 >S2.a
"$ours/mdb_dump" -a O2 >O2.a
same "a dump of ours, loaded by the stock tool" S.a S2.a
same "a dump of the stock tool, loaded by ours" S.a O2.a
if [ "$stock_escapes" = yes ]; then
	mkdir O3
	"$stock/mdb_dump" -a -p S | "$ours/mdb_load" O3
	"$ours/mdb_dump" -a O3 >O3.a
	same "a printable dump of the stock tool, loaded by ours" S.a O3.a
fi
if [ "$stock_flags" = no ]; then # the real tool has loaded nothing yet
	mkdir P
	"$ours/mdb_dump" -s plain O | "$stock/mdb_load" P 2>/dev/null
	"$ours/mdb_dump" -s plain O >O.plain
	"$stock/mdb_dump" -s plain P >P.plain
	same "a database without flags of ours, loaded by the stock tool" O.plain P.plain
fi

mkdir K E
"$kv" import S K/data.mdb
read_all "$ours" K >K.dump
same "kv import" S.dump K.dump
"$kv" export K/data.mdb E
"$stock/mdb_dump" -a E | sed 's/^mapsize=.*/mapsize=N/' >E.a
sed 's/^mapsize=.*/mapsize=N/' S.a >S.n
same "kv export" S.n E.a
"$stock/mdb_dump" E | sed 's/^mapsize=.*/mapsize=N/' >E.main
"$stock/mdb_dump" S | sed 's/^mapsize=.*/mapsize=N/' >S.main
# the main database's entries of named ones hold page numbers
grep -v '^ [0-9a-f]\{96\}$' S.main >S.m
grep -v '^ [0-9a-f]\{96\}$' E.main >E.m
same "kv export, the main database" S.m E.m

# ---- copies --------------------------------------------------------------------------------------

for side in S:$stock O:$ours; do
	tools=${side#*:} env=${side%%:*}
	mkdir "$env.copy" "$env.compact"
	"$tools/mdb_copy" "$env" "$env.copy"
	"$tools/mdb_copy" -c "$env" "$env.compact"
	"$tools/mdb_copy" "$env" >"$env.streamed"
	"$tools/mdb_copy" -c "$env" | cat >"$env.piped"
	"$tools/mdb_copy" -n "$env.piped" "$env.again"
	for copy in "$env.copy" "$env.compact" "-n $env.streamed" "-n $env.piped" \
		"-n $env.again"; do
		"$tools/mdb_dump" -a $copy
	done >"$env.copies"
done
same "copies" S.copies O.copies

# ---- mdb_stat ------------------------------------------------------------------------------------

for side in S:$stock O:$ours; do
	tools=${side#*:} env=${side%%:*}
	{
		"$tools/mdb_stat" "$env"
		"$tools/mdb_stat" -a "$env"
		"$tools/mdb_stat" -e "$env"
		"$tools/mdb_stat" -ef "$env"
		"$tools/mdb_stat" -s dups "$env"
		"$tools/mdb_stat" -s none "$env" || echo "status $?"
		"$tools/mdb_stat" -r "$env" || : # its status is what printing returned
		"$tools/mdb_stat" -rr "$env" || :
		"$tools/mdb_stat" -n "$env.piped"
	} 2>&1 | sed -e 's/\(depth\|Branch pages\|Leaf pages\|Overflow pages\): [0-9]*/\1: N/' \
		-e 's/\(pages used\|Last transaction ID\|Free pages\): [0-9]*/\1: N/' \
		>"$env.stat.all"
	# LMDB's free list has entries, too
	awk '/^Freelist/ { skip = 6 } skip > 0 { skip--; if (/Entries/) next } { print }' \
		"$env.stat.all" >"$env.stat"
done
same "mdb_stat" S.stat O.stat

# ---- failures ------------------------------------------------------------------------------------

failures() { # TOOLS ENVIRONMENT
	for tool in stat dump load copy; do
		for args in '' '-?' '-s' "$2 more and more" "none$2" "-n $2" "-n $2/none/none"; do
			echo "$tool $args"
			"$1/mdb_$tool" $args </dev/null && echo "status 0" || echo "status $?"
		done
	done
	"$1/mdb_dump" -s none "$2" || echo "status $?"
	"$1/mdb_dump" -f none/none "$2" || echo "status $?"
	"$1/mdb_load" -f none/none "$2" || echo "status $?"
	# no database, and entries or none
	mkdir "$2.alone"
	for more in '' '1\n2\n' 'a\n1\n'; do
		printf "$more" | "$1/mdb_load" -T "$2.alone" || echo "status $?"
		for option in a l; do
			"$1/mdb_dump" -$option "$2.alone" || echo "status $?"
			"$1/mdb_stat" -$option "$2.alone" >"$2.none" || echo "status $?"
		done
	done
	"$1/mdb_dump" -a -s none "$2" || echo "status $?"
	"$1/mdb_stat" -a -s none "$2" || echo "status $?"
	"$1/mdb_copy" "$2" "$2.copy" || echo "status $?"
	"$1/mdb_copy" "$2" "$2.nowhere" || echo "status $?"
	# what it says of bad input is not compared
	printf ' 6b\n' | "$1/mdb_load" -s one "$2" 2>/dev/null || echo "status $?"
	printf 'VERSION=3\nformat=bytevalue\nHEADER=END\n 6b\n zz\nDATA=END\n' |
		"$1/mdb_load" -s one "$2" 2>/dev/null || echo "status $?"
	printf 'VERSION=3\nformat=bytevalue\nHEADER=END\n 6b\n' |
		"$1/mdb_load" -s one "$2" 2>/dev/null || echo "status $?"
	printf 'VERSION=4\n' | "$1/mdb_load" "$2" 2>/dev/null || echo "status $?"
	printf 'VERSION=3\nformat=none\n' | "$1/mdb_load" "$2" 2>/dev/null || echo "status $?"
	printf 'VERSION=3\nformat=print\ntype=hash\n' | "$1/mdb_load" "$2" 2>/dev/null ||
		echo "status $?"
	printf 'VERSION=3\nformat=print\nmapsize=many\nHEADER=END\n' |
		"$1/mdb_load" "$2" 2>/dev/null || echo "status $?"
	printf 'a\n1\nb\n' | "$1/mdb_load" -T -s text "$2" 2>/dev/null || echo "status $?"
	"$1/mdb_dump" -p -s text "$2" || echo "status $?"
}
# newer versions say in the usage that mdb_load takes -a
# without_names TOOLS LETTER - what failures prints, without the places of tools and environments
without_names() {
	sed -e "s|$1/||g; s/$2\.\(copy\|nowhere\|alone\)/DIR.\1/; s| \[-a\]||; s|none$2|none|" \
		-e "s/ $2 / DIR /; s/ $2\$/ DIR/; s/^$2:/DIR:/; s| $2/| DIR/|"
}
failures "$stock" S 2>&1 | without_names "$stock" S >S.failures
failures "$ours" O 2>&1 | without_names "$ours" O >O.failures
same "failures" S.failures O.failures

# ---- the other library's files -------------------------------------------------------------------

rm -f S2/lock.mdb
cksum S/data.mdb S/lock.mdb S2/data.mdb >before
for tool in mdb_stat mdb_dump mdb_load 'mdb_copy -c'; do
	for env in S S2; do
		"$ours"/$tool $env <input 2>&1 >/dev/null && echo "status 0" || echo "status $?"
	done
done >refused
"$kv" info S/data.mdb >/dev/null 2>&1 && echo "kv opened it" >>refused
cksum S/data.mdb S/lock.mdb S2/data.mdb >after
same "a file of LMDB's own is not touched" before after
[ ! -e S2/lock.mdb ] || { echo "FAIL: a lock file was made" && failed=1; }
if [ "$(grep -c -- '-30794\|MDB_VERSION_MISMATCH' refused)" -ne 8 ] ||
	grep -q 'status 0\|kv opened' refused; then
	echo "FAIL: a file of LMDB's own is not refused with MDB_VERSION_MISMATCH:" &&
		cat refused && failed=1
fi
"$stock/mdb_stat" O >refused 2>&1 && { echo "FAIL: LMDB opened a store" && failed=1; }
grep -q MDB_INVALID refused || { echo "FAIL: LMDB does not say MDB_INVALID:" && cat refused &&
	failed=1; }
LD_LIBRARY_PATH=$ours "$kv" import S none.kv 2>refused && failed=1
grep -q "daxkv's" refused || { echo "FAIL: kv import with daxkv's own library says:" &&
	cat refused && failed=1; }

# ---- copies are streams, and damage ends a dump or a copy ----------------------------------------

check() { # NAME COMMAND...
	name=$1
	shift
	if "$@" >out 2>&1; then
		echo "ok: $name"
	else
		echo "FAIL: $name" && cat out && failed=1
	fi
}
status() { # N COMMAND...: its status, its standard error in err
	wanted=$1
	shift
	got=0
	"$@" 2>err || got=$?
	[ "$got" -eq "$wanted" ] || { echo "status $got instead of $wanted" && cat err &&
		return 1; }
}
"$ours/mdb_copy" O | cat >piped.mdb
"$ours/mdb_copy" -c O | cat >packed.mdb
for copy in piped packed; do
	check "the copy through a pipe is sound: $copy" "$kv" check $copy.mdb
	"$kv" dump $copy.mdb >$copy.dump
	"$kv" dump O/data.mdb >O.dump
	same "its content: $copy" $copy.dump O.dump
done
into_nobody() { # COMMAND...: ends by SIGPIPE, without a word
	{ sleep 0.2 && env --default-signal=PIPE "$@" 2>err; echo $? >code; } | :
	[ "$(cat code)" -eq 141 ] && [ ! -s err ]
}
for tool in mdb_copy 'mdb_dump -a' 'mdb_stat -a'; do
	# shellcheck disable=SC2086 # the words of a command
	check "$tool into a pipe that nobody reads" into_nobody "$ours"/$tool O
	# shellcheck disable=SC2086
	check "$tool to a full device" status 1 sh -c '"$@" >/dev/full' sh "$ours"/$tool O
	check "$tool says so" grep -q 'No space left' err
done
mkdir bad
cp O/data.mdb bad/
# Some pages with such a key are old versions, which nobody reads: the last that the checker minds.
for at in $(LC_ALL=C grep -abo -e "$(printf 'k\001')" bad/data.mdb | cut -d: -f1 | tac); do
	printf 'K' | dd of=bad/data.mdb bs=1 seek="$at" conv=notrunc 2>dd.err
	"$kv" check bad/data.mdb >check.out 2>&1 || break
	printf 'k' | dd of=bad/data.mdb bs=1 seek="$at" conv=notrunc 2>dd.err
done
check "the store is damaged" status 4 "$kv" check bad/data.mdb
check "mdb_dump of it fails" status 1 "$ours/mdb_dump" -a bad
check "and says why" grep -q MDB_CORRUPTED err
check "mdb_copy of it fails" status 1 sh -c '"$1" bad >bad.copy' sh "$ours/mdb_copy"
check "and has written nothing" test ! -s bad.copy
exit $failed
