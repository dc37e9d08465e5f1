/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kv.h - an open store, its transactions, database handles and cursors: who sees which tree.
 *
 *   struct daxkv      the file, what its users share, and the one writer's state
 *   struct dbi        a database handle, struct dbstate a database as one transaction sees it: dbi.h
 *
 * Fields are grouped by what protects them. A write transaction and its nested ones work on one struct wset; each has dbstates of its own,
 * which a child copies from its parent at begin and gives back at commit.
 */
#ifndef DAXKV_KV_H
#define DAXKV_KV_H

#include "dbi.h"
#include "share.h"
#include "super.h"
#include "tree.h"

#include <pthread.h>

struct slow { /* the caller's answer to readers that hold space back (slow.h) */
	daxkv_slow_fn *fn; /* NULL: none */
	void *arg;
	uint64_t word; /* of the reader asked about last, and its slot */
	uint32_t slot;
	unsigned int retry;
};

struct silent { /* a reader that may not write the lock file (silent.h) */
	bool on, in_store;  /* in_store: its bytes are the store's, not the lock file's */
	uint64_t life;      /* of a share that says nothing; 0: there is none */
	uint64_t announced; /* the snapshot whose byte is locked, + 1; 0: none */
	pthread_mutex_t mutex;
};

struct daxkv {
	/* fixed after open */
	struct map map;
	struct lock lock;
	struct geometry geometry;
	struct share_file share_file;
	struct share *share;                    /* share_file.share */
	uint64_t *alive;                        /* a page that a forked child sees as zeros */
	uint64_t reserved; /* atomic: bytes of address space */
	struct daxkv *next_store, **store_link; /* in stores.c, under its lock */
	bool joined;                            /* others used the store when it was opened */
	uint32_t page_size, max_key;
	bool read_only;
	bool turns;  /* others use the file between this one's transactions: DAXKV_TURNS */
	uint64_t stamp; /* env_stamp as a reader without company found it when it opened */
	bool follows; /* a read begins with commit_follow: turns, or copied */
	bool copied;  /* atomic: the first writer makes the filesystem copy the file, and this one has the old one mapped: see map_follow_copy */
	bool nolock; /* opened without a lock file: write transactions may go from thread to thread */
	uint64_t recovered;
	bool made_sure; /* recovery ran, with its fences, when the store was opened */
	struct silent silent;
	uint64_t max_age_ms, max_lag; /* bounds of this store's own readers */
	char *path;
	pthread_key_t thread_txn; /* a thread's idle read transaction, kept for its next begin */
	/* dbi_mutex */
	pthread_mutex_t dbi_mutex;
	struct dbi_table dbis;
	struct daxkv_txn *read_txns; /* all there are, idle ones included */
	pthread_mutex_t slot_mutex;  /* taking, releasing and reaping reader slots */
	/* share->writer */
	struct ring ring;
	struct space space;
	struct wset wset;
	struct view writer_view;
	struct tree_scratch scratch;
	struct words words; /* of the last commit: stored, to be flushed when the next transaction begins [R9] */
	uint64_t words_txn; /* which commit that is; 0: none, see its record */
	uint64_t
	    known; /* the commit at which space holds: another process may have committed since, or released pages (share->last_writer) */
	bool followed; /* others have committed since this one last wrote; with turns only */
	uint64_t commits;
	uint64_t used;               /* atomic: bytes in use when daxkv_info looked last */
	struct oldest oldest;        /* the reader that holds space back */
	struct slow slow;
	struct daxkv_txn *writer;    /* the outermost write transaction running */
	struct daxkv_txn *idle_txns; /* ended ones, for the next */
	uint64_t generation;
	pthread_t writer_thread; /* atomic: who has the lock, 0: nobody here */
};

struct reserved {             /* a value that the caller of put is filling */
	const uint8_t *value; /* in the leaf: the value, or its struct fmt_blob */
	uint64_t leaf;
	uint32_t vlen;
	bool pending, blob;
};

struct daxkv_txn {
	struct daxkv *kv;
	struct daxkv_txn *parent, *child;
	bool write, broken, idle; /* broken: to be aborted; idle: a read transaction after reset */
	bool too_old;             /* broken, because its snapshot was given up */
	bool verify;              /* a read transaction: its cursors compare checksums */
	bool bounded;             /* a read transaction of a store with bounds */
	uint32_t slot;            /* of the reader table */
	uint64_t generation;
	uint64_t valid_at;  /* of a write transaction that ended: the commit at which its dbstates hold */
	struct view view;   /* of a read transaction */
	struct dbstate **db; /* by the entry of the handle: room pointers, NULL where none was looked at. A state does not move */
	uint32_t room, ndb;  /* ndb: entries looked at in this generation end here */
	uint64_t regrouped;  /* the table's count when this generation began */
	bool handles;        /* it opened handles, or gave them names */
	struct daxkv_cursor *cursors;
	struct daxkv_txn *next, **link; /* in kv->read_txns */
	struct daxkv_txn *origin;       /* of a clone: the read transaction whose slot it reads by */
	bool cloned;                    /* there are clones, or were: the two below count then, under slot_mutex */
	bool ended;                     /* it has, and its slot and memory are left to the last clone */
	uint32_t users;                 /* of its slot */
	struct wset_mark mark;          /* of a nested transaction */
	struct reserved reserved;
	uint64_t user_word; /* to be kept with the store, */
	bool user_word_set; /* when this is set */
};

/* ---- env_look.c ------------------------------------------------------------------------------ */

/* env_look - what a path has, before a lock file is made for it (struct lock_for): 0 when it is a
 * store, or is missing or empty and DAXKV_CREATE says to make one. Errors of daxkv_open, with a text:
 * ENOENT, EEXIST, EISDIR, EACCES, FOREIGN, VERSION, CORRUPT. arg is a struct env_look. */
struct env_look {
	const char *path;
	unsigned int flags; /* of daxkv_open */
};
struct stat;
int env_look(void *arg, struct stat *st);

/* ---- txn.c, txn_state.c ---------------------------------------------------------------------------------------------------------------- */

/* txn_open_tables, txn_close_tables - of a store: what threads keep between read transactions. 0 or errno. */
int txn_open_tables(struct daxkv *kv);
void txn_close_tables(struct daxkv *kv);

/* txn_forked - whether this is a forked child, which must not use its parent's store. */
static inline bool txn_forked(const struct daxkv *kv)
{
	return UNLIKELY(*kv->alive == 0);
}

/* txn_own - BAD_TXN with a text in a forked child. */
int txn_own(const struct daxkv *kv);

/* txn_check - whether the transaction can be used, and with write, changed. BAD_TXN, EACCES. txn_refuse - the reason why not. */
int txn_refuse(const struct daxkv_txn *txn, bool write);
static inline int txn_check(const struct daxkv_txn *txn, bool write)
{
	if (LIKELY(txn && !txn_forked(txn->kv) && !txn->child && !txn->broken && !txn->idle && (txn->write || !write)))
		return 0;
	return txn_refuse(txn, write);
}

/* txn_writing - whether the calling thread has a write transaction by way of this handle. */
static inline bool txn_writing(const struct daxkv *kv)
{
	return __atomic_load_n(&kv->writer_thread, __ATOMIC_RELAXED) == pthread_self(); /* a number; only its own thread stores it */
}

/* txn_view - what it sees. */
static inline struct view *txn_view(struct daxkv_txn *txn)
{
	return txn->write ? &txn->kv->writer_view : &txn->view;
}

/* txn_done - what a call that read comes to: rc, or TOO_OLD when the snapshot was given up meanwhile, whatever the call met then [I20]. */
int txn_too_old(struct daxkv_txn *txn);
static inline int txn_done(struct daxkv_txn *txn, int rc)
{
	return UNLIKELY(view_evicted(&txn->view)) ? txn_too_old(txn) : rc;
}

/* txn_break - a change failed half-way with rc: only abort is left. Returns rc. */
int txn_break(struct daxkv_txn *txn, int rc);

/* txn_seal - compute the checksum of a reserved value, which the caller has filled by now. */
void txn_seal(struct daxkv_txn *txn);

/* ---- dbi.h ---------------------------------------------------------------------------------------------------------------- */

/* dbi_state - database db as txn sees it. BAD_DB, CORRUPT, NEED_COMPARE, ENOMEM. */
static inline int dbi_state(struct daxkv_txn *txn, daxkv_db db, struct dbstate **state)
{
	uint32_t i = db & txn->kv->dbis.mask;

	if (LIKELY(i < txn->ndb)) {
		struct dbstate *s = txn->db[i];

		if (LIKELY(s && s->generation == txn->generation && s->handle == db &&
			   __atomic_load_n(&s->entry->number, __ATOMIC_RELAXED) == db &&
			   !(s->flags & (DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE)))) {
			*state = s;
			return 0;
		}
	}
	return dbi_state_find(txn, db, state);
}

/* dbi_state_known - the same for a database that the transaction has looked at. */
static inline struct dbstate *dbi_state_known(const struct daxkv_txn *txn, daxkv_db db)
{
	return txn->db[db & txn->kv->dbis.mask];
}

/* ---- desc.c --------------------------------------------------------------------------------------------------------------- */

/* desc_read - the descriptor page at off as the view sees it. CORRUPT. */
int desc_read(const struct view *view, uint64_t off, const struct fmt_desc **desc, uint64_t *at);

/* desc_count - the number of entries at the view's snapshot. */
uint64_t desc_count(const struct view *view, const struct fmt_desc *desc);

/* desc_says - what a database's record, and the page that it names, say: with counts all, else desc,
 * root and flags. CORRUPT. */
struct desc_says {
	uint64_t desc; /* the descriptor page; 0: there is none */
	uint64_t root, entries, leaf_pages, inner_pages, blob_pages;
	uint32_t flags;
};
int desc_says(const struct view *view, const struct fmt_db *record, bool counts,
              struct desc_says *says);

/* desc_verify - compare the checksum of the descriptor page at at, to which a record that names from
 * leads. CORRUPT. */
int desc_verify(const struct view *view, uint64_t from, uint64_t at);

/* desc_new - a private descriptor page for a database with these flags; prev as for tree pages. */
int desc_new(struct wset *w, uint32_t flags, uint64_t count, uint64_t prev, uint64_t *off);

/* desc_commit - write what changed in the database to its descriptor: words, or in place when it is private. When the page has no room for
 * another count, *full and nothing else. */
int desc_commit(struct daxkv *kv, struct dbstate *state, struct words *words, bool *full);

/* ---- txn_hold.c ------------------------------------------------------------------------------ */

/* txn_hold - have the writer's lock without a transaction, waiting wait_ms (0: not at all,
 * negative: as long as it takes). *died: its last owner did, half-way; recovery is left to the next
 * write transaction, which txn_let_go with left tells. BUSY, ENOMEM, errno. txn_let_go - the same
 * thread gives it back. */
int txn_hold(struct daxkv *kv, int64_t wait_ms, bool *died);
void txn_let_go(struct daxkv *kv, bool left);

/* ---- env_check.c ----------------------------------------------------------------------------- */

/* env_stamp - a checksum of the file's superblock and ring, which every commit changes. errno. */
int env_stamp(const struct daxkv *kv, uint64_t *stamp);

/* ---- commit.c ------------------------------------------------------------------------------------------------------------- */

/* commit_run - make the outermost transaction's changes durable and current. */
int commit_run(struct daxkv_txn *txn);

/* commit_flush_words - start writing the last commit's words back [R9], whichever process made it. */
void commit_flush_words(struct daxkv *kv);

/* commit_take_over - the writer's lock is held, and another process may have written since this one did, or died writing (died): know what
 * is there. When a dead writer's work cannot be taken over here the lock is to be left as it was. Errors: CORRUPT, ENOMEM, FULL, errno;
 * the share is poisoned when a flush failed. */
int commit_take_over(struct daxkv *kv, bool died);

/* commit_behind - with turns: whether others have written since, or may have; the writer's lock is held. commit_follow - before a read, where follows is set: know what they
 * committed. Errors: BUSY when one of them died in its commit and this one may not write; CORRUPT, ENOMEM, errno. */
bool commit_behind(const struct daxkv *kv);
int commit_follow(struct daxkv *kv);

/* commit_settle - everything committed becomes durable in place, and is marked so: nothing is left to recover. The writer's lock
 * is held. */
int commit_settle(struct daxkv *kv);

/* commit_trim - commit a smaller size when there is free space at the end. *size: what the file may be cut to. */
int commit_trim(struct daxkv *kv, bool *cut);

/* ---- record.c ------------------------------------------------------------------------------------------------------------- */

/* record_put - daxkv_put without its checks of the transaction; flags of the entry for database records. */
int record_put(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key, struct daxkv_val *value, unsigned int flags,
               uint32_t entry_flags);

/* record_put_check - KEY_SIZE, VALUE_SIZE, INCOMPATIBLE, EINVAL unless key and value suit the database. record_put_at - the rest of a put, whose place path
 * has. Errors of daxkv_put. */
struct put {
	struct daxkv_txn *txn;
	struct dbstate *s;
	const struct daxkv_val *key;
	struct daxkv_val *value;
	unsigned int flags;
	uint32_t entry_flags;
	struct path *path;
};
int record_put_check(const struct daxkv *kv, const struct order *order, const struct daxkv_val *key, const struct daxkv_val *value, unsigned int flags);
int record_put_at(struct put *put);

/* record_probe - what is searched for a key, or for a pair. */
static inline struct probe record_probe(const struct daxkv_val *key, const struct daxkv_val *dup, enum probe_edge edge)
{
	struct probe p = {.key = key->data, .klen = (uint32_t)key->size, .edge = edge};

	if (dup) {
		p.dup = dup->data;
		p.dlen = (uint32_t)dup->size;
	}
	return p;
}

/* record_remove - take out the entry that path has. record_remove_all - all pairs of a key; NOTFOUND. INCOMPATIBLE for a database's
 * record. */
int record_remove(struct daxkv_txn *txn, struct dbstate *state, struct path *path);
int record_remove_all(struct daxkv_txn *txn, struct dbstate *state, const uint8_t *key, uint32_t klen);

/* record_bytes - bytes of a page, which the caller promises not to write. */
static inline struct daxkv_val record_bytes(const uint8_t *p, uint32_t size)
{
	union {
		const uint8_t *in;
		void *out;
	} bytes = {p};

	return (struct daxkv_val){size, bytes.out};
}

/* record_size - bytes of key and value that a leaf gets. */
static inline uint32_t record_size(const struct daxkv *kv, const struct daxkv_val *key, const struct daxkv_val *value)
{
	return (uint32_t)(key->size + (value->size < kv->page_size / 2 ? value->size : sizeof(struct fmt_blob)));
}

/* record_value - an item's value as the caller gets it. CORRUPT. record_large - of one that lies outside its page. */
int record_large(const struct view *view, const struct item *item, struct daxkv_val *value);
static inline int record_value(const struct view *view, const struct item *item, struct daxkv_val *value)
{
	if (UNLIKELY(item->flags & FMT_ENTRY_BLOB))
		return record_large(view, item, value);
	*value = record_bytes(item->val, item->vlen);
	return 0;
}

/* record_key_check - KEY_SIZE unless the key suits the database. record_dup_check - VALUE_SIZE likewise. */
int record_key_refuse(const struct daxkv *kv, const struct daxkv_val *key);
static inline int record_key_check(const struct daxkv *kv, const struct order *order, const struct daxkv_val *key)
{
	if (LIKELY(key && key->data && key->size - 1 < kv->max_key && (order->key != ORDER_INTEGER || key->size == 4 || key->size == 8)))
		return 0;
	return record_key_refuse(kv, key);
}
/* record_plain - whether key and value are such as most are: bytes, without duplicates, together in a leaf. No check refuses those. */
#define RECORD_SLACK 32u /* more than what an entry takes beside key and value */
static inline bool record_plain(const struct daxkv *kv, const struct order *order, const struct daxkv_val *key, const struct daxkv_val *value)
{
	return order->key == ORDER_BYTES && !order->dups && key && value && value->data && key->data && key->size - 1 < kv->max_key &&
	       value->size <= leaf_usable(kv->page_size) / 2 - RECORD_SLACK - key->size;
}
int record_dup_check(const struct daxkv *kv, const struct order *order, const struct daxkv_val *key, const struct daxkv_val *dup);

/* ---- cursor.c ------------------------------------------------------------------------------------------------------------- */

/* cursor_save_all - the transaction's cursors on db (0: on all) keep their place by key from here on. ENOMEM. */
int cursor_save_all(struct daxkv_txn *txn, daxkv_db db);

/* txn_changing - a change of database db is about to begin: the value reserved before is sealed, cursors there keep their place by key. ENOMEM. */
static inline int txn_changing(struct daxkv_txn *txn, daxkv_db db)
{
	if (UNLIKELY(txn->reserved.pending))
		txn_seal(txn);
	txn->kv->wset.changes++;
	return UNLIKELY(txn->cursors) ? cursor_save_all(txn, db) : 0;
}

/* cursor_lose_all - the transaction's cursors are nowhere. cursor_lose - those on db are. */
void cursor_lose_all(struct daxkv_txn *txn);
void cursor_lose(struct daxkv_txn *txn, daxkv_db db);

/* cursor_end_all - the transaction is gone: its cursors are freed (a write transaction's) or detached. */
void cursor_end_all(struct daxkv_txn *txn);

#endif
