/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.h - the redo ring: one commit record per transaction, at the ring index T %
 * FMT_RING_RECORDS.
 *
 *   record T: { T, hash, fresh crc, durable_upto } { fresh ranges } { words: where, new value }
 *
 * A record says which words transaction T changes; they are stored in place only after the record
 * is durable. It also names the fresh bytes that its words make reachable, with their checksum, so
 * that one fence is enough: recovery trusts the newest record only if they check out [R1]. A
 * transaction whose words or ranges do not fit a record, or with much fresh data, is spilled: fresh
 * bytes and word list go to pages, a fence, then the record.
 *
 * The rule that makes it correct: the place of record T - FMT_RING_RECORDS is overwritten at T,
 * when durable_upto is less than FMT_RING_RECORDS behind: T - 2, or on a file up to T - 61 [R2].
 * Rejected: a log of variable records, because finding its end means trusting stale bytes or
 * another durable word.
 *
 * What a reader of this file should know: a record is at most 512 bytes, eight cache lines; the
 * commonest one, of a single put, is one line. Its hash is seeded with the store's own number, so
 * that a record of another store, copied over this one, is not taken for its own. Transaction
 * numbers only rise.
 */
#ifndef DAXKV_RING_H
#define DAXKV_RING_H

#include "base/base.h"
#include "base/format.h"
#include "media/map.h"

struct ring {
	struct map *map;
	uint64_t file_id; /* the store's own number: the seed of a record's hash */
	uint64_t off;     /* of the ring's first place, in bytes of the file */
};

struct ring_range {   /* fresh bytes that a record names */
	uint64_t off; /* a multiple of 4 */
	uint32_t len; /* bytes: a multiple of 4, under 256 KiB */
	uint32_t crc; /* crc32c of them */
};

struct ring_word {    /* a word that a record changes */
	uint64_t off; /* a multiple of 8 */
	uint64_t value;
};

/* ring_range_read - a range as a record has it, its checksum left out: the record has one for all
 * of its ranges together. */
static inline struct ring_range ring_range_read(uint64_t word)
{
	return (struct ring_range){
	    .off = word >> 16,
	    .len = (uint32_t)(word & 0xffff) * 4,
	};
}

/* ring_range_inside - whether the range lies in the mapped file. */
static inline bool ring_range_inside(const struct ring *ring, const struct ring_range *range)
{
	const uint64_t size = ring->map->size;

	if (range->off > size)
		return false;
	return range->len <= size - range->off;
}

struct words { /* a list of words, growing */
	struct ring_word *w;
	size_t n;
	size_t room;
};

/* words_add - append; ENOMEM. */
int words_add(struct words *words, uint64_t off, uint64_t value);

struct ring_record { /* what ring_read understood of a record */
	uint64_t txn;
	uint64_t durable_upto; /* before txn: the words up to there needed no replay */
	uint32_t fresh_crc;    /* over the checksums of its ranges */
	unsigned int nranges;
	unsigned int nwords;
	bool spilled;         /* its words are in pages, and it names no range */
	uint64_t spill_off;   /* the first of these pages */
	uint64_t spill_words; /* in all of them */
	uint32_t spill_crc;
	/* in the mapping */
	const uint64_t *ranges;
	const uint64_t *words; /* pairs: where, new value */
	uint32_t bytes;        /* of the record, from its beginning */
};

/* ring_at - where record txn lies. */
const uint64_t *ring_at(const struct ring *ring, uint64_t txn);

/* ring_is_spilled - whether the record there, if it is one, has its words in pages. */
static inline bool ring_is_spilled(const uint64_t *record)
{
	return (record[2] >> 32 & 0xff) == FMT_REC_SPILLED;
}

/* ring_fits - whether a record with so many ranges and words fit one record. */
static inline bool ring_fits(size_t nranges, size_t nwords)
{
	size_t n = FMT_REC_HEAD + nranges + 2 * nwords;

	if (nranges > FMT_REC_MAX_RANGES)
		return false;
	return n <= FMT_RING_RECORD / FMT_WORD;
}

/* ring_write - store and flush record txn; the caller fences. */
void ring_write(struct ring *ring, uint64_t txn, uint64_t durable_upto,
                const struct ring_range *ranges, size_t nranges, const struct ring_word *words,
                size_t nwords);

/* ring_write_spilled - the same for a record whose words lie in spill pages, already fenced. */
void ring_write_spilled(struct ring *ring, uint64_t txn, uint64_t durable_upto, uint64_t spill_off,
                        uint64_t nwords, uint32_t crc);

/* ring_read - understand the record at index (0 .. FMT_RING_RECORDS - 1). false: no valid record is
 * there. */
bool ring_read(const struct ring *ring, unsigned int index, struct ring_record *record);

/* ring_fresh_ok - whether the fresh bytes that the record names are all there. Always true for a
 * spilled one. */
bool ring_fresh_ok(const struct ring *ring, const struct ring_record *record);

#endif
