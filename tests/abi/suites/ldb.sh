#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# ldb.sh - the C tests of Samba's ldb on its mdb backend, linked with liblmdb.so.0.
set -eu
. "$(dirname "$0")/lib.sh"

build() {
	need build-essential python3-dev pkg-config libtalloc-dev libtevent-dev libtdb-dev \
		libpopt-dev libcmocka-dev liblmdb-dev
	source_tree samba 'samba-*'
	cd "$tree/lib/ldb"
	PYTHON=/usr/bin/python3 ./configure --disable-python --bundled-libraries=NONE
	make
}

run() { # SIDE
	unpacked 'samba-*'
	bin=$tree/lib/ldb/bin
	use_side "$1"
	LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$bin/shared:$bin/shared/private
	export LD_LIBRARY_PATH
	export LDB_MODULES_PATH="$bin/modules/ldb" TEST_DATA_PREFIX="$place/$1"
	for test in ldb_mdb_mod_op_test ldb_lmdb_test ldb_mdb_kv_ops_test \
		ldb_key_value_sub_txn_mdb_test ldb_lmdb_free_list_test; do
		timeout 300 "$bin/$test" >"$test.out" 2>&1 || :
		sed -n "s/^\[       OK \] \(.*\)/pass $test:\1/p
			s/^\[  *\(FAILED\|ERROR\)  *\] \([a-z_0-9]*\)$/fail $test:\2/p" \
			"$test.out" |
			sort -u
	done
}

suite "$@"
