/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drive_group.c - members of a group (src/txn/group.h) as operations of the stream, in one thread.
 *
 *   the stream:   begin ... begin ... commit ... begin ... abort ... commit
 *   depth         1         2         1          2         1         0
 *   the engine:   first ... member .. member ... member .. member .. finish
 *
 * A transaction of depth 1 becomes the first member of a group when another begins in it; that one
 * and what is done at depth 1 behind it are members, too. For the oracle it is a transaction with
 * nested ones, because that is what a crash may leave of it: all members that were kept, or none.
 */
#include "drive_internal.h"

#define NESTED_ONE_IN 3u

/* cursor_open_here - members take their cursors along. */
static bool cursor_open_here(const struct drive *drive)
{
	for (size_t i = 0; i < OP_CURSORS; i++)
		if (drive->cursor[i].cursor && drive->cursor[i].txn == 0 &&
		    drive->cursor[i].level == drive->depth)
			return true;
	return false;
}

int members_begin(struct drive *drive, bool *done)
{
	struct daxkv_txn *outer = drive->txn[0];
	int rc;

	*done = drive->members && drive->depth == 1 && !cursor_open_here(drive) &&
	        (drive->grouped || drive->begins++ % NESTED_ONE_IN != 0);
	if (!*done)
		return 0;
	drive->txn[0] = NULL;
	rc = drive->members->keep(outer);
	if (rc) {
		drive->depth = drive->grouped; /* without a group all of it is gone */
		return rc;
	}
	drive->grouped = true;
	rc = drive->members->begin(drive->store, &drive->txn[1]);
	drive->second = rc == 0;
	drive->depth += rc == 0;
	return rc;
}

int members_end(struct drive *drive, bool keep)
{
	const struct drive_members *m = drive->members;
	struct daxkv_txn *txn = drive->txn[drive->depth - 1];
	int rc = 0;

	if (drive->depth == 1 && !keep) {
		m->give_up(drive->store);
		drive->grouped = drive->second = false;
		return 0;
	}
	drive->txn[drive->depth - 1] = NULL;
	if (keep)
		rc = m->keep(txn);
	else
		m->undo(txn);
	if (drive->depth == 2) {
		int err = m->begin(drive->store, &drive->txn[0]);

		drive->second = false;
		return rc ? rc : err;
	}
	if (rc)
		m->give_up(drive->store);
	else
		rc = m->finish(drive->store);
	drive->grouped = false;
	return rc;
}

void members_abort(struct drive *drive)
{
	drive->members->give_up(drive->store);
	drive->grouped = drive->second = false;
	drive->depth = 0;
}
