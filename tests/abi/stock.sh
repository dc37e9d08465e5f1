# SPDX-License-Identifier: BSD-3-Clause
# stock.sh - what the tests that compare with the installed LMDB must know of its version. Read by
# them with ".".
#
# A fault or a novelty of another LMDB is no failure of daxkv: where the tools of lmdb-utils differ
# from version to version, the tests ask here instead of expecting one version's output.
#
# stock_probe DIRECTORY LOADER - sets, from what the installed tools do in the empty DIRECTORY:
#   stock_load      the command that loads dumps with the installed library: mdb_load, or LOADER
#                   where mdb_load loses the flags of a database (in LMDB 0.9.31 it does, and so
#                   merges duplicates)
#   stock_flags     yes when mdb_load keeps the flags
#   stock_escapes   yes when mdb_dump -p writes a backslash twice; 0.9.24 writes it once, and
#                   cannot load that
# LOADER: build/tests/abi/load-stock, which is this project's mdb_load linked with the installed
# library.
stock_probe() {
	mkdir -p "$1/probe"
	printf '%s\n' VERSION=3 format=bytevalue database=d type=btree dupsort=1 HEADER=END \
		' 5c' ' 31' ' 5c' ' 32' DATA=END |
		mdb_load "$1/probe" 2>/dev/null || :
	mdb_dump -p -s d "$1/probe" >"$1/probe.dump"
	stock_flags=no stock_load=$2
	if grep -q '^dupsort=1' "$1/probe.dump"; then
		stock_flags=yes stock_load=$(command -v mdb_load)
	fi
	stock_escapes=no
	if grep -q '^ \\\\$' "$1/probe.dump"; then
		stock_escapes=yes
	fi
	rm -rf "$1/probe" "$1/probe.dump"
}

# stock_printed - of what the installed mdb_dump -p has printed: each backslash as \5c.
stock_printed() {
	if [ "$stock_escapes" = yes ]; then
		sed 's/\\\\/\\5c/g'
	else
		cat
	fi
}
