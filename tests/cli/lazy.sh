#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# lazy.sh - what kv tells of commits that are not durable yet. A program of examples/ makes them,
# and waits while its standard input is open.
. "$(dirname "$0")/lib.sh"

program=$(dirname "$KV")/examples/durability
[ -x "$program" ] || {
	skip "lazy commits" "no program at '$program'"
	finish
}
export DAXKV_PMEM=file

t "a store with a durable commit" exits 0 kv put "$(kv create l.kv && echo l.kv)" first 1
synced() {
	kv info l.kv | grep -q '^not synced: nothing$'
}
t "has nothing that is not synced" synced

kv watch l.kv --count 1000 --interval 0.1 >live &
watcher=$!
t "a watch" wait_for test -s live
mkfifo hold
"$program" l.kv lazy 30 <hold >said 2>&1 &
pid=$!
at_end="kill $pid $watcher 2>/dev/null"
exec 9>hold
t "lazy commits" wait_for grep -q '^behind the last sync: 30 commits' said
t "are in a watch" wait_for grep -q "$(printf '\t30\t[1-9]')" live
kill $watcher
wait $watcher 2>/dev/null
# numbers that lazy commits leave out are no commits: 30 in at least a tenth of a second
counted() {
	awk -F '\t' 'NR > 1 && $3 > most { most = $3 } END { exit !(most > 0 && most <= 300) }' live
}
t "which counts them" counted
t "info" exits 0 kv info l.kv
t "has commits, bytes and age" grep -Eq \
	'^not synced: 30 commits, [1-9][0-9]* bytes, the oldest [0-9]+\.[0-9]{3} s old$' "$log/out"
numbered() { # what is synced is older than the newest commit
	awk -F ': ' '/^newest commit/ { n = $2 } /^newest synced commit/ { s = $2 }
		END { exit !(s > 0 && s < n) }' "$log/out"
}
t "and both commits" numbered
json_well() {
	kv info l.kv --json >"$log/json" || return 1
	python3 -c 'import json, sys
i = json.load(open(sys.argv[1]))
assert i["lazy_commits"] == 30 and i["lazy_bytes"] > 0, i
assert 0 < i["synced_txn"] < i["last_txn"] and i["lazy_ms"] >= 0, i' "$log/json"
}
watch_json_well() {
	kv watch l.kv --count 1 --json >"$log/json" || return 1
	python3 -c 'import json, sys
i = json.load(open(sys.argv[1]))
assert i["lazy_commits"] == 30 and i["lazy_bytes"] > 0 and i["lazy_seconds"] >= 0, i' "$log/json"
}
if command -v python3 >/dev/null; then
	t "as JSON" json_well
	t "watch as JSON" watch_json_well
else
	skip "as JSON" "no python3"
fi
t "watch" exits 0 kv watch l.kv --count 2 --interval 0.01
t "has them behind the writer" awk -F '\t' \
	'NR == 3 && $3 == 0 && $10 == 30 && $11 > 0 && $12 ~ /^[0-9.]+$/ { n++ } END { exit !n }' \
	"$log/out"
t "metrics" exits 0 kv stat l.kv --openmetrics
t "have commits" grep -q '^daxkv_lazy_commits 30$' "$log/out"
t "and bytes" grep -q '^daxkv_lazy_bytes [1-9]' "$log/out"
t "and age" grep -Eq '^daxkv_lazy_seconds [0-9]+\.[0-9]{3}$' "$log/out"

# ---- the program dies: nothing is lost, and the first command that writes makes it durable

kill -9 $pid
wait $pid 2>/dev/null
at_end=
exec 9>&-
t "a reader leaves it so" exits 0 kv info l.kv
t "with what was not synced" grep -q '^not synced: 30 commits' "$log/out"
t "a command that writes" exits 0 kv put l.kv key value
t "syncs" synced
t "and has all of it" prints 32 kv count l.kv
t "and is whole" exits 0 kv check l.kv
finish
