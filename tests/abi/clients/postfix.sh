# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# postfix.sh - Postfix's postmap and postalias with lmdb tables; see run.
packages=postfix-lmdb
stores='*.lmdb'
batch=1
setup() {
	mkdir conf
	printf '%s\n' 'compatibility_level = 3.6' 'queue_directory = /var/spool/postfix' \
		'mail_owner = postfix' 'setgid_group = postdrop' \
		'alias_maps =' >conf/main.cf
	: >conf/master.cf
	for i in $(seq 1 200); do echo "user$i@example.org value$i"; done >table
	printf 'postmaster: root\nall: one, two,\n three\n' >aliases
}
fill() {
	postmap -c conf lmdb:table 2>&1 | grep -v warning
	postmap -c conf -q user7@example.org lmdb:table
	postmap -c conf -q nobody@example.org lmdb:table || echo "not found $?"
	postmap -c conf -d user8@example.org lmdb:table
	postmap -c conf -d user8@example.org lmdb:table || echo "not deleted $?"
	echo 'new@example.org x' | postmap -c conf -i lmdb:table
	echo 'user9@example.org y' | postmap -c conf -i lmdb:table 2>&1 |
		sed 's/^.*warning/warning/'
	echo 'user9@example.org y' | postmap -c conf -r -i lmdb:table
	postalias -c conf lmdb:aliases
	beside
}
# beside - a daemon has the table open while it is changed: what asks for names by and by stands for
# it.
beside() {
	mkfifo names
	postmap -c conf -q - lmdb:table <names >answers &
	asks=$!
	exec 3>names
	echo user7@example.org >&3
	sleep 0.3
	for i in 1 2 3; do
		echo "later$i@example.org added $i" | postmap -c conf -i lmdb:table
		postmap -c conf -d "user1$i@example.org" lmdb:table
		printf 'later%d@example.org\nuser1%d@example.org\n' "$i" "$i" >&3
		sleep 0.2
	done
	seq 1000 1060 | sed 's/.*/many&@example.org &/' | postmap -c conf -i lmdb:table
	echo many1044@example.org >&3
	exec 3>&-
	wait "$asks"
	cat answers
	for i in $(seq 1000 1060); do echo "many$i@example.org"; done |
		postmap -c conf -d - lmdb:table
}
show() {
	postmap -c conf -q new@example.org lmdb:table
	postmap -c conf -s lmdb:table | sort
	seq 1 40 | sed 's/.*/user&@example.org/' | postmap -c conf -q - lmdb:table
	# which is when it was made
	postalias -c conf -s lmdb:aliases | grep -v YP_LAST_MODIFIED | sort
	postalias -c conf -q all lmdb:aliases
}
stream() {
	n=$1
	while :; do
		echo "$n value$n" | postmap -c conf -i lmdb:stream || exit 1
		echo "$n"
		n=$((n + 1))
	done
}
present() { postmap -c conf -s lmdb:stream | sed -n 's/^\([0-9]*\)[[:blank:]]value\1$/\1/p'; }
