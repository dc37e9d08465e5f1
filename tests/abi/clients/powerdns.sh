# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# powerdns.sh - PowerDNS with its lmdb back end: pdnsutil, the server, and updates that it is sent;
# see run.
packages='pdns-server pdns-backend-lmdb bind9-dnsutils'
stores='pdns.lmdb*[0-9b]'
batch=2

util() { pdnsutil --config-dir="$PWD" "$@" 2>&1; }
ask() { dig +short +tries=2 +time=5 -p "$port" @127.0.0.1 "$@"; }
start() { # the server, until it answers
	pdns_server --config-dir="$PWD" >>server.log 2>&1 &
	server=$!
	for i in $(seq 1 1200); do
		[ "$(dig +short +tries=1 +time=1 -p "$port" @127.0.0.1 version.bind CH TXT \
			2>/dev/null)" = '"here"' ] && return
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 5 server.log
	return 1
}
stop() {
	kill "$server"
	wait "$server" 2>/dev/null || :
}
setup() {
	cat >pdns.conf <<-END
		launch=lmdb
		lmdb-filename=$PWD/pdns.lmdb
		lmdb-shards=3
		local-address=127.0.0.1
		local-port=$port
		socket-dir=$PWD
		daemon=no
		guardian=no
		version-string=here
		dnsupdate=yes
		allow-dnsupdate-from=127.0.0.0/8
		allow-axfr-ips=127.0.0.0/8
		cache-ttl=0
		query-cache-ttl=0
		negquery-cache-ttl=0
		zone-cache-refresh-interval=0
		default-soa-content=ns.@ hostmaster.@ 1 3600 600 86400 60
	END
}
fill() {
	for i in $(seq 1 12); do
		util create-zone "zone$i.example" ns.example
		util add-record "zone$i.example" www A 60 "127.0.0.$i"
	done
	util create-zone zone3.example
	util add-record zone1.example www A 60 127.0.1.1
	util replace-rrset zone2.example www A 60 127.0.1.2 127.0.1.3
	util delete-rrset zone4.example www A
	util add-record zone5.example '*' TXT 60 '"any name"'
	util delete-zone zone6.example
	util set-meta zone7.example ALLOW-AXFR-FROM 127.0.0.1 127.0.0.2
	util set-kind zone8.example primary
	util rectify-all-zones
	util check-all-zones | tail -n 1
}
show() {
	util list-all-zones | grep -v '^stream$' | sort
	util list-zone zone2.example
	util get-meta zone7.example
	util show-zone zone8.example
	start || return
	for i in $(seq 1 13); do
		echo "$i: $(ask "www.zone$i.example" A | sort | tr '\n' ' ')"
	done
	ask anything.zone5.example TXT
	dig +noall +answer +onesoa -p "$port" @127.0.0.1 zone1.example AXFR | sort
	stop
}
# An update of two records is one transaction of the server's.
stream() {
	util list-all-zones | grep -qx stream || util create-zone stream ns.example >created
	start || return
	n=$1
	while :; do
		{
			printf 'server 127.0.0.1 %d\nzone stream\n' "$port"
			printf 'update add %d.stream 60 TXT "value %d"\n' "$n" "$n" \
				$((n + 1)) $((n + 1))
			echo send
		} | nsupdate || exit 1
		n=$((n + 2))
		echo $((n - 1))
	done
}
present() {
	util list-zone stream >records
	start || return
	sed -n 's/^\([0-9]*\)\.stream[[:blank:]].*TXT[[:blank:]]"value \1"$/\1/p' records |
		while IFS= read -r n; do
		[ "$(ask "$n.stream" TXT)" != "\"value $n\"" ] || echo "$n"
	done
	stop
}
