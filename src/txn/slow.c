/* SPDX-License-Identifier: BSD-3-Clause */
/* slow.c - see slow.h */
#include "txn/slow.h"

#include "base/cancel.h"

#include <time.h>

struct moment {
	uint64_t published, ms;
};

static struct moment moment_now(const struct daxkv_store *kv)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (struct moment){__atomic_load_n(&kv->share->published, __ATOMIC_RELAXED), (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000};
}

static uint64_t age_of(const struct reader_slot *s, const struct moment *now)
{
	uint64_t since = __atomic_load_n(&s->since_ms, __ATOMIC_RELAXED);

	return now->ms > since ? now->ms - since : 0;
}

/* late - whether the reader of that word is beyond a bound of its slot. */
static bool late(const struct reader_slot *s, uint64_t word, const struct moment *now)
{
	uint64_t max_age_ms = __atomic_load_n(&s->max_age_ms, __ATOMIC_RELAXED), max_lag = __atomic_load_n(&s->max_lag, __ATOMIC_RELAXED);

	return (max_age_ms && age_of(s, now) >= max_age_ms) || (max_lag && now->published - (word - 1) > max_lag);
}

/* evict_late - mark the readers beyond their bounds that see what was freed at txn; how many. */
static unsigned int evict_late(struct daxkv_store *kv, uint64_t txn, const struct moment *now)
{
	uint32_t high = share_high(kv->share);
	unsigned int n = 0;

	if (!__atomic_load_n(&kv->share->bounded, __ATOMIC_RELAXED))
		return 0;
	for (uint32_t i = 0; i < high; i++) {
		const struct reader_slot *s = &kv->share->slot[i];
		uint64_t word = __atomic_load_n(&s->snapshot_plus_1, __ATOMIC_SEQ_CST);

		if (word && !(word & SLOT_EVICTED) && word - 1 < txn && late(s, word, now))
			n += share_evict(kv->share, i, word);
	}
	return n;
}

/* ask - what the caller wants done about the reader in the slot. */
static bool ask(struct daxkv_store *kv, uint32_t slot, uint64_t word, const struct moment *now)
{
	struct slow *slow = &kv->slow;
	const struct reader_slot *s = &kv->share->slot[slot];

	slow->retry = slow->slot == slot && slow->word == word ? slow->retry + 1 : 0;
	slow->slot = slot;
	slow->word = word;
	struct daxkv_old_reader r = {.kv = kv, .pid = __atomic_load_n(&s->pid, __ATOMIC_RELAXED), .thread = __atomic_load_n(&s->tid, __ATOMIC_RELAXED), .own = __atomic_load_n(&s->owner, __ATOMIC_RELAXED) == kv->share_file.owner, .bounded = share_bounded(kv->share, slot), .snapshot = word - 1, .age_ms = age_of(s, now), .lag = now->published - (word - 1), .held_pages = kv->space.limbo.pages, .retry = slow->retry};

	const int cancel = cancel_off(); /* the function may sleep */
	const enum daxkv_old_reader_action answer = slow->fn(&r, slow->arg);

	cancel_restore(cancel);
	switch (answer) {
	case DAXKV_OLD_READER_RETRY:
		return true;
	case DAXKV_OLD_READER_EVICT:
		if (!r.bounded)
			return false;
		(void)share_evict(kv->share, slot, word); /* else it has ended, which is as good */
		return true;
	case DAXKV_OLD_READER_GROW:
		break;
	}
	slow->word = 0; /* the next question is a first one */
	return false;
}

bool slow_readers(void *arg)
{
	struct daxkv_store *kv = arg;
	uint64_t txn = limbo_oldest(&kv->space.limbo);

	if (txn > kv->space.releasable) /* it is not readers that hold it back */
		return false;
	struct moment now = moment_now(kv);

	if (evict_late(kv, txn, &now))
		return true;
	return kv->slow.fn && share_oldest(kv->share, &kv->oldest) < txn && kv->oldest.word && ask(kv, kv->oldest.slot, kv->oldest.word, &now);
}
