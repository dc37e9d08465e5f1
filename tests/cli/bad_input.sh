#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# bad_input.sh - files that are no stores, damaged stores, refusals of the system: the status and
# the message are right, and the file is as it was.
. "$(dirname "$0")/lib.sh"

# each_command STATUS FILE - every command ends with the status and leaves the file alone.
each_command() {
	for each in 'put k v' 'get k' 'del k' scan dump list stat info check 'load /dev/null' \
		'create --db x'; do
		# shellcheck disable=SC2086 # a command and its operands
		set -- "$1" "$2" $each
		each_status=$1 each_file=$2 each_name=$3
		shift 3
		t "kv $each_name of $each_file" unchanged "$each_file" exits "$each_status" kv \
			"$each_name" "$each_file" "$@"
		t "kv $each_name names $each_file" says "$each_file"
		set -- "$each_status" "$each_file"
	done
}

# not_a_file COMMAND FILE... - status 3 or 4: the system may refuse to open it, or kv to take it for
# a store.
not_a_file() {
	not_status=0
	kv "$@" >"$log/out" 2>"$log/err" || not_status=$?
	case $not_status in
	3 | 4) grep -q "^kv $1: $2: " "$log/err" ;;
	*) echo "status $not_status: $(cat "$log/err")" && return 1 ;;
	esac
}

# has FILE KEY VALUE - get gives the value.
has() {
	[ "$(kv get "$1" "$2")" = "$3" ]
}

# ---- no stores

echo 'This is a text, not a store.' >text
cp "$(command -v sh)" elf
head -c 1000000 /dev/zero >zeros
head -c 1000000 /dev/urandom >noise
head -c 100 /dev/urandom >short-noise
for file in text elf zeros noise short-noise; do
	each_command 4 $file
	t "kv create of $file" unchanged $file exits 3 kv create $file
done
: >empty
for command in 'put k v' 'get k' 'del k' scan dump list stat info check; do
	# shellcheck disable=SC2086 # a command and its operands
	set -- $command
	name=$1
	shift
	t "kv $name of an empty file" unchanged empty exits 4 kv "$name" empty "$@"
done
cp empty empty-too
t "kv load makes a store of an empty file" exits 0 kv load empty-too /dev/null
t "a sound one" exits 0 kv check empty-too
t "kv create wants no file at all" unchanged empty exits 3 kv create empty
mkdir dir
for command in 'put k v' 'get k' scan check 'load /dev/null'; do
	# shellcheck disable=SC2086 # a command and its operands
	set -- $command
	name=$1
	shift
	t "kv $name of a directory" not_a_file "$name" dir "$@"
	[ "$name" = load ] || t "kv $name of a missing file" exits 3 kv "$name" missing "$@"
	t "kv $name below a missing directory" exits 3 kv "$name" no/such/file "$@"
	t "kv $name below a file" exits 3 kv "$name" text/file "$@"
done
t "no file was made" test ! -e missing
mkfifo fifo
t "a fifo" not_a_file get fifo k
t "a device" not_a_file get /dev/null k
if command -v mdb_load >"$log/which"; then
	printf 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\n k\n v\nDATA=END\n' >lmdb.in
	t "an LMDB file" mdb_load -n -f lmdb.in lmdb
	each_command 4 lmdb
	t "is named as such" says LMDB
else
	skip "a genuine LMDB file" "mdb_load is not installed"
fi

# ---- damaged stores

awk 'BEGIN { for (i = 0; i < 3000; i++) printf "key%05d\tvalue %d\n", i * 7, i }' >in.tsv
t "a good store" exits 0 kv load good.kv in.tsv
t "with a database" sh -c 'head -n 200 in.tsv | "$1" load good.kv --db other' sh "$KV"
head -c 50000 /dev/urandom >big
t "and a large value" exits 0 kv put good.kv big --from big
kv dump good.kv >good.dump
size=$(wc -c <good.kv)
used=$(kv info good.kv --json | sed -n 's/.*"used_bytes": \([0-9]*\).*/\1/p')

# verdict FILE COMMAND... - run a command that reads FILE: prints its status. Whatever is wrong with
# the file, the command ends by itself, with 0, or with 3 or 4 and one line that says why, and
# leaves the file alone; else the status of verdict is 1.
verdict() {
	verdict_file=$1 verdict_name=$2
	shift 2
	verdict_status=0
	kv "$verdict_name" "$verdict_file" "$@" >"$log/out" 2>"$log/err" || verdict_status=$?
	case $verdict_status in
	0) ;;
	3 | 4)
		grep -q "^kv $verdict_name: $verdict_file: " "$log/err" &&
			[ "$(wc -l <"$log/err")" -eq 1 ] || {
			echo "kv $verdict_name ends with $verdict_status and without one line:"
			cat "$log/err"
			return 1
		}
		;;
	*)
		echo "kv $verdict_name ends with $verdict_status: $(cat "$log/err")"
		return 1
		;;
	esac
	cmp "$verdict_file" victim.before
}

# refused FILE: no command takes the file for a store, and none changes it.
refused() {
	cp "$1" victim.before
	for command in dump check 'get key00007' 'put key00007 changed' 'load /dev/null'; do
		# shellcheck disable=SC2086 # a command and its operands
		set -- "$1" $command
		verdict "$@" || return 1
		[ "$verdict_status" -ne 0 ] || {
			echo "kv $2 takes it for a store"
			return 1
		}
	done
}

# found_or_harmless FILE: the damage is where nothing lies, and the entries are whole; or kv check
# finds it. What reads entries need not find it, because it verifies no checksums of pages; but it
# ends in order.
found_or_harmless() {
	cp "$1" victim.before
	verdict "$1" check || return 1
	found=$verdict_status
	[ "$found" -ne 3 ] || {
		cat "$log/err"
		return 1
	}
	verdict "$1" dump || return 1
	if [ "$found" -eq 0 ]; then
		[ "$verdict_status" -eq 0 ] && cmp "$log/out" good.dump || {
			echo "kv check finds nothing; kv dump ends with $verdict_status and differs"
			return 1
		}
	fi
	verdict "$1" get key00007 || [ "$verdict_status" -eq 1 ] || return 1
	change_in_order "$1"
}

# change_in_order FILE: a change ends in order, too; a store that was refused when it was opened
# stays as it is.
change_in_order() {
	status=0
	kv put "$1" key00007 changed >"$log/out" 2>"$log/err" || status=$?
	case $status in
	0) ;;
	4) ! grep -q 'cannot open the store' "$log/err" || cmp "$1" victim.before ;;
	*)
		echo "kv put ends with $status: $(cat "$log/err")"
		return 1
		;;
	esac
}

truncated() { # SIZE
	head -c "$1" good.kv >victim
	found_or_harmless victim
}
for at in 1 7 8 12 63 64 100 255 256 328 511 512 1024 4095 4096 4097 8192 20480 36863 36864 36865 \
	40960 45056 65536 \
	$((used / 4)) $((used / 2)) $((used / 2 + 1)) $((used * 3 / 4)) $((used - 4096)) \
	$((used - 1)) "$used" $((size - 1)); do
	[ "$at" -lt "$size" ] && [ "$at" -gt 0 ] || continue
	t "truncated to $at bytes" truncated "$at"
done
head -c $((used / 2)) good.kv >half
t "half a store is refused" unchanged half exits 4 kv dump half
head -c 4096 good.kv >first-page
t "a first page alone is refused" unchanged first-page exits 4 kv get first-page k
cp good.kv longer
head -c 12345 /dev/urandom >>longer
t "bytes behind the end" found_or_harmless longer

cp good.kv newer
flip newer 8 3
each_command 4 newer
cp good.kv magic
flip magic 3 1
each_command 4 magic
cp good.kv features
flip features 31 128
each_command 4 features

flipped() { # OFFSET MASK
	cp good.kv victim
	flip victim "$1" "$2"
	found_or_harmless victim
}
flipped_in_super() { # OFFSET MASK
	cp good.kv victim
	flip victim "$1" "$2"
	refused victim
}
offset=0
while [ "$offset" -lt 256 ]; do # all that the superblock's hash covers, and the hash
	t "byte $offset flipped" flipped_in_super "$offset" $((1 << offset % 8))
	offset=$((offset + 3))
done
for offset in 256 257 263 264 300 320 321 322 323 327 328 329 330 331 335 336 360 383 384 385 386 \
	387 391 392 400 4088 4095; do
	for mask in 1 16 128; do
		t "byte $offset flipped with $mask" flipped $offset $mask
	done
done
offset=4096
while [ "$offset" -lt 36864 ]; do # the ring
	t "byte $offset flipped" flipped "$offset" 4
	offset=$((offset + 1021))
done
offset=36864
step=$(((used - 36864) / 60 + 1))
while [ "$offset" -lt "$used" ]; do # pages
	t "byte $offset flipped" flipped "$offset" 32
	offset=$((offset + step))
done
t "the good store was not touched" sh -c '"$1" dump good.kv | cmp - good.dump' sh "$KV"

# ---- arguments that the store refuses

long=$(head -c 5000 /dev/zero | tr '\0' k)
t "an empty key" unchanged good.kv exits 2 kv put good.kv '' v
t "get of an empty key" unchanged good.kv exits 2 kv get good.kv ''
t "a key too long" unchanged good.kv exits 2 kv put good.kv "$long" v
t "get of a key too long" unchanged good.kv exits 2 kv get good.kv "$long"
t "a name too long" unchanged good.kv exits 2 kv create good.kv --db "$long"
t "another page size" unchanged good.kv exits 2 kv load good.kv /dev/null --page-size 8192
cp good.kv dup.kv
t "a database with duplicates" exits 0 kv create dup.kv --db dup --dup-sort
t "a duplicate too large" exits 2 kv put dup.kv k "$long" --db dup
t "the store is sound" exits 0 kv check dup.kv

# ---- limits

head -c 8000000 /dev/urandom >eight
t "a store of at most 4 MiB" exits 0 kv create max.kv --max-size 4M
t "a value beyond the maximum size" unchanged max.kv exits 2 kv put max.kv k --from eight \
	--max-size 4M
t "says how large it can be" says 'at most 4194304'
t "nothing of it is there" exits 1 kv get max.kv k
awk 'BEGIN { for (i = 0; i < 200000; i++) printf "key%06d\tvalue %d\n", i, i }' >many.tsv
t "many entries beyond the maximum size" exits 3 kv load max.kv many.tsv --max-size 4M --ack
acked=$(tail -n 1 "$log/out")
t "says so" says 'the store is full: .* at most 4194304'
t "some were committed" test "${acked:-0}" -ge 1000
kv create steps.kv --max-size 4M
kv load steps.kv many.tsv --max-size 4M --ack --batch 1000 >steps.out 2>steps.err
t "as much as fits by the thousand" test $((${acked:-0} * 10)) -ge $(($(tail -n 1 steps.out) * 9))
t "the file is not larger" test "$(wc -c <max.kv)" -le 4194304
t "the store is sound" exits 0 kv check max.kv
t "and has what was committed" \
	sh -c '"$1" scan max.kv >max.out && head -n "$2" many.tsv | cmp - max.out' sh "$KV" "$acked"

# One entry after the other, until not even one fits: what is there is whole, and room made by
# deleting is room for others.
awk 'BEGIN { for (i = 0; i < 3000; i++) printf "key%06d\t%03000d\n", i, i }' >wide.tsv
t "a store filled to the last record" exits 3 kv load full.kv wide.tsv --batch 1 --ack \
	--initial-size 2M --max-size 4M --pmem force
t "says so" says 'the store is full: .* at most 4194304'
acked=$(tail -n 1 "$log/out")
t "it is filled well" test "$((acked * 3000))" -ge $((4194304 * 6 / 10))
t "and not larger than allowed" test "$(wc -c <full.kv)" -le 4194304
t "the store is sound" exits 0 kv check full.kv
t "and has every entry" \
	sh -c '"$1" scan full.kv >full.out && head -n "$2" wide.tsv | cmp - full.out' sh "$KV" \
	"$acked"
wide=$(head -c 3000 /dev/zero | tr '\0' w)
t "reading a full store changes nothing" unchanged full.kv exits 0 kv get full.kv key000000
delete_many() {
	for key in 000100 000101 000102 000103 000104 000105 000106 000107 000108 000109 000110 \
		000111; do
		kv del full.kv key$key --max-size 4M || return 1
	done
}
t "keys of a full store are deleted" delete_many
t "the store is sound" exits 0 kv check full.kv
t "others fit again" sh -c 'for key in 1 2 3 4 5 6; do
	"$1" put full.kv new$key "$2" --max-size 4M || exit; done' sh "$KV" "$wide"
t "they are there" sh -c 'test "$("$1" get full.kv new6)" = "$2"' sh "$KV" "$wide"
t "all others, too" sh -c 'test "$("$1" scan full.kv --keys | wc -l)" -eq $(($2 - 12 + 6))' \
	sh "$KV" "$acked"
t "the file is not larger" test "$(wc -c <full.kv)" -le 4194304
t "the store is sound" exits 0 kv check full.kv
t "it goes on with more room" exits 0 kv load max.kv many.tsv --max-size 256M
t "and is sound" exits 0 kv check max.kv

# ---- another process has the store

cp good.kv busy.kv
mkfifo feed
"$KV" load busy.kv feed --batch 1 --ack >acks 2>load.err &
loader=$!
exec 9>feed
printf 'busy\t1\n' >&9
t "a loader is at work" wait_for grep -q 1 acks
t "a reader sees what was committed" has busy.kv busy 1
t "the store is sound" exits 0 kv check busy.kv
# the loader has no transaction while it waits for its input
"$KV" put busy.kv second 2 2>put.err 9>&- &
writer=$!
printf 'third\t3\n' >&9
t "the loader goes on" wait_for grep -q 2 acks
t "readers beside two writers" has busy.kv third 3
t "the other writer ends well" wait "$writer"
ln busy.kv alias.kv
for command in 'put k v' 'get k' check 'load /dev/null' 'create --db x'; do
	# shellcheck disable=SC2086 # a command and its operands
	set -- $command
	name=$1
	shift
	t "kv $name by another name of the store in use" unchanged busy.kv exits 3 kv "$name" \
		alias.kv "$@"
	t "kv $name says so" says 'another name'
done
exec 9>&-
t "the loader ends well" wait "$loader"
t "the other writer's entry is there" has busy.kv second 2
t "then the store can be used by any name" has alias.kv third 3
t "and is sound" exits 0 kv check busy.kv

cp good.kv killed.kv
"$KV" load killed.kv feed --batch 1 --ack >acks 2>load.err &
loader=$!
exec 9>feed
printf 'one\t1\ntwo\t2\n' >&9
t "another loader" wait_for grep -q 2 acks
kill -9 "$loader"
wait "$loader" 2>"$log/killed"
exec 9>&-
t "a store whose user was killed is readable" unchanged killed.kv exits 0 kv get killed.kv two
t "sound" unchanged killed.kv exits 0 kv check killed.kv
t "and writable" exits 0 kv put killed.kv three 3
t "with nothing lost" exits 0 kv get killed.kv one

# ---- a full disk

mkdir disk
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=6m kv-test disk 2>"$log/mount"; then
	at_end='umount disk'
	t "a store on a small disk" exits 0 kv load disk/full.kv in.tsv
	kv dump disk/full.kv >before
	t "a value larger than the disk" exits 3 kv put disk/full.kv k --from eight
	t "the content is as before" sh -c '"$1" dump disk/full.kv | cmp - before' sh "$KV"
	t "the store is sound" exits 0 kv check disk/full.kv
	t "many entries" exits 3 kv load disk/full.kv many.tsv
	t "the store is sound still" exits 0 kv check disk/full.kv
	t "and can be read" exits 0 kv get disk/full.kv key00007
	t "create with no room" exits 3 kv create disk/second.kv --initial-size 64M
	kv put good.kv eight --from eight
	t "--out to a full disk" exits 3 kv get good.kv eight --out disk/out
	umount disk && at_end=
else
	skip "a full disk" "mounting a small tmpfs needs root"
fi
finish
