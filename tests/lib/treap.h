/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * treap.h - an immutable sorted set of pairs, for the oracle.
 *
 * A change makes new nodes along one path and shares the rest, so that a root, once taken, shows
 * the same pairs for ever. Snapshots, nested transactions and aborts are then nothing but roots
 * that are kept. Nodes and entries are counted references: a function borrows the root it is given
 * and returns one that the caller releases.
 *
 * Recursion goes as deep as the treap is high: with random priorities a small multiple of the
 * logarithm of its size, about 60 for a million pairs.
 */
#ifndef DAXKV_TEST_TREAP_H
#define DAXKV_TEST_TREAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daxkv.h"

struct rec { /* a pair */
	size_t refs, klen, vlen;
	bool is_db; /* a named database's catalog entry in the main one: its value is the engine's
	               business */
	_Alignas(8) unsigned char bytes[]; /* key, value */
};

struct rec *rec_make(const struct daxkv_val *key, const struct daxkv_val *value, bool is_db);
struct rec *rec_retain(struct rec *rec);
void rec_release(struct rec *rec);
struct daxkv_val rec_key(const struct rec *rec);
struct daxkv_val rec_value(const struct rec *rec);

/* order_keys, order_values - compare in the order of a database with these flags (enum
 * daxkv_db_flags). */
int order_keys(unsigned int flags, const struct daxkv_val *a, const struct daxkv_val *b);
int order_values(unsigned int flags, const struct daxkv_val *a, const struct daxkv_val *b);

/* order_own_keys, order_own_values - the comparators of databases with orders of their own: both
 * daxkv and the oracle call them. */
int order_own_keys(const struct daxkv_val *a, const struct daxkv_val *b, void *arg);
int order_own_values(const struct daxkv_val *a, const struct daxkv_val *b, void *arg);

enum probe_side {
	PROBE_BEFORE = -1,
	PROBE_PAIR = 0,
	PROBE_AFTER = 1
}; /* of all pairs of the key, or exactly the pair */
struct probe {
	struct daxkv_val key, value;
	enum probe_side side;
};
struct probe probe_key(const struct daxkv_val *key, enum probe_side side);
struct probe probe_rec(const struct rec *rec);

struct node;
struct node *treap_retain(struct node *root);
void treap_release(struct node *root);
size_t treap_count(const struct node *root);

/* treap_set - the set with rec in it, instead of an equal one (without DUP_SORT: of the same
 * key). */
struct node *treap_set(unsigned int flags, struct node *root, struct rec *rec);

/* treap_remove - the set without the pair at *probe. */
struct node *treap_remove(unsigned int flags, struct node *root, const struct probe *probe);

/* treap_ge, _gt, _le, _lt - the nearest pair at, after, before *probe; NULL when there is none. */
struct rec *treap_ge(unsigned int flags, const struct node *root, const struct probe *probe);
struct rec *treap_gt(unsigned int flags, const struct node *root, const struct probe *probe);
struct rec *treap_le(unsigned int flags, const struct node *root, const struct probe *probe);
struct rec *treap_lt(unsigned int flags, const struct node *root, const struct probe *probe);

/* treap_rank - how many pairs lie before *probe. treap_at - the pair with that many before it. */
size_t treap_rank(unsigned int flags, const struct node *root, const struct probe *probe);
struct rec *treap_at(const struct node *root, size_t rank);

/* treap_list - all pairs in order, treap_count() of them, borrowed, into out. */
void treap_list(const struct node *root, struct rec **out);

/* xmalloc - malloc that ends the program when there is no memory: a test has no use for going
 * on. */
void *xmalloc(size_t size);

#endif
