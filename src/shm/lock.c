/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.c - the locks on bytes of the lock file. See lock.h
 *
 * Every lock is an open file description lock of one byte (byte_set). The order in which they are
 * taken is the protocol: the open lock first, which serialises openings and closings; under it the
 * users byte, exclusively if nobody else has it, which is what "alone" means; then the bytes of
 * the data file. They are given back in the reverse order, and all at once by the kernel at a
 * death.
 */
#include "shm/lock.h"

#include "base/base.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/fds.h"
#include "daxkv.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LOCK_TRIES 100 /* openings of a lock file that somebody keeps unlinking */

/* file_open - open the lock file, or make it (file NULL: do not); forks wait. First without
 * O_CREAT: in a sticky directory that flag makes another user's file unopenable (protected_regular
 * in proc(5)). 0 or errno; the store is looked at, without holding forks up, before a file is
 * made. */
static int file_open(struct lock *lock, bool rdonly, const struct lock_for *file)
{
	struct stat store = {.st_mode = 0};
	bool make = false;
	int rc = 0;

	for (int i = 0; i < LOCK_TRIES; i++) {
		fds_hold();
		lock->fd = open(lock->name, LOCK_OPEN_FLAGS | (rdonly ? O_RDONLY : O_RDWR));
		rc = 0;
		if (lock->fd < 0)
			rc = errno;
		lock->made = false;
		if (rc == ENOENT && make) {
			rc = lock_make(lock, &store, file->mode);
			lock->made = !rc;
		}
		lock->fd = fd_above_stdio(lock->fd);
		if (!rc && lock->fd < 0)
			rc = errno;
		fds_release();
		/* is it the store's path? */
		if ((rc == ENOTDIR || rc == EACCES) && file && file->look && !make)
			lock->refused = file->look(file->arg, &store);
		if (rc == ENOENT && file && !make) { /* look first, and then once more */
			if (file->look)
				lock->refused = file->look(file->arg, &store);
			else
				lock->refused = 0;
			make = true;
			if (!lock->refused)
				continue;
		}
		if (rc != EEXIST && rc != EINTR)
			return rc;
	}
	return rc;
}

enum lock_byte { OPEN_LOCK = 0, USERS = 1, PASSIVE = 2, READERS = 16 };
#define OWNERS       ((off_t)1 << 40)
#define IN_OPEN_LOCK ((off_t)1 << 42)
#define PIDS         ((off_t)1 << 31)
#define SNAPSHOTS    ((off_t)1 << 62)        /* bytes of either file */
#define DATA_USERS   ((off_t)INT64_MAX - 16) /* bytes of the data file */
#define SNAPSHOT_MAX ((uint64_t)DATA_USERS - (uint64_t)SNAPSHOTS - 1)
#define DATA_PASSIVE (DATA_USERS + 1)

/* byte_set - type F_RDLCK, F_WRLCK or F_UNLCK on a byte. 0 or errno; EAGAIN when it is taken and
 * wait is not set. */
static int byte_set(int fd, off_t byte, short type, bool wait)
{
	struct flock fl = {
	    .l_type = type,
	    .l_whence = SEEK_SET,
	    .l_start = byte,
	    .l_len = 1,
	};
	int rc;
	do
		rc = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &fl) == 0 ? 0 : errno;
	while (rc == EINTR);
	if (rc == EACCES)
		return EAGAIN;
	return rc;
}

/* byte_wait - the same, waiting so many milliseconds (0: as long as it takes): then EAGAIN. The
 * kernel has no wait for a lock that ends without a signal, so a bounded one looks again and
 * again. */
static int byte_wait(int fd, off_t byte, short type, unsigned int wait_ms)
{
	const int64_t end = clock_ms() + wait_ms;
	int rc;

	if (wait_ms == 0)
		return byte_set(fd, byte, type, true);
	for (unsigned int pause_ms = 1; (rc = byte_set(fd, byte, type, false)) == EAGAIN;
	     pause_ms = pause_ms < 16 ? 2 * pause_ms : 16) {
		if (clock_ms() >= end)
			break;
		usleep(1000 * pause_ms);
	}
	return rc;
}

/* byte_held - whether another open file description keeps one from having a lock. 0 or errno. */
static int byte_held(int fd, off_t byte, bool *held)
{
	struct flock fl = {
	    .l_type = F_WRLCK,
	    .l_whence = SEEK_SET,
	    .l_start = byte,
	    .l_len = 1,
	};
	if (fcntl(fd, F_OFD_GETLK, &fl) != 0)
		return errno;
	*held = fl.l_type != F_UNLCK;
	return 0;
}

/* byte_failed - an errno of byte_set as an error with a text: EAGAIN is somebody else's lock. */
static int byte_failed(const struct lock *lock, int err)
{
	if (err == EAGAIN)
		return err_set(DAXKV_BUSY, "the store is in use: %s is locked", lock->name);
	return err_sys(err, "locking %s", lock->name);
}

/* open_lock_said - the one in the open lock has stayed there. */
static int open_lock_said(const struct lock *lock, int fd)
{
	struct flock fl = {
	    .l_type = F_WRLCK,
	    .l_whence = SEEK_SET,
	    .l_start = IN_OPEN_LOCK,
	    .l_len = PIDS,
	};

	if (fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK && fl.l_start > IN_OPEN_LOCK)
		return err_set(DAXKV_BUSY,
		               "process %d is opening or closing the store, and has %s locked",
		               (int)(fl.l_start - IN_OPEN_LOCK), lock->name);
	return err_set(DAXKV_BUSY,
	               "another process is opening or closing the store, and has %s locked",
	               lock->name);
}

/* open_lock_wait - be the one in the open lock, or of several readers there. 0 or an error with a
 * text. That the process shows there is a help for messages, and may fail. */
static int open_lock_wait(const struct lock *lock, int fd, short type, unsigned int wait_ms)
{
	int rc = byte_wait(fd, OPEN_LOCK, type, wait_ms);

	if (!rc)
		(void)byte_set(fd, IN_OPEN_LOCK + getpid(), F_RDLCK, false);
	if (rc == EAGAIN)
		return open_lock_said(lock, fd);
	if (rc)
		return byte_failed(lock, rc);
	return 0;
}

/* open_lock_leave - let the next one in. The byte that shows this process there goes first. */
static int open_lock_leave(const struct lock *lock)
{
	int rc = byte_set(lock->fd, IN_OPEN_LOCK + getpid(), F_UNLCK, false);

	if (!rc)
		rc = byte_set(lock->fd, OPEN_LOCK, F_UNLCK, false);
	if (rc)
		return byte_failed(lock, rc);
	return 0;
}

/* file_same - whether the name still leads to the open file. */
static int file_same(const struct lock *lock, int fd, bool *same)
{
	struct stat mine;
	struct stat now;
	*same = false;
	if (fstat(fd, &mine) != 0)
		return err_sys(errno, "lock file %s", lock->name);
	if (!S_ISREG(mine.st_mode))
		return err_set(DAXKV_FOREIGN, "lock file %s: not a regular file", lock->name);
	if (lstat(lock->name, &now) == 0)
		*same = now.st_dev == mine.st_dev && now.st_ino == mine.st_ino;
	else if (errno != ENOENT)
		return err_sys(errno, "lock file %s", lock->name);
	return 0;
}

/* open_lock_enter - open the file and pass its open lock, again when the file was removed
 * meanwhile. */
static int open_lock_enter(struct lock *lock, bool passive, const struct lock_for *file)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		bool same;
		int rc = file_open(lock, passive, file);
		if (rc)
			return rc;
		int fd = lock->fd;
		rc = file_same(lock, fd, &same);
		if (!rc && same)
			rc = lock_known(lock, fd);
		if (!rc && same) {
			rc = open_lock_wait(lock, fd, passive ? F_RDLCK : F_WRLCK, lock->wait_ms);
			if (!rc)
				rc = file_same(lock, fd, &same);
		}
		if (!rc && same)
			return 0;
		fds_close(&lock->fd);
		if (rc)
			return rc;
	}
	return err_set(DAXKV_BUSY, "lock file %s: somebody keeps removing it", lock->name);
}

/* open_passive - by reading alone. Without a lock file there is no user, or none that this one can
 * know of. */
static int open_passive(struct lock *lock)
{
	int rc = open_lock_enter(lock, true, NULL);

	lock->passive = lock->alone = true;
	if (rc == ENOENT)
		return 0;
	if (rc) {
		if (rc > 0)
			return err_sys(rc, "lock file %s", lock->name);
		return rc;
	}
	rc = byte_held(lock->fd, USERS, &lock->used);
	if (rc)
		return byte_failed(lock, rc);
	lock->alone = !lock->used;
	return 0;
}

/* reads_on - whether a reader that cannot have the lock file as others have it goes on silently. */
static bool reads_on(int rc)
{
	switch (rc) {
	case EROFS:
	case EACCES:
	case EPERM:
	case ENOSPC:
	case EDQUOT:
		return true;
	default:
		return false;
	}
}

/* What happens depends on who may do what: a reader that cannot write the lock file reads
 * passively, anybody else must have it. */
int lock_open_named(struct lock *lock, const char *name, bool rdonly, const struct lock_for *file)
{
	*lock = (struct lock){
	    .fd = -1,
	    .data_fd = -1,
	    .dir_fd = -1,
	    .rdonly = rdonly,
	    .wait_ms = file->wait_ms,
	    .name = strdup(name),
	};
	if (!lock->name)
		return err_set(ENOMEM, "no memory for a file name");
	int rc = open_lock_enter(lock, false, file);
	if (lock->refused)
		return lock->refused;
	if (rdonly && reads_on(rc))
		return open_passive(lock);
	if (rc == ELOOP || rc == EISDIR || rc == ENXIO)
		return err_set(DAXKV_FOREIGN, "lock file %s: not a regular file", lock->name);
	if (rc)
		return lock_error(lock, rc);
	bool passive = false;
	if (!rdonly)
		rc = byte_held(lock->fd, PASSIVE, &passive);
	if (rc)
		return byte_failed(lock, rc);
	if (passive)
		return err_set(DAXKV_BUSY,
		               "the store is in use by a reader that shows an unclean file (%s)",
		               lock->name);
	rc = byte_set(lock->fd, USERS, F_WRLCK, false);
	lock->alone = rc == 0;
	if (rc == EAGAIN)
		rc = byte_wait(lock->fd, USERS, F_RDLCK, lock->wait_ms);
	if (rc)
		return byte_failed(lock, rc);
	return 0;
}

/* A store called data.mdb has lock.mdb beside it, as LMDB's programs expect. */
int lock_open(struct lock *lock, const char *store_path, bool rdonly, const struct lock_for *file)
{
	const char *slash = strrchr(store_path, '/');
	const char *base = store_path;

	if (slash)
		base = slash + 1;
	const bool lmdb = strcmp(base, "data.mdb") == 0;
	char *name;

	*lock = (struct lock){.fd = -1, .data_fd = -1, .dir_fd = -1};
	if (asprintf(&name, lmdb ? "%.*slock.mdb" : "%.*s-lock",
	             (int)(lmdb ? (size_t)(base - store_path) : strlen(store_path)),
	             store_path) < 0)
		return err_set(ENOMEM, "no memory for a file name");
	int rc = lock_open_named(lock, name, rdonly, file);
	free(name);
	return rc;
}

/* data_held - whether somebody holds that byte of the data file, and it alone: a lock of the whole
 * file is a program's own matter. 0 or errno. */
static int data_held(int data_fd, off_t byte, bool *held)
{
	struct flock fl = {
	    .l_type = F_WRLCK,
	    .l_whence = SEEK_SET,
	    .l_start = byte,
	    .l_len = 1,
	};

	if (fcntl(data_fd, F_OFD_GETLK, &fl) != 0)
		return errno;
	*held = fl.l_type != F_UNLCK && fl.l_start == byte && fl.l_len == 1;
	return 0;
}

/* others_seen - users, or readers of the unclean file, that have another lock file. This one's own
 * byte comes first, then the look at others': of two who come by different names at once, one sees
 * the other at least. 0 or errno. */
static int others_seen(struct lock *lock, const char *path, int data_fd, bool hold, bool *seen)
{
	bool users = false;
	bool passive = false;
	bool hidden = false;
	int rc = 0;

	if (hold && !lock->passive)
		rc = byte_set(data_fd, DATA_USERS, F_RDLCK, false);
	if (rc && rc != EAGAIN)
		return rc;
	users = rc == EAGAIN;
	rc = 0;
	if (lock->alone && !users)
		rc = data_held(data_fd, DATA_USERS, &users);
	if (!rc && !lock->rdonly)
		rc = data_held(data_fd, DATA_PASSIVE, &passive);
	if (!rc)
		rc = lock_dir(lock, path, data_fd, !hold && !lock->passive, &hidden);
	*seen = users || passive || hidden;
	return rc;
}

/* The kernel drops the locks of a process that is killed one after another, those of the lock file
 * first: what is seen but once may be the rest of one. */
int lock_data(struct lock *lock, const char *path, int data_fd, bool hold)
{
	if (lock->fd < 0 && !lock->passive)
		return 0;
	if (lock->passive)
		lock->data_fd = data_fd;
	const int cancel = cancel_off();
	bool seen = true;
	int rc = 0;

	for (unsigned int pause_ms = 1; pause_ms < 32 && !rc && seen; pause_ms *= 2) {
		if (pause_ms > 1)
			usleep(1000 * pause_ms);
		rc = others_seen(lock, path, data_fd, hold, &seen);
	}
	cancel_restore(cancel);
	if (rc)
		return err_sys(rc, "the locks of the store");
	if (seen)
		return err_set(
		    DAXKV_BUSY,
		    "the store is in use by way of another name, or of a lock file that was "
		    "removed: its lock file is not %s",
		    lock->name);
	if (hold || lock->passive)
		lock->data_fd = data_fd;
	else
		lock->data_fd = -1;
	return 0;
}

/* The bytes by which this one showed as a user are given back: from here on it is seen by its
 * snapshot's byte only. */
int lock_be_passive(struct lock *lock)
{
	int rc = 0;

	if (lock->passive)
		return 0;
	assert(lock->rdonly);
	lock->passive = true;
	if (lock->data_fd >= 0)
		rc = byte_set(lock->data_fd, DATA_USERS, F_UNLCK, false);
	if (!rc)
		rc = byte_set(lock->fd, USERS, F_UNLCK, false);
	if (rc)
		return byte_failed(lock, rc);
	return 0;
}

/* Its own byte first, then a look at the others': of two that come at once one sees the other. */
int lock_show_unclean(struct lock *lock)
{
	bool users = false;
	int rc = 0;

	if (!lock->name) /* NO_LOCK */
		return 0;
	if (lock->fd >= 0)
		rc = byte_set(lock->fd, PASSIVE, F_RDLCK, false);
	if (!rc && lock->data_fd >= 0)
		rc = byte_set(lock->data_fd, DATA_PASSIVE, F_RDLCK, false);
	/* no open lock keeps a writer away who is opening now */
	if (!rc && lock->fd < 0 && lock->data_fd >= 0)
		rc = data_held(lock->data_fd, DATA_USERS, &users);
	if (!rc && users)
		rc = EAGAIN;
	if (rc)
		return byte_failed(lock, rc);
	if (lock->passive)
		return 0;
	return lock_be_passive(lock);
}

/* Entered and left again: what counts is that the file is open afterwards. */
int lock_again(struct lock *lock)
{
	if (lock->fd >= 0)
		return 0;
	int rc = open_lock_enter(lock, true, NULL);

	if (!rc)
		return open_lock_leave(lock);
	if (rc > 0 && rc != ENOENT)
		return err_sys(rc, "lock file %s", lock->name);
	if (rc < 0)
		return rc;
	return 0;
}

/* Shared, so that readers that wait do not wait for each other. */
int lock_pass(const struct lock *lock)
{
	int rc = open_lock_wait(lock, lock->fd, F_RDLCK, lock->wait_ms);

	if (rc)
		return rc;
	return open_lock_leave(lock);
}

/* A snapshot beyond SNAPSHOT_MAX has that byte: it is then held as older than it is, which is
 * safe. */
int lock_snapshot(int fd, uint64_t snapshot, bool hold)
{
	return byte_set(fd, SNAPSHOTS + (off_t)min_u64(snapshot, SNAPSHOT_MAX),
	                hold ? F_RDLCK : F_UNLCK, false);
}

/* lock_snapshot_oldest - the kernel shows some lock of a range: look again before it, until there
 * is none. A lock that begins before the range is a program's own matter. */
int lock_snapshot_oldest(int fd, uint64_t *oldest)
{
	uint64_t len = min_u64(*oldest, SNAPSHOT_MAX);

	while (len) {
		struct flock fl = {
		    .l_type = F_WRLCK,
		    .l_whence = SEEK_SET,
		    .l_start = SNAPSHOTS,
		    .l_len = (off_t)len,
		};

		if (fcntl(fd, F_OFD_GETLK, &fl) != 0)
			return errno;
		if (fl.l_type == F_UNLCK)
			return 0;
		if (fl.l_start < SNAPSHOTS)
			return 0;
		len = *oldest = (uint64_t)(fl.l_start - SNAPSHOTS);
	}
	return 0;
}

/* The exclusive lock becomes a shared one in one step: nobody can come between. */
int lock_share(struct lock *lock)
{
	int rc = 0;
	if (lock->fd < 0)
		return 0;
	if (!lock->passive && lock->alone)
		rc = byte_set(lock->fd, USERS, F_RDLCK, false);
	lock->alone = false;
	if (rc)
		return byte_failed(lock, rc);
	return open_lock_leave(lock);
}

/* A closing that cannot have the open lock leaves without it: that is what a death looks like,
 * too, and recovery knows it. */
int lock_enter(struct lock *lock, bool *alone)
{
	*alone = lock->fd < 0;
	if (lock->fd < 0)
		return 0;
	if (lock->passive)
		return 0;
	const bool sooner = lock->wait_ms > 0 && lock->wait_ms < LOCK_LEAVE_MS;
	struct err_saved before;

	err_save(&before);
	int rc = open_lock_wait(lock, lock->fd, F_WRLCK, sooner ? lock->wait_ms : LOCK_LEAVE_MS);
	if (rc == DAXKV_BUSY) {
		err_restore(&before);
		return 0;
	}
	if (rc)
		return rc;
	*alone = byte_set(lock->fd, USERS, F_WRLCK, false) == 0;
	return 0;
}

/* posix_fallocate is a cancellation point. */
int lock_allocate(const struct lock *lock, uint64_t off, uint64_t len)
{
	if (lock->fd < 0)
		return 0;
	const int cancel = cancel_off();
	int rc = posix_fallocate(lock->fd, (off_t)off, (off_t)len);
	cancel_restore(cancel);
	if (rc)
		return err_sys(rc, "the lock file's %lu bytes", (unsigned long)(off + len));
	return 0;
}

/* In NO_LOCK, where there is no lock file, every lock succeeds: the program keeps order. */
int lock_reader(const struct lock *lock, uint32_t reader, bool hold)
{
	if (lock->fd < 0)
		return 0;
	return byte_set(lock->fd, (off_t)READERS + reader, hold ? F_WRLCK : F_UNLCK, false);
}

/* What cannot be asked for counts as held: an entry is then not reaped. */
bool lock_reader_held(const struct lock *lock, uint32_t reader)
{
	bool held = true;
	if (lock->fd < 0)
		return true;
	if (byte_held(lock->fd, (off_t)READERS + reader, &held) != 0)
		return true;
	return held;
}

/* One byte for each number that a share ever gives, so that a number is not taken for another
 * store's. */
int lock_owner(const struct lock *lock, uint32_t owner)
{
	assert(owner != 0);
	if (lock->fd < 0)
		return 0;
	return byte_set(lock->fd, OWNERS + owner, F_WRLCK, false);
}

/* *held is true where it cannot be known: the owner then counts as alive. */
int lock_owner_held(const struct lock *lock, uint32_t owner, bool *held)
{
	*held = true;
	if (lock->fd < 0)
		return 0;
	return byte_held(lock->fd, OWNERS + owner, held);
}

/* Under its name only: somebody may have removed the file and made another one. */
void lock_unmake(struct lock *lock)
{
	bool same = false;

	if (lock->fd < 0)
		return;
	if (!lock->made)
		return;
	if (!lock->alone)
		return;
	/* who waits for the open lock looks whether the file still has its name */
	if (file_same(lock, lock->fd, &same) == 0 && same)
		(void)unlink(lock->name);
	fds_close(&lock->dir_fd);
	fds_close(&lock->fd);
	lock->made = false;
}

/* The kernel drops the locks with the descriptors. Who finds nobody at the lock file then finds
 * nobody at the directory. */
void lock_close(struct lock *lock)
{
	fds_close(&lock->dir_fd);
	fds_close(&lock->fd);
	free(lock->name);
	*lock = (struct lock){.fd = -1, .data_fd = -1, .dir_fd = -1};
}
