/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backup.h - backups: a snapshot as a store, or what changed since an earlier one, to a descriptor;
 * and the store again, of these pieces. For backup*.c and restore*.c.
 *
 *   backup.c        the public call: a full backup by copy.h, a delta by the rest
 *   backup_diff.c   one database: what changed in it, found without its earlier state
 *   backup_out.c    bytes to the descriptor, and records in blocks (base/delta.h)
 *   restore.c       the pieces against each other, and the new store
 *   restore_in.c    records out of blocks
 *   restore_apply.c records into the store, by restore_record.c and restore_merge.c
 *
 * What changed since commit B is found at snapshot S > B by these facts (DESIGN.md 6, Backups):
 *   - a leaf that was born up to B was in the tree at B, and its slots up to B give what it held
 *     then: all that the database had between the first and the last of these entries;
 *   - its later slots name each entry that was put or removed since;
 *   - between two such leaves lie those that were rewritten. They give what is there now, and the
 *     delta says that nothing else is (OPEN, CLOSE). So nothing need be known of what went;
 *   - where no leaf lies between two, something may have gone all the same, with its leaf. That
 *     changed an inner page: when those between the two are as old as B, nothing has.
 */
#ifndef DAXKV_BACKUP_H
#define DAXKV_BACKUP_H

#include "base/delta.h"
#include "txn/dbi.h"
#include "txn/desc.h"

/* ---- backup_out.c ---------------------------------------------------------------------------- */

struct backup_out {
	int fd;
	uint8_t *buffer; /* a block and its head, or bytes of a store */
	size_t used;     /* in it */
	uint64_t done;   /* bytes written */
	uint64_t total;  /* of all that will be; 0: not known */
	const struct daxkv_backup_options *options;
	/* of a delta: the checksum up to the last block that was written */
	uint32_t crc;
	/* blocks that were written, the last one not counted */
	uint64_t blocks;
	/* bytes of records in them */
	uint64_t payload;
};

/* backup_out_open - ENOMEM. backup_out_close - frees the buffer. */
int backup_out_open(struct backup_out *out, int fd, const struct daxkv_backup_options *options);
void backup_out_close(struct backup_out *out);

/* backup_out_store - bytes of a store: a daxkv_copy_fn. backup_out_flush - all of them are written.
 * errno of write; what progress returned. */
int backup_out_store(const void *bytes, size_t n, void *out);
int backup_out_flush(struct backup_out *out);

/* backup_out_head - the delta's head, its checksum made here. backup_out_bytes - of a record. The
 * rest of a delta's calls go on with these. backup_out_end - the last block. Errors as above. */
int backup_out_head(struct backup_out *out, struct delta_head *head);
int backup_out_bytes(struct backup_out *out, const void *bytes, size_t n);
int backup_out_end(struct backup_out *out);

struct backup_head { /* the fixed part of a record in the making, at most */
	uint8_t bytes[24];
	/* bytes so far; no record has more than there is room for */
	size_t n;
};
/* backup_u8 to backup_u64 - append a number, in the byte order that the delta's head names.
 * backup_out_record - give the head out; key and value follow by backup_out_bytes. */
static inline void backup_u8(struct backup_head *head, uint8_t x)
{
	head->bytes[head->n++] = x;
}
static inline void backup_u16(struct backup_head *head, uint32_t x)
{
	put16(head->bytes + head->n, x);
	head->n += 2;
}
static inline void backup_u32(struct backup_head *head, uint32_t x)
{
	put32(head->bytes + head->n, x);
	head->n += 4;
}
static inline void backup_u64(struct backup_head *head, uint64_t x)
{
	put64(head->bytes + head->n, x);
	head->n += 8;
}
static inline int backup_out_record(struct backup_out *out, const struct backup_head *head)
{
	return backup_out_bytes(out, head->bytes, head->n);
}

/* ---- backup_diff.c --------------------------------------------------------------------------- */

struct backup_db { /* a database of the snapshot */
	struct fmt_db catalog;
	uint8_t *name; /* owned; NULL: the main one's */
	uint32_t name_len;
};

/* backup_names - the named databases, in the main one's order: *dbs, n of them, the caller's to
 * free, with their names. CORRUPT, TOO_OLD, ENOMEM. After an error, too, what *dbs has is to be
 * freed. */
int backup_names(struct daxkv_txn *txn, const struct fmt_db *main_db, struct backup_db **dbs,
                 size_t *n);

/* backup_database - DATABASE, and the records that make it of what it was at commit since; whole:
 * of nothing. Errors of the above and of backup_out_bytes. */
int backup_database(struct daxkv_txn *txn, const struct backup_db *db, uint64_t since, bool whole,
                    struct backup_out *out);

/* ---- restore_in.c ---------------------------------------------------------------------------- */

struct delta_in { /* a delta that is read */
	const char *path;
	int fd;
	struct delta_head head;
	uint8_t *buffer; /* a block's payload */
	uint32_t used;   /* bytes of it */
	uint32_t at;     /* the next one */
	/* of the head and all blocks so far: the next block's goes on from it */
	uint32_t crc;
	uint64_t off;     /* in the file, behind the block */
	uint64_t payload; /* bytes of the payloads so far */
	/* so far, the last one not counted */
	uint64_t blocks;
	/* the last block was read: there are no more records */
	bool ended;
};

/* To open a FIFO would wait for its other end. */
#define DELTA_OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* delta_open - at its first record, the head verified. FOREIGN when it is none, INCOMPATIBLE when
 * it is a store, CORRUPT, VERSION, ENOMEM, errno. delta_close - also after a failure. */
int delta_open(struct delta_in *in, const char *path);
void delta_close(struct delta_in *in);

/* delta_check - read all blocks: the delta is whole and sound. *payload: the bytes of its records.
 * CORRUPT, errno. delta_bytes - the next n bytes of the records. CORRUPT when there are none. */
int delta_check(struct delta_in *in, uint64_t *payload);
int delta_bytes(struct delta_in *in, void *to, size_t n);

/* ---- restore_apply.c ------------------------------------------------------------------------- */

/* Bytes of all pieces of a restore: those that were taken up, and all. restore_more - so many more
 * were; what the caller's function returned, when it is not 0. */
struct restore_progress {
	const struct daxkv_backup_options *options;
	uint64_t done;
	uint64_t total;
};
int restore_more(struct restore_progress *progress, uint64_t bytes);

/* restore_apply - make of the store, which is at in->head.since, what it is at in->head.txn.
 * payload is what delta_check said. It commits in between, so after an error the store is of no
 * use: it lies somewhere between the two commits. CORRUPT for a record that makes no sense,
 * INCOMPATIBLE for one that does not fit the store; errors of the calls that change the store. */
int restore_apply(struct daxkv_store *store, struct delta_in *in, uint64_t payload,
                  struct restore_progress *progress);

#endif
