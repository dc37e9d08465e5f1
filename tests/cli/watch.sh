#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# watch.sh - kv watch, kv stat --openmetrics, kv help, and what mistyped words were meant to be.
. "$(dirname "$0")/lib.sh"

t "a store" exits 0 kv put "$(kv create s.kv && echo s.kv)" k v
t "watch ends by itself" exits 0 kv watch s.kv --count 3 --interval 0.05
t "a heading, and a line each time" test "$(wc -l <"$log/out")" -eq 4
lines_well() { awk -F '\t' \
	'NF != 12 { exit 1 } NR > 1 && ($2 !~ /^[0-9]+$/ || $6 < 4096 || $7 < $6) { exit 1 }' \
	"$log/out"; }
t "with a number in each column" lines_well
live() { # a commit between two lines is seen
	kv watch s.kv --count 40 --interval 0.1 >live &
	live_pid=$!
	wait_for test -s live || return 1
	kv put s.kv k w
	wait "$live_pid" || return 1
	awk -F '\t' 'NR == 2 { first = $2 } NR > 2 && $2 == first + 1 && $3 > 0 { seen = 1 } END {
		exit !seen }' live
}
t "commits show while it runs" live
json_well() {
	kv watch s.kv --count 2 --interval 0.01 --json >"$log/out" || return 1
	python3 -c 'import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert len(lines) == 2 and lines[0]["commits"] > 0 and lines[0]["readers"] == 0, lines' "$log/out"
}
if command -v python3 >/dev/null; then t "as JSON" json_well; else skip "as JSON" "no python3"; fi
t "an interval of nothing" exits 2 kv watch s.kv --interval 0
t "a count of nothing" exits 2 kv watch s.kv --count 0
t "a file that is missing" exits 3 kv watch none.kv --count 1

# ---- OpenMetrics

t "a database with a name of all kinds" exits 0 kv create s.kv --db 'a"b\\c\x0a' --dup-sort
t "metrics" exits 0 kv stat s.kv --openmetrics
t "end so" test "$(tail -n 1 "$log/out")" = "# EOF"
# each family's lines stand together, its type before its samples; names end in their unit
well_formed() {
	awk '
	/^# EOF$/ { eof = NR; next }
	/^# TYPE / { if ($3 in seen) bad("twice " $3); seen[$3] = 1; family = $3; type = $4; next }
	/^# UNIT / { if ($3 != family || $3 !~ "_" $4 "$") bad("unit " $3); next }
	/^# HELP / { if ($3 != family) bad("help " $3); next }
	{
		name = $1; sub(/\{.*/, "", name); base = name
		if (type == "counter") sub(/_total$/, "", base)
		if (type == "info") sub(/_info$/, "", base)
		if (base != family || (type == "counter" && base == name)) bad("sample " $0)
		if ($0 !~ /^[a-z_]+(\{([a-z_]+="([^"\\]|\\\\|\\"|\\n)*",?)*\})? [0-9.]+$/)
			bad("line " $0)
	}
	function bad(what) { print what; wrong = 1 }
	END { exit wrong || eof != NR }' "$log/out"
}
t "are well formed" well_formed
t "have the main database" grep -q '^daxkv_database_entries{database=""} 1$' "$log/out"
t "and the other one" grep -qF 'daxkv_database_entries{database="a\"b\\\\c\\x0a"} 0' "$log/out"
t "and the commits" grep -q '^daxkv_commits_total [0-9]' "$log/out"
t "count no reader of their own" grep -q '^daxkv_readers 0$' "$log/out"
t "not with --db" exits 2 kv stat s.kv --openmetrics --db k
t "not with --json" exits 2 kv stat s.kv --openmetrics --json

# ---- help, and mistakes

t "kv help" exits 0 kv help
t "is kv --help" sh -c '"$1" --help | cmp - "$2"' sh "$KV" "$log/out"
for command in $(kv help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'); do
	t "kv help $command" exits 0 kv help "$command"
	t "is kv $command --help" sh -c '"$1" "$2" --help | cmp - "$3"' sh "$KV" "$command" \
		"$log/out"
done
t "kv help of nothing" exits 2 kv help frob
meant() { # WORD MEANT COMMAND...
	meant_word=$1
	shift
	exits 2 kv "$@" && says "did you mean '$meant_word'"
}
t "a letter too many" meant get gett s.kv k
t "two exchanged" meant scan sacn s.kv
t "one left out" meant check chek s.kv
t "another program's word" meant del delete s.kv k
t "its begin" meant readers read s.kv
t "an option" meant --prefix scan s.kv --perfix k
t "an option with its argument" meant --limit scan s.kv --limt=3
far() { exits 2 kv "$@" && ! says 'did you mean' >/dev/null; }
t "nothing near" far frobnicate s.kv
t "no option near" far scan s.kv --frobnicate
t "an option of another command" far get s.kv k --limit 3
finish
