/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dbi_index.c - how entries of the table of database handles are found without a walk through it:
 * by a name, as FREE ones, and by what is to become of them. See dbi.h
 *
 * Three ways to find an entry, none of which walks through the table: by a name's hash, in which
 * the claims to one name lie in order; by a heap of FREE ones; and by lists of those that have
 * something to be forgotten or ended.
 */
#include "base/crc.h"
#include "base/err.h"
#include "txn/dbi.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#define BUCKETS_FIRST 2u /* most stores have few databases */

/* list_open - an empty list: its head is its own neighbour. So a link is put and taken out without
 * a test for the list's ends. */
static void list_open(struct dbi_link *list)
{
	list->prev = list;
	list->next = list;
}

/* Memory that is not used is not there: the heap has room for every entry. room is set; the rest of
 * the table is zeros. */
int index_open(struct dbi_table *t)
{
	assert(t->room > 0);
	assert((t->room & (t->room - 1)) == 0);
	t->buckets = BUCKETS_FIRST;
	t->bucket = calloc(t->buckets, sizeof(struct dbi_name *));
	t->heap = calloc(t->room, sizeof *t->heap); /* memory that is not used is not there yet */
	list_open(&t->gone);
	list_open(&t->renamed);
	list_open(&t->own);
	if (t->bucket && t->heap)
		return 0;
	return err_set(ENOMEM, "no memory for the names of %u databases", t->max);
}

/* The names are freed by their entries. */
void index_close(struct dbi_table *t)
{
	free(t->bucket);
	free(t->heap);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* An end (gone) is no name. */
bool name_is(const struct dbi_name *n, const struct daxkv_val *name)
{
	if (!n)
		return false;
	if (n->gone)
		return false;
	if (n->len != name->size)
		return false;
	return memcmp(n->bytes, name->data, n->len) == 0;
}

/* The crc is at hand, and names are short. */
uint32_t name_hash(const struct daxkv_val *name)
{
	return crc32c(0, name->data, name->size);
}

/* buckets_double - each bucket becomes two, in which the names keep their order. Without memory for
 * that the buckets are longer. A name's new bucket is told by one more bit of its hash, so one walk
 * over each old bucket does. */
static void buckets_double(struct dbi_table *t)
{
	assert(t->buckets < 1u << 31);
	const uint32_t old = t->buckets;
	struct dbi_name **more = realloc(t->bucket, 2ul * old * sizeof(struct dbi_name *));

	if (!more)
		return;
	for (uint32_t i = 0; i < old; i++) {
		struct dbi_name **end[] = {&more[i], &more[i + old]};

		for (struct dbi_name *n = more[i]; n; n = n->next) {
			struct dbi_name ***e = &end[(n->hash & old) != 0];

			**e = n;
			*e = &n->next;
		}
		*end[0] = *end[1] = NULL;
	}
	t->bucket = more;
	t->buckets = 2 * old;
}

/* claims_before - whether the name is n's, claimed no later than n claims it. */
static bool claims_before(const struct dbi_name *other, const struct dbi_name *n,
                          const struct daxkv_val *bytes)
{
	if (other->since > n->since)
		return false;
	if (other->hash != n->hash)
		return false;
	return name_is(other, bytes);
}

/* Behind the claims that began later, before those that began earlier. */
void index_add(struct dbi_table *t, struct dbi *d, struct dbi_name *n)
{
	assert(d);
	struct dbi_name **at;

	n->entry = d;
	if (n->gone)
		return;
	if (t->names >= t->buckets && t->buckets < 1u << 31)
		buckets_double(t);
	const struct daxkv_val bytes = {n->len, n->bytes};

	n->hash = name_hash(&bytes);
	at = &t->bucket[n->hash & (t->buckets - 1)];
	while (*at && !claims_before(*at, n, &bytes))
		at = &(*at)->next;
	n->next = *at;
	*at = n;
	t->names++;
}

/* An end was never there. */
void index_remove(struct dbi_table *t, struct dbi_name *n)
{
	assert(n->gone || t->names > 0);
	if (n->gone)
		return;
	struct dbi_name **at = &t->bucket[n->hash & (t->buckets - 1)];

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	t->names--;
}

/* same_from - the first of the list with those bytes. Names of other hashes stand in the same
 * bucket. */
static struct dbi_name *same_from(struct dbi_name *n, uint32_t hash, const struct daxkv_val *name)
{
	while (n && !(n->hash == hash && name_is(n, name)))
		n = n->next;
	return n;
}

/* The latest claim, because it stands first. */
struct dbi_name *index_first(const struct dbi_table *t, const struct daxkv_val *name)
{
	uint32_t hash = name_hash(name);

	return same_from(t->bucket[hash & (t->buckets - 1)], hash, name);
}

/* The claim before that one. */
struct dbi_name *index_next(const struct dbi_name *n, const struct daxkv_val *name)
{
	return same_from(n->next, n->hash, name);
}

/* ---- FREE entries ---------------------------------------------------------------------------- */

/* before - the entry that had fewer numbers is taken first, so that none is given twice for as long
 * as possible; of two like that the lower one, so that transactions' arrays stay short. */
static bool before(const struct dbi_table *t, uint32_t a, uint32_t b)
{
	if (t->dbi[a].life != t->dbi[b].life)
		return t->dbi[a].life < t->dbi[b].life;
	return a < b;
}

/* Up the heap from its end. */
void free_put(struct dbi_table *t, struct dbi *d)
{
	assert(t->n_free < t->room);
	uint32_t i = (uint32_t)(d - t->dbi);
	uint32_t at = t->n_free;

	t->n_free++;
	while (at > 0) {
		uint32_t parent = (at - 1) / 2;

		if (!before(t, i, t->heap[parent]))
			break;
		t->heap[at] = t->heap[parent];
		at = parent;
	}
	t->heap[at] = i;
}

/* The last one takes the first one's place, and goes down. */
struct dbi *free_take(struct dbi_table *t)
{
	assert(t->n_free > 0);
	uint32_t first = t->heap[0];
	uint32_t last = t->heap[--t->n_free];
	uint32_t at = 0;

	for (uint32_t kid = 1; kid < t->n_free; kid = 2 * at + 1) {
		if (kid + 1 < t->n_free && before(t, t->heap[kid + 1], t->heap[kid]))
			kid++;
		if (!before(t, t->heap[kid], last))
			break;
		t->heap[at] = t->heap[kid];
		at = kid;
	}
	t->heap[at] = last;
	return &t->dbi[first];
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Behind any link of a list, its head included. */
void link_put(struct dbi_link *behind, struct dbi_link *l)
{
	assert(behind->next);
	assert(!l->next);
	l->prev = behind;
	l->next = behind->next;
	l->next->prev = l;
	behind->next = l;
}

/* A link that is in no list stays as it is. */
void link_out(struct dbi_link *l)
{
	assert(!l->next || l->next->prev == l);
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = NULL;
	l->next = NULL;
}

/* entry_at - the entry whose link, that many bytes from its beginning, it is. The list's head is no
 * entry: NULL. */
static struct dbi *entry_at(const struct dbi_link *list, struct dbi_link *l, size_t offset)
{
	if (l == list)
		return NULL;
	return (struct dbi *)(void *)((char *)l - offset);
}

/* The list's oldest. */
struct dbi *past_first(const struct dbi_link *list)
{
	return entry_at(list, list->next, offsetof(struct dbi, past));
}

/* The innermost transaction's first. */
struct dbi *own_first(const struct dbi_table *t)
{
	return entry_at(&t->own, t->own.next, offsetof(struct dbi, own));
}

/* NULL at the list's end. */
struct dbi *own_next(const struct dbi_table *t, const struct dbi *d)
{
	return entry_at(&t->own, d->own.next, offsetof(struct dbi, own));
}
