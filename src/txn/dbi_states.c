/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dbi_states.c - what a transaction remembers of databases: a state for each entry of the handles'
 * table that it looked at. A nested one begins without any, and gets a copy of the nearest outer
 * one's state where it looks; at its commit those, and no others, go to its parent. See dbi.h
 *
 * Memory stays for the next transaction: states are marked stale by their generation, and never
 * freed while the handle of the transaction is kept.
 *
 *   db[]       by the entry of a handle; room of them, of which the first ndb may be of use
 *   bucket[]   a write transaction's, by name: so that a database has one state
 *   changed    a list: what the commit has to write
 *   looked     a list, of a nested transaction: what its commit gives to the parent
 *
 * A write transaction that begins where the last one of its handle ended keeps the generation, and
 * so all states.
 */
#include "base/err.h"
#include "txn/dbi.h"
#include "txn/store.h"

#include <errno.h>
#include <stdlib.h>

#define ROOM_FIRST    8u
#define BUCKETS_FIRST 2u /* most transactions see few databases */

/* ---- memory ---------------------------------------------------------------------------------- */

/* Few buckets at first: most transactions see one or two databases. A read transaction has no
 * buckets: two of its handles may mean one database. */
int states_open(struct daxkv_txn *txn)
{
	assert(!txn->bucket);
	txn->bucket = calloc(BUCKETS_FIRST, sizeof(struct dbstate *));
	txn->buckets = BUCKETS_FIRST;
	if (txn->bucket)
		return 0;
	return err_set(ENOMEM, "no memory for a transaction");
}

/* states_array - an array of room pointers. Before them lies the array that it takes the place of:
 * another thread that shares a read transaction may look there still. What is not used of it
 * is not there: entry i may be the only one that it uses. */
static struct dbstate **states_array(uint32_t room, struct dbstate **before)
{
	void **array = calloc((size_t)room + 1, sizeof *array);

	if (!array)
		return NULL;
	array[0] = before;
	return (struct dbstate **)array + 1;
}

/* arrays_free - the array, and those before it. */
static void arrays_free(struct dbstate **array)
{
	while (array) {
		struct dbstate **before = (struct dbstate **)array[-1];

		free(array - 1);
		array = before;
	}
}

/* Names are the states' own. Safe on what states_open left half-way. */
void dbi_states_free(struct daxkv_txn *txn)
{
	for (uint32_t i = 0; i < txn->room; i++) {
		if (txn->db[i])
			free(txn->db[i]->name);
		free(txn->db[i]);
	}
	arrays_free(txn->db);
	free(txn->bucket);
}

/* Only the changed ones need it: the rest is stale by generation. The handle of a transaction that
 * ended is taken for a new one. */
void states_begin(struct daxkv_txn *txn)
{
	for (struct dbstate *s = txn->changed; s; s = s->links.next_changed)
		s->links.listed = false;
	txn->changed = NULL;
}

/* state_room - a state at entry i, a stale one when it is new. ENOMEM. The array moves, the states
 * do not: pointers to them stay good. */
static int state_room(struct daxkv_txn *txn, uint32_t i)
{
	if (i >= txn->room) {
		uint32_t room = ROOM_FIRST;

		if (i >= ROOM_FIRST)
			room = 2 * i;
		struct dbstate **more = states_array(room, txn->write ? NULL : txn->db);

		if (!more)
			return err_set(ENOMEM, "no memory for %u databases of a transaction", room);
		if (txn->room)
			memcpy(more, txn->db, txn->room * sizeof(struct dbstate *));
		if (txn->write)
			arrays_free(txn->db);
		store_release(&txn->db, more);
		txn->room = room;
	}
	if (!txn->db[i]) {
		struct dbstate *s = calloc(1, sizeof *s);

		if (!s)
			return err_set(ENOMEM, "no memory for a database of a transaction");
		s->links.at = i;
		store_release(&txn->db[i], s);
	}
	if (i >= txn->ndb)
		store_release(&txn->ndb, i + 1);
	return 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* bucket_put - the state can be found by its name. The state's hash is set. */
static void bucket_put(struct daxkv_txn *txn, struct dbstate *s)
{
	assert(!s->links.named);
	struct dbstate **bucket = &txn->bucket[s->links.hash & (txn->buckets - 1)];

	s->links.next_named = *bucket;
	*bucket = s;
	s->links.named = true;
	txn->names++;
}

/* bucket_take - *at is found no more. */
static void bucket_take(struct daxkv_txn *txn, struct dbstate **at)
{
	assert((*at)->links.named);
	assert(txn->names > 0);
	(*at)->links.named = false;
	*at = (*at)->links.next_named;
	txn->names--;
}

/* buckets_double - without memory for more they are longer. Stale states are left out. */
static void buckets_double(struct daxkv_txn *txn)
{
	assert(txn->buckets < 1u << 31);
	struct dbstate **old = txn->bucket;
	struct dbstate **more;
	uint32_t n = txn->buckets;

	more = calloc(2ul * n, sizeof(struct dbstate *));
	if (!more)
		return;
	txn->bucket = more;
	txn->buckets = 2 * n;
	txn->names = 0;
	for (uint32_t i = 0; i < n; i++)
		for (struct dbstate *s = old[i], *next; s; s = next) {
			next = s->links.next_named;
			s->links.named = false;
			if (s->generation == txn->generation)
				bucket_put(txn, s);
		}
	free(old);
}

/* state_unnamed - it can be found by its name no more. It is in its bucket as long as it is named.
 */
static void state_unnamed(struct daxkv_txn *txn, struct dbstate *s)
{
	struct dbstate **at = &txn->bucket[s->links.hash & (txn->buckets - 1)];

	if (!s->links.named)
		return;
	while (*at != s)
		at = &(*at)->links.next_named;
	bucket_take(txn, at);
}

/* It may have had another name: that one is taken out first. The name's bytes are in the state
 * already. */
void dbi_state_named(struct daxkv_txn *txn, struct dbstate *s)
{
	assert(s->handle != DAXKV_MAIN);
	const struct daxkv_val name = dbi_name_val(s);

	state_unnamed(txn, s);
	if (txn->names >= txn->buckets && txn->buckets < 1u << 31)
		buckets_double(txn);
	s->links.hash = name_hash(&name);
	bucket_put(txn, s);
}

/* named_own - the transaction's own state of that name. Stale ones that are met are forgotten. */
static struct dbstate *named_own(struct daxkv_txn *txn, const struct daxkv_val *name)
{
	uint32_t hash = name_hash(name);
	struct dbstate **at = &txn->bucket[hash & (txn->buckets - 1)];

	while (*at) {
		struct dbstate *s = *at;

		if (s->generation != txn->generation)
			bucket_take(txn, at);
		else if (s->links.hash == hash && s->name_len == name->size &&
		         memcmp(s->name, name->data, name->size) == 0)
			return s;
		else
			at = &s->links.next_named;
	}
	return NULL;
}

/* ---- nested transactions --------------------------------------------------------------------- */

/* looked_at - the transaction has a state of its own there, which may be stale. */
static void looked_at(struct daxkv_txn *txn, struct dbstate *s)
{
	assert(txn->parent);
	s->links.looked = txn->generation;
	s->links.next_looked = txn->looked;
	txn->looked = s;
}

/* From the inside out: the first level that has looked there decides. NULL also where a level has
 * looked, and found that the database is not there. */
struct dbstate *dbi_state_seen(const struct daxkv_txn *txn, uint32_t i)
{
	for (; txn; txn = txn->parent) {
		struct dbstate *s = NULL;

		if (i < txn->ndb)
			s = txn->db[i];
		if (s && s->generation == txn->generation)
			return s;
		if (s && s->links.looked == txn->generation)
			return NULL;
	}
	return NULL;
}

/* state_copy - what from says, in to's own memory. ENOMEM. The links are to's own: they say where
 * it is in its transaction. */
static int state_copy(struct dbstate *to, const struct dbstate *from)
{
	assert(to != from);
	int rc = dbi_name_room(to, from->name_len);
	const struct state_links links = to->links;
	uint8_t *name = to->name;
	uint32_t room = to->name_room;

	if (rc)
		return rc;
	*to = *from;
	to->links = links;
	to->name = name;
	to->name_room = room;
	if (from->name_len)
		memcpy(name, from->name, from->name_len);
	dbi_state_link(to);
	return 0;
}

/* inherit - a nested transaction looks at entry i for the first time. What its commit needs in
 * outer ones is made now. ENOMEM. */
static int inherit(struct daxkv_txn *txn, uint32_t i)
{
	assert(txn->parent);
	const struct dbstate *from;
	struct dbstate *s = txn->db[i];
	int rc = 0;

	for (struct daxkv_txn *p = txn->parent; p; p = p->parent) {
		rc = state_room(p, i);
		if (rc)
			return rc;
	}
	from = dbi_state_seen(txn->parent, i);
	if (from)
		rc = state_copy(s, from);
	if (rc)
		return rc;
	if (from)
		s->generation = txn->generation;
	else
		s->generation = 0;
	looked_at(txn, s);
	if (from && from->handle != DAXKV_MAIN)
		dbi_state_named(txn, s);
	return 0;
}

/* A nested transaction inherits at its first look. A pointer to it holds until the transaction
 * ends. */
int dbi_state_at(struct daxkv_txn *txn, uint32_t i, struct dbstate **state)
{
	int rc = state_room(txn, i);

	if (rc)
		return rc;
	if (txn->parent && txn->db[i]->links.looked != txn->generation)
		rc = inherit(txn, i);
	if (rc)
		return rc;
	*state = txn->db[i];
	return 0;
}

/* Two handles for one database in one transaction would be two trees with one root. Outer
 * transactions' states count, when no level between has another state there. */
int dbi_twin(struct daxkv_txn *txn, const struct daxkv_val *name, struct dbstate **twin)
{
	*twin = NULL;
	for (struct daxkv_txn *p = txn; p; p = p->parent) {
		struct dbstate *s = named_own(p, name);

		if (s && dbi_state_seen(txn, s->links.at) == s)
			return dbi_state_at(txn, s->links.at, twin);
	}
	return 0;
}

/* Pointers to the states stay good: only their places change. */
void states_exchange(struct daxkv_txn *txn, uint32_t i, uint32_t j)
{
	assert(i < txn->room);
	assert(j < txn->room);
	struct dbstate *s = txn->db[i];

	txn->db[i] = txn->db[j];
	txn->db[j] = s;
	txn->db[i]->links.at = i;
	s->links.at = j;
}

/* state_give - the parent has what the child's state says, in exchange for memory for a name.
 * Nothing can fail here: memory in the parent was made when the child looked. */
static void state_give(struct daxkv_txn *parent, struct daxkv_txn *child, struct dbstate *s)
{
	assert(s->links.at < parent->room);
	struct dbstate *to = parent->db[s->links.at];

	state_unnamed(parent, to);
	const struct dbstate was = *to;

	*to = *s;
	to->links = was.links;
	dbi_state_link(to);
	if (s->generation == child->generation)
		to->generation = parent->generation;
	else
		to->generation = 0;
	s->name = was.name;
	s->name_room = was.name_room;
	s->name_len = 0;
	s->handle = 0;
	s->generation = s->version = 0;
	if (to->generation && to->handle != DAXKV_MAIN)
		dbi_state_named(parent, to);
	if (parent->parent && to->links.looked != parent->generation)
		looked_at(parent, to);
	if (to->changed)
		dbi_changed_list(parent, to);
}

/* Those that the child looked at, and no others. */
void dbi_states_give(struct daxkv_txn *parent, struct daxkv_txn *child)
{
	assert(child->parent == parent);
	for (struct dbstate *s = child->looked; s; s = s->links.next_looked)
		state_give(parent, child, s);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* Listed once in a transaction's life, however often it is changed. */
void dbi_changed_list(struct daxkv_txn *txn, struct dbstate *s)
{
	assert(txn->write);
	s->changed = true;
	if (s->links.listed)
		return;
	s->links.listed = true;
	s->links.next_changed = txn->changed;
	txn->changed = s;
}
