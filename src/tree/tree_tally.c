/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_tally.c - how many values some keys have, as the writer last counted them.
 *
 * To count the values of a key that has many leaves takes some time for each leaf. Programs that
 * keep an index count a key's values each time before they add one more. So the writer keeps what
 * was counted, in its own memory, and goes on counting.
 *
 * The rule that makes it right: between a count and the next use of its tally, every change of the
 * database was made by this store handle, and told here. Single puts and removals are; all else
 * forgets all tallies, and so does the abort of a transaction. txn.c sees to the first half:
 * tallies outlive a commit only until the next write transaction finds another's commit behind it.
 */
#include "tree/tree.h"

#include <stdlib.h>

/* What is kept for one key: 64 bytes with a copy of the key, so that nothing is
 * allocated for it. */
struct tree_tally {
	uint64_t round; /* good when it is the scratch's */
	uint64_t values;
	/* of the tree */
	uint32_t id;
	uint32_t klen;
	uint8_t key[TREE_TALLY_KEY];
};

static struct tree_tally *place_of(const struct tree *t, const uint8_t *key, uint32_t klen)
{
	uint32_t at = order_fp(key, klen) ^ t->id * 7919u;

	return &t->scratch->tally[at % TREE_TALLIES];
}

/* tally_of - the key's, or NULL. A longer key than TREE_TALLY_KEY has none. */
static struct tree_tally *tally_of(const struct tree *t, const uint8_t *key, uint32_t klen)
{
	const struct tree_scratch *s = t->scratch;

	if (!s->tallies || klen > TREE_TALLY_KEY)
		return NULL;
	struct tree_tally *tally = place_of(t, key, klen);
	bool is = tally->round == s->tally_round && tally->id == t->id && tally->klen == klen &&
	          memcmp(tally->key, key, klen) == 0;

	if (is)
		return tally;
	return NULL;
}

/* tally_keep - of a key with one way to write it, where there is memory. A comparator of the
 * program's own may call keys with different bytes equal, so such keys have no tally. Without
 * memory nothing is kept, and the next count is made again. */
static void tally_keep(const struct tree *t, const uint8_t *key, uint32_t klen, uint64_t values)
{
	assert(t->scratch);
	struct tree_scratch *s = t->scratch;

	if (!t->id || t->order->key == ORDER_OWN || klen > TREE_TALLY_KEY)
		return;
	if (!s->tally) {
		s->tally = calloc(TREE_TALLIES, sizeof *s->tally);
		s->tally_round++; /* the first is 1 */
	}
	if (!s->tally)
		return;
	struct tree_tally *tally = place_of(t, key, klen);

	s->tallies++;
	*tally = (struct tree_tally){
	    .round = s->tally_round,
	    .values = values,
	    .id = t->id,
	    .klen = klen,
	};
	memcpy(tally->key, key, klen);
}

/* That no tally falls below none holds while all changes are told, of a sound tree: where
 * separators are damaged, the count may have missed the leaf that the entry is in. Then nothing is
 * kept. */
void tree_tally_change(const struct tree *t, const uint8_t *key, uint32_t klen, bool one_more)
{
	struct tree_tally *tally = tally_of(t, key, klen);

	if (!tally)
		return;
	if (one_more)
		tally->values++;
	else if (tally->values)
		tally->values--;
	else
		tree_tally_forget(t->scratch);
}

/* The number is right as of this moment in the writer's transaction. */
bool tree_tally_find(const struct tree *t, const uint8_t *key, uint32_t klen, uint64_t *n)
{
	const struct tree_tally *tally = tally_of(t, key, klen);

	if (tally)
		*n = tally->values;
	return tally;
}

/* A reader has no scratch, and counts each time. */
int tree_values(const struct tree *t, const uint8_t *key, uint32_t klen, uint64_t *n)
{
	struct probe from = {
	    .key = key,
	    .klen = klen,
	    .edge = PROBE_BEFORE,
	};
	struct probe to = from;

	to.edge = PROBE_AFTER;
	int rc = tree_count(t, &from, &to, n);

	if (rc)
		return rc;
	if (t->scratch)
		tally_keep(t, key, klen, *n);
	return rc;
}
