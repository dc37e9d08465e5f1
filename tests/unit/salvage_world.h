/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * salvage_world.h - a store with several databases that is damaged and salvaged.
 *
 * Each entry's key says which database it is of and which number it has, and its value which
 * version of it that is. Keys are put, replaced and deleted again and again, so that free pages
 * have older versions of everything.
 */
#ifndef DAXKV_TEST_SALVAGE_WORLD_H
#define DAXKV_TEST_SALVAGE_WORLD_H

#include "rng.h"
#include "small_store.h"

#include <stdlib.h>

#define KEYS      3000u
#define KEYS_FEW  400u
#define DUPS      3u
#define LARGE     9000u
#define VALUE_MAX (LARGE + 16)
#define TXNS      64u

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
	uint64_t txn;     /* that changed it last */
	bool there;
	uint64_t from, to; /* pages of the value; of several the first */
	uint32_t back;     /* how many of its entries came back: a bit for each */
};

static struct world {
	struct known known[DBS][KEYS];
	uint64_t size;
	uint32_t page_size;
	bool *noise;           /* by page */
	uint8_t *bitmap;       /* by page: 1 a directory, 2 a bitmap */
	bool named;            /* it has more than the main database */
	int db;                /* that entries are of now, DBS: of nobody's */
	bool words_lost[TXNS]; /* by commit: what it changed may be older */
	unsigned int wrong, places, unreadable, mixed;
} w;

static uint8_t key_room[32], value_room[VALUE_MAX];

static inline struct daxkv_val key_of(int db, uint32_t i)
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

static inline size_t value_size(int db, uint32_t i, uint32_t version)
{
	if (db <= PLAIN && i % 40 == 0)
		return LARGE;
	return 16 + rng_of(i * 31u + version) % 80;
}

/* value_of - duplicate dup of version; 0 where there are none. */
static inline struct daxkv_val value_of(int db, uint32_t i, uint32_t version, uint32_t dup)
{
	const size_t n = value_size(db, i, version);

	rng_fill(rng_of((uint64_t)db << 48 | (uint64_t)version << 24 | i), value_room, n);
	snprintf((char *)value_room, n, "%u/%u/", version, dup);
	return bytes(value_room, n);
}

/* number_of - which entry a key is of. */
static inline bool number_of(const struct daxkv_val *key, int *db, uint32_t *i)
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

static inline uint32_t dups_of(int db)
{
	return db == SORTED ? DUPS : 1;
}

static inline void change(struct daxkv_txn *txn, daxkv_db handle, int db, uint32_t i, bool put)
{
	struct known *k = &w.known[db][i];
	struct daxkv_val key = key_of(db, i);

	if (k->there && (!put || db == SORTED))
		OK(daxkv_del(txn, handle, &key, NULL));
	k->there = put;
	k->version += put;
	k->txn = daxkv_txn_id(txn);
	for (uint32_t dup = 0; put && dup < dups_of(db); dup++) {
		struct daxkv_val value = value_of(db, i, k->version, dup);

		OK(daxkv_put(txn, handle, &key, &value, 0));
	}
}

static inline void fill(struct daxkv_store *store, uint64_t seed)
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
static inline void pages_find(struct daxkv_store *store)
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

enum { SUPER = 1, INNER = 2, DESC = 4, BITMAPS = 8 };

/* bitmaps_find - which pages say what is free, by superblock and directories. */
static inline void bitmaps_find(const struct daxkv_store *store)
{
	const uint8_t *base = store->map.base;
	const struct fmt_super *super = (const void *)base;

	for (uint32_t d = 0; d < FMT_DIR_WORDS && super->dir[d]; d++) {
		for (uint32_t at = 0; at < w.page_size; at += FMT_WORD)
			w.bitmap[get64(base + super->dir[d] + at) / w.page_size] = 2;
		w.bitmap[super->dir[d] / w.page_size] = 1;
	}
	w.bitmap[0] = 0;
}

/* bitmaps_whole - none of these is noise: what is free is known. */
static inline bool bitmaps_whole(void)
{
	for (uint64_t i = 0; i < w.size / w.page_size; i++)
		if (w.bitmap[i] && w.noise[i])
			return false;
	return true;
}

/* noise_wanted - percent of all pages are overwritten, and all pages of these kinds. */
static inline bool noise_wanted(struct rng *rng, const uint8_t *page, uint64_t i,
                                unsigned int percent, unsigned int kinds)
{
	if (i == 0)
		return kinds & SUPER;
	return rng_percent(rng, percent) || (kinds & BITMAPS && w.bitmap[i] == 2) ||
	       (kinds & INNER && page[20] == FMT_INNER) || (kinds & DESC && page[20] == FMT_DESC);
}

static inline void noise(const char *file, uint64_t seed, unsigned int percent, unsigned int kinds)
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

static inline int on_store(unsigned int page_size, uint64_t user_version, void *arg)
{
	(void)user_version;
	(void)arg;
	assert_int_equal(page_size, w.page_size);
	return 0;
}

static inline int on_database(const struct daxkv_val *name, unsigned int flags, void *arg)
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

static inline int on_entry(const struct daxkv_val *key, const struct daxkv_val *value, void *arg)
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

static inline void on_lost(const char *what, void *arg)
{
	(void)arg;
	w.places++;
	w.unreadable += strstr(what, "cannot be read") != NULL;
	if (!strstr(what, "may be older"))
		return;
	const char *commit = strstr(what, "of commit ");

	assert_non_null(commit);
	const unsigned long txn = strtoul(commit + strlen("of commit "), NULL, 10);

	if (txn < TXNS) /* the stores of tests of their own have more */
		w.words_lost[txn] = true;
	w.mixed++;
}

static inline void salvage(const char *file)
{
	const struct daxkv_salvage to = {on_store, on_database, on_entry, on_lost, NULL};
	uint64_t lost = UINT64_MAX;

	for (int db = MAIN; db < DBS; db++)
		for (uint32_t i = 0; i < KEYS; i++)
			w.known[db][i].back = 0;
	w.wrong = w.places = w.unreadable = w.mixed = 0;
	memset(w.words_lost, 0, sizeof w.words_lost);
	OK(daxkv_salvage(scratch_path(file), &to, &lost));
	assert_int_equal(lost, w.places);
}

/* share_back - percent of the entries in untouched pages that came back. Those are left out that
 * a commit changed whose words are lost: it may be that none of them is in the tree yet. */
static inline double share_back(void)
{
	uint64_t there = 0, back = 0;

	for (int db = MAIN; db < DBS; db++)
		for (uint32_t i = 0; i < KEYS; i++) {
			const struct known *k = &w.known[db][i];

			assert_true(k->txn < TXNS);
			bool touched = !k->there || w.words_lost[k->txn];

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

static inline void world_make(uint32_t page_size, bool named, uint64_t seed)
{
	memset(w.known, 0, sizeof w.known);
	w.page_size = page_size;
	w.named = named;
	struct daxkv_store *store = store_new("store", page_size);

	fill(store, seed);
	pages_find(store);
	w.size = store->map.size;
	w.noise = calloc(w.size / page_size + 8, sizeof *w.noise);
	w.bitmap = calloc(w.size / page_size + 8, sizeof *w.bitmap);
	bitmaps_find(store);
	store_image(store, "image");
	store_done(store);
}

static inline void world_end(void)
{
	free(w.noise);
	free(w.bitmap);
	w.noise = NULL;
	w.bitmap = NULL;
}

/* judge_back - at least 95 % of the untouched pages' entries came back, with the superblock and
 * without it, and nothing else. Where a bitmap is lost, older versions of what is lost may come.
 * Where the words of a commit are lost, and that is told, what it put may be as it was before it,
 * though its pages are untouched. */
static inline void judge_back(const char *what, unsigned int kinds)
{
	const double back = share_back();

	print_message("%s, kinds %u, %lu pages of %u, %s: %.2f %% back, %u places lost, %u old\n",
	              what, kinds, (unsigned long)(w.size / w.page_size), w.page_size,
	              w.named ? "named databases" : "main alone", back, w.places, w.wrong);
	if (bitmaps_whole() && !w.mixed)
		assert_int_equal(w.wrong, 0);
	assert_true(back >= 95);
}

#endif
