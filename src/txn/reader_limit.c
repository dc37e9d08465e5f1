/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reader_limit.c - see reader_limit.h
 *
 * Ages are in milliseconds of a coarse clock, which costs no system call at begin. Lags are in
 * commits. Both are looked at by the writer alone, when it wants space, and never by a timer.
 */
#include "txn/reader_limit.h"

#include "base/cancel.h"

struct moment {             /* one look at the time, for a whole scan */
	uint64_t published; /* the newest commit */
	uint64_t ms;
};

/* moment_now - what ages are measured against: one look at the clock for a whole scan. */
static struct moment moment_now(const struct daxkv_store *store)
{
	return (struct moment){
	    .published = load_relaxed(&store->share->published),
	    .ms = clock_coarse_ms(),
	};
}

/* age_of - how long the reader has been running; clocks of two processors may differ a little. */
static uint64_t age_of(const struct reader_entry *s, const struct moment *now)
{
	uint64_t since = load_relaxed(&s->since_ms);

	if (now->ms > since)
		return now->ms - since;
	return 0;
}

/* late - whether the reader of that word is beyond a bound of its entry. A bound of 0 is none. */
static bool late(const struct reader_entry *s, uint64_t word, const struct moment *now)
{
	uint64_t max_age_ms = load_relaxed(&s->max_age_ms);
	uint64_t max_lag = load_relaxed(&s->max_lag);

	uint64_t lag = now->published - (word - 1);

	if (max_age_ms && age_of(s, now) >= max_age_ms)
		return true;
	return max_lag && lag > max_lag;
}

/* evict_late - mark the readers beyond their bounds that see what was freed at txn; how many. A
 * reader that ends meanwhile, or begins anew, has another word, and is left alone. */
static unsigned int evict_late(struct daxkv_store *store, uint64_t txn, const struct moment *now)
{
	uint32_t high = share_high(store->share);
	unsigned int n = 0;

	if (!load_relaxed(&store->share->bounded))
		return 0;
	for (uint32_t i = 0; i < high; i++) {
		const struct reader_entry *s = &store->share->reader[i];
		uint64_t word = load_seq_cst(&s->snapshot_plus_1);

		if (word && !(word & READER_EVICTED) && word - 1 < txn && late(s, word, now))
			n += share_evict(store->share, i, word);
	}
	return n;
}

/* ask - what the caller wants done about the reader in the entry. Returns whether it is worth
 * looking again. The function is the program's: it may sleep, or end the reader. */
static bool ask(struct daxkv_store *store, uint32_t reader, uint64_t word, const struct moment *now)
{
	assert(word);
	assert(store->reader_limit.fn);
	struct reader_limit *reader_limit = &store->reader_limit;
	const struct reader_entry *s = &store->share->reader[reader];

	if (reader_limit->reader == reader && reader_limit->word == word)
		reader_limit->retry++;
	else
		reader_limit->retry = 0;
	reader_limit->reader = reader;
	reader_limit->word = word;
	struct daxkv_old_reader r = {
	    .store = store,
	    .pid = load_relaxed(&s->pid),
	    .thread = load_relaxed(&s->tid),
	    .own = load_relaxed(&s->owner) == store->share_file.owner,
	    .bounded = share_bounded(store->share, reader),
	    .snapshot = word - 1,
	    .age_ms = age_of(s, now),
	    .lag = now->published - (word - 1),
	    .held_pages = store->space.limbo.pages,
	    .retry = reader_limit->retry,
	};

	const int cancel = cancel_off(); /* the function may sleep */
	const enum daxkv_old_reader_action answer = reader_limit->fn(&r, reader_limit->arg);

	cancel_restore(cancel);
	switch (answer) {
	case DAXKV_OLD_READER_RETRY:
		return true;
	case DAXKV_OLD_READER_EVICT:
		if (!r.bounded)
			return false;
		/* else it has ended, which is as good */
		(void)share_evict(store->share, reader, word);
		return true;
	case DAXKV_OLD_READER_GROW:
		break;
	}
	reader_limit->word = 0; /* the next question is a first one */
	return false;
}

/* Bounds first: the program is asked only about what no bound has settled. */
bool reader_limit_apply(void *arg)
{
	struct daxkv_store *store = arg;
	uint64_t txn = limbo_oldest(&store->space.limbo);

	if (txn > store->space.releasable) /* it is not readers that hold it back */
		return false;
	struct moment now = moment_now(store);

	if (evict_late(store, txn, &now))
		return true;
	if (!store->reader_limit.fn)
		return false;
	if (share_oldest(store->share, &store->oldest) >= txn)
		return false;
	if (!store->oldest.word)
		return false;
	return ask(store, store->oldest.reader, store->oldest.word, &now);
}
