/* SPDX-License-Identifier: BSD-3-Clause */
/* sample.c - see sample.h */
#include "sample.h"

#include "base/format.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_ROOM    64u
#define SMALL_PAGES 512u /* of a file of scale 1 */

/* so many values, of one key, have a tally where pages are small */
#define LIST 90u

struct table {
	const char *name; /* NULL: the main database */
	unsigned int flags, entries;
};

static const struct table tables[] = {
    {NULL, 0, 70},
    {"dups", DAXKV_DUP_SORT, 40},
    {"reversed", DAXKV_REVERSE_KEY, 30},
    {"numbers", DAXKV_INTEGER_KEY, 30},
    {"fixed", DAXKV_DUP_SORT | DAXKV_DUP_FIXED, 24},
    {"integers", DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP | DAXKV_INTEGER_KEY, 30},
    {"backward", DAXKV_DUP_SORT | DAXKV_REVERSE_DUP, 20},
    {"list", DAXKV_DUP_SORT | DAXKV_REVERSE_KEY, LIST},
    {"own", DAXKV_OWN_COMPARE, 20},
    {"own dups", DAXKV_DUP_SORT | DAXKV_OWN_DUP_COMPARE, 20},
    {"empty", 0, 0},
};
#define TABLES (sizeof tables / sizeof *tables)

static void must(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "sample: %s: %s (%s)\n", what, daxkv_strerror(rc), daxkv_errmsg());
	exit(1);
}

static void must_sys(bool done, const char *what)
{
	if (done)
		return;
	perror(what);
	exit(1);
}

/* ---- a file in memory ------------------------------------------------------------------------ */

void memfile_open(struct memfile *f)
{
	*f = (struct memfile){.fd = memfd_create("daxkv", MFD_CLOEXEC)};
	must_sys(f->fd >= 0, "memfd_create");
	snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
}

static struct memfile *named_open[8]; /* those that a process leaves behind at its end */

static void named_close(void)
{
	for (size_t i = 0; i < sizeof named_open / sizeof *named_open; i++)
		if (named_open[i])
			memfile_close(named_open[i]);
}

void memfile_open_named(struct memfile *f)
{
	static bool registered;
	size_t i = 0;

	*f = (struct memfile){.named = true};
	snprintf(f->path, sizeof f->path, "%s/daxkv-fuzz-XXXXXX",
	         access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	f->fd = mkostemp(f->path, O_CLOEXEC);
	must_sys(f->fd >= 0, "a file in memory");
	while (named_open[i] && i + 1 < sizeof named_open / sizeof *named_open)
		i++;
	named_open[i] = f;
	if (!registered)
		atexit(named_close);
	registered = true;
}

void memfile_set(const struct memfile *f, const void *bytes, size_t n, size_t size)
{
	const uint8_t *p = bytes;

	must_sys(ftruncate(f->fd, 0) == 0 && ftruncate(f->fd, (off_t)size) == 0,
	         "a file in memory");
	for (size_t at = 0; at < n;) {
		ssize_t done = pwrite(f->fd, p + at, n - at, (off_t)at);

		must_sys(done > 0, "a file in memory");
		at += (size_t)done;
	}
}

size_t memfile_get(const struct memfile *f, uint8_t **bytes)
{
	struct stat st;

	must_sys(fstat(f->fd, &st) == 0 && (*bytes = malloc((size_t)st.st_size + 1)) != NULL,
	         "a file in memory");
	for (off_t at = 0; at < st.st_size;) {
		ssize_t done = pread(f->fd, *bytes + at, (size_t)(st.st_size - at), at);

		must_sys(done > 0, "a file in memory");
		at += done;
	}
	return (size_t)st.st_size;
}

void memfile_close(struct memfile *f)
{
	char lock[sizeof f->path + 8];

	close(f->fd);
	if (f->named) {
		snprintf(lock, sizeof lock, "%s-lock", f->path);
		unlink(f->path);
		unlink(lock);
		for (size_t i = 0; i < sizeof named_open / sizeof *named_open; i++)
			if (named_open[i] == f)
				named_open[i] = NULL;
	}
	f->fd = -1;
}

/* ---- orders ---------------------------------------------------------------------------------- */

/* The longer first, and then from the greatest byte down: nothing that the library has of its
 * own. */
static int falling(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	return a->size ? memcmp(b->data, a->data, a->size) : 0;
}

int sample_orders(struct daxkv_txn *txn, daxkv_db db)
{
	unsigned int flags = 0;
	int rc = daxkv_db_flags(txn, db, &flags);

	if (!rc && flags & DAXKV_OWN_COMPARE)
		rc = daxkv_db_set_compare(txn, db, falling, NULL);
	if (!rc && flags & DAXKV_OWN_DUP_COMPARE)
		rc = daxkv_db_set_dup_compare(txn, db, falling, NULL);
	return rc;
}

/* ---- filling --------------------------------------------------------------------------------- */

static daxkv_db table_open(struct daxkv_txn *txn, const struct table *t)
{
	char name[KEY_ROOM];
	daxkv_db db = DAXKV_MAIN;

	if (t->name) {
		struct daxkv_val v = {(size_t)snprintf(name, sizeof name, "%s", t->name), name};

		must(daxkv_db_open(txn, &v, t->flags | DAXKV_CREATE, &db), "db_open");
	}
	must(sample_orders(txn, db), "comparators");
	return db;
}

/* key_of - the key of number i: several numbers share one where the database has duplicates. */
static size_t key_of(const struct table *t, unsigned int i, void *key)
{
	if (t->entries == LIST)
		i = 0;
	if (t->flags & DAXKV_DUP_SORT)
		i /= 6;
	if (t->flags & DAXKV_INTEGER_KEY) {
		uint64_t number = i * 0x101u;

		memcpy(key, &number, 8);
		return i % 2 ? 4 : 8;
	}
	return (size_t)snprintf(key, KEY_ROOM, t->flags ? "key %u" : "a key %u", i * 7919u % 1000);
}

static size_t value_of(const struct table *t, unsigned int i, uint32_t page_size, uint8_t *value)
{
	size_t size = 10 + i % 19;

	if (t->flags & DAXKV_INTEGER_DUP) {
		uint64_t number = i * 0x10001u;

		memcpy(value, &number, 8);
		return 8;
	}
	if (t->flags & DAXKV_DUP_FIXED)
		size = 12;
	else if (!(t->flags & DAXKV_DUP_SORT) && i % 23 == 5)
		size = page_size * 5 / 2;
	memset(value, (int)(i + size), size);
	snprintf((char *)value, size, "%u", i);
	return size;
}

/* put_one - one change of a table: an entry, or at times the end of one. */
static void put_one(struct daxkv_txn *txn, const struct table *t, daxkv_db db, unsigned int i,
                    uint32_t page_size)
{
	static uint8_t value[FMT_PAGE_MAX * 3];
	uint8_t key[KEY_ROOM];
	struct daxkv_val k = {key_of(t, i, key), key},
	                 v = {value_of(t, i, page_size, value), value};

	must(daxkv_put(txn, db, &k, &v, 0), "put");
	if (i % 9 == 8)
		must(daxkv_del(txn, db, &k, t->flags & DAXKV_DUP_SORT ? &v : NULL), "del");
}

/* fill - half of a table in one transaction, and the rest in one each. */
static void fill(struct daxkv_store *store, const struct table *t, uint32_t page_size,
                 unsigned int scale)
{
	unsigned int n = t->entries * scale;
	struct daxkv_txn *txn;

	must(daxkv_txn_begin(store, NULL, 0, &txn), "begin");
	daxkv_db db = table_open(txn, t);

	for (unsigned int i = 0; i < n; i++) {
		if (i > n / 2 && (scale == 1 || i % 16 == 0)) {
			must(daxkv_txn_commit(txn), "commit");
			must(daxkv_txn_begin(store, NULL, 0, &txn), "begin");
		}
		put_one(txn, t, db, i, page_size);
	}
	must(daxkv_txn_commit(txn), "commit");
}

/* rename_and_drop - old pages of databases that are gone. */
static void rename_and_drop(struct daxkv_store *store)
{
	const struct table a = {"dropped", DAXKV_DUP_SORT, 0}, b = {"old name", 0, 0};
	char bytes[] = "new name";
	struct daxkv_val name = {8, bytes};
	struct daxkv_txn *txn;

	fill(store, &(struct table){a.name, a.flags, 20}, 512, 1);
	fill(store, &(struct table){b.name, b.flags, 5}, 512, 1);
	must(daxkv_txn_begin(store, NULL, 0, &txn), "begin");
	must(daxkv_db_drop(txn, table_open(txn, &a), 1), "drop");
	must(daxkv_db_rename(txn, table_open(txn, &b), &name), "rename");
	must(daxkv_txn_commit(txn), "commit");
}

/* last_commit - the transaction that a cut comes behind: a few words, or as many as do not fit a
 * record. */
static void last_commit(struct daxkv_store *store, uint32_t page_size, bool spilled)
{
	struct daxkv_txn *txn;

	must(daxkv_txn_begin(store, NULL, 0, &txn), "begin");
	for (size_t t = 0; t < TABLES; t++) {
		unsigned int step = spilled ? 2 : 40;
		daxkv_db db = table_open(txn, &tables[t]);

		for (unsigned int i = 1; i < tables[t].entries; i += step)
			put_one(txn, &tables[t], db, 9000 + 9 * i, page_size);
	}
	must(daxkv_txn_commit(txn), "commit");
}

/* ---- a power cut ----------------------------------------------------------------------------- */

static uint64_t word_at(const uint8_t *image, uint64_t off)
{
	uint64_t word;

	memcpy(&word, image + off, sizeof word);
	return word;
}

/* record_newest - where the newest record lies. */
static uint64_t record_newest(const uint8_t *image)
{
	uint64_t ring = word_at(image, offsetof(struct fmt_super, ring_off)), best = ring;

	for (uint64_t off = ring; off < ring + FMT_RING_RECORDS * FMT_RING_RECORD;
	     off += FMT_RING_RECORD)
		if (word_at(image, off) > word_at(image, best))
			best = off;
	return best;
}

/* words_undo - give the words that the newest record names the values that they had before. */
static void words_undo(uint8_t *image, const uint8_t *before, bool spilled)
{
	uint64_t record = record_newest(image), head = word_at(image, record + 16),
	         n = head >> 40 & 0xff;

	if ((head >> 32 & 0xff) != FMT_REC_SPILLED) {
		must_sys(!spilled, "sample: the last record is not spilled");
		for (uint64_t at = record + 24 + 8 * (head >> 32 & 0xff); n > 0; n--, at += 16)
			memcpy(image + word_at(image, at), before + word_at(image, at), 8);
		return;
	}
	must_sys(spilled, "sample: the last record is spilled");
	for (uint64_t page = word_at(image, record + 24); page;
	     page = word_at(image, page + offsetof(struct fmt_page, prev)))
		for (uint64_t i = 0; i < word_at(image, page + offsetof(struct fmt_spill, pairs));
		     i++) {
			uint64_t word = word_at(image, page + FMT_SPILL_PAIRS + 16 * i);

			memcpy(image + word, before + word, 8);
		}
}

/* ---- the sample ------------------------------------------------------------------------------ */

void sample_make(struct sample *s, enum sample_state state, uint32_t page_size, unsigned int scale)
{
	struct daxkv_options o = {.flags = DAXKV_CREATE | DAXKV_NO_LOCK,
	                          .pmem = DAXKV_PMEM_FORCE,
	                          .page_size = page_size,
	                          .max_size = scale == 1 ? (uint64_t)page_size * SMALL_PAGES : 0};
	uint8_t *before = NULL;
	struct memfile f;
	struct daxkv_store *store;

	memfile_open(&f);
	must(daxkv_open(f.path, &o, &store), "create");
	for (size_t t = 0; t < TABLES; t++)
		fill(store, &tables[t], page_size, scale);
	s->older_size = memfile_get(&f, &s->older);
	rename_and_drop(store);
	if (state == SAMPLE_CUT || state == SAMPLE_SPILLED) {
		memfile_get(&f, &before);
		last_commit(store, page_size, state == SAMPLE_SPILLED);
	}
	if (state == SAMPLE_CLOSED)
		must(daxkv_close(store), "close");
	s->size = memfile_get(&f, &s->bytes);
	memfile_get(&f, &s->recovered);
	if (state != SAMPLE_CLOSED)
		must(daxkv_close(store), "close");
	if (before)
		words_undo(s->bytes, before, state == SAMPLE_SPILLED);
	free(before);
	memfile_close(&f);
	for (s->used = s->size; s->used && s->bytes[s->used - 1] == 0;)
		s->used--;
}

size_t sample_record_newest(const struct sample *s)
{
	return record_newest(s->bytes);
}

void sample_free(struct sample *s)
{
	free(s->bytes);
	free(s->recovered);
	free(s->older);
}

const char *sample_state_name(enum sample_state state)
{
	static const char *const names[SAMPLE_STATES] = {"closed", "killed", "cut", "cut, spilled"};

	return names[state];
}
