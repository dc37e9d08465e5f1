#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# openldap.sh - OpenLDAP's own test scripts on its mdb backend, which has LMDB built in; see lib.sh.
# OPENLDAP_TESTS may name some of them, as test001 test002.
set -eu
. "$(dirname "$0")/lib.sh"

build() {
	need build-essential groff-base libltdl-dev libgnutls28-dev libsasl2-dev libargon2-dev
	source_tree openldap 'openldap-*'
	cd "$tree"
	# the package's source has no others
	cp -n debian/schema/*.schema debian/schema/*.ldif servers/slapd/schema/
	./configure --prefix="$place/installed" --enable-modules --enable-mdb=mod \
		--enable-ldap=mod --enable-meta=mod --enable-asyncmeta=mod --enable-relay=mod \
		--enable-null=mod --enable-sock=mod --enable-passwd=mod --enable-dnssrv=mod \
		--enable-overlays=mod --disable-autoca --enable-crypt --enable-spasswd \
		--enable-rlookups --enable-dynacl --enable-aci --enable-argon2 \
		--with-argon2=libargon2 --with-tls=gnutls --with-cyrus-sasl --without-systemd \
		--disable-slp --enable-dynamic --disable-static
	make depend
	make
}

# with_side - the module has LMDB inside: ours is loaded before it, and says its version.
with_side() { # SIDE COMMAND...
	with=
	[ "$1" = stock ] || with="DAXKV_PMEM=$1 DAXKV_LMDB_VERSION=$version LD_PRELOAD=$LIBRARY"
	shift
	# shellcheck disable=SC2086 # a list
	env $with "$@"
}

run() { # SIDE
	unpacked 'openldap-*'
	cd "$tree/tests"
	module=$tree/servers/slapd/back-mdb/.libs/back_mdb.so
	version=$(LC_ALL=C grep -a -o 'LMDB [0-9]*\.[0-9]*\.[0-9]*' "$module" |
		sed -n '1s/LMDB //p')
	mkdir -p "$place/$1"
	case $1 in
	stock) base=9110 ;;
	file) base=9210 ;;
	*) base=9310 ;;
	esac
	export SLAPD_BASEPORT=$base USER_TESTDIR="$place/$1/testrun"
	export SLEEP1="${SLEEP1:-5}" SLEEP2="${SLEEP2:-10}"
	for script in scripts/test*; do
		test=${script#scripts/}
		[ -x "$script" ] && [ "$test" = "${test%.py}" ] || continue
		case " ${OPENLDAP_TESTS:-${test%%-*}} " in *" ${test%%-*} "*) ;; *) continue ;; esac
		status=0
		log=$place/$1/$test.log
		with_side "$1" timeout -k 5 1200 ./run -b mdb "$test" </dev/null \
			>"$log" 2>&1 || status=$?
		if grep -qi 'test skipped\|skipping test\|disabled, test' "$log"; then
			: # it says what it lacks
		elif [ "$status" -eq 0 ]; then
			echo "pass $test"
		else
			echo "fail $test"
			rm -rf "$place/$1/$test.run"
			# its servers' logs and databases; sockets cannot be copied
			cp -r "$place/$1/testrun" "$place/$1/$test.run" 2>/dev/null || :
		fi
		ended_servers
	done
}

# ended_servers - a script that fails may leave servers behind: those of this side's directory are
# ended.
ended_servers() {
	for proc in /proc/[0-9]*; do
		case $(readlink "$proc/exe" 2>/dev/null) in
		"$tree"/servers/slapd/.libs/*) ;;
		*) continue ;;
		esac
		! tr '\0' '\n' <"$proc/cmdline" 2>/dev/null |
			grep -q "$USER_TESTDIR\|:${SLAPD_BASEPORT%0}[0-9]" ||
			kill -9 "${proc#/proc/}" 2>/dev/null || :
	done
}

suite "$@"
