/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_ring.c - the ring of commit records against the state that is checked. See check_walk.h
 *
 * Three questions: is each index either empty or a record that belongs there; are the records
 * there that the next recovery needs; and do the newest record's words have the values in place
 * that it says, with its fresh bytes whole. Older records are only looked at as far as recovery
 * would: what they name may have been freed and used again since.
 */
#include "base/crc.h"
#include "check/check_walk.h"

struct record {       /* one whose hash is right */
	uint64_t off; /* where it lies in the file */
	uint64_t txn;
	/* all up to this transaction is in place and durable: recovery begins behind it */
	uint64_t durable_upto;
	/* of the checksums of its ranges. ranges and words count what the record itself lists; both
	 * are 0 when it is spilled */
	uint32_t fresh_crc;
	uint32_t ranges;
	uint32_t words;
	bool spilled;
};

enum index_state { INDEX_EMPTY, INDEX_INVALID, INDEX_RECORD };

/* index_off - where the record of a transaction lies. Whether it is there is not said by this. */
static uint64_t index_off(const struct check *ck, uint64_t txn)
{
	return ck->super.ring_off + txn % ck->super.ring_records * ck->super.ring_record_size;
}

/* record_word - word i of a record. i counts from the record's begin, and was bounded with its
 * lengths. */
static uint64_t record_word(const struct check *ck, const struct record *rec, uint32_t i)
{
	return get64(ck->base + rec->off + i * FMT_WORD);
}

/* index_read - take a record apart. The lengths come before the hash that covers them, so they are
 * bounded first. INVALID: a hash or a length that cannot be, as a crash leaves them in the middle
 * of a record. The hash begins with the file's id, so that a record of another file does not count.
 * A spilled record has three words more: where the chain begins, how many words it has, and their
 * checksum. */
static enum index_state index_read(const struct check *ck, uint64_t off, struct record *rec)
{
	const uint8_t *p = ck->base + off;
	uint64_t txn = get64(p);
	uint64_t hash = get64(p + 8);
	uint64_t head = get64(p + 16);
	uint64_t back = head >> 48;
	uint64_t got;
	uint32_t ranges = (uint32_t)(head >> 32 & 0xff);
	uint32_t words = (uint32_t)(head >> 40 & 0xff);
	uint32_t last;

	if (txn == 0 && hash == 0 && head == 0)
		return INDEX_EMPTY;
	*rec = (struct record){
	    .off = off,
	    .txn = txn,
	    .fresh_crc = (uint32_t)head,
	    .spilled = ranges == FMT_REC_SPILLED,
	};
	if (rec->spilled)
		rec->ranges = 0;
	else
		rec->ranges = ranges;
	if (rec->spilled)
		rec->words = 0;
	else
		rec->words = words;
	rec->durable_upto = txn - back;
	last = FMT_REC_HEAD + (rec->spilled ? 3 : rec->ranges + 2 * rec->words);
	if (rec->ranges > FMT_REC_MAX_RANGES)
		return INDEX_INVALID;
	if (last * FMT_WORD > ck->super.ring_record_size)
		return INDEX_INVALID;
	if (back == 0)
		return INDEX_INVALID;
	if (back > txn)
		return INDEX_INVALID;
	if (txn >> FMT_CLEAN_BITS)
		return INDEX_INVALID;
	got =
	    hash64(hash64(ck->super.file_id, p, FMT_WORD), p + 2 * FMT_WORD, (last - 2) * FMT_WORD);
	if (got == hash)
		return INDEX_RECORD;
	return INDEX_INVALID;
}

/* word_check - one word of a record that recovery may store. in_place: it must have its value
 * already. pair: the word's place in the file, and its value. */
static void word_check(struct check *ck, uint64_t txn, const uint8_t *pair, bool in_place)
{
	uint64_t off = get64(pair);
	uint64_t value = get64(pair + FMT_WORD);

	if (off % FMT_WORD != 0 || off > ck->limit - FMT_WORD)
		check_fault(ck, NULL, "record %lu: word 0x%lx is outside the file or not aligned",
		            txn, off);
	else if (in_place && get64(ck->base + off) != value)
		check_fault(ck, NULL,
		            "record %lu: word 0x%lx is not in place: 0x%lx instead of 0x%lx", txn,
		            off, get64(ck->base + off), value);
}

/* spill_check - the chain of pages that holds a large record's words; a chain longer than the file
 * has pages is a loop. The checksum is of all pairs of the chain, in its order. A page that makes
 * no sense ends the check, because the rest cannot be found. */
static void spill_check(struct check *ck, const struct record *rec, bool in_place)
{
	uint64_t off = record_word(ck, rec, FMT_REC_HEAD);
	uint64_t left = record_word(ck, rec, FMT_REC_HEAD + 1);
	uint64_t steps = 0;
	uint32_t want = (uint32_t)record_word(ck, rec, FMT_REC_HEAD + 2);
	uint32_t crc = 0;

	while (left > 0) {
		struct fmt_spill page;

		if (off == 0 || off % ck->page_size != 0 || off >= ck->limit ||
		    steps++ > ck->pages) {
			check_fault(ck, NULL,
			            "record %lu: spill page 0x%lx is outside the file, or the "
			            "chain has a loop",
			            rec->txn, off);
			return;
		}
		memcpy(&page, ck->base + off, sizeof page);
		if (page.page.type != FMT_SPILL || page.pairs == 0 || page.pairs > left ||
		    page.pairs > (ck->page_size - FMT_SPILL_PAIRS) / (2 * FMT_WORD)) {
			check_fault(ck, NULL,
			            "record %lu: spill page 0x%lx has type %u and %lu words of the "
			            "%lu that are missing",
			            rec->txn, off, page.page.type, page.pairs, left);
			return;
		}
		for (uint64_t i = 0; i < page.pairs; i++)
			word_check(ck, rec->txn,
			           ck->base + off + FMT_SPILL_PAIRS + i * 2 * FMT_WORD, in_place);
		crc = crc32c(crc, ck->base + off + FMT_SPILL_PAIRS, page.pairs * 2 * FMT_WORD);
		left -= page.pairs;
		off = page.page.prev;
	}
	if (crc != want)
		check_fault(ck, NULL, "record %lu: crc of its spilled words does not match",
		            rec->txn);
}

/* fresh_check - what recovery asks of the newest record: without it the commit would be taken back.
 * A range is named by its place and its length in units of four bytes. The checksum is of the
 * ranges' checksums, so that each can be taken by itself. */
static void fresh_check(struct check *ck, const struct record *rec)
{
	uint32_t crc = 0;

	for (uint32_t i = 0; i < rec->ranges; i++) {
		uint64_t range = record_word(ck, rec, FMT_REC_HEAD + i);
		uint64_t off = range >> 16;
		uint64_t len = (range & 0xffff) * 4;
		uint32_t one;

		if (off >= ck->limit || len > ck->limit - off) {
			check_fault(ck, NULL, "record %lu: fresh range 0x%lx is outside the file",
			            rec->txn, off);
			return;
		}
		one = crc32c(0, ck->base + off, len);
		crc = crc32c(crc, &one, sizeof one);
	}
	if (crc != rec->fresh_crc)
		check_fault(ck, NULL, "record %lu: crc of its fresh ranges does not match",
		            rec->txn);
}

/*
 * record_check - a record by its age. One that recovery would still use names live places of the
 * file. Of an older one only the form is left: its pages may have got another life, and its part of
 * the file may be gone.
 */
static void record_check(struct check *ck, const struct record *rec, uint64_t first_used)
{
	bool newest = rec->txn == ck->txn;
	bool used = rec->txn >= first_used;

	if (newest && used)
		fresh_check(ck, rec);
	if (rec->spilled && used)
		spill_check(ck, rec, newest);
	for (uint32_t i = 0; i < rec->words && (used || newest); i++)
		word_check(ck, rec->txn,
		           ck->base + rec->off + (FMT_REC_HEAD + rec->ranges + 2 * i) * FMT_WORD,
		           newest);
}

/* newest_find - the newest record, its transaction 0 when there is none. Places that do not hold
 * what they should are reported. A record whose number belongs to another index, or is ahead of the
 * state, is not taken for the newest. */
static void newest_find(struct check *ck, struct record *newest)
{
	for (uint64_t i = 0; i < ck->super.ring_records; i++) {
		struct record rec;
		uint64_t off = ck->super.ring_off + i * ck->super.ring_record_size;
		enum index_state state = index_read(ck, off, &rec);

		if (state == INDEX_EMPTY)
			continue;
		if (state == INDEX_INVALID) {
			/* What a crash left of the commit that did not happen lies where the next
			 * one will be written. */
			if (i != (ck->txn + 1) % ck->super.ring_records)
				check_fault(
				    ck, NULL,
				    "ring index %lu: its record is not valid (hash or lengths)", i);
			continue;
		}
		if (rec.txn % ck->super.ring_records != i)
			check_fault(ck, NULL, "ring index %lu: record %lu is at the wrong index", i,
			            rec.txn);
		else if (rec.txn > ck->txn)
			check_fault(ck, NULL,
			            "ring index %lu: record %lu is newer than transaction %lu", i,
			            rec.txn, ck->txn);
		else if (rec.txn > newest->txn)
			*newest = rec;
	}
}

/* clean_read - the transaction marked clean. 0, reported, when the mark's checksum is wrong. Then
 * the newest record alone says where recovery begins. */
static uint64_t clean_read(struct check *ck)
{
	const uint64_t txn = ck->super.clean & ((UINT64_C(1) << FMT_CLEAN_BITS) - 1);
	const uint64_t none = 0;
	const uint32_t c = crc32c(0, &txn, sizeof txn) ^ crc32c(0, &none, sizeof none);

	if (ck->super.clean == FMT_CLEAN(txn, c))
		return txn;
	check_fault(ck, NULL, "superblock: clean is 0x%lx, whose checksum does not match",
	            ck->super.clean);
	return 0;
}

/* The order matters for the reader of the reports: a wrong newest record explains most of what
 * follows. An empty ring is sound when all is marked clean: a new store, or a copy, has one. Each
 * index is then read a second time, now that it is known which records recovery would use. */
void check_ring(struct check *ck)
{
	struct record newest = {.txn = 0};
	struct record rec;
	uint64_t first_used;
	uint64_t clean = clean_read(ck);

	newest_find(ck, &newest);
	if (newest.txn == 0) {
		if (clean != ck->txn)
			check_fault(
			    ck, NULL,
			    "superblock: clean is %lu with an empty ring, at transaction %lu",
			    clean, ck->txn);
		return;
	}
	if (newest.txn != ck->txn)
		check_fault(ck, NULL, "ring: newest record is %lu, at transaction %lu", newest.txn,
		            ck->txn);
	if (clean > max_u64(newest.txn, ck->txn))
		check_fault(ck, NULL, "superblock: clean is %lu, behind transaction %lu", clean,
		            ck->txn);
	first_used = max_u64(newest.durable_upto, clean) + 1;
	if (newest.txn - newest.durable_upto > ck->super.ring_records) {
		check_fault(ck, NULL,
		            "record %lu: durable up to %lu only, more than the ring holds",
		            newest.txn, newest.durable_upto);
		first_used = max_u64(first_used, newest.txn - ck->super.ring_records + 1);
	}
	for (uint64_t t = first_used; t <= newest.txn; t++)
		if (index_read(ck, index_off(ck, t), &rec) != INDEX_RECORD || rec.txn != t)
			check_fault(
			    ck, NULL,
			    "ring: a hole: record %lu is needed by recovery and is not there", t);
	for (uint64_t i = 0; i < ck->super.ring_records; i++)
		if (index_read(ck, ck->super.ring_off + i * ck->super.ring_record_size, &rec) ==
		    INDEX_RECORD)
			record_check(ck, &rec, first_used);
}
