#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# paths.sh - other people's files stay as they are; symbolic links to a store; paths that lead
# nowhere.
stock=$(cd "$(dirname "$0")/../abi" && pwd)/stock.sh
. "$(dirname "$0")/lib.sh"
. "$stock"
lmdb=${KV%/*}/lmdb
both() { LD_LIBRARY_PATH="$lmdb" "$lmdb/$@"; } # a tool with the LMDB-compatible library

# ---- somebody else's files -----------------------------------------------------------------------

echo "notes that somebody keeps" >t-lock
for command in 'create t' 'create t --db x' 'load t /dev/null'; do
	# shellcheck disable=SC2086 # words
	t "kv $command beside a file t-lock" unchanged t-lock exits 4 kv $command
	t "which is named" says 't-lock is in the way'
	t "and no store is made" test ! -e t
done
cp t-lock notes
rm t-lock
kv create t && kv put t k v
cp notes t-lock
for command in 'get t k' 'put t k w' 'del t k' 'scan t' 'dump t' 'list t' 'stat t' 'info t' \
	'check t' 'readers t' 'load t /dev/null'; do
	# shellcheck disable=SC2086 # words
	t "kv $command beside a file t-lock" unchanged t-lock exits 4 kv $command
	t "which is named" says 't-lock is in the way'
done
rm t-lock
has() { [ "$(kv get "$1" k)" = v ]; }
t "without it" has t

kv create s
t "a store with the name of a lock file" unchanged s-lock exits 3 kv create s-lock
t "the other store is sound" exits 0 kv check s
kv create u-lock
t "a store of that name is no lock file" unchanged u-lock exits 4 kv create u

cp notes v.daxkv-new
t "the name that new stores have for a moment" unchanged v.daxkv-new exits 0 kv create v
t "it is a store" exits 0 kv check v

t "--out over the store" unchanged t exits 2 kv get t k --out t
t "--out over the lock file" exits 2 kv get t k --out t-lock
t "leaves it" test "$(head -c 7 t-lock)" = daxkvlk
ln -s t out-link
t "--out over the store by a link" unchanged t exits 2 kv get t k --out out-link
echo "a long line that was there before" >out
t "--out over another file" exits 0 kv get t k --out out
t "which has the value alone" test "$(cat out)" = v
t "--out to what is no file" exits 0 kv get t k --out /dev/null

if command -v mdb_load >"$log/which"; then
	cp notes x.mdb-lock
	t "export beside a file x.mdb-lock" unchanged x.mdb-lock exits 0 kv export t x.mdb
	t "import beside it" unchanged x.mdb-lock exits 3 kv import x.mdb y
	t "which is named" says "x.mdb-lock' is in the way"
	t "nothing was made" test ! -e y
	rm x.mdb-lock
	t "import without it" exits 0 kv import x.mdb y
	t "has it all" has y
	mkdir taken && cp notes taken/data.mdb
	t "export over a file" unchanged taken/data.mdb exits 3 kv export t taken
	mkdir stock && mdb_stat stock >"$log/stat" 2>&1
	printf 'k\nv\n' | mdb_load -T stock
	mkdir env && cp stock/lock.mdb env/ && cp stock/lock.mdb w-lock
	if [ -x "$lmdb/mdb_stat" ]; then
		t "LMDB's lock file without users becomes the store's" exits 0 kv import stock \
			env/data.mdb
		t "for LMDB's programs, too" \
			sh -c '[ "$(LD_LIBRARY_PATH=$1 "$1/mdb_dump" -p env |
			grep -c "^ v")" = 1 ]' sh "$lmdb"
		cp notes env/lock.mdb
		refused() { ! both mdb_dump "$1" && grep -q MDB_INVALID "$log/report"; }
		t "another file called lock.mdb stays" unchanged env/lock.mdb refused env
		t "and is named by kv" unchanged env/lock.mdb exits 4 kv get env/data.mdb k
		rm env/lock.mdb
	fi
	t "beside a new store as well" exits 0 kv create w
	if command -v python3 >"$log/which"; then
		cp stock/lock.mdb s-in-use-lock
		python3 -c 'import fcntl, time
f = open("s-in-use-lock", "r+b")
fcntl.lockf(f, fcntl.LOCK_SH, 1, 0)
open("locked", "w").close()
time.sleep(300)' &
		holder=$!
		wait_for test -e locked
		t "LMDB's lock file in use" unchanged s-in-use-lock exits 3 kv create s-in-use \
			--wait 0
		t "by a process" says "process $holder"
		kill $holder
		wait $holder 2>"$log/killed"
	else
		skip "LMDB's lock file in use" "python3 is not installed"
	fi
else
	skip "LMDB's lock files" "lmdb-utils is not installed"
fi

# ---- symbolic links ------------------------------------------------------------------------------

mkdir real links
ln -s ../real/s links/s
ln -s links/s chain
t "a link to a store that is not there yet" exits 0 kv create chain
t "leads to it" test -f real/s -a -L chain -a -L links/s
t "its lock file is beside it" test -f real/s-lock
count() { # STORE PREFIX
	i=0
	while [ $i -lt 200 ]; do
		"$KV" put "$1" "$2$i" x || echo "put $1 $2$i" >>"$log/lost"
		i=$((i + 1))
	done
}
count real/s a &
first=$!
count chain b &
count "$scratch/links/s" c
wait $first
wait
t "three processes write by three names" test ! -e "$log/lost"
t "and nothing is lost" sh -c '[ "$("$1" scan real/s | wc -l)" -eq 600 ]' sh "$KV"
t "it is sound" exits 0 kv check chain
t "no link has a lock file" sh -c '! ls chain-lock links/s-lock 2>/dev/null'
if [ -x "$lmdb/mdb_load" ]; then
	mkdir dir
	ln -s dir dir-link
	printf 'k\nv\n' | both mdb_load -T dir-link
	ln -s dir/data.mdb file-link
	t "kv by a link to a directory's store" exits 0 kv put file-link k2 v2
	t "shares the directory's lock file" \
		sh -c '! ls file-link-lock dir/data.mdb-lock 2>/dev/null && [ -e dir/lock.mdb ]'
	printf 'k3\nv3\n' | both mdb_load -n -T file-link
	t "MDB_NOSUBDIR by a link, too" sh -c '! ls file-link-lock dir/data.mdb-lock 2>/dev/null'
	t "all is there" sh -c '[ "$("$1" scan dir/data.mdb | wc -l)" -eq 3 ]' sh "$KV"
	ln -s nowhere dangling
	printf 'k\nv\n' | both mdb_load -n -T dangling
	t "MDB_NOSUBDIR makes a store through a link" test -f nowhere -a -f nowhere-lock \
		-a -L dangling
fi
ln -s other one
ln -s one other
t "links that lead to each other" exits 3 kv create one
t "are named" says 'one: symbolic links that lead to each other'
ln -s missing/s lost
t "a link into a directory that is missing" exits 3 kv create lost
t "says so" says 'directory missing is missing'
printf 'k' >bad.dump
ln -s fresh fresh-link
t "a load that fails through a link" exits 2 kv load --format mdb fresh-link bad.dump
t "leaves the link alone" sh -c '[ -L fresh-link ] && ! [ -e fresh ] && ! [ -e fresh-lock ]'

# ---- paths that lead nowhere ---------------------------------------------------------------------

: >file
for command in 'create P' 'load P /dev/null' 'get P k' 'put P k v' 'del P k' 'scan P' 'dump P' \
	'list P' 'stat P' 'info P' 'check P' 'readers P'; do
	for path in absent/s absent/deep/s file/s; do
		# shellcheck disable=SC2046,SC2086 # words
		t "kv $command, $path" exits 3 kv $(echo "$command" | sed "s|P|$path|")
		case $path in
		absent/*) t "says what is missing" says \
			'the directory absent\(/deep\)\? is missing' ;;
		*) t "says what is no directory" says 'file: Not a directory' ;;
		esac
		t "and does not speak of a lock file" sh -c '! grep -q -e -lock "$1"' sh "$log/err"
	done
done
t "a value to a directory that is missing" exits 3 kv get t k --out absent/out
t "says where" says 'absent/out'
if [ "$(id -u)" -eq 0 ] && command -v setpriv >"$log/which"; then
	chmod 755 "$scratch"
	cp "$KV" kv-copy && chmod 755 kv-copy
	user() { setpriv --reuid=65534 --regid=65534 --clear-groups ./kv-copy "$@"; }
	if user --version >"$log/as-user" 2>&1; then
		mkdir -m 755 readable && mkdir -m 700 closed && cp t closed/s
		for command in 'create readable/s' 'load readable/s /dev/null'; do
			# shellcheck disable=SC2086 # words
			t "kv $command of another user" exits 3 user $command
			t "names it" says 'no file can be made in the directory readable'
		done
		t "a store in a closed directory" exits 3 user get closed/s k
		t "names it" says 'the directory closed: Permission denied'
	fi
fi
finish
