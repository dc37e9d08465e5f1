#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# client-postfix.sh - Postfix's postmap with lmdb tables. usage: client-postfix.sh DIR
cd "$1" || exit 2
mkdir conf
printf 'compatibility_level = 3.6\nqueue_directory = /var/spool/postfix\nmail_owner = postfix\nsetgid_group = postdrop\n' >conf/main.cf
: >conf/master.cf
for i in $(seq 1 200); do echo "user$i@example.org value$i"; done >table
postmap -c conf lmdb:table 2>&1 | grep -v warning
postmap -c conf -q user7@example.org lmdb:table
postmap -c conf -q nobody@example.org lmdb:table || echo "not found $?"
postmap -c conf -d user8@example.org lmdb:table
postmap -c conf -s lmdb:table | sort | sed -n '1,3p;$p'
echo 'new@example.org x' | postmap -c conf -i lmdb:table
postmap -c conf -q new@example.org lmdb:table
postmap -c conf -s lmdb:table | wc -l
