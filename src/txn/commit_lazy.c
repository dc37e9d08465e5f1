/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit_lazy.c - commits that are visible at once and durable at the next sync. See commit.h,
 * docs/DESIGN.md, 13 (Lazy commits)
 *
 *   commit   1 pages that S reaches give way to copies, never to words        [L1]
 *            2 the words' record, into the share's ring: for who takes over   [L5]
 *            3 store the words: in pages born since S, and the shadow superblock [L2]
 *            4 publish
 *   sync     1 FENCE: all pages born since S
 *            2 what S has, and the newest commit has not, goes to the limbo   [L3]
 *            3 a record in the file's ring: the superblock's words; FENCE     [L4]
 *            4 store them; publish; S is this commit now
 *
 * S is the last commit that the file's superblock and ring lead to. Nothing that it reaches is
 * changed while the interval is open, so a crash at any moment before the second fence finds S,
 * whatever the kernel wrote back of the rest. The record of a sync needs no other one: its
 * durable_upto is its own number less one. It lies in the place behind that of S, so it is the
 * one that recovery erases when it is torn [I5]; that is why numbers leave some out.
 */
#include "base/err.h"
#include "txn/commit.h"
#include "txn/store.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SYNC_WORDS     30u /* that fit a record without ranges */
#define SYNC_OTHERS    3u  /* of them, that are not of directories */
#define LIMBO_SPARE    2u  /* items in memory that a sync needs at least */
#define NUMBERS_BEHIND 1u  /* of a sync, behind S, modulo the ring */

static_assert((FMT_RING_RECORD / FMT_WORD - FMT_REC_HEAD) / 2 >= SYNC_WORDS, "a sync's record");
static_assert(SHARE_LAZY_SUPER == FMT_SUPER_SIZE, "the shadow superblock");
static_assert(SHARE_LAZY_RING == FMT_RING_RECORD * FMT_RING_RECORDS, "the share's ring");

/* lazy_damaged - CORRUPT: what the lock file says of lazy commits cannot be. Nobody writes any
 * more, and who opens the store next believes the file alone. */
static int lazy_damaged(const struct daxkv_store *store)
{
	__atomic_store_n(&store->share->panic, EUCLEAN, __ATOMIC_SEQ_CST);
	return err_set(
	    DAXKV_CORRUPT,
	    "%s is damaged, in commits that are not synced: the store is whole, when all "
	    "have closed it",
	    store->lock.name);
}

void commit_lazy_attach(struct daxkv_store *store)
{
	store->lazy_map = (struct map){
	    .fd = -1,
	    .base = store->share_file.lazy,
	    .size = SHARE_LAZY,
	    .pm = {.ops = &pm_private_ops, .fd = -1},
	};
	store->lazy_ring = (struct ring){
	    .map = &store->lazy_map,
	    .file_id = store->geometry.file_id,
	    .off = SHARE_LAZY_SUPER,
	};
}

/* mark_lost - this handle knows of an interval, and the lock file says that there is none. */
static bool mark_lost(const struct daxkv_store *store)
{
	return store->space.shadow && !store_lazy(store);
}

/* synced_sound - the number of S is part of the shadow's sum. Another one would have pages of S
 * changed that the interval must leave alone [L1]. Looked at once in an interval. CORRUPT. */
static int synced_sound(struct daxkv_store *store)
{
	const uint64_t synced = store->share->interval.synced;
	struct fmt_super shadow;

	if (LIKELY(synced == store->lazy_synced))
		return 0;
	commit_shadow_copy(store, &shadow);
	if (synced > store->known || !commit_shadow_sound(store, &shadow, store->known))
		return lazy_damaged(store);
	store->lazy_synced = synced;
	return 0;
}

/* ---- beginning ------------------------------------------------------------------------------- */

/* sync_number - what a sync is called: at least the newest commit, and in the place of the ring
 * behind that of S. */
static uint64_t sync_number(const struct daxkv_store *store)
{
	const uint64_t want = store->share->interval.synced + NUMBERS_BEHIND;

	return store->known + ((want - store->known) & (FMT_RING_RECORDS - 1));
}

/* Before an interval can begin the words of S have to be durable in place: then nothing that S
 * freed is needed any more [R3], and recovery finds S without them. */
int commit_lazy_begin(struct daxkv_store *store, bool lazy)
{
	const bool open = store_lazy(store);
	const struct share *share = store->share;
	int rc = 0;

	assert(store->wset.n == 0);
	store->lazy_txn = lazy;
	if (store->wset.first) /* it has found one open */
		return 0;
	if (mark_lost(store))
		return lazy_damaged(store);
	if (!open && (share->releasable < store->known || store->durable + 1 < store->known))
		rc = commit_checkpoint(store);
	if (open)
		rc = synced_sound(store);
	if (rc)
		return rc;
	rc = space_keep(&store->space, open ? (const void *)store->share_file.lazy : NULL);
	if (rc)
		return rc;
	store->wset.first = commit_synced(store) + 1;
	/* one behind the sync that may come before it, when it is short of space */
	if (open)
		store->wset.txn = sync_number(store) + 1;
	return 0;
}

/* ---- committing ------------------------------------------------------------------------------ */

/* interval_open - S is the newest commit; its superblock becomes the shadow. */
static void interval_open(struct daxkv_store *store)
{
	struct share_interval *iv = &store->share->interval;

	assert(!store_lazy(store));
	assert(store->share->releasable >= store->known);
	store_relaxed(&iv->synced, store->known);
	store->lazy_synced = store->known;
	iv->limbo_mark = 0;
	share_names(store->map.fd, &iv->boot, &iv->device, &iv->inode);
	store_relaxed(&iv->commits, 0);
	store_relaxed(&iv->bytes, 0);
	store_relaxed(&iv->since_ms, (uint64_t)clock_ms());
	commit_shadow_begin(store);
	/* Pairs with store_super. */
	store_release(&store->share->lazy, store->share_file.lazy_mark);
	store->space.shadow = (const void *)store->share_file.lazy;
}

/* dirs_differ - how many directory words a sync after the running commit would have. */
static size_t dirs_differ(const struct daxkv_store *store)
{
	const struct fmt_super *now = store_super(store);
	const struct fmt_super *file = (const void *)store->map.base;
	size_t n = 0;

	for (size_t i = 0; i < FMT_DIR_WORDS; i++)
		n += load_word(&now->dir[i]) != load_word(&file->dir[i]);
	for (size_t i = 0; i < store->space.grown.n; i++)
		n += store->space.grown.w[i].off < FMT_SUPER_SIZE;
	return n;
}

/* interval_leave - the running transaction goes on as a durable one; it has found none open. What
 * the file grew by is made durable, if no sync has done that. PANIC. */
static int interval_leave(struct daxkv_store *store)
{
	int rc = 0;

	/* Orders: the file's length and empty bitmaps, before a record that refers to them [I11].
	 */
	if (store->map.unsettled)
		rc = commit_fence(store, "growing");
	store->map.unsettled = false;
	space_keep_end(&store->space);
	store->wset.first = 0;
	return rc;
}

/* words_moved - what the commit is to change of space is put elsewhere. Where the superblock's
 * words would be too many for a sync the interval ends. */
static int words_moved(struct daxkv_store *store)
{
	int rc = space_keep_words(&store->space);

	if (rc)
		return rc;
	if (!store->space.moved)
		return 0;
	if (dirs_differ(store) + SYNC_OTHERS <= SYNC_WORDS)
		return 0;
	if (store_lazy(store))
		return commit_sync(store);
	return interval_leave(store);
}

/* words_list - the words of space behind the own ones. */
static int words_list(struct daxkv_store *store, size_t own)
{
	int rc = 0;

	store->words.n = own;
	if (store->wset.first)
		rc = words_moved(store);
	if (rc)
		return rc;
	return space_words(&store->space, &store->words);
}

/* words_spill - pages for the words, of which own are not of space; to take them may change those
 * of space. */
static int words_spill(struct daxkv_store *store, size_t own, uint64_t **page, uint64_t *npages)
{
	const uint64_t room = commit_spill_room(store->page_size);
	struct words *words = &store->words;
	int rc = 0;

	while (!rc && *npages * room < words->n) {
		rc = commit_spill_take(store, npages, words->n / room + 1, page);
		if (!rc)
			rc = words_list(store, own);
	}
	return rc;
}

/* word_store - a word of a lazy commit: of the superblock's into the shadow [L2]. */
static void word_store(struct daxkv_store *store, struct map *map, uint64_t off, uint64_t value)
{
	if (off < FMT_SUPER_SIZE)
		store_release(shadow_word(store, off / FMT_WORD), value);
	else
		pm_store8(&map->pm, (const uint64_t *)(const void *)(map->base + off), value);
}

/* pages_taken - by the running transaction. */
static uint64_t pages_taken(const struct space *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->nops; i++)
		if (s->op[i].kind == SPACE_TAKEN || s->op[i].kind == SPACE_SPILL)
			n += s->op[i].pages;
	return n;
}

/* lazy_store - steps 3 and 4. What is freed of pages born since S waits for readers only [L3]. */
static void lazy_store(struct daxkv_store *store)
{
	struct share_interval *iv = &store->share->interval;
	const uint64_t txn = store->wset.txn;

	for (size_t i = 0; i < store->words.n; i++)
		word_store(store, &store->map, store->words.w[i].off, store->words.w[i].value);
	store->words_txn = 0;
	if (store->space.gained)
		commit_count_keep(store);
	store_relaxed(&iv->commits, iv->commits + 1);
	store_relaxed(&iv->bytes, iv->bytes + pages_taken(&store->space) * store->page_size);
	space_committed(&store->space, txn);
	store->space.releasable = store->share->releasable = txn;
	store->known = txn;
	store_release(&store->share->size, store->space.end);
	store_relaxed(&store->commits, store->commits + 1);
	store_seq_cst(&store->share->published, txn);
}

/* record_write - step 2. A share in this process's memory dies with it: nobody takes over. */
static void record_write(struct daxkv_store *store, const uint64_t *page, uint64_t npages)
{
	const struct words *words = &store->words;
	const uint64_t txn = store->wset.txn;

	if (store->share_file.fd < 0)
		return;
	if (!npages) {
		ring_write(&store->lazy_ring, txn, txn - 1, NULL, 0, words->w, words->n);
		return;
	}
	const uint32_t crc = commit_spill_write(store, words, page, npages);

	ring_write_spilled(&store->lazy_ring, txn, txn - 1, page[0], words->n, crc);
}

/* words_room - the words, with pages for them where another process may need them. A lazy commit
 * takes more pages than a durable one: where there is no room for these the interval ends. */
static int words_room(struct daxkv_store *store, size_t own, size_t ranges, uint64_t **page,
                      uint64_t *npages)
{
	int rc = words_list(store, own);

	if (!rc && store->words.n + ranges > 0)
		rc = share_lazy_room(&store->share_file);
	if (!rc && store->share_file.fd >= 0 && !ring_fits(0, store->words.n))
		rc = words_spill(store, own, page, npages);
	if (rc && space_no_room(rc))
		return store->wset.first ? commit_lazy_space(store) : 0;
	return rc;
}

/* sync_room - before a durable commit is seen: its sync, which follows, will have room in memory
 * and in the lock file for what it frees, in one item if need be. Else the commit is not made, and
 * nothing is lost. Its own items are staged. */
static int sync_room(struct daxkv_store *store)
{
	int rc = limbo_reserve(&store->space.limbo, store->space.nops + 1 + LIMBO_SPARE);

	if (!rc)
		rc = share_limbo_room(&store->share_file);
	if (rc)
		(void)share_limbo_cut(&store->share_file, store->known);
	return rc;
}

int commit_lazy(struct daxkv_store *store, size_t ranges, bool *done)
{
	const size_t own = store->words.n;
	uint64_t *page = NULL;
	uint64_t npages = 0;
	int rc = words_room(store, own, ranges, &page, &npages);

	*done = store->wset.first && store->words.n + ranges > 0;
	if (!rc && *done)
		rc = commit_stage_limbo(store);
	if (!rc && *done && !store->lazy_txn)
		rc = sync_room(store);
	if (!rc && *done && mark_lost(store))
		rc = lazy_damaged(store);
	if (!rc && *done) {
		if (!store->lazy_map.base)
			commit_lazy_attach(store);
		if (!store_lazy(store))
			interval_open(store);
		commit_shadow_note(store);
		record_write(store, page, npages);
		lazy_store(store);
	} else {
		store->words.n = own;
	}
	free(page);
	return rc;
}

/* ---- sync ------------------------------------------------------------------------------------ */

struct kept { /* what S has and the newest commit has not */
	struct daxkv_store *store;
	const struct fmt_super *shadow; /* a copy, which was judged */
	uint64_t txn;
	size_t n;            /* extents */
	uint64_t first, end; /* what they span, in bytes of the file */
	bool coarse;         /* one item stands for all of them */
};

/* kept_count, kept_stage, kept_wait - for space_each_kept: an extent is counted, goes to the limbo
 * in the lock file, and to this process's. */
static int kept_count(void *arg, uint64_t off, uint64_t pages)
{
	struct kept *k = arg;

	if (!k->n++)
		k->first = off;
	k->end = off + pages * k->store->page_size;
	return 0;
}

static int kept_stage(void *arg, uint64_t off, uint64_t pages)
{
	const struct kept *k = arg;

	return share_limbo_add(&k->store->share_file, &(struct limbo_item){k->txn, off, pages});
}

static int kept_wait(void *arg, uint64_t off, uint64_t pages)
{
	const struct kept *k = arg;

	limbo_add(&k->store->space.limbo, k->txn, off, pages);
	return 0;
}

/* kept_each - for each extent, or for the coarse one. */
static int kept_each(struct kept *k, int (*give)(void *arg, uint64_t off, uint64_t pages))
{
	struct daxkv_store *store = k->store;

	if (k->coarse)
		return give(k, k->first, (k->end - k->first) / store->page_size | LIMBO_COARSE);
	return space_each_kept(&store->space, k->shadow, give, k);
}

/* kept_stage_all - all of them or none. */
static int kept_stage_all(struct kept *k)
{
	struct daxkv_store *store = k->store;
	const uint64_t next = store->share->limbo_next;
	int rc = kept_each(k, kept_stage);

	if (rc)
		(void)share_limbo_back(&store->share_file, next);
	return rc;
}

/* kept_give - step 2: other processes are told before the record can take effect [I15]. Where there
 * is no memory for all extents, or the lock file cannot grow, one item stands for them. */
static int kept_give(struct kept *k)
{
	struct daxkv_store *store = k->store;
	struct share_interval *iv = &store->share->interval;
	int rc = kept_each(k, kept_count);

	if (rc)
		return rc;
	if (!k->n)
		return 0;
	k->coarse = limbo_reserve(&store->space.limbo, k->n + 1) != 0;
	if (k->coarse)
		rc = limbo_reserve(&store->space.limbo, LIMBO_SPARE);
	if (rc)
		return rc;
	store_release(&iv->limbo_mark, store->share->limbo_next + 1);
	rc = kept_stage_all(k);
	if (rc && rc != DAXKV_CORRUPT) {
		space_release(&store->space);
		k->coarse = true;
		rc = kept_stage_all(k);
	}
	if (rc)
		store_release(&iv->limbo_mark, 0);
	return rc;
}

/* shadow_sound - what is to become the file's superblock can be one: others may write into the lock
 * file, and their bytes must not come into the store's. s is a copy, because they may do so while
 * the sync waits. CORRUPT. */
static int shadow_sound(struct daxkv_store *store, const struct fmt_super *s)
{
	const uint64_t size = load_word(&s->size);
	const uint64_t desc = load_word(&s->main_desc);
	const uint64_t page = store->page_size;
	bool sound = size % page == 0 && desc % page == 0 && desc && desc < size;
	size_t differ = 0;

	for (size_t i = SUPER_FIRST; i < SUPER_WORDS; i++)
		differ += super_word(s, i) != load_word(file_word(store, i));
	for (size_t i = 0; sound && i < FMT_DIR_WORDS; i++)
		sound = load_word(&s->dir[i]) % page == 0 && load_word(&s->dir[i]) < size;
	if (!sound || differ > SYNC_WORDS || !commit_shadow_sound(store, s, store->known))
		return lazy_damaged(store);
	if (size > load_word(&store->map.size)) {
		int rc = map_extend(&store->map, size);

		if (rc)
			return rc;
	}
	const struct fmt_page *p = (const void *)(store->map.base + desc);

	return p->type == FMT_DESC ? 0 : lazy_damaged(store);
}

/* sync_words - the words that make the file's superblock the shadow; how many. */
static size_t sync_words(const struct daxkv_store *store, const struct fmt_super *shadow,
                         struct ring_word *w)
{
	size_t n = 0;

	for (size_t i = SUPER_FIRST; i < SUPER_WORDS; i++) {
		const uint64_t value = super_word(shadow, i);

		if (value == load_word(file_word(store, i)))
			continue;
		assert(n < SYNC_WORDS);
		w[n++] = (struct ring_word){i * FMT_WORD, value};
	}
	return n;
}

/* sync_end - step 4. What the sync freed is reusable: its record is durable, and when it is
 * replayed its words go to the superblock alone, never into a page [R3]. It is found by the file's
 * superblock as S has it, so before that is changed. */
static void sync_end(struct kept *k, const struct ring_word *w, size_t n)
{
	struct daxkv_store *store = k->store;

	if (k->n)
		(void)kept_each(k, kept_wait);
	for (size_t i = 0; i < n; i++)
		pm_store8(&store->map.pm, file_word(store, w[i].off / FMT_WORD), w[i].value);
}

/* interval_close - the sync is done: the file's superblock is the store's. */
static void interval_close(struct daxkv_store *store, uint64_t txn)
{
	store->words_txn = 0;
	store->durable = txn - 1;
	store->space.releasable = store->share->releasable = txn;
	store->known = txn;
	store_seq_cst(&store->share->published, txn);
	/* Pairs with store_super. */
	store_release(&store->share->lazy, 0);
	store_release(&store->share->interval.limbo_mark, 0);
	(void)interval_leave(store); /* the sync has settled what the file grew by */
}

int commit_sync(struct daxkv_store *store)
{
	struct fmt_super shadow;
	struct kept k = {.store = store, .shadow = &shadow, .txn = sync_number(store)};
	struct ring_word w[SYNC_WORDS];

	assert(store_lazy(store));
	commit_shadow_copy(store, &shadow);
	int rc = shadow_sound(store, &shadow);
	if (rc)
		return rc;
	/* Orders: all pages born since S, before the record that makes them reachable [L4]. */
	rc = commit_fence(store, "syncing");
	if (rc)
		return rc;
	store->map.unsettled = false;
	rc = kept_give(&k);
	if (rc)
		return rc;
	const size_t n = sync_words(store, &shadow, w);

	ring_write(&store->ring, k.txn, k.txn - 1, NULL, 0, w, n);
	/* Orders: the record, before the superblock's words in place, and before a page that S had
	 * is written [L3] [L4]. */
	rc = commit_fence(store, "syncing");
	if (rc)
		return rc;
	sync_end(&k, w, n);
	interval_close(store, k.txn);
	map_touch(&store->map);
	return 0;
}

/* reached - whether the interval has come to a bound. */
static bool reached(const struct daxkv_store *store)
{
	const struct share_interval *iv = &store->share->interval;
	const struct lazy_bounds *b = &store->lazy_bounds;

	if (iv->bytes >= b->bytes)
		return true;
	if (iv->commits >= b->commits)
		return true;
	return (uint64_t)clock_ms() - iv->since_ms >= b->ms;
}

/* sync_failed - the commit is seen, and its sync failed. One that may stay lazy does, and the next
 * commit tries again. A durable one, which has made sure of the sync's room, must not return an
 * error that says "nothing was kept", and what others see is not to be written on: PANIC. */
static int sync_failed(struct daxkv_store *store, int rc)
{
	int why = rc == DAXKV_CORRUPT ? EUCLEAN : ENOSPC;

	if (rc == DAXKV_PANIC)
		return rc;
	if (store->lazy_txn && rc != DAXKV_CORRUPT)
		return 0;
	if (rc > 0)
		why = rc;
	return commit_fence_failed(store, "syncing a commit that is seen", why);
}

/* [L6] A durable commit is durable when it returns, by this. */
int commit_lazy_end(struct daxkv_store *store, bool committed)
{
	if (mark_lost(store))
		return committed ? sync_failed(store, lazy_damaged(store)) : 0;
	if (!store_lazy(store))
		return interval_leave(store);
	if (!committed)
		return 0;
	if (store->lazy_txn && !reached(store))
		return 0;
	const int rc = commit_sync(store);

	return LIKELY(!rc) ? 0 : sync_failed(store, rc);
}

/* ---- what another process left --------------------------------------------------------------- */

/* words_check - a word of a lazy commit lies in the file, or among those of the superblock. */
static int word_check(const struct daxkv_store *store, const struct map *map, uint64_t off)
{
	if (off % FMT_WORD == 0 && off < map->size && off >= SUPER_FIRST * FMT_WORD)
		return 0;
	return lazy_damaged(store);
}

/* pairs_store - words as (offset, value). */
static int pairs_store(struct daxkv_store *store, struct map *map, const uint64_t *pair, uint64_t n)
{
	int rc = 0;

	for (uint64_t i = 0; i < n && !rc; i++) {
		rc = word_check(store, map, pair[2 * i]);
		if (!rc)
			word_store(store, map, pair[2 * i], pair[2 * i + 1]);
	}
	return rc;
}

/* record_store - the words of a lazy commit whose writer died, once more or at last [L5]. */
static int record_store(struct daxkv_store *store, struct map *map, const struct ring_record *rec)
{
	const uint64_t room = commit_spill_room(store->page_size);
	uint64_t left = rec->spill_words;
	uint64_t off = rec->spill_off;

	if (!rec->spilled)
		return pairs_store(store, map, rec->words, rec->nwords);
	while (left) {
		const struct fmt_spill *s = (const void *)(map->base + off);
		int rc = word_check(store, map, off);

		if (!rc &&
		    (off % store->page_size || s->pairs == 0 || s->pairs > room || s->pairs > left))
			rc = word_check(store, map, UINT64_MAX);
		if (!rc)
			rc = pairs_store(store, map, s->pair, s->pairs);
		if (rc)
			return rc;
		left -= s->pairs;
		off = s->page.prev;
	}
	return 0;
}

/* The file says whether a sync that its process did not finish came to be: then its record is what
 * the file was recovered to. */
int commit_lazy_recover(struct daxkv_store *store, struct map *map, uint64_t *txn)
{
	struct share_interval *iv = &store->share->interval;
	struct ring_record rec, last = {0};
	int rc = 0;

	if (LIKELY(!store_lazy(store)))
		return 0;
	if (*txn != iv->synced) {
		if (*txn < store->share->published) /* no sync of the newest commit */
			return lazy_damaged(store);
		iv->limbo_mark = 0;
		store_release(&store->share->lazy, 0);
		return 0;
	}
	if (iv->limbo_mark)
		rc = share_limbo_back(&store->share_file, iv->limbo_mark - 1);
	if (rc)
		return rc;
	iv->limbo_mark = 0;
	*txn = store->share->published;
	commit_lazy_attach(store);
	for (unsigned int i = 0; i < FMT_RING_RECORDS; i++)
		if (ring_read(&store->lazy_ring, i, &rec) && rec.txn > *txn && rec.txn > last.txn)
			last = rec;
	if (last.txn) {
		rc = record_store(store, map, &last);
		*txn = last.txn;
	}
	if (rc)
		return rc;
	struct fmt_super shadow;

	commit_shadow_copy(store, &shadow);
	if (!commit_shadow_sound(store, &shadow, *txn))
		rc = lazy_damaged(store);
	if (!rc)
		commit_shadow_forget(store, *txn);
	return rc;
}

/* Pages that S has come back by a sync alone, and a lazy transaction copies more than a durable
 * one. */
int commit_lazy_space(struct daxkv_store *store)
{
	int rc;

	if (store_lazy(store))
		return commit_sync(store);
	rc = commit_checkpoint(store);
	if (rc)
		return rc;
	if (store->wset.first)
		rc = interval_leave(store);
	return rc;
}

int commit_lazy_clean(struct daxkv_store *store)
{
	int rc = commit_sync(store);

	if (rc)
		return rc;
	return commit_checkpoint(store);
}
