#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# distros.sh - scripts/check-distros ends what it started and removes what it made, whatever signal
# it gets and when. mmdebstrap and chroot are replaced: no system is made, no network is used.
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/lib.sh"
if [ "$(id -u)" -ne 0 ] || ! unshare --mount --pid --fork true 2>"$log/err"; then
	skip "check-distros" "needs root that may make namespaces"
	finish
fi

# linger - stays whatever signal comes, also in its own session; its arguments name it
mkdir bin
cat >bin/linger <<'E2'
#!/bin/sh
trap '' HUP INT QUIT TERM
setsid sh -c 'trap "" HUP INT QUIT TERM; sleep 98765; : "$1"' sh "$1" &
: >"$1/reached"
sleep 98765
: "$1"
E2
cat >bin/mmdebstrap <<'E2'
#!/bin/sh
mkdir "$TMPDIR/root"
mount -t tmpfs tmpfs "$TMPDIR/root"
[ "$MOMENT" != making ] || linger "$PLACE"
for tar; do
	case $tar in *.tar) break ;; esac
done
for directory in proc sys dev/pts dev/shm etc home/plain; do
	mkdir -p "$TMPDIR/root/$directory"
done
tar -C "$TMPDIR/root" -cf "$tar" .
E2
cat >bin/chroot <<'E2'
#!/bin/sh
case $* in
*useradd*) ;;
*) linger "$PLACE" ;;
esac
E2
chmod +x bin/*

place="$scratch/a place"
distros="$place/distros"
mkdir "$place"

# check_distros - with the signals that a shell's background does not have
check_distros() {
	PATH=$scratch/bin:$PATH PLACE=$place DISTROS=$distros DEBIAN_MIRROR=http://127.0.0.1/ \
		DEBIAN_KEYRING=/etc/passwd exec env --default-signal=HUP,INT,QUIT,TERM \
		"$top/scripts/check-distros" --systems debian-12
}

# running - processes of the run; the pattern is in a file, where it does not name grep itself
echo "$place" >pattern
running() {
	grep -lsF -f pattern /proc/[0-9]*/cmdline /proc/[0-9]*/environ
}

# clean - no process, no mount, nothing unpacked is left
clean() {
	clean_tries=0
	while [ -n "$(running)" ] && [ $clean_tries -lt 50 ]; do
		clean_tries=$((clean_tries + 1))
		sleep 0.1
	done
	[ -z "$(running)" ] && ! grep -F "${scratch##*/}" /proc/self/mountinfo
}

# interrupted SIGNAL STATUS MOMENT - in the making of a system, in a command there, or at once
interrupted() {
	rm -f "$place/reached"
	MOMENT=$3
	export MOMENT
	(check_distros) >"$log/run" 2>&1 &
	interrupted_pid=$!
	case $3 in
	start) wait_for grep -qs check-distros "/proc/$interrupted_pid/cmdline" || return 1 ;;
	*) wait_for test -e "$place/reached" || return 1 ;;
	esac
	kill -s "$1" $interrupted_pid
	interrupted_status=0
	wait $interrupted_pid || interrupted_status=$?
	cat "$log/run"
	[ $interrupted_status -eq "$2" ] && clean || return 1
	[ "$1" != KILL ] || return 0 # the next run removes what is left
	[ -z "$(find "$distros" -mindepth 1 ! -name '*.log' ! -name debian-12.tar ! -name lock \
		! -name table ! -name skips)" ] || ! find "$distros"
}

t "SIGTERM in the making" interrupted TERM 143 making
t "SIGINT in the making" interrupted INT 130 making
t "SIGKILL in the making" interrupted KILL 137 making
t "SIGHUP in a command" interrupted HUP 129 running
t "SIGKILL in a command" interrupted KILL 137 running
t "SIGTERM in a command" interrupted TERM 143 running
for moment in 1 2 3; do
	t "SIGTERM at the start ($moment)" interrupted TERM 143 start
done

# Something is mounted in a system of an earlier run: it is not removed, and the run does not begin.
mkdir -p "$distros/debian-12/mnt"
kept() {
	unshare --mount sh -c 'mount -t tmpfs tmpfs "$1/debian-12/mnt" &&
		: >"$1/debian-12/mnt/file" &&
		{ "$2/scripts/check-distros" --systems debian-12 2>err; test $? -eq 1; } &&
		grep -q "something is mounted in .*/a place/distros/debian-12: it is left" err &&
		test -e "$1/debian-12/mnt/file"' sh "$distros" "$top"
}
DISTROS=$distros
export DISTROS
PATH=$scratch/bin:$PATH
t "what has a mount inside is kept" kept

# Only one run at a time works in a directory.
t "a second run is refused" sh -c 'flock "$DISTROS/lock" "$1/scripts/check-distros" 2>err
	test $? -eq 1 && grep -q "another run" err' sh "$top"
finish
