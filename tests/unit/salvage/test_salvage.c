/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_salvage.c - stores with pages overwritten by noise: what lies in untouched pages comes back,
 * and nothing comes back that was not there.
 *
 * Each entry's key says which database it is of and which number it has, and its value which
 * version of it that is. Keys are put, replaced and deleted again and again, so that free pages
 * have older versions of everything.
 */
#include "rng.h"
#include "small_store.h"

#include <stdlib.h>

#define KEYS      3000u
#define DUPS      3u
#define LARGE     9000u
#define VALUE_MAX (LARGE + 16)

enum { MAIN, PLAIN, INTS, REVERSE, SORTED, DBS };
static const struct {
	const char *name;
	unsigned int flags;
} dbs[DBS] = {{NULL, 0},
              {"plain", 0},
              {"ints", DAXKV_INTEGER_KEY},
              {"reverse", DAXKV_REVERSE_KEY},
              {"sorted", DAXKV_DUP_SORT}};

struct known {
	uint32_t version; /* that was put last */
	bool there;
	uint64_t from, to; /* pages of the value; of several the first */
	uint32_t back;     /* how many of its entries came back: a bit for each */
};

static struct world {
	struct known known[DBS][KEYS];
	uint8_t *bytes;
	uint64_t size;
	uint32_t page_size;
	bool *noise; /* by page */
	bool named;  /* it has more than the main database */
	int db;      /* that entries are of now, DBS: of nobody's */
	unsigned int wrong, places;
} w;

static uint8_t key_room[32], value_room[VALUE_MAX];

static struct daxkv_val key_of(int db, uint32_t i)
{
	if (db == INTS) {
		uint64_t n = (uint64_t)INTS << 56 | (uint64_t)i * 7919 % KEYS << 16 | i;

		memcpy(key_room, &n, sizeof n);
		return bytes(key_room, sizeof n);
	}
	int n = snprintf((char *)key_room, sizeof key_room, "%c-%05u-%05u", 'a' + db,
	                 i * 7919u % KEYS, i);
	return bytes(key_room, (size_t)n);
}

static size_t value_size(int db, uint32_t i, uint32_t version)
{
	if (db <= PLAIN && i % 40 == 0)
		return LARGE;
	return 16 + rng_of(i * 31u + version) % 80;
}

/* value_of - duplicate dup of version; 0 where there are none. */
static struct daxkv_val value_of(int db, uint32_t i, uint32_t version, uint32_t dup)
{
	const size_t n = value_size(db, i, version);

	rng_fill(rng_of((uint64_t)db << 48 | (uint64_t)version << 24 | i), value_room, n);
	snprintf((char *)value_room, n, "%u/%u/", version, dup);
	return bytes(value_room, n);
}

/* number_of - which entry a key is of. */
static bool number_of(const struct daxkv_val *key, int *db, uint32_t *i)
{
	unsigned int mixed, n;
	uint64_t integer;
	char text[32] = "";

	if (key->size == sizeof integer) {
		memcpy(&integer, key->data, sizeof integer);
		*db = INTS;
		*i = integer & 0xffff;
		return integer >> 56 == INTS && *i < KEYS;
	}
	if (key->size >= sizeof text)
		return false;
	memcpy(text, key->data, key->size);
	if (sscanf(text + 1, "-%u-%u", &mixed, &n) != 2 || n >= KEYS)
		return false;
	*db = text[0] - 'a';
	*i = n;
	return *db >= 0 && *db < DBS;
}

static uint32_t dups_of(int db)
{
	return db == SORTED ? DUPS : 1;
}

static void change(struct daxkv_txn *txn, daxkv_db handle, int db, uint32_t i, bool put)
{
	struct known *k = &w.known[db][i];
	struct daxkv_val key = key_of(db, i);

	if (k->there && (!put || db == SORTED))
		OK(daxkv_del(txn, handle, &key, NULL));
	k->there = put;
	k->version += put;
	for (uint32_t dup = 0; put && dup < dups_of(db); dup++) {
		struct daxkv_val value = value_of(db, i, k->version, dup);

		OK(daxkv_put(txn, handle, &key, &value, 0));
	}
}

static void fill(struct daxkv_store *store, uint64_t seed)
{
	struct rng rng;

	rng_seed(&rng, seed);
	for (int round = 0; round < 40; round++) {
		struct daxkv_txn *txn = begin(store);
		daxkv_db handle[DBS] = {DAXKV_MAIN};

		for (int db = PLAIN; db < DBS && w.named; db++)
			handle[db] = db_of(txn, dbs[db].name, dbs[db].flags);
		for (int n = 0; n < 700; n++) {
			int db = w.named ? (int)rng_below(&rng, DBS) : MAIN;

			change(txn, handle[db], db, (uint32_t)rng_below(&rng, KEYS),
			       rng_percent(&rng, 75));
		}
		OK(daxkv_txn_commit(txn));
	}
}

/* pages_find - in which pages each entry lies. */
static void pages_find(struct daxkv_store *store)
{
	struct daxkv_txn *txn = begin_reading(store);

	for (int db = MAIN; db < DBS; db++) {
		daxkv_db handle = DAXKV_MAIN;
		struct daxkv_val name = text(db ? dbs[db].name : "");

		if (db && !w.named)
			break;
		if (db)
			OK(daxkv_db_open(txn, &name, 0, &handle));
		for (uint32_t i = 0; i < KEYS; i++) {
			struct known *k = &w.known[db][i];
			struct daxkv_val key = key_of(db, i), value;
			int rc = daxkv_get(txn, handle, &key, &value);

			assert_int_equal(rc, k->there ? 0 : DAXKV_NOT_FOUND);
			if (rc)
				continue;
			const uint64_t off = (uint64_t)((uint8_t *)value.data - store->map.base);

			k->from = off / w.page_size;
			k->to = (off + value.size - 1) / w.page_size;
		}
	}
	daxkv_txn_abort(txn);
}

/* ---- damage and salvage ---------------------------------------------------------------------- */

enum { SUPER = 1, INNER = 2, DESC = 4 };

/* noise_wanted - percent of all pages are overwritten, and all pages of these kinds. */
static bool noise_wanted(struct rng *rng, const uint8_t *page, uint64_t i, unsigned int percent,
                         unsigned int kinds)
{
	if (i == 0)
		return kinds & SUPER;
	return rng_percent(rng, percent) || (kinds & INNER && page[20] == FMT_INNER) ||
	       (kinds & DESC && page[20] == FMT_DESC);
}

static void noise(const char *file, uint64_t seed, unsigned int percent, unsigned int kinds)
{
	const ssize_t size = w.page_size;
	uint8_t *page = malloc(w.page_size);
	int fd = open(scratch_path(file), O_RDWR | O_CLOEXEC);
	struct rng rng;

	assert_true(fd >= 0 && page);
	rng_seed(&rng, seed);
	for (uint64_t i = 0; i < w.size / w.page_size; i++) {
		const off_t off = (off_t)(i * w.page_size);

		assert_int_equal(pread(fd, page, w.page_size, off), size);
		w.noise[i] = noise_wanted(&rng, page, i, percent, kinds);
		if (!w.noise[i])
			continue;
		rng_fill(rng_next(&rng), page, w.page_size);
		assert_int_equal(pwrite(fd, page, w.page_size, off), size);
	}
	close(fd);
	free(page);
}

static int on_store(unsigned int page_size, uint64_t user_version, void *arg)
{
	(void)user_version;
	(void)arg;
	assert_int_equal(page_size, w.page_size);
	return 0;
}

static int on_database(const struct daxkv_val *name, unsigned int flags, void *arg)
{
	(void)arg;
	w.db = name ? DBS : MAIN;
	for (int db = PLAIN; db < DBS && name; db++)
		if (name->size == strlen(dbs[db].name) &&
		    !memcmp(name->data, dbs[db].name, name->size))
			w.db = db;
	if (w.db < DBS)
		assert_int_equal(flags, dbs[w.db].flags);
	return 0;
}

static int on_entry(const struct daxkv_val *key, const struct daxkv_val *value, void *arg)
{
	struct known *k;
	uint32_t i = 0, dup;
	int db = 0;

	(void)arg;
	assert_true(number_of(key, &db, &i));
	assert_true(w.db == DBS || w.db == db);
	k = &w.known[db][i];
	for (dup = 0; dup < dups_of(db); dup++) {
		struct daxkv_val right = value_of(db, i, k->version, dup);

		if (right.size == value->size && !memcmp(right.data, value->data, right.size))
			break;
	}
	if (!k->there || dup == dups_of(db))
		w.wrong++;
	else
		k->back |= 1u << dup;
	return 0;
}

static void on_lost(const char *what, void *arg)
{
	(void)what;
	(void)arg;
	w.places++;
}

static void salvage(const char *file)
{
	const struct daxkv_salvage to = {on_store, on_database, on_entry, on_lost, NULL};
	uint64_t lost = UINT64_MAX;

	for (int db = MAIN; db < DBS; db++)
		for (uint32_t i = 0; i < KEYS; i++)
			w.known[db][i].back = 0;
	w.wrong = w.places = 0;
	OK(daxkv_salvage(scratch_path(file), &to, &lost));
	assert_int_equal(lost, w.places);
}

/* share_back - percent of the entries in untouched pages that came back. */
static double share_back(void)
{
	uint64_t there = 0, back = 0;

	for (int db = MAIN; db < DBS; db++)
		for (uint32_t i = 0; i < KEYS; i++) {
			const struct known *k = &w.known[db][i];
			bool touched = !k->there;

			for (uint64_t page = k->from; page <= k->to && !touched; page++)
				touched = w.noise[page];
			if (touched)
				continue;
			there += dups_of(db);
			back += (uint64_t)__builtin_popcount(k->back);
		}
	assert_true(there > 0);
	return 100.0 * (double)back / (double)there;
}

static void world_make(uint32_t page_size, bool named, uint64_t seed)
{
	memset(w.known, 0, sizeof w.known);
	w.page_size = page_size;
	w.named = named;
	struct daxkv_store *store = store_new("store", page_size);

	fill(store, seed);
	pages_find(store);
	w.size = store->map.size;
	w.noise = calloc(w.size / page_size + 1, sizeof *w.noise);
	store_image(store, "image");
	store_done(store);
}

static void world_end(void)
{
	free(w.noise);
	w.noise = NULL;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void one(uint32_t page_size, bool named, uint64_t seed, unsigned int kinds)
{
	world_make(page_size, named, seed);
	noise("image", seed, 1, kinds);
	salvage("image");
	const double back = share_back();

	if (w.wrong || back < 95)
		fail_msg("pages of %u, %s, seed %lu, kinds %u: %.1f %% back, %u wrong, %u lost",
		         page_size, named ? "named databases" : "main alone", (unsigned long)seed,
		         kinds, back, w.wrong, w.places);
	world_end();
}

static void all_sizes(uint64_t seed, unsigned int kinds)
{
	for (uint32_t size = 4096; size <= 32768; size *= 2) {
		one(size, true, seed, kinds);
		one(size, false, seed, kinds);
	}
}

static void some_pages_are_noise(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		all_sizes(seed, 0);
}

static void the_superblock_is_gone(void **state)
{
	(void)state;
	for (uint64_t seed = 11; seed <= 13; seed++)
		all_sizes(seed, SUPER);
}

static void no_inner_page_is_left(void **state)
{
	(void)state;
	all_sizes(21, INNER);
	all_sizes(22, INNER | SUPER);
}

static void no_descriptor_is_left(void **state)
{
	(void)state;
	all_sizes(31, DESC);
	all_sizes(32, DESC | SUPER);
	all_sizes(33, DESC | INNER | SUPER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(some_pages_are_noise), TEST(the_superblock_is_gone),
	                                   TEST(no_inner_page_is_left),
	                                   TEST(no_descriptor_is_left)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
