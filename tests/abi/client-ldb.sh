#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# client-ldb.sh - Samba's ldb with its mdb back end. usage: client-ldb.sh DIR
cd "$1" || exit 2
url=mdb://$PWD/store.ldb
record() {
	printf 'dn: cn=%s,dc=example\ncn: %s\nobjectClass: person\nobjectGUID: %016d\n\n' "$1" "$1" "${1#name}"
}
printf 'dn: @INDEXLIST\n@IDXATTR: cn\n@IDXGUID: objectGUID\n@IDX_DN_GUID: GUID\n\n' | ldbadd -H "$url"
for i in $(seq 1 30); do record "name$i"; done >records
ldbadd -H "$url" records
record name1 | ldbadd -H "$url" 2>&1 | grep -o 'Entry already exists' | head -n 1
ldbsearch -H "$url" '(cn=name7)' cn
ldbsearch -H "$url" '(objectClass=person)' dn | grep -c '^dn:'
ldbdel -H "$url" 'cn=name9,dc=example'
ldbrename -H "$url" 'cn=name10,dc=example' 'cn=renamed,dc=example'
ldbsearch -H "$url" '(objectClass=person)' dn | grep '^dn:' | sort
