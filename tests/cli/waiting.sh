#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# waiting.sh - commands beside other processes that write: what waits, for whom, how long, and what
# need not wait.
. "$(dirname "$0")/lib.sh"

t "a store" exits 0 kv create s.kv
t "with an entry" exits 0 kv put s.kv k v

# ---- input that does not come holds nobody up

mkfifo slow
"$KV" load s.kv slow &
loader=$!
exec 8>slow
printf 'slow1\t1\nslow2\t2\n' >&8
# The load may be inside the short transaction of its first lines, which ends by itself.
t "a put beside a load that waits for input" exits 0 kv put s.kv beside 1 --wait 20
t "so does a check" prints "0 faults" kv check s.kv
exec 8>&-
wait "$loader"
t "what was loaded slowly is there" prints "slow1	1
slow2	2" kv scan s.kv --prefix slow
"$KV" put s.kv piped --from slow &
putter=$!
exec 8>slow
t "a put beside one that waits for its value" exits 0 kv put s.kv beside 2 --wait 20
printf value >&8
exec 8>&-
wait "$putter"
t "whose value came later" sh -c 'test "$("$1" get s.kv piped)" = value' sh "$KV"

# ---- nor does a directory that is being read

mkdir files
(cd files && seq 5000 | split -l 1 -a 4 -)
has_files() { kv list f.kv 2>"$log/list" | grep -q "^files$1"; }
reads_files() { awk '$1 == "syscr:" && $2 > 300 { some = 1 } END { exit !some }' \
	"/proc/$loader/io"; }
# put_beside_files - a put goes through while the directory is read, before anything of it is
# stored; again when the moment was missed.
put_beside_files() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		rm -f f.kv f.kv-lock
		kv create f.kv
		"$KV" load f.kv files --db files --batch 1000000 &
		loader=$!
		until reads_files; do
			kill -0 $loader 2>"$log/gone" || break
		done
		kill -STOP $loader 2>"$log/gone"
		beside=3
		kv put f.kv beside 3 --wait 0 && ! has_files && beside=0
		kill -CONT $loader 2>"$log/gone"
		wait $loader || return 1
		[ $beside -eq 0 ] && return 0
	done
	return 1
}
t "a put beside a load that reads files" put_beside_files
t "which has all of them" has_files '	5000	'

# ---- a writer that stands still in its transaction

awk 'BEGIN { for (i = 0; i < 700000; i++)
	printf "%07d\tvalue of %d\n", i * 7919 % 700000, i }' >many.tsv
# busy - $writer has the lock, and has said so: a writer notes its number just after it took the
# lock.
busy() {
	! kv put s.kv probe 1 --wait 0 2>"$log/busy" &&
		grep -q "process $writer has the writer's lock" "$log/busy"
}
# stop_in_transaction - $writer is a load that is stopped in its transaction; again when the moment
# was missed.
stop_in_transaction() {
	for _ in 1 2 3 4 5; do
		"$KV" load s.kv many.tsv --batch 1000000 &
		writer=$!
		until busy; do
			kill -0 $writer 2>"$log/gone" || break
		done
		kill -STOP $writer 2>"$log/gone"
		busy && return 0
		kill -CONT $writer 2>"$log/gone"
		wait $writer
	done
	return 1
}
if stop_in_transaction; then
	t "--wait 0 does not wait" exits 3 kv put s.kv x 1 --wait 0
	t "and says for whom" says "process $writer has the writer's lock"
	t "a decimal number" exits 3 kv del s.kv k --wait 0.05
	t "that is told" says "waited for 0.1 s"
	for command in "put s.kv x 1" "del s.kv k" "create s.kv --db new" "load s.kv one.tsv"; do
		printf 'one\t1\n' >one.tsv
		# shellcheck disable=SC2086
		t "kv $command --wait" exits 3 kv $command --wait 0
	done
	t "--wait needs a number" exits 2 kv put s.kv x 1 --wait soon
	t "not a negative one" exits 2 kv put s.kv x 1 --wait -1
	t "reading does not wait" exits 0 kv get s.kv k
	t "nor does checking" prints "0 faults" kv check s.kv --wait 0
	"$KV" put s.kv waited 1 2>waited.err &
	putter=$!
	named() {
		grep -qx "kv put: s.kv: waiting for process $writer, which has the writer's lock" \
			waited.err
	}
	t "a put without --wait says whom it waits for" wait_for named
	kill -CONT "$writer"
	wait "$putter"
	t "and has its turn" exits 0 kv get s.kv waited
	t "having said so once" test "$(wc -l <waited.err)" -eq 1
	wait "$writer"
	t "the writer was not harmed" \
		sh -c 'test "$("$1" scan s.kv --prefix 0 | wc -l)" -eq 700000' sh "$KV"
else
	t "a load that could be stopped in its transaction" false
fi

# ---- a process that stands still while it opens or closes the store

in_gate() { # as lock.h has it: the gate, and its own number
	python3 -c 'import fcntl, os, struct, sys, time
for byte, kind in (0, fcntl.F_WRLCK), ((1 << 42) + os.getpid(), fcntl.F_RDLCK):
	fcntl.fcntl(3, 37, struct.pack("hhqqi4x", kind, 0, byte, 1, 0)) # F_OFD_SETLK
print(os.getpid(), flush=True)
time.sleep(300)' 3<>s.kv-lock >in_gate.pid
}
if command -v python3 >"$log/which"; then
	"$KV" put s.kv closing --from slow &
	closer=$!
	exec 8>slow
	wait_for sh -c '"$1" info s.kv >"$2" && test -e s.kv-lock' sh "$KV" "$log/info"
	(exec 8>&- && in_gate) &
	shell=$!
	wait_for test -s in_gate.pid
	gate=$(cat in_gate.pid)
	gate_says="process $gate is opening or closing the store"
	t "--wait 0 waits a moment" exits 3 kv put s.kv x 1 --wait 0
	t "and says for whom" says "$gate_says"
	kv del s.kv k --wait 1.2 2>gate.err
	t "a longer wait is told" grep -q "waiting: $gate_says" gate.err
	t "and when it is over" grep -q "$gate_says.*waited for 1.2 s" gate.err
	printf left >&8
	exec 8>&-
	wait "$closer" 2>"$log/closer"
	"$KV" get s.kv k >gate.out 2>gate.err &
	getter=$!
	told() { grep -q "^kv get: s.kv: waiting: $gate_says" gate.err; }
	t "a command that has no --wait says whom it waits for" wait_for told
	kill "$gate"
	wait "$shell" 2>"$log/gate"
	wait "$getter"
	t "and has its turn" grep -q v gate.out
	t "a put that only had to close did not wait" sh -c '
		test "$("$1" get s.kv closing)" = left' sh "$KV"
	t "and the next writer recovers what it left" exits 0 kv put s.kv closing 2
else
	skip "a process that stands still in the gate" "python3 is not installed"
fi

# ---- the checker beside a writer that commits all the time, and behind one that died

"$KV" load s.kv many.tsv --batch 20 --pmem force &
writer=$!
checks=0
wrong=0
while kill -0 $writer 2>"$log/gone"; do
	kv check s.kv >check.out 2>&1 && test "$(cat check.out)" = "0 faults" || {
		wrong=$((wrong + 1))
		cat check.out
	}
	checks=$((checks + 1))
done
wait "$writer"
t "checks beside a writer find nothing" test "$wrong" -eq 0
t "and there were some" test "$checks" -gt 1
if stop_in_transaction; then
	exec 9<s.kv
	mkfifo held
	"$KV" get s.kv k --out held & # a user of the store who goes on: its value is not read yet
	holder=$!
	wait_for sh -c '"$1" readers s.kv | grep -q "^$2"' sh "$KV" "$holder"
	kill -KILL "$writer"
	wait "$writer" 2>"$log/killed"
	t "behind a writer that died, a user is left" kill -0 "$holder"
	t "the checker is silent, and changes nothing" unchanged s.kv prints "0 faults" kv check \
		s.kv
	t "a writer goes on" exits 0 kv put s.kv after 1 --wait 20
	t "and the checker is silent still" prints "0 faults" kv check s.kv
	cat held >held.out
	exec 9<&-
	wait "$holder" 2>"$log/killed"
else
	t "a load that could be stopped in its transaction" false
fi

# ---- damage is found beside a writer, too

flip s.kv 8200 1 # a record of the ring that nothing needs
t "beside nobody" exits 4 kv check s.kv
"$KV" load s.kv slow &
loader=$!
exec 8>slow
t "beside a writer that waits" exits 4 kv check s.kv
exec 8>&-
wait "$loader"
finish
