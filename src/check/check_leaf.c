/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_leaf.c - a leaf: its base, its tail, the order of both together, and the values outside.
 * See check_walk.h
 *
 * The leaf is read into ck->entries first: the base's entries in the order of the page, then the
 * tail's in the order of the slots. ck->order then has their indexes in key order: at first 0 to
 * n-1, then changed by each slot's rank in turn. So a rule of the order is checked without
 * searching, and the engine's own way to find an entry is not used.
 */
#include "base/crc.h"
#include "check/check_walk.h"
#include "daxkv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* A tail entry may be padded to a multiple of four bytes: the commit record names it in such
 * units. */
#define TAIL_ALIGN 4u

struct check_leaf_state { /* the leaf being checked */
	struct check *ck;
	struct check_db *db;
	const struct check_page *page;
	uint32_t live; /* entries in ck->order */
};

/* part_of - what a report calls the place of an entry. */
static const char *part_of(const struct check_entry *e)
{
	if (e->tail)
		return "slot";
	return "entry";
}

/* entry_read - the entry at off of a page, in [low, high). False when it does not lie there. */
static bool entry_read(const struct check_page *page, uint32_t off, uint32_t low, uint32_t high,
                       struct check_entry *e)
{
	uint32_t klen, vlen, flags;

	if (off < low || off + FMT_ENTRY_SIZE > high)
		return false;
	flags = get16(page->p + off);
	klen = flags & FMT_KLEN_MASK;
	vlen = get16(page->p + off + 2);
	*e = (struct check_entry){
	    .off = off,
	    .end = off + FMT_ENTRY_SIZE + klen + vlen,
	    .flags = flags & ~FMT_KLEN_MASK,
	};
	e->item.key = page->p + off + FMT_ENTRY_SIZE;
	e->item.klen = klen;
	e->item.dup = e->item.key + klen;
	e->item.dlen = vlen;
	return e->end <= high;
}

/* ---- one entry ------------------------------------------------------------------------------- */

/* entry_form - rules that hold for every entry, superseded ones included. */
static void entry_form(const struct check_leaf_state *leaf, const struct check_entry *e,
                       bool tombstone)
{
	const struct check *ck = leaf->ck;
	uint32_t klen = e->item.klen;
	uint32_t vlen = e->item.dlen;
	uint32_t flags = leaf->db->flags;
	uint32_t known = FMT_ENTRY_BLOB;
	const char *fault = NULL;

	if (leaf->db->main)
		known |= FMT_ENTRY_DB;
	if (klen == 0 || klen > min_u64(ck->page_size / 4, FMT_KLEN_MASK))
		fault = "key length is out of range";
	else if ((flags & (DAXKV_INTEGER_KEY | DAXKV_OWN_COMPARE)) == DAXKV_INTEGER_KEY &&
	         klen != 4 && klen != 8)
		fault = "key is not an integer of 4 or 8 bytes";
	else if ((flags & (DAXKV_INTEGER_DUP | DAXKV_OWN_DUP_COMPARE)) == DAXKV_INTEGER_DUP &&
	         vlen != 4 && vlen != 8)
		fault = "duplicate is not an integer of 4 or 8 bytes";
	else if ((e->flags & ~known) || e->flags == (FMT_ENTRY_BLOB | FMT_ENTRY_DB))
		fault = "entry flags are not valid here";
	else if ((e->flags & FMT_ENTRY_BLOB) && (flags & DAXKV_DUP_SORT))
		fault = "a blob in a database with duplicates";
	else if (tombstone && !(flags & DAXKV_DUP_SORT) && vlen != 0)
		fault = "a removal with a value";
	else if (tombstone && e->flags != 0)
		fault = "a removal with entry flags";
	else if ((e->flags & FMT_ENTRY_BLOB) && vlen != sizeof(struct fmt_blob))
		fault = "a blob reference of the wrong size";
	else if ((e->flags & FMT_ENTRY_DB) && vlen != sizeof(struct fmt_db))
		fault = "a catalog entry of the wrong size";
	if (fault)
		check_fault(leaf->ck, leaf->db,
		            "leaf 0x%" PRIx64 " %s %" PRIu32 ": %s (key %" PRIu32 ", value %" PRIu32
		            " bytes, flags 0x%" PRIx32 ")",
		            leaf->page->off, part_of(e), e->index, fault, klen, vlen, e->flags);
}

/* blob_check - the value outside the leaf: its pages are claimed, and its bytes have its checksum.
 */
static void blob_check(const struct check_leaf_state *leaf, const struct check_entry *e)
{
	struct check *ck = leaf->ck;
	uint64_t at = leaf->page->off + (uint64_t)(e->item.dup - leaf->page->p);
	struct fmt_blob blob;

	memcpy(&blob, e->item.dup, sizeof blob);
	if (blob.len == 0 || blob.zero != 0) {
		check_fault(ck, leaf->db,
		            "leaf 0x%" PRIx64 " %s %" PRIu32 ": blob of %" PRIu64
		            " bytes, spare field %" PRIu32,
		            leaf->page->off, part_of(e), e->index, blob.len, blob.zero);
		return;
	}
	if (!check_space_claim(ck, leaf->db, "blob", blob.off, blob.len, at))
		return;
	leaf->db->blob_pages += (blob.len + ck->page_size - 1) / ck->page_size;
	if (crc32c(0, ck->base + blob.off, blob.len) != blob.crc)
		check_fault(ck, leaf->db,
		            "blob 0x%" PRIx64 " of leaf 0x%" PRIx64 " %s %" PRIu32
		            ": crc does not match",
		            blob.off, leaf->page->off, part_of(e), e->index);
}

/* db_note - remember a named database: it is walked when the main one is done. */
static void db_note(const struct check_leaf_state *leaf, const struct check_entry *e)
{
	struct check *ck = leaf->ck;
	struct fmt_db record;

	memcpy(&record, e->item.dup, sizeof record);
	if (record.zero != 0)
		check_fault(ck, leaf->db,
		            "leaf 0x%" PRIx64 " %s %" PRIu32
		            ": catalog entry's spare field is not zero",
		            leaf->page->off, part_of(e), e->index);
	if (ck->dbs_count == ck->dbs_size) {
		size_t size = ck->dbs_size ? 2 * ck->dbs_size : 16;
		struct check_db *dbs = realloc(ck->dbs, size * sizeof *dbs);

		if (!dbs) {
			ck->err = ENOMEM;
			return;
		}
		ck->dbs = dbs;
		ck->dbs_size = size;
	}
	/* The page's copy does not last as long as the name. */
	ck->dbs[ck->dbs_count++] = (struct check_db){
	    .desc = record.desc,
	    .flags = record.flags,
	    .name = ck->base + leaf->page->off + (e->item.key - leaf->page->p),
	    .name_len = e->item.klen,
	};
}

/* entry_live - rules for what a reader finds. */
static void entry_live(const struct check_leaf_state *leaf, const struct check_entry *e)
{
	struct check_db *db = leaf->db;

	if ((e->flags & FMT_ENTRY_BLOB) && e->item.dlen == sizeof(struct fmt_blob) &&
	    !(db->flags & DAXKV_DUP_SORT))
		blob_check(leaf, e);
	if ((e->flags & FMT_ENTRY_DB) && e->item.dlen == sizeof(struct fmt_db) && db->main)
		db_note(leaf, e);
	if (!(db->flags & DAXKV_DUP_FIXED) || (e->flags & FMT_ENTRY_DB))
		return;
	if (!db->has_dup_size)
		db->dup_size = e->item.dlen;
	db->has_dup_size = true;
	if (db->dup_size != e->item.dlen)
		check_fault(leaf->ck, db,
		            "leaf 0x%" PRIx64 " %s %" PRIu32 ": duplicate of %" PRIu32
		            " bytes, where others have %" PRIu32,
		            leaf->page->off, part_of(e), e->index, e->item.dlen, db->dup_size);
}

/* ---- base ------------------------------------------------------------------------------------ */

/* check_leaf_crc - of the immutable bytes: birth, the fields from type on, and the base. */
static uint32_t check_leaf_crc(const struct check_page *page)
{
	uint32_t crc = crc32c(0, page->p, 8);

	crc = crc32c(crc, page->p + 20, 12);
	return crc32c(crc, page->p + FMT_LEAF_BASE, (size_t)(page->head.end - FMT_LEAF_BASE));
}

/* check_base_item - entry i of the base, for check_heads. */
static void check_base_item(const void *arg, uint32_t i, struct check_item *out)
{
	const struct check_leaf_state *leaf = arg;

	*out = leaf->ck->entries[i].item;
}

/* in_order - whether b may follow a. Where only the program's comparator knows, it may. */
static bool in_order(const struct check_leaf_state *leaf, const struct check_entry *a,
                     const struct check_entry *b)
{
	enum check_order order = check_compare(leaf->db->flags, &a->item, &b->item);

	return order == CHECK_BEFORE || order == CHECK_UNKNOWN;
}

/* uniform_read - entry i of a uniform base, which lies in the page. */
static void uniform_read(const struct check_page *page, uint32_t i, struct check_entry *e)
{
	uint32_t klen = page->head.heads & FMT_KLEN_MASK;
	uint32_t vlen = page->head.offs;
	uint32_t stride = (uint32_t)round_up(klen + vlen, 4);
	uint32_t off = FMT_LEAF_BASE + 8u * page->head.n + i * stride;

	*e = (struct check_entry){.off = off, .end = off + klen + vlen};
	e->item = (struct check_item){
	    .key = page->p + off,
	    .klen = klen,
	    .dup = page->p + off + klen,
	    .dlen = vlen,
	};
}

/* base_read - the base into entries and order. False, reported, when an entry cannot be read: then
 * nothing else in the leaf can be trusted to be found. */
static bool base_read(struct check_leaf_state *leaf)
{
	struct check *ck = leaf->ck;
	const struct check_page *page = leaf->page;

	for (uint32_t i = 0; i < page->head.n; i++) {
		struct check_entry *e = &ck->entries[i];

		if (page->head.heads & FMT_UNIFORM) {
			uniform_read(page, i, e);
		} else if (!entry_read(page, get16(page->p + page->head.offs + 2 * i),
		                       page->head.offs + 2u * page->head.n, page->head.end, e)) {
			check_fault(ck, leaf->db,
			            "leaf 0x%" PRIx64 " entry %" PRIu32
			            ": does not lie in the base",
			            page->off, i);
			return false;
		}
		e->index = i;
		entry_form(leaf, e, false);
		if (i > 0 && !in_order(leaf, &ck->entries[i - 1], e))
			check_fault(ck, leaf->db,
			            "leaf 0x%" PRIx64 " entry %" PRIu32 ": key out of order",
			            page->off, i);
		ck->order[i] = (uint16_t)i;
	}
	leaf->live = page->head.n;
	check_heads(ck, leaf->db, page, FMT_LEAF_BASE, "leaf", "entry", check_base_item, leaf);
	return true;
}

/* ---- tail ------------------------------------------------------------------------------------ */

/* fingerprint - of a key, as docs/FORMAT.md defines it. */
static uint32_t fingerprint(const struct check_item *item)
{
	uint32_t crc = crc32c(0x1234, item->key, item->klen);

	return (crc ^ crc >> 16) & 0xffff;
}

/* slot_fault - report a fault of one slot. */
static void slot_fault(const struct check_leaf_state *leaf, uint32_t slot, const char *fault)
{
	check_fault(leaf->ck, leaf->db, "leaf 0x%" PRIx64 " slot %" PRIu32 ": %s", leaf->page->off,
	            slot, fault);
}

/* slot_read - the entry that a slot names, with its own checks. False when it does not lie behind
 * the base. */
static bool slot_read(const struct check_leaf_state *leaf, uint32_t slot, uint64_t word,
                      struct check_entry *e)
{
	const struct check_page *page = leaf->page;
	uint32_t off = FMT_SLOT_OFF(word);
	uint32_t end = FMT_SLOT_END(word);
	uint32_t crc;

	if (FMT_SLOT_KIND(word) < FMT_SLOT_INSERT || FMT_SLOT_KIND(word) > FMT_SLOT_REMOVE) {
		slot_fault(leaf, slot, "unknown kind");
		return false;
	}
	if (end > leaf->ck->page_size ||
	    !entry_read(page, off, page->head.end + FMT_TAIL_BEFORE, end, e) ||
	    end < e->end + FMT_TAIL_AFTER || end >= e->end + FMT_TAIL_AFTER + TAIL_ALIGN) {
		slot_fault(leaf, slot,
		           "its entry does not lie behind the base, or its end is wrong");
		return false;
	}
	e->tail = true;
	e->index = slot;
	entry_form(leaf, e, FMT_SLOT_KIND(word) == FMT_SLOT_REMOVE);
	if (FMT_SLOT_FP(word) != fingerprint(&e->item))
		slot_fault(leaf, slot, "fingerprint does not match the key");
	crc = crc32c(0, page->p + off - FMT_TAIL_BEFORE, e->end - off + FMT_TAIL_BEFORE);
	if (crc32c(crc, &word, sizeof word) != get32(page->p + e->end))
		slot_fault(leaf, slot, "crc does not match");
	return true;
}

/* slot_apply - change the order as the slot's rank says: entry number e becomes, takes or ends a
 * place. */
static void slot_apply(struct check_leaf_state *leaf, uint32_t slot, uint64_t word, uint16_t e)
{
	uint16_t *order = leaf->ck->order;
	const struct check_entry *entries = leaf->ck->entries;
	uint32_t rank = FMT_SLOT_RANK(word);
	uint32_t kind = FMT_SLOT_KIND(word);
	uint32_t places = leaf->live + (kind == FMT_SLOT_INSERT);
	enum check_order same;

	if (rank >= places) {
		slot_fault(leaf, slot, "rank is out of range");
		return;
	}
	if (kind == FMT_SLOT_INSERT) {
		memmove(order + rank + 1, order + rank, (leaf->live - rank) * sizeof *order);
		order[rank] = e;
		leaf->live++;
		return;
	}
	same = check_compare(leaf->db->flags, &entries[e].item, &entries[order[rank]].item);
	if (same != CHECK_SAME && same != CHECK_UNKNOWN)
		slot_fault(leaf, slot, "rank is that of another key");
	if (kind == FMT_SLOT_REPLACE) {
		order[rank] = e;
	} else {
		memmove(order + rank, order + rank + 1, (leaf->live - rank - 1) * sizeof *order);
		leaf->live--;
	}
}

/* tail_read - each slot in turn: used ones first, entries in the order of their slots,
 * transactions that do not fall, and ranks that lead somewhere. */
static void tail_read(struct check_leaf_state *leaf)
{
	struct check *ck = leaf->ck;
	const struct check_page *page = leaf->page;
	struct check_entry *tail = ck->entries + page->head.n;
	uint64_t txn = page->head.birth;
	uint32_t count = 0;
	bool ended = false;

	for (uint32_t slot = 0; slot < FMT_TAIL_SLOTS; slot++) {
		uint64_t word = get64(page->p + FMT_LEAF_SLOTS + slot * FMT_WORD);
		uint64_t now;

		if (word == 0) {
			ended = true;
			continue;
		}
		if (ended)
			slot_fault(leaf, slot, "follows an unused one");
		if (!slot_read(leaf, slot, word, &tail[count]))
			continue;
		if (count > 0 &&
		    tail[count].off - FMT_TAIL_BEFORE < tail[count - 1].end + FMT_TAIL_AFTER)
			slot_fault(leaf, slot,
			           "its entry does not lie behind that of the slot before");
		now = get64(page->p + tail[count].off - FMT_TAIL_BEFORE);
		if (now < txn || now > ck->txn)
			check_fault(ck, leaf->db,
			            "leaf 0x%" PRIx64 " slot %" PRIu32 ": transaction %" PRIu64
			            " is not in %" PRIu64 "..%" PRIu64,
			            page->off, slot, now, txn, ck->txn);
		else
			txn = now;
		slot_apply(leaf, slot, word, (uint16_t)(page->head.n + count));
		count++;
	}
}

/* ---- the leaf -------------------------------------------------------------------------------- */

/* order_check - the order that base and ranks give. Neighbours in the base were compared
 * already. */
static void order_check(const struct check_leaf_state *leaf, const struct check_bounds *bounds)
{
	const struct check *ck = leaf->ck;

	for (uint32_t i = 0; i < leaf->live; i++) {
		const struct check_entry *e = &ck->entries[ck->order[i]];
		const struct check_entry *before = i > 0 ? &ck->entries[ck->order[i - 1]] : NULL;
		bool compared =
		    before && !e->tail && !before->tail && before->index + 1 == e->index;
		enum check_order low = CHECK_SAME;
		enum check_order high = CHECK_BEFORE;

		if (before && !compared && !in_order(leaf, before, e))
			check_fault(leaf->ck, leaf->db,
			            "leaf 0x%" PRIx64 " %s %" PRIu32
			            ": key out of order, by its rank %" PRIu32,
			            leaf->page->off, part_of(e), e->index, i);
		if (bounds && bounds->has_low)
			low = check_compare(leaf->db->flags, &e->item, &bounds->low);
		if (bounds && bounds->has_high)
			high = check_compare(leaf->db->flags, &e->item, &bounds->high);
		if (low == CHECK_BEFORE || (high != CHECK_BEFORE && high != CHECK_UNKNOWN))
			check_fault(leaf->ck, leaf->db,
			            "leaf 0x%" PRIx64 " %s %" PRIu32
			            ": key out of the bounds of the page above",
			            leaf->page->off, part_of(e), e->index);
		entry_live(leaf, e);
	}
}

/* What cannot be read any more ends the check of this leaf alone. */
void check_leaf(struct check *ck, struct check_db *db, const struct check_page *page,
                const struct check_bounds *bounds)
{
	struct check_leaf_state leaf = {
	    .ck = ck,
	    .db = db,
	    .page = page,
	};

	if (!check_header(ck, db, page, "leaf", FMT_LEAF_BASE, 0))
		return;
	if ((check_leaf_crc(page) ^ crc32c_place(page->off)) != page->head.crc)
		check_fault(ck, db, "leaf 0x%" PRIx64 ": crc does not match", page->off);
	if (!base_read(&leaf))
		return;
	tail_read(&leaf);
	order_check(&leaf, bounds);
	if (bounds && leaf.live == 0)
		check_fault(ck, db,
		            "leaf 0x%" PRIx64 ": no live entry in a leaf that is not the root",
		            page->off);
	db->entries += leaf.live;
}
