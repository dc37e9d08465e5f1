/* SPDX-License-Identifier: BSD-3-Clause */
/* open_lazy.c - what opening a store has to do with lazy commits. See open.h */
#include "api/open.h"
#include "redo/recover.h"
#include "shm/share.h"

#define LAZY_BYTES ((uint64_t)256 << 20)
#define LAZY_MS    30000u

int lazy_left(const struct daxkv_store *store, uint64_t *txn, bool *left)
{
	uint64_t newest = *txn;

	*left = false;
	if (store->lock.fd < 0)
		return 0;
	if (!store->lock.alone)
		return 0;
	if (store->lock.passive)
		return 0;
	int rc =
	    share_left(store->lock.fd, store->map.fd, store->geometry.file_id, *txn, left, &newest);
	if (!rc && *left)
		*txn = newest;
	return rc;
}

/* In an interval all words that its first commit had are in the page cache [R3]. */
int lazy_in_place(const struct daxkv_store *store, uint64_t txn, bool *in_place)
{
	uint64_t shown = txn, newest = txn;
	bool left;
	int rc = lazy_left(store, &newest, &left);

	*in_place = false;
	if (!rc && left)
		rc = recover_in_place(&store->ring, in_place, &shown);
	*in_place = *in_place && shown == txn;
	return rc;
}

void lazy_options(struct daxkv_store *store, const struct daxkv_options *o)
{
	store->may_lazy =
	    store->map.medium == DAXKV_MEDIUM_FILE && !store->read_only && !store->external_lock;
	store->lazy = store->may_lazy && o->durability == DAXKV_LAZY;
	store->lazy_bounds = (struct lazy_bounds){
	    .bytes = o->lazy_bytes ? o->lazy_bytes : LAZY_BYTES,
	    .commits = o->lazy_commits ? o->lazy_commits : UINT64_MAX,
	    .ms = o->lazy_ms ? o->lazy_ms : LAZY_MS,
	};
}
