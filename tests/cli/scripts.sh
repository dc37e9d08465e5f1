#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# scripts.sh - every script of the project answers --help, and a wrong option is an error and
# nothing else. Also what single scripts refuse.
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/lib.sh"

# helps SCRIPT - says on the standard output what it is and how it is called
helps() {
	timeout 20 "$top/$1" --help >"$log/out" 2>"$log/err" </dev/null || return 1
	[ ! -s "$log/err" ] && grep -q "${1##*/}" "$log/out" && grep -q usage: "$log/out"
}

# refuses SCRIPT ARGUMENT... - status 2, a message on the standard error, nothing done
refuses() {
	refuses_script=$1
	shift
	refuses_status=0
	timeout 20 "$top/$refuses_script" "$@" >"$log/out" 2>"$log/err" </dev/null ||
		refuses_status=$?
	[ "$refuses_status" -eq 2 ] && [ -s "$log/err" ] && [ ! -s "$log/out" ] && return 0
	echo "status $refuses_status:"
	cat "$log/out" "$log/err"
	return 1
}

found=0
for script in $(cd "$top" && find scripts bench tests -type f -perm -u+x ! -path tests/vm/init); do
	case $(head -n 1 "$top/$script") in
	'#!/bin/sh') ;;
	'#!/usr/bin/env python3')
		if ! command -v python3 >"$log/which"; then
			skip "$script" "python3 is not installed"
			continue
		fi
		;;
	*) continue ;;
	esac
	found=$((found + 1))
	t "$script --help" helps "$script"
	t "$script --nonsense" refuses "$script" --nonsense
done
t "there are scripts" test "$found" -ge 15

t "run-tests: no such suite" refuses scripts/run-tests nonsense
t "check-distros: no such system" refuses scripts/check-distros --systems debian-1
t "check-distros: no list" refuses scripts/check-distros --systems
t "crash-storm: no number" refuses scripts/crash-storm --rounds many
t "bench-instructions: no number" refuses scripts/bench-instructions --limit much
t "demo: no argument" refuses scripts/demo store
t "plot: one argument" refuses bench/plot results.csv

# The devices of a guest lay out an image in different ways.
if command -v python3 >"$log/which"; then
	t "dax-vm: no command" refuses scripts/dax-vm run
	t "dax-vm: no such device" refuses scripts/dax-vm run --device tape -- true
	: >image
	echo nvdimm ext4 >image.made
	t "dax-vm: an image of the nvdimm as a disk" sh -c '
		"$1/scripts/dax-vm" run --device disk --image image -- true >out 2>err;
		test $? -eq 2 &&
		grep -q "made with --device nvdimm --filesystem ext4" err' sh "$top"
	t "dax-vm: an image of another filesystem" sh -c '
		"$1/scripts/dax-vm" run --filesystem xfs --image image -- true >out 2>err;
		test $? -eq 2' sh "$top"
	t "format-hexdump: no store" sh -c '
		"$1/scripts/format-hexdump" image 2>err; test $? -eq 1 &&
		grep -q "image is no store" err' sh "$top"
	kv create store
	t "format-hexdump: a store" "$top/scripts/format-hexdump" store
fi

# find-engines names a version that pkg-config does not know.
mkdir bin
printf '#!/bin/sh\nexit 1\n' >bin/pkg-config
chmod +x bin/pkg-config
t "find-engines without a version" sh -c '
	PATH=$PWD/bin:$PATH "$1/bench/find-engines" cflags >out 2>err &&
	grep -q "RocksDB of unknown version" out && ! [ -s err ]' sh "$top"

# A compiler for another machine is refused, by the machine's name, before anything is compiled.
cat >bin/cc32 <<'END'
#!/bin/sh
exec "${REAL_CC:-cc}" -U__SIZEOF_POINTER__ -D__SIZEOF_POINTER__=4 "$@"
END
chmod +x bin/cc32
t "32 bits" sh -c 'CC=$PWD/bin/cc32 "$1/scripts/install-deps" --check --build 2>err;
	test $? -eq 1 &&
	grep -q "daxkv needs a 64-bit machine" err' sh "$top"
t "32 bits, make" sh -c '! make -C "$1" CC="$PWD/bin/cc32" BUILD="$PWD/build" all >out 2>&1 &&
	grep -q "daxkv needs a 64-bit machine" out && ! [ -e build/obj ]' sh "$top"
cat >bin/ccbe <<'END'
#!/bin/sh
exec cc -D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__ -w "$@"
END
chmod +x bin/ccbe
t "big-endian" sh -c 'CC=$PWD/bin/ccbe "$1/scripts/install-deps" --check --build 2>err;
	test $? -eq 1 &&
	grep -q "little-endian machine" err' sh "$top"
cat >bin/ccbare <<'END'
#!/bin/sh
# ccbare - finds no library but the C library, and that only unless NO_LIBC is set
case "$*" in
*-fsyntax-only* | -print-* | -dump*) exec "${REAL_CC:-cc}" "$@" ;;
*-lc) [ -n "${NO_LIBC:-}" ] || exit 0 ;;
esac
exit 1
END
chmod +x bin/ccbare
t "missing packages are named" sh -c 'CC=$PWD/bin/ccbare "$1/scripts/install-deps" --check 2>err;
	test $? -eq 1 &&
	grep -q "apt-get install libpmem-dev liblmdb-dev libcmocka-dev" err' sh "$top"
t "the C library's headers, too" sh -c '
	NO_LIBC=1 CC=$PWD/bin/ccbare "$1/scripts/install-deps" --check --build 2>err;
	test $? -eq 1 &&
	grep -q "apt-get install libc6-dev libpmem-dev\$" err' sh "$top"
# A cross compiler brings its own objcopy: the machine need not have one.
cat >bin/cccross <<'END'
#!/bin/sh
case $1 in
-print-prog-name=objcopy) echo "${0%/*}/objcopy-cross" ;;
-dumpmachine) echo pdp11-unknown-linux-gnu ;;
*) exec "${0%/*}/ccbare" "$@" ;;
esac
END
chmod +x bin/cccross
mkdir tools
for tool in sh make mktemp rm dirname basename sed sort uname; do
	ln -s "$(command -v "$tool")" "tools/$tool"
done
cross() { # PACKAGES - what is missing
	! PATH=$PWD/tools CC=$PWD/bin/cccross "$top/scripts/install-deps" --check --build 2>err &&
		grep -q "for pdp11-unknown-linux-gnu, .*: $1\$" err
}
t "a cross compiler without objcopy" cross "build-essential libpmem-dev"
: >bin/objcopy-cross
chmod +x bin/objcopy-cross
t "and with one" cross libpmem-dev
t "and only what a build needs" sh -c '
	CC=$PWD/bin/ccbare "$1/scripts/install-deps" --check --build 2>err; test $? -eq 1 &&
	grep -q "apt-get install libpmem-dev\$" err' sh "$top"

# patient: the status is the command's, and it does not stay silent.
t "patient: the status" sh -c '"$1/scripts/patient" text log sh -c "exit 7";
	test $? -eq 7' sh "$top"
t "patient: the output" sh -c '"$1/scripts/patient" text log echo said &&
	test "$(cat log)" = said' sh "$top"
t "patient: SIGINT is not ignored" sh -c '"$1/scripts/patient" text log \
	sh -c "kill -INT \$\$; echo alive"; ! grep -q alive log' sh "$top"
t "patient: speaks" sh -c '"$1/scripts/patient" text log sleep 9 >out;
	grep -q "text: 8 s so far" out' sh "$top"

# linker-hint: nothing to say of a staged tree; a directory that is not searched is named.
t "linker-hint: staged" sh -c 'test -z "$(DESTDIR=/stage LIBDIR=/usr/local/lib SONAME=x.so \
	"$1/scripts/linker-hint")"' sh "$top"
t "linker-hint: not searched" sh -c 'LIBDIR=$PWD SONAME=x.so "$1/scripts/linker-hint" |
	grep -q "does not search $PWD"' sh "$top"
finish
