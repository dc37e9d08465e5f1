#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# python.sh - the tests of py-lmdb (python3-lmdb), its CPython extension linked with liblmdb.so.0.
# Its CFFI variant reads a key through a pointer after mdb_env_close, which no library promises: not
# run.
set -eu
. "$(dirname "$0")/lib.sh"

build() {
	need build-essential python3-dev python3-setuptools python3-pytest liblmdb-dev
	source_tree py-lmdb 'py-lmdb-*'
	cd "$tree"
	LMDB_FORCE_SYSTEM=1 /usr/bin/python3 setup.py build_ext --inplace
}

run() { # SIDE
	unpacked 'py-lmdb-*'
	use_side "$1"
	export LMDB_FORCE_CPYTHON=1 PYTHONDONTWRITEBYTECODE=1
	cd "$tree"
	timeout 600 /usr/bin/python3 -m pytest -p no:cacheprovider -v tests \
		>"$place/$1/out" 2>&1 || :
	sed -n 's/^\(tests[^ ]*\) PASSED.*/pass \1/p; s/^\(tests[^ ]*\) FAILED.*/fail \1/p' \
		"$place/$1/out"
}

suite "$@"
