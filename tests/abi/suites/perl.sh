#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# perl.sh - the tests of LMDB_File (liblmdb-file-perl), linked with liblmdb.so.0.
set -eu
. "$(dirname "$0")/lib.sh"

build() {
	need build-essential libperl-dev libtest-exception-perl liblmdb-dev
	source_tree liblmdb-file-perl '*[Ll][Mm][Dd][Bb]*-*'
	cd "$tree"
	# 0.14 has a function for Perl after 5.36 only, and uses it always
	perl Makefile.PL DEFINE="$(perl -e 'print "-Dmy_do_vecget=Perl_do_vecget" if $] < 5.037')"
	make
}

run() { # SIDE
	unpacked '*[Ll][Mm][Dd][Bb]*-*'
	use_side "$1"
	cd "$tree"
	for test in t/*.t; do
		timeout 300 perl -Mblib "$test" >"$place/$1/out" 2>"$place/$1/errors" || :
		sed -n "s|^ok \([0-9]*\).*|pass $test:\1|p
			s|^not ok \([0-9]*\).*|fail $test:\1|p" "$place/$1/out"
	done
}

suite "$@"
