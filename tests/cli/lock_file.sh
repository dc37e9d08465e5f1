#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# lock_file.sh - the lock file: made only beside a store, gone when making the store failed, and as
# open to everybody as the store itself, whoever comes first.
. "$(dirname "$0")/lib.sh"
chmod 755 "$scratch"

# ---- none beside what is no store ----------------------------------------------------------------

echo "some text" >text
: >empty
mkdir dir
for command in 'get F k' 'scan F' 'dump F' 'list F' 'stat F' 'info F' 'check F' 'readers F' \
	'put F k v' 'del F k'; do
	for file in text empty dir missing missing/store; do
		case $command:$file in
		put*:empty | put*:missing) continue ;; # makes a store, or says that there is none
		esac
		# shellcheck disable=SC2046,SC2086 # words
		"$KV" $(echo "$command" | sed "s|F|$file|") >"$log/out" 2>"$log/err" &&
			echo "$command $file succeeded" >>"$log/odd"
	done
done
t "no command worked on what is no store" test ! -e "$log/odd"
t "and no lock file was made" sh -c '! ls -d *-lock dir/*-lock 2>/dev/null'

t "a store that no disk has room for" exits 3 kv create huge --initial-size 4000000G
t "leaves nothing" sh -c '! ls -d huge* 2>/dev/null'
t "a store like another file" exits 3 kv create text
t "leaves no lock file" test ! -e text-lock
t "pages of a size that there is not" exits 2 kv create odd --page-size 5000
t "leave nothing" sh -c '! ls -d odd* 2>/dev/null'
t "an empty file becomes a store" exits 0 kv load empty /dev/null
t "which has one" test -e empty-lock
: >broken
t "a store" exits 0 kv create good
head -c 60000 good >broken
t "a store that was cut off" exits 4 kv get broken k
t "has none" test ! -e broken-lock

# ---- owner, group, permissions -------------------------------------------------------------------

# like FILE STORE - the same owner and group; and the permissions given.
like() { [ "$(stat -c '%u %g' "$1")" = "$(stat -c '%u %g' "$2")" ] &&
	[ "$(stat -c %a "$1")" = "$3" ]; }

for mode in 600 640 644 660 664; do
	kv create s || exit 2
	chmod $mode s
	for mask in 000 022 077; do
		for command in 'get s k' 'check s' 'put s k v'; do
			rm -f s-lock
			# shellcheck disable=SC2086 # words
			(umask $mask && "$KV" $command >"$log/out" 2>&1)
			t "mode $mode after kv $command, umask $mask" like s-lock s $mode
		done
	done
	rm -f s s-lock
done
kv create s || exit 2
chmod 444 s
rm s-lock
kv check s >"$log/out"
t "the owner of a store that is write-protected can announce what he reads" like s-lock s 644
rm -f s s-lock
(umask 007 && kv create s)
t "a new store's is like the store" like s-lock s 660

if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >"$log/which"; then
	skip "stores of other users" "that needs root and setpriv"
	finish
fi
cp "$KV" kv-copy
chmod 755 kv-copy
as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
if ! as_user ./kv-copy --version >"$log/as-user" 2>&1; then
	skip "stores of other users" "no other user can run kv here"
	finish
fi

# Root comes first, in the owner's own directory, in one of a common group, and in a shared one.
mkdir -m 755 own && chown 65534:65534 own
mkdir -m 2775 team && chown 0:100 team
mkdir -m 1777 shared
for dir in own team shared; do
	for mode in 600 644 660; do
		for command in 'get s k' 'check s' 'info s' 'put s k v' 'scan s'; do
			rm -f $dir/s $dir/s-lock
			kv create $dir/s || exit 2
			chown 65534:65534 $dir/s
			chmod $mode $dir/s
			rm $dir/s-lock
			# shellcheck disable=SC2086 # words
			(cd $dir && "$KV" $command >"$log/out" 2>&1)
			t "root's kv $command in $dir, mode $mode" like $dir/s-lock $dir/s $mode
			t "the owner writes" exits 0 as_user ./kv-copy put $dir/s k w
		done
	done
done

# Another user may read, and make files here: the owner is not kept out by what he leaves.
rm -f shared/s shared/s-lock
kv create shared/s || exit 2
kv put shared/s k v
chown 1:1 shared/s
rm shared/s-lock
t "a reader who is neither root nor owner" exits 0 as_user ./kv-copy get shared/s k
t "the owner writes" exits 0 setpriv --reuid=1 --regid=1 --clear-groups ./kv-copy put shared/s k w

# The LMDB-compatible library makes its lock file in the same way.
stat=${KV%/*}/lmdb/mdb_stat
if [ -x "$stat" ]; then
	mkdir -m 755 env && chown 65534:65534 env
	kv create env/data.mdb || exit 2
	chown 65534:65534 env/data.mdb
	chmod 640 env/data.mdb
	rm env/lock.mdb
	t "root's mdb_stat" exits 0 env LD_LIBRARY_PATH="${KV%/*}/lmdb" "$stat" env
	t "leaves a lock file like the store" like env/lock.mdb env/data.mdb 640
fi
finish
