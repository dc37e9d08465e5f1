/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restore.c - a store of a full backup and the deltas behind it. See backup.h
 *
 *   1 all pieces are read, and checked against each other, before anything is made
 *   2 the full backup is copied to the new file, as daxkv_copy does: verified, with a new id
 *   3 each delta is applied to it, in some transactions
 *
 * A restore that fails removes what it made. The pieces are only read. The new file is nobody
 * else's until the call returns, so the transactions in 3 need not show a state of the old store.
 */
#include "api/backup.h"
#include "base/cancel.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- looking --------------------------------------------------------------------------------- */

/* is_delta - by its first bytes. A file that cannot be read is none, and fails as a store does. */
static bool is_delta(int fd)
{
	char magic[DELTA_MAGIC_SIZE];

	if (pread(fd, magic, sizeof magic, 0) != (ssize_t)sizeof magic)
		return false;
	return memcmp(magic, DELTA_MAGIC, sizeof magic) == 0;
}

/* full_open - a full backup as a store, and what it says of itself. Opened read-only and without a
 * lock: a backup is not written to, and may lie on a medium that cannot be. *txn sees the newest
 * commit, which has to be the one that the backup was made of. After an error nothing is open.
 * INCOMPATIBLE when it is no backup, or one that was written to. */
static int full_open(const char *path, struct daxkv_store **store, struct daxkv_txn **txn,
                     struct daxkv_backup_info *info)
{
	const struct daxkv_options options = {.flags = DAXKV_READ_ONLY | DAXKV_NO_LOCK};
	const struct fmt_super *super;
	unsigned int flags = 0;
	int rc = daxkv_open(path, &options, store);

	if (rc)
		return rc;
	super = map_super(&(*store)->map);
	rc = daxkv_txn_begin(*store, NULL, DAXKV_TXN_READ_ONLY, txn);
	if (rc) {
		(void)daxkv_close(*store);
		return rc;
	}
	if (!super->source_id)
		rc = err_set(DAXKV_INCOMPATIBLE, "%s: a store, and no backup of one", path);
	else if (daxkv_txn_id(*txn) != super->source_txn ||
	         load_word(&super->user_version) != super->source_user_version)
		rc = err_set(DAXKV_INCOMPATIBLE,
		             "%s: it was changed since it was made, and is no backup any more",
		             path);
	if (!rc)
		rc = daxkv_db_flags(*txn, DAXKV_MAIN, &flags);
	if (rc) {
		daxkv_txn_abort(*txn);
		(void)daxkv_close(*store);
		return rc;
	}
	*info = (struct daxkv_backup_info){
	    .full = 1,
	    .page_size = super->page_size,
	    .main_flags = flags,
	    .store_id = super->source_id,
	    .txn = super->source_txn,
	};
	return 0;
}

/* delta_info - what the delta's head says of it. full stays 0. */
static void delta_info(const struct delta_head *head, struct daxkv_backup_info *info)
{
	*info = (struct daxkv_backup_info){
	    .page_size = head->page_size,
	    .main_flags = head->main_flags,
	    .store_id = head->store_id,
	    .since = head->since,
	    .txn = head->txn,
	};
}

/* delta_look - all of it is read: a backup must not be built on one that is not whole. */
static int delta_look(const char *path, struct daxkv_backup_info *info)
{
	struct delta_in in;
	uint64_t unused;
	int rc = delta_open(&in, path);

	if (!rc)
		rc = delta_check(&in, &unused);
	if (!rc)
		delta_info(&in.head, info);
	delta_close(&in);
	return rc;
}

/* A full backup is a store, so it is opened as one. */
int daxkv_backup_look(const char *path, struct daxkv_backup_info *info)
{
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	int fd;
	int rc;

	if (!path || !info)
		return err_set(EINVAL, "a path is needed, and a place for what the backup says");
	fd = open(path, DELTA_OPEN_FLAGS);
	if (fd < 0)
		return err_sys(errno, "opening %s", path);
	const bool delta = is_delta(fd);

	close(fd);
	if (delta)
		return delta_look(path, info);
	rc = full_open(path, &store, &txn, info);
	if (rc)
		return rc;
	daxkv_txn_abort(txn);
	return daxkv_close(store);
}

/* ---- restoring ------------------------------------------------------------------------------- */

struct restore {
	const char *path;
	const char *const *pieces;
	struct restore_progress progress;
	struct daxkv_backup_info at; /* where the pieces so far lead to */
	/* the delta in work: one at a time is open */
	struct delta_in in;
	/* bytes of records, of each delta */
	uint64_t *payload;
	/* of the new file, while it is written as a copy */
	int fd;
};

/* A caller that returns something else than 0 ends the restore. */
int restore_more(struct restore_progress *p, uint64_t bytes)
{
	int rc = 0;

	p->done += bytes;
	if (p->options && p->options->progress)
		rc = p->options->progress(p->done, p->total, p->options->progress_arg);
	if (rc)
		return err_set(rc, "the restore was ended by its caller");
	return 0;
}

/* piece_fits - whether the delta begins where the pieces before it end. By store and by commit: the
 * ids say that they belong together, the numbers that none is missing. INCOMPATIBLE, with what is
 * missing. */
static int piece_fits(const struct restore *r, const struct daxkv_backup_info *info,
                      const char *path)
{
	if (info->store_id != r->at.store_id)
		return err_set(DAXKV_INCOMPATIBLE,
		               "%s: of store %016lx; the pieces before it are of %016lx", path,
		               info->store_id, r->at.store_id);
	if (info->since != r->at.txn || info->page_size != r->at.page_size)
		return err_set(DAXKV_INCOMPATIBLE,
		               "%s: it leads from commit %lu to %lu; the pieces before it end at "
		               "%lu: one is missing, or their order is wrong",
		               path, info->since, info->txn, r->at.txn);
	return 0;
}

/* pieces_check - all deltas, before anything is made: whole, sound, and in a row. *at goes on with
 * each of them. One at a time is open, however many there are, and each is opened once more when it
 * is applied. */
static int pieces_check(struct restore *r, size_t n)
{
	int rc = 0;

	for (size_t i = 1; i < n && !rc; i++) {
		struct daxkv_backup_info info;

		rc = delta_open(&r->in, r->pieces[i]);
		if (!rc) {
			delta_info(&r->in.head, &info);
			rc = piece_fits(r, &info, r->pieces[i]);
		}
		if (!rc)
			rc = delta_check(&r->in, &r->payload[i]);
		delta_close(&r->in);
		if (rc)
			return rc;
		r->at = info;
		r->progress.total += r->payload[i];
	}
	return 0;
}

/* full_write - bytes of the new store. A write may take a part of it, and a signal may come. It is
 * a daxkv_copy_fn. errno of write, or what progress returned. */
static int full_write(const void *bytes, size_t n, void *arg)
{
	assert(((struct restore *)arg)->fd >= 0);
	struct restore *r = arg;
	const uint8_t *p = bytes;

	for (size_t left = n; left;) {
		ssize_t done = write(r->fd, p, left);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return err_sys(done ? errno : EIO, "writing %s", r->path);
		p += done;
		left -= (size_t)done;
	}
	return restore_more(&r->progress, n);
}

/* full_copy - the full backup, verified, with an identity of its own. The file must not be there:
 * nothing is overwritten. It has the permissions of the full backup. Its bytes are durable when
 * this returns 0. After an error the file that it made is gone. */
static int full_copy(struct restore *r, struct daxkv_txn *txn)
{
	struct stat st;
	int rc = 0;

	if (stat(r->pieces[0], &st) != 0)
		return err_sys(errno, "%s", r->pieces[0]);
	r->fd = fd_above_stdio(open(r->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	if (r->fd < 0)
		return err_sys(errno, "making %s", r->path);
	if (fchmod(r->fd, st.st_mode & 0777) != 0)
		rc = err_sys(errno, "the permissions of %s", r->path);
	if (!rc)
		rc = daxkv_copy(txn, full_write, r);
	if (!rc && fsync(r->fd) != 0)
		rc = err_sys(errno, "flushing %s", r->path);
	if (close(r->fd) != 0 && !rc)
		rc = err_sys(errno, "closing %s", r->path);
	if (rc)
		unlink(r->path);
	return rc;
}

/* deltas_apply - to the store that the full backup has become. Without a lock file: nobody knows of
 * the store yet. The store is closed in any case; an error of the restore comes before one of the
 * closing. */
static int deltas_apply(struct restore *r, size_t n, enum daxkv_pmem pmem)
{
	assert(n > 1);
	const struct daxkv_options options = {.flags = DAXKV_NO_LOCK, .pmem = pmem};
	struct daxkv_store *store;
	int rc = daxkv_open(r->path, &options, &store);

	if (rc)
		return rc;
	for (size_t i = 1; i < n && !rc; i++) {
		rc = delta_open(&r->in, r->pieces[i]);
		if (!rc)
			rc = restore_apply(store, &r->in, r->payload[i], &r->progress);
		delta_close(&r->in);
	}
	int closed = daxkv_close(store);

	if (rc)
		return rc;
	return closed;
}

/* file_sync - whatever the medium was taken for. */
static int file_sync(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int rc = 0;

	if (fd < 0 || fsync(fd) != 0)
		rc = err_sys(errno, "flushing %s", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* restore_run - the three steps. After the first one errors remove the new file. The number of
 * bytes that progress tells is known after the check. */
static int restore_run(struct restore *r, size_t n, enum daxkv_pmem pmem)
{
	struct daxkv_store *full;
	struct daxkv_txn *txn;
	int rc = daxkv_backup_look(r->pieces[0], &r->at);

	if (rc)
		return rc;
	if (!r->at.full)
		rc = err_set(DAXKV_INCOMPATIBLE,
		             "%s: a delta, and the first piece is a full backup", r->pieces[0]);
	if (rc)
		return rc;
	rc = full_open(r->pieces[0], &full, &txn, &r->at);

	if (rc)
		return rc;
	r->progress.total = daxkv_size(full);
	rc = pieces_check(r, n);
	if (!rc)
		rc = full_copy(r, txn);
	daxkv_txn_abort(txn);
	(void)daxkv_close(full);
	if (rc)
		return rc;
	if (n > 1)
		rc = deltas_apply(r, n, pmem);
	if (!rc && n > 1)
		rc = file_sync(r->path);
	if (rc)
		unlink(r->path);
	return rc;
}

/* A thread is not cancelled inside: a half-made store would stay. */
int daxkv_restore(const char *path, const char *const *pieces, size_t n,
                  const struct daxkv_backup_options *options)
{
	struct restore r = {.path = path, .pieces = pieces, .progress = {.options = options}};
	int rc;

	if (!path || !pieces || !n)
		return err_set(EINVAL, "a path is needed, and a full backup");
	r.payload = calloc(n, sizeof *r.payload);
	if (!r.payload)
		return err_set(ENOMEM, "no memory for %zu pieces", n);
	const int cancel = cancel_off();

	rc = restore_run(&r, n, options ? options->pmem : DAXKV_PMEM_AUTO);
	cancel_restore(cancel);
	free(r.payload);
	return rc;
}
