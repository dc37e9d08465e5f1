/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restore_apply.h - a delta on its way into the store that it follows. For restore_apply.c, which
 * goes through the records, and its parts.
 *
 *   restore_record.c   what a record is made of: numbers, keys, values
 *   restore_merge.c    between OPEN and CLOSE: the entries that are there and those that are put
 *
 * The delta was verified as a whole before (delta_check), so its bytes are those that were written.
 * What they say is still bounded: a record that makes no sense is CORRUPT, and one that does not
 * fit the store that is there is INCOMPATIBLE.
 */
#ifndef DAXKV_RESTORE_APPLY_H
#define DAXKV_RESTORE_APPLY_H

#include "api/backup.h"

struct apply_bytes { /* owned; grows */
	uint8_t *p;
	size_t size;
	size_t room;
};

struct apply_name { /* of a NAME record */
	uint8_t *p;
	uint32_t size;
};

struct apply {
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	struct delta_in *in;
	struct restore_progress *progress;
	uint64_t payload;     /* of the delta */
	uint64_t read;        /* of it */
	uint64_t uncommitted; /* bytes put and removed */
	/* the database in work, if there is some */
	daxkv_db db;
	bool some;
	bool main;
	bool dups;
	uint64_t entries; /* that it has in the end */
	struct apply_bytes name;
	/* the merge: where it began, or the last entry that was put */
	bool open;
	bool from_some;
	struct apply_bytes from_key;
	struct apply_bytes from_dup;
	/* on the next entry that was there; past: there is none */
	struct daxkv_cursor *cursor;
	bool past;
	/* of the record in work */
	struct apply_bytes key;
	struct apply_bytes value;
	struct apply_name *names;
	size_t n_names;
	size_t names_room;
	uint64_t main_entries;
	uint64_t databases;
	uint8_t record; /* read ahead; 0: none */
	int load_rc;    /* what ended a load */
	bool ended;     /* END was read */
};

static inline struct daxkv_val apply_val(const struct apply_bytes *b)
{
	return (struct daxkv_val){b->size, b->p};
}

/* ---- restore_record.c ------------------------------------------------------------------------ */

/* apply_misfit - INCOMPATIBLE: the delta is sound, and belongs to another store or commit.
 * apply_senseless - CORRUPT, with the place in the delta. */
int apply_misfit(const struct apply *apply, const char *what);
int apply_senseless(const struct apply *apply);

/* apply_u8 to apply_u64 - the next number of the record in work. apply_get - n bytes, which the
 * delta has. apply_place - key and duplicate of OPEN, CLOSE and DEL; a key without bytes is none:
 * the database's begin or end. apply_entry - key and value of PUT. CORRUPT, ENOMEM, errno. */
int apply_u8(struct apply *apply, uint8_t *x);
int apply_u16(struct apply *apply, uint32_t *x);
int apply_u32(struct apply *apply, uint32_t *x);
int apply_u64(struct apply *apply, uint64_t *x);
int apply_get(struct apply *apply, struct apply_bytes *to, uint64_t n);
int apply_place(struct apply *apply, struct apply_bytes *key, struct apply_bytes *dup);
int apply_entry(struct apply *apply);

/* apply_keep - a copy of other bytes, which may lie in a page that changes. ENOMEM. */
int apply_keep(struct apply_bytes *to, const void *from, size_t size);

/* ---- restore_merge.c ------------------------------------------------------------------------- */

/* merge_begin - from the place that from_key and from_dup say on. merge_put - the entry of the
 * record in work. merge_upto - entries before the place go, or all (NULL). *at: the entry at it;
 * *found false: there is none. merge_end - safe without a begin. Errors of the calls that change
 * the store. */
int merge_begin(struct apply *apply);
int merge_put(struct apply *apply);
int merge_upto(struct apply *apply, const struct daxkv_val *key, const struct daxkv_val *dup,
               bool *found, struct daxkv_val *at);
void merge_end(struct apply *apply);

#endif
