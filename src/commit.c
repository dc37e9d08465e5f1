/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit.c - from a transaction's changes to the newest durable state.
 *
 *   1 the descriptors take roots and counts; the words and fresh ranges of the transaction are listed
 *   2 flush the fresh bytes            (a large transaction: also its word list, spilled to pages; FENCE)
 *   3 write and flush the record
 *   4 FENCE                            <- durable here
 *   5 store the words in place         flushed when the next transaction begins [I1] [R9]
 *   6 publish                          <- readers see it from here on
 *
 * Orders of 2 and 3: none needed in a small transaction; the record names the fresh bytes with their checksum [R1].
 */
#include "kv.h"

#include "cancel.h"
#include "crc.h"
#include "err.h"
#include "recover.h"
#include "stores.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define FRESH_MAX 65536u  /* more fresh bytes than this are fenced before the record: reading them back at recovery, and checksums, would cost more */
#define FOLLOW_TRIES 10000u /* of a tenth of a millisecond */
#define RECENT_LINES 8u   /* looked back for a line that was flushed already */

struct ranges {
	struct ring_range r[FMT_REC_MAX_RANGES];
	size_t n;
	uint64_t bytes;
	bool too_many;
};

static void ranges_add(struct ranges *rs, uint64_t off, uint32_t len, uint32_t crc)
{
	rs->bytes += len;
	if (rs->n == FMT_REC_MAX_RANGES || rs->too_many)
		rs->too_many = true;
	else
		rs->r[rs->n++] = (struct ring_range){off, len, crc};
}

/* ---- step 1 --------------------------------------------------------------------------------------------------------------- */

/* name_page - the record of a named database is to name that page: its descriptor, or the leaf that
 * it is. */
static int name_page(struct daxkv_txn *txn, struct dbstate *s, uint64_t off)
{
	struct fmt_db record = {.desc = off, .flags = s->flags};
	struct daxkv_val name = dbi_name_val(s), value = {sizeof record, &record};

	if (s->named == off)
		return 0;
	s->named = off;
	return record_put(txn, DAXKV_MAIN, &name, &value, 0, FMT_ENTRY_DB);
}

/* move_desc - the database's descriptor is full of counts: a new one takes its place; or it has none
 * so far. */
static int move_desc(struct daxkv_txn *txn, daxkv_db db)
{
	struct daxkv *kv = txn->kv;
	struct dbstate *s = dbi_state_known(txn, db);
	uint64_t old = s->desc, off;
	int rc = desc_new(&kv->wset, s->flags, s->tree.count, db == DAXKV_MAIN ? old : 0, &off);

	if (!rc && old)
		rc = wset_retire(&kv->wset, old);
	s->desc = off;
	return rc || db == DAXKV_MAIN ? rc : name_page(txn, s, off);
}

static int commit_desc(struct daxkv_txn *txn, daxkv_db db, struct words *words)
{
	struct daxkv *kv = txn->kv;
	struct dbstate *s = dbi_state_known(txn, db);
	bool full = !s->desc;

	if (!s->desc && s->tree.leaf_pages < 2 && !s->tree.inner_pages)
		return name_page(txn, s, s->tree.root);
	int rc = full ? 0 : desc_commit(kv, s, words, &full);

	if (rc || !full)
		return rc;
	rc = move_desc(txn, db);
	return rc ? rc : desc_commit(kv, s, words, &full);
}

static bool db_changed(const struct daxkv_txn *txn, uint32_t db)
{
	const struct dbstate *s = txn->db[db];

	return s && s->generation == txn->generation && s->changed;
}

/* commit_descs - named databases first: a moved descriptor changes its record in the main one. */
static int commit_descs(struct daxkv_txn *txn, struct words *words)
{
	const struct fmt_super *super = (const void *)txn->kv->map.base;
	int rc = 0;

	for (uint32_t db = DAXKV_MAIN + 1; db < txn->ndb && !rc; db++)
		if (db_changed(txn, db))
			rc = commit_desc(txn, db, words);
	if (rc || txn->ndb <= DAXKV_MAIN || !db_changed(txn, DAXKV_MAIN))
		return rc;
	rc = commit_desc(txn, DAXKV_MAIN, words);
	if (!rc && load_word(&super->main_desc) != txn->db[DAXKV_MAIN]->desc)
		rc = words_add(words, offsetof(struct fmt_super, main_desc), txn->db[DAXKV_MAIN]->desc);
	return rc;
}

/* page_words - the words that a committed page gets: slots behind those it has, or kids. */
static int page_words(struct wset *w, const struct wpage *wp, struct words *words)
{
	const struct fmt_page *page = (const void *)(w->map->base + wp->off);
	bool leaf = page->type == FMT_LEAF;
	uint64_t at = wp->off + (leaf ? FMT_LEAF_SLOTS : page->heads + (uint64_t)page->n * FMT_WORD);
	int rc = 0;

	for (unsigned int i = leaf ? wp->napplied : 0; i < wp->npending && !rc; i++)
		rc = words_add(words, at + (leaf ? i : wp->idx[i]) * FMT_WORD, wp->val[i]);
	return rc;
}

/* commit_pages - list the words and fresh ranges of every page touched. */
static int commit_pages(struct wset *w, struct words *words, struct ranges *ranges)
{
	int rc = 0;

	for (size_t i = 0; i < w->n && !rc; i++) {
		struct wpage *wp = wset_at(w, i);
		const uint8_t *page = w->map->base + wp->off;

		if (wp->dead) /* [R7] */
			continue;
		if (wp->owner) {
			wset_apply(w, wp);
			ranges_add(ranges, wp->off, wp->used, 0);
			continue;
		}
		rc = page_words(w, wp, words);
		if (wp->fresh_end)
			ranges_add(ranges, wp->off + wp->fresh_off, (uint32_t)wp->fresh_end - wp->fresh_off,
			           wp->crc_valid ? wp->fresh_crc : crc32c(0, page + wp->fresh_off, (size_t)wp->fresh_end - wp->fresh_off));
	}
	return rc;
}

/* ---- steps 2 to 4 --------------------------------------------------------------------------------------------------------- */

/* flush_private - write the private pages back; what was appended to committed pages is on its way already. ranges (NULL: not needed) get
 * the checksums. */
static void flush_private(struct wset *w, struct ranges *ranges)
{
	size_t r = 0;

	for (size_t i = 0; i < w->n; i++) {
		struct wpage *wp = wset_at(w, i);
		const uint8_t *page = w->map->base + wp->off;

		if (wp->dead || (!wp->owner && !wp->fresh_end))
			continue;
		if (wp->owner) {
			if (ranges)
				ranges->r[r].crc = wp->streamed && wp->crc_valid ? wp->fresh_crc : crc32c(0, page, wp->used);
			if (!wp->streamed)
				pm_flush(&w->map->pm, page, wp->used);
		}
		r++;
	}
}

/* fence - wait; a failure poisons the store, because nobody knows what became durable [R5]. */
static int fence(struct daxkv *kv, const char *what)
{
	int rc = pm_fence(&kv->map.pm); /* Orders: what the caller names, before what it does next. */

	if (!rc)
		return 0;
	__atomic_store_n(&kv->share->poison, (uint32_t)rc, __ATOMIC_SEQ_CST);
	return err_set(DAXKV_POISONED, "%s: %s; the store refuses changes until it is opened again", what, strerror(rc));
}

/* stage_limbo - what the transaction frees is told to other processes before its record can take effect: if this one dies, the next writer
 * knows. */
static int stage_limbo(struct daxkv *kv)
{
	int rc = 0;

	for (size_t i = 0; i < kv->space.nops && !rc; i++) {
		const struct space_op *op = &kv->space.op[i];

		if (op->kind == SPACE_HELD || op->kind == SPACE_SPILL)
			rc = share_limbo_add(&kv->share_file, &(struct limbo_item){kv->wset.txn, op->off, op->pages});
	}
	if (rc)
		(void)share_limbo_cut(&kv->share_file, kv->wset.txn - 1);
	return rc;
}

static uint64_t spill_room(uint32_t psize)
{
	return (psize - FMT_SPILL_PAIRS) / (2 * FMT_WORD);
}

/* spill_take - have want pages in the list; spill_write chains them through their prev. */
static int spill_take(struct daxkv *kv, uint64_t *pages, uint64_t want, uint64_t **list)
{
	uint64_t *more = realloc(*list, want * sizeof **list);
	int rc = 0;

	if (!more)
		return err_set(ENOMEM, "no memory for a transaction of %lu spilled pages", (unsigned long)want);
	*list = more;
	while (*pages < want && !rc) {
		rc = space_take_spill(&kv->space, 1, &more[*pages]);
		*pages += !rc;
	}
	return rc;
}

static uint32_t spill_write(struct daxkv *kv, const struct words *words, const uint64_t *page, uint64_t npages)
{
	struct fmt_spill *s = (void *)kv->wset.image;
	uint64_t room = spill_room(kv->page_size);
	uint32_t crc = 0;

	for (uint64_t i = 0, at = 0; i < npages && at < words->n; i++) {
		uint64_t n = min_u64(room, words->n - at);
		size_t bytes = n * 2 * FMT_WORD;

		memset(s, 0, FMT_SPILL_PAIRS);
		s->page.birth = kv->wset.txn;
		s->page.prev = at + n < words->n ? page[i + 1] : 0;
		s->page.type = FMT_SPILL;
		s->pairs = n;
		memcpy(s->pair, words->w + at, bytes);
		crc = crc32c(crc, s->pair, bytes);
		memset((uint8_t *)s->pair + bytes, 0, round_up(FMT_SPILL_PAIRS + bytes, FMT_LINE) - FMT_SPILL_PAIRS - bytes);
		pm_stream(&kv->map.pm, kv->map.base + page[i], s, round_up(FMT_SPILL_PAIRS + bytes, FMT_LINE));
		at += n;
	}
	return crc;
}

/* record_spilled - steps 2 to 4 of a large transaction. words has the words of the pages only; those of space are added here, after
 * the spill pages were taken, which may make the file grow. */
static int record_spilled(struct daxkv *kv, struct words *words)
{
	uint64_t *page = NULL, npages = 0, txn = kv->wset.txn;
	size_t own = words->n;
	int rc = space_words(&kv->space, words);

	while (!rc && npages * spill_room(kv->page_size) < words->n) {
		rc = spill_take(kv, &npages, words->n / spill_room(kv->page_size) + 1, &page);
		words->n = own;
		if (!rc)
			rc = space_words(&kv->space, words);
	}
	if (rc)
		goto free_pages;
	rc = stage_limbo(kv);
	if (rc)
		goto free_pages;
	flush_private(&kv->wset, NULL);
	uint32_t crc = spill_write(kv, words, page, npages);

	/* Orders: fresh bytes and spilled words, before the record that makes them reachable [I6]. */
	rc = fence(kv, "writing a large transaction");
	if (rc)
		goto free_pages;
	ring_write_spilled(&kv->ring, txn, kv->share->durable, npages ? page[0] : 0, words->n, crc);
	/* Orders: the record, before its words in place. */
	rc = fence(kv, "committing");
free_pages:
	free(page);
	return rc;
}

static int record_small(struct daxkv *kv, const struct words *words, struct ranges *ranges)
{
	int rc = stage_limbo(kv);

	if (rc)
		return rc;
	flush_private(&kv->wset, ranges);
	ring_write(&kv->ring, kv->wset.txn, kv->share->durable, ranges->r, ranges->n, words->w, words->n);
	/* Orders: fresh bytes and record, before the words in place. */
	return fence(kv, "committing");
}

/* record_fenced - steps 2 to 4 of a transaction whose words fit a slot but whose fresh bytes are too many to be named. */
static int record_fenced(struct daxkv *kv, const struct words *words)
{
	int rc = stage_limbo(kv);

	if (rc)
		return rc;
	flush_private(&kv->wset, NULL);
	/* Orders: fresh bytes, before the record that makes them reachable [I6]. */
	rc = fence(kv, "writing a transaction's data");
	if (rc)
		return rc;
	ring_write(&kv->ring, kv->wset.txn, kv->share->durable, NULL, 0, words->w, words->n);
	/* Orders: the record, before its words in place. */
	return fence(kv, "committing");
}

/* ---- steps 5 and 6 -------------------------------------------------------------------------------------------------------- */

/* flush_pairs - start writing back the words of (offset, value) pairs. */
static void flush_pairs(struct daxkv *kv, const uint64_t *pair, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (pair[2 * i] < kv->map.size)
			pm_flush(&kv->map.pm, kv->map.base + pair[2 * i], FMT_WORD);
}

/* flush_record - the same for another process's commit, from its record. A spilled one's pages are still in the limbo. */
static void flush_record(struct daxkv *kv, uint64_t txn)
{
	struct ring_record rec;

	if (!ring_read(&kv->ring, (unsigned int)(txn % FMT_RING_SLOTS), &rec) || rec.txn != txn)
		return; /* only after recovery, which leaves all words durable */
	if (!rec.spilled) {
		flush_pairs(kv, rec.words, rec.nwords);
		return;
	}
	for (uint64_t left = rec.spill_words, off = rec.spill_off; left && off && off <= kv->map.size - kv->page_size;) {
		const struct fmt_spill *s = (const void *)(kv->map.base + off);
		uint64_t n = min_u64(min_u64(s->pairs, left), spill_room(kv->page_size));

		flush_pairs(kv, s->pair, n);
		left -= n;
		off = n ? s->page.prev : 0;
	}
}

void commit_flush_words(struct daxkv *kv)
{
	uint64_t recent[RECENT_LINES];
	size_t n = 0;

	uint64_t last = __atomic_load_n(&kv->share->published, __ATOMIC_RELAXED);

	if (last <= kv->share->durable)
		return;
	if (kv->words_txn != last) {
		flush_record(kv, last);
		return;
	}
	for (size_t i = 0; i < kv->words.n; i++) {
		uint64_t line = kv->words.w[i].off / FMT_LINE;
		bool seen = false;

		for (size_t j = 0; j < RECENT_LINES && j < n; j++)
			seen |= recent[j] == line;
		if (seen)
			continue;
		recent[n++ % RECENT_LINES] = line;
		pm_flush(&kv->map.pm, kv->map.base + kv->words.w[i].off, FMT_WORD);
	}
}

static void commit_store(struct daxkv *kv)
{
	uint64_t txn = kv->wset.txn;

	for (size_t i = 0; i < kv->words.n; i++)
		pm_store8(&kv->map.pm, (const uint64_t *)(const void *)(kv->map.base + kv->words.w[i].off), kv->words.w[i].value);
	kv->words_txn = txn;
	space_committed(&kv->space, txn);
	kv->space.releasable = kv->share->releasable = kv->share->durable; /* what the record, fenced now, says [R3] */
	kv->share->durable = txn - 1; /* flushed when txn began, fenced with it [R9] [I3] */
	kv->known = txn;
	__atomic_store_n(&kv->share->size, kv->space.end, __ATOMIC_RELEASE);
	__atomic_store_n(&kv->commits, kv->commits + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&kv->share->published, txn, __ATOMIC_SEQ_CST);
}

int commit_run(struct daxkv_txn *txn)
{
	struct daxkv *kv = txn->kv;
	struct wset *w = &kv->wset;
	struct ranges ranges;
	struct words *words = &kv->words;
	const struct fmt_super *super = (const void *)kv->map.base;
	size_t own;
	int rc;

	ranges.n = ranges.bytes = 0;
	ranges.too_many = false;
	words->n = 0;
	kv->words_txn = 0;
	rc = tree_settle_all(&kv->scratch);
	if (!rc)
		rc = commit_descs(txn, words);
	if (!rc && txn->user_word_set && load_word(&super->user_word) != txn->user_word)
		rc = words_add(words, offsetof(struct fmt_super, user_word), txn->user_word);
	if (!rc)
		rc = commit_pages(w, words, &ranges);
	if (rc)
		return rc;
	own = words->n;
	rc = space_words(&kv->space, words);
	if (rc)
		return rc;
	if (words->n == 0 && ranges.n == 0) { /* nothing changed: what was taken was given back */
		space_undo(&kv->space, 0);
		return 0;
	}
	if (ring_fits(0, words->n) && !ranges.too_many && ring_fits(ranges.n, words->n) && ranges.bytes <= FRESH_MAX) {
		rc = record_small(kv, words, &ranges);
	} else if (ring_fits(0, words->n)) {
		rc = record_fenced(kv, words);
	} else {
		words->n = own;
		rc = record_spilled(kv, words);
	}
	if (!rc)
		commit_store(kv);
	return rc;
}

/* ---- taking over ---------------------------------------------------------------------------------------------------------- */

/* lengths_agree - the mapping has what the file has: with turns others may have made it longer, or shorter. */
static int lengths_agree(struct daxkv *kv)
{
	uint64_t length;
	int rc = map_file_size(&kv->map, &length);

	if (rc)
		return rc;
	length = round_down(length, kv->page_size);
	if (kv->turns && length < kv->map.size) {
		map_cut(&kv->map, length);
		return 0;
	}
	return map_extend(&kv->map, min_u64(length, kv->map.reserve));
}

/* whole_open - the ring of the whole file, as far as others made it grow: recovery looks at all that records name. By a
 * mapping of its own where this process reserved too little address space. whole_close ends it. */
static int whole_open(struct daxkv *kv, struct map *whole, struct ring *ring)
{
	uint64_t length;
	int rc = lengths_agree(kv);

	*ring = kv->ring;
	*whole = (struct map){.fd = -1};
	if (!rc)
		rc = map_file_size(&kv->map, &length);
	if (rc || round_down(length, kv->page_size) <= kv->map.reserve)
		return rc;
	*whole = (struct map){.fd = kv->map.fd, .rdonly = kv->map.rdonly, .path = kv->map.path};
	rc = map_attach(whole, round_down(length, kv->page_size), 0, map_pmem(kv->map.medium), false);
	ring->map = whole;
	return rc;
}

static void whole_close(struct daxkv *kv, struct map *whole)
{
	if (!whole->base)
		return;
	if (whole->pm.failed)
		kv->map.pm.failed = whole->pm.failed;
	map_detach(whole);
}

/* recover_for - the writer died: its last record counts or does not, as after a crash, but readers go on meanwhile. */
static int recover_for(struct daxkv *kv)
{
	struct recover_result r;
	struct map whole;
	struct ring ring;
	int rc = whole_open(kv, &whole, &ring);

	if (!rc)
		rc = recover(&ring, &r);
	whole_close(kv, &whole);
	if (!rc && r.txn < kv->share->published)
		rc = err_corrupt(kv->ring.off, "ring: the newest valid record is %lu, but %lu was published", (unsigned long)r.txn,
		                 (unsigned long)kv->share->published);
	if (!rc)
		rc = share_limbo_cut(&kv->share_file, r.txn);
	if (rc)
		return rc;
	if (r.replayed)
		map_touch(&kv->map);
	kv->known = UINT64_MAX;
	kv->share->durable = kv->share->releasable = r.txn;
	kv->share->size = load_word(&((const struct fmt_super *)(const void *)kv->map.base)->size);
	__atomic_store_n(&kv->share->published, r.txn, __ATOMIC_SEQ_CST);
	return 0;
}

int commit_take_over(struct daxkv *kv, bool died)
{
	const struct fmt_super *super = (const void *)kv->map.base;
	uint64_t last = __atomic_load_n(&kv->share->published, __ATOMIC_RELAXED);
	int rc = 0;

	if (!died && kv->known == last && kv->share->last_writer == kv->share_file.owner)
		return 0;
	bool behind = commit_behind(kv);

	if (died || !kv->share->recovered) /* what was found clean when it was opened may be so in a cache only [R4] */
		rc = recover_for(kv);
	if (rc && kv->map.pm.failed)
		__atomic_store_n(&kv->share->poison, (uint32_t)kv->map.pm.failed, __ATOMIC_SEQ_CST);
	if (rc) /* it stays to be done: another process may have the memory, or the descriptors, that were missing here */
		return rc;
	kv->share->recovered = 1;
	last = __atomic_load_n(&kv->share->published, __ATOMIC_RELAXED);
	if (kv->share->size > kv->map.size)
		rc = map_extend(&kv->map, kv->share->size);
	if (!rc && behind) /* all words are durable in place, as in a store that was just opened: nothing waits [R3] */
		limbo_free(&kv->space.limbo);
	if (!rc)
		rc = space_reset(&kv->space, load_word(&super->size));
	if (!rc)
		rc = share_limbo_load(&kv->share_file, &kv->space.limbo);
	if (rc)
		return rc;
	kv->space.releasable = kv->share->releasable;
	kv->known = last;
	__atomic_store_n(&kv->share->writer_pid, getpid(), __ATOMIC_RELAXED);
	__atomic_store_n(&kv->share->last_writer, kv->share_file.owner, __ATOMIC_RELEASE); /* pairs with daxkv_writer_pid */
	kv->followed = false;
	return 0;
}

/* newer - whether the file has a commit, or an attempt at one, that this store does not know. Its record, or one that came after it, is in the slot where the
 * next is to be; or it was made clean. */
static bool newer(const struct daxkv *kv)
{
	const struct fmt_super *super = (const void *)kv->map.base;
	uint64_t last = __atomic_load_n(&kv->share->published, __ATOMIC_RELAXED), clean;

	if (load_word(ring_slot(&kv->ring, last + 1)) > last)
		return true;
	(void)super_clean(super, &clean);
	return clean > last;
}

bool commit_behind(const struct daxkv *kv)
{
	return kv->turns && (kv->followed || newer(kv));
}

/* follow - the writer's lock is held. */
static int follow(struct daxkv *kv)
{
	const struct fmt_super *super = (const void *)kv->map.base;
	uint64_t txn = 0, size;
	struct map whole;
	struct ring ring;
	bool in_place = true;
	int rc = whole_open(kv, &whole, &ring);

	if (!rc)
		rc = recover_in_place(&ring, &in_place, &txn);
	whole_close(kv, &whole);
	if (rc)
		return rc;
	if (!in_place)
		return kv->read_only ? err_set(DAXKV_BUSY, "another process died in its commit: a writer has to put it right") : commit_take_over(kv, true);
	size = load_word(&super->size);
	if (size > kv->map.reserve)
		return err_set(DAXKV_FULL, "the store has grown to %lu bytes; this process opened it with a maximum of %lu", (unsigned long)size,
		               (unsigned long)kv->map.reserve);
	if (size > kv->map.size)
		return err_corrupt(offsetof(struct fmt_super, size), "truncated: the store uses %lu bytes, the file has %lu", (unsigned long)size,
		                   (unsigned long)kv->map.size);
	kv->followed = true;
	__atomic_store_n(&kv->share->size, size, __ATOMIC_RELEASE);
	__atomic_store_n(&kv->share->published, txn, __ATOMIC_SEQ_CST);
	return 0;
}

/* follow_copy - somebody has opened the store for writing, so that the filesystem has made a copy of the file: that is the store now. */
static int follow_copy(struct daxkv *kv)
{
	int rc = 0;

	pthread_mutex_lock(&kv->slot_mutex);
	if (kv->copied)
		rc = map_follow_copy(&kv->map);
	if (!rc && kv->lock.data_fd >= 0) /* the descriptor is another one by that number */
		rc = lock_data(&kv->lock, kv->map.fd, true);
	if (!rc && !kv->turns) /* with turns nothing tells of writers: each read looks anew */
		__atomic_store_n(&kv->copied, false, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&kv->slot_mutex);
	return rc;
}

int commit_follow(struct daxkv *kv)
{
	const struct timespec pause = {.tv_nsec = 100000};

	if (__atomic_load_n(&kv->copied, __ATOMIC_RELAXED) && (kv->turns || __atomic_load_n(&kv->share->writable, __ATOMIC_ACQUIRE))) {
		int rc = follow_copy(kv);

		if (rc)
			return rc;
	}
	if (!kv->turns)
		return 0;
	for (unsigned int tries = 0; newer(kv); tries++) {
		if (stores_writing(kv) || __atomic_load_n(&kv->writer, __ATOMIC_ACQUIRE)) /* pairs with begin_write: who writes here is at the front */
			return 0;
		if (wlock_try(&kv->share->writer, kv->share_file.owner)) {
			int rc = newer(kv) ? follow(kv) : 0;

			wlock_give(&kv->share->writer);
			return rc;
		}
		if (tries == FOLLOW_TRIES)
			return err_set(DAXKV_BUSY, "another thread has been catching up with the file for a second");
		const int cancel = cancel_off();

		nanosleep(&pause, NULL); /* another thread follows, or begins to write */
		cancel_restore(cancel);
	}
	return 0;
}

/* ---- settling and trimming ------------------------------------------------------------------------------------------------ */

int commit_settle(struct daxkv *kv)
{
	const struct fmt_super *super = (const void *)kv->map.base;
	uint64_t txn = __atomic_load_n(&kv->share->published, __ATOMIC_SEQ_CST);
	const uint64_t mark = super_clean_word(txn);
	int rc;

	if (load_word(&super->clean) == mark)
		return 0;
	commit_flush_words(kv);
	/* Orders: all words in place, before the mark that says so [I4]. */
	rc = fence(kv, "making the store clean");
	if (rc)
		return rc;
	kv->share->durable = txn;
	pm_store8(&kv->map.pm, &super->clean, mark);
	pm_flush(&kv->map.pm, &super->clean, FMT_WORD);
	/* Orders: the mark, before any page that it releases is written [I4] [R3]. */
	rc = fence(kv, "making the store clean");
	if (rc)
		return rc;
	kv->space.releasable = kv->share->releasable = txn;
	map_touch(&kv->map);
	return 0;
}

int commit_trim(struct daxkv *kv, bool *cut)
{
	struct ranges ranges;
	int rc;

	ranges.n = 0;
	space_release(&kv->space);
	*cut = false;
	if (kv->space.limbo.n)
		return 0;
	uint64_t end = kv->space.end;

	rc = space_trim(&kv->space, ((const struct fmt_super *)(const void *)kv->map.base)->initial, cut);
	if (rc || !*cut)
		return rc;
	kv->words.n = 0;
	kv->words_txn = 0;
	rc = space_words(&kv->space, &kv->words);
	*cut = !rc && ring_fits(0, kv->words.n);
	if (*cut)
		rc = record_small(kv, &kv->words, &ranges);
	if (*cut && !rc) {
		commit_store(kv);
		return 0;
	}
	*cut = false; /* so many words are not worth it */
	space_undo(&kv->space, 0);
	kv->space.grown.n = 0;
	kv->space.end = end;
	return rc;
}
