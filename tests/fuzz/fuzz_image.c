/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_image.c - whole store files as input: opened, recovered, checked, read, changed.
 *
 * The input is a file without the zeros at its end. Nothing may crash or hang; and a store that the
 * check passes can be changed, and is in order afterwards.
 */
#include "base/format.h"
#include "fuzz.h"
#include "probe.h"
#include "reseal.h"
#include "rng.h"
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((uint64_t)1 << 20)
#define SEALED   85u /* percent of the mutations that leave the checksums right */

const char fuzz_name[] = "image";

size_t fuzz_seed(unsigned int i, uint8_t **bytes)
{
	static const uint32_t page_sizes[] = {512, 1024};
	struct sample s;

	if (i >= SAMPLE_STATES * 2)
		return 0;
	sample_make(&s, (enum sample_state)(i % SAMPLE_STATES), page_sizes[i / SAMPLE_STATES], 1);
	*bytes = malloc(s.used);
	if (!*bytes || s.used > FUZZ_INPUT_MAX)
		abort();
	memcpy(*bytes, s.bytes, s.used);
	size_t used = s.used;

	sample_free(&s);
	return used;
}

/* ---- mutation -------------------------------------------------------------------------------- */

static uint64_t word_at(const uint8_t *data, size_t size, size_t off)
{
	uint64_t word = 0;

	if (off + 8 <= size)
		memcpy(&word, data + off, 8);
	return word;
}

static size_t page_size_of(const uint8_t *data, size_t size)
{
	uint32_t n = (uint32_t)word_at(data, size, offsetof(struct fmt_super, page_size));

	return n >= FMT_PAGE_MIN && n <= FMT_PAGE_MAX && (n & (n - 1)) == 0 ? n : FMT_PAGE_MIN;
}

/* place - a field of the superblock, a ring slot or a page. */
static size_t place(struct rng *rng, const uint8_t *data, size_t size, size_t psize, size_t width)
{
	size_t page, record = 0, off, first = FMT_SUPER_SIZE + FMT_RING_RECORD * FMT_RING_RECORDS;

	switch (rng_below(rng, 8)) {
	case 0: /* the superblock's first fields; the others are zeros and one directory page */
		off = rng_percent(rng, 50)
		          ? rng_below(rng, 72)
		          : offsetof(struct fmt_super, clean) + rng_below(rng, 136);
		break;
	case 1: /* a record, the newest more often */
		for (size_t i = 0; i < FMT_RING_RECORDS; i++)
			if (word_at(data, size, FMT_SUPER_SIZE + i * FMT_RING_RECORD) >
			    word_at(data, size, FMT_SUPER_SIZE + record * FMT_RING_RECORD))
				record = i;
		record = rng_percent(rng, 70) ? record : rng_below(rng, FMT_RING_RECORDS);
		off = FMT_SUPER_SIZE + record * FMT_RING_RECORD +
		      rng_below(rng, rng_percent(rng, 70) ? 64 : FMT_RING_RECORD);
		break;
	default:
		page = size > first + psize ? first + rng_below(rng, (size - first) / psize) * psize
		                            : 0;
		off = page + rng_below(rng, rng_percent(rng, 40)   ? 32
		                            : rng_percent(rng, 50) ? 200
		                                                   : psize);
		break;
	}
	off = off / width * width;
	return off + width <= size ? off : 0;
}

static void field_mutate(struct rng *rng, uint8_t *data, size_t size)
{
	size_t psize = page_size_of(data, size), width = (size_t)1 << rng_below(rng, 4),
	       off = place(rng, data, size, psize, width);
	uint64_t old = 0, page = rng_below(rng, size / psize + 2) * psize,
	         small = rng_below(rng, 40), bit = rng_below(rng, 8 * width);

	memcpy(&old, data + off, width);
	const uint64_t values[] = {0,
	                           UINT64_MAX,
	                           small,
	                           old + 1,
	                           old - 1,
	                           psize,
	                           psize - small,
	                           page,
	                           page + small,
	                           0 - psize,
	                           0 - page,
	                           size,
	                           (uint64_t)1 << bit,
	                           old ^ (uint64_t)1 << bit,
	                           rng_next(rng),
	                           word_at(data, size, place(rng, data, size, psize, 8))};
	uint64_t value = values[rng_below(rng, sizeof values / sizeof *values)];

	memcpy(data + off, &value, width);
}

/* block_mutate - a run of bytes, or a whole page, from elsewhere. */
static void block_mutate(struct rng *rng, uint8_t *data, size_t size)
{
	size_t psize = page_size_of(data, size), pages = size / psize;
	size_t n = 1 + rng_below(rng, 64);

	if (pages < 2 || size <= n)
		return;
	if (rng_percent(rng, 50))
		memmove(data + rng_below(rng, pages) * psize, data + rng_below(rng, pages) * psize,
		        psize);
	else
		memmove(data + rng_below(rng, size - n), data + rng_below(rng, size - n), n);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t seed)
{
	struct rng rng;

	(void)max;
	rng_seed(&rng, seed);
	if (size < 64)
		return size;
	for (uint64_t n = 1 + rng_below(&rng, 3); n > 0; n--) {
		if (rng_percent(&rng, 90))
			field_mutate(&rng, data, size);
		else
			block_mutate(&rng, data, size);
	}
	if (rng_percent(&rng, SEALED))
		reseal(data, size);
	return size;
}

/* ---- the target ------------------------------------------------------------------------------ */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t file = word_at(data, size, offsetof(struct fmt_super, size));
	static struct memfile f;
	static bool made;
	char text[256] = "";

	if (size > FUZZ_INPUT_MAX)
		return 0;
	if (!made)
		memfile_open(&f);
	made = true;
	memfile_set(&f, data, size, file > size && file <= FILE_MAX ? file : size);
	struct probe_result r = probe_read(f.path, false);
	uint64_t lost;

	(void)probe_salvage(f.path, &lost);

	if (!r.open && !r.faults && !probe_write(f.path, r.hash, text)) {
		fprintf(stderr, "fuzz-image: a store that the check passed: %s\n", text);
		abort();
	}
	if (!r.open && r.faults)
		probe_change(f.path, r.hash);
	return 0;
}
