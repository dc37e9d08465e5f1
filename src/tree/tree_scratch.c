/* SPDX-License-Identifier: BSD-3-Clause */
/* tree_scratch.c - the memory in which a writer rebuilds pages. See tree.h */
#include "tree/tree.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

/* Room for two neighbours at once, and what a change adds: nothing is allocated while a page is
 * rebuilt. */
int tree_scratch_open(struct tree_scratch *s, uint32_t psize)
{
	assert(psize >= FMT_LEAF_BASE);
	assert((psize & (psize - 1)) == 0);
	*s = (struct tree_scratch){
	    .items = malloc((2 * (size_t)LEAF_MAX(psize) + 2) * sizeof *s->items),
	    .seps = malloc((2 * (size_t)INNER_MAX(psize) + 8) * sizeof *s->seps),
	    .kids = malloc((2 * (size_t)INNER_MAX(psize) + 8) * sizeof *s->kids),
	    .offsets = malloc(LEAF_MAX(psize) * sizeof *s->offsets),
	    .sepbuf = malloc(6 * (size_t)psize),
	    .pair = malloc(psize / 2),
	    .places = malloc(TREE_MANY * sizeof *s->places),
	    .finger = malloc(sizeof *s->finger),
	    .batch = calloc(TREE_BATCHES, sizeof *s->batch),
	};
	if (s->items && s->seps && s->kids && s->offsets && s->sepbuf && s->pair && s->places &&
	    s->finger && s->batch)
		return 0;
	tree_scratch_close(s);
	return err_set(ENOMEM, "no memory for the writer's scratch pages");
}

/* Safe on what tree_scratch_open left half-way. */
void tree_scratch_close(struct tree_scratch *s)
{
	free(s->items);
	free(s->seps);
	free(s->kids);
	free(s->offsets);
	free(s->sepbuf);
	free(s->pair);
	free(s->places);
	free(s->finger);
	free(s->way);
	free(s->freed);
	for (unsigned int i = 0; s->batch && i < TREE_BATCHES; i++)
		free(s->batch[i].pack.page);
	free(s->batch);
	tree_tally_free(s);
	*s = (struct tree_scratch){0};
}
