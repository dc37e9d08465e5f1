/* SPDX-License-Identifier: BSD-3-Clause */
/* explore.c - see explore.h */
#include "explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"

#define EXHAUSTIVE 6u /* units of which every subset is tried */
#define SEEN_SIZE  65536u
#define PICK_NONE  (-1)
#define PICK_TORN  (-2)
#define WORDS_MAX  (4096u / CRASH_WORD)

struct explore explore;

static struct picks {
	size_t n; /* of crash_pm.dirty */
	uint32_t *unit;
	int32_t *pick; /* a version, or PICK_ */
} picks;

static uint64_t *seen; /* hashes of images */
static size_t nseen;
static uint64_t seen_epoch;

void explore_start(const struct explore_config *config)
{
	explore = (struct explore){.config = *config};
	rng_seed(&explore.rng, config->seed ^ 0x6578706c6f7265u);
	picks.unit = calloc(CRASH_ROOM / 64, sizeof *picks.unit);
	picks.pick = calloc(CRASH_ROOM / 64, sizeof *picks.pick);
	seen = calloc(SEEN_SIZE, sizeof *seen);
	if (!picks.unit || !picks.pick || !seen) {
		perror("calloc");
		exit(2);
	}
}

void explore_end(void)
{
	free(picks.unit);
	free(picks.pick);
	free(seen);
}

static void seen_forget(void)
{
	memset(seen, 0, SEEN_SIZE * sizeof *seen);
	nseen = 0;
}

void explore_allow(uint64_t a, bool two, uint64_t b)
{
	explore.allowed[0] = a;
	explore.allowed[1] = b;
	explore.nallowed = two ? 2 : 1;
	seen_forget();
}

bool explore_allows(uint64_t content)
{
	for (unsigned int i = 0; i < explore.nallowed; i++)
		if (explore.allowed[i] == content)
			return true;
	return false;
}

void explore_also(uint64_t content)
{
	if (!explore_allows(content))
		explore.allowed[explore.nallowed++] = content;
	seen_forget();
}

/* seen_add - false: it was there already. */
static bool seen_add(uint64_t hash)
{
	size_t i = (size_t)hash & (SEEN_SIZE - 1);

	if (nseen > SEEN_SIZE / 2 || seen_epoch != crash_pm.epoch)
		seen_forget();
	seen_epoch = crash_pm.epoch;
	hash |= hash == 0;
	for (; seen[i]; i = (i + 1) & (SEEN_SIZE - 1))
		if (seen[i] == hash)
			return false;
	seen[i] = hash;
	nseen++;
	return true;
}

static size_t below(size_t n)
{
	return (size_t)rng_below(&explore.rng, n ? n : 1);
}

/* ---- making an image ------------------------------------------------------------------------- */

/* unit_tear - a mixture of two contents of the unit, word by word: of the later one random words,
 * random sectors, the first, the last, or all but one. */
static void unit_tear(const struct crash_unit *u, uint64_t off, uint8_t *out)
{
	enum { AT_RANDOM, SECTORS, FIRST, LAST, ALL_BUT_ONE, KINDS };
	size_t words = crash_pm.granule / CRASH_WORD, older = below(u->n + 1), newer = below(u->n),
	       cut = below(words), kind = below(KINDS);
	const uint8_t *a = older == u->n ? crash_pm.durable + off : u->version[older],
	              *b = u->version[newer];
	uint64_t bits = 0;

	for (size_t i = 0; i < words; i++) {
		bool later = kind == LAST ? i >= cut : kind == ALL_BUT_ONE ? i != cut : i < cut;

		if (kind == AT_RANDOM || (kind == SECTORS && crash_pm.granule > 512)) {
			if (i % (kind == SECTORS ? 512 / CRASH_WORD : 1) == 0)
				bits = rng_next(&explore.rng);
			later = bits & 1;
		}
		memcpy(out + i * CRASH_WORD, (later ? b : a) + i * CRASH_WORD, CRASH_WORD);
	}
}

/* image_make - patch the image as picked; false: it was tried already, and is the durable one
 * again. */
static bool image_make(bool always)
{
	uint8_t torn[WORDS_MAX * CRASH_WORD];
	uint64_t hash = explore.allowed[0] ^ explore.nallowed;
	const uint64_t other = crash_pm.size_before ? crash_pm.size_before : crash_pm.size_sure;
	uint64_t size = other && below(2) ? other : crash_pm.size;
	bool any_torn = false, any_older = false;

	image_length(size);
	for (size_t i = 0; i < picks.n; i++) {
		const struct crash_unit *u = &crash_pm.unit[picks.unit[i]];
		uint64_t off = (uint64_t)picks.unit[i] * crash_pm.granule, salt = off;
		const uint8_t *bytes = torn;

		if (picks.pick[i] == PICK_NONE)
			continue;
		if (picks.pick[i] == PICK_TORN)
			unit_tear(u, off, torn);
		else
			bytes = u->version[picks.pick[i]];
		any_torn |= picks.pick[i] == PICK_TORN;
		any_older |= picks.pick[i] >= 0 && picks.pick[i] + 1 < (int32_t)u->n;
		if (memcmp(bytes, crash_pm.durable + off, crash_pm.granule) == 0)
			continue;
		hash ^= hash64(hash64(1, &salt, sizeof salt), bytes, crash_pm.granule);
		image_patch(off, bytes, crash_pm.granule);
	}
	if (!seen_add(hash ^ size) && !always) {
		explore.counts.same++;
		image_reset();
		return false;
	}
	explore.counts.torn += any_torn;
	explore.counts.older += any_older;
	return true;
}

static void verdict(const struct image_found *found)
{
	if (found->content == explore.allowed[0])
		explore.counts.acked++;
	else if (explore_allows(found->content))
		explore.counts.next++;
	else
		explore.fail("the image holds neither the last acknowledged transaction nor the "
		             "one in flight");
}

/* image_try - number the image, open it and compare. always: also when another image alone is asked
 * for. */
static void image_try(struct image_found *found, bool always)
{
	uint64_t number = ++explore.counts.images;
	bool read_again = below(8) == 0, plain = below(200) == 0, bare = below(16) == 0;
	unsigned int damage = (unsigned int)below(512);
	struct image_found other;

	if (explore.config.only && number > explore.config.only)
		explore.done();
	if (explore.config.only && number != explore.config.only && !always)
		return;
	explore.counts.opened++;
	if (explore.config.save_path && number == explore.config.only &&
	    image_copy(explore.config.save_path)) {
		perror(explore.config.save_path);
		exit(2);
	}
	if (plain && !image_plain(explore.config.plain_path, &other))
		explore.fail("the image cannot be opened for reading");
	if (!image_open(found))
		explore.fail("the image is not a whole store");
	explore.counts.replayed += found->replayed > 0;
	verdict(found);
	if (plain && other.content != found->content)
		explore.fail("opened for reading, the image holds something else");
	explore.counts.plain += plain;
	explore.counts.second++;
	if (!image_again(found, read_again))
		explore.fail("recovery is not idempotent");
	if (always || !bare) /* always: a run may go on from this image */
		return;
	explore.counts.bare++;
	if (!image_bare(found, damage % 2, damage))
		explore.fail("a clean store needs its ring");
}

static void one(void)
{
	struct image_found found;

	if (!image_make(false))
		return;
	image_try(&found, false);
	image_reset();
}

/* ---- choosing -------------------------------------------------------------------------------- */

static int32_t newest(size_t i)
{
	return (int32_t)crash_pm.unit[picks.unit[i]].n - 1;
}

/* some_version - what is picked of a unit: the newest content mostly, else an older one or a torn
 * one. */
static int32_t some_version(size_t i, unsigned int odd_percent)
{
	if (!rng_percent(&explore.rng, odd_percent))
		return newest(i);
	return below(2) ? PICK_TORN : (int32_t)below((size_t)newest(i) + 1);
}

static void pick_all(bool yes)
{
	for (size_t i = 0; i < picks.n; i++)
		picks.pick[i] = yes ? newest(i) : PICK_NONE;
}

static void subset_exhaustive(void)
{
	for (unsigned int mask = 0; mask < 1u << picks.n; mask++) {
		for (size_t i = 0; i < picks.n; i++)
			picks.pick[i] = mask >> i & 1 ? newest(i) : PICK_NONE;
		one();
	}
}

/* subset_odd - each unit once torn, and once in an older version where it has one, with some of the
 * others. */
static void subset_odd(void)
{
	for (size_t odd = 0; odd < 2 * picks.n; odd++) {
		size_t unit = odd / 2;

		if (odd & 1 && newest(unit) == 0)
			continue;
		for (size_t i = 0; i < picks.n; i++)
			picks.pick[i] = below(4) ? newest(i) : PICK_NONE;
		picks.pick[unit] = odd & 1 ? (int32_t)below((size_t)newest(unit)) : PICK_TORN;
		one();
	}
}

/* subset_random - each unit with a chance that differs from image to image. */
static void subset_random(unsigned int odd_percent)
{
	static const unsigned int chance[] = {50, 50, 90, 10, 97, 75};
	unsigned int percent = chance[below(6)];

	for (size_t i = 0; i < picks.n; i++)
		picks.pick[i] =
		    rng_percent(&explore.rng, percent) ? some_version(i, odd_percent) : PICK_NONE;
	one();
}

static void subset_prefix(void)
{
	size_t n = below(picks.n + 1);

	for (size_t i = 0; i < picks.n; i++)
		picks.pick[i] = i < n ? newest(i) : PICK_NONE;
	one();
}

static void subset_single(bool all_but, bool odd)
{
	size_t i = below(picks.n);

	pick_all(all_but);
	picks.pick[i] = odd ? some_version(i, 100) : all_but ? PICK_NONE : newest(i);
	one();
}

/* units_gather - what is in doubt now, the order of stores roughly kept. */
static void units_gather(void)
{
	picks.n = crash_pm.ndirty;
	memcpy(picks.unit, crash_pm.dirty, picks.n * sizeof *picks.unit);
	if (picks.n > explore.counts.most_units)
		explore.counts.most_units = picks.n;
}

static void subsets(enum crash_point kind)
{
	static const unsigned int budget[POINT_KINDS] = {[POINT_FLUSH] = 2,
	                                                 [POINT_FENCE] = 24,
	                                                 [POINT_FENCED] = 4,
	                                                 [POINT_STORE] = 4,
	                                                 [POINT_CALL] = 8};
	unsigned int n = budget[kind] * explore.config.effort;

	pick_all(false);
	one();
	explore.counts.exhaustive += picks.n <= EXHAUSTIVE;
	if (picks.n == 0)
		return;
	pick_all(true);
	one();
	if (picks.n <= EXHAUSTIVE) {
		subset_exhaustive();
		if (kind != POINT_FLUSH)
			subset_odd();
		for (unsigned int i = 0; i < n / 2; i++)
			subset_random(60);
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		if (i % 4 == 0)
			subset_random(15);
		else if (i % 8 == 1)
			subset_prefix();
		else
			subset_single(i & 1, i % 4 == 3 || below(4) == 0);
	}
}

uint64_t explore_cut(uint8_t *bytes, struct image_found *found)
{
	units_gather();
	for (size_t i = 0; i < picks.n; i++)
		picks.pick[i] = below(2) ? some_version(i, 20) : PICK_NONE;
	(void)image_make(true);
	uint64_t size = image_size();

	memcpy(bytes, image_bytes(), size);
	image_try(found, true);
	image_reset();
	return size;
}

void explore_point(enum crash_point kind)
{
	explore.counts.points++;
	units_gather();
	subsets(kind);
	if (explore.config.crash_one_in && below(explore.config.crash_one_in) == 0)
		explore.crash();
}
