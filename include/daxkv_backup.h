/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daxkv_backup.h - copies and backups, while others read and write: a part of daxkv.h, which
 * includes it.
 *
 * A full backup is a store: it opens at once, packed, and may be used as one. A delta has what
 * changed between the commit that an earlier backup shows, full or delta, and a later one. The full
 * one and the deltas behind it, in order, make the store of the last of them again.
 *
 * A store that was copied by cp has the identity and the commit numbers of the other. When both are
 * written to, or an older copy is put back, a full backup must be made first: a delta on a backup
 * of the other would mix the two.
 */
#ifndef DAXKV_BACKUP_CALLS_H
#define DAXKV_BACKUP_CALLS_H

#include "daxkv.h"

#ifdef __cplusplus
extern "C" {
#endif

/* daxkv_copy - all that the read transaction sees, as a store of its own, while others write. write
 * is given its bytes from front to back, size of them at each call, so that they may go to a pipe.
 * What it returns other than 0 ends the copy and is returned; it must not use the transaction. The
 * copy is packed, has this store's page size and user version, an identity of its own, and the
 * snapshot's number as its newest commit. Everything is compared with its checksum before the first
 * byte is written; the snapshot is read twice. To make the bytes durable is the caller's matter.
 * Errors: EINVAL (write transaction), BAD_TXN, CORRUPT, TOO_OLD, ENOMEM, errno. */
typedef int daxkv_copy_fn(const void *bytes, size_t size, void *arg);
int daxkv_copy(struct daxkv_txn *txn, daxkv_copy_fn *write, void *arg);

struct daxkv_backup_info { /* what a backup says of itself */
	int full;          /* a store; else a delta */
	uint32_t page_size;
	uint32_t main_flags; /* of the main database: enum daxkv_db_flags */
	uint64_t store_id;   /* file_id of the store that it is of: struct daxkv_info */
	uint64_t since;      /* of a delta: the commit that the earlier backup shows */
	uint64_t txn;        /* the commit that it shows: daxkv_txn_id */
};

/* daxkv_backup_look - what the file path, a backup, says of itself. A delta is read whole and
 * verified; of a full backup it is seen that all of it is there. A store that is no copy of
 * another, or was changed since it was made, is no backup. Any thread may call it. Errors: EINVAL;
 * INCOMPATIBLE (no backup); FOREIGN, CORRUPT, VERSION; errno of open and read; ENOMEM; those of
 * daxkv_open for reading. */
int daxkv_backup_look(const char *path, struct daxkv_backup_info *info);

/* How far a backup or a restore is: bytes that were written, of how many in all (0: not known yet).
 * What it returns other than 0 ends the work, which returns that. It must not use the transaction,
 * and must not end its thread. */
typedef int daxkv_backup_progress_fn(uint64_t done, uint64_t total, void *arg);

struct daxkv_backup_options { /* a member that is zero has its default */
	/* An earlier backup of this store, by daxkv_backup_look: a delta is made. NULL: a full
	 * backup. The earlier one itself is not read. */
	const struct daxkv_backup_info *since;
	daxkv_backup_progress_fn *progress;
	void *progress_arg;
	/* Of the store that daxkv_restore makes. */
	enum daxkv_pmem pmem;
};

/* daxkv_backup - write what the read transaction sees to the descriptor fd: a file, a pipe or a
 * socket. Bytes go out from front to back, without a seek and without a temporary file; fd is not
 * flushed and not closed. Others read and write meanwhile; the snapshot holds space back as any
 * other does, and a limit of the handle ends it (TOO_OLD). What was written before a failure is no
 * backup: a store that is shorter than it says, or a delta without its end. When fd does not block,
 * the call waits for it; a signal does not end it. SIGPIPE is the caller's matter, as of write(2).
 *
 * A full backup is what daxkv_copy gives: everything is compared with its checksum before the first
 * byte is written. A delta reads all inner pages, the headers of all leaves (256 bytes of each) and
 * what changed, and compares what it gives out with its checksum. The main database, whose entries
 * name the others, is read whole unless all keys and all values in it have one size. What a leaf
 * that was rewritten has goes into the delta as a whole, and so does a database whose order is the
 * program's own, when anything in it has changed.
 *
 * Errors: EINVAL (write transaction), INCOMPATIBLE (the earlier backup is of another store, or
 * shows a later commit), BAD_TXN, CORRUPT, TOO_OLD, ENOMEM; errno of write(2), and daxkv_errmsg
 * says at which byte. options may be NULL. */
int daxkv_backup(struct daxkv_txn *txn, int fd, const struct daxkv_backup_options *options);

/* daxkv_restore - make a store in the file path, which must not be there, of a full backup and n -
 * 1 deltas behind it, in the order of their commits: pieces[0] is the full one. Each piece is
 * verified whole before anything is made, and each must begin where the one before ends. The
 * store has all databases with their flags, entries and the user version of the last piece, and an
 * identity of its own: a new chain of backups begins with it. Databases whose order is the
 * program's own keep it. The file gets the permissions of pieces[0], and is durable on return,
 * its name is not: that is the directory's. On failure there is no file; a process that dies leaves
 * one, which may open: make it under another name, and rename it then, as kv restore does. Nobody
 * may write the pieces meanwhile. Takes memory for the largest value. Any thread may call it.
 * Errors: EINVAL; EEXIST; INCOMPATIBLE (a piece is no backup, is of another store or of another
 * place in the row: daxkv_errmsg says which, and what would fit); FOREIGN, CORRUPT, VERSION of a
 * piece; ENOMEM; errno and the space errors of the new store; what progress returned. */
int daxkv_restore(const char *path, const char *const *pieces, size_t n,
                  const struct daxkv_backup_options *options);

#ifdef __cplusplus
}
#endif
#endif
