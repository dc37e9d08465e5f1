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
#include "base/array.h"
#include "base/crc.h"
#include "check/check_walk.h"
#include "daxkv.h"

#include <errno.h>
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

/* part_of - what a report calls the place of an entry. Its number there is e->index. */
static const char *part_of(const struct check_entry *e)
{
	if (e->tail)
		return "slot";
	return "entry";
}

/* entry_read - the entry at off of a page, in [low, high). False when it does not lie there. All
 * are byte offsets in the page; flags, key and value point into its copy. Whether lengths and flags
 * are allowed is for entry_form. */
static bool entry_read(const struct check_page *page, uint32_t off, uint32_t low, uint32_t high,
                       struct check_entry *e)
{
	uint32_t klen;
	uint32_t vlen;
	uint32_t flags;

	if (off < low)
		return false;
	if (off + FMT_ENTRY_SIZE > high)
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

/* entry_fault - report a fault of one entry. */
static void entry_fault(const struct check_leaf_state *leaf, const struct check_entry *e,
                        const char *fault)
{
	check_fault(leaf->ck, leaf->db, "leaf 0x%lx %s %u: %s", leaf->page->off, part_of(e),
	            e->index, fault);
}

/* lengths_fault - what is wrong with the lengths of key and value in a database with these flags;
 * NULL: nothing. The limit of a key is a quarter of a page, and what the head's bits can say. */
static const char *lengths_fault(const struct check *ck, uint32_t flags, uint32_t klen,
                                 uint32_t vlen)
{
	const uint32_t key_order = flags & (DAXKV_INTEGER_KEY | DAXKV_OWN_COMPARE);
	const uint32_t dup_order = flags & (DAXKV_INTEGER_DUP | DAXKV_OWN_DUP_COMPARE);

	if (klen == 0 || klen > min_u64(ck->page_size / 4, FMT_KLEN_MASK))
		return "key length is out of range";
	if (key_order == DAXKV_INTEGER_KEY && klen != 4 && klen != 8)
		return "key is not an integer of 4 or 8 bytes";
	if (dup_order == DAXKV_INTEGER_DUP && vlen != 4 && vlen != 8)
		return "duplicate is not an integer of 4 or 8 bytes";
	return NULL;
}

/* flags_fault - what is wrong with the entry's flags, in that database, and with a value whose
 * shape they say; NULL: nothing. A removal without duplicates needs no value to be told apart, so
 * it has none; with them its value is the duplicate that went. */
static const char *flags_fault(const struct check_db *db, const struct check_entry *e,
                               bool tombstone)
{
	const bool blob = e->flags & FMT_ENTRY_BLOB;
	const bool catalog = e->flags & FMT_ENTRY_DB;
	const bool dups = db->flags & DAXKV_DUP_SORT;
	const uint32_t vlen = e->item.dlen;
	uint32_t known = FMT_ENTRY_BLOB;

	if (db->tallies_of) {
		if (!tombstone && e->flags != FMT_ENTRY_TALLY)
			return "a tally without its flag";
		if (!tombstone && vlen != sizeof(uint64_t))
			return "a tally of the wrong size";
		known = FMT_ENTRY_TALLY;
	}
	if (db->main)
		known |= FMT_ENTRY_DB;
	if ((e->flags & ~known) || (blob && catalog))
		return "entry flags are not valid here";
	if (blob && dups)
		return "a blob in a database with duplicates";
	if (tombstone && !dups && vlen != 0)
		return "a removal with a value";
	if (tombstone && e->flags != 0)
		return "a removal with entry flags";
	if (blob && vlen != sizeof(struct fmt_blob))
		return "a blob reference of the wrong size";
	if (catalog && vlen != sizeof(struct fmt_db))
		return "a catalog entry of the wrong size";
	return NULL;
}

/* entry_form - rules that hold for every entry, superseded ones included. The first fault of an
 * entry is told, not all of them. */
static void entry_form(const struct check_leaf_state *leaf, const struct check_entry *e,
                       bool tombstone)
{
	uint32_t klen = e->item.klen;
	uint32_t vlen = e->item.dlen;
	const char *fault = lengths_fault(leaf->ck, leaf->db->flags, klen, vlen);

	if (!fault)
		fault = flags_fault(leaf->db, e, tombstone);
	if (!fault)
		return;
	check_fault(leaf->ck, leaf->db, "leaf 0x%lx %s %u: %s (key %u, value %u bytes, flags 0x%x)",
	            leaf->page->off, part_of(e), e->index, fault, klen, vlen, e->flags);
}

/* place_of - where bytes of the page's copy lie in the file. */
static uint64_t place_of(const struct check_page *page, const uint8_t *p)
{
	return page->off + (uint64_t)(p - page->p);
}

/* blob_check - the value outside the leaf: its pages are claimed, and its bytes have its checksum.
 * A superseded entry's value is not looked at: its pages are given back, and may be another's. */
static void blob_check(const struct check_leaf_state *leaf, const struct check_entry *e)
{
	struct check *ck = leaf->ck;
	uint64_t at = place_of(leaf->page, e->item.dup);
	struct fmt_blob blob;

	memcpy(&blob, e->item.dup, sizeof blob);
	if (blob.len == 0 || blob.zero != 0) {
		check_fault(ck, leaf->db, "leaf 0x%lx %s %u: blob of %lu bytes, spare field %u",
		            leaf->page->off, part_of(e), e->index, blob.len, blob.zero);
		return;
	}
	if (!check_space_claim(ck, leaf->db, "blob", blob.off, blob.len, at))
		return;
	leaf->db->blob_pages += (blob.len + ck->page_size - 1) / ck->page_size;
	if (crc32c(0, ck->base + blob.off, blob.len) != blob.crc)
		check_fault(ck, leaf->db, "blob 0x%lx of leaf 0x%lx %s %u: crc does not match",
		            blob.off, leaf->page->off, part_of(e), e->index);
}

/* dbs_reserve - room for one more named database. False: no memory, and the run ends. Pointers into
 * ck->dbs from before are not good any more. */
static bool dbs_reserve(struct check *ck)
{
	if (!array_room(&ck->dbs, ck->dbs_count, &ck->dbs_room, sizeof *ck->dbs))
		return true;
	ck->err = ENOMEM;
	return false;
}

/* db_note - remember a named database: it is walked when the main one is done. The name is that in
 * the file, because the page's copy does not last as long. */
static void db_note(const struct check_leaf_state *leaf, const struct check_entry *e)
{
	struct check *ck = leaf->ck;
	struct fmt_db record;

	memcpy(&record, e->item.dup, sizeof record);
	if (record.zero != 0)
		entry_fault(leaf, e, "catalog entry's spare field is not zero");
	if (record.since > ck->txn)
		entry_fault(leaf, e, "catalog entry is younger than the newest transaction");
	if (!dbs_reserve(ck))
		return;
	assert(ck->dbs_count < ck->dbs_room);
	ck->dbs[ck->dbs_count++] = (struct check_db){
	    .desc = record.desc,
	    .flags = record.flags,
	    .name = ck->base + place_of(leaf->page, e->item.key),
	    .name_len = e->item.klen,
	};
}

/* dup_size_check - the values of a DUP_FIXED database have one size: the first one's. Which of the
 * two is the wrong one cannot be told, so the later one is named. */
static void dup_size_check(const struct check_leaf_state *leaf, const struct check_entry *e)
{
	struct check_db *db = leaf->db;

	if (!db->has_dup_size)
		db->dup_size = e->item.dlen;
	db->has_dup_size = true;
	if (db->dup_size == e->item.dlen)
		return;
	check_fault(leaf->ck, db, "leaf 0x%lx %s %u: duplicate of %u bytes, where others have %u",
	            leaf->page->off, part_of(e), e->index, e->item.dlen, db->dup_size);
}

/* tally_live - the entry by its bytes in the file, because the page's copy does not last. */
static void tally_live(const struct check_leaf_state *leaf, const struct check_entry *e)
{
	struct check *ck = leaf->ck;
	struct check_db *of = leaf->db->tallies_of;
	struct check_item item = e->item;

	item.key = ck->base + place_of(leaf->page, e->item.key);
	if (!of)
		check_tally_entry(ck, leaf->db, &item);
	else if (e->item.dlen == sizeof(uint64_t))
		check_tally_note(ck, of, &item);
}

/* entry_live - rules for what a reader finds. What has not the size that its flags say was reported
 * by entry_form, and is not followed. Only these lead on: to pages of a value, and to databases. */
static void entry_live(const struct check_leaf_state *leaf, const struct check_entry *e)
{
	const struct check_db *db = leaf->db;
	const bool blob = e->flags & FMT_ENTRY_BLOB;
	const bool catalog = e->flags & FMT_ENTRY_DB;
	const bool dups = db->flags & DAXKV_DUP_SORT;

	if (db->tallies_of || db->tallies_count)
		tally_live(leaf, e);
	if (blob && !dups && e->item.dlen == sizeof(struct fmt_blob))
		blob_check(leaf, e);
	if (catalog && db->main && e->item.dlen == sizeof(struct fmt_db))
		db_note(leaf, e);
	if (!catalog && db->flags & DAXKV_DUP_FIXED)
		dup_size_check(leaf, e);
}

/* ---- base ------------------------------------------------------------------------------------ */

/* check_leaf_crc - of the immutable bytes: birth, the fields from type on, and the base. prev and
 * the slots are left out, since they change in place, and the tail has checksums of its own. */
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

	const uint8_t *key = page->p + off;

	*e = (struct check_entry){
	    .off = off,
	    .end = off + klen + vlen,
	};
	e->item = (struct check_item){
	    .key = key,
	    .klen = klen,
	    .dup = key + klen,
	    .dlen = vlen,
	};
}

/* base_entry - entry i of the base. False when it does not lie there, which a uniform one always
 * does. check_header has bounded the header before. */
static bool base_entry(const struct check_page *page, uint32_t i, struct check_entry *e)
{
	const struct fmt_page *head = &page->head;
	uint32_t low = head->offs + 2u * head->n;
	uint32_t off;

	if (head->heads & FMT_UNIFORM) {
		uniform_read(page, i, e);
		return true;
	}
	off = get16(page->p + head->offs + 2 * i);
	return entry_read(page, off, low, head->end, e);
}

/* base_read - the base into entries and order. False, reported, when an entry cannot be read: then
 * nothing else in the leaf can be trusted to be found. The entries point into the page's copy,
 * which lasts until the leaf is done. */
static bool base_read(struct check_leaf_state *leaf)
{
	struct check *ck = leaf->ck;
	const struct check_page *page = leaf->page;

	assert(leaf->live == 0);
	for (uint32_t i = 0; i < page->head.n; i++) {
		struct check_entry *e = &ck->entries[i];

		if (!base_entry(page, i, e)) {
			check_fault(ck, leaf->db, "leaf 0x%lx entry %u: does not lie in the base",
			            page->off, i);
			return false;
		}
		e->index = i;
		entry_form(leaf, e, false);
		if (i > 0 && !in_order(leaf, &ck->entries[i - 1], e))
			entry_fault(leaf, e, "key out of order");
		ck->order[i] = (uint16_t)i;
	}
	leaf->live = page->head.n;
	check_heads(ck, leaf->db, page, FMT_LEAF_BASE, "leaf", "entry", check_base_item, leaf);
	return true;
}

/* ---- tail ------------------------------------------------------------------------------------ */

/* fingerprint - of a key, as docs/FORMAT.md defines it. It is written down here once more on
 * purpose: the engine's own function would hide its own mistake. */
static uint32_t fingerprint(const struct check_item *item)
{
	uint32_t crc = crc32c(0x1234, item->key, item->klen);

	return (crc ^ crc >> 16) & 0xffff;
}

/* slot_fault - report a fault of one slot. */
static void slot_fault(const struct check_leaf_state *leaf, uint32_t slot, const char *fault)
{
	check_fault(leaf->ck, leaf->db, "leaf 0x%lx slot %u: %s", leaf->page->off, slot, fault);
}

/* slot_entry - the entry that a slot names. False when it does not lie in the page behind the base,
 * or the slot's end is not its. The end may be up to three bytes further than the checksum's, for
 * the alignment of what follows. */
static bool slot_entry(const struct check_leaf_state *leaf, uint64_t word, struct check_entry *e)
{
	const struct check_page *page = leaf->page;
	uint32_t low = page->head.end + FMT_TAIL_BEFORE;
	uint32_t end = FMT_SLOT_END(word);

	if (end > leaf->ck->page_size)
		return false;
	if (!entry_read(page, FMT_SLOT_OFF(word), low, end, e))
		return false;
	if (end < e->end + FMT_TAIL_AFTER)
		return false;
	return end < e->end + FMT_TAIL_AFTER + TAIL_ALIGN;
}

/* slot_crc - of the tail entry that a slot names, from its transaction to its value, and the slot
 * itself. So an entry that a word with another rank or kind names does not match. */
static uint32_t slot_crc(const struct check_page *page, uint64_t word, const struct check_entry *e)
{
	uint32_t from = e->off - FMT_TAIL_BEFORE;
	uint32_t crc = crc32c(0, page->p + from, e->end - from);

	return crc32c(crc, &word, sizeof word);
}

/* slot_read - the entry that a slot names, with its own checks. False when it does not lie behind
 * the base. A fingerprint or a checksum that is wrong is told, and the entry is used all the same:
 * its rank moves those of later slots. */
static bool slot_read(const struct check_leaf_state *leaf, uint32_t slot, uint64_t word,
                      struct check_entry *e)
{
	const struct check_page *page = leaf->page;
	uint32_t kind = FMT_SLOT_KIND(word);

	if (kind < FMT_SLOT_INSERT || kind > FMT_SLOT_REMOVE) {
		slot_fault(leaf, slot, "unknown kind");
		return false;
	}
	if (!slot_entry(leaf, word, e)) {
		slot_fault(leaf, slot,
		           "its entry does not lie behind the base, or its end is wrong");
		return false;
	}
	e->tail = true;
	e->index = slot;
	entry_form(leaf, e, kind == FMT_SLOT_REMOVE);
	if (FMT_SLOT_FP(word) != fingerprint(&e->item))
		slot_fault(leaf, slot, "fingerprint does not match the key");
	if (slot_crc(page, word, e) != get32(page->p + e->end))
		slot_fault(leaf, slot, "crc does not match");
	return true;
}

/* slot_apply - change the order as the slot's rank says: entry number e becomes, takes or ends a
 * place. A rank that is out of range is told and changes nothing. Unless the slot inserts,
 * entries[e] has to be the same in the order as the entry at its rank. */
static void slot_apply(struct check_leaf_state *leaf, uint32_t slot, uint64_t word, uint16_t e)
{
	uint16_t *order = leaf->ck->order;
	const struct check_entry *entries = leaf->ck->entries;
	uint32_t rank = FMT_SLOT_RANK(word);
	uint32_t kind = FMT_SLOT_KIND(word);
	uint32_t places = leaf->live + (kind == FMT_SLOT_INSERT);
	const struct check_entry *old;
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
	old = &entries[order[rank]];
	same = check_compare(leaf->db->flags, &entries[e].item, &old->item);
	if (same != CHECK_SAME && same != CHECK_UNKNOWN)
		slot_fault(leaf, slot, "rank is that of another key");
	if (kind == FMT_SLOT_REPLACE) {
		order[rank] = e;
		return;
	}
	leaf->live--;
	memmove(order + rank, order + rank + 1, (leaf->live - rank) * sizeof *order);
}

/* slot_txn - the transaction of a tail entry, which is not before that of the slot before it. A
 * wrong one is reported; returned is what the next slot's may not be before. Readers count the
 * slots that they see from the first one on, so a transaction that falls would hide entries from
 * them or show too many. */
static uint64_t slot_txn(const struct check_leaf_state *leaf, const struct check_entry *e,
                         uint64_t before)
{
	uint64_t txn = get64(leaf->page->p + e->off - FMT_TAIL_BEFORE);

	if (txn >= before && txn <= leaf->ck->txn)
		return txn;
	check_fault(leaf->ck, leaf->db, "leaf 0x%lx slot %u: transaction %lu is not in %lu..%lu",
	            leaf->page->off, e->index, txn, before, leaf->ck->txn);
	return before;
}

/* tail_read - each slot in turn: used ones first, entries in the order of their slots,
 * transactions that do not fall, and ranks that lead somewhere. */
static void tail_read(struct check_leaf_state *leaf)
{
	const struct check_page *page = leaf->page;
	struct check_entry *e = leaf->ck->entries + page->head.n;
	const struct check_entry *before = NULL;
	uint64_t txn = page->head.birth;
	uint32_t number = page->head.n; /* of e, in entries */
	bool ended = false;

	for (uint32_t slot = 0; slot < FMT_TAIL_SLOTS; slot++) {
		uint64_t word = get64(page->p + FMT_LEAF_SLOTS + slot * FMT_WORD);

		if (word == 0) {
			ended = true;
			continue;
		}
		if (ended)
			slot_fault(leaf, slot, "follows an unused one");
		if (!slot_read(leaf, slot, word, e))
			continue;
		if (before && e->off - FMT_TAIL_BEFORE < before->end + FMT_TAIL_AFTER)
			slot_fault(leaf, slot,
			           "its entry does not lie behind that of the slot before");
		assert(number < page->head.n + FMT_TAIL_SLOTS);
		txn = slot_txn(leaf, e, txn);
		slot_apply(leaf, slot, word, (uint16_t)number);
		before = e;
		e++;
		number++;
	}
}

/* ---- the leaf -------------------------------------------------------------------------------- */

/* compared - whether the two were compared when the base was read: they are neighbours there. A
 * pair is not told twice. */
static bool compared(const struct check_entry *before, const struct check_entry *e)
{
	if (e->tail)
		return false;
	if (before->tail)
		return false;
	return before->index + 1 == e->index;
}

/* within - whether the bounds, which are NULL for a root, let the entry into the leaf. low belongs
 * to the leaf, high does not. */
static bool within(const struct check_leaf_state *leaf, const struct check_entry *e,
                   const struct check_bounds *bounds)
{
	uint32_t flags = leaf->db->flags;
	enum check_order order;

	if (!bounds)
		return true;
	if (bounds->has_low && check_compare(flags, &e->item, &bounds->low) == CHECK_BEFORE)
		return false;
	if (!bounds->has_high)
		return true;
	order = check_compare(flags, &e->item, &bounds->high);
	return order == CHECK_BEFORE || order == CHECK_UNKNOWN;
}

/* order_check - the order that base and ranks give. Neighbours in the base were compared already.
 * Here each live entry is met exactly once, in order, so what it leads to is followed here, too. */
static void order_check(const struct check_leaf_state *leaf, const struct check_bounds *bounds)
{
	const struct check *ck = leaf->ck;
	const struct check_entry *before = NULL;

	for (uint32_t i = 0; i < leaf->live; i++) {
		const struct check_entry *e = &ck->entries[ck->order[i]];

		if (before && !compared(before, e) && !in_order(leaf, before, e))
			check_fault(leaf->ck, leaf->db,
			            "leaf 0x%lx %s %u: key out of order, by its rank %u",
			            leaf->page->off, part_of(e), e->index, i);
		if (!within(leaf, e, bounds))
			entry_fault(leaf, e, "key out of the bounds of the page above");
		entry_live(leaf, e);
		before = e;
	}
}

/* What cannot be read any more ends the check of this leaf alone. An empty leaf is allowed as a
 * root alone. Its live entries add to the database's count. */
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
		check_fault(ck, db, "leaf 0x%lx: crc does not match", page->off);
	if (!base_read(&leaf))
		return;
	tail_read(&leaf);
	order_check(&leaf, bounds);
	if (bounds && leaf.live == 0)
		check_fault(ck, db, "leaf 0x%lx: no live entry in a leaf that is not the root",
		            page->off);
	db->entries += leaf.live;
}
