/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * view.c - see view.h
 *
 * What is here is rare: a file that another process has made longer, a snapshot that was given up,
 * a page that is not what it should be. It is out of line, so that the steps in view.h stay short.
 */
#include "page/view.h"

#include "base/err.h"
#include "space/space.h"
#include "space/wset.h"

/* Another process may have made the file longer since it was mapped here. */
int view_extend(const struct view *v, uint64_t size)
{
	int rc = DAXKV_CORRUPT;

	/* a page in memory, of the running transaction */
	if (v->w && size >= v->psize && space_memory_taken(v->w->space, size - v->psize))
		return 0;
	if (size >= v->psize)
		rc = map_extend(v->map, size);
	/* A reference behind the file's end, or behind what this process may map. */
	if (rc == DAXKV_CORRUPT)
		return err_corrupt(size - v->psize, "a reference behind the file's end (0x%lx)",
		                   view_size(v));
	return rc;
}

/* Not a fault: the bound was the store's own. */
int view_too_old(const struct view *v)
{
	return err_set(DAXKV_TOO_OLD,
	               "the snapshot of commit %lu was given up: it had reached its bound, and the "
	               "space that it held back was needed",
	               v->snapshot);
}

/* The text says what was found, because the page will have changed when somebody looks. */
int view_fault(const struct view *v, uint64_t off, unsigned int level)
{
	const struct fmt_page *p;

	if (off % v->psize || off == 0)
		return err_corrupt(
		    off, "a reference to a page of level %u that is not at a page's start", level);
	p = view_raw(v, off);
	if (p->birth > v->snapshot)
		return err_corrupt(
		    off, "page of transaction %lu: its older versions do not get older", p->birth);
	return err_corrupt(
	    off, "page of type %u, level %u, %u entries, where one of level %u is expected",
	    p->type, p->level, p->n, level);
}
