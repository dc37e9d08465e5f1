#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# edit.sh - kv create, put, get, del.
. "$(dirname "$0")/lib.sh"

t create exits 0 kv create a.kv
t "create needs a new file" unchanged a.kv exits 3 kv create a.kv
t "an empty store scans as nothing" exits 0 kv scan a.kv
t "it printed nothing" test ! -s "$log/out"
t "get of a missing key" exits 1 kv get a.kv k
t "del of a missing key" exits 1 kv del a.kv k
t put exits 0 kv put a.kv k v
get_is() { # FILE KEY TEXT [OPTION...]
	get_wanted=$3
	get_file=$1
	get_key=$2
	shift 3
	exits 0 kv get "$get_file" "$get_key" "$@" || return 1
	printf %s "$get_wanted" | cmp - "$log/out"
}
t "get gives the bytes, no newline" get_is a.kv k v
t "put replaces" exits 0 kv put a.kv k w
t "and get sees it" get_is a.kv k w
t "no-overwrite refuses" unchanged a.kv exits 3 kv put a.kv k x --no-overwrite
t "the value stays" get_is a.kv k w
t "no-overwrite of a new key" exits 0 kv put --no-overwrite a.kv k2 x
t "options before operands" get_is a.kv k2 x --pmem file
t "del" exits 0 kv del a.kv k2
t "it is gone" exits 1 kv get a.kv k2
t "del of a pair with another value" unchanged a.kv exits 1 kv del a.kv k other
t "del of a pair" exits 0 kv del a.kv k w
t "it is gone, too" exits 1 kv get a.kv k
t "an empty value" exits 0 kv put a.kv empty ''
t "reads back empty" get_is a.kv empty ''
t "commands but load and create make no store" exits 3 kv put missing.kv k v
t "none is there" test ! -e missing.kv

# ---- escapes

t "escapes in key and value" exits 0 kv put a.kv 'a\x00\\b' '\xFf\x0a\\'
t "scan prints them in one form" prints 'a\x00\\b	\xff\x0a\\' kv scan a.kv --prefix 'a\x00'
exits_get() { exits 0 kv get a.kv 'a\x00\x5cb' && printf '\377\n\\' | cmp - "$log/out"; }
t "get decodes the key and prints the bytes" exits_get
t "a lone backslash in the key" exits 2 kv get a.kv 'a\b'
t "a backslash at the end" exits 2 kv get a.kv 'a\'
t "a short escape" exits 2 kv get a.kv 'a\x0'
t "no hexadecimal digits" exits 2 kv put a.kv k '\xzz'
t "a lone backslash in the name" exits 2 kv get a.kv k --db '\'
t "a key that begins with a minus" exits 0 kv put a.kv -- -k -v
get_minus() { exits 0 kv get a.kv -- -k && printf %s -v | cmp - "$log/out"; }
t "reads back" get_minus

# ---- values from files and pipes

head -c 300000 /dev/urandom >big
: >nothing
t "put --from" exits 0 kv put a.kv big --from big
t "get --out" exits 0 kv get a.kv big --out big.out
t "the same bytes" cmp big big.out
from_pipe() { cat big | kv put a.kv piped -; }
t "put - from a pipe" from_pipe
from_file() { kv put a.kv redirected - <big; }
t "put - from a file" from_file
t "get to a pipe" sh -c '"$1" get a.kv piped | cmp - big' sh "$KV"
t "get to a file" sh -c '"$1" get a.kv redirected >redirected && cmp redirected big' sh "$KV"
t "--from an empty file" exits 0 kv put a.kv nothing --from nothing
t "is an empty value" get_is a.kv nothing ''
mkfifo fifo
from_fifo() {
	cat big >fifo &
	kv put a.kv fifo --from fifo
	from_fifo_status=$?
	wait $!
	return $from_fifo_status
}
t "--from a fifo" from_fifo
t "the fifo's bytes" sh -c '"$1" get a.kv fifo | cmp - big' sh "$KV"
t "--from a file that is missing" unchanged a.kv exits 3 kv put a.kv k --from no-such-file
t "--from a directory" unchanged a.kv exits 3 kv put a.kv k --from .
if [ -e /proc/self/mem ]; then
	t "--from a file that cannot be read" unchanged a.kv exits 3 kv put a.kv k --from \
		/proc/self/mem
else
	skip "--from a file that cannot be read" "there is no /proc/self/mem"
fi
short=/sys/kernel/mm/transparent_hugepage/enabled
if [ -r $short ] && [ "$(stat -c %s $short)" -gt "$(wc -c <$short | tr -d ' ')" ]; then
	t "--from a file with less in it than its size" exits 3 kv put a.kv short --from $short
	t "says so" says shrank
	t "and keeps nothing" exits 1 kv get a.kv short
else
	skip "--from a file with less in it than its size" "no such file is known here"
fi
t "both a value and --from" exits 2 kv put a.kv k v --from big
t "neither value nor --from" exits 2 kv put a.kv k
t "--out to a directory that is missing" exits 3 kv get a.kv big --out no/such/file
t "no --out file for a missing key" exits 1 kv get a.kv absent --out absent.out
t "none was made" test ! -e absent.out

if command -v script >"$log/which" && script -qec true none >"$log/script" 2>&1; then
	# shellcheck disable=SC2016 # for the shell in the terminal
	t "a newline behind the value on a terminal" \
		sh -c 'kv=$1 script -qec "\"\$kv\" get a.kv -- -k" none | tr -d "\r" >tty.out;
			printf "%s\n" -v | cmp - tty.out' sh "$KV"
else
	skip "the output on a terminal" \
		"script(1) is not installed, or there are no pseudo-terminals"
fi

# ---- named databases

t "get from a database that is missing" exits 1 kv get a.kv k --db users
t "put does not make it" unchanged a.kv exits 1 kv put a.kv k v --db users
t "create --db in a store that is there" exits 0 kv create a.kv --db users
t "not twice" unchanged a.kv exits 3 kv create a.kv --db users
t "create --db with a new store" exits 0 kv create b.kv --db x
t "put --db" exits 0 kv put a.kv k in-users --db users
t "get --db" get_is a.kv k in-users --db users
t "the main database has no such key" exits 1 kv get a.kv k
t "a name of any bytes" exits 0 kv create a.kv --db '\x00\x0a\\'
t "put there" exits 0 kv put a.kv k strange --db '\x00\x0a\\'
t "get there" get_is a.kv k strange --db '\x00\x0a\\'
t "an empty name" exits 2 kv create a.kv --db ''
t "the entry of a database cannot be put over" unchanged a.kv exits 2 kv put a.kv users v

# ---- flags

t "create --dup-sort" exits 0 kv create d.kv --db dup --dup-sort
for v in c a b a; do
	t "put $v" exits 0 kv put d.kv k $v --db dup
done
t "duplicates are sorted, each there once" prints "k	a
k	b
k	c" kv scan d.kv --db dup
t "get gives the first" get_is d.kv k a --db dup
t "del of one pair" exits 0 kv del d.kv k b --db dup
t "del of a pair that is missing" exits 1 kv del d.kv k b --db dup
t "the others stay" prints "k	a
k	c" kv scan d.kv --db dup
t "put --from with duplicates" exits 0 kv put d.kv k2 --from nothing --db dup
t "--no-overwrite with duplicates" exits 3 kv put d.kv k z --no-overwrite --db dup
t "del of a key takes all" exits 0 kv del d.kv k --db dup
t "nothing is left of it" exits 1 kv get d.kv k --db dup
t "a flag that does not suit the database" exits 2 \
	sh -c 'printf "k\tv\n" | "$1" load d.kv --db dup --integer-key' sh "$KV"
t "create --integer-key" exits 0 kv create d.kv --db int --integer-key
t "a key of 4 bytes" exits 0 kv put d.kv '\x00\x01\x00\x00' 256 --db int
t "a smaller one" exits 0 kv put d.kv '\x02\x00\x00\x00' 2 --db int
t "they are in the order of numbers" prints '\x02\x00\x00\x00	2
\x00\x01\x00\x00	256' kv scan d.kv --db int
t "a key of 3 bytes" exits 2 kv put d.kv abc v --db int
t "create --reverse-key" exits 0 kv create d.kv --db rev --reverse-key
t "put az" exits 0 kv put d.kv az 1 --db rev
t "put ba" exits 0 kv put d.kv ba 2 --db rev
t "last bytes first" prints "ba	2
az	1" kv scan d.kv --db rev
t "create --dup-fixed" exits 0 kv create d.kv --db fixed --dup-fixed
t "a first value" exits 0 kv put d.kv k 1234 --db fixed
t "a value of another size" exits 2 kv put d.kv k 123 --db fixed
t "create --integer-dup" exits 0 kv create d.kv --db intdup --integer-dup
t "256" exits 0 kv put d.kv k '\x00\x01\x00\x00' --db intdup
t "2" exits 0 kv put d.kv k '\x02\x00\x00\x00' --db intdup
t "duplicates in the order of numbers" prints 'k	\x02\x00\x00\x00
k	\x00\x01\x00\x00' kv scan d.kv --db intdup
t "create --reverse-dup" exits 0 kv create d.kv --db revdup --reverse-dup
t "za" exits 0 kv put d.kv k za --db revdup
t "ab" exits 0 kv put d.kv k ab --db revdup
t "duplicates by their last byte" prints "k	za
k	ab" kv scan d.kv --db revdup
t "flags of the main database" exits 0 kv create m.kv --dup-sort
t "they hold" sh -c '"$1" put m.kv k 2 && "$1" put m.kv k 1 &&
	test "$("$1" scan m.kv | wc -l)" -eq 2' sh "$KV"
for size in 4K 8192 16K 32768; do
	t "create --page-size $size" exits 0 kv create p$size.kv --page-size $size
	t "put there" exits 0 kv put p$size.kv k --from big
	t "check it" exits 0 kv check p$size.kv
done
t "a page size that is none" exits 2 kv create none.kv --page-size 5000
t "no store was made" test ! -e none.kv
t "create --initial-size" exits 0 kv create i.kv --initial-size 8M
t "the store is sound" exits 0 kv check a.kv
t "and the one with flags" exits 0 kv check d.kv

# ---- a named database is no value

t "a database" exits 0 kv create named.kv
t "in it" exits 0 kv create named.kv --db name
t "get of its name" exits 2 kv get named.kv name
t "says what it is" says "'name' is a named database"
t "nothing was printed" test ! -s "$log/out"
t "--out is not made for it" exits 2 kv get named.kv name --out name.out
t "indeed" test ! -e name.out
t "put does not replace it" exits 2 kv put named.kv name v
t "del does not remove it" exits 2 kv del named.kv name
t "a key of that name in a database" exits 0 kv put named.kv name v --db name
t "has its value" exits 0 kv get named.kv name --db name
finish
