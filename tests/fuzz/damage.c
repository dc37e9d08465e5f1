/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * damage.c - stores of some MiB with damage as it happens: ranges overwritten, pages swapped,
 * zeroed, gone back to older content, the file cut off anywhere.
 *
 *   damage [--cases N] [--seed S] [--jobs N] cases S to S + N - 1 (1000, 1), in N processes (one
 *     for each processor)
 *
 * A case is a function of its number. The file is opened, checked, read in all databases by cursors
 * and by keys; some cases also run kv's commands. No call may crash or hang, whatever it returns.
 * And:
 *
 *   - what the check passes reads as it did before the damage, unless pages went back to older
 *     content, which have the right checksums;
 *   - a store that the check passes can be changed, and is in order afterwards.
 */
#include "base/format.h"
#include "command.h"
#include "jobs.h"
#include "probe.h"
#include "rng.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT      256u
#define DAMAGES   5u  /* at most, in a case */
#define DATABASES 16u /* in a sample, at most */
#define COMMANDS  20u /* percent of cases in which kv's commands run */

enum { CASES, REFUSED, FOUND, UNSEEN, OLDER };

static struct {
	uint32_t page_size;
	unsigned int scale;
	enum sample_state state;
	struct sample sample;
	uint64_t right, before; /* hashes of what a reader sees: of all, without the last commit */
} stores[] = {
    {.page_size = 4096, .scale = 40, .state = SAMPLE_CLOSED},
    {.page_size = 512, .scale = 20, .state = SAMPLE_KILLED},
    {.page_size = 4096, .scale = 1, .state = SAMPLE_CUT},
    {.page_size = 512, .scale = 6, .state = SAMPLE_SPILLED},
    {.page_size = 32768, .scale = 10, .state = SAMPLE_KILLED},
    {.page_size = 512, .scale = 2, .state = SAMPLE_CLOSED},
};
#define STORES (sizeof stores / sizeof *stores)

struct damaged {
	uint8_t *bytes;
	size_t used, size, file; /* file: its length; size: of bytes */
	uint32_t page;
	bool older;
	struct rng rng;
};

/* ---- damage ---------------------------------------------------------------------------------- */

static size_t some_page(struct damaged *d)
{
	return rng_below(&d->rng, d->used / d->page) * d->page;
}

/* overwrite - a range that begins anywhere: random bytes, one byte again and again, or what stands
 * elsewhere. */
static void overwrite(struct damaged *d)
{
	size_t at = rng_below(&d->rng, d->used),
	       n = 1 + rng_below(&d->rng, rng_percent(&d->rng, 70) ? 32 : 3000);
	static const uint8_t same[] = {0, 0xff, 0x55};

	n = n < d->used - at ? n : d->used - at;
	switch (rng_below(&d->rng, 3)) {
	case 0:
		rng_fill(rng_next(&d->rng), d->bytes + at, n);
		break;
	case 1:
		memset(d->bytes + at, same[rng_below(&d->rng, sizeof same)], n);
		break;
	default:
		memmove(d->bytes + at, d->bytes + rng_below(&d->rng, d->used - n + 1), n);
		break;
	}
}

/* number - a field takes a value of the kind that offsets, lengths and counts have. */
static void number(struct damaged *d)
{
	const uint64_t values[] = {0,
	                           1,
	                           d->page,
	                           d->page - 1,
	                           UINT64_MAX,
	                           d->size,
	                           d->size - d->page,
	                           some_page(d),
	                           (uint64_t)1 << rng_below(&d->rng, 64),
	                           0 - (uint64_t)d->page,
	                           rng_next(&d->rng)};
	size_t width = (size_t)2 << rng_below(&d->rng, 3),
	       at = rng_below(&d->rng, d->used / width) * width;
	uint64_t value = values[rng_below(&d->rng, sizeof values / sizeof *values)];

	memcpy(d->bytes + at, &value, width);
}

static void pages(struct damaged *d, const struct sample *s)
{
	size_t a = some_page(d), b = some_page(d);
	static uint8_t page[FMT_PAGE_MAX];

	memcpy(page, d->bytes + a, d->page);
	switch (rng_below(&d->rng, 4)) {
	case 0:
		memset(d->bytes + a, 0, d->page);
		break;
	case 1:
		memcpy(d->bytes + a, d->bytes + b, d->page);
		break;
	case 2:
		memcpy(d->bytes + a, d->bytes + b, d->page);
		memcpy(d->bytes + b, page, d->page);
		break;
	default:
		if (a + d->page > s->older_size)
			break;
		memcpy(d->bytes + a, s->older + a, d->page);
		d->older = true;
		break;
	}
}

static void damage(struct damaged *d, const struct sample *s)
{
	for (uint64_t n = 1 + rng_below(&d->rng, DAMAGES); n > 0; n--)
		switch (rng_below(&d->rng, 10)) {
		case 0:
			d->file = rng_percent(&d->rng, 50) ? rng_below(&d->rng, d->size + 1)
			                                   : some_page(d);
			break;
		case 1:
		case 2:
		case 3:
			overwrite(d);
			break;
		case 4:
		case 5:
		case 6:
			number(d);
			break;
		default:
			pages(d, s);
			break;
		}
}

/* ---- a case ---------------------------------------------------------------------------------- */

static void commands_run(const struct damaged *d)
{
	struct memfile f;

	memfile_open_named(&f);
	memfile_set(&f, d->bytes, d->used < d->file ? d->used : d->file, d->file);
	(void)command_run((const char *const[]){"check", f.path, NULL}, NULL);
	(void)command_run((const char *const[]){"dump", f.path, NULL}, NULL);
	(void)command_run((const char *const[]){"dump", f.path, "-p", "--db", "dups", NULL}, NULL);
	(void)command_run((const char *const[]){"stat", f.path, "--json", NULL}, NULL);
	(void)command_run((const char *const[]){"list", f.path, NULL}, NULL);
	(void)command_run((const char *const[]){"info", f.path, NULL}, NULL);
	(void)command_run((const char *const[]){"scan", f.path, "--from", "b", "--reverse", NULL},
	                  NULL);
	(void)command_run((const char *const[]){"count", f.path, "--from", "b", NULL}, NULL);
	(void)command_run((const char *const[]){"stat", f.path, "--openmetrics", NULL}, NULL);
	memfile_close(&f);
}

/* changes_run - the commands that change a store, one after the other. */
static void changes_run(const struct damaged *d)
{
	static const char *const changes[][6] = {
	    {"put", "a key 7", "value", "--return-old"},
	    {"put", "a key 8", "value", "--expect", "nothing"},
	    {"del", "--prefix", "a key 1"},
	    {"copy", "dups", "copied"},
	    {"del", "--db", "copied", "--from", "a"},
	    {"rename", "copied", "renamed"},
	    {"drop", "dups", "--empty"},
	    {"drop", "renamed"},
	};
	struct memfile f;

	memfile_open_named(&f);
	memfile_set(&f, d->bytes, d->used < d->file ? d->used : d->file, d->file);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		const char *arguments[10] = {changes[i][0], f.path};
		size_t n = 2;

		for (size_t k = 1; k < 6 && changes[i][k]; k++)
			arguments[n++] = changes[i][k];
		arguments[n++] = "--pmem";
		arguments[n++] = "force";
		(void)command_run(arguments, NULL);
	}
	memfile_close(&f);
}

static bool judge(unsigned int store, const struct damaged *d, const struct probe_result *r,
                  uint64_t counters[JOBS_COUNTERS])
{
	counters[CASES]++;
	counters[r->open ? REFUSED : r->faults ? FOUND : UNSEEN]++;
	if (r->open || r->faults || r->hash == stores[store].right)
		return true;
	if (d->older || r->hash == stores[store].before) {
		counters[OLDER]++;
		return true;
	}
	printf("damage: the check finds nothing, and a reader sees something else\n");
	return false;
}

static bool damage_one(uint64_t number, uint64_t counters[JOBS_COUNTERS], void *arg)
{
	static struct memfile file;
	static bool made;
	unsigned int store = (unsigned int)(number % STORES);
	const struct sample *s = &stores[store].sample;
	struct damaged d = {.bytes = malloc(s->size),
	                    .used = s->used,
	                    .size = s->size,
	                    .file = s->size,
	                    .page = stores[store].page_size};
	char text[TEXT] = "";

	(void)arg;
	if (!d.bytes)
		return false;
	if (!made)
		memfile_open(&file);
	made = true;
	memcpy(d.bytes, s->bytes, s->size);
	rng_seed(&d.rng, number);
	damage(&d, s);
	memfile_set(&file, d.bytes, d.used < d.file ? d.used : d.file, d.file);
	struct probe_result r = probe_read(file.path, false);
	bool well = judge(store, &d, &r, counters);
	uint64_t lost;

	(void)probe_salvage(file.path, &lost);
	if (!r.open && !r.faults && !probe_write(file.path, number, text)) {
		printf("damage: a store that the check passed: %s\n", text);
		well = false;
	}
	if (!r.open && r.faults)
		probe_change(file.path, number);
	if (rng_percent(&d.rng, COMMANDS))
		commands_run(&d);
	if (rng_percent(&d.rng, COMMANDS))
		changes_run(&d);
	free(d.bytes);
	return well;
}

static uint64_t hash_of(const struct sample *s)
{
	struct memfile f;

	memfile_open(&f);
	memfile_set(&f, s->bytes, s->used, s->size);
	struct probe_result r = probe_read(f.path, false);
	const struct probe_result once = probe_read(f.path, true);
	uint64_t lost, saved = probe_salvage(f.path, &lost);

	memfile_close(&f);
	/* A reader sees the catalog entries as well. */
	if (lost || saved > once.pairs || saved + DATABASES < once.pairs) {
		fprintf(stderr, "damage: of %lu entries %lu were salvaged, %lu places lost\n",
		        (unsigned long)once.pairs, (unsigned long)saved, (unsigned long)lost);
		exit(1);
	}
	if (!r.open && !r.faults && r.pairs > 100)
		return r.hash;
	fprintf(stderr, "damage: a store is not sound to begin with: open %d, %lu faults (%s)\n",
	        r.open, (unsigned long)r.faults, r.first);
	exit(1);
}

static void stores_make(void)
{
	for (unsigned int i = 0; i < STORES; i++) {
		struct sample *s = &stores[i].sample;

		sample_make(s, stores[i].state, stores[i].page_size, stores[i].scale);
		stores[i].right = stores[i].before = hash_of(s);
		if (stores[i].state != SAMPLE_CUT && stores[i].state != SAMPLE_SPILLED)
			continue;
		uint8_t *newest = s->bytes + sample_record_newest(s);

		newest[0] ^= 1;
		stores[i].before = hash_of(s);
		newest[0] ^= 1;
	}
}

static int usage(void)
{
	fprintf(stderr, "usage: damage [--cases N] [--seed S] [--jobs N]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"cases", 1, NULL, 'c'}, {"jobs", 1, NULL, 'j'}, {"seed", 1, NULL, 's'}, {0}};
	uint64_t counters[JOBS_COUNTERS] = {0}, cases = 1000, seed = 1;
	unsigned int jobs = jobs_processors();
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t number = optarg ? strtoul(optarg, NULL, 10) : 0;

		if (c == 'c' && number)
			cases = number;
		else if (c == 'j' && number)
			jobs = (unsigned int)number;
		else if (c == 's')
			seed = number;
		else
			return usage();
	}
	if (optind != argc)
		return usage();
	stores_make();
	bool well = jobs_run(jobs, seed, seed + cases, 1, damage_one, NULL,
	                     "build/tests/damage --cases 1 --seed %lu", counters);

	printf("damage: %lu damaged stores: %lu refused at open, %lu found by the check, %lu "
	       "harmless or unseen (of these %lu with older "
	       "content)\n",
	       (unsigned long)counters[CASES], (unsigned long)counters[REFUSED],
	       (unsigned long)counters[FOUND], (unsigned long)counters[UNSEEN],
	       (unsigned long)counters[OLDER]);
	for (unsigned int i = 0; i < STORES; i++)
		sample_free(&stores[i].sample);
	return well ? 0 : 1;
}
