/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.h - who uses the store: the file "<store>-lock" and the locks on single bytes of it. A store
 * that is called data.mdb has lock.mdb beside it, as the directories of LMDB's programs have.
 *
 *   byte 0    open lock held for an opening or closing, one at a time
 *   byte 1    users     shared by every user; who gets it exclusively is alone
 *   byte 2    passive   shared by readers that show an unclean file from private memory: no writer
 *                       may come
 *   byte 16 + i         reader entry i: held by its owner, so that its death frees it
 *   byte 2^40 + n       open store number n: held from open to close, so that its death shows
 *                       (wlock.h)
 *   byte 2^42 + p       process p is in the open lock, by its number in its own PID namespace: for
 *                       messages
 *   byte 2^62 + t       shared by passive readers, which may not write the lock file: the oldest
 *                       snapshot that one reads (passive.c)
 *
 * Open file description locks (OFD, fcntl(2)): the kernel drops them when the last copy of the
 * descriptor goes, at death too and across PID namespaces; threads and other descriptors of the
 * process do not disturb them. flock(2) and POSIX locks are not used. Every user also holds a byte
 * far behind the data file's end, shared: one for users, the next one for readers of an unclean
 * file (NO_FILE_LOCK: a byte of the directory instead, see lock_dir.c). A passive reader that finds
 * no lock file has its snapshot's byte in the data file, too. Who believes to be alone looks at
 * them: they show a user that has another lock file, because it came by another name of the file,
 * or because its lock file was removed. Rejected: a pid in the file (namespaces, reuse), POSIX
 * locks (any close in the process drops them).
 *
 * What is where in the code: lock.c takes and gives bytes; lock_dir.c those of directories;
 * lock_make.c makes the file and tells whose it is; wlock.c is the writer's lock, a word in shared
 * memory whose owners' deaths show by their bytes here.
 */
#ifndef DAXKV_LOCK_H
#define DAXKV_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct stat;

/* What a lock file is made for, when it is missing. look is asked before one is made (NULL: nobody
 * is): 0, and what stat(2) says of the store, st_mode 0 when the store is to be made, too; or an
 * error with a text, and no lock file is made. A store that is there gives its lock file owner,
 * group and permissions (and its owner may always read and write it): whoever comes first, root
 * perhaps, keeps nobody out that the store lets in. */
struct lock_for {
	/* permissions when the store is to be made; before the umask */
	unsigned int mode;
	/* for another one in the open lock; 0: as long as it takes */
	unsigned int wait_ms;
	int (*look)(void *arg, struct stat *store);
	void *arg;
};

struct lock {
	int fd;    /* of the lock file; -1: none is used */
	bool made; /* the file was made by this opening */
	/* the error of lock_for's look, which has a text */
	int refused;
	/* of the store, once lock_data was called; not owned */
	int data_fd;
	int dir_fd;   /* of the store's directory, with NO_FILE_LOCK; else -1 */
	bool alone;   /* nobody else uses the store; until lock_share */
	bool passive; /* a reader that must not write the lock file */
	/* a passive one: others use the store; when it was opened */
	bool used;
	bool rdonly;
	unsigned int wait_ms; /* as of lock_for */
	char *name;           /* of the lock file */
	/* atomic: this store's thread that has the writer's lock, 0: none; see wlock.h */
	const pthread_t *writer;
};

#define LOCK_OPEN_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

/* The first bytes of a lock file, as soon as it has any: of one that is whole, and of one that is
 * being made. What begins otherwise is somebody else's file, and is never changed; but for LMDB's
 * lock file, which says nothing once its users are gone, and which LMDB itself writes over ours. */
#define LOCK_MAGIC      "daxkvlk"
#define LOCK_MAKING     "daxkvmk"
#define LOCK_MAGIC_SIZE 8u /* with the NUL */

/* lock_known - in lock.c's service: what is in the open file fd may be a lock file. 0; FOREIGN;
 * BUSY when processes use LMDB's there; errno; with a text. */
int lock_known(const struct lock *lock, int fd);

/* lock_claim - the open lock is held, and this is the only user: make the beginning of the lock
 * file show that it is daxkv's, durably where it did not, and that it is being made. Errors:
 * ENOSPC, errno, with a text. */
int lock_claim(const struct lock *lock);

/* lock_error - the errno of a call for the lock file, or an error that has its text: returned, with
 * a text that names the file, and says what to do when its filesystem is full. */
int lock_error(const struct lock *lock, int rc);

/* lock_make - in lock.c's service: make the missing lock file lock->name, like the store, or when
 * store->st_mode is 0 with these permissions. EEXIST: it is there now; EACCES also when a reader
 * would make one that the store's owner could not use. Fills fd. 0 or errno. */
int lock_make(struct lock *lock, const struct stat *store, unsigned int mode);

/* lock_open - make the lock file when it is missing and enter the open lock, waiting for others in
 * it, but no longer than file->wait_ms: then BUSY, with a text that names the process. On return
 * the open lock is held, and lock->alone tells whether this is the only user: then it holds the
 * users byte exclusively. A reader that may not write the lock file, or make one (EROFS, EACCES,
 * EPERM), or for which there is no room (ENOSPC, EDQUOT), becomes a passive one, which others do
 * not see by their locks; fd = -1 when there is no lock file. Errors: BUSY also when an unclean
 * file is shown; EACCES when the lock file may not be read; FOREIGN when it is not a regular file,
 * or somebody else's; errno with a text. O_CLOEXEC, O_NOFOLLOW. */
int lock_open(struct lock *lock, const char *store_path, bool rdonly, const struct lock_for *file);

/* lock_open_named - the same with the lock file's own path. */
int lock_open_named(struct lock *lock, const char *name, bool rdonly, const struct lock_for *file);

/* lock_unmake - the opening failed, or there is no room in the lock file: remove the file that it
 * made and let go of it, unless others use it. The open lock is held. */
void lock_unmake(struct lock *lock);

/* lock_data - the store's descriptor, open now: BUSY when the same file is used with another lock
 * file, or a reader of the unclean file keeps this writer out. Without hold this user leaves no
 * lock there itself, but in the directory of path. */
int lock_data(struct lock *lock, const char *path, int data_fd, bool hold);

/* lock_dir - in lock.c's service: *users tells whether others have the store open with NO_FILE_LOCK
 * and another lock file. hold: this one has, too, and shows. 0 or errno. */
int lock_dir(struct lock *lock, const char *path, int data_fd, bool hold, bool *users);

/* lock_be_passive - a reader, before lock_share: it writes nothing to the lock file from here on.
 * lock_show_unclean - the same for one that is about to show an unclean file: writers are kept out.
 * BUSY when one is there already, who cannot be seen without a lock file. */
int lock_be_passive(struct lock *lock);
int lock_show_unclean(struct lock *lock);

/* lock_again - a passive reader without a lock file looks whether there is one now. 0 also when
 * there is none; EACCES, errno. */
int lock_again(struct lock *lock);

/* lock_pass - wait, as lock_open does, until nobody is in the open lock: an opening in its middle
 * is over. 0, or an error with a text. */
int lock_pass(const struct lock *lock);

/* lock_snapshot - announce to writers that a passive reader may read this snapshot, or take that
 * back. Each process's own announcements count once. fd: of the lock file, or of the store; not the
 * one by which others hold locks. 0 or errno. */
int lock_snapshot(int fd, uint64_t snapshot, bool hold);

/* lock_snapshot_oldest - make *oldest the oldest one that others have announced, if that is older.
 * 0 or errno. */
int lock_snapshot_oldest(int fd, uint64_t *oldest);

/* lock_share - the opening is done: others may come in. */
int lock_share(struct lock *lock);

/* lock_enter - enter the open lock again, for closing. *alone: nobody else uses the store, and
 * nobody can come before lock_close. Where another one stays in the open lock, for LOCK_LEAVE_MS or
 * wait_ms, whatever is less, the open lock is not entered, and *alone false: to leave without it is
 * what one does that dies. */
#define LOCK_LEAVE_MS 3000
int lock_enter(struct lock *lock, bool *alone);

/* lock_allocate - give [off, off + len) of the lock file its space, so that a store there cannot
 * fail. Errors: ENOSPC, errno, with a text.
 */
int lock_allocate(const struct lock *lock, uint64_t off, uint64_t len);

/* lock_reader - hold reader entry i's byte, or let go. 0 or errno. */
int lock_reader(const struct lock *lock, uint32_t reader, bool hold);

/* lock_reader_held - whether another open file description holds the entry's byte. One's own
 * entries show as not held; one that cannot be asked for shows as held. */
bool lock_reader_held(const struct lock *lock, uint32_t reader);

/* lock_owner - hold the byte of open store number owner until lock_close. 0 or errno; EAGAIN:
 * somebody has it. */
int lock_owner(const struct lock *lock, uint32_t owner);

/* lock_owner_held - whether another open file description holds that byte: its store is there. 0 or
 * errno. */
int lock_owner_held(const struct lock *lock, uint32_t owner, bool *held);

/* lock_close - let go of everything. The file stays. */
void lock_close(struct lock *lock);

#endif
