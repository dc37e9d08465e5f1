# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# bind.sh - BIND's database of zones that were added at run time (allow-new-zones); see run.
packages='bind9 bind9-utils bind9-dnsutils'
stores='_default.nzd'
batch=1
! aa-enabled --quiet 2>/dev/null || unusable='AppArmor keeps named to directories of its own'

control() { rndc -c "$PWD/rndc.conf" "$@"; }
start() { # named, until it answers
	named -c "$PWD/named.conf" -g >>named.log 2>&1 &
	server=$!
	for i in $(seq 1 1200); do
		control status >status.log 2>&1 && return
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 5 named.log
	return 1
}
stop() {
	control stop >stop.log 2>&1
	wait "$server"
}
zone() { # NAME
	control addzone "$1" '{ type primary; file "zone"; };'
}
serial() { # NAME
	dig +short +tries=2 +time=5 -p "$port" @127.0.0.1 "$1" SOA
}
setup() {
	rndc-confgen -a -c "$PWD/key" -k control >keygen.log 2>&1
	{
		cat key
		printf 'options { default-server 127.0.0.1; default-key control; '
		printf 'default-port %d; };\n' $((port + 1))
	} >rndc.conf
	cat key - >named.conf <<-END
		controls { inet 127.0.0.1 port $((port + 1)) allow { 127.0.0.1; } keys { control; };
		};
		options {
			directory "$PWD";
			listen-on port $port { 127.0.0.1; };
			listen-on-v6 { none; };
			pid-file "named.pid";
			session-keyfile "session.key";
			allow-new-zones yes;
			lmdb-mapsize 16m;
			recursion no;
			notify no;
			dnssec-validation no;
		};
	END
	printf '%s\n' '$TTL 60' '@ SOA ns hostmaster 7 3600 600 86400 60' '  NS ns' \
		'ns A 127.0.0.1' 'www A 127.0.0.2' >zone
	cp zone zone2
	echo 'extra TXT "second"' >>zone2
}
fill() {
	start || return
	for i in $(seq 1 40); do zone "zone$i.example"; done
	zone zone7.example 2>&1 | sed "s/^rndc: //"
	control delzone zone9.example
	control delzone none.example 2>&1 | sed "s/^rndc: //"
	control modzone zone10.example '{ type primary; file "zone2"; };'
	serial zone10.example
	stop
}
show() {
	named-nzd2nzf _default.nzd | grep -v '"[0-9]*\.stream"' | sort
	start || return
	for i in $(seq 1 41); do
		echo "$i: $(serial "zone$i.example")"
	done
	dig +short -p "$port" @127.0.0.1 extra.zone10.example TXT
	control showzone zone10.example
	control showzone zone9.example 2>&1 | sed "s/^rndc: //"
	stop
}
stream() {
	start || return
	n=$1
	while :; do
		zone "$n.stream" || exit 1
		echo "$n"
		n=$((n + 1))
	done
}
# A record is a zone that is in the database and is served.
present() {
	named-nzd2nzf _default.nzd | sed -n 's/^zone "\([0-9]*\)\.stream" .*/\1/p' >zones
	start || return
	while IFS= read -r n; do
		[ -z "$(serial "$n.stream")" ] || echo "$n"
	done <zones
	stop
}
