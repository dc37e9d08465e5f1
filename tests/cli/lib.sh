# SPDX-License-Identifier: BSD-3-Clause
# lib.sh - what the tests of the kv command share; each of them is a script of plain sh that begins
# with
#
#   . "$(dirname "$0")/lib.sh"
#
# and ends with finish. KV names the command under test (build/kv). A test runs in a scratch
# directory that is removed at the end, or kept when a test failed.
#
#   t NAME COMMAND...           the command must succeed
#   exits N COMMAND...          the command ends with status N; with N from 1 on it must print one
#                               line "kv ..." on the standard error
#   prints TEXT COMMAND...      the command succeeds and prints exactly TEXT (and a newline)
#   unchanged FILE COMMAND...   the command leaves the file as it is; its own result counts, too
#   says PATTERN                the last exits had a line on the standard error that grep finds the
#                               pattern in
#   skip NAME WHY               a test that cannot run here
set -u
case ${KV:=build/kv} in
/*) ;;
*) KV=$PWD/$KV ;;
esac
[ -x "$KV" ] || {
	echo "$0: no kv command at '$KV'" >&2
	exit 2
}
unset DAXKV_PMEM
scratch=$(mktemp -d "${TMPDIR:-/tmp}/kv-test.XXXXXX") || exit 2
cd "$scratch" || exit 2
log=$scratch/.log
mkdir "$log"
passed=0
failed=0
skipped=0
at_end=

end() {
	status=$?
	trap - EXIT
	[ -z "$at_end" ] || eval "$at_end"
	if [ "$failed" -eq 0 ] && [ "$status" -eq 0 ]; then
		cd / && rm -rf "$scratch"
	else
		echo "scratch directory kept: $scratch"
	fi
	exit "$status"
}
trap end EXIT
trap 'exit 1' HUP INT TERM

kv() {
	"$KV" "$@"
}

t() {
	t_name=$1
	shift
	if "$@" >"$log/report" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAIL %s: %s\n' "$t_name" "$*"
		sed 's/^/     /' "$log/report"
	fi
}

exits() {
	exits_wanted=$1
	shift
	exits_got=0
	"$@" >"$log/out" 2>"$log/err" || exits_got=$?
	if [ "$exits_got" -ne "$exits_wanted" ]; then
		echo "status $exits_got instead of $exits_wanted; standard error:"
		cat "$log/err"
		return 1
	fi
	[ "$exits_wanted" -eq 0 ] && return 0
	if [ "$(wc -l <"$log/err")" -ne 1 ] || ! grep -q '^kv' "$log/err"; then
		echo "not one line on the standard error:"
		cat "$log/err"
		return 1
	fi
}

says() {
	grep -q -e "$1" "$log/err" && return 0
	echo "no '$1' on the standard error:"
	cat "$log/err"
	return 1
}

prints() {
	prints_wanted=$1
	shift
	exits 0 "$@" || return 1
	printf '%s\n' "$prints_wanted" | cmp -s - "$log/out" && return 0
	echo "printed:"
	cat "$log/out"
	echo "instead of:"
	printf '%s\n' "$prints_wanted"
	return 1
}

unchanged() {
	unchanged_file=$1
	shift
	unchanged_before=$(cksum <"$unchanged_file")
	unchanged_result=0
	"$@" || unchanged_result=$?
	[ "$unchanged_before" = "$(cksum <"$unchanged_file")" ] && return "$unchanged_result"
	echo "$unchanged_file was changed by: $*"
	return 1
}

skip() {
	skipped=$((skipped + 1))
	echo "skip $1: $2"
}

# flip FILE OFFSET MASK - turn the byte's bits that are set in the mask.
flip() {
	flip_byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
	# shellcheck disable=SC2059 # the octal escape is the format
	printf "\\$(printf %03o $((flip_byte ^ $3)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# wait_for COMMAND... - until it succeeds, for at most 120 seconds: what is waited for takes as long
# as the machine is busy.
wait_for() {
	wait_end=$(($(date +%s) + 120))
	until "$@"; do
		[ "$(date +%s)" -lt "$wait_end" ] || return 1
		sleep 0.05
	done
}

finish() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
	exit
}
