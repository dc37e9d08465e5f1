#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# args.sh - help, options, what is printed where, and media.
. "$(dirname "$0")/lib.sh"

t "create a store" exits 0 kv create a.kv
t "put" exits 0 kv put a.kv k v

# ---- help and version

printed() { # PATTERN COMMAND...: on the standard output, nothing on the standard error
	printed_pattern=$1
	shift
	exits 0 "$@" && grep -q -e "$printed_pattern" "$log/out" && test ! -s "$log/err"
}
t "--version" printed '^kv [0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*$' kv --version
t "--help" printed '^usage: kv' kv --help
for command in create put get del scan load dump list stat info check; do
	t "kv --help names $command" printed "^  $command " kv --help
	t "$command --help" printed "^usage: kv $command " kv "$command" --help
	t "$command --help tells of --pmem" printed '^  --pmem' kv "$command" --help
	t "$command --help with operands" printed "^usage: kv $command " kv "$command" a.kv k --help
	t "$command without a file" exits 2 kv "$command"
	t "$command with an unknown option" exits 2 kv "$command" --no-such-option a.kv
	t "$command with too many operands" exits 2 kv "$command" a b c d e
	case $command in
	create | load) ;;
	put) t "$command of a file that is missing" exits 3 kv put missing-put.kv k v ;;
	get | del) t "$command of a file that is missing" exits 3 kv $command missing-$command.kv \
		k ;;
	*) t "$command of a file that is missing" exits 3 kv $command missing-$command.kv ;;
	esac
done
for command in put get del scan dump list stat info check; do
	t "$command made no file" test ! -e "missing-$command.kv"
done
no_command() {
	no_command_status=0
	kv >"$log/out" 2>"$log/err" || no_command_status=$?
	[ "$no_command_status" -eq 2 ] && [ ! -s "$log/out" ] && grep -q '^usage' "$log/err"
}
t "kv alone" no_command
t "an unknown command" exits 2 kv frobnicate a.kv
t "an unknown option before the command" exits 2 kv --json list a.kv
t "an option without its argument" exits 2 kv get a.kv k --out
t "an option of another command" exits 2 kv get a.kv k --limit 3
t "an unknown letter" exits 2 kv dump a.kv -q
t "a number that is none" exits 2 kv create b.kv --max-size 12X
t "a number beyond all" exits 2 kv create b.kv --max-size 99999999999999999999
t "a number beyond all with its unit" exits 2 kv create b.kv --max-size 99999999999T
t "a negative number" exits 2 kv create b.kv --initial-size=-1
t "none of them made a file" test ! -e b.kv
t "sizes with units" exits 0 kv create b.kv --initial-size 4096K --max-size 1g

# ---- media

t "--pmem file" exits 0 kv put a.kv k v --pmem file
t "--pmem before the command" exits 0 kv --pmem file get a.kv k
t "--pmem force" exits 0 kv put a.kv k v --pmem force
t "--pmem auto" exits 0 kv --pmem=auto put a.kv k v
t "--pmem of something else" exits 2 kv get a.kv k --pmem tape
t "--pmem of something else, before" exits 2 kv --pmem tape get a.kv k
t "DAXKV_PMEM" sh -c 'DAXKV_PMEM=force "$1" info a.kv | grep -qx "medium: emulated"' sh "$KV"
t "--pmem overrules it" \
	sh -c 'DAXKV_PMEM=force "$1" info a.kv --pmem file | grep -qx "medium: file"' sh "$KV"
wrong_variable() { DAXKV_PMEM=tape kv get a.kv k; }
t "DAXKV_PMEM of something else" exits 2 wrong_variable
if kv info a.kv | grep -qx 'medium: dax'; then
	t "--pmem dax" exits 0 kv put a.kv k v --pmem dax
else
	t "--pmem dax where there is none" unchanged a.kv exits 3 kv put a.kv k v --pmem dax
	t "makes no store either" exits 3 kv create dax.kv --pmem dax
fi

# ---- reports

t "list" prints '(main)	1	-' kv list a.kv
t "create databases" exits 0 kv create a.kv --db 'x"\x00\\' --integer-dup
t "list them" prints '(main)	1	-
x"\x00\\	0	dup-sort,dup-fixed,integer-dup' kv list a.kv
t "list --json" prints '{"databases": [
  {"name": null, "entries": 1, "flags": []},
  {"name": "x\"\\x00\\\\", "entries": 0, "flags": ["dup-sort","dup-fixed","integer-dup"]}]}' \
	kv list a.kv --json
stat_table() {
	kv stat a.kv >stat.out || return 1
	awk -F '\t' 'NR == 1 && $2 != "page_size" || NF != 7 || NR > 1 && $2 != 4096 { bad = 1 }
		END { exit bad || NR != 3 }' stat.out
}
t "stat" stat_table
stat_one() { test "$(kv stat a.kv --db 'x"\x00\\' | wc -l)" -eq 2; }
t "stat --db" stat_one
t "stat --db of a missing one" exits 1 kv stat a.kv --db none
t "info" printed '^format version: 5$' kv info a.kv
t "info tells of durability" printed '^durability: .' kv info a.kv
t "check" prints '0 faults' kv check a.kv
t "check --json" prints '{"faults": [], "count": 0}' kv check a.kv --json
if command -v python3 >"$log/which"; then
	for command in list stat info check; do
		t "$command --json is JSON" sh -c '"$1" "$2" a.kv --json | python3 -m json.tool' \
			sh "$KV" "$command"
	done
else
	skip "JSON read by a parser" "python3 is not installed"
fi
for command in list stat info check dump scan 'get k'; do
	# shellcheck disable=SC2086 # a command and its key
	set -- $command
	first=$1
	shift
	t "$first changes nothing" unchanged a.kv exits 0 kv "$first" a.kv "$@"
done

# ---- an output that fails

head -c 300000 /dev/zero >zeros
t "a large value" exits 0 kv put a.kv zeros --from zeros
to_full() { kv "$@" >/dev/full; }
full_fails() { # COMMAND...: like exits 3, whose own redirection comes too late for the output here
	full_status=0
	to_full "$@" 2>"$log/err" || full_status=$?
	[ "$full_status" -eq 3 ] && grep -q '^kv.*No space left' "$log/err" &&
		[ "$(wc -l <"$log/err")" -eq 1 ] && return 0
	echo "status $full_status: $(cat "$log/err")"
	return 1
}
if [ -w /dev/full ]; then
	for command in list stat info check dump scan; do
		t "$command to a full device" full_fails $command a.kv
	done
	t "get to a full device" full_fails get a.kv zeros
	t "scan --keys to a full device" full_fails scan a.kv --keys
	t "list --json to a full device" full_fails list a.kv --json
	t "--help to a full device" full_fails --help
	t "get --help to a full device" full_fails get --help
	t "--version to a full device" full_fails --version
	printf 'k\tv\n' >one.tsv
	t "load --ack to a full device" full_fails load full.kv one.tsv --ack
	t "what was committed stays" exits 0 kv get full.kv k
	made() { # COMMAND...: it cannot print its result, and says that the change is made
		full_fails "$@" && grep -q '; the change is made (' "$log/err"
	}
	t "a value that is exchanged" made put full.kv k w --return-old
	t "is there" prints "$(printf 'k\tw')" kv scan full.kv
	t "a range that is removed" made del full.kv --prefix k
	t "is gone" exits 1 kv get full.kv k
	t "create a database" exits 0 kv create full.kv --db d
	t "a database that is dropped" made drop full.kv d
	t "is gone, too" exits 1 kv stat full.kv --db d
	printf 'put k v\nget k\n' >script
	unmade() { full_fails batch full.kv script && grep -q 'nothing was changed' "$log/err"; }
	t "a batch is not made" unmade
	t "nor is its change there" exits 1 kv get full.kv k
else
	skip "a full device" "there is no /dev/full"
fi
closed() { kv "$@" >&-; }
t "a closed output" exits 3 closed dump a.kv
t "a closed output and no need of it" exits 0 closed put a.kv k v
printf 'k\tv\n' >one.tsv
t "--ack to a closed output does not reach the store" exits 3 closed load a.kv one.tsv --ack
t "the store is sound" exits 0 kv check a.kv
all_closed() { kv put a.kv k v <&- >&- 2>&-; }
t "all closed" all_closed
t "the store is sound still" exits 0 kv check a.kv

# ---- an output that nobody reads any more, and one that takes nothing

if env --default-signal=PIPE true 2>"$log/env"; then
	gone() { # COMMAND...: ends by SIGPIPE, without a word
		{
			sleep 0.2
			env --default-signal=PIPE "$@" 2>pipe.err
			echo $? >pipe.status
		} | :
		test "$(cat pipe.status)" -eq 141 && test ! -s pipe.err
	}
	for command in 'dump a.kv' 'scan a.kv' 'get a.kv k' 'list a.kv' 'stat a.kv' 'info a.kv' \
		'check a.kv' 'scan --help' --help --version; do
		# shellcheck disable=SC2086 # the words of a command
		t "kv $command, and nobody reads" gone "$KV" $command
	done
	printf 'k2\tv\n' >two.tsv
	t "kv load --ack, and nobody reads" gone "$KV" load a.kv two.tsv --ack
	t "what it acknowledged to nobody is there" sh -c 'test "$("$1" get a.kv k2)" = v' sh "$KV"
	ignored() {
		{
			sleep 0.2
			(trap '' PIPE && exec "$KV" dump a.kv) 2>pipe.err
			echo $? >pipe.status
		} | :
		test "$(cat pipe.status)" -eq 3 && grep -q "^kv dump.*Broken pipe" pipe.err
	}
	t "whose parent ignores SIGPIPE is told" ignored
else
	skip "an output that nobody reads" "env has no --default-signal"
fi
full() { "$KV" "$@" >/dev/full; }
for command in 'dump a.kv' 'scan a.kv' 'get a.kv k' 'list a.kv' 'stat a.kv' 'info a.kv' \
	'readers a.kv --json' 'check a.kv' 'scan --help' --help --version; do
	# shellcheck disable=SC2086
	t "kv $command to a full device" exits 3 full $command
done
finish
