/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.c - see ring.h
 *
 * A record is built in memory and stored as a whole, then flushed. Nothing here fences: the commit
 * decides what else goes under the same fence. ring_read trusts nothing of what it reads: the two
 * lengths are bounded before the hash, which covers them, is computed.
 */
#include "redo/ring.h"

#include "base/array.h"
#include "base/crc.h"
#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

#define RECORD_WORDS       (FMT_RING_RECORD / FMT_WORD)
#define SPILL_RECORD_WORDS 3

/* The list is the caller's, and freed by it: words->w. */
int words_add(struct words *words, uint64_t off, uint64_t value)
{
	assert(off % FMT_WORD == 0);
	int rc = array_room(&words->w, words->n, &words->room, sizeof *words->w);

	if (UNLIKELY(rc))
		return rc;
	words->w[words->n++] = (struct ring_word){
	    .off = off,
	    .value = value,
	};
	return 0;
}

/* A place is used again by the transaction FMT_RING_RECORDS later. */
const uint64_t *ring_at(const struct ring *ring, uint64_t txn)
{
	uint64_t index = txn % FMT_RING_RECORDS;
	const uint8_t *place = ring->map->base + ring->off + index * FMT_RING_RECORD;

	return (const uint64_t *)(const void *)place;
}

/* The hash leaves its own word out. */
static uint64_t record_hash(const struct ring *ring, const uint64_t *r, size_t n)
{
	return hash64(hash64(ring->file_id, r, FMT_WORD), r + 2, (n - 2) * FMT_WORD);
}

/* head_word - word 2 of a record: the checksum of the fresh bytes, two lengths, and how far
 * durable_upto lies back. */
static uint64_t head_word(uint32_t fresh_crc, size_t nranges, size_t nwords, uint64_t lag)
{
	uint64_t word = fresh_crc;

	assert(nranges <= 0xff);
	assert(nwords <= 0xff);
	assert(lag > 0);
	assert(lag < FMT_RING_RECORDS);
	word |= (uint64_t)nranges << 32;
	word |= (uint64_t)nwords << 40;
	return word | lag << 48;
}

/* record_store - finish the record of n words with its hash, store and flush it. */
static void record_store(struct ring *ring, uint64_t txn, uint64_t *r, size_t n)
{
	const uint64_t *at = ring_at(ring, txn);

	assert(n >= FMT_REC_HEAD);
	assert(n <= RECORD_WORDS);
	assert(r[0] == txn);
	r[1] = record_hash(ring, r, n);
	pm_write(&ring->map->pm, at, r, n * FMT_WORD);
	pm_flush(&ring->map->pm, at, n * FMT_WORD);
}

/* [R2] The record that is overwritten, FMT_RING_RECORDS before, is durable in place long since:
 * head_word asserts how far back durable_upto may lie. */
void ring_write(struct ring *ring, uint64_t txn, uint64_t durable_upto,
                const struct ring_range *ranges, size_t nranges, const struct ring_word *words,
                size_t nwords)
{
	uint64_t r[RECORD_WORDS];
	size_t n = FMT_REC_HEAD;
	uint32_t crc = 0;

	assert(ring_fits(nranges, nwords));
	assert(durable_upto < txn);
	for (size_t i = 0; i < nranges; i++) {
		const struct ring_range *range = &ranges[i];

		assert(range->len % 4 == 0);
		assert(range->len / 4 <= 0xffff);
		crc = crc32c(crc, &range->crc, 4);
		r[n++] = range->off << 16 | range->len / 4;
	}
	for (size_t i = 0; i < nwords; i++) {
		r[n++] = words[i].off;
		r[n++] = words[i].value;
	}
	r[0] = txn;
	r[2] = head_word(crc, nranges, nwords, txn - durable_upto);
	record_store(ring, txn, r, n);
}

/* Its pages are durable already, so it names no fresh bytes. */
void ring_write_spilled(struct ring *ring, uint64_t txn, uint64_t durable_upto, uint64_t spill_off,
                        uint64_t nwords, uint32_t crc)
{
	uint64_t r[FMT_REC_HEAD + SPILL_RECORD_WORDS];

	assert(spill_off != 0 || nwords == 0);
	assert(durable_upto < txn);
	r[0] = txn;
	r[2] = head_word(0, FMT_REC_SPILLED, 0, txn - durable_upto);
	r[3] = spill_off;
	r[4] = nwords;
	r[5] = crc;
	record_store(ring, txn, r, FMT_REC_HEAD + SPILL_RECORD_WORDS);
}

/* The lengths are bounded before the hash is taken over what they say. Without the right hash there
 * is no record [I2]. */
bool ring_read(const struct ring *ring, unsigned int index, struct ring_record *rec)
{
	const uint64_t *r = ring_at(ring, index);
	unsigned int nranges = (unsigned int)(r[2] >> 32 & 0xff);
	unsigned int nwords = (unsigned int)(r[2] >> 40 & 0xff);
	uint64_t lag = r[2] >> 48;
	const bool spilled = ring_is_spilled(r);
	size_t n;

	if (spilled)
		n = FMT_REC_HEAD + SPILL_RECORD_WORDS;
	else
		n = FMT_REC_HEAD + nranges + 2 * nwords;
	if (r[0] == 0)
		return false;
	if (r[0] >> FMT_CLEAN_BITS)
		return false;
	if (r[0] % FMT_RING_RECORDS != index)
		return false;
	if (n > RECORD_WORDS)
		return false;
	if (lag == 0)
		return false;
	if (lag > r[0])
		return false;
	if (r[1] != record_hash(ring, r, n))
		return false;
	*rec = (struct ring_record){
	    .txn = r[0],
	    .durable_upto = r[0] - lag,
	    .fresh_crc = (uint32_t)r[2],
	    .bytes = (uint32_t)(n * FMT_WORD),
	    .spilled = spilled,
	};
	if (spilled) {
		rec->spill_off = r[3];
		rec->spill_words = r[4];
		rec->spill_crc = (uint32_t)r[5];
		return true;
	}
	rec->nranges = nranges;
	rec->nwords = nwords;
	rec->ranges = r + FMT_REC_HEAD;
	rec->words = rec->ranges + nranges;
	return true;
}

/* Asked of the newest record only, at recovery: all others had their fence. */
bool ring_fresh_ok(const struct ring *ring, const struct ring_record *rec)
{
	uint32_t crc = 0;

	if (rec->spilled)
		return true;
	for (unsigned int i = 0; i < rec->nranges; i++) {
		struct ring_range range = ring_range_read(rec->ranges[i]);
		uint32_t one;

		if (!ring_range_inside(ring, &range))
			return false;
		one = crc32c(0, map_at(ring->map, range.off), range.len);
		crc = crc32c(crc, &one, 4);
	}
	return crc == rec->fresh_crc;
}
