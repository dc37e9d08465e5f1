/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * salvage_leaf.c - the entries of a leaf, and how an entry is given out. See salvage.h
 *
 * A leaf has a base under one checksum, and up to sixteen entries behind it with a checksum each.
 * So a leaf whose base is gone may still have the newest entries. A slot that is not sound leaves a
 * doubt: it may have replaced or removed an entry, so the entries with its fingerprint are dropped,
 * and the ranks of later slots do not count any more.
 *
 * An entry is given out as it would be put again: with its key and its value, which for a large one
 * is read from its own pages.
 */
#include "base/array.h"
#include "base/crc.h"
#include "salvage/salvage.h"

#include <stdlib.h>

#define TAIL_ALIGN 4u
#define KEY_SHOWN  40u

/* ---- reading --------------------------------------------------------------------------------- */

/* entry_at - the entry at off of a page, in [low, high). False when it does not lie there: *e is
 * worth nothing then. All are byte offsets in the page at p. Nothing of the entry is read before
 * its head is known to lie inside; key and value are only pointed at, and are inside when true is
 * returned. */
static bool entry_at(const uint8_t *p, uint32_t off, uint32_t low, uint32_t high,
                     struct salvage_entry *e)
{
	const uint8_t *key = p + off + FMT_ENTRY_SIZE;
	uint32_t head;
	uint32_t klen;
	uint32_t vlen;

	if (off < low)
		return false;
	if (off + FMT_ENTRY_SIZE > high)
		return false;
	head = get16(p + off);
	klen = head & FMT_KLEN_MASK;
	vlen = get16(p + off + 2);
	*e = (struct salvage_entry){.flags = head & ~FMT_KLEN_MASK};
	e->item = (struct check_item){
	    .key = key,
	    .klen = klen,
	    .dup = key + klen,
	    .dlen = vlen,
	};
	return off + FMT_ENTRY_SIZE + klen + vlen <= high;
}

/* uniform_read - the entries of a uniform base, which all lie in it: its header is sound. Its
 * entries have no heads: one length of keys and one of values holds for all. leaf->entries has room
 * for as many as any page can have. */
static void uniform_read(const struct salvage *s, struct salvage_leaf *leaf)
{
	const struct fmt_page *head = salvage_head(s, leaf->off);
	const uint32_t klen = head->heads & FMT_KLEN_MASK;
	const uint32_t vlen = head->offs;
	const uint32_t stride = (uint32_t)round_up(klen + vlen, 4);
	const uint8_t *key = s->base + leaf->off + FMT_LEAF_BASE + 8u * head->n;

	for (uint32_t i = 0; i < head->n; i++) {
		struct salvage_entry *e = &leaf->entries[i];

		*e = (struct salvage_entry){.txn = head->birth};
		e->item = (struct check_item){
		    .key = key,
		    .klen = klen,
		    .dup = key + klen,
		    .dlen = vlen,
		};
		key += stride;
	}
	leaf->n = head->n;
}

/* base_read - the entries of a sound page's base, which are as old as the page. Those of other than
 * a uniform one are where its offsets say, and may not lie in the page. Those that do not are
 * counted in leaf->bad. */
static void base_read(const struct salvage *s, struct salvage_leaf *leaf)
{
	const uint8_t *p = s->base + leaf->off;
	const struct fmt_page *head = salvage_head(s, leaf->off);
	const uint32_t low = head->offs + 2u * head->n;

	assert(leaf->n == 0);
	if (head->heads & FMT_UNIFORM) {
		uniform_read(s, leaf);
		return;
	}
	for (uint32_t i = 0; i < head->n; i++) {
		struct salvage_entry *e = &leaf->entries[leaf->n];
		const uint32_t off = get16(p + head->offs + 2 * i);

		if (!entry_at(p, off, low, head->end, e)) {
			leaf->bad++;
			continue;
		}
		e->txn = head->birth;
		leaf->n++;
	}
}

/* fingerprint - of a key, as docs/FORMAT.md defines it. */
static uint32_t fingerprint(const struct check_item *item)
{
	uint32_t crc = crc32c(0x1234, item->key, item->klen);

	return (crc ^ crc >> 16) & 0xffff;
}

/* slot_entry - the entry that a slot names, of a page whose base is sound or not. False when it
 * does not lie in the page behind the base, or the slot's end is not its. *behind: where its value
 * ends. Without a sound base its end is not known, so the entry may begin anywhere behind the
 * slots. */
static bool slot_entry(const struct salvage *s, const uint8_t *p, uint64_t word, bool base,
                       struct salvage_entry *e, uint32_t *behind)
{
	const struct fmt_page *head = (const void *)p;
	const uint32_t kind = FMT_SLOT_KIND(word);
	const uint32_t off = FMT_SLOT_OFF(word);
	const uint32_t end = FMT_SLOT_END(word);
	uint32_t low = FMT_LEAF_BASE + FMT_TAIL_BEFORE;

	if (base)
		low = head->end + FMT_TAIL_BEFORE;
	if (kind < FMT_SLOT_INSERT)
		return false;
	if (kind > FMT_SLOT_REMOVE)
		return false;
	if (end > s->page_size)
		return false;
	if (end < FMT_TAIL_AFTER)
		return false;
	if (!entry_at(p, off, low, end, e))
		return false;
	*behind = off + FMT_ENTRY_SIZE + e->item.klen + e->item.dlen;
	if (end < *behind + FMT_TAIL_AFTER)
		return false;
	return end < *behind + FMT_TAIL_AFTER + TAIL_ALIGN;
}

/* slot_read - the entry that a slot names. False when its checksum does not hold. The checksum
 * covers the entry's transaction, its bytes and the slot's word: neither a slot that names other
 * bytes nor an entry that was half written passes. e->txn is the commit that appended it. */
static bool slot_read(const struct salvage *s, const uint8_t *p, uint64_t word, bool base,
                      struct salvage_entry *e)
{
	uint32_t from;
	uint32_t behind;
	uint32_t crc;

	if (!slot_entry(s, p, word, base, e, &behind))
		return false;
	from = FMT_SLOT_OFF(word) - FMT_TAIL_BEFORE;
	crc = crc32c(0, p + from, behind - from);
	crc = crc32c(crc, &word, sizeof word);
	e->txn = get64(p + from);
	return crc == get32(p + behind);
}

/* bytes_same - whether two keys or values are one. */
static bool bytes_same(const uint8_t *a, uint32_t alen, const uint8_t *b, uint32_t blen)
{
	if (alen != blen)
		return false;
	return memcmp(a, b, alen) == 0;
}

/* same - the same key, and with duplicates the same value. */
static bool same(const struct check_item *a, const struct check_item *b, bool dups)
{
	if (!bytes_same(a->key, a->klen, b->key, b->klen))
		return false;
	if (!dups)
		return true;
	return bytes_same(a->dup, a->dlen, b->dup, b->dlen);
}

/* entry_insert, entry_remove - at a place of the leaf's order. There is room for all that a page
 * may have. */
static void entry_insert(struct salvage_leaf *leaf, uint32_t at, const struct salvage_entry *e)
{
	assert(at <= leaf->n);
	memmove(leaf->entries + at + 1, leaf->entries + at, (leaf->n - at) * sizeof *e);
	leaf->entries[at] = *e;
	leaf->n++;
}

/* entry_remove - see entry_insert. */
static void entry_remove(struct salvage_leaf *leaf, uint32_t at)
{
	struct salvage_entry *e = leaf->entries + at;

	assert(at < leaf->n);
	leaf->n--;
	memmove(e, e + 1, (leaf->n - at) * sizeof *e);
}

/* find_same - the place of the entry that has the item's bytes; leaf->n when there is none. It goes
 * through all of them, because it is asked only where ranks are not believed. */
static uint32_t find_same(const struct salvage_leaf *leaf, const struct check_item *item, bool dups)
{
	uint32_t at = 0;

	while (at < leaf->n && !same(&leaf->entries[at].item, item, dups))
		at++;
	return at;
}

/* slot_apply - at its rank; behind a slot that is not sound ranks mean nothing any more, and the
 * entry is looked for by its bytes. A removal of what is not there does nothing. A replacement of
 * it becomes an insertion. */
static void slot_apply(struct salvage_leaf *leaf, uint64_t word, const struct salvage_entry *e,
                       bool dups)
{
	const uint32_t kind = FMT_SLOT_KIND(word);
	uint32_t at = FMT_SLOT_RANK(word);
	bool there = kind != FMT_SLOT_INSERT;

	if (leaf->bad || at > leaf->n || (there && at == leaf->n)) {
		at = find_same(leaf, &e->item, dups);
		there = at < leaf->n;
	}
	if (kind == FMT_SLOT_REMOVE) {
		if (there)
			entry_remove(leaf, at);
		return;
	}
	if (there)
		leaf->entries[at] = *e;
	else
		entry_insert(leaf, at, e);
}

/* slot_doubt - a slot that is not sound may have replaced or removed what has its fingerprint: that
 * is not the newest any more. It is dropped and not given out: an old value that looks like the
 * newest one is worse than a value that is told to be lost. */
static void slot_doubt(struct salvage_leaf *leaf, uint64_t word)
{
	leaf->bad++;
	for (uint32_t i = leaf->n; i-- > 0;)
		if (fingerprint(&leaf->entries[i].item) == FMT_SLOT_FP(word))
			entry_remove(leaf, i);
}

/* The base, then each slot in turn: a slot's rank counts what the slots before it have left. A slot
 * of a transaction behind the newest commit never counted, and is a doubt as well. */
void salvage_leaf_read(const struct salvage *s, uint64_t off, bool base, bool dups,
                       struct salvage_leaf *leaf)
{
	const uint8_t *p = s->base + off;
	struct salvage_entry e;

	leaf->off = off;
	leaf->n = 0;
	leaf->bad = !base;
	if (base)
		base_read(s, leaf);
	for (uint32_t slot = 0; slot < FMT_TAIL_SLOTS; slot++) {
		const uint64_t word = get64(p + FMT_LEAF_SLOTS + slot * FMT_WORD);

		if (word == 0)
			continue;
		if (slot_read(s, p, word, base, &e) && e.txn <= s->newest)
			slot_apply(leaf, word, &e, dups);
		else
			slot_doubt(leaf, word);
	}
}

/* ---- giving out ------------------------------------------------------------------------------ */

/* integer_size - whether an integer key or value can have that many bytes. The format allows these
 * two alone. */
static bool integer_size(uint32_t len)
{
	if (len == sizeof(uint32_t))
		return true;
	return len == sizeof(uint64_t);
}

/* What a put would refuse: such an entry cannot be what it seems. */
bool salvage_fits(const struct salvage *s, uint32_t flags, const struct salvage_entry *e)
{
	const uint32_t key_order = flags & (DAXKV_INTEGER_KEY | DAXKV_OWN_COMPARE);
	const uint32_t dup_order = flags & (DAXKV_INTEGER_DUP | DAXKV_OWN_DUP_COMPARE);
	const uint32_t klen = e->item.klen;

	if (klen == 0)
		return false;
	if (klen > min_u64(s->page_size / 4, FMT_KLEN_MASK))
		return false;
	if (key_order == DAXKV_INTEGER_KEY && !integer_size(klen))
		return false;
	if (dup_order == DAXKV_INTEGER_DUP && !integer_size(e->item.dlen))
		return false;
	if (flags & DAXKV_DUP_SORT && e->flags & FMT_ENTRY_BLOB)
		return false;
	return !(e->flags & FMT_ENTRY_TALLY);
}

/* An order that only the program knows is taken to be kept. */
bool salvage_within(uint32_t flags, const struct check_bounds *bounds,
                    const struct check_item *item)
{
	enum check_order order;

	if (bounds->has_low && check_compare(flags, item, &bounds->low) == CHECK_BEFORE)
		return false;
	if (!bounds->has_high)
		return true;
	order = check_compare(flags, item, &bounds->high);
	return order == CHECK_BEFORE || order == CHECK_UNKNOWN;
}

/* key_text - a key as text, cut when it is long. Bytes that cannot be shown become \x and two
 * digits. The caller's room is enough for KEY_SHOWN bytes of four characters each, three dots and
 * the end. Returns text. */
static const char *key_text(const struct check_item *item, char text[KEY_SHOWN * 4 + 4])
{
	const char *hex = "0123456789abcdef";
	size_t n = 0;

	for (uint32_t i = 0; i < item->klen && i < KEY_SHOWN; i++) {
		const uint8_t c = item->key[i];

		if (c >= 0x20 && c < 0x7f && c != '\\') {
			text[n++] = (char)c;
			continue;
		}
		text[n++] = '\\';
		text[n++] = 'x';
		text[n++] = hex[c >> 4];
		text[n++] = hex[c & 15];
	}
	text[n] = '\0';
	if (item->klen > KEY_SHOWN)
		strcpy(text + n, "...");
	return text;
}

/* blob_there - the bytes of a large value, when its checksum holds. NULL when its place is none,
 * when the medium does not give it, or when it is another value's by now. The bytes lie in the
 * mapping. */
static const uint8_t *blob_there(const struct salvage *s, const struct fmt_blob *blob)
{
	const uint8_t *bytes;

	if (blob->off % s->page_size)
		return NULL;
	if (blob->off >= s->size)
		return NULL;
	if (blob->len == 0)
		return NULL;
	if (!salvage_readable(s, blob->off, blob->len))
		return NULL;
	bytes = s->base + blob->off;
	if (crc32c(0, bytes, blob->len) != blob->crc)
		return NULL;
	return bytes;
}

/* val_of - bytes of the mapping as the interface takes them, which is not const. */
static struct daxkv_val val_of(const struct salvage *s, const uint8_t *p, uint64_t n)
{
	return (struct daxkv_val){n, s->base + (p - s->base)};
}

/* name_keep - a database's name or a key of main's, beside which no database for entries of
 * nobody's can have the same. The longest one is kept, since a name that is longer than all of them
 * can be none of them. */
static void name_keep(struct salvage *s, const struct check_item *item)
{
	const size_t n = strlen(SALVAGE_LOST);

	if (s->lost_name_used)
		return;
	if (item->klen < n)
		return;
	if (item->klen <= s->lost_name_len)
		return;
	if (memcmp(item->key, SALVAGE_LOST, n) != 0)
		return;
	s->lost_name = item->key;
	s->lost_name_len = item->klen;
}

/* value_of - the entry's value, wherever it is. False, and told: it is a large one whose bytes are
 * not what they were. *value points into the mapping, and is good as long as that is. */
static bool value_of(struct salvage *s, size_t db, const struct salvage_entry *e, uint64_t leaf,
                     struct daxkv_val *value)
{
	char text[KEY_SHOWN * 4 + 4];
	struct fmt_blob blob;
	const uint8_t *bytes;

	*value = val_of(s, e->item.dup, e->item.dlen);
	if (!(e->flags & FMT_ENTRY_BLOB))
		return true;
	memset(&blob, 0, sizeof blob);
	if (e->item.dlen == sizeof blob)
		memcpy(&blob, e->item.dup, sizeof blob);
	bytes = blob_there(s, &blob);
	if (bytes) {
		*value = val_of(s, bytes, blob.len);
		return true;
	}
	salvage_lost(s, &s->dbs[db],
	             "value 0x%lx of %lu bytes, of '%s' in leaf 0x%lx: its "
	             "checksum does not hold",
	             blob.off, blob.len, key_text(&e->item, text), leaf);
	return false;
}

/* Nothing more is given once the run has ended. A catalog entry of main's does not come here: it is
 * no entry for a program. */
void salvage_give(struct salvage *s, size_t db, const struct salvage_entry *e, uint64_t leaf)
{
	const struct salvage_db *d = &s->dbs[db];
	struct daxkv_val key = val_of(s, e->item.key, e->item.klen);
	struct daxkv_val value;
	char text[KEY_SHOWN * 4 + 4];

	assert(db <= s->ndbs);
	if (s->rc)
		return;
	if (d->main)
		name_keep(s, &e->item);
	if (!salvage_fits(s, d->flags, e) || e->flags & FMT_ENTRY_DB) {
		salvage_lost(s, d, "leaf 0x%lx: the entry of '%s' cannot be one", leaf,
		             key_text(&e->item, text));
		return;
	}
	if (!value_of(s, db, e, leaf, &value))
		return;
	s->given++;
	s->rc = s->to->entry(&key, &value, s->to->arg);
}

/* An entry that is no catalog entry's shape says only that there are named databases. The database
 * counts when its flags make sense. Else the place in dbs is used for the next one. Its name points
 * into the mapping. */
void salvage_catalog(struct salvage *s, const struct salvage_entry *e)
{
	struct fmt_db catalog;
	struct salvage_db *db;

	name_keep(s, &e->item);
	s->named = true;
	if (e->item.dlen != sizeof catalog)
		return;
	if (!salvage_fits(s, 0, e))
		return;
	memcpy(&catalog, e->item.dup, sizeof catalog);
	db = salvage_db_new(s);
	if (!db)
		return;
	db->name = e->item.key;
	db->name_len = e->item.klen;
	db->flags = catalog.flags;
	db->desc = catalog.desc;
	if (check_flags_valid(catalog.flags))
		s->ndbs++;
	else
		salvage_lost(s, db, "its flags 0x%x cannot be a database's", catalog.flags);
}
