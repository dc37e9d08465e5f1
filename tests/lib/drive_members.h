/* SPDX-License-Identifier: BSD-3-Clause */
/* drive_members.h - what a test that is linked with the engine gives to drive.h. */
#ifndef DAXKV_TEST_DRIVE_MEMBERS_H
#define DAXKV_TEST_DRIVE_MEMBERS_H

struct daxkv_store;
struct daxkv_txn;

/* What the engine does for members of a group, without the threads that wait for each other: see
 * src/txn/txn.h. Where they are given, some nested transactions are made members instead. */
struct drive_members {
	int (*keep)(struct daxkv_txn *txn); /* it commits: its changes are the group's */
	int (*begin)(struct daxkv_store *store, struct daxkv_txn **txn); /* one more */
	void (*undo)(struct daxkv_txn *txn);
	int (*finish)(struct daxkv_store *store); /* the commit of all */
	void (*give_up)(
	    struct daxkv_store *store); /* all of it is undone, as after a failed commit */
};

#endif
