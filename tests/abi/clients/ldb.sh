# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# ldb.sh - Samba's ldb with its mdb back end; see run.
packages=ldb-tools
stores='*.ldb'
batch=5
record() { # NAME NUMBER
	printf 'dn: cn=%s,dc=example\ncn: %s\nobjectClass: person\nobjectGUID: %016d\n\n' "$1" \
		"$1" "$2"
}
store() { # NAME
	printf 'dn: @INDEXLIST\n@IDXATTR: cn\n@IDXGUID: objectGUID\n@IDX_DN_GUID: GUID\n\n' |
		ldbadd -H "mdb://$PWD/$1.ldb"
}
setup() { :; }
fill() {
	store first
	for i in $(seq 1 30); do record "name$i" "$i"; done >records
	ldbadd -H "mdb://$PWD/first.ldb" records
	record name1 1 | ldbadd -H "mdb://$PWD/first.ldb" 2>&1 | grep -o 'Entry already exists' |
		head -n 1
	ldbdel -H "mdb://$PWD/first.ldb" 'cn=name9,dc=example'
	ldbrename -H "mdb://$PWD/first.ldb" 'cn=name10,dc=example' 'cn=renamed,dc=example'
	printf '%s\n' 'dn: cn=name11,dc=example' 'changetype: modify' 'add: description' \
		'description: some text' - '' >change
	ldbmodify -H "mdb://$PWD/first.ldb" change
}
show() {
	ldbsearch -H "mdb://$PWD/first.ldb" '(cn=name7)' cn
	ldbsearch -H "mdb://$PWD/first.ldb" '(cn=name11)'
	ldbsearch -H "mdb://$PWD/first.ldb" '(cn=name9)' cn
	ldbsearch -H "mdb://$PWD/first.ldb" '(objectClass=person)' dn | grep '^dn:' | sort
}
stream() {
	if ! [ -e stream.ldb ] || ! ldbsearch -H "mdb://$PWD/stream.ldb" -s base -b @INDEXLIST |
		grep -q IDXATTR; then
		store stream >/dev/null # a kill can leave the file without it
	fi
	n=$1
	while :; do
		for i in $(seq "$n" $((n + batch - 1))); do record "$i" "$i"; done >next
		ldbadd -H "mdb://$PWD/stream.ldb" next >added || exit 1
		n=$((n + batch))
		echo $((n - 1))
	done
}
# A record counts when the index finds it, too.
present() {
	ldbsearch -H "mdb://$PWD/stream.ldb" '(objectClass=person)' cn | sed -n 's/^cn: //p' >all
	while IFS= read -r n; do
		ldbsearch -H "mdb://$PWD/stream.ldb" "(cn=$n)" dn |
			sed -n "s/^dn: cn=$n,dc=example\$/$n/p"
	done <all
}
