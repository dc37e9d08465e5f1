#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# read_only.sh - stores that may only be read: files, directories and filesystems without write
# permission, other users' stores, and stores whose user was killed. Reading works, shows everything
# that was acknowledged, and changes and leaves nothing.
. "$(dirname "$0")/lib.sh"
chmod 755 "$scratch"

if [ "$(id -u)" -ne 0 ]; then
	as_user() { "$@"; }
	user_is='this user'
elif command -v setpriv >"$log/which"; then
	as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
	user_is=nobody
else
	user_is=
fi
cp "$KV" kv-copy
chmod 755 kv-copy

# reads DIR FILE - every reading command, as the user, on FILE in DIR, which must have the entries
# of in.tsv; neither changes.
reads() {
	ls -a "$1" >"$log/ls"
	reads_dir=$1 reads_file=$1/$2
	for reads_command in 'get key00007' scan dump list stat info check 'scan --db other' \
		'list --json' 'get big --out /dev/null'; do
		# shellcheck disable=SC2086 # a command and its operands
		set -- $reads_command
		reads_name=$1
		shift
		t "$reads_command of $reads_file" unchanged "$reads_file" exits 0 as_user \
			./kv-copy "$reads_name" "$reads_file" "$@"
	done
	t "every entry of $reads_file" sh -c 'grep -v ^big "$1" | cmp - in.tsv' \
		sh "$scratch/scanned"
	t "no file came to $reads_dir" sh -c 'ls -a "$1" | cmp - "$2"' sh "$reads_dir" "$log/ls"
}
# scanned FILE - the main database as the user sees it.
scanned() { as_user ./kv-copy scan "$1" >scanned; }
# refuses FILE - every changing command, as the user; FILE stays.
refuses() {
	refuses_file=$1
	for refuses_command in 'put k v' 'del key00007' 'load /dev/null' 'create --db x'; do
		# shellcheck disable=SC2086 # a command and its operands
		set -- $refuses_command
		refuses_name=$1
		shift
		t "$refuses_command of $refuses_file" unchanged "$refuses_file" exits 3 as_user \
			./kv-copy "$refuses_name" "$refuses_file" "$@"
		t "names it" says "$refuses_file"
	done
}

awk 'BEGIN { for (i = 0; i < 3000; i++) printf "key%05d\tvalue %d\n", i * 7, i }' >in.tsv
head -c 50000 /dev/urandom >big
mkdir store
t "a store" exits 0 kv load store/clean.kv in.tsv
t "with a database" exits 0 kv load store/clean.kv in.tsv --db other
t "and a large value" exits 0 kv put store/clean.kv big --from big

# The same content by single commits, and its writer killed: the last entries are in the ring alone.
mkfifo feed
kv create store/killed.kv --db other
kv put store/killed.kv big --from big
"$KV" load store/killed.kv feed --batch 1 --ack >acks 2>load.err &
loader=$!
at_end='kill -9 $loader 2>/dev/null'
exec 9>feed
cat in.tsv >&9
t "a loader has stored all" wait_for grep -qx 3000 acks
kill -9 "$loader"
wait "$loader" 2>"$log/killed"
at_end=
exec 9>&-
t "it left the store unclean" sh -c '"$1" info store/killed.kv | grep -q "^last use: not closed"' \
	sh "$KV"

if [ -z "$user_is" ] || ! as_user ./kv-copy --version >"$log/as-user" 2>&1; then
	skip "permissions" "this is root and no other user can run kv here"
else
	# Each state of the directory: with lock files of another user, read-only, and without lock
	# files.
	for store in clean killed; do
		chmod 444 store/$store.kv
		t "another user scans" scanned store/$store.kv
		reads store $store.kv
		refuses store/$store.kv
	done
	rm -f store/*-lock
	chmod 555 store
	for store in clean killed; do
		t "scan in a read-only directory" scanned store/$store.kv
		reads store $store.kv
		refuses store/$store.kv
	done
	t "create in a read-only directory" exits 3 as_user ./kv-copy create store/new.kv
	t "load in a read-only directory" exits 3 as_user ./kv-copy load store/new.kv in.tsv
	t "nothing was made" test ! -e store/new.kv
	chmod 755 store
	cp store/clean.kv store/secret.kv
	chmod 000 store/secret.kv
	for command in 'get key00007' 'put k v' scan check info; do
		# shellcheck disable=SC2086 # a command and its operands
		set -- $command
		name=$1
		shift
		t "$name without permission" exits 3 as_user ./kv-copy "$name" store/secret.kv "$@"
		t "says so" says 'Permission denied'
	done
	chmod 644 store/*.kv
fi

mkdir disk
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=16m kv-test disk 2>"$log/mount"; then
	at_end='umount disk'
	cp store/clean.kv store/killed.kv disk
	mount -o remount,ro disk
	as_user() { "$@"; }
	for store in clean killed; do
		t "scan on a read-only filesystem" scanned disk/$store.kv
		reads disk $store.kv
		refuses disk/$store.kv
	done
	umount disk && at_end=
else
	skip "a read-only filesystem" "mounting a small tmpfs needs root"
fi

t "the unclean store can be written again" exits 0 kv put store/killed.kv more 1
t "is closed then" sh -c '"$1" info store/killed.kv | grep -q "^last use: closed"' sh "$KV"
t "is sound" exits 0 kv check store/killed.kv
t "and has lost nothing" sh -c '"$1" scan store/killed.kv --prefix key | cmp - in.tsv' sh "$KV"
finish
