/* SPDX-License-Identifier: BSD-3-Clause */
/* readers.c - see readers.h */
#include "readers.h"

#include "daxkv.h"
#include "base.h"
#include "err.h"

#include <errno.h>
#include <stdlib.h>

int share_create(struct share **out, uint32_t nslots, uint64_t published)
{
	size_t size = round_up(sizeof(struct share) + nslots * sizeof(struct reader_slot), 64);
	struct share *share = aligned_alloc(64, size);
	pthread_mutexattr_t attr;

	if (!share)
		return err_set(ENOMEM, "no memory for %u reader slots", nslots);
	memset(share, 0, size);
	share->published = published;
	share->nslots = nslots;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&share->writer, &attr);
	pthread_mutexattr_destroy(&attr);
	*out = share;
	return 0;
}

void share_destroy(struct share *share)
{
	if (!share)
		return;
	pthread_mutex_destroy(&share->writer);
	free(share);
}

int share_take(struct share *share, uint32_t *slot)
{
	for (uint32_t i = 0; i < share->nslots; i++) {
		uint32_t idle = 0;

		if (!__atomic_compare_exchange_n(&share->slot[i].taken, &idle, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		uint32_t high = __atomic_load_n(&share->high, __ATOMIC_RELAXED);

		/* Before the slot's first announcement, so that a scan that starts after it covers the slot. */
		while (high < i + 1 && !__atomic_compare_exchange_n(&share->high, &high, i + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			;
		*slot = i;
		return 0;
	}
	return err_set(DAXKV_READERS_FULL, "%u read transactions are running, and no more are allowed", share->nslots);
}

void share_release(struct share *share, uint32_t slot)
{
	share_leave(share, slot);
	__atomic_store_n(&share->slot[slot].taken, 0, __ATOMIC_RELEASE);
}

uint64_t share_oldest(const struct share *share)
{
	uint64_t oldest = __atomic_load_n(&share->published, __ATOMIC_SEQ_CST);
	uint32_t high = __atomic_load_n(&share->high, __ATOMIC_SEQ_CST);

	for (uint32_t i = 0; i < high; i++) {
		uint64_t s = __atomic_load_n(&share->slot[i].snapshot_plus_1, __ATOMIC_SEQ_CST);

		if (s && s - 1 < oldest)
			oldest = s - 1;
	}
	return oldest;
}

uint32_t share_active(const struct share *share)
{
	uint32_t high = __atomic_load_n(&share->high, __ATOMIC_RELAXED), n = 0;

	for (uint32_t i = 0; i < high; i++)
		n += __atomic_load_n(&share->slot[i].snapshot_plus_1, __ATOMIC_RELAXED) != 0;
	return n;
}
