#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# knot.sh - Knot DNS over daxkv: a primary and two secondaries that keep their zones in LMDB's
# journal, which is a daxkv store here. Zones are changed by RFC 2136 updates while one server after
# the other is killed. At the end of each round all records of all zones, got by AXFR, are equal on
# the three servers, and what was acknowledged is among them; the checker has nothing to say of any
# store of a server that was killed.
#
# usage: BUILD=build tests/cluster/knot.sh [--rounds N] DIR
# DIR is made, and removed when all is right.
# Ends with 77 where knotd, knotc, kdig or knsupdate are not there. Everything listens on 127.0.0.1
# only.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/scripts/usage.sh"
usage_asked "$@"
BUILD=${BUILD:-build}
case $BUILD in
/*) ;;
*) BUILD=$here/$BUILD ;;
esac
PATH=$PATH:/usr/sbin:/sbin
rounds=10
if [ "${1:-}" = --rounds ]; then
	rounds=${2:-}
	shift 2
fi
case ${1:-} in '' | -*) usage_wrong "a directory is expected" ;; esac
case $rounds in '' | *[!0-9]*) usage_wrong "--rounds has a number" ;; esac
dir=$1
zones="one.test two.test three.test four.test signed.test"
records=2000
updates=60 # of a zone, in a round

fail() {
	echo "knot: $*" >&2
	exit 1
}

for program in knotd knotc kdig knsupdate; do
	command -v $program >/dev/null || {
		echo "skip: knot: needs $program (Debian: knot, knot-dnsutils)"
		exit 77
	}
done
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
[ -z "$(ls -A "$dir")" ] || fail "$dir is not empty"

# ---- servers -------------------------------------------------------------------------------------

ports=$(cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp 2>/dev/null | awk -v seed="$$$(date +%N)" '
	{ split($2, address, ":"); used[address[2]] = 1 }
	END {
		srand(seed % 2147483647)
		for (n = 0; n < 3;) {
			port = 20000 + int(rand() * 12000)
			if (!(sprintf("%04X", port) in used)) {
				used[sprintf("%04X", port)] = 1
				print port
				n++
			}
		}
	}')

port() { # SERVER
	echo "$ports" | sed -n "$1p"
}

# configure - server 1 is the primary: it loads zone files, and keeps what changes in the journal
# alone. The secondaries keep whole zones there.
configure() { # SERVER
	cat <<-END
		server:
		  rundir: "$dir/$1"
		  listen: 127.0.0.1@$(port "$1")
		  udp-workers: 1
		  tcp-workers: 2
		  background-workers: 1
		log:
		  - target: stderr
		    any: notice
		database:
		  storage: "$dir/$1"
		  journal-db-max-size: 256M
		  kasp-db-max-size: 64M
		  timer-db-max-size: 16M
		remote:
		  - id: primary
		    address: 127.0.0.1@$(port 1)
		  - id: second
		    address: 127.0.0.1@$(port 2)
		  - id: third
		    address: 127.0.0.1@$(port 3)
		acl:
		  - id: local
		    address: 127.0.0.1
		    action: [transfer, notify, update]
		policy:
		  - id: sign
		    algorithm: ecdsap256sha256
		template:
		  - id: default
		    storage: "$dir/$1"
		    acl: local
		    zonefile-sync: -1
		    journal-max-usage: 64M
	END
	if [ "$1" -eq 1 ]; then
		echo "    zonefile-load: whole"
		echo "    journal-content: changes"
		echo "    notify: [second, third]"
	else
		echo "    zonefile-load: none"
		echo "    journal-content: all"
		echo "    master: primary"
	fi
	echo "zone:"
	for zone in $zones; do
		echo "  - domain: $zone"
		if [ "$1" -eq 1 ] && [ "$zone" = signed.test ]; then
			echo "    dnssec-signing: on"
			echo "    dnssec-policy: sign"
		fi
	done
}

zone_file() { # ZONE
	awk -v zone="$1" -v n=$records 'BEGIN {
		print zone ". 3600 SOA ns." zone ". admin." zone ". 1 1 1 1209600 60"
		print zone ". 3600 NS ns." zone "."
		print "ns." zone ". 3600 A 127.0.0.1"
		for (i = 0; i < n; i++)
			print "host" i "." zone ". 3600 A 10.0." int(i / 256) "." i % 256
	}'
}

ask() { # SERVER ARGUMENT...
	server=$1
	shift
	kdig @127.0.0.1 -p "$(port "$server")" +timeout=5 +retry=2 "$@"
}

serial() { # SERVER ZONE
	ask "$1" +short "$2" SOA 2>/dev/null | awk '{ print $3 }'
}

start() { # SERVER
	(
		cd "$dir/$1"
		export LD_LIBRARY_PATH="$BUILD/lmdb"
		exec "$dir/knotd" -c knot.conf
	) >>"$dir/$1/log" 2>&1 </dev/null &
	echo $! >"$dir/$1/pid"
	for tries in $(seq 1 300); do
		[ -n "$(serial "$1" signed.test)" ] && return 0
		[ "$1" -eq 1 ] || ! ask "$1" +short signed.test SOA >/dev/null 2>&1 || return 0
		kill -0 "$(cat "$dir/$1/pid")" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 5 "$dir/$1/log" >&2
	fail "server $1 does not start"
}

# alive - no server has ended by itself: nothing would be equal then, however long one waits
alive() {
	for server in 1 2 3; do
		kill -0 "$(cat "$dir/$server/pid")" 2>/dev/null || {
			grep -v -e notify -e refresh "$dir/$server/log" | tail -n 10 >&2
			fail "server $server ended by itself"
		}
	done
}

end() { # SERVER SIGNAL
	[ -e "$dir/$1/pid" ] || return 0
	pid=$(cat "$dir/$1/pid")
	kill "-$2" "$pid" 2>/dev/null || :
	(sleep 30 && kill -9 "$pid" 2>/dev/null) &
	guard=$!
	wait "$pid" 2>/dev/null || :
	kill $guard 2>/dev/null || :
	wait $guard 2>/dev/null || :
	rm -f "$dir/$1/pid"
}

check() { # SERVER: it does not run
	for store in "$dir/$1"/*/data.mdb; do
		said=$("$BUILD/kv" check "$store" 2>&1) || :
		[ "$said" = "0 faults" ] || fail "kv check $store: $said"
		stores=$((stores + 1))
	done
}

# ---- zones ---------------------------------------------------------------------------------------

# update - changes of a zone, one a message, until one is not answered; the names that were
# acknowledged go to the list of expected ones.
update() { # ROUND ZONE
	for i in $(seq 1 $updates); do
		{
			printf 'server 127.0.0.1 %s\nzone %s.\n' "$(port 1)" "$2"
			printf 'update add new-%s-%s.%s. 60 TXT "round %s"\n' "$1" "$i" "$2" "$1"
			old=$((($1 * updates + i) % records))
			printf 'update delete host%s.%s. A\nsend\n' "$old" "$2"
		} | timeout 20 knsupdate -t 10 >>"$dir/update.log" 2>&1 || return 0
		echo "new-$1-$i.$2." >>"$dir/acknowledged.$2"
	done
}

all_records() { # SERVER ZONE
	ask "$1" +noall +answer "$2" AXFR | grep -v '^;' | sed 's/[[:space:]][[:space:]]*/ /g' |
		LC_ALL=C sort -u
}

# same_everywhere - the serials meet within a minute; then all records are compared.
same_everywhere() { # ROUND
	for zone in $zones; do
		for tries in $(seq 1 300); do
			serials=$(for s in 1 2 3; do serial $s "$zone"; done | sort | uniq -c)
			case $serials in *" 3 "*) break ;; esac
			alive
			sleep 0.2
		done
		for server in 1 2 3; do
			all_records $server "$zone" >"$dir/$server/records"
		done
		for server in 2 3; do
			cmp -s "$dir/1/records" "$dir/$server/records" || {
				diff "$dir/1/records" "$dir/$server/records" | head -n 10 >&2
				fail "round $1: servers 1 and $server have other records of $zone"
			}
		done
		awk '{ print $1 }' "$dir/1/records" | sort -u >"$dir/names"
		sort -u "$dir/acknowledged.$zone" | comm -13 "$dir/names" - >"$dir/missing"
		[ ! -s "$dir/missing" ] ||
			fail "round $1: not in $zone: $(head -n 5 "$dir/missing" | tr '\n' ' ')"
		[ "$(grep -c . "$dir/1/records")" -gt $((records / 2)) ] ||
			fail "round $1: $zone lost its records"
	done
}

finish() {
	status=$?
	trap - EXIT
	for server in 1 2 3; do
		end $server TERM
	done
	[ "$status" -ne 0 ] || rm -rf "$dir"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

stores=0
# a copy: AppArmor may confine the installed one to its own directories
cp "$(command -v knotd)" "$dir/knotd"
for server in 1 2 3; do
	mkdir "$dir/$server"
	configure $server >"$dir/$server/knot.conf"
done
for zone in $zones; do
	zone_file "$zone" >"$dir/1/$zone.zone"
	: >"$dir/acknowledged.$zone"
done
for server in 1 2 3; do
	start $server
done
same_everywhere 0
keys=$(ask 1 +short signed.test DNSKEY | sort)
[ -n "$keys" ] || fail "signed.test has no keys"
for round in $(seq 1 "$rounds"); do
	victim=$((round % 3 + 1))
	writers=
	for zone in $zones; do
		update "$round" "$zone" &
		writers="$writers $!"
	done
	sleep "0.$((2 + round % 7))"
	end $victim KILL
	check $victim
	start $victim
	for writer in $writers; do
		wait "$writer" || :
	done
	same_everywhere "$round"
	[ "$(ask 1 +short signed.test DNSKEY | sort)" = "$keys" ] ||
		fail "round $round: the keys of signed.test changed"
done
for server in 1 2 3; do
	end $server TERM
	check $server
done
echo "$rounds rounds, $(cat "$dir"/acknowledged.* | grep -c .) updates acknowledged," \
	"zones equal on 3 servers, $stores stores checked"
