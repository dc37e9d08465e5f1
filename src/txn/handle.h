/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle.h - database handles: the numbers that a program holds, the names that they mean, and the
 * databases that a transaction finds by them.
 *
 *   struct dbi       an entry of the store's table: a number, its names, its comparators. It
 *                    belongs to dbi_mutex
 *   struct dbstate   a database as one transaction sees it, with copies of what the entry says
 *
 * The life of an entry:
 *
 *            opened by a write transaction       commit, or another one opens it
 *     FREE --------------------------> OPENED --------------------------> OPEN <-------.
 *      ^ ^                                |                               | |          | the drop
 *      | |    abort, failure, drop        |                     close     | | drop     | is undone
 *      | '--------------------------------'     .-------------------------' v          |
 *      |<---------------------------------------'                         GONE --------'
 *      |    close, or no reader of this process is left that began         |
 *      '---------- before the drop, or its place is needed ----------------'
 *
 *   FREE     It has no number. The next one differs from all that the entry had: an old number is
 *            BAD_DB and never another database, until 2^32 handles were opened.
 *   OPENED   It goes with the abort of the write transaction that opened it; a nested one's commit
 *            hands it to the parent. When a read transaction opens the same name, the handle is no
 *            longer the writer's. A read transaction's first open leads to OPEN at once.
 *   OPEN     Until it is closed.
 *   GONE     Its database was dropped. For snapshots from before that the handle is still good.
 *
 * A handle means a name, which each transaction looks up in the main database as it sees it. So a
 * database that another process drops is BAD_DB, and one that it makes again by that name is found
 * by the same handle, comparators included. A rename by this process gives the handle another name
 * from that transaction on: `since` says from which.
 *
 * What makes it right: at any snapshot a name belongs to one handle at most [I21]. open takes the
 * handle that has the name at its snapshot; a new one begins to have it where another's claim ends,
 * and ends to where the next one begins;
 * rename takes the name from a handle whose database another process dropped. Two handles for one
 * database would be two trees with one root, and a commit would keep half of each.
 *
 * The number may be closed at any time, also by a thread that does not know what others do: their
 * next call is BAD_DB. What a write transaction changed by it before is committed all the same,
 * because the state has its own copy of the name; opening the name again in that transaction finds
 * that state (dbi_twin), and its place in the table is not used meanwhile.
 *
 * No call walks through the table. Names are found by their hash, and the claims to one name lie
 * there in their order, so the newest snapshot looks at one claim. A transaction's end looks at the
 * entries that the transaction opened or named (own), opening at those that may be forgotten (gone,
 * renamed), and the place for a new handle comes from a heap.
 *
 * Rejected: a lock-free list of names, freed behind the readers. A state keeps its copy as long as
 * the entry's version stands, so the mutex is taken once for each thread and handle, and nothing is
 * freed under anybody.
 */
#ifndef DAXKV_HANDLE_H
#define DAXKV_HANDLE_H

#include "tree/tree.h"

#define DBI_MAX (1u << 20) /* handles at once */

struct dbi_name { /* what the database is called for snapshots since that one; before: older, and
	             without one nothing */
	struct dbi_name *older;
	struct dbi_name *newer;
	uint64_t since;
	/* the write transaction that renames or drops it, while it runs */
	struct daxkv_txn *by;
	bool gone; /* dropped */
	/* of the bytes */
	uint32_t len;
	uint32_t hash;
	struct dbi *entry;     /* whose name it is */
	struct dbi_name *next; /* in its bucket */
	uint8_t bytes[];
};

struct dbi_link { /* of an entry in a list whose head is one, too; NULL: in none */
	struct dbi_link *prev;
	struct dbi_link *next;
};

struct dbi_compare { /* the program's comparators; NULL: not set */
	daxkv_compare_fn *key_fn;
	daxkv_compare_fn *dup_fn;
	void *key_arg;
	void *dup_arg;
};

struct dbi {
	daxkv_db number;       /* atomic; 0: FREE */
	uint32_t life;         /* how often the entry was given a number */
	uint64_t version;      /* atomic: counts changes of what follows */
	struct dbi_name *name; /* the newest first */
	struct dbi_compare compare;
	struct daxkv_txn *opened_by; /* OPENED: by that one */
	bool counted;                /* in live */
	bool parked;                 /* FREE, and not in the heap */
	struct daxkv_txn *pending;   /* in own: for that one */
	struct dbi_link past;
	struct dbi_link own;
};

struct dbi_table {
	/* room entries; that of a number: its low bits (mask). They do not move */
	struct dbi *dbi;
	uint32_t room;
	uint32_t mask;
	uint32_t high; /* entries before this one were used */
	uint32_t max;  /* handles that may be OPENED or OPEN */
	uint32_t live; /* handles that are */
	/* All that belongs to dbi_mutex, so that no call walks through the entries: */
	/* the names of entries by hash; those with the same bytes: the latest since first */
	struct dbi_name **bucket;
	/* a power of two; names in them */
	uint32_t buckets;
	uint32_t names;
	/* FREE entries: that with the fewest lives first */
	uint32_t *heap;
	uint32_t n_free;
	struct dbi_link gone; /* entries that are GONE, for longest first */
	/* others with older names, the one that has had its name for longest  first */
	struct dbi_link renamed;
	/* what the running write transaction's end changes: an inner nested one's entries before
	 * those of its parent */
	struct dbi_link own;
};

struct state_links {   /* of a state in its transaction */
	uint32_t at;   /* the entry */
	uint32_t hash; /* of the name */
	bool named;    /* in a bucket, by its name */
	bool listed;   /* among the changed ones */
	/* the generation in which its transaction looked there */
	uint64_t looked;
	struct dbstate *next_named;
	struct dbstate *next_changed;
	struct dbstate *next_looked;
};

struct dbstate {
	/* of the transaction that resolved it; else it is stale */
	uint64_t generation;
	daxkv_db handle; /* the number it was resolved for */
	uint32_t flags;
	const struct dbi *entry; /* of handle */
	struct tree tree;
	/* atomic, a read transaction's: 1 + the tree's levels, when those and the numbers in tree
	 * were read; else 0 */
	uint32_t levels;
	struct tree tallies; /* see tree_tally.c */
	struct order order;
	struct order tally_order; /* that of the keys */
	/* descriptor page; 0: none, it is one leaf or nothing was ever stored */
	uint64_t desc;
	/* the page that the catalog entry names: desc, or the leaf, or 0 */
	uint64_t named;
	bool changed;    /* set by dbi_changed */
	bool desc_moves; /* the commit writes the descriptor on a new page */
	/* the writer's hint: count words in use in that descriptor */
	uint64_t counted;
	uint64_t npairs;
	/* of the entry, when the two below were copied; 0: to be copied at the next snapshot */
	uint64_t version;
	struct dbi_compare compare;
	uint8_t *name;
	uint32_t name_len;
	uint32_t name_room;
	uint64_t since; /* as the catalog entry says: the transaction that gave it the name */
	struct state_links links;
};

#endif
