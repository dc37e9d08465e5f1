/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/array.h"
#include "base/crc.h"
#include "salvage/salvage.h"

#include <stdlib.h>

#define TAIL_ALIGN 4u
#define KEY_SHOWN  40u

/* ---- reading --------------------------------------------------------------------------------- */

/* entry_at - the entry at off of a page, in [low, high). False when it does not lie there. */
static bool entry_at(const uint8_t *p, uint32_t off, uint32_t low, uint32_t high,
                     struct salvage_entry *e)
{
	uint32_t head, klen, vlen;

	if (off < low || off + FMT_ENTRY_SIZE > high)
		return false;
	head = get16(p + off);
	klen = head & FMT_KLEN_MASK;
	vlen = get16(p + off + 2);
	*e = (struct salvage_entry){.flags = head & ~FMT_KLEN_MASK};
	e->item = (struct check_item){.key = p + off + FMT_ENTRY_SIZE,
	                              .klen = klen,
	                              .dup = p + off + FMT_ENTRY_SIZE + klen,
	                              .dlen = vlen};
	return off + FMT_ENTRY_SIZE + klen + vlen <= high;
}

static void base_read(const struct salvage *s, struct salvage_leaf *leaf)
{
	const uint8_t *p = s->base + leaf->off;
	const struct fmt_page *head = salvage_head(s, leaf->off);
	const uint32_t klen = head->heads & FMT_KLEN_MASK;
	const uint32_t vlen = head->offs;
	const uint32_t stride = (uint32_t)round_up(klen + vlen, 4);

	for (uint32_t i = 0; i < head->n; i++) {
		struct salvage_entry *e = &leaf->entries[leaf->n];

		if (head->heads & FMT_UNIFORM) {
			const uint8_t *key = p + FMT_LEAF_BASE + 8u * head->n + i * stride;

			*e = (struct salvage_entry){
			    .item = {.key = key, .klen = klen, .dup = key + klen, .dlen = vlen}};
		} else if (!entry_at(p, get16(p + head->offs + 2 * i), head->offs + 2u * head->n,
		                     head->end, e)) {
			leaf->bad++;
			continue;
		}
		e->txn = head->birth;
		leaf->n++;
	}
}

static uint32_t fingerprint(const struct check_item *item)
{
	uint32_t crc = crc32c(0x1234, item->key, item->klen);

	return (crc ^ crc >> 16) & 0xffff;
}

/* slot_read - the entry that a slot names. False when its checksum does not hold. */
static bool slot_read(const struct salvage *s, const uint8_t *p, uint64_t word, bool base,
                      struct salvage_entry *e)
{
	const uint32_t off = FMT_SLOT_OFF(word);
	const uint32_t end = FMT_SLOT_END(word);
	const uint32_t low =
	    (base ? ((const struct fmt_page *)(const void *)p)->end : FMT_LEAF_BASE) +
	    FMT_TAIL_BEFORE;
	uint32_t crc, behind;

	if (FMT_SLOT_KIND(word) < FMT_SLOT_INSERT || FMT_SLOT_KIND(word) > FMT_SLOT_REMOVE ||
	    end > s->page_size || end < FMT_TAIL_AFTER || !entry_at(p, off, low, end, e))
		return false;
	behind = off + FMT_ENTRY_SIZE + e->item.klen + e->item.dlen;
	if (end < behind + FMT_TAIL_AFTER || end >= behind + FMT_TAIL_AFTER + TAIL_ALIGN)
		return false;
	crc = crc32c(0, p + off - FMT_TAIL_BEFORE, behind - off + FMT_TAIL_BEFORE);
	e->txn = get64(p + off - FMT_TAIL_BEFORE);
	return crc32c(crc, &word, sizeof word) == get32(p + behind);
}

static bool bytes_same(const uint8_t *a, uint32_t alen, const uint8_t *b, uint32_t blen)
{
	return alen == blen && memcmp(a, b, alen) == 0;
}

static bool same(const struct check_item *a, const struct check_item *b, bool dups)
{
	return bytes_same(a->key, a->klen, b->key, b->klen) &&
	       (!dups || bytes_same(a->dup, a->dlen, b->dup, b->dlen));
}

static void entry_insert(struct salvage_leaf *leaf, uint32_t at, const struct salvage_entry *e)
{
	memmove(leaf->entries + at + 1, leaf->entries + at, (leaf->n - at) * sizeof *e);
	leaf->entries[at] = *e;
	leaf->n++;
}

static void entry_remove(struct salvage_leaf *leaf, uint32_t at)
{
	leaf->n--;
	memmove(leaf->entries + at, leaf->entries + at + 1, (leaf->n - at) * sizeof *leaf->entries);
}

/* slot_apply - at its rank; behind a slot that is not sound ranks mean nothing any more, and the
 * entry is looked for by its bytes. */
static void slot_apply(struct salvage_leaf *leaf, uint64_t word, const struct salvage_entry *e,
                       bool dups)
{
	const uint32_t kind = FMT_SLOT_KIND(word);
	uint32_t at = FMT_SLOT_RANK(word);
	bool there = kind != FMT_SLOT_INSERT;

	if (leaf->bad || at > leaf->n || (there && at == leaf->n)) {
		for (at = 0; at < leaf->n && !same(&leaf->entries[at].item, &e->item, dups);)
			at++;
		there = at < leaf->n;
	}
	if (kind != FMT_SLOT_REMOVE && there)
		leaf->entries[at] = *e;
	else if (kind != FMT_SLOT_REMOVE)
		entry_insert(leaf, at, e);
	else if (there)
		entry_remove(leaf, at);
}

/* slot_doubt - a slot that is not sound may have replaced or removed what has its fingerprint: that
 * is not the newest any more. */
static void slot_doubt(struct salvage_leaf *leaf, uint64_t word)
{
	leaf->bad++;
	for (uint32_t i = leaf->n; i > 0; i--)
		if (fingerprint(&leaf->entries[i - 1].item) == FMT_SLOT_FP(word))
			entry_remove(leaf, i - 1);
}

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

static bool integer_size(uint32_t len)
{
	return len == sizeof(uint32_t) || len == sizeof(uint64_t);
}

bool salvage_fits(const struct salvage *s, uint32_t flags, const struct salvage_entry *e)
{
	const uint32_t klen = e->item.klen;

	if (klen == 0 || klen > min_u64(s->page_size / 4, FMT_KLEN_MASK))
		return false;
	if ((flags & (DAXKV_INTEGER_KEY | DAXKV_OWN_COMPARE)) == DAXKV_INTEGER_KEY &&
	    !integer_size(klen))
		return false;
	if ((flags & (DAXKV_INTEGER_DUP | DAXKV_OWN_DUP_COMPARE)) == DAXKV_INTEGER_DUP &&
	    !integer_size(e->item.dlen))
		return false;
	return !(flags & DAXKV_DUP_SORT && e->flags & FMT_ENTRY_BLOB);
}

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

/* key_text - a key as text, cut when it is long. */
static const char *key_text(const struct check_item *item, char text[KEY_SHOWN * 4 + 4])
{
	size_t n = 0;

	for (uint32_t i = 0; i < item->klen && i < KEY_SHOWN; i++) {
		const uint8_t c = item->key[i];
		const char *hex = "0123456789abcdef";

		if (c >= 0x20 && c < 0x7f && c != '\\') {
			text[n++] = (char)c;
			continue;
		}
		text[n++] = '\\';
		text[n++] = 'x';
		text[n++] = hex[c >> 4];
		text[n++] = hex[c & 15];
	}
	memcpy(text + n, item->klen > KEY_SHOWN ? "..." : "", item->klen > KEY_SHOWN ? 4 : 1);
	return text;
}

/* blob_there - the bytes of a large value, when its checksum holds. */
static const uint8_t *blob_there(const struct salvage *s, const struct fmt_blob *blob)
{
	if (blob->off % s->page_size || blob->off >= s->size || blob->len == 0 ||
	    blob->len > s->size - blob->off)
		return NULL;
	for (uint64_t at = blob->off / s->page_size; at * s->page_size < blob->off + blob->len;
	     at++)
		if (at >= s->pages || s->page[at] & SALVAGE_UNREADABLE)
			return NULL;
	return crc32c(0, s->base + blob->off, blob->len) == blob->crc ? s->base + blob->off : NULL;
}

static struct daxkv_val val_of(const struct salvage *s, const uint8_t *p, uint64_t n)
{
	return (struct daxkv_val){n, s->base + (p - s->base)};
}

/* name_keep - a database's name or a key of main's, beside which no database for entries of
 * nobody's can have the same. */
static void name_keep(struct salvage *s, const struct check_item *item)
{
	const size_t n = strlen(SALVAGE_LOST);

	if (!s->lost_name_used && item->klen >= n && memcmp(item->key, SALVAGE_LOST, n) == 0 &&
	    item->klen > s->lost_name_len) {
		s->lost_name = item->key;
		s->lost_name_len = item->klen;
	}
}

void salvage_give(struct salvage *s, size_t db, const struct salvage_entry *e, uint64_t leaf)
{
	struct daxkv_val key = val_of(s, e->item.key, e->item.klen);
	struct daxkv_val value = val_of(s, e->item.dup, e->item.dlen);
	char text[KEY_SHOWN * 4 + 4];
	struct fmt_blob blob;

	if (s->rc)
		return;
	if (s->dbs[db].main)
		name_keep(s, &e->item);
	if (!salvage_fits(s, s->dbs[db].flags, e) || e->flags & FMT_ENTRY_DB) {
		salvage_lost(s, &s->dbs[db], "leaf 0x%lx: the entry of '%s' cannot be one",
		             (unsigned long)leaf, key_text(&e->item, text));
		return;
	}
	if (e->flags & FMT_ENTRY_BLOB) {
		memset(&blob, 0, sizeof blob);
		if (e->item.dlen == sizeof blob)
			memcpy(&blob, e->item.dup, sizeof blob);
		const uint8_t *bytes = blob_there(s, &blob);

		if (!bytes) {
			salvage_lost(s, &s->dbs[db],
			             "value 0x%lx of %lu bytes, of '%s' in leaf 0x%lx: its "
			             "checksum does not hold",
			             (unsigned long)blob.off, (unsigned long)blob.len,
			             key_text(&e->item, text), (unsigned long)leaf);
			return;
		}
		value = val_of(s, bytes, blob.len);
	}
	s->given++;
	s->rc = s->to->entry(&key, &value, s->to->arg);
}

void salvage_catalog(struct salvage *s, const struct salvage_entry *e)
{
	struct fmt_db catalog;
	int rc;

	name_keep(s, &e->item);
	s->named = true;
	if (e->item.dlen != sizeof catalog || !salvage_fits(s, 0, e))
		return;
	memcpy(&catalog, e->item.dup, sizeof catalog);
	rc = array_room(&s->dbs, s->ndbs, &s->dbs_room, sizeof *s->dbs);
	if (rc) {
		s->rc = rc;
		return;
	}
	s->dbs[s->ndbs] = (struct salvage_db){.name = e->item.key,
	                                      .name_len = e->item.klen,
	                                      .flags = catalog.flags,
	                                      .desc = catalog.desc};
	if (check_flags_valid(catalog.flags))
		s->ndbs++;
	else
		salvage_lost(s, &s->dbs[s->ndbs], "its flags 0x%x cannot be a database's",
		             catalog.flags);
}
