/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_tree.c - descriptors and inner pages, from a database's root down. See check_walk.h
 *
 * The walk is recursive, bounded by CHECK_MAX_LEVEL, and has a copy of each page on its way. What
 * the inner pages say of a subtree travels down as bounds: every entry below must lie between
 * them.
 */
#include "base/crc.h"
#include "check/check_walk.h"
#include "daxkv.h"

#include <inttypes.h>

/* ---- what inner pages and leaves share ------------------------------------------------------- */

/* uniform_sound - whether the entries of a uniform leaf end where the base does, inside the
 * page. */
static bool uniform_sound(const struct fmt_page *head, uint32_t page_size)
{
	uint64_t stride = round_up((head->heads & FMT_KLEN_MASK) + head->offs, 4);

	return head->n > 0 && head->heads & FMT_KLEN_MASK &&
	       !(head->heads & ~(FMT_UNIFORM | FMT_KLEN_MASK)) && head->end <= page_size &&
	       FMT_LEAF_BASE + head->n * (sizeof(uint64_t) + stride) == head->end;
}

bool check_header(struct check *ck, const struct check_db *db, const struct check_page *page,
                  const char *what, uint32_t first, uint64_t gap)
{
	const struct fmt_page *head = &page->head;
	uint64_t behind = first + (uint64_t)head->n * sizeof(uint64_t) + gap;

	if (head->birth > ck->txn)
		check_fault(ck, db,
		            "%s 0x%" PRIx64 ": birth %" PRIu64 " is after transaction %" PRIu64,
		            what, page->off, head->birth, ck->txn);
	bool uniform = head->type == FMT_LEAF && head->heads & FMT_UNIFORM;

	if (uniform ? !uniform_sound(head, ck->page_size)
	            : head->heads != first || head->offs != behind ||
	                  head->offs + 2u * head->n > head->end || head->end > ck->page_size) {
		check_fault(ck, db,
		            "%s 0x%" PRIx64
		            ": header out of bounds: n %u, heads %u, offs %u, end %u",
		            what, page->off, head->n, head->heads, head->offs, head->end);
		return false;
	}
	return true;
}

void check_heads(struct check *ck, const struct check_db *db, const struct check_page *page,
                 uint32_t heads, const char *what, const char *part,
                 void (*item)(const void *arg, uint32_t i, struct check_item *out), const void *arg)
{
	const uint32_t no_prefix = DAXKV_OWN_COMPARE | DAXKV_INTEGER_KEY | DAXKV_REVERSE_KEY;
	uint32_t plen = page->head.plen;
	uint32_t n = page->head.n;
	struct check_item first = {.klen = 0};
	struct check_item it;

	if (n > 0)
		item(arg, 0, &first);
	if (plen != 0 && (plen < 8 || plen > first.klen || (db->flags & no_prefix))) {
		check_fault(ck, db, "%s 0x%" PRIx64 ": prefix length %u does not suit its keys",
		            what, page->off, plen);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint64_t head = get64(page->p + heads + i * sizeof(uint64_t));

		item(arg, i, &it);
		if (plen != 0 && (it.klen < plen || memcmp(it.key, first.key, plen) != 0))
			check_fault(ck, db,
			            "%s 0x%" PRIx64 " %s %" PRIu32
			            ": key lacks the page's prefix of %u bytes",
			            what, page->off, part, i, plen);
		else if (head != check_head(db->flags, it.key, it.klen, plen))
			check_fault(ck, db,
			            "%s 0x%" PRIx64 " %s %" PRIu32
			            ": search head does not match the key",
			            what, page->off, part, i);
	}
}

/* ---- inner pages ----------------------------------------------------------------------------- */

/* kids_off - where the kids lie in an inner page: behind its heads. */
static uint32_t kids_off(const struct check_page *page)
{
	return page->head.heads + (uint32_t)(page->head.n * sizeof(uint64_t));
}

/* separator_read - separator i. False when it does not lie in the page. */
static bool separator_read(const struct check_page *page, uint32_t i, struct check_item *item)
{
	uint32_t start = page->head.offs + 2u * page->head.n;
	uint32_t off = get16(page->p + page->head.offs + 2 * i);
	uint32_t klen, dlen;

	if (off < start || off + FMT_SEP_SIZE > page->head.end)
		return false;
	klen = get16(page->p + off);
	dlen = get16(page->p + off + 2);
	*item = (struct check_item){
	    .key = page->p + off + FMT_SEP_SIZE,
	    .klen = klen,
	    .nodup = dlen == FMT_SEP_NODUP,
	};
	item->dup = item->key + klen;
	if (item->nodup)
		item->dlen = 0;
	else
		item->dlen = dlen;
	return off + FMT_SEP_SIZE + klen + item->dlen <= page->head.end;
}

/* separator_item - separator i, for check_heads. It was found readable before. */
static void separator_item(const void *arg, uint32_t i, struct check_item *out)
{
	separator_read(arg, i, out);
}

/* inner_crc - of everything in an inner page but prev and the kids, which change in place. */
static uint32_t inner_crc(const struct check_page *page)
{
	uint32_t crc = crc32c(0, page->p, 8);

	crc = crc32c(crc, page->p + 20, 12);
	crc = crc32c(crc, page->p + page->head.heads, page->head.n * sizeof(uint64_t));
	return crc32c(crc, page->p + page->head.offs, (size_t)(page->head.end - page->head.offs));
}

/* after - whether an order allows that something lies behind another. */
static bool after(enum check_order order)
{
	return order == CHECK_AFTER || order == CHECK_UNKNOWN;
}

/* separators_check - in order, and between the bounds from above. False when one does not lie in
 * the page. */
static bool separators_check(struct check *ck, const struct check_db *db,
                             const struct check_page *page, const struct check_bounds *bounds)
{
	struct check_item before = bounds->low;
	struct check_item item;
	bool has_before = bounds->has_low;

	for (uint32_t i = 0; i < page->head.n; i++) {
		if (!separator_read(page, i, &item)) {
			check_fault(ck, db,
			            "inner 0x%" PRIx64 " separator %" PRIu32
			            ": does not lie in the page",
			            page->off, i);
			return false;
		}
		if (has_before && !after(check_compare(db->flags, &item, &before)))
			check_fault(ck, db,
			            "inner 0x%" PRIx64 " separator %" PRIu32 ": out of order",
			            page->off, i);
		before = item;
		has_before = true;
	}
	if (page->head.n > 0 && bounds->has_high &&
	    !after(check_compare(db->flags, &bounds->high, &before)))
		check_fault(ck, db,
		            "inner 0x%" PRIx64 " separator %u: out of the bounds of the page above",
		            page->off, page->head.n - 1u);
	check_heads(ck, db, page, page->head.heads, "inner", "separator", separator_item, page);
	return true;
}

struct check_place { /* a page that is to be walked */
	/* at: file offset of the word that names it */
	uint64_t off;
	uint64_t at;
	/* what the page above asks for, -1 at the root: it bounds the recursion */
	int level;
	unsigned int depth;
};

static void tree_walk(struct check *ck, struct check_db *db, const struct check_place *place,
                      const struct check_bounds *bounds);

/* inner_walk - the page itself, then each kid with the bounds that the separators give it. Without
 * sound separators the kids are still walked, so that their pages do not all count as leaked. */
static void inner_walk(struct check *ck, struct check_db *db, const struct check_page *page,
                       unsigned int depth, const struct check_bounds *bounds)
{
	bool sound = check_header(ck, db, page, "inner", FMT_INNER_HEADS,
	                          (page->head.n + UINT64_C(1)) * FMT_WORD);

	if (!sound)
		return;
	if ((inner_crc(page) ^ crc32c_place(page->off)) != page->head.crc)
		check_fault(ck, db, "inner 0x%" PRIx64 ": crc does not match", page->off);
	sound = separators_check(ck, db, page, bounds);
	for (uint32_t i = 0; i <= page->head.n && ck->err == 0; i++) {
		uint32_t at = kids_off(page) + i * FMT_WORD;
		struct check_bounds kid = *bounds;

		if (sound && i > 0)
			kid.has_low = separator_read(page, i - 1, &kid.low);
		if (sound && i < page->head.n)
			kid.has_high = separator_read(page, i, &kid.high);
		const struct check_place place = {get64(page->p + at), page->off + at,
		                                  page->head.level - 1, depth + 1};

		tree_walk(ck, db, &place, &kid);
	}
}

/* tree_walk - the page of place and all below it. */
static void tree_walk(struct check *ck, struct check_db *db, const struct check_place *place,
                      const struct check_bounds *bounds)
{
	struct check_page page = {.off = place->off};
	uint8_t *copy = ck->copies + (size_t)place->depth * ck->page_size;

	if (check_moved(ck) ||
	    !check_space_claim(ck, db, "tree page", page.off, ck->page_size, place->at))
		return;
	memcpy(copy, ck->base + page.off, ck->page_size);
	page.p = copy;
	memcpy(&page.head, page.p, sizeof page.head);
	if ((page.head.type != FMT_LEAF && page.head.type != FMT_INNER) ||
	    (page.head.type == FMT_LEAF) != (page.head.level == 0) ||
	    page.head.level > CHECK_MAX_LEVEL ||
	    (place->level >= 0 && page.head.level != place->level)) {
		check_fault(ck, db,
		            "tree page 0x%" PRIx64
		            ": type %u on level %u, where level %d is expected",
		            page.off, page.head.type, page.head.level, place->level);
		return;
	}
	if (page.head.type == FMT_LEAF) {
		db->leaf_pages++;
		check_leaf(ck, db, &page, place->level < 0 ? NULL : bounds);
	} else {
		db->inner_pages++;
		inner_walk(ck, db, &page, place->depth, bounds);
	}
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* counts_last - check the count words; the entries that the newest one, or base_count, says. */
static uint64_t counts_last(struct check *ck, const struct check_db *db,
                            const struct fmt_desc *desc)
{
	const uint64_t mask = (UINT64_C(1) << FMT_COUNT_BITS) - 1;
	uint64_t entries = desc->base_count;
	uint64_t txn = 0;
	bool ended = false;

	for (uint32_t off = FMT_DESC_COUNTS; off < ck->page_size; off += FMT_WORD) {
		uint64_t word = get64(ck->base + db->desc + off);
		uint64_t now = desc->page.birth + (word >> FMT_COUNT_BITS);
		uint32_t i = (off - FMT_DESC_COUNTS) / FMT_WORD;

		if (word == 0) {
			ended = true;
			continue;
		}
		if (ended)
			check_fault(ck, db,
			            "descriptor 0x%" PRIx64 " count %" PRIu32
			            ": follows an unused one",
			            db->desc, i);
		if (i > 0 && now <= txn)
			check_fault(ck, db,
			            "descriptor 0x%" PRIx64 " count %" PRIu32 ": out of order",
			            db->desc, i);
		if (now > ck->txn)
			check_fault(ck, db,
			            "descriptor 0x%" PRIx64 " count %" PRIu32
			            ": of transaction %" PRIu64 ", after %" PRIu64,
			            db->desc, i, now, ck->txn);
		txn = now;
		entries = word & mask;
	}
	return entries;
}

/* desc_header - the fixed part of a descriptor, and that its flags are those of the catalog entry.
 */
static void desc_header(struct check *ck, const struct check_db *db, const struct fmt_desc *desc)
{
	const struct fmt_page *head = &desc->page;
	const uint8_t *p = ck->base + db->desc;
	uint64_t zeros = 0;

	if (head->crc != (crc32c(crc32c(0, p, 8), p + 20, 64 - 20) ^ crc32c_place(db->desc)))
		check_fault(ck, db, "descriptor 0x%" PRIx64 ": crc does not match", db->desc);
	if (head->birth > ck->txn)
		check_fault(ck, db,
		            "descriptor 0x%" PRIx64 ": birth %" PRIu64
		            " is after transaction %" PRIu64,
		            db->desc, head->birth, ck->txn);
	if (head->n != 0 || head->plen != 0 || head->heads != 0 || head->offs != 0 ||
	    head->level != 0 || head->end != FMT_DESC_COUNTS)
		check_fault(ck, db, "descriptor 0x%" PRIx64 ": header is not that of a descriptor",
		            db->desc);
	for (uint32_t i = 0; i < sizeof desc->zero2; i++)
		zeros |= desc->zero2[i];
	for (uint32_t i = 0; i < sizeof desc->zero3; i++)
		zeros |= desc->zero3[i];
	if ((zeros | desc->zero) != 0)
		check_fault(ck, db, "descriptor 0x%" PRIx64 ": bytes that must be zero are not",
		            db->desc);
	if (!check_flags_valid(desc->flags))
		check_fault(ck, db, "descriptor 0x%" PRIx64 ": flags 0x%" PRIx32 " are not valid",
		            db->desc, desc->flags);
	if (desc->flags != db->flags)
		check_fault(ck, db,
		            "descriptor 0x%" PRIx64 ": flags 0x%" PRIx32
		            " differ from the record's 0x%" PRIx32,
		            db->desc, desc->flags, db->flags);
}

/* count_check - a number that the descriptor says against what the walk found. */
static void count_check(struct check *ck, const struct check_db *db, const char *what,
                        uint64_t said, uint64_t found)
{
	if (said != found)
		check_fault(ck, db,
		            "descriptor 0x%" PRIx64 ": says %" PRIu64 " %s, found are %" PRIu64,
		            db->desc, said, what, found);
}

/* is_leaf - whether a catalog entry names a leaf, which is all of a small database, and no
 * descriptor. */
static bool is_leaf(const struct check *ck, uint64_t off)
{
	struct fmt_page head;

	if (off % ck->page_size || off >= ck->limit || ck->page_size > ck->limit - off)
		return false;
	memcpy(&head, ck->base + off, sizeof head);
	return head.type == FMT_LEAF;
}

/* A database without a descriptor has no counts to compare: its one leaf is all that there is. */
void check_db_walk(struct check *ck, struct check_db *db, uint64_t at)
{
	const struct check_bounds everything = {.has_low = false, .has_high = false};
	struct fmt_desc desc;

	if (!db->main && (!db->desc || is_leaf(ck, db->desc))) {
		const struct check_place all = {db->desc, at, -1, 0};

		if (!check_flags_valid(db->flags))
			check_fault(ck, db, "catalog entry: flags 0x%" PRIx32 " are not valid",
			            db->flags);
		else if (db->desc) /* 0: nothing was ever stored */
			tree_walk(ck, db, &all, &everything);
		return;
	}
	if (!check_space_claim(ck, db, "descriptor", db->desc, ck->page_size, at))
		return;
	memcpy(&desc, ck->base + db->desc, sizeof desc);
	if (desc.page.type != FMT_DESC) {
		check_fault(ck, db, "descriptor 0x%" PRIx64 ": type %u is not a descriptor's",
		            db->desc, desc.page.type);
		return;
	}
	if (db->main)
		db->flags = desc.flags;
	desc_header(ck, db, &desc);
	db->flags = desc.flags;
	if (desc.root != 0) {
		const struct check_place root = {desc.root,
		                                 db->desc + offsetof(struct fmt_desc, root), -1, 0};

		tree_walk(ck, db, &root, &everything);
	}
	count_check(ck, db, "entries", counts_last(ck, db, &desc), db->entries);
	count_check(ck, db, "leaf pages", desc.leaf_pages, db->leaf_pages);
	count_check(ck, db, "inner pages", desc.inner_pages, db->inner_pages);
	count_check(ck, db, "blob pages", desc.blob_pages, db->blob_pages);
}
