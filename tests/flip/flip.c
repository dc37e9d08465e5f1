/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flip.c - every single bit of small stores, flipped: no crash, no hang [I12], and nothing wrong
 * that goes unnoticed.
 *
 *   flip [--step N] [--jobs N] [--fill] [--first B] [--bit B]      every N-th bit (1), in N
 * processes (one for each processor), from bit B on; or that bit alone
 *
 * All bytes of free space and of unused parts of pages and of ring slots are filled with random
 * ones first, again and again: as nobody sees that, no bit there can do harm by itself. --fill, for
 * slow builds: these bits are not flipped one by one as well.
 *
 * Four stores with pages of 512 bytes (tests/fuzz/sample.h), with all kinds of databases: closed,
 * killed, cut off behind its last commit, and the same with that commit's words spilled. Bits are
 * numbered through all of them. For each the file is opened read-only, checked, and read from end
 * to end in all databases.
 *
 * A flip must be refused at open or found by the check; or nobody reads the byte: that is so in the
 * areas at the end of areas.h only, and what a reader sees is then the same. One more may be: in
 * the newest record, or in bytes that its checksum covers, a flip looks like a commit that did not
 * finish (docs/DESIGN.md, 15); where its words are not in place yet, all of that transaction is
 * gone, and nothing else.
 *
 * A store that was closed needs neither its ring nor the mark that says so: no flip there may have
 * it refused, or show anything else.
 */
#include "areas.h"
#include "jobs.h"
#include "probe.h"
#include "rng.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILLS 64u

enum {
	FLIPS,
	REFUSED,
	FOUND,
	TAKEN_BACK,
	UNSEEN,
	OUTCOMES = UNSEEN + AREAS
}; /* counters: UNSEEN + area for each */

static struct store {
	struct sample sample;
	uint8_t *area, *named;
	uint64_t first_bit;
	uint64_t right, before; /* hashes: of all, and of the state before the last commit */
} stores[SAMPLE_STATES];

static struct memfile file = {.fd = -1};

static void show(const struct store *s, size_t byte, unsigned int bit, const char *what)
{
	printf("flip: store %s, byte 0x%zx bit %u (%s): %s\n",
	       sample_state_name((enum sample_state)(s - stores)), byte, bit,
	       area_name(s->area[byte]), what);
}

/* not_needed - by a closed store. */
static bool not_needed(enum area area)
{
	return area == AREA_RECORD || area == AREA_NEWEST || area == AREA_CLEAN ||
	       area == AREA_RECORD_REST || area == AREA_RECORD_NONE || area == AREA_FOLLOWER;
}

/* judge - what became of a flip; false when it is not as it should be. */
static bool judge(const struct store *s, size_t byte, unsigned int bit,
                  const struct probe_result *r, uint64_t counters[JOBS_COUNTERS])
{
	enum area area = s->area[byte];

	counters[FLIPS]++;
	if (s == &stores[SAMPLE_CLOSED] && not_needed(area) && (r->open || r->hash != s->right)) {
		show(s, byte, bit,
		     "a closed store cannot be read because of what it does not need");
		return false;
	}
	if (r->open || r->faults) {
		counters[r->open ? REFUSED : FOUND]++;
		return true;
	}
	if (r->hash == s->right && area >= AREAS_READ) {
		counters[UNSEEN + area]++;
		return true;
	}
	if (r->hash == s->before && s->before != s->right &&
	    (area == AREA_NEWEST || s->named[byte])) {
		counters[TAKEN_BACK]++;
		return true;
	}
	show(s, byte, bit,
	     r->hash == s->right ? "the check finds nothing in bytes that it should read"
	                         : "the check finds nothing, and a reader sees something else");
	return false;
}

/* idle - whether a byte is of those that are filled: what is there takes part in nothing, not in
 * an order or in a checksum either. */
static bool idle(const struct store *s, size_t byte)
{
	return s->area[byte] >= AREA_LEAF_REST && s->area[byte] != AREA_FOLLOWER && !s->named[byte];
}

/* fill_one - all idle bytes of a store are random ones: nothing changes for a reader or the
 * check. */
static bool fill_one(uint64_t number, uint64_t counters[JOBS_COUNTERS], void *arg)
{
	const struct store *s = &stores[number % SAMPLE_STATES];
	uint8_t *image = malloc(s->sample.size);
	struct memfile f;

	(void)arg;
	(void)counters;
	if (!image)
		return false;
	rng_fill(number, image, s->sample.size);
	for (size_t i = 0; i < s->sample.size; i++)
		if (!idle(s, i))
			image[i] = s->sample.bytes[i];
	memfile_open(&f);
	memfile_set(&f, image, s->sample.size, s->sample.size);
	struct probe_result r = probe_read(f.path, true);

	memfile_close(&f);
	free(image);
	if (!r.open && !r.faults && r.hash == s->right)
		return true;
	printf("flip: store %s: random bytes where nobody reads: open %d, %lu faults (%s)\n",
	       sample_state_name((enum sample_state)(s - stores)), r.open, (unsigned long)r.faults,
	       r.first);
	return false;
}

static bool flip_one(uint64_t number, uint64_t counters[JOBS_COUNTERS], void *arg)
{
	static const struct store *shown;
	struct store *s = stores;

	for (unsigned int i = 1; i < SAMPLE_STATES; i++)
		if (number >= stores[i].first_bit)
			s = &stores[i];
	if (arg && idle(s, (number - s->first_bit) / 8))
		return true;
	if (file.fd < 0)
		memfile_open(&file);
	if (s != shown)
		memfile_set(&file, s->sample.bytes, s->sample.used, s->sample.size);
	shown = s;
	size_t byte = (number - s->first_bit) / 8;
	unsigned int bit = (number - s->first_bit) % 8;
	uint8_t flipped = (uint8_t)(s->sample.bytes[byte] ^ 1u << bit);

	if (pwrite(file.fd, &flipped, 1, (off_t)byte) != 1)
		return false;
	struct probe_result r = probe_read(file.path, true);

	return pwrite(file.fd, &s->sample.bytes[byte], 1, (off_t)byte) == 1 &&
	       judge(s, byte, bit, &r, counters);
}

static struct probe_result read_image(const struct sample *s)
{
	struct memfile f;

	memfile_open(&f);
	memfile_set(&f, s->bytes, s->used, s->size);
	struct probe_result r = probe_read(f.path, true);

	memfile_close(&f);
	return r;
}

/* store_make - the sample, its areas, and what a reader sees of it, with the newest record and
 * without. */
static uint64_t store_make(struct store *s, enum sample_state state, uint64_t first_bit)
{
	sample_make(&s->sample, state, 512, 1);
	s->area = areas_map(&s->sample, &s->named);
	s->first_bit = first_bit;
	struct probe_result r = read_image(&s->sample);

	if (r.open || r.faults || r.pairs < 100) {
		fprintf(stderr,
		        "flip: the store is not sound to begin with: open %d, %lu faults (%s), %lu "
		        "pairs\n",
		        r.open, (unsigned long)r.faults, r.first, (unsigned long)r.pairs);
		exit(1);
	}
	s->right = s->before = r.hash;
	if (state == SAMPLE_CUT || state == SAMPLE_SPILLED) {
		uint8_t *newest = memchr(s->area, AREA_NEWEST, s->sample.size),
		        *byte = s->sample.bytes + (newest - s->area);

		*byte ^= 1;
		r = read_image(&s->sample);
		*byte ^= 1;
		s->before = r.hash;
		if (r.open || r.faults || s->before == s->right) {
			fprintf(stderr, "flip: there is no state before the last commit\n");
			exit(1);
		}
	}
	return first_bit + s->sample.used * 8;
}

static void report(const uint64_t c[JOBS_COUNTERS], bool fill)
{
	uint64_t unseen = 0;

	for (unsigned int a = AREAS_READ; a < AREAS; a++)
		unseen += c[UNSEEN + a];
	printf("flip: %lu bits of %u stores: %lu refused at open, %lu found by the check, %lu "
	       "taken for a commit that did not finish, %lu "
	       "in bytes that nobody reads:\n",
	       (unsigned long)c[FLIPS], SAMPLE_STATES, (unsigned long)c[REFUSED],
	       (unsigned long)c[FOUND], (unsigned long)c[TAKEN_BACK], (unsigned long)unseen);
	for (unsigned int a = AREAS_READ; a < AREAS; a++)
		if (!fill || c[UNSEEN + a])
			printf("  %8lu %s\n", (unsigned long)c[UNSEEN + a],
			       area_name((enum area)a));
}

static int usage(void)
{
	fprintf(stderr, "usage: flip [--step N] [--jobs N] [--fill] [--first B] [--bit B]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"step", 1, NULL, 's'}, {"jobs", 1, NULL, 'j'},
	                                        {"bit", 1, NULL, 'b'},  {"first", 1, NULL, 'i'},
	                                        {"fill", 0, NULL, 'f'}, {0}};
	uint64_t counters[JOBS_COUNTERS] = {0}, step = 1, from = 0, to = 0, bit = UINT64_MAX;
	unsigned int jobs = jobs_processors();
	bool fill = false, well = true;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t number = optarg ? strtoul(optarg, NULL, 10) : 0;

		if (c == 's' && number)
			step = number;
		else if (c == 'j' && number)
			jobs = (unsigned int)number;
		else if (c == 'b')
			bit = number;
		else if (c == 'f')
			fill = true;
		else if (c == 'i')
			from = number;
		else
			return usage();
	}
	if (optind != argc)
		return usage();
	for (unsigned int i = 0; i < SAMPLE_STATES; i++)
		to = store_make(&stores[i], (enum sample_state)i, to);
	if (bit < to) {
		from = bit;
		to = bit + 1;
		jobs = 1;
	}
	if (bit == UINT64_MAX) {
		well = jobs_run(jobs, 0, FILLS * SAMPLE_STATES, 1, fill_one, NULL,
		                "build/tests/flip (fill %lu)", counters);
		printf("flip: bytes that take part in nothing were filled %u times in each store\n",
		       FILLS);
	}
	well &= jobs_run(jobs, from, to, step, flip_one, fill ? &fill : NULL,
	                 "build/tests/flip --bit %lu", counters);

	report(counters, fill);
	for (unsigned int i = 0; i < SAMPLE_STATES; i++) {
		free(stores[i].area);
		free(stores[i].named);
		sample_free(&stores[i].sample);
	}
	return well ? 0 : 1;
}
