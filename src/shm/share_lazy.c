/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * share_lazy.c - the place of a lazy interval in the lock file, and whether one that was left there
 * still counts. See share.h
 *
 * The lock file outlives the machine's stop, and the pages that an interval is about do not. Nor do
 * they outlive a filesystem that is shut down after an error, or whose device goes away, and that
 * is mounted again. So an interval counts for the same start of the machine, the same mount and the
 * same file only. Rejected: to ask the clock, which may be set; to look at the pages' checksums,
 * which words have none of.
 */
#include "base/base.h"
#include "base/crc.h"
#include "base/err.h"
#include "base/format.h"
#include "daxkv.h"
#include "shm/share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SYSFS_NAME   128
#define MOUNT_UNIQUE 0x4000u /* STATX_MNT_ID_UNIQUE, of Linux 6.8 */

struct sysfs_path { /* fs_sysfs_path, of Linux 6.10 */
	uint8_t length;
	char name[SYSFS_NAME];
};
#define GET_SYSFS_PATH _IOR(0x15, 1, struct sysfs_path)

/* boot_number - of this start of the machine; 0: it cannot be known. */
static uint64_t boot_number(void)
{
	uint64_t text[8] = {0};
	const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	const ssize_t n = read(fd, text, sizeof text - 1);

	(void)close(fd);
	if (n < 32)
		return 0;
	return hash64(1, text, sizeof text) | 1;
}

/* sysfs_number - of the filesystem's directory /sys/fs/NAME, which is made anew with another inode
 * number each time it is mounted, and is the same for all mount points; 0: there is none. */
static uint64_t sysfs_number(const char *name)
{
	char path[SYSFS_NAME + 16];
	struct stat st;

	snprintf(path, sizeof path, "/sys/fs/%s", name);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* sysfs_device - the same for kernels that do not tell the name: by the block device's. */
static uint64_t sysfs_device(dev_t device)
{
	static const char *const types[] = {"ext4", "xfs", "f2fs"};
	char path[64], target[SYSFS_NAME], name[SYSFS_NAME];
	uint64_t number = 0;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(device), minor(device));
	const ssize_t n = readlink(path, target, sizeof target - 8);

	if (n <= 0)
		return 0;
	target[n] = 0;
	const char *slash = strrchr(target, '/');

	for (size_t i = 0; i < sizeof types / sizeof *types && slash && !number; i++) {
		snprintf(name, sizeof name, "%s%.*s", types[i], SYSFS_NAME - 8, slash);
		number = sysfs_number(name);
	}
	return number;
}

/* mount_number - how often the filesystem that has the file was mounted, in a number: another one
 * each time. 0: it cannot be known. What is left for filesystems that sysfs does not know is the
 * number of the mount point, where the kernel does not give that again. A tmpfs takes its files
 * along. */
static uint64_t mount_number(int fd, dev_t device)
{
	struct sysfs_path sysfs = {0};
	struct statx stx = {0};
	struct statfs fs;
	uint64_t number = 0;

	if (ioctl(fd, GET_SYSFS_PATH, &sysfs) == 0) {
		sysfs.name[SYSFS_NAME - 1] = 0;
		number = sysfs_number(sysfs.name);
	}
	if (!number)
		number = sysfs_device(device);
	if (!number && fstatfs(fd, &fs) == 0 && (uint32_t)fs.f_type == TMPFS_MAGIC)
		number = 1;
	if (!number && statx(fd, "", AT_EMPTY_PATH, MOUNT_UNIQUE, &stx) == 0 &&
	    stx.stx_mask & MOUNT_UNIQUE)
		number = stx.stx_mnt_id;
	return number;
}

void share_names(int data_fd, uint64_t *boot, uint64_t *device, uint64_t *inode)
{
	struct stat st = {0};
	uint64_t start[2] = {0};

	if (fstat(data_fd, &st) == 0) {
		start[0] = boot_number();
		start[1] = mount_number(data_fd, st.st_dev);
	}
	*boot = start[0] && start[1] ? hash64(1, start, sizeof start) | 1 : 0;
	*device = st.st_dev;
	*inode = st.st_ino;
}

/* read_at - n bytes of a file; *whole: there are so many. 0 or errno. */
static int read_at(int fd, void *to, size_t n, off_t at, bool *whole)
{
	const ssize_t got = at < 0 ? 0 : pread(fd, to, n, at);

	*whole = got == (ssize_t)n;
	return got < 0 ? errno : 0;
}

/* left_sound - whether the lock file has its length, and the file the pages that the shadow
 * superblock leads to: it may have been written over by a copy, in its place. */
static int left_sound(int fd, int data_fd, const struct share *s, bool *sound)
{
	const off_t at = (off_t)(share_file_bytes(s->max_readers) - SHARE_LAZY);
	const off_t word = offsetof(struct fmt_super, main_desc);
	uint64_t desc;
	uint64_t was;
	struct fmt_page page;
	struct stat st;
	int rc = 0;

	*sound = false;
	if (fstat(fd, &st) != 0)
		return errno;
	if (st.st_size >= at + (off_t)SHARE_LAZY)
		rc = read_at(fd, &desc, sizeof desc, at + word, sound);
	if (!rc && *sound)
		rc = read_at(data_fd, &was, sizeof was, word, sound);
	if (!rc && *sound)
		rc = read_at(data_fd, &page, sizeof page, (off_t)desc, sound);
	if (!rc && *sound)
		*sound = page.type == FMT_DESC && page.birth <= s->published &&
		         (desc == was || page.birth > s->interval.synced);
	return rc;
}

/* A read that fails is an error and no answer: without the interval its commits would be lost. */
int share_left(int fd, int data_fd, uint64_t file_id, uint64_t synced, bool *left, uint64_t *newest)
{
	uint64_t boot;
	uint64_t device;
	uint64_t inode;
	struct share s;
	int rc = read_at(fd, &s, sizeof s, 0, left);

	if (rc)
		return err_sys(rc, "the lock file");
	if (!*left)
		return 0;
	*newest = s.published;
	*left = share_mine(&s, file_id) && s.lazy == share_lazy_mark(file_id) && !s.panic &&
	        s.interval.synced == synced && s.published >= synced &&
	        s.published < (uint64_t)1 << 52;
	if (!*left)
		return 0;
	share_names(data_fd, &boot, &device, &inode);
	*left = boot && boot == s.interval.boot && device == s.interval.device &&
	        inode == s.interval.inode;
	if (*left)
		rc = left_sound(fd, data_fd, &s, left);
	return rc ? err_sys(rc, "what lazy commits left") : 0;
}

int share_lazy_room(struct share_file *f)
{
	int rc = 0;

	if (f->share->interval.room)
		return 0;
	if (f->fd >= 0)
		rc = lock_allocate(f->lock, f->bytes - SHARE_LAZY, SHARE_LAZY);
	else
		f->lazy = calloc(1, SHARE_LAZY);
	if (rc)
		return rc;
	if (!f->lazy)
		return err_set(ENOMEM, "no memory for a lazy interval");
	memset(f->lazy, 0, SHARE_LAZY);
	f->share->interval.room = 1;
	return 0;
}
