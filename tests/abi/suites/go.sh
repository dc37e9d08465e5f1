#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# go.sh - the tests of lmdb-go (golang-github-bmatsuo-lmdb-go-dev), linked with liblmdb.so.0 instead
# of the copy of LMDB that is among its sources.
set -eu
. "$(dirname "$0")/lib.sh"
sources=src/github.com/bmatsuo/lmdb-go

build() {
	need golang-go golang-github-bmatsuo-lmdb-go-dev liblmdb-dev
	mkdir -p "$place/gopath/$sources"
	cp -r "/usr/share/gocode/$sources/." "$place/gopath/$sources"
	cd "$place/gopath/$sources/lmdb"
	rm -f mdb.c midl.c midl.h lmdb.h
	sed -i 's/^#cgo linux,pwritev .*/#cgo LDFLAGS: -llmdb/' lmdb.go
	grep -q '^#cgo LDFLAGS: -llmdb' lmdb.go
	for part in lmdb lmdbscan; do
		cd "$place/gopath/$sources/$part"
		GO111MODULE=off GOFLAGS='' GOCACHE="$place/cache" GOPATH="$place/gopath" \
			go test -vet=off -c -o "$place/$part.test"
	done
}

run() { # SIDE
	use_side "$1"
	for part in lmdb lmdbscan; do
		timeout 600 "$place/$part.test" -test.v >"$part.out" 2>&1 || :
		sed -n "s/^ *--- PASS: \([^ ]*\).*/pass $part:\1/p
			s/^ *--- FAIL: \([^ ]*\).*/fail $part:\1/p" "$part.out"
	done
}

suite "$@"
