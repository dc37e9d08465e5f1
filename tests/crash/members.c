/* SPDX-License-Identifier: BSD-3-Clause */
/* members.c - see members.h */
#include "members.h"

#include "txn/group.h"
#include "txn/txn.h"

struct member_counts member_counts;

static int keep(struct daxkv_txn *txn)
{
	member_counts.kept++;
	return member_keep(txn);
}

static void undo(struct daxkv_txn *txn)
{
	member_counts.undone++;
	undo_nested(txn);
}

static int finish(struct daxkv_store *store)
{
	member_counts.groups++;
	return group_finish(store);
}

static void give_up(struct daxkv_store *store)
{
	struct daxkv_txn *root = store->group.root;

	member_counts.given_up++;
	while (root->child) {
		struct daxkv_txn *txn = root->child;

		while (txn->child)
			txn = txn->child;
		undo_nested(txn);
	}
	store->group.root = NULL;
	daxkv_txn_abort(root);
}

const struct drive_members members = {
    .keep = keep, .begin = member_begin, .undo = undo, .finish = finish, .give_up = give_up};
