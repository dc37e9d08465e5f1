/* SPDX-License-Identifier: BSD-3-Clause */
/* retry.c - see retry.h */
#include "retry.h"

#include <stdlib.h>
#include <string.h>

#include "treap.h"

#define OPS_MAX 128u /* a longer transaction is not run again */

static struct list {
	struct op op[OPS_MAX];
	size_t n;
	bool whole;
} noted, plan;
static size_t next;

static void copy(struct daxkv_val *to, const struct daxkv_val *from)
{
	*to = (struct daxkv_val){from->size, NULL};
	if (!from->size || !from->data) {
		to->size = 0;
		return;
	}
	to->data = xmalloc(from->size);
	memcpy(to->data, from->data, from->size);
}

static void pairs_free(const struct op_pairs *pairs)
{
	union {
		const struct op_pairs *in;
		struct op_pairs *out;
	} p = {pairs}; /* made by pairs_copy */

	for (unsigned int i = 0; p.out && i < p.out->n; i++) {
		free(p.out->key[i].data);
		free(p.out->value[i].data);
	}
	free(p.out);
}

static struct op_pairs *pairs_copy(const struct op_pairs *from)
{
	struct op_pairs *to = xmalloc(sizeof *to);

	to->n = from->n;
	for (unsigned int i = 0; i < from->n; i++) {
		copy(&to->key[i], &from->key[i]);
		copy(&to->value[i], &from->value[i]);
	}
	return to;
}

static void list_clear(struct list *list)
{
	while (list->n) {
		struct op *op = &list->op[--list->n];

		free(op->key.data);
		free(op->value.data);
		pairs_free(op->pairs);
	}
	list->whole = false;
}

void retry_note(const struct op *op, bool outermost_begin)
{
	struct op *kept;

	if (outermost_begin) {
		list_clear(&noted);
		noted.whole = true;
	}
	if (!noted.whole || op->txn)
		return;
	if (noted.n == OPS_MAX || op->value.size > 65536) {
		list_clear(&noted);
		return;
	}
	kept = &noted.op[noted.n++];
	*kept = *op;
	copy(&kept->key, &op->key);
	copy(&kept->value, &op->value);
	if (op->pairs)
		kept->pairs = pairs_copy(op->pairs);
}

void retry_plan(bool yes)
{
	list_clear(&plan);
	next = 0;
	if (yes) {
		plan = noted;
		noted.n = 0;
	}
	list_clear(&noted);
}

bool retry_next(struct op *op)
{
	if (next == plan.n)
		return false;
	*op = plan.op[next++];
	return true;
}
