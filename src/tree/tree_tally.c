/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree_tally.c - tallies: how many values the keys have that have very many.
 *
 *   tree           ... | k v1 v2 v3 ... | k ... | ... vn | ...     leaves full of one key's values
 *   its tallies                k -> n                              a small tree beside it
 *
 * The rule that makes them right: a tally that is there is the number of its key's values, in each
 * snapshot; a key without a tally has to be counted [I23]. The tallies are a tree like any other,
 * so its pages have the versions that a snapshot needs [I7] [I8], and a transaction that is undone
 * takes them back.
 *
 *   noted    a leaf was written that has values of one key alone, and the key has no tally: they
 *            are counted when the transaction ends (tree_tally_flush)
 *   owed     a single put or removal changed the number, in memory alone: it is written by then
 *   dropped  all values of the key go, or all but one
 *
 * What is owed and noted does not outlive a level of the transaction: the beginning and the end of
 * a nested one write it, as they write batches, and an abort forgets it. Numbers that are in memory
 * and not owed are good until another process has committed.
 *
 * Not for an order of the program's own: keys that it calls equal may differ in their bytes.
 */
#include "space/space.h"
#include "tree/tree.h"

#include "base/array.h"
#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

struct tree_tally {      /* what is known of one key */
	uint64_t round;  /* good when it is the scratch's */
	uint64_t values; /* 0: it has no tally */
	/* of a key without one: how many it has, where a writer has counted them; else 0 */
	uint64_t counted;
	struct tree *tree; /* whose; good while it is owed */
	uint32_t id;       /* of the tree */
	uint32_t klen;
	uint32_t room; /* of key */
	/* the tree of tallies says something else: the place in scratch->owing, from 1 on */
	uint16_t owed;
	bool noted; /* in scratch->noted */
	uint8_t *key;
};

struct tree_noted { /* a key whose values are to be counted */
	struct tree *tree;
	uint32_t klen;
	uint8_t key[];
};

/* ---- the tree of tallies --------------------------------------------------------------------- */

/* tally_read - what the tree of tallies has for the key; 0: nothing. CORRUPT. */
static int tally_read(const struct tree *t, const uint8_t *key, uint32_t klen, uint64_t *values)
{
	struct item it;
	bool found;
	int rc = tree_get(t->tallies, key, klen, &it, &found);

	*values = 0;
	if (rc)
		return rc;
	if (!found)
		return 0;
	if (it.vlen != sizeof *values || it.flags != FMT_ENTRY_TALLY)
		return err_corrupt(t->tallies->root, "a tally of %u bytes, flags 0x%x", it.vlen,
		                   it.flags);
	*values = get64(it.val);
	return 0;
}

/* tally_write - the tree of tallies has that number for the key; 0: none. Errors of tree_store. */
static int tally_write(struct tree *t, const uint8_t *key, uint32_t klen, uint64_t values)
{
	struct tree *tallies = t->tallies;
	struct probe p = {.key = key, .klen = klen};
	uint8_t bytes[sizeof values];
	const struct item it = {
	    .key = key,
	    .klen = klen,
	    .val = bytes,
	    .vlen = sizeof bytes,
	    .flags = FMT_ENTRY_TALLY,
	};
	const uint8_t *unused;
	struct path path;
	uint64_t leaf;
	int rc = tree_seek(tallies, &p, &path);

	if (rc)
		return rc;
	put64(bytes, values);
	if (values)
		return tree_store(tallies, &path, &it, &unused, &leaf);
	if (path.height && path.eoff)
		return tree_remove(tallies, &path);
	return 0;
}

/* ---- what is in memory ----------------------------------------------------------------------- */

/* place_of - the only place that the key's number can have. ENOMEM. */
static int place_of(const struct tree *t, const uint8_t *key, uint32_t klen,
                    struct tree_tally **tally)
{
	struct tree_scratch *s = t->scratch;
	uint32_t at = order_fp(key, klen) ^ t->id * 7919u;

	if (UNLIKELY(!s->tally)) {
		size_t owing = TREE_TALLIES * sizeof *s->owing;

		s->tally = calloc(1, TREE_TALLIES * sizeof *s->tally + owing);
		if (!s->tally)
			return err_set(ENOMEM, "no memory for numbers of values");
		s->owing = (void *)(s->tally + TREE_TALLIES);
		s->tally_round++; /* the first is 1 */
	}
	*tally = &s->tally[at % TREE_TALLIES];
	return 0;
}

/* is_of - whether the place has the key's number. */
static bool is_of(const struct tree *t, const struct tree_tally *tally, const uint8_t *key,
                  uint32_t klen)
{
	if (tally->round != t->scratch->tally_round)
		return false;
	if (tally->id != t->id)
		return false;
	if (tally->klen != klen)
		return false;
	return memcmp(tally->key, key, klen) == 0;
}

/* owe - the number has changed. */
static void owe(struct tree *t, struct tree_tally *tally)
{
	struct tree_scratch *s = t->scratch;

	tally->tree = t;
	if (tally->owed)
		return;
	assert(s->nowing < TREE_TALLIES);
	s->owing[s->nowing++] = (uint16_t)(tally - s->tally);
	tally->owed = (uint16_t)s->nowing;
}

/* owe_not - the last one takes its place among those that are owed. */
static void owe_not(struct tree_scratch *s, struct tree_tally *tally)
{
	assert(tally->owed);
	assert(tally->owed <= s->nowing);
	uint16_t last = s->owing[--s->nowing];

	s->owing[tally->owed - 1] = last;
	s->tally[last].owed = tally->owed;
	tally->owed = 0;
}

/* pay - the number goes to its tree, if it is owed. */
static int pay(struct tree_scratch *s, struct tree_tally *tally)
{
	if (tally->round != s->tally_round || !tally->owed)
		return 0;
	int rc = tally_write(tally->tree, tally->key, tally->klen, tally->values);

	if (rc)
		return rc;
	owe_not(s, tally);
	return 0;
}

/* tally_load - the key's number is in memory: what is in its place gives way. Errors of
 * tree_store. */
static int tally_load(struct tree *t, const uint8_t *key, uint32_t klen, struct tree_tally **out)
{
	struct tree_tally *tally;
	uint64_t values;
	int rc = place_of(t, key, klen, &tally);

	if (rc)
		return rc;
	*out = tally;
	if (LIKELY(is_of(t, tally, key, klen)))
		return 0;
	rc = pay(t->scratch, tally);
	if (rc)
		return rc;
	rc = tally_read(t, key, klen, &values);
	if (rc)
		return rc;
	tally->round = 0;                        /* until it is whole */
	if (!tally->key || tally->room < klen) { /* of a damaged entry klen may be 0 */
		uint8_t *more = realloc(tally->key, klen + 1);

		if (!more)
			return err_set(ENOMEM, "no memory for a key of %u bytes", klen);
		tally->key = more;
		tally->room = klen;
	}
	memcpy(tally->key, key, klen);
	tally->klen = klen;
	tally->id = t->id;
	tally->values = values;
	tally->counted = 0;
	tally->owed = 0;
	tally->noted = false;
	tally->round = t->scratch->tally_round;
	return 0;
}

/* A key with one value has no tally: the entry beside tells. */
int tree_tally_count(struct tree *t, const uint8_t *key, uint32_t klen, bool one_more)
{
	struct tree_tally *tally;
	int rc = tally_load(t, key, klen, &tally);

	if (rc)
		return rc;
	if (!tally->values) {
		if (tally->counted)
			tally->counted += one_more ? 1 : UINT64_MAX;
		return 0;
	}
	if (one_more)
		tally->values++;
	else
		tally->values--;
	if (tally->values < 2)
		tally->values = 0;
	owe(t, tally);
	return 0;
}

/* known_of - what is in memory of the key; NULL: nothing. */
static struct tree_tally *known_of(const struct tree *t, const uint8_t *key, uint32_t klen)
{
	struct tree_tally *tally;

	if (!t->tallies || !t->tallies->root)
		return NULL;
	if (!t->scratch || !t->scratch->tally || place_of(t, key, klen, &tally))
		return NULL;
	return is_of(t, tally, key, klen) ? tally : NULL;
}

/* With or without a tally. */
uint64_t tree_tally_known(const struct tree *t, const uint8_t *key, uint32_t klen)
{
	const struct tree_tally *tally = known_of(t, key, klen);

	if (!tally)
		return 0;
	return tally->values ? tally->values : tally->counted;
}

/* While nothing is known of the key in memory, nothing would keep the number right. */
void tree_tally_learn(const struct tree *t, const uint8_t *key, uint32_t klen, uint64_t values)
{
	struct tree_tally *tally = known_of(t, key, klen);

	if (tally && !tally->values)
		tally->counted = values;
}

/* A reader has no memory of its own for them. */
int tree_tally_find(const struct tree *t, const uint8_t *key, uint32_t klen, uint64_t *values)
{
	const struct tree_tally *tally = known_of(t, key, klen);

	*values = 0;
	if (!t->tallies || !t->tallies->root)
		return 0;
	if (tally) {
		*values = tally->values;
		return 0;
	}
	return tally_read(t, key, klen, values);
}

/* ---- lists that have become long ------------------------------------------------------------- */

/* Mostly it is known already: the key has a tally, or was noted by the leaf before. */
int tree_tally_note(struct tree *t, const uint8_t *key, uint32_t klen)
{
	struct tree_scratch *s = t->scratch;
	struct tree_tally *tally;
	struct tree_noted *noted;
	int rc = tally_load(t, key, klen, &tally);

	if (rc)
		return rc;
	if (tally->values)
		return 0;
	if (tally->noted)
		return 0;
	rc = array_room(&s->noted, s->nnoted, &s->noted_room, sizeof(struct tree_noted *));
	if (rc)
		return rc;
	noted = malloc(sizeof *noted + klen);
	if (!noted)
		return err_set(ENOMEM, "no memory for a key of %u bytes", klen);
	noted->tree = t;
	noted->klen = klen;
	memcpy(noted->key, key, klen);
	s->noted[s->nnoted++] = noted;
	tally->noted = true;
	return 0;
}

/* noted_count - count the key's values, unless it has a tally already: it may have been noted
 * twice. */
static int noted_count(const struct tree_noted *noted)
{
	struct tree *t = noted->tree;
	struct probe from = {
	    .key = noted->key,
	    .klen = noted->klen,
	    .edge = PROBE_BEFORE,
	};
	struct probe to = from;
	struct tree_tally *tally;
	uint64_t n;
	int rc = tally_load(t, noted->key, noted->klen, &tally);

	if (rc)
		return rc;
	tally->noted = false;
	if (tally->values)
		return 0;
	to.edge = PROBE_AFTER;
	rc = tree_count(t, &from, &to, &n);
	if (rc)
		return rc;
	if (n < 2)
		return 0;
	tally->values = n;
	tally->counted = 0;
	owe(t, tally);
	return 0;
}

/* noted_free - those that were noted, all of them. */
static void noted_free(struct tree_scratch *s)
{
	while (s->nnoted)
		free(s->noted[--s->nnoted]);
}

/* What is noted becomes owed, and what is owed is written. A transaction that put nothing takes
 * pages as its removals do [I22]. */
int tree_tally_flush(struct tree_scratch *s, struct wset *w)
{
	const enum space_claim before =
	    space_claim(w->space, w->space->puts ? SPACE_HALF : SPACE_DELETE);
	int rc = 0;

	for (size_t i = 0; i < s->nnoted && !rc; i++)
		rc = noted_count(s->noted[i]);
	if (!rc)
		noted_free(s);
	while (s->nowing && !rc)
		rc = pay(s, &s->tally[s->owing[s->nowing - 1]]);
	(void)space_claim(w->space, before);
	return rc;
}

/* What is owed and noted is forgotten with the rest. */
void tree_tally_forget(struct tree_scratch *s)
{
	s->tally_round++;
	s->nowing = 0;
	noted_free(s);
}

void tree_tally_free(struct tree_scratch *s)
{
	noted_free(s);
	free(s->noted);
	for (uint32_t i = 0; s->tally && i < TREE_TALLIES; i++)
		free(s->tally[i].key);
	free(s->tally);
}

/* ---- many at once ---------------------------------------------------------------------------- */

/* tallies_leave - no number of the tree is in memory any more; with write what is owed is written
 * before. */
static int tallies_leave(const struct tree *t, bool write)
{
	struct tree_scratch *s = t->scratch;
	int rc = 0;

	for (uint32_t i = 0; s->tally && i < TREE_TALLIES && !rc; i++) {
		struct tree_tally *tally = &s->tally[i];

		if (tally->round != s->tally_round)
			continue;
		if (tally->id != t->id)
			continue;
		if (write)
			rc = pay(s, tally);
		else if (tally->owed)
			owe_not(s, tally);
		if (!rc)
			tally->round = 0;
	}
	return rc;
}

/* one_key - whether the range is all values of one key. */
static bool one_key(const struct tree *t, const struct probe *from, const struct probe *to)
{
	if (!from)
		return false;
	if (!to)
		return false;
	if (from->edge != PROBE_BEFORE)
		return false;
	if (to->edge != PROBE_AFTER)
		return false;
	return order_key_same(t->order, from->key, from->klen, to->key, to->klen);
}

/* The ends are places before or behind a key, and these are keys for the tallies. */
int tree_tally_cut(struct tree *t, const struct probe *from, const struct probe *to,
                   uint64_t *values)
{
	struct probe first = {0};
	struct probe end = {0};
	uint64_t unused;
	int rc;

	*values = 0;
	if (!t->tallies || !t->tallies->root)
		return 0;
	if (one_key(t, from, to)) {
		struct tree_tally *tally;

		rc = tally_load(t, from->key, from->klen, &tally);
		if (rc)
			return rc;
		tally->counted = 0;
		if (!tally->values)
			return 0;
		*values = tally->values;
		tally->values = 0;
		owe(t, tally);
		return 0;
	}
	if (from) {
		assert(from->edge == PROBE_BEFORE);
		first = (struct probe){.key = from->key, .klen = from->klen};
	}
	if (to) {
		assert(to->edge == PROBE_BEFORE);
		end = (struct probe){.key = to->key, .klen = to->klen};
	}
	rc = tallies_leave(t, true);
	if (rc)
		return rc;
	return tree_cut(t->tallies, from ? &first : NULL, to ? &end : NULL, &unused);
}

/* What is noted goes, too: the tree may soon be another database's. A key of it can be noted
 * again. */
int tree_tally_clear(struct tree *t, bool forget)
{
	struct tree_scratch *s = t->scratch;
	const size_t before = s->nnoted;

	for (size_t i = before; i-- > 0;) {
		if (s->noted[i]->tree != t)
			continue;
		free(s->noted[i]);
		s->noted[i] = s->noted[--s->nnoted];
	}
	if (!t->tallies)
		return 0;
	if (!t->tallies->root && s->nnoted == before)
		return 0;
	int rc = tallies_leave(t, false);

	if (rc)
		return rc;
	return tree_clear(t->tallies, forget);
}
