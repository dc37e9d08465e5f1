#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# filesystems.sh - stores on disks that are full, on filesystems of several kinds, each in an image
# file: what needs no space works, what needs some is "No space left on device", nothing is SIGBUS,
# and nothing is lost. Needs root for the mounts.
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" -ne 0 ]; then
	skip "full disks" "mounting an image needs root"
	passed=1
	finish
fi
at_end='umount -l "$scratch"/*.m 2>/dev/null || :'

# mounted FS MIB - an empty filesystem of that kind and size at FS.m; 1 when this machine cannot
# have it.
mounted() {
	command -v "mkfs.$1" >"$log/which" || return 1
	truncate -s "$2M" "$1.img" || return 1
	case $1 in
	ext4) mkfs.ext4 -q "$1.img" ;;
	*) "mkfs.$1" -q "$1.img" ;;
	esac >"$log/mkfs" 2>&1 || return 1
	mkdir "$1.m" && mount -o loop "$1.img" "$1.m" 2>"$log/mount"
}

# filled DIR KIB - all but so many KiB of the filesystem at DIR are taken.
filled() {
	sync -f "$1"
	filled_kib=$(($(df -k --output=avail "$1" | tail -n 1) - $2))
	[ "$filled_kib" -le 0 ] || fallocate -l "${filled_kib}K" "$1/fill" 2>"$log/fill" || :
	[ "$2" -gt 0 ] || dd if=/dev/zero of="$1/fill" oflag=append conv=notrunc \
		bs=4k 2>"$log/fill" || :
	sync -f "$1"
}

# enospc COMMAND... - it succeeds, or says that there is no space.
enospc() {
	enospc_got=0
	"$@" >"$log/out" 2>"$log/err" || enospc_got=$?
	[ "$enospc_got" -eq 0 ] && return 0
	[ "$enospc_got" -lt 128 ] && says 'No space left on device'
}

# gets VALUE STORE KEY
gets() {
	[ "$(kv get "$2" "$3")" = "$1" ]
}

counted() { # STORE ENTRIES
	[ "$(kv scan "$1" | wc -l)" -eq "$2" ]
}

awk 'BEGIN { for (i = 0; i < 60000; i++) printf "key%06d\t%040d\n", i * 7919 % 60000, i }' >in.tsv
awk 'BEGIN { for (i = 0; i < 60000; i += 600) printf "key%06d\t%040d\n", i, i + 1 }' >changes.tsv

# A filesystem in memory is full to the last page: without a lock file a store is read from there,
# and a change says what it needs.
mkdir memory.m
if mount -t tmpfs -o size=512k none memory.m 2>"$log/mount"; then
	kv load memory.m/s - <<'END'
key	value
END
	rm memory.m/s-lock
	dd if=/dev/zero of=memory.m/fill bs=4k 2>"$log/fill" || :
	t "memory: get without room for a lock file" gets value memory.m/s key
	t "memory: del" exits 3 kv del memory.m/s key
	t "memory: says what it needs" says \
		'no room for the lock file memory.m/s-lock: a writer needs 4096 bytes .* No space'
	t "memory: and leaves nothing" test ! -e memory.m/s-lock
	truncate -s -8k memory.m/fill
	t "memory: with so much it works" exits 0 kv del memory.m/s key
	umount memory.m
else
	skip "memory" "this machine cannot mount it"
fi

for fs in ext4 xfs btrfs; do
	if ! mounted $fs 320; then
		skip "$fs" "this machine cannot have it"
		continue
	fi
	t "$fs: a store is loaded" exits 0 kv load $fs.m/s in.tsv
	t "$fs: info says that a full disk is an error" sh -c '"$1" info "$2" |
		grep -q "^full disk: an error"' sh "$KV" $fs.m/s
	filled $fs.m 1500
	t "$fs: less is free than the store is long: put" exits 0 kv put $fs.m/s key000001 new
	t "$fs: and del" exits 0 kv del $fs.m/s key000002
	kv put $fs.m/s key000002 again
	rm -f $fs.m/s-lock
	filled $fs.m 0
	t "$fs: get on a full disk without a lock file" gets new $fs.m/s key000001
	t "$fs: del there" enospc kv del $fs.m/s key000004
	[ "$enospc_got" -eq 0 ] || t "$fs: or it says what a writer needs" \
		says 'no room for the lock file .* remove another file there first'
	rm $fs.m/fill
	kv put $fs.m/s key000004 back
	kv put $fs.m/s key000001 newer # the lock file is there
	filled $fs.m 0
	t "$fs: changes of entries on a full disk" enospc kv load $fs.m/s changes.tsv
	t "$fs: and a removal" enospc kv del $fs.m/s key000003
	t "$fs: reading there" gets newer $fs.m/s key000001
	rm $fs.m/fill
	kv put $fs.m/s key000003 back
	t "$fs: nothing was lost" counted $fs.m/s 60000
	t "$fs: the store is sound" exits 0 kv check $fs.m/s
	kv create large --initial-size 64M
	cp --sparse=always --reflink=never large $fs.m/holes && rm large
	filled $fs.m 1500
	t "$fs: a hole that cannot be filled is an error" exits 3 \
		kv put $fs.m/holes key000001 newest
	t "$fs: which says why" says 'cannot allocate'
	rm -f $fs.m/holes $fs.m/fill
	if cp --reflink=always $fs.m/s $fs.m/shared 2>"$log/reflink"; then
		kv put $fs.m/shared key000001 shared
		filled $fs.m 0
		if [ $fs = btrfs ]; then # it cannot be asked to copy shared blocks
			rm $fs.m/fill
			t "$fs: info warns of shared blocks" sh -c '"$1" info "$2" |
				grep -q "^full disk: may end"' sh "$KV" $fs.m/shared
		else
			t "$fs: blocks that two stores share are copied first" \
				enospc kv load $fs.m/shared changes.tsv
			t "$fs: the other one is as before" gets newer $fs.m/s key000001
		fi
	fi
	umount $fs.m
done
finish
