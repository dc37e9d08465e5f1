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

static void list_clear(struct list *list)
{
	while (list->n) {
		struct op *op = &list->op[--list->n];

		free(op->key.data);
		free(op->value.data);
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
