# SPDX-License-Identifier: BSD-3-Clause
# ldap.sh - what `scripts/ldap-cluster test` does, and part of it. Each round writes to all nodes,
# kills one of them (or all) in the middle, writes on where nodes are left, starts what was killed,
# and waits for equal contextCSNs. Then all nodes must have the same entries, and these must be what
# was acknowledged: the operation that was running at the kill may have happened or not. Only node 1
# deletes: deletes at three nodes at once go wrong in OpenLDAP itself, with whatever store.

kv=$BUILD/kv
long=5000 # more operations than a writer gets done before the kill

# operations - what a writer does, a line each: add NAME VALUE, mod NAME VALUE, del NAME.
operations() { # PREFIX COUNT DELETES
	awk -v prefix="$1" -v count="$2" -v deletes="$3" 'BEGIN {
		for (k = 1; k <= count; k++) {
			if (k % 4 == 0)
				print "mod", prefix "-" k - 2, "changed-" k
			else if (deletes && k % 8 == 7)
				print "del", prefix "-" k - 5
			else
				print "add", prefix "-" k, "value-" k
		}
	}'
}

# ldif_of - the operations as LDIF.
ldif_of() { # FILE
	awk -v suffix="$suffix" '
		{ print "dn: cn=" $2 "," suffix }
		$1 == "add" {
			print "changetype: add\nobjectClass: organizationalRole"
			print "cn: " $2 "\ndescription: " $3
		}
		$1 == "mod" { print "changetype: modify\nreplace: description\ndescription: " $3 }
		$1 == "del" { print "changetype: delete" }
		{ print "" }' "$1"
}

# write_start, write_wait - a writer at a node, which ends at the first operation that fails. What
# it got an answer for goes into the list of what is expected: NAME, the content before the
# operation that may have happened, the content after it; the same twice when none is open. - stands
# for no entry.
write_start() { # NODE PREFIX COUNT
	deletes=0
	[ "$1" -ne 1 ] || deletes=1
	operations "$2" "$3" "$deletes" >"$dir/$2.ops"
	ldif_of "$dir/$2.ops" >"$dir/$2.ldif"
	: >"$dir/$2.out" # whoever counts what was begun finds it
	client "stdbuf -oL ldapmodify" "$1" -f "$dir/$2.ldif" \
		>"$dir/$2.out" 2>"$dir/$2.err" </dev/null &
	echo $! >"$dir/$2.pid"
}

begun() { # PREFIX: how many operations it has begun
	grep -c '^\(adding new\|modifying\|deleting\) entry' "$dir/$1.out"
}

write_wait() { # PREFIX STATUS: ok, or cut when the node was killed
	status=ok
	wait "$(cat "$dir/$1.pid")" || status=cut
	begun=$(begun "$1") || :
	[ "$status" = "$2" ] || {
		tail -n 3 "$dir/$1.err" >&2
		fail "the writer $1 ended with '$status' after $begun operations, not '$2'"
	}
	sure=$begun
	[ "$status" = ok ] || sure=$((begun - 1))
	[ "$sure" -gt 0 ] || fail "the writer $1 got nothing done before the kill"
	acknowledged=$((acknowledged + sure))
	awk -v sure="$sure" -v begun="$begun" '
		NR > begun { exit }
		{ next_value = $1 == "del" ? "-" : $3 }
		!($2 in new) { order[++n] = $2; new[$2] = "-" }
		NR <= sure { new[$2] = old[$2] = next_value; next }
		{ old[$2] = new[$2]; new[$2] = next_value }
		END { for (i = 1; i <= n; i++) print order[i], old[order[i]], new[order[i]] }
	' "$dir/$1.ops" >>"$dir/expected"
	rm -f "$dir/$1".*
}

# expected_compare - the entries of node 1 against what was acknowledged; then what is there is
# expected.
expected_compare() {
	awk -F '\t' '
		/^dn: cn=r/ {
			name = value = $1
			sub(/^dn: cn=/, "", name)
			sub(/,.*/, "", name)
			for (i = 2; i <= NF; i++)
				if ($i ~ /^description: /)
					value = substr($i, 14)
			print name, value
		}' "$dir/node1/entries" >"$dir/found"
	awk '
		FNR == NR { found[$1] = $2; next }
		{
			is = $1 in found ? found[$1] : "-"
			if (is != $2 && is != $3)
				print $1 ": expected " $2 ($2 == $3 ? "" : " or " $3) ", found " is
			known[$1]
		}
		END {
			for (name in found)
				if (!(name in known))
					print "entry " name ": nobody wrote it, found " found[name]
		}' "$dir/found" "$dir/expected" >"$dir/wrong"
	[ ! -s "$dir/wrong" ] || {
		head -n 10 "$dir/wrong" >&2
		fail "$(grep -c . "$dir/wrong") entries are not what was acknowledged"
	}
	awk '
		FNR == NR { found[$1] = $2; next }
		{ is = $1 in found ? found[$1] : "-"; print $1, is, is }
	' "$dir/found" "$dir/expected" >"$dir/settled"
	mv "$dir/settled" "$dir/expected"
}

# store_check - a node that does not run: the checker has nothing to say.
store_check() { # NODE
	if with_lmdb "$1"; then
		! "$kv" info "$dir/node$1/db/data.mdb" >/dev/null 2>&1 ||
			fail "node $1 has a daxkv store"
		return
	fi
	said=$("$kv" check "$dir/node$1/db/data.mdb" 2>&1) || :
	[ "$said" = "0 faults" ] || fail "kv check of node $1: $said"
}

killed_in() { # ROUND: the nodes that are killed
	if [ "$victim" = all ]; then
		every_node
	else
		echo $((($1 - 1) % nodes + 1))
	fi
}

round() { # ROUND
	killed=" $(killed_in "$1" | tr '\n' ' ')"
	for node in $(every_node); do
		case $killed in
		*" $node "*) write_start "$node" "r$1n$node" $long ;;
		*) write_start "$node" "r$1n$node" 100 ;;
		esac
	done
	for node in $killed; do
		for tries in $(seq 1 600); do # to the middle of its writes, another in each round
			[ "$(begun "r$1n$node" || :)" -lt $((10 + $1 * 17 % 60)) ] || break
			sleep 0.05
		done
	done
	pids=$(for node in $killed; do node_pid "$node"; done)
	# shellcheck disable=SC2086 # a list
	kill -9 $pids
	for pid in $pids; do
		process_wait "$pid" 300 || fail "process $pid does not end"
	done
	for node in $killed; do
		store_check "$node"
	done
	for node in $(every_node); do
		case $killed in
		*" $node "*) write_wait "r$1n$node" cut ;;
		*)
			write_wait "r$1n$node" ok
			write_start "$node" "r$1n$node-later" 40
			write_wait "r$1n$node-later" ok
			;;
		esac
	done
	for node in $killed; do
		node_start "$node" || fail "node $node does not start again: $dir/node$node/log"
	done
	cluster_compare
	expected_compare
}

finish() {
	status=$?
	trap - EXIT
	cluster_down
	if [ "$status" -eq 0 ]; then
		rm -rf "$dir"
	else
		echo "ldap-cluster: the nodes' files are kept in $dir" >&2
	fi
	exit "$status"
}

[ ! -e "$dir" ] || [ -z "$(ls -A "$dir")" ] || fail "$dir is not empty"
acknowledged=0
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cluster_up
: >"$dir/expected"
for round in $(seq 1 "$rounds"); do
	round "$round"
done
cluster_down
for node in $(every_node); do
	store_check "$node"
done
echo "$rounds rounds, $nodes nodes${stock:+, node $stock with LMDB}, killed: $victim;" \
	"$acknowledged operations acknowledged, $(grep -c . "$dir/node1/entries") entries, equal"
