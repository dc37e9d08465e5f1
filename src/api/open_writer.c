/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open_writer.c - opening, step 5: what a handle needs to write. See open.c
 *
 * The free space, the set of changed pages and the scratch memory of the trees belong to the
 * handle, and are used by whoever has the writer's lock. space.h stands below transactions and
 * readers, so what it has to ask of them comes to it as functions: which reader is the oldest,
 * which entries are of dead processes, how a checkpoint is made. Each is called by the writer, with
 * its lock held.
 */
#include "api/open.h"
#include "txn/commit.h"
#include "txn/passive.h"
#include "txn/reader_limit.h"

#define PASSIVE_COST 16u /* of asking for passive readers, in entries looked at */

/* oldest_reader - for space: no reader of any process is older. Passive ones are asked for last,
 * because they cost two system calls. The writer's lock is held. Limbo items that are younger than
 * all readers of the share cannot go anyway, so then nobody else is asked. */
static uint64_t oldest_reader(void *arg)
{
	struct daxkv_store *store = arg;
	uint64_t looked = store->oldest.looked;
	uint64_t oldest = share_oldest(store->share, &store->oldest);

	store->space.scanned += store->oldest.looked - looked;
	if (store->share_file.fd < 0)
		return oldest;
	if (limbo_oldest(&store->space.limbo) > oldest)
		return oldest;
	store->space.scanned += PASSIVE_COST;
	return passive_oldest(store, oldest);
}

/* reap - for space: entries of dead readers hold pages back. */
static void reap(void *arg)
{
	(void)daxkv_readers_reap(arg);
}

/* released - for space: so many items of the limbo are free, in the lock file, too. A process that
 * takes the store over reads the limbo there. */
static void released(void *arg, uint64_t items)
{
	share_limbo_drop(&((struct daxkv_store *)arg)->share_file, items);
}

/* checkpoint - for space: makes pages releasable that only recovery still needs [R3]. */
static int checkpoint(void *arg)
{
	struct daxkv_store *store = arg;

	return commit_lazy_space(store);
}

int open_writer(struct daxkv_store *store, uint64_t txn)
{
	assert(!store->read_only);
	assert(store->share);
	const struct fmt_super *super = store_super(store);
	int rc = space_open(&store->space, &store->map, store->page_size, load_word(&super->size));

	store->space.oldest_reader = oldest_reader;
	store->space.checkpoint = checkpoint;
	store->space.arg = store;
	store->space.reap = reap;
	store->space.reader_limit = reader_limit_apply;
	store->space.released = released;
	store->space.releasable = txn;
	if (store->joined || store->left)
		store->known = UINT64_MAX;
	else
		store->known = txn;
	if (rc)
		return rc;
	rc = wset_open(&store->wset, &store->map, &store->space, store->page_size);
	if (rc)
		return rc;
	store->wset.whole_words = store->map.medium == DAXKV_MEDIUM_FILE;
	rc = tree_scratch_open(&store->scratch, store->page_size);
	store->writer_view = (struct view){
	    .map = &store->map,
	    .base = store->map.base,
	    .size = &store->map.size,
	    .psize = store->page_size,
	    .w = &store->wset,
	};
	return rc;
}
