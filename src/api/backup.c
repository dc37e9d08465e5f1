/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backup.c - a snapshot, or what changed since an earlier one, to a descriptor. See backup.h
 *
 *   full    daxkv_copy, with the store's id and commit in the superblock of what is written
 *   delta   head | names | main database | named databases | totals
 *
 * Both are made by a read transaction, so the store is used meanwhile; a snapshot that is given up
 * ends the backup with TOO_OLD.
 */
#include "api/backup.h"

#include "base/cancel.h"
#include "base/err.h"
#include "txn/commit.h"
#include "txn/txn.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* super_of - the store's superblock, of which only words and what never changes may be read. */
static const struct fmt_super *super_of(const struct daxkv_txn *txn)
{
	return store_super(txn->store);
}

/* snapshot_sync - make the snapshot durable, if it is one of lazy commits: after a power cut other
 * commits would have the numbers that these had, and a delta would not tell them apart. */
static int snapshot_sync(struct daxkv_txn *txn)
{
	if (LIKELY(txn->view.snapshot <= commit_synced(txn->store)))
		return 0;
	if (txn->store->read_only)
		return err_set(DAXKV_BUSY, "the snapshot is of lazy commits that are not synced");
	return txn_sync(txn->store);
}

/* since_check - whether the earlier backup is one of this store, and not younger. An equal commit
 * makes an empty delta. INCOMPATIBLE, with both ids or commits. */
static int since_check(const struct daxkv_txn *txn, const struct daxkv_backup_info *since)
{
	const uint64_t id = super_of(txn)->file_id;
	const uint64_t snapshot = txn->view.snapshot;

	if (since->store_id != id)
		return err_set(DAXKV_INCOMPATIBLE,
		               "the earlier backup is of store %016lx, and this is store %016lx",
		               since->store_id, id);
	if (since->txn > snapshot)
		return err_set(DAXKV_INCOMPATIBLE,
		               "the earlier backup shows commit %lu, and this store is at %lu",
		               since->txn, snapshot);
	return 0;
}

/* name_out - the name of a database that is there. */
static int name_out(struct backup_out *out, const struct backup_db *db)
{
	struct backup_head head = {.n = 0};
	int rc;

	backup_u8(&head, DELTA_NAME);
	backup_u16(&head, db->name_len);
	rc = backup_out_record(out, &head);
	if (rc)
		return rc;
	return backup_out_bytes(out, db->name, db->name_len);
}

/* databases_out - names first, because a key of the main database may have been one; the main one,
 * then the others. END has their number, so that a cut-off delta is no shorter one. A database that
 * was made after the earlier backup comes whole; all of them do when the main one's flags have
 * changed. Errors of what it calls. */
static int databases_out(struct daxkv_txn *txn, struct backup_out *out,
                         const struct daxkv_backup_info *since, const struct backup_db *main_db,
                         bool main_whole, const struct backup_db *dbs, size_t n)
{
	struct backup_head end = {.n = 0};
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++)
		rc = name_out(out, &dbs[i]);
	if (!rc)
		rc = backup_database(txn, main_db, since->txn, main_whole, out);
	for (size_t i = 0; i < n && !rc; i++)
		rc = backup_database(txn, &dbs[i], since->txn,
		                     main_whole || dbs[i].catalog.since > since->txn, out);
	backup_u8(&end, DELTA_END);
	backup_u64(&end, n);
	if (rc)
		return rc;
	return backup_out_record(out, &end);
}

/* delta_run - all of a delta, from its head to its end. The head is written after the names were
 * read, so that a damaged catalog fails before the first byte. The lists are freed in any case. */
static int delta_run(struct daxkv_txn *txn, struct backup_out *out,
                     const struct daxkv_backup_info *since)
{
	const struct fmt_super *super = super_of(txn);
	const struct backup_db main_db = {.catalog = {.desc = load_word(&super->main_desc)}};
	struct delta_head head = {
	    .page_size = txn->store->page_size,
	    .store_id = super->file_id,
	    .since = since->txn,
	    .txn = txn->view.snapshot,
	    .user_version = load_word(&super->user_version),
	    .created = (uint64_t)time(NULL),
	};
	struct desc_says says;
	struct backup_db *dbs;
	size_t n;
	int rc = desc_says(&txn->view, &main_db.catalog, false, &says);

	rc = txn_done(txn, rc);
	if (rc)
		return rc;
	head.main_flags = says.flags;
	rc = backup_names(txn, &main_db.catalog, &dbs, &n);
	if (!rc)
		rc = backup_out_head(out, &head);
	if (!rc)
		rc = databases_out(txn, out, since, &main_db, says.flags != since->main_flags, dbs,
		                   n);
	if (!rc)
		rc = backup_out_end(out);
	for (size_t i = 0; i < n; i++)
		free(dbs[i].name);
	free(dbs);
	return rc;
}

/* A thread is not cancelled inside. After a failure what was written is no backup. */
int daxkv_backup(struct daxkv_txn *txn, int fd, const struct daxkv_backup_options *options)
{
	const struct daxkv_backup_info *since = NULL;

	if (options)
		since = options->since;
	struct backup_out out;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	if (txn->write || fd < 0)
		rc = err_set(EINVAL, "a backup needs a read transaction, and a descriptor");
	if (rc)
		return rc;
	if (since)
		rc = since_check(txn, since);
	if (rc)
		return rc;
	rc = snapshot_sync(txn);
	if (rc)
		return rc;
	rc = backup_out_open(&out, fd, options);
	if (rc)
		return rc;
	const int cancel = cancel_off();

	if (since)
		rc = delta_run(txn, &out, since);
	else
		rc = daxkv_copy(txn, backup_out_store, &out);
	if (!rc && !since)
		rc = backup_out_flush(&out);
	cancel_restore(cancel);
	backup_out_close(&out);
	return rc;
}
