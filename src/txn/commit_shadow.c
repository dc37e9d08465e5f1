/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit_shadow.c - the shadow superblock in the lock file, and how other bytes there are noticed.
 * See commit.h, commit_lazy.c
 *
 * Each word has a hash of its number and its value, and the sum is all of these by exclusive or:
 * a commit that changes a word takes the old one's hash out and puts the new one's in, and never
 * looks at the others. So a word that somebody else has written stays in the sum for good, also
 * when a commit writes over it.
 *
 * There are two sums, each with the commit from which it holds: that of the shadow as it is, and
 * the one that the running commit will leave. It is there before the commit's record, so whichever
 * of the two a dead writer's successor comes to, with the record's words stored, has its sum.
 */
#include "txn/commit.h"
#include "txn/store.h"

/* word_hash - of word i with that value. */
static uint64_t word_hash(size_t i, uint64_t value)
{
	uint64_t h =
	    (value ^ (i + 1) * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);

	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return h ^ h >> 29;
}

/* sum_all - of a shadow. The store and S are in it, too: what an earlier interval left
 * there is no shadow of this one. */
static uint64_t sum_all(const struct daxkv_store *store, const struct fmt_super *shadow)
{
	uint64_t sum =
	    word_hash(0, store->geometry.file_id) ^ word_hash(1, store->share->interval.synced);

	for (size_t i = SUPER_FIRST; i < SUPER_WORDS; i++)
		sum ^= word_hash(i, super_word(shadow, i));
	return sum;
}

/* sum_of - the one that holds at commit txn; NULL: there is none. */
static struct shadow_sum *sum_of(const struct daxkv_store *store, uint64_t txn)
{
	struct shadow_sum *sum = store->share->interval.sum, *found = NULL;

	for (size_t i = 0; i < 2; i++)
		if (sum[i].txn <= txn && (!found || sum[i].txn > found->txn))
			found = &sum[i];
	return found;
}

/* sum_set - its number comes last, and goes first: a writer that dies here leaves none. */
static void sum_set(struct shadow_sum *s, uint64_t txn, uint64_t sum)
{
	store_release(&s->txn, SHADOW_NO_TXN);
	store_release(&s->sum, sum);
	store_release(&s->txn, txn);
}

void commit_shadow_begin(struct daxkv_store *store)
{
	struct share_interval *iv = &store->share->interval;

	for (size_t i = 0; i < SUPER_WORDS; i++)
		store_release(shadow_word(store, i), load_word(file_word(store, i)));
	sum_set(&iv->sum[1], SHADOW_NO_TXN, 0);
	sum_set(&iv->sum[0], iv->synced, sum_all(store, map_super(&store->map)));
}

/* A commit that leaves the superblock alone has the sum of the one before. No sum at all: it is the
 * sync that says so. */
void commit_shadow_note(struct daxkv_store *store)
{
	struct share_interval *iv = &store->share->interval;
	const struct shadow_sum *now = sum_of(store, store->known);
	uint64_t change = 0;

	for (size_t i = 0; i < store->words.n; i++) {
		const struct ring_word *w = &store->words.w[i];

		if (w->off < FMT_SUPER_SIZE)
			change ^= word_hash(w->off / FMT_WORD, w->value) ^
			          word_hash(w->off / FMT_WORD,
			                    load_word(shadow_word(store, w->off / FMT_WORD)));
	}
	if (change && now)
		sum_set(&iv->sum[now == &iv->sum[0]], store->wset.txn, now->sum ^ change);
}

void commit_shadow_copy(const struct daxkv_store *store, struct fmt_super *copy)
{
	uint64_t *to = (uint64_t *)(void *)copy;

	memset(copy, 0, sizeof *copy);
	for (size_t i = SUPER_FIRST; i < SUPER_WORDS; i++)
		to[i] = load_word(shadow_word(store, i));
}

bool commit_shadow_sound(const struct daxkv_store *store, const struct fmt_super *shadow,
                         uint64_t txn)
{
	const struct shadow_sum *s = sum_of(store, txn);

	return s && s->sum == sum_all(store, shadow);
}

void commit_shadow_forget(struct daxkv_store *store, uint64_t txn)
{
	struct shadow_sum *sum = store->share->interval.sum;

	for (size_t i = 0; i < 2; i++)
		if (sum[i].txn > txn)
			sum_set(&sum[i], SHADOW_NO_TXN, 0);
}
