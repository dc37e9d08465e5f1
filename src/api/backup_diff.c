/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backup_diff.c - what changed in a database since a commit. See backup.h
 *
 *   diff_tree    all leaves from the left; inner pages are compared with their checksums once
 *     leaf_diff    nothing new in it: passed by its header and slots alone
 *       changed_out    it was there: its later slots, entry by entry
 *       rewritten_out  it was not: all of it, between OPEN and CLOSE
 *
 *   leaves    [ was there ] [ rewritten ] [ rewritten ] [ was there ]
 *   records      PUT, DEL    OPEN  PUT ...           PUT CLOSE  PUT, DEL
 *
 * A bracket may be wider than what changed: entries that are as they were are put again, and the
 * restore leaves them alone. It must never be narrower, or an entry that went would stay.
 *
 * It reads one snapshot, so writers go on. Each step asks at its end whether that is still there
 * (txn_done), before it says anything of what it read.
 */
#include "api/backup.h"
#include "base/array.h"
#include "base/crc.h"
#include "base/err.h"
#include "page/blob.h"

#include <stdlib.h>

struct diff { /* a database that is being gone through */
	struct daxkv_txn *txn;
	struct backup_out *out;
	const struct dbstate *state;
	/* the commit that the delta follows */
	uint64_t since;
	/* to the leaf in work, as the snapshot has it */
	struct path path;
	uint64_t seen[TREE_DEPTH]; /* inner pages that were verified */
	/* entries of a leaf, as byte offsets in their order: then and now */
	uint16_t *was;
	uint16_t *is;
	bool open;        /* behind OPEN, before CLOSE */
	struct leaf last; /* as it was then, the last leaf that had entries; off 0: none so far */
};

/* ---- records --------------------------------------------------------------------------------- */

/* place_out - kind and the item's place; NULL: the database's begin or end. With sorted duplicates
 * a place is a pair. Errors of backup_out_bytes, as for all that end in _out. */
static int place_out(const struct diff *d, enum delta_record kind, const struct item *it)
{
	assert(kind == DELTA_OPEN || kind == DELTA_CLOSE || it);
	struct backup_head head = {.n = 0};
	const bool dups = d->state->order.dups;
	int rc;

	backup_u8(&head, (uint8_t)kind);
	backup_u16(&head, it ? it->klen : 0);
	backup_u16(&head, it && dups ? it->vlen : DELTA_NONE);
	rc = backup_out_record(d->out, &head);
	if (rc)
		return rc;
	if (it)
		rc = backup_out_bytes(d->out, it->key, it->klen);
	if (rc)
		return rc;
	if (it && dups)
		rc = backup_out_bytes(d->out, it->val, it->vlen);
	return rc;
}

/* put_out - an entry as it is now. A database's name is none: NAME has told of it. A large value is
 * compared with its checksum: the delta's own would cover damage for good. CORRUPT for such
 * damage. */
static int put_out(const struct diff *d, const struct item *it)
{
	struct backup_head head = {.n = 0};
	const uint8_t *value = it->val;
	uint64_t size = it->vlen;
	struct fmt_blob blob;
	int rc = 0;

	if (it->flags & FMT_ENTRY_DB)
		return 0;
	if (it->flags & FMT_ENTRY_BLOB) {
		if (it->vlen != sizeof blob)
			return err_corrupt(0, "a large value's place of %u bytes", it->vlen);
		memcpy(&blob, it->val, sizeof blob);
		rc = blob_bytes(&d->txn->view, &blob, &value);
		size = blob.len;
		if (rc)
			return rc;
		if (crc32c(0, value, size) != blob.crc)
			rc = err_corrupt(blob.off,
			                 "a value of %lu bytes: its checksum does not match", size);
	}
	if (rc)
		return rc;
	backup_u8(&head, DELTA_PUT);
	backup_u16(&head, it->klen);
	backup_u64(&head, size);
	rc = backup_out_record(d->out, &head);
	if (rc)
		return rc;
	rc = backup_out_bytes(d->out, it->key, it->klen);
	if (rc)
		return rc;
	rc = backup_out_bytes(d->out, value, size);
	return rc;
}

/* open_out - from the last entry that is known to have been there, nothing is, but what is put
 * next. Does nothing inside such a bracket. The last leaf is verified only here: mostly nothing of
 * it is given out. CORRUPT. */
static int open_out(struct diff *d)
{
	struct item it;
	uint32_t eoff;
	int rc;

	if (d->open)
		return 0;
	d->open = true;
	if (!d->last.off)
		return place_out(d, DELTA_OPEN, NULL);
	rc = leaf_verify(&d->last);
	if (rc)
		return rc;
	rc = leaf_at(&d->last, leaf_count(&d->last) - 1, &eoff);
	if (rc)
		return rc;
	rc = leaf_item(&d->last, eoff, &it);
	if (rc)
		return rc;
	return place_out(d, DELTA_OPEN, &it);
}

/* close_out - up to the item (NULL: the database's end). Does nothing outside a bracket. */
static int close_out(struct diff *d, const struct item *it)
{
	if (!d->open)
		return 0;
	d->open = false;
	return place_out(d, DELTA_CLOSE, it);
}

/* ---- one leaf -------------------------------------------------------------------------------- */

/* item_cmp - by key, and with sorted duplicates by value. The order is one that the library knows:
 * a database with a comparator does not come here. */
static int item_cmp(const struct order *o, const struct item *a, const struct item *b)
{
	int c = order_key_cmp(o, a->key, a->klen, b->key, b->klen);

	if (c || !o->dups)
		return c;
	return order_dup_cmp(o, a->val, a->vlen, b->val, b->vlen);
}

/* puts_out - entries from *j on, those before the item bound, or all. *j is then the first that was
 * not put. n: the entries of d->is. CORRUPT when one does not lie in its page. */
static int puts_out(struct diff *d, uint32_t n, uint32_t *j, const struct item *bound)
{
	const struct leaf *l = &d->path.leaf;
	struct item it;

	for (; *j < n; ++*j) {
		int rc = leaf_item(l, d->is[*j], &it);

		if (rc)
			return rc;
		if (bound && item_cmp(&d->state->order, &it, bound) >= 0)
			return 0;
		rc = put_out(d, &it);
		if (rc)
			return rc;
	}
	return 0;
}

/* step_out - of the entries was[*i] and is[*j], the second of n, what comes first is the same, was
 * removed, replaced or put. An entry that has kept its place in the page has kept its bytes:
 * entries are never changed in a committed leaf. At least one of the two moves on. */
static int step_out(struct diff *d, uint32_t *i, uint32_t *j, uint32_t n)
{
	assert(*j <= n);
	const struct leaf *l = &d->path.leaf;
	struct item old;
	struct item new;
	int c = -1;

	if (*j < n && d->was[*i] == d->is[*j]) {
		++*i;
		++*j;
		return 0;
	}
	int rc = leaf_item(l, d->was[*i], &old);

	if (rc)
		return rc;
	if (*j < n)
		rc = leaf_item(l, d->is[*j], &new);
	if (rc)
		return rc;
	if (*j < n)
		c = item_cmp(&d->state->order, &old, &new);
	*i += c <= 0;
	*j += c >= 0;
	/* where a plain entry gave way to a database's name, it goes */
	if ((c < 0 || (c == 0 && new.flags &FMT_ENTRY_DB)) && !(old.flags & FMT_ENTRY_DB))
		return place_out(d, DELTA_DEL, &old);
	if (c < 0)
		return 0;
	return put_out(d, &new);
}

/* rewritten_out - all of a leaf that is younger than since, or was empty then. Its older entries
 * are not known, and need not be. The bracket stays open for the leaf behind it, which closes it
 * when it was there then. The path's pages are verified. */
static int rewritten_out(struct diff *d)
{
	uint32_t n;
	uint32_t j = 0;
	int rc = open_out(d);

	if (rc)
		return rc;
	rc = leaf_offsets(&d->path.leaf, d->is, &n);
	if (rc)
		return rc;
	return puts_out(d, n, &j, NULL);
}

/* changed_out - a leaf that was there then, as was: what its slots have put and removed. Entries
 * before its first one then, and behind its last one, may have come from other leaves, so they are
 * put inside a bracket. doubt: something may have gone before the leaf, so a bracket is opened even
 * if none is. Afterwards d->last is this leaf: the next bracket begins behind it. */
static int changed_out(struct diff *d, const struct leaf *was, bool doubt)
{
	assert(was->off == d->path.leaf.off);
	assert(was->nslots <= d->path.leaf.nslots);
	struct item first;
	struct item last;
	uint32_t n;
	uint32_t nwas;
	uint32_t i = 0;
	uint32_t j = 0;
	int rc = leaf_offsets(was, d->was, &nwas);

	if (rc)
		return rc;
	rc = leaf_offsets(&d->path.leaf, d->is, &n);
	if (rc)
		return rc;
	rc = leaf_item(was, d->was[0], &first);
	if (rc)
		return rc;
	rc = leaf_item(was, d->was[nwas - 1], &last);
	if (rc)
		return rc;
	if (doubt)
		rc = open_out(d);
	if (rc)
		return rc;
	rc = puts_out(d, n, &j, &first);
	if (rc)
		return rc;
	rc = close_out(d, &first);
	while (!rc && i < nwas)
		rc = step_out(d, &i, &j, n);
	d->last = *was;
	if (rc)
		return rc;
	if (j < n) /* they lie behind its last one, where more may be to come */
		rc = open_out(d);
	if (rc)
		return rc;
	rc = puts_out(d, n, &j, NULL);
	return rc;
}

/* leaf_diff - doubt: between the leaf before and this one entries may have gone. Most leaves have
 * nothing new: they are not even verified. A leaf that was there with no entry left says nothing of
 * its bounds, so it counts as rewritten. */
static int leaf_diff(struct diff *d, bool doubt)
{
	assert(d->path.height > 0);
	struct leaf *l = &d->path.leaf;
	struct leaf was = *l;
	const bool there = l->page->birth <= d->since;
	int rc;

	was.nslots = leaf_slots_upto(l, d->since);
	if (there && !doubt && !d->open && was.nslots == l->nslots && leaf_count(&was)) {
		d->last = was;
		return 0;
	}
	rc = tree_verify(&d->state->tree, &d->path, d->seen);
	if (rc)
		return rc;
	if (!there || !leaf_count(&was))
		return rewritten_out(d);
	return changed_out(d, &was, doubt);
}

/* ---- one tree -------------------------------------------------------------------------------- */

/* younger - whether an inner page of the path, below that level, is younger than since. A page is
 * made anew when a kid comes or goes; a kid that is swapped changes a word of it. The leaf itself
 * is not asked: its birth and its slots tell more. */
static bool younger(const struct diff *d, unsigned int level)
{
	for (unsigned int i = 1; i < level; i++)
		if (d->path.at[i].page->birth > d->since)
			return true;
	return false;
}

/* diff_step - to the next leaf. Entries may have gone between the two when a page is younger on the
 * way up from the one, or down to the other. Seen from both sides, because the leaf that went may
 * have hung under either parent. *doubt: they may have; *moved false: there is no leaf any more,
 * and *doubt is about what lies behind the last one. Births on the way down are compared before
 * their pages are verified, which inner_check does next. */
static int diff_step(struct diff *d, bool *moved, bool *doubt)
{
	assert(d->path.height > 0);
	unsigned int level = 1;

	while (level < d->path.height && d->path.at[level].index >= d->path.at[level].page->n)
		level++;
	*doubt = younger(d, level + 1 < d->path.height ? level + 1 : d->path.height);
	int rc = tree_step(&d->state->tree, &d->path, true, moved);

	if (rc)
		return rc;
	if (*moved)
		*doubt |= younger(d, level);
	return rc;
}

/* inner_check - the inner pages of the path that were not verified yet: the births in them count.
 * Once for each page: seen has one for each level. */
static int inner_check(struct diff *d)
{
	for (unsigned int i = d->path.height; i-- > 1;) {
		int rc = 0;

		if (d->seen[i] != d->path.at[i].off)
			rc = inner_verify(d->path.at[i].page, d->path.at[i].off);
		if (rc)
			return rc;
		d->seen[i] = d->path.at[i].off;
	}
	return 0;
}

/* diff_tree - all leaves, from the left. A root as old as since was the root then: no page becomes
 * one without being written anew. Behind the last leaf entries may have gone, too: then a bracket
 * reaches to the end. */
static int diff_tree(struct diff *d)
{
	bool moved = true;
	bool doubt;
	int rc = tree_edge(&d->state->tree, false, &d->path);

	if (!rc && !d->path.height)
		rc = open_out(d);
	doubt = !rc && younger(d, d->path.height);
	while (!rc && d->path.height && moved) {
		rc = inner_check(d);
		if (!rc)
			rc = leaf_diff(d, doubt);
		rc = txn_done(d->txn, rc);
		if (!rc)
			rc = diff_step(d, &moved, &doubt);
	}
	if (!rc && doubt)
		rc = open_out(d);
	if (!rc)
		rc = close_out(d, NULL);
	return txn_done(d->txn, rc);
}

/* own_same - whether a database whose order is the program's own is what it was then, for certain.
 * What changed in it cannot be told from its entries alone. So such a database comes whole when
 * anything changed in it. An empty database is not the same for certain. Errors as of diff_tree. */
static int own_same(struct diff *d, bool *same)
{
	bool moved = true;
	bool doubt;
	int rc = tree_edge(&d->state->tree, false, &d->path);

	*same = false;
	doubt = !rc && younger(d, d->path.height);
	while (!rc && d->path.height && moved && !doubt) {
		const struct leaf *l = &d->path.leaf;

		rc = inner_check(d);
		if (l->page->birth > d->since || leaf_slots_upto(l, d->since) != l->nslots)
			return txn_done(d->txn, rc);
		if (!rc)
			rc = diff_step(d, &moved, &doubt);
	}
	*same = d->path.height && !doubt;
	return txn_done(d->txn, rc);
}

/* whole_out - every entry. A load makes the database of it. The entries come in the database's own
 * order, which the load keeps; so a comparator is not needed on either side. */
static int whole_out(struct diff *d)
{
	bool moved = true;
	int rc = tree_edge(&d->state->tree, false, &d->path);

	while (!rc && d->path.height && moved) {
		uint32_t n;
		uint32_t j = 0;

		rc = tree_verify(&d->state->tree, &d->path, d->seen);
		if (!rc)
			rc = leaf_offsets(&d->path.leaf, d->is, &n);
		if (!rc)
			rc = puts_out(d, n, &j, NULL);
		rc = txn_done(d->txn, rc);
		if (!rc)
			rc = tree_step(&d->state->tree, &d->path, true, &moved);
	}
	return txn_done(d->txn, rc);
}

/* ---- databases ------------------------------------------------------------------------------- */

/* database_out - same: nothing changed in it, that is known already. The number of entries is what
 * the restore checks in the end. */
static int database_out(struct diff *d, const struct backup_db *db, uint64_t entries, bool whole,
                        bool same)
{
	struct backup_head head = {.n = 0};
	int rc;

	backup_u8(&head, DELTA_DATABASE);
	backup_u8(&head, whole);
	backup_u16(&head, db->name_len);
	backup_u32(&head, d->state->flags);
	backup_u64(&head, entries);
	rc = backup_out_record(d->out, &head);
	if (rc)
		return rc;
	rc = backup_out_bytes(d->out, db->name, db->name_len);
	if (rc)
		return rc;
	if (same)
		return 0;
	if (whole)
		return whole_out(d);
	return diff_tree(d);
}

/* database_read - the database's state and number of entries, its descriptor verified. CORRUPT,
 * TOO_OLD. The state is the caller's memory; a comparator need not be set. */
static int database_read(struct daxkv_txn *txn, const struct fmt_db *catalog, struct dbstate *state,
                         uint64_t *entries)
{
	struct desc_says says = {0};
	int rc = dbi_state_read(txn, catalog, state);

	if (!rc)
		rc = desc_says(&txn->view, catalog, true, &says);
	if (!rc && says.desc)
		rc = desc_verify(&txn->view, catalog->desc, says.desc);
	*entries = says.entries;
	return txn_done(txn, rc);
}

/* diff_ready - memory for two orders of a leaf. ENOMEM. The caller frees was, of which is has the
 * second half. */
static int diff_ready(struct diff *d)
{
	assert(!d->was);
	const size_t room = LEAF_MAX(d->txn->store->page_size);

	d->was = malloc(2 * room * sizeof *d->was);
	if (!d->was)
		return err_set(ENOMEM, "no memory for a backup");
	d->is = d->was + room;
	return 0;
}

/* Memory is taken and given back for each database: there may be many, and one is gone through at a
 * time. */
int backup_database(struct daxkv_txn *txn, const struct backup_db *db, uint64_t since, bool whole,
                    struct backup_out *out)
{
	assert(!txn->write);
	struct dbstate state = {0};
	struct diff *d = calloc(1, sizeof *d);
	uint64_t entries = 0;
	bool same = false;
	int rc;

	if (!d)
		return err_set(ENOMEM, "no memory for a backup");
	d->txn = txn;
	d->out = out;
	d->state = &state;
	d->since = since;
	rc = diff_ready(d);
	if (!rc)
		rc = database_read(txn, &db->catalog, &state, &entries);
	if (!rc && !whole && state.flags & (DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE)) {
		rc = own_same(d, &same);
		whole = !same;
	}
	if (!rc)
		rc = database_out(d, db, entries, whole, same);
	free(d->was);
	free(d);
	return rc;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* name_add - a database more; the name is copied, because its page may go from the cache meanwhile.
 * CORRUPT, ENOMEM. *dbs may move; the names stay where they are. */
static int name_add(struct backup_db **dbs, size_t *n, size_t *room, const struct item *it)
{
	assert(*n <= *room);
	struct backup_db db = {.name_len = it->klen};

	if (it->vlen != sizeof db.catalog)
		return err_corrupt(0, "a catalog entry of %u bytes", it->vlen);
	int rc = array_room(dbs, *n, room, sizeof **dbs);

	if (rc)
		return rc;
	memcpy(&db.catalog, it->val, sizeof db.catalog);
	db.name = malloc(it->klen);
	if (!db.name)
		return err_set(ENOMEM, "no memory for a database's name");
	memcpy(db.name, it->key, it->klen);
	(*dbs)[(*n)++] = db;
	return 0;
}

/* leaf_names - a uniform base has no names: only the tail of such a leaf is looked at. A leaf with
 * a name is verified before the name is copied. CORRUPT, ENOMEM. */
static int leaf_names(struct diff *d, struct backup_db **dbs, size_t *n, size_t *room)
{
	const struct leaf *l = &d->path.leaf;
	const bool uniform = l->page->heads & FMT_UNIFORM;
	uint32_t entries;
	bool verified = false;
	int rc = 0;

	if (uniform && !l->nslots)
		return 0;
	rc = leaf_offsets(l, d->is, &entries);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < entries; i++) {
		struct item it;

		if (uniform && d->is[i] < l->page->end)
			continue;
		rc = leaf_item(l, d->is[i], &it);
		if (rc || !(it.flags & FMT_ENTRY_DB))
			continue;
		if (!verified)
			rc = tree_verify(&d->state->tree, &d->path, d->seen);
		verified = true;
		if (rc)
			return rc;
		rc = name_add(dbs, n, room, &it);
		if (rc)
			return rc;
	}
	return 0;
}

/* After a failure *dbs has what was found so far: the caller frees it in any case. */
int backup_names(struct daxkv_txn *txn, const struct fmt_db *main_db, struct backup_db **dbs,
                 size_t *n)
{
	assert(!txn->write);
	struct dbstate state = {0};
	struct diff *d = calloc(1, sizeof *d);
	size_t room = 0;
	bool moved = true;
	int rc;

	*dbs = NULL;
	*n = 0;
	if (!d)
		return err_set(ENOMEM, "no memory for a backup");
	d->txn = txn;
	d->state = &state;
	rc = diff_ready(d);
	if (!rc)
		rc = dbi_state_read(txn, main_db, &state);
	if (!rc && order_suits_names(&state.order))
		rc = tree_edge(&state.tree, false, &d->path);
	while (!rc && d->path.height && moved) {
		rc = leaf_names(d, dbs, n, &room);
		rc = txn_done(txn, rc);
		if (!rc)
			rc = tree_step(&state.tree, &d->path, true, &moved);
	}
	free(d->was);
	free(d);
	return txn_done(txn, rc);
}
