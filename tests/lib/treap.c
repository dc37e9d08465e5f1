/* SPDX-License-Identifier: BSD-3-Clause */
#include "treap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

struct node {
	size_t refs, count;
	uint64_t priority;
	struct rec *rec;
	struct node *left, *right;
};

void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p) {
		fprintf(stderr, "out of memory: %zu bytes\n", size);
		exit(2);
	}
	return p;
}

/* ---- pairs ----------------------------------------------------------------------------------- */

struct rec *rec_make(const struct daxkv_val *key, const struct daxkv_val *value, bool is_db)
{
	struct rec *rec = xmalloc(sizeof(*rec) + key->size + value->size);

	*rec = (struct rec){.refs = 1, .klen = key->size, .vlen = value->size, .is_db = is_db};
	memcpy(rec->bytes, key->data, key->size);
	if (value->size)
		memcpy(rec->bytes + key->size, value->data, value->size);
	return rec;
}

struct rec *rec_retain(struct rec *rec)
{
	if (rec)
		rec->refs++;
	return rec;
}

void rec_release(struct rec *rec)
{
	if (rec && --rec->refs == 0)
		free(rec);
}

/* Outputs are struct daxkv_val, whose data is not const; nobody writes through them. */
struct daxkv_val rec_key(const struct rec *rec)
{
	return (struct daxkv_val){rec->klen, (void *)(uintptr_t)rec->bytes};
}

struct daxkv_val rec_value(const struct rec *rec)
{
	return (struct daxkv_val){rec->vlen, (void *)(uintptr_t)(rec->bytes + rec->klen)};
}

/* ---- orders ---------------------------------------------------------------------------------- */

static int bytes_compare(const struct daxkv_val *a, const struct daxkv_val *b)
{
	size_t n = a->size < b->size ? a->size : b->size;
	int c = n ? memcmp(a->data, b->data, n) : 0;

	return c ? c : (a->size > b->size) - (a->size < b->size);
}

static int reverse_compare(const struct daxkv_val *a, const struct daxkv_val *b)
{
	const unsigned char *x = (const unsigned char *)a->data + a->size,
	                    *y = (const unsigned char *)b->data + b->size;
	size_t n = a->size < b->size ? a->size : b->size;

	while (n--) {
		if (*--x != *--y)
			return *x < *y ? -1 : 1;
	}
	return (a->size > b->size) - (a->size < b->size);
}

static uint64_t integer_value(const struct daxkv_val *v)
{
	uint32_t four;
	uint64_t eight;

	if (v->size == sizeof(four)) {
		memcpy(&four, v->data, sizeof(four));
		return four;
	}
	memcpy(&eight, v->data, sizeof(eight));
	return eight;
}

static int integer_compare(const struct daxkv_val *a, const struct daxkv_val *b)
{
	uint64_t x = integer_value(a), y = integer_value(b);

	return (x > y) - (x < y);
}

int order_own_keys(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return bytes_compare(b, a);
}

int order_own_values(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	return bytes_compare(b, a);
}

int order_keys(unsigned int flags, const struct daxkv_val *a, const struct daxkv_val *b)
{
	if (flags & DAXKV_OWN_COMPARE)
		return order_own_keys(a, b, NULL);
	if (flags & DAXKV_INTEGER_KEY)
		return integer_compare(a, b);
	return flags & DAXKV_REVERSE_KEY ? reverse_compare(a, b) : bytes_compare(a, b);
}

int order_values(unsigned int flags, const struct daxkv_val *a, const struct daxkv_val *b)
{
	if (flags & DAXKV_OWN_DUP_COMPARE)
		return order_own_values(a, b, NULL);
	if (flags & DAXKV_INTEGER_DUP)
		return integer_compare(a, b);
	return flags & DAXKV_REVERSE_DUP ? reverse_compare(a, b) : bytes_compare(a, b);
}

struct probe probe_key(const struct daxkv_val *key, enum probe_side side)
{
	return (struct probe){.key = *key, .side = side};
}

struct probe probe_rec(const struct rec *rec)
{
	return (struct probe){.key = rec_key(rec), .value = rec_value(rec), .side = PROBE_PAIR};
}

/* probe_compare - where rec lies, seen from *probe. */
static int probe_compare(unsigned int flags, const struct rec *rec, const struct probe *probe)
{
	struct daxkv_val key = rec_key(rec), value;
	int c = order_keys(flags, &key, &probe->key);

	if (c)
		return c;
	if (probe->side != PROBE_PAIR)
		return -(int)probe->side;
	if (!(flags & DAXKV_DUP_SORT))
		return 0;
	value = rec_value(rec);
	return order_values(flags, &value, &probe->value);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

struct node *treap_retain(struct node *root)
{
	if (root)
		root->refs++;
	return root;
}

void treap_release(struct node *root)
{
	if (!root || --root->refs)
		return;
	treap_release(root->left);
	treap_release(root->right);
	rec_release(root->rec);
	free(root);
}

size_t treap_count(const struct node *root)
{
	return root ? root->count : 0;
}

/* node_make - a node that takes over the references left and right. */
static struct node *node_make(struct rec *rec, uint64_t priority, struct node *left,
                              struct node *right)
{
	struct node *node = xmalloc(sizeof(*node));

	*node = (struct node){.refs = 1,
	                      .count = 1 + treap_count(left) + treap_count(right),
	                      .priority = priority,
	                      .rec = rec_retain(rec),
	                      .left = left,
	                      .right = right};
	return node;
}

static void node_split(unsigned int flags, struct node *root, const struct probe *probe,
                       struct node **left, struct node **right)
{
	struct node *part;

	if (!root) {
		*left = *right = NULL;
	} else if (probe_compare(flags, root->rec, probe) < 0) {
		node_split(flags, root->right, probe, &part, right);
		*left = node_make(root->rec, root->priority, treap_retain(root->left), part);
	} else {
		node_split(flags, root->left, probe, left, &part);
		*right = node_make(root->rec, root->priority, part, treap_retain(root->right));
	}
}

static struct node *node_join(struct node *left, struct node *right)
{
	if (!left || !right)
		return treap_retain(left ? left : right);
	if (left->priority > right->priority)
		return node_make(left->rec, left->priority, treap_retain(left->left),
		                 node_join(left->right, right));
	return node_make(right->rec, right->priority, node_join(left, right->left),
	                 treap_retain(right->right));
}

static struct node *node_replace(unsigned int flags, struct node *root, struct rec *rec,
                                 const struct probe *probe)
{
	int c = probe_compare(flags, root->rec, probe);

	if (c == 0)
		return node_make(rec, root->priority, treap_retain(root->left),
		                 treap_retain(root->right));
	if (c < 0)
		return node_make(root->rec, root->priority, treap_retain(root->left),
		                 node_replace(flags, root->right, rec, probe));
	return node_make(root->rec, root->priority, node_replace(flags, root->left, rec, probe),
	                 treap_retain(root->right));
}

static struct node *node_insert(unsigned int flags, struct node *root, struct rec *rec,
                                const struct probe *probe, uint64_t priority)
{
	struct node *left, *right;

	if (!root || priority > root->priority) {
		node_split(flags, root, probe, &left, &right);
		return node_make(rec, priority, left, right);
	}
	if (probe_compare(flags, root->rec, probe) < 0)
		return node_make(root->rec, root->priority, treap_retain(root->left),
		                 node_insert(flags, root->right, rec, probe, priority));
	return node_make(root->rec, root->priority,
	                 node_insert(flags, root->left, rec, probe, priority),
	                 treap_retain(root->right));
}

struct node *treap_set(unsigned int flags, struct node *root, struct rec *rec)
{
	static uint64_t
	    made; /* priorities shape the treap and nothing else: results do not depend on them */
	struct probe probe = probe_rec(rec);
	struct rec *there = treap_ge(flags, root, &probe);

	if (there && probe_compare(flags, there, &probe) == 0)
		return node_replace(flags, root, rec, &probe);
	return node_insert(flags, root, rec, &probe, rng_mix(++made * 0x9e3779b97f4a7c15u));
}

struct node *treap_remove(unsigned int flags, struct node *root, const struct probe *probe)
{
	int c;

	if (!root)
		return NULL;
	c = probe_compare(flags, root->rec, probe);
	if (c == 0)
		return node_join(root->left, root->right);
	if (c < 0)
		return node_make(root->rec, root->priority, treap_retain(root->left),
		                 treap_remove(flags, root->right, probe));
	return node_make(root->rec, root->priority, treap_remove(flags, root->left, probe),
	                 treap_retain(root->right));
}

/* ---- searches -------------------------------------------------------------------------------- */

/* first_above - the first pair whose comparison with *probe is at least least. */
static struct rec *first_above(unsigned int flags, const struct node *node,
                               const struct probe *probe, int least)
{
	struct rec *found = NULL;

	while (node) {
		int c = probe_compare(flags, node->rec, probe);

		if (c > 0 || (c == 0 && least == 0)) {
			found = node->rec;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return found;
}

static struct rec *last_below(unsigned int flags, const struct node *node,
                              const struct probe *probe, int most)
{
	struct rec *found = NULL;

	while (node) {
		int c = probe_compare(flags, node->rec, probe);

		if (c < 0 || (c == 0 && most == 0)) {
			found = node->rec;
			node = node->right;
		} else {
			node = node->left;
		}
	}
	return found;
}

struct rec *treap_ge(unsigned int flags, const struct node *root, const struct probe *probe)
{
	return first_above(flags, root, probe, 0);
}

struct rec *treap_gt(unsigned int flags, const struct node *root, const struct probe *probe)
{
	return first_above(flags, root, probe, 1);
}

struct rec *treap_le(unsigned int flags, const struct node *root, const struct probe *probe)
{
	return last_below(flags, root, probe, 0);
}

struct rec *treap_lt(unsigned int flags, const struct node *root, const struct probe *probe)
{
	return last_below(flags, root, probe, -1);
}

size_t treap_rank(unsigned int flags, const struct node *root, const struct probe *probe)
{
	size_t rank = 0;

	while (root) {
		if (probe_compare(flags, root->rec, probe) < 0) {
			rank += 1 + treap_count(root->left);
			root = root->right;
		} else {
			root = root->left;
		}
	}
	return rank;
}

struct rec *treap_at(const struct node *root, size_t rank)
{
	while (root) {
		size_t left = treap_count(root->left);

		if (rank == left)
			return root->rec;
		if (rank < left) {
			root = root->left;
		} else {
			rank -= left + 1;
			root = root->right;
		}
	}
	return NULL;
}

void treap_list(const struct node *root, struct rec **out)
{
	if (!root)
		return;
	treap_list(root->left, out);
	out[treap_count(root->left)] = root->rec;
	treap_list(root->right, out + treap_count(root->left) + 1);
}
