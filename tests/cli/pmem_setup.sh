#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# pmem_setup.sh - scripts/pmem-setup on a machine of files: what it would run, and what it refuses.
# tests/vm runs it on an emulated NVDIMM.
setup=$(cd "$(dirname "$0")/../../scripts" && pwd)/pmem-setup
. "$(dirname "$0")/lib.sh"

# The machine: region0 is full and has namespace0.0, in fsdax mode as pmem0; region1 is free. pmem1
# is not in fsdax mode.
PMEM_SETUP_ROOT=$scratch/root
export PMEM_SETUP_ROOT
mkdir -p root/proc root/dev bin
for name in pmem0 pmem1; do
	mkdir -p "root/sys/class/block/$name/queue" "root/sys/class/block/$name/holders"
	echo 8192 >"root/sys/class/block/$name/size" # 4 MiB
	truncate -s 4M "root/dev/$name"
done
echo 1 >root/sys/class/block/pmem0/queue/dax
echo 0 >root/sys/class/block/pmem1/queue/dax
: >root/proc/mounts

cat >bin/ndctl <<'END'
#!/bin/sh
echo "ndctl $*" >>"$CALLS"
case "$*" in
"list -R -r region0") echo '[ { "dev":"region0", "size":4194304, "available_size":0 } ]' ;;
"list -R -r region1") echo '[ { "dev":"region1", "size":4194304, "available_size":4194304 } ]' ;;
"list -N -r region0") printf '[\n { "dev":"namespace0.0" },\n { "dev":"namespace0.1" } ]\n' ;;
"list -n namespace0.0") echo '[ { "dev":"namespace0.0", "mode":"fsdax", "blockdev":"pmem0" } ]' ;;
create-namespace*) printf '{\n  "dev":"namespace1.0",\n  "blockdev":"pmem0"\n}\n' ;;
esac
END
for tool in mkfs.ext4 mkfs.xfs mount xfs_io filefrag; do
	printf '#!/bin/sh\necho "%s $*" >>"$CALLS"\n' $tool >bin/$tool
done
printf '#!/bin/sh\necho "${FAKE_ID:-0}"\n' >bin/id
# A kv command that says it is on DAX: nothing here is.
cat >bin/kv <<'END'
#!/bin/sh
echo "kv $*" >>"$CALLS"
case $1 in info) printf 'medium:      dax\ndurability:  survives a power cut\n' ;; esac
END
chmod +x bin/*
CALLS=$scratch/calls
export CALLS
real=$KV
KV=$scratch/bin/kv
export KV
PATH=$scratch/bin:$PATH

# run STATUS ARGUMENT... - the script ends with that status; its calls that change something are in
# the file changes
run() {
	run_wanted=$1
	shift
	: >"$CALLS"
	run_got=0
	sh "$setup" "$@" >"$log/out" 2>"$log/err" || run_got=$?
	grep -v '^ndctl list' "$CALLS" >changes
	[ "$run_got" -eq "$run_wanted" ] && return 0
	echo "status $run_got instead of $run_wanted:"
	cat "$log/out" "$log/err"
	return 1
}

# refused PATTERN ARGUMENT... - with status 1, that text, and nothing changed
refused() {
	refused_pattern=$1
	shift
	run 1 "$@" && says "$refused_pattern" && ! [ -s changes ]
}

# does TEXT ARGUMENT... - succeeds, having made exactly these calls
does() {
	does_wanted=$1
	shift
	run 0 "$@" || return 1
	printf '%s' "${does_wanted:+$does_wanted
}" | diff - changes
}

usage() {
	run 2 "$@" && says '^usage: scripts/pmem-setup list'
}

shows() { # PATTERN: in what was printed
	grep -q -e "$1" "$log/out" && return 0
	echo "no '$1' in:"
	cat "$log/out"
	return 1
}

t usage-none usage
t usage-command usage destroy /mnt
t usage-no-place usage create
t usage-no-what usage create "$scratch/mnt"
t usage-two usage create "$scratch/mnt" --region region1 --device /dev/pmem0
t usage-filesystem usage create "$scratch/mnt" --region region1 --filesystem btrfs
t usage-size usage create "$scratch/mnt" --device /dev/pmem0 --size 1G
t usage-value usage create "$scratch/mnt" --region
t usage-mount-erase usage mount "$scratch/mnt" --device /dev/pmem0 --erase

t region-ext4 does "ndctl create-namespace --region=region1 --mode=fsdax --map=dev --align=2M
mkfs.ext4 -q -F -b 4096 -E stride=512,stripe_width=512 /dev/pmem0
mount -t ext4 -o dax /dev/pmem0 $scratch/mnt
kv --pmem dax create $scratch/mnt/.daxkv-setup --initial-size 4M
kv info $scratch/mnt/.daxkv-setup
filefrag -v -b4096 $scratch/mnt/.daxkv-setup" create "$scratch/mnt" --region region1
t region-shows-commands shows '^+ mount -t ext4 -o dax /dev/pmem0'
t region-shows-medium shows '^medium: *dax'
t region-fstab shows "^for /etc/fstab: /dev/pmem0 $scratch/mnt ext4 dax,nofail 0 0"
made="ndctl create-namespace --region=region1 --mode=fsdax --map=mem --align=2M --size=2G"
t region-xfs does "$made
mkfs.xfs -q -f -m reflink=0 -d su=2m,sw=1 /dev/pmem0
mount -t xfs -o dax /dev/pmem0 $scratch/mnt
xfs_io -c extsize 2m $scratch/mnt
kv --pmem dax create $scratch/mnt/.daxkv-setup --initial-size 4M
kv info $scratch/mnt/.daxkv-setup
filefrag -v -b4096 $scratch/mnt/.daxkv-setup" \
	create "$scratch/mnt" --region region1 --size 2G --filesystem xfs --map mem
rmdir mnt

t dry-run does '' create "$scratch/mnt" --region region1 --dry-run
t dry-run-shows shows '^+ ndctl create-namespace --region=region1'
t dry-run-shows-mkfs shows '^+ mkfs.ext4 .* /dev/pmemN$'
t dry-run-makes-nothing test ! -e mnt
# A machine without the memory and without the tools: the commands are shown, and what is missing is
# noted.
mkdir bare bare/bin
bare() { (PMEM_SETUP_ROOT=$scratch/bare PATH=$scratch/bare/bin KV=kv && does '' "$@"); }
for tool in sh sed awk grep id cat ls diff dirname basename head; do
	ln -s "$(command -v $tool)" bare/bin/$tool
done
t bare-region bare create "$scratch/mnt" --region region0 --filesystem xfs --dry-run
for text in '^note: ndctl is not installed' '^note: there is no region region0' \
	'^+ ndctl create-namespace --region=region0' '^note: mkfs.xfs is not installed' \
	'^+ mkfs.xfs .* /dev/pmemN$' "^+ mount -t xfs -o dax /dev/pmemN $scratch/mnt" \
	'^+ xfs_io -c extsize 2m' '^+ kv --pmem dax create'; do
	t "bare-region-shows $text" shows "$text"
done
t bare-namespace bare create "$scratch/mnt" --namespace namespace0.0 --erase --dry-run
t bare-namespace-shows shows '^+ ndctl create-namespace --force --reconfig=namespace0.0'
t bare-device bare create "$scratch/mnt" --device /dev/pmem0 --dry-run
t bare-device-notes shows '^note: the kernel does not know /dev/pmem0'
t bare-device-shows shows '^+ mkfs.ext4 .* /dev/pmem0$'
t bare-mount bare mount "$scratch/mnt" --device /dev/pmem0 --dry-run
t bare-mount-shows shows '^+ mount -t ext4 -o dax /dev/pmem0'

FAKE_ID=1000
export FAKE_ID
t dry-run-needs-no-root does '' create "$scratch/mnt" --device /dev/pmem0 --dry-run
t root refused 'this needs root' create "$scratch/mnt" --device /dev/pmem0
FAKE_ID=0

t region-full refused 'region0 has no free space; its namespaces: namespace0.0 namespace0.1' \
	create "$scratch/mnt" --region region0
t region-unknown refused 'no region region7' create "$scratch/mnt" --region region7
t namespace-unknown refused 'no namespace namespace7.0' create "$scratch/mnt" \
	--namespace namespace7.0 --erase
t namespace-there refused 'namespace0.0 is there already' create "$scratch/mnt" \
	--namespace namespace0.0
t device-not-dax refused '/dev/pmem1 cannot do DAX' create "$scratch/mnt" \
	--device /dev/pmem1 --erase
t device-unknown refused 'the kernel does not know /dev/pmem9' create "$scratch/mnt" \
	--device /dev/pmem9 --erase
t device-no-device refused 'is not a device' create "$scratch/mnt" --device "$scratch/calls" --erase
t place-relative refused 'named from the root' create mnt --device /dev/pmem0
mkdir taken && : >taken/file
t place-not-empty refused 'is not empty' create "$scratch/taken" --device /dev/pmem0
t place-file refused 'is not a directory' create "$scratch/calls" --device /dev/pmem0

# Nothing that a device holds is overwritten unless that is said: a filesystem, or any byte at its
# beginning or its end.
for place in ext4:1080:'\123\357' xfs:0:XFSB data:700000:x data:4194303:x; do
	truncate -s 0 root/dev/pmem0 && truncate -s 4M root/dev/pmem0
	rest=${place#*:}
	# shellcheck disable=SC2059 # the escapes are the format's
	printf "${rest#*:}" | dd of=root/dev/pmem0 bs=1 seek="${rest%%:*}" conv=notrunc 2>/dev/null
	t "device-holds-$place" refused "/dev/pmem0 holds something (${place%%:*})" create \
		"$scratch/mnt" --device /dev/pmem0
done
t device-erase run 0 create "$scratch/mnt" --device /dev/pmem0 --erase
t device-erase-forces grep -q '^mkfs.ext4 -q -F ' changes
truncate -s 0 root/dev/pmem0 && truncate -s 4M root/dev/pmem0
t device-blank run 0 create "$scratch/mnt" --device /dev/pmem0
t device-blank-does-not-force grep -q '^mkfs.ext4 -q -b ' changes

t mount-nothing refused 'has no ext4 or xfs filesystem but nothing' mount "$scratch/mnt" --device \
	/dev/pmem0
printf XFSB | dd of=root/dev/pmem0 conv=notrunc 2>/dev/null
t mount-xfs does "mount -t xfs -o dax /dev/pmem0 $scratch/mnt
kv --pmem dax create $scratch/mnt/.daxkv-setup --initial-size 4M
kv info $scratch/mnt/.daxkv-setup
filefrag -v -b4096 $scratch/mnt/.daxkv-setup" mount "$scratch/mnt" --device /dev/pmem0

# What is in use is left alone, whatever is said.
echo "/dev/pmem0 /srv ext4 rw,dax 0 0" >root/proc/mounts
t mounted refused '/dev/pmem0 is mounted on /srv' create "$scratch/mnt" --device /dev/pmem0 --erase
t mounted-namespace refused 'of namespace namespace0.0, is mounted on /srv' create "$scratch/mnt" \
	--namespace namespace0.0 --erase
t mounted-list run 0 list
t mounted-list-shows shows '^/dev/pmem0: 4 MiB, xfs, mounted on /srv$'
t mounted-list-other shows '^/dev/pmem1: 4 MiB, blank, not mounted$'
: >root/proc/mounts
: >root/sys/class/block/pmem0/holders/dm-0
t holder refused '/dev/pmem0 is in use by dm-0' create "$scratch/mnt" --device /dev/pmem0 --erase
t holder-namespace refused 'of namespace namespace0.0, is in use' create "$scratch/mnt" \
	--namespace namespace0.0 --erase
rm root/sys/class/block/pmem0/holders/dm-0
mkdir root/sys/class/block/pmem0/pmem0p1
t partitions refused '/dev/pmem0 has partitions: pmem0p1' create "$scratch/mnt" --device \
	/dev/pmem0 --erase
rmdir root/sys/class/block/pmem0/pmem0p1

# The real command finds that there is no MAP_SYNC here, whatever was mounted.
KV=$real
memory=$(mktemp -d /dev/shm/kv-test.XXXXXX 2>/dev/null) || memory=
if [ -n "$memory" ]; then
	at_end='rm -rf "$memory"'
	t no-map-sync run 1 create "$memory" --device /dev/pmem0 --erase
	t no-map-sync-says says 'a mapping there cannot have MAP_SYNC'
	t no-map-sync-leaves-no-store test -z "$(ls -A "$memory")"
else
	skip no-map-sync 'there is no /dev/shm, and any other directory may be on DAX'
fi
finish
