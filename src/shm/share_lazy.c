/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * share_lazy.c - the place of a lazy interval in the lock file, and whether one that was left there
 * still counts. See share.h
 *
 * The lock file outlives the machine's stop, and the pages that an interval is about do not: so it
 * counts for the same start of the machine and the same file only. Rejected: to ask the clock,
 * which may be set.
 */
#include "base/base.h"
#include "base/crc.h"
#include "base/err.h"
#include "base/format.h"
#include "daxkv.h"
#include "shm/share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

void share_names(int data_fd, uint64_t *boot, uint64_t *device, uint64_t *inode)
{
	struct stat st = {0};

	*boot = fstat(data_fd, &st) == 0 ? boot_number() : 0;
	*device = st.st_dev;
	*inode = st.st_ino;
}

/* left_sound - whether the file has the pages that the shadow superblock leads to: it may have been
 * written over by a copy, in its place. */
static bool left_sound(int fd, int data_fd, const struct share *s)
{
	const off_t at = (off_t)(share_file_bytes(s->max_readers) - SHARE_LAZY);
	const off_t word = offsetof(struct fmt_super, main_desc);
	uint64_t desc, was;
	struct fmt_page page;

	if (pread(fd, &desc, sizeof desc, at + word) != (ssize_t)sizeof desc ||
	    pread(data_fd, &was, sizeof was, word) != (ssize_t)sizeof was || desc > INT64_MAX ||
	    pread(data_fd, &page, sizeof page, (off_t)desc) != (ssize_t)sizeof page)
		return false;
	return page.type == FMT_DESC && page.birth <= s->published &&
	       (desc == was || page.birth > s->interval.synced);
}

bool share_left(int fd, int data_fd, uint64_t file_id, uint64_t synced, uint64_t *newest)
{
	uint64_t boot, device, inode;
	struct share s;

	if (pread(fd, &s, sizeof s, 0) != (ssize_t)sizeof s || !share_mine(&s, file_id) ||
	    !s.lazy || s.panic || s.interval.synced != synced || s.published < synced ||
	    s.published >= (uint64_t)1 << 52)
		return false;
	share_names(data_fd, &boot, &device, &inode);
	*newest = s.published;
	return boot && boot == s.interval.boot && device == s.interval.device &&
	       inode == s.interval.inode && left_sound(fd, data_fd, &s);
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
	if (!rc && !f->lazy)
		rc = err_set(ENOMEM, "no memory for a lazy interval");
	if (rc)
		return rc;
	memset(f->lazy, 0, SHARE_LAZY);
	f->share->interval.room = 1;
	return 0;
}
