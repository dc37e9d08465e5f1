#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# run.sh - servers that replicate to each other, each on its own store, killed while they are
# written to.
#
# usage: BUILD=build tests/cluster/run.sh quick|full|ldap|knot
#   quick   OpenLDAP: three nodes, one killed; some ten seconds
#   ldap    ten times in memory and on a disk, with a node on LMDB, and with all nodes killed at
#           once; and with a library that forgets two commits, which has to be noticed
#   knot    Knot DNS: a primary and two secondaries, each killed in turn, ten times
#   full    ldap and knot; ten minutes
# What needs programs that are not there is skipped by its name. Memory is /dev/shm, the disk is
# TMPDIR or /tmp.
set -eu
. "$(dirname "$0")/../../scripts/usage.sh"
usage_asked "$@"
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
case $BUILD in
/*) ;;
*) BUILD=$PWD/$BUILD ;;
esac
export BUILD
memory=/dev/shm
[ -w "$memory" ] || memory=${TMPDIR:-/tmp}
disk=${TMPDIR:-/tmp}
failed=0

# cluster - one test, in a directory that is removed at the end; after a failure it stays, without
# servers.
cluster() { # NAME PLACE COMMAND ARGUMENT...
	name=$1
	place=$(mktemp -d "$2/daxkv-cluster.XXXXXX")
	shift 2
	status=0
	"$@" "$place/nodes" >"$place/out" 2>&1 || status=$?
	case $status in
	0) echo "ok: $name ($(stat -f -c %T "$place")): $(tail -n 1 "$place/out")" ;;
	77)
		sed -n "s/^skip: /skip: $name: /p" "$place/out"
		;;
	*)
		echo "FAIL: $name ($(stat -f -c %T "$place")), files in $place:"
		tail -n 20 "$place/out"
		failed=1
		return
		;;
	esac
	rm -rf "$place"
}

# forgetful - a cluster on a library that forgets: passes when the test says that entries are wrong.
forgetful() { # DIR
	ended=0
	scripts/ldap-cluster test --preload "$BUILD/tests/cluster/forget.so" "$1" >"$1.out" 2>&1 ||
		ended=$?
	[ "$ended" -ne 77 ] || cat "$1.out"
	[ "$ended" -eq 1 ] || return "$((ended == 0 ? 1 : ended))"
	grep 'not what was acknowledged\|different entries\|ended with\|do not agree' "$1.out"
}

nodes() { # NAME PLACE ARGUMENT...
	name=$1
	place=$2
	shift 2
	cluster "three nodes, $name" "$place" scripts/ldap-cluster test --rounds 10 "$@"
}

ldap() {
	nodes "one killed" "$memory"
	nodes "one killed" "$disk"
	nodes "one of them with LMDB, one killed" "$memory" --stock 2
	nodes "all killed at once" "$memory" --kill all
	nodes "all killed at once" "$disk" --kill all
	cluster "commits that are forgotten are noticed" "$memory" forgetful
}

case ${1:-quick} in
quick) cluster "three nodes, one killed" "$disk" scripts/ldap-cluster test ;;
ldap) ldap ;;
knot) cluster "Knot DNS" "$disk" tests/cluster/knot.sh --rounds 10 ;;
full)
	ldap
	cluster "Knot DNS" "$disk" tests/cluster/knot.sh --rounds 10
	;;
*)
	sed -n '3,/^set -eu/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
	exit 2
	;;
esac
exit "$failed"
