/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * view.h - the file as one transaction sees it, and the step from a page's offset to the page.
 *
 * A page of a younger transaction sends the view on to the page that stood there before, until one
 * is old enough:
 *
 *   word -> page (birth 9) -> prev: page (birth 5) -> prev: page (birth 2)
 *                                   a view at 6 reads this one
 *
 * The rule that makes it correct [I7]: a node that replaced another at T names it as prev, so a
 * snapshot before T finds what stood there; births strictly fall along prev, anything else is
 * corruption. The running writer's view is its own number: it never goes back.
 */
#ifndef DAXKV_VIEW_H
#define DAXKV_VIEW_H

#include "base/base.h"
#include "base/format.h"

#define VIEW_EVICTED ((uint64_t)1 << 63) /* in a reader's word: its snapshot was given up */

struct map;
struct wset;

struct view {
	struct map *map;
	const uint8_t *base;
	const uint64_t *size; /* the mapping's, in bytes */
	uint32_t psize;       /* a power of two */
	uint64_t snapshot;    /* of a write transaction: its own number */
	/* what the transaction changed; NULL for a read transaction */
	struct wset *w;
	/* of a read transaction that may be evicted: its entry's word (readers.h). NULL: it may not
	 */
	const uint64_t *bound;
};

/* view_size - bytes of the mapping that may be read; grows while a transaction runs. */
static inline uint64_t view_size(const struct view *v)
{
	return load_relaxed(v->size);
}

/* view_raw - the page at off, whatever is there. For offsets that were checked. */
static inline const struct fmt_page *view_raw(const struct view *v, uint64_t off)
{
	return (const void *)(v->base + off);
}

/* uniform_sound - whether a uniform base of n entries ends at end: all of them have keys. Its two
 * lengths are in the header, where other pages have the places of their arrays. */
static inline bool uniform_sound(const struct fmt_page *p, uint32_t n, uint32_t end)
{
	uint32_t klen = p->heads & FMT_KLEN_MASK;
	uint64_t entry = 8 + round_up(klen + p->offs, 4);

	if (p->type != FMT_LEAF || n == 0 || klen == 0)
		return false;
	return FMT_LEAF_BASE + n * entry == end;
}

/* parts_sound - whether a page of n entries, which ends at end, is of that type, has its heads and
 * its offsets where it must, and a prefix only when it has an entry that shows it. n and end are
 * what was read of the page and bounded. */
static inline bool parts_sound(const struct fmt_page *p, enum fmt_page_type type, uint32_t heads,
                               uint32_t offs, uint32_t n, uint32_t end)
{
	if (p->type != type || p->heads != heads || p->offs != offs)
		return false;
	if (offs + 2 * n > end)
		return false;
	return p->plen == 0 || n > 0;
}

/* page_sound - whether the header is that of a leaf (level 0) or inner page whose parts lie inside
 * the page. Kids, offsets and slots are not looked at: each is bounded when it is followed. */
static inline bool page_sound(const struct fmt_page *p, unsigned int level, uint32_t psize)
{
	uint32_t n = p->n;
	uint32_t end = p->end;

	if (p->level != level || end > psize)
		return false;
	if (level > 0)
		return parts_sound(p, FMT_INNER, FMT_INNER_HEADS, FMT_INNER_HEADS + 16 * n + 8, n,
		                   end);
	if (p->heads & FMT_UNIFORM)
		return uniform_sound(p, n, end);
	return parts_sound(p, FMT_LEAF, FMT_LEAF_BASE, FMT_LEAF_BASE + 8 * n, n, end);
}

/* view_extend - see to it that size bytes of the file are mapped: another process may have made it
 * longer. CORRUPT; errno of mmap. */
int view_extend(const struct view *v, uint64_t size);

/* view_evicted - whether the snapshot was given up: what was read before this call may be anything,
 * and is not to be acted on. */
static inline bool view_evicted(const struct view *v)
{
	if (LIKELY(!v->bound))
		return false;
	/* Pairs with the writer's fence in share_evict: whoever read a byte stored behind that
	 * fence sees the mark here [I20]. */
	fence_loads();
	return load_relaxed(v->bound) & VIEW_EVICTED;
}

/* view_too_old - raise TOO_OLD. It returns that. */
int view_too_old(const struct view *v);

/* view_fault - raise the fault of the page at off, which is not a sound page of that level, or
 * whose versions do not fall. It returns CORRUPT. */
int view_fault(const struct view *v, uint64_t off, unsigned int level);

/* view_version - the page that off means in this view, whatever its kind; its offset in *at. *page
 * NULL: nothing was there then (possible for a root only). CORRUPT. */
static inline int view_version(const struct view *v, uint64_t off, unsigned int level,
                               const struct fmt_page **page, uint64_t *at)
{
	for (uint64_t last = UINT64_MAX;;) {
		if (UNLIKELY(off & (v->psize - 1) || off == 0))
			return view_fault(v, off, level);
		if (UNLIKELY(off > view_size(v) - v->psize)) { /* no sum: it may be beyond 2^64 */
			int rc = view_extend(v, off + v->psize);

			if (rc)
				return rc;
		}
		const struct fmt_page *p = view_raw(v, off);
		uint64_t birth = load_relaxed(&p->birth);

		if (LIKELY(birth <= v->snapshot)) {
			*page = p;
			*at = off;
			return 0;
		}
		if (UNLIKELY(birth >= last))
			return view_fault(v, off, level);
		if (UNLIKELY(view_evicted(v)))
			return view_too_old(v);
		last = birth;
		off = load_relaxed(&p->prev);
		if (off == 0) {
			*page = NULL;
			*at = 0;
			return 0;
		}
	}
}

/* view_page - the same for a page below the root, which must be a sound one of that level. Only the
 * header is judged, not the checksum: that is for those who verify. */
static inline int view_page(const struct view *v, uint64_t off, unsigned int level,
                            const struct fmt_page **page, uint64_t *at)
{
	int rc = view_version(v, off, level, page, at);

	if (LIKELY(!rc) && UNLIKELY(!*page || !page_sound(*page, level, v->psize)))
		return view_fault(v, off, level);
	return rc;
}

#endif
