/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_tree.c - descriptors and inner pages, from a database's root down. See check_walk.h
 *
 * The walk is recursive, bounded by CHECK_MAX_LEVEL, and has a copy of each page on its way. What
 * the inner pages say of a subtree travels down as bounds: every entry below must lie between
 * them.
 *
 *   descriptor: counts, flags --> root --> inner page: bounds --> ... --> leaf (check_leaf.c)
 *        ^ compared at the end with what was found below
 *
 * A page is claimed before it is read (check_space_claim), so one that is reached twice is reported
 * and not entered again. What cannot be read ends the walk of its subtree, and only that.
 */
#include "base/crc.h"
#include "check/check_walk.h"
#include "daxkv.h"

/* ---- what inner pages and leaves share ------------------------------------------------------- */

/* uniform_sound - whether the entries of a uniform leaf end where the base does, inside the page.
 * The two lengths are in the header, in the place of the arrays' offsets. In 64 bits, so that no
 * count wraps. */
static bool uniform_sound(const struct fmt_page *head, uint32_t page_size)
{
	uint32_t klen = head->heads & FMT_KLEN_MASK;
	uint64_t stride = round_up(klen + head->offs, 4);

	if (head->n == 0)
		return false;
	if (klen == 0)
		return false;
	if (head->heads & ~(FMT_UNIFORM | FMT_KLEN_MASK))
		return false;
	if (head->end > page_size)
		return false;
	return FMT_LEAF_BASE + head->n * (sizeof(uint64_t) + stride) == head->end;
}

/* arrays_sound - whether a page that is not uniform has its heads at first, its offsets at behind,
 * and both before its end, inside the page. */
static bool arrays_sound(const struct fmt_page *head, uint32_t first, uint64_t behind,
                         uint32_t page_size)
{
	if (head->heads != first)
		return false;
	if (head->offs != behind)
		return false;
	if (head->end > page_size)
		return false;
	return head->offs + 2u * head->n <= head->end;
}

/* A birth that cannot be is a fault, and no reason not to look further. */
bool check_header(struct check *ck, const struct check_db *db, const struct check_page *page,
                  const char *what, uint32_t first, uint64_t gap)
{
	const struct fmt_page *head = &page->head;
	uint64_t behind = first + (uint64_t)head->n * sizeof(uint64_t) + gap;
	bool sound;

	if (head->birth > ck->txn)
		check_fault(ck, db, "%s 0x%lx: birth %lu is after transaction %lu", what, page->off,
		            head->birth, ck->txn);
	if (head->type == FMT_LEAF && head->heads & FMT_UNIFORM)
		sound = uniform_sound(head, ck->page_size);
	else
		sound = arrays_sound(head, first, behind, ck->page_size);
	if (!sound)
		check_fault(ck, db,
		            "%s 0x%lx: header out of bounds: n %u, heads %u, offs %u, end %u", what,
		            page->off, head->n, head->heads, head->offs, head->end);
	return sound;
}

/* prefix_suits - whether the page may have the prefix that its header says, first being its first
 * key: long enough to pay, no longer than the key, in an order that has prefixes. */
static bool prefix_suits(const struct check_db *db, uint32_t plen, const struct check_item *first)
{
	const uint32_t no_prefix = DAXKV_OWN_COMPARE | DAXKV_INTEGER_KEY | DAXKV_REVERSE_KEY;

	if (plen == 0)
		return true;
	if (plen < 8)
		return false;
	if (plen > first->klen)
		return false;
	return !(db->flags & no_prefix);
}

/* A head is made again from each key and compared, because a search trusts heads alone: one that is
 * wrong hides its entry, and no other rule would show it. Without a sound prefix no head means
 * anything. item gives the key of entry or separator i; arg is its argument. */
void check_heads(struct check *ck, const struct check_db *db, const struct check_page *page,
                 uint32_t heads, const char *what, const char *part,
                 void (*item)(const void *arg, uint32_t i, struct check_item *out), const void *arg)
{
	uint32_t plen = page->head.plen;
	uint32_t n = page->head.n;
	struct check_item first = {.klen = 0};
	struct check_item it;

	if (n > 0)
		item(arg, 0, &first);
	if (!prefix_suits(db, plen, &first)) {
		check_fault(ck, db, "%s 0x%lx: prefix length %u does not suit its keys", what,
		            page->off, plen);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint64_t head = get64(page->p + heads + i * sizeof(uint64_t));

		item(arg, i, &it);
		if (plen != 0 && (it.klen < plen || memcmp(it.key, first.key, plen) != 0)) {
			check_fault(ck, db,
			            "%s 0x%lx %s %u: key lacks the page's prefix of %u bytes", what,
			            page->off, part, i, plen);
			continue;
		}
		if (head != check_head(db->flags, it.key, it.klen, plen))
			check_fault(ck, db, "%s 0x%lx %s %u: search head does not match the key",
			            what, page->off, part, i);
	}
}

/* ---- inner pages ----------------------------------------------------------------------------- */

/* kids_off - where the kids lie in an inner page: behind its heads. */
static uint32_t kids_off(const struct check_page *page)
{
	return page->head.heads + (uint32_t)(page->head.n * sizeof(uint64_t));
}

/* separator_read - separator i. False when it does not lie in the page. Separators lie in any order
 * behind the offsets, as a split appends the new one. item points into the page's copy. */
static bool separator_read(const struct check_page *page, uint32_t i, struct check_item *item)
{
	uint32_t start = page->head.offs + 2u * page->head.n;
	uint32_t off = get16(page->p + page->head.offs + 2 * i);
	const uint8_t *key = page->p + off + FMT_SEP_SIZE;
	uint32_t klen;
	uint32_t dlen;

	if (off < start)
		return false;
	if (off + FMT_SEP_SIZE > page->head.end)
		return false;
	klen = get16(page->p + off);
	dlen = get16(page->p + off + 2);
	*item = (struct check_item){
	    .key = key,
	    .klen = klen,
	    .dup = key + klen,
	};
	if (dlen == FMT_SEP_NODUP)
		item->nodup = true;
	else
		item->dlen = dlen;
	return off + FMT_SEP_SIZE + klen + item->dlen <= page->head.end;
}

/* separator_item - separator i, for check_heads. It was found readable before. */
static void separator_item(const void *arg, uint32_t i, struct check_item *out)
{
	separator_read(arg, i, out);
}

/* inner_crc - of everything in an inner page but prev and the kids, which change in place.
 * check_header has bounded all of it before. */
static uint32_t inner_crc(const struct check_page *page)
{
	const struct fmt_page *head = &page->head;
	uint32_t crc = crc32c(0, page->p, 8);

	crc = crc32c(crc, page->p + 20, 12);
	crc = crc32c(crc, page->p + head->heads, head->n * sizeof(uint64_t));
	return crc32c(crc, page->p + head->offs, (size_t)(head->end - head->offs));
}

/* after - whether an order allows that something lies behind another. Where only the program's
 * comparator knows, nothing is wrong as far as can be told. */
static bool after(enum check_order order)
{
	return order == CHECK_AFTER || order == CHECK_UNKNOWN;
}

/* separator_fault - report a fault of one separator. */
static void separator_fault(struct check *ck, const struct check_db *db,
                            const struct check_page *page, uint32_t i, const char *fault)
{
	check_fault(ck, db, "inner 0x%lx separator %u: %s", page->off, i, fault);
}

/* separators_check - in order, and between the bounds from above. False when one does not lie in
 * the page. Two that are equal are out of order as well: nothing could lie between them. */
static bool separators_check(struct check *ck, const struct check_db *db,
                             const struct check_page *page, const struct check_bounds *bounds)
{
	struct check_item before = bounds->low;
	struct check_item item;
	bool has_before = bounds->has_low;
	uint32_t n = page->head.n;

	for (uint32_t i = 0; i < n; i++) {
		if (!separator_read(page, i, &item)) {
			separator_fault(ck, db, page, i, "does not lie in the page");
			return false;
		}
		if (has_before && !after(check_compare(db->flags, &item, &before)))
			separator_fault(ck, db, page, i, "out of order");
		before = item;
		has_before = true;
	}
	if (n > 0 && bounds->has_high) {
		enum check_order order = check_compare(db->flags, &bounds->high, &before);

		if (!after(order))
			separator_fault(ck, db, page, n - 1, "out of the bounds of the page above");
	}
	check_heads(ck, db, page, page->head.heads, "inner", "separator", separator_item, page);
	return true;
}

struct check_place {
	uint64_t off; /* of a page that is to be walked */
	uint64_t at;  /* file offset of the word that names it */
	/* what the page above asks for, -1 at the root: it bounds the recursion */
	int level;
	unsigned int depth; /* pages above it on the way: its copy's number */
};

static void tree_walk(struct check *ck, struct check_db *db, const struct check_place *place,
                      const struct check_bounds *bounds);

/* inner_walk - the page itself, then each kid with the bounds that the separators give it. Without
 * sound separators the kids are still walked, so that their pages do not all count as leaked. The
 * page's copy stays until all kids are done; that of a kid is the next one. It ends early when
 * memory or the state is gone (ck->err). */
static void inner_walk(struct check *ck, struct check_db *db, const struct check_page *page,
                       unsigned int depth, const struct check_bounds *bounds)
{
	uint64_t kids_len = (page->head.n + UINT64_C(1)) * FMT_WORD;
	bool sound = check_header(ck, db, page, "inner", FMT_INNER_HEADS, kids_len);

	assert(page->head.type == FMT_INNER);
	if (!sound)
		return;
	if ((inner_crc(page) ^ crc32c_place(page->off)) != page->head.crc)
		check_fault(ck, db, "inner 0x%lx: crc does not match", page->off);
	sound = separators_check(ck, db, page, bounds);
	for (uint32_t i = 0; i <= page->head.n && ck->err == 0; i++) {
		uint32_t at = kids_off(page) + i * FMT_WORD;
		const struct check_place place = {
		    .off = get64(page->p + at),
		    .at = page->off + at,
		    .level = page->head.level - 1,
		    .depth = depth + 1,
		};
		struct check_bounds kid = *bounds;

		if (sound && i > 0)
			kid.has_low = separator_read(page, i - 1, &kid.low);
		if (sound && i < page->head.n)
			kid.has_high = separator_read(page, i, &kid.high);
		tree_walk(ck, db, &place, &kid);
	}
}

/* page_expected - whether a tree may have the page there: a leaf on level 0, an inner page above,
 * and of the level that the page above asks for. level -1: any, for a root. */
static bool page_expected(const struct fmt_page *head, int level)
{
	if (head->type != FMT_LEAF && head->type != FMT_INNER)
		return false;
	if ((head->type == FMT_LEAF) != (head->level == 0))
		return false;
	if (head->level > CHECK_MAX_LEVEL)
		return false;
	if (level < 0)
		return true;
	return head->level == level;
}

/* tree_walk - the page of place and all below it. The page is copied first: a writer may change it
 * meanwhile, and what was checked of the copy stays so. */
static void tree_walk(struct check *ck, struct check_db *db, const struct check_place *place,
                      const struct check_bounds *bounds)
{
	struct check_page page = {.off = place->off};
	uint8_t *copy = ck->copies + (size_t)place->depth * ck->page_size;

	assert(place->depth < CHECK_COPIES);
	if (check_moved(ck) || ck->err)
		return;
	if (!check_space_claim(ck, db, "tree page", page.off, ck->page_size, place->at))
		return;
	memcpy(copy, ck->base + page.off, ck->page_size);
	page.p = copy;
	memcpy(&page.head, page.p, sizeof page.head);
	if (!page_expected(&page.head, place->level)) {
		check_fault(ck, db,
		            "tree page 0x%lx: type %u on level %u, where level %d is expected",
		            page.off, page.head.type, page.head.level, place->level);
		return;
	}
	if (page.head.type == FMT_INNER) {
		db->inner_pages++;
		inner_walk(ck, db, &page, place->depth, bounds);
		return;
	}
	db->leaf_pages++;
	if (place->level < 0)
		bounds = NULL;
	check_leaf(ck, db, &page, bounds);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* count_fault - report a fault of one count word of a descriptor. */
static void count_fault(struct check *ck, const struct check_db *db, uint32_t i, const char *fault)
{
	check_fault(ck, db, "descriptor 0x%lx count %u: %s", db->desc, i, fault);
}

/* counts_last - check the count words; the entries that the newest one, or base_count, says. A word
 * has the distance to the descriptor's birth and the number. They are used from the first on, and
 * their transactions rise; what breaks that is told, and the last word in use counts all the
 * same. */
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
			count_fault(ck, db, i, "follows an unused one");
		if (i > 0 && now <= txn)
			count_fault(ck, db, i, "out of order");
		if (now > ck->txn)
			check_fault(ck, db,
			            "descriptor 0x%lx count %u: of transaction %lu, after %lu",
			            db->desc, i, now, ck->txn);
		txn = now;
		entries = word & mask;
	}
	return entries;
}

/* desc_fault - report a fault of a descriptor. */
static void desc_fault(struct check *ck, const struct check_db *db, const char *fault)
{
	check_fault(ck, db, "descriptor 0x%lx: %s", db->desc, fault);
}

/* desc_crc - of the bytes that do not change after it was written: birth, and from type on to the
 * root. The counts are words that commits add: they are not part of it. */
static uint32_t desc_crc(const struct check *ck, const struct check_db *db)
{
	const uint8_t *p = ck->base + db->desc;
	uint32_t crc = crc32c(0, p, 8);

	return crc32c(crc, p + 20, 64 - 20);
}

/* desc_zeros - whether the bytes that the format keeps for later are zeros. A later version may
 * give them a meaning, so an old file must not have anything there. */
static bool desc_zeros(const struct fmt_desc *desc)
{
	uint64_t bits = desc->zero;

	for (uint32_t i = 0; i < sizeof desc->zero2; i++)
		bits |= desc->zero2[i];
	for (uint32_t i = 0; i < sizeof desc->zero3; i++)
		bits |= desc->zero3[i];
	return bits == 0;
}

/* desc_shape - whether the header has what a descriptor's has, and nothing of other pages. */
static bool desc_shape(const struct fmt_page *head)
{
	if (head->n != 0)
		return false;
	if (head->plen != 0)
		return false;
	if (head->level != 0)
		return false;
	if (head->heads != 0)
		return false;
	if (head->offs != 0)
		return false;
	return head->end == FMT_DESC_COUNTS;
}

/* desc_header - the fixed part of a descriptor, and that its flags are those of the catalog entry.
 * Faults are told, and the walk goes on: the root may be sound all the same. */
static void desc_header(struct check *ck, const struct check_db *db, const struct fmt_desc *desc)
{
	const struct fmt_page *head = &desc->page;

	if (head->crc != (desc_crc(ck, db) ^ crc32c_place(db->desc)))
		desc_fault(ck, db, "crc does not match");
	if (head->birth > ck->txn)
		check_fault(ck, db, "descriptor 0x%lx: birth %lu is after transaction %lu",
		            db->desc, head->birth, ck->txn);
	if (!desc_shape(head))
		desc_fault(ck, db, "header is not that of a descriptor");
	if (!desc_zeros(desc))
		desc_fault(ck, db, "bytes that must be zero are not");
	if (!check_flags_valid(desc->flags))
		check_fault(ck, db, "descriptor 0x%lx: flags 0x%x are not valid", db->desc,
		            desc->flags);
	if (desc->flags != db->flags)
		check_fault(ck, db, "descriptor 0x%lx: flags 0x%x differ from the record's 0x%x",
		            db->desc, desc->flags, db->flags);
}

/* count_check - a number that the descriptor says against what the walk found. */
static void count_check(struct check *ck, const struct check_db *db, const char *what,
                        uint64_t said, uint64_t found)
{
	if (said != found)
		check_fault(ck, db, "descriptor 0x%lx: says %lu %s, found are %lu", db->desc, said,
		            what, found);
}

/* is_leaf - whether a catalog entry names a leaf, which is all of a small database, and no
 * descriptor. False also when nothing can be read there: then it is looked at as a descriptor, and
 * told as one. */
static bool is_leaf(const struct check *ck, uint64_t off)
{
	struct fmt_page head;

	if (!check_readable(ck, off))
		return false;
	if (ck->page_size > ck->limit - off)
		return false;
	memcpy(&head, ck->base + off, sizeof head);
	return head.type == FMT_LEAF;
}

/* leaf_walk - a database of at most one leaf, which its catalog entry names. It has no counts to
 * compare: its leaf is all that there is. */
static void leaf_walk(struct check *ck, struct check_db *db, uint64_t at)
{
	const struct check_bounds everything = {.has_low = false};
	const struct check_place all = {
	    .off = db->desc,
	    .at = at,
	    .level = -1,
	};

	if (!check_flags_valid(db->flags)) {
		check_fault(ck, db, "catalog entry: flags 0x%x are not valid", db->flags);
		return;
	}
	if (db->desc) /* 0: nothing was ever stored */
		tree_walk(ck, db, &all, &everything);
}

/* tallies_walk - the tree of tallies, which comes before the database's own: what it says is held
 * against the entries when these are met. Its pages are not counted. */
static void tallies_walk(struct check *ck, struct check_db *db, uint64_t root)
{
	const struct check_bounds everything = {.has_low = false};
	const struct check_place place = {
	    .off = root,
	    .at = db->desc + offsetof(struct fmt_desc, tallies),
	    .level = -1,
	};
	struct check_db tallies = {
	    .desc = db->desc,
	    .flags = db->flags & (DAXKV_INTEGER_KEY | DAXKV_REVERSE_KEY),
	    .name = db->name,
	    .name_len = db->name_len,
	    .tallies_of = db,
	};

	if (!(db->flags & DAXKV_DUP_SORT) || db->flags & DAXKV_OWN_COMPARE)
		desc_fault(ck, db, "tallies of a database that can have none");
	tree_walk(ck, &tallies, &place, &everything);
}

/* The catalog entry's flags are compared with the descriptor's, which are then taken; the main
 * database has no catalog entry. */
void check_db_walk(struct check *ck, struct check_db *db, uint64_t at)
{
	const struct check_bounds everything = {.has_low = false};
	struct fmt_desc desc;

	if (!db->main && (!db->desc || is_leaf(ck, db->desc))) {
		leaf_walk(ck, db, at);
		return;
	}
	if (!check_space_claim(ck, db, "descriptor", db->desc, ck->page_size, at))
		return;
	memcpy(&desc, ck->base + db->desc, sizeof desc);
	if (desc.page.type != FMT_DESC) {
		check_fault(ck, db, "descriptor 0x%lx: type %u is not a descriptor's", db->desc,
		            desc.page.type);
		return;
	}
	if (db->main)
		db->flags = desc.flags;
	desc_header(ck, db, &desc);
	db->flags = desc.flags;
	if (desc.tallies != 0)
		tallies_walk(ck, db, desc.tallies);
	if (desc.root != 0) {
		const struct check_place root = {
		    .off = desc.root,
		    .at = db->desc + offsetof(struct fmt_desc, root),
		    .level = -1,
		};

		tree_walk(ck, db, &root, &everything);
	}
	check_tally_end(ck, db);
	count_check(ck, db, "entries", counts_last(ck, db, &desc), db->entries);
	count_check(ck, db, "leaf pages", desc.leaf_pages, db->leaf_pages);
	count_check(ck, db, "inner pages", desc.inner_pages, db->inner_pages);
	count_check(ck, db, "blob pages", desc.blob_pages, db->blob_pages);
}
