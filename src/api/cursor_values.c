/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_values.c - many values of the key under the cursor in one call. See cursor.h
 *
 * They are copied leaf by leaf: where the key's run ends in a leaf is found once for all of them.
 */
#include "api/cursor_dup.h"
#include "base/err.h"

#include <errno.h>

/* copy_strided - n values of that size, which lie so far from each other. The sizes of integers
 * have loops of their own, which the compiler can unroll. */
static void copy_strided(uint8_t *to, const uint8_t *from, uint32_t stride, uint32_t size,
                         uint32_t n)
{
	if (size == 8)
		for (uint32_t i = 0; i < n; i++)
			put64(to + 8 * (size_t)i, get64(from + (size_t)i * stride));
	else if (size == 4)
		for (uint32_t i = 0; i < n; i++)
			put32(to + 4 * (size_t)i, get32(from + (size_t)i * stride));
	else
		for (uint32_t i = 0; i < n; i++)
			memcpy(to + (size_t)i * size, from + (size_t)i * stride, size);
}

/* copy_values - of the n entries from the cursor's on, all in its leaf: *done of them, up to one of
 * another size. A uniform base without a tail is copied without a look at its entries. to has room
 * for n. CORRUPT: an entry does not lie in the page, which may be changing under an evicted
 * reader. */
static int copy_values(struct daxkv_cursor *c, uint32_t n, uint32_t size, uint8_t *to,
                       uint32_t *done)
{
	const struct leaf *l = &c->path.leaf;
	const struct fmt_page *page = l->page;
	uint32_t rank = c->path.rank;
	uint32_t heads = once(page->heads);
	uint32_t klen = heads & FMT_KLEN_MASK;

	if (!l->nslots && heads & FMT_UNIFORM && once(page->offs) == size) {
		uint32_t stride = uniform_stride(klen, size);
		uint32_t at = leaf_entry(page, rank);

		if (UNLIKELY(at > l->psize || n * stride > l->psize - at)) { /* it is changing */
			leaf_fault(l, at);
			return DAXKV_CORRUPT;
		}
		copy_strided(to, (const uint8_t *)page + at + klen, stride, size, n);
		*done = n;
		return 0;
	}
	int rc = 0;
	struct item it;

	if (n > 1)
		rc = cursor_order(c, true);
	for (*done = 0; *done < n && !rc; ++*done) {
		rc = entry_at(c, rank + *done, &it);
		if (rc || it.vlen != size)
			break;
		memcpy(to + (size_t)*done * size, it.val, size);
	}
	return rc;
}

/* get_values - the cursor is on the first one, of that size. The cursor ends on the last value that
 * was copied; *got counts them, also when an error comes behind. to has room for n of them. It ends
 * at the key's last value, at one of another size, or when the room is full. */
static int get_values(struct move *m, size_t n, uint32_t size, uint8_t *to, size_t *got)
{
	assert(n > 0);
	struct daxkv_cursor *c = m->c;
	uint32_t last = m->rank;
	int rc = cursor_sound(c);

	for (*got = 0; !rc;) {
		uint32_t end;
		uint32_t done = 0;
		bool same;

		rc = cursor_run_edge(m, true, &end);
		uint32_t take = 0;

		if (!rc)
			take = (uint32_t)min_u64(end - m->rank, n - *got);
		if (!rc)
			rc = copy_values(c, take, size, to + *got * size, &done);
		*got += done;
		if (rc || !done) /* the leaf before had the last one */
			break;
		m->left = false;
		last = m->rank = c->path.rank += done - 1;
		if (done < take)
			return 0;
		if (*got == n)
			return 0;
		if (inside(m, true, end))
			return 0;
		rc = cursor_beside(m, true, &same);
		if (rc || !same)
			break;
		m->rank = c->path.rank;
	}
	m->rank = last;
	move_undo(m);
	if (rc == DAXKV_NOT_FOUND)
		return 0;
	return rc;
}

/* cursor_get_values - the values of one size of a key, from the cursor's on. VALUE_SIZE when the
 * value under the cursor has another size; INCOMPATIBLE without sorted duplicates. */
static int cursor_get_values(struct daxkv_cursor *c, size_t n, size_t size, void *bytes,
                             size_t *got)
{
	struct dbstate *s;
	struct move m;
	int rc = cursor_ready(c, false, &s);

	if (rc)
		return rc;
	if (!s->order.dups)
		return err_set(DAXKV_INCOMPATIBLE, "values of a key without sorted duplicates");
	if (c->state == CURSOR_UNSET)
		return err_set(EINVAL, "the cursor is not positioned");
	rc = move_begin(&m, c, s);
	if (rc)
		return rc;
	if (m.own.vlen != size)
		return err_set(DAXKV_VALUE_SIZE, "a value of %u bytes, where %zu were asked for",
		               m.own.vlen, size);
	c->gap = false;
	return get_values(&m, n, m.own.vlen, bytes, got);
}

/* What was copied counts only when the snapshot is still there [I20]. */
int daxkv_cursor_get_values(struct daxkv_cursor *c, size_t n, size_t size, void *bytes, size_t *got)
{
	size_t some = 0;
	int rc;

	if (n && bytes && got)
		rc = cursor_get_values(c, n, size, bytes, &some);
	else
		rc = err_set(EINVAL, "room for one value is needed, and for the "
		                     "number of them");
	if (c && c->txn)
		rc = txn_done(c->txn, rc);
	if (!rc)
		*got = some;
	return err_answer(rc);
}
