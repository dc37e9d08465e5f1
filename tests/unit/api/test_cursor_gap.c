/* SPDX-License-Identifier: BSD-3-Clause */
/* Cursors whose entry is gone: every move, count and change behind a deletion, wherever it was and
 * whoever deleted it; and cursors that met damage. */
#include "small_store.h"
#include "txn/dbi.h"
#include "txn/entry.h"

#define ENTRIES 60u /* over many leaves of 512 bytes */

enum deleter { OWN, OTHER, BY_KEY, BY_RANGE, CHILD, DELETERS };

static struct daxkv_cursor *cursor(struct daxkv_txn *txn, daxkv_db db)
{
	struct daxkv_cursor *c = NULL;

	OK(daxkv_cursor_open(txn, db, &c));
	return c;
}

/* at - the result of the move: "key=value", or "none" for NOT_FOUND. */
static const char *at(struct daxkv_cursor *c, enum daxkv_cursor_op op)
{
	static char got[128];
	struct daxkv_val k, v;
	int rc = daxkv_cursor_get(c, &k, &v, op);

	if (rc == DAXKV_NOT_FOUND)
		return "none";
	OK(rc);
	snprintf(got, sizeof got, "%.*s=%.*s", (int)k.size, (char *)k.data, (int)v.size,
	         (char *)v.data);
	return got;
}

#define AT(c, op, expected) assert_string_equal(at(c, op), expected)

static void seek(struct daxkv_cursor *c, const char *key, const char *value)
{
	struct daxkv_val k = text(key), v = text(value ? value : "");

	OK(daxkv_cursor_get(c, &k, &v, value ? DAXKV_SEEK_PAIR : DAXKV_SEEK));
}

static uint64_t count(struct daxkv_cursor *c)
{
	uint64_t n = 0;
	int rc = daxkv_cursor_count(c, &n);

	if (rc == DAXKV_NOT_FOUND)
		return 0;
	OK(rc);
	return n;
}

static int put_current(struct daxkv_cursor *c, const char *key, const char *value)
{
	struct daxkv_val k = text(key), v = text(value);

	return daxkv_cursor_put(c, &k, &v, DAXKV_CURRENT);
}

/* remove_under - the entry under c is deleted, in one of the ways. */
static void remove_under(struct daxkv_txn *txn, daxkv_db db, struct daxkv_cursor *c,
                         enum deleter how, bool dups)
{
	char key[32], value[32], behind[34];
	struct daxkv_cursor *other;
	struct daxkv_val k, v;

	OK(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT));
	snprintf(key, sizeof key, "%.*s", (int)k.size, (char *)k.data);
	snprintf(value, sizeof value, "%.*s", (int)v.size, (char *)v.data);
	snprintf(behind, sizeof behind, "%s!", key);
	k = text(key);
	v = text(value);
	struct daxkv_txn *child = how == CHILD ? begin_in(txn) : txn;
	struct daxkv_val end = text(behind);

	switch (how) {
	case OWN:
		OK(daxkv_cursor_del(c, 0));
		break;
	case OTHER:
		other = cursor(txn, db);
		seek(other, key, dups ? value : NULL);
		OK(daxkv_cursor_del(other, 0));
		daxkv_cursor_close(other);
		break;
	case BY_RANGE:
		if (!dups) {
			OK(daxkv_del_range(txn, db, &k, &end, NULL));
			break;
		}
		/* fall through */
	default:
		OK(daxkv_del(child, db, &k, dups ? &v : NULL));
		break;
	}
	if (how == CHILD)
		OK(daxkv_txn_commit(child));
}

static daxkv_db filled(struct daxkv_txn *txn, bool dups)
{
	daxkv_db db = db_of(txn, dups ? "dups" : "plain", dups ? DAXKV_DUP_SORT : 0);
	char key[32], value[32];

	for (unsigned int i = 0; i < ENTRIES; i++) {
		snprintf(key, sizeof key, "key %03u", dups ? i / 3 : i);
		snprintf(value, sizeof value, "value %03u", i);
		OK(put(txn, db, key, value, 0));
	}
	return db;
}

/* name - of the entry with that number, as at() says it. */
static const char *name(bool dups, unsigned int i)
{
	static char room[32][64];
	static unsigned int n;
	char *p = room[n++ % 32];

	if (i >= ENTRIES)
		return "none";
	snprintf(p, sizeof room[0], "key %03u=value %03u", dups ? i / 3 : i, i);
	return p;
}

static void on_entry(struct daxkv_cursor *c, unsigned int i)
{
	AT(c, DAXKV_FIRST, at(c, DAXKV_FIRST));
	while (i--)
		assert_string_not_equal(at(c, DAXKV_NEXT), "none");
}

/* in_gap - the cursor on entry i, which is deleted that way. */
static struct daxkv_txn *in_gap(struct daxkv_store *store, bool dups, unsigned int i,
                                enum deleter how, bool nested, struct daxkv_cursor **c)
{
	struct daxkv_txn *outer = begin(store), *txn = nested ? begin_in(outer) : outer;
	daxkv_db db = filled(txn, dups);

	*c = cursor(txn, db);
	on_entry(*c, i);
	remove_under(txn, db, *c, how, dups);
	return outer;
}

/* behind_each - all that can follow, at one place and after one way of deleting. */
static void behind_each(struct daxkv_store *store, bool dups, unsigned int i, enum deleter how,
                        bool nested)
{
	unsigned int first = i / 3 * 3; /* of the key's three values, with dups */
	unsigned int low = i == first ? first + 1 : first,
	             high = i == first + 2 ? first + 1 : first + 2;
	const enum daxkv_cursor_op ops[] = {DAXKV_NEXT,      DAXKV_PREV,     DAXKV_GET_CURRENT,
	                                    DAXKV_FIRST_DUP, DAXKV_LAST_DUP, DAXKV_NEXT_DUP,
	                                    DAXKV_PREV_DUP,  DAXKV_NEXT_KEY, DAXKV_PREV_KEY};
	const char *before = i ? name(dups, i - 1) : "none";
	const char *expected[] = {name(dups, i + 1),
	                          before,
	                          name(dups, i + 1),
	                          dups ? name(dups, low) : "none",
	                          dups ? name(dups, high) : "none",
	                          dups && i < first + 2 ? name(dups, i + 1) : "none",
	                          dups && i > first ? before : "none",
	                          dups ? name(dups, first + 3) : name(dups, i + 1),
	                          dups ? (first ? name(dups, first - 1) : "none") : before};
	struct daxkv_cursor *c;

	for (size_t o = 0; o < sizeof ops / sizeof *ops; o++) {
		struct daxkv_txn *txn = in_gap(store, dups, i, how, nested, &c);

		AT(c, ops[o], expected[o]);
		if (strcmp(expected[o], "none") == 0) /* it is where it was */
			AT(c, DAXKV_NEXT, name(dups, i + 1));
		daxkv_txn_abort(txn);
	}
}

static void moves_behind_a_deletion(void **state)
{
	const unsigned int places[] = {0,           1,          2, ENTRIES / 2, ENTRIES / 2 + 1,
	                               ENTRIES - 2, ENTRIES - 1};
	struct daxkv_store *store = store_new("c", 512);

	(void)state;
	for (size_t p = 0; p < sizeof places / sizeof *places; p++)
		for (enum deleter how = OWN; how < DELETERS; how++)
			for (unsigned int both = 0; both < 4; both++)
				behind_each(store, both & 1, places[p], how, both & 2);
	store_done(store);
}

/* What is counted, deleted or replaced behind a deletion is the entry that followed. A count moves
 * nothing. */
static void changes_behind_a_deletion(void **state)
{
	const unsigned int places[] = {0, 1, 2, ENTRIES / 2, ENTRIES - 2, ENTRIES - 1};
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_cursor *c;
	struct daxkv_txn *txn;

	(void)state;
	for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
		for (unsigned int all = 0; all < 4 * DELETERS; all++) {
			unsigned int i = places[p];
			enum deleter how = all / 4;
			bool dups = all & 1, nested = all & 2, last = i == ENTRIES - 1;
			char key[32];

			txn = in_gap(store, dups, i, how, nested, &c);
			assert_int_equal(count(c), last ? 0 : !dups ? 1 : i % 3 == 2 ? 3 : 2);
			AT(c, DAXKV_NEXT, name(dups, i + 1));
			daxkv_txn_abort(txn);
			txn = in_gap(store, dups, i, how, nested, &c);
			assert_int_equal(daxkv_cursor_del(c, 0), last ? DAXKV_NOT_FOUND : 0);
			AT(c, DAXKV_NEXT, name(dups, i + 2));
			AT(c, DAXKV_PREV, i ? name(dups, i - 1) : "none");
			daxkv_txn_abort(txn);
			txn = in_gap(store, dups, i, how, nested, &c);
			snprintf(key, sizeof key, "%.7s", name(dups, i + 1));
			assert_int_equal(put_current(c, key, "value 999"),
			                 last ? DAXKV_NOT_FOUND : 0);
			if (!last) {
				char want[64];

				snprintf(want, sizeof want, "%s=value 999", key);
				AT(c, DAXKV_GET_CURRENT, want);
			}
			daxkv_txn_abort(txn);
		}
	}
	store_done(store);
}

/* Behind a drop, and in a tree whose last entry is gone, there is nothing under a cursor. */
static void nothing_is_left(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *txn = begin(store);

	(void)state;
	for (unsigned int dups = 0; dups < 2; dups++) {
		daxkv_db db = filled(txn, dups);
		struct daxkv_cursor *c = cursor(txn, db);

		on_entry(c, 5);
		OK(daxkv_db_drop(txn, db, 0));
		AT(c, DAXKV_GET_CURRENT, "none");
		assert_int_equal(daxkv_cursor_del(c, 0), DAXKV_NOT_FOUND);
		assert_int_equal(put_current(c, "key 005", "v"), DAXKV_NOT_FOUND);
		assert_int_equal(count(c), 0);
		AT(c, DAXKV_NEXT, "none");
		OK(put(txn, db, "one", "1", 0));
		AT(c, DAXKV_NEXT, "one=1");
		OK(daxkv_cursor_del(c, 0));
		for (enum daxkv_cursor_op op = DAXKV_FIRST; op <= DAXKV_GET_CURRENT; op++)
			AT(c, op, "none");
		assert_int_equal(count(c), 0);
		assert_int_equal(daxkv_cursor_del(c, 0), DAXKV_NOT_FOUND);
		assert_int_equal(put_current(c, "one", "2"), DAXKV_NOT_FOUND);
		OK(put(txn, db, "a", "1", 0));
		OK(put(txn, db, "z", "1", 0));
		AT(c, DAXKV_NEXT, "z=1"); /* the gap is still where the entry was */
	}
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* committed - that many entries, each by a commit of its own: damage may take the last one back. */
static void committed(struct daxkv_store *store, uint64_t n, bool large)
{
	for (uint64_t i = 0; i < n; i++) {
		struct daxkv_txn *txn = begin(store);

		OK(put_n(txn, DAXKV_MAIN, i, large && i % 10 == 5 ? 3000 : 20, 0));
		OK(daxkv_txn_commit(txn));
	}
}

/* level_damaged - the store with a wrong header in the n-th page of that level; false: it has
 * none. */
static bool level_damaged(const struct daxkv_store *store, unsigned int level, unsigned int n)
{
	struct path path;
	struct daxkv_txn *txn = begin_reading((struct daxkv_store *)(uintptr_t)store);
	struct dbstate *s;
	bool moved = true;

	OK(dbi_state(txn, DAXKV_MAIN, &s));
	OK(tree_edge(&s->tree, false, &path));
	while (n-- && moved)
		OK(tree_step(&s->tree, &path, true, &moved));
	moved = moved && path.height > level;
	if (moved)
		image_flip("bad", path.at[level].off + offsetof(struct fmt_page, level));
	daxkv_txn_abort(txn);
	return moved;
}

/* A failed move leaves the cursor where it was, and never lets it pass what is damaged. */
static void damage_is_not_passed(void **state)
{
	static const enum daxkv_cursor_op ops[] = {DAXKV_NEXT, DAXKV_NEXT_KEY};
	struct daxkv_store *store = store_new("c", 512), *bad;
	struct daxkv_val k, v;

	(void)state;
	committed(store, 300, false);
	for (unsigned int n = 0; n < 12; n++) {
		for (unsigned int both = 0; both < 4; both++) {
			store_image(store, "bad");
			if (!level_damaged(store, both & 1, n))
				continue;
			bad = store_open("bad", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
			struct daxkv_txn *txn = begin_reading(bad);
			struct daxkv_cursor *c = cursor(txn, DAXKV_MAIN);
			uint64_t got = 0;
			int rc;

			while ((rc = daxkv_cursor_get(c, &k, &v, ops[both / 2])) == 0)
				got++;
			assert_int_equal(rc, DAXKV_CORRUPT);
			assert_true(got < 300);
			for (unsigned int i = 0; i < 50; i++) {
				assert_int_equal(daxkv_cursor_get(c, &k, &v, ops[both / 2]),
				                 DAXKV_CORRUPT);
				if (got)
					OK(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT));
			}
			(void)daxkv_cursor_get(c, &k, &v, n % 2 ? DAXKV_FIRST : DAXKV_LAST);
			assert_int_not_equal(daxkv_cursor_get(c, &k, &v, DAXKV_NEXT_DUP), 0);
			daxkv_txn_abort(txn);
			daxkv_cursor_close(c);
			OK(daxkv_close(bad));
		}
	}
	store_done(store);
}

/* place_flipped - the place of large value i leads nowhere. */
static void place_flipped(struct daxkv_store *store, uint64_t i)
{
	struct daxkv_txn *txn = begin_reading(store);
	struct dbstate *s;
	struct path path;
	struct item it;
	char key[17];
	struct daxkv_val k = key_n(key, i);
	struct probe p = entry_probe(&k, NULL, PROBE_AT);

	OK(dbi_state(txn, DAXKV_MAIN, &s));
	OK(tree_seek(&s->tree, &p, &path));
	OK(leaf_item(&path.leaf, path.eoff, &it));
	store_image(store, "bad");
	image_flip("bad",
	           (uint64_t)(it.val - store->map.base) + offsetof(struct fmt_blob, off) + 6);
	daxkv_txn_abort(txn);
}

/* An entry that cannot be read is not passed either, wherever in its leaf it is. */
static void a_bad_entry_is_not_passed(void **state)
{
	struct daxkv_store *store = store_new("c", 512), *bad;
	struct daxkv_val k, v;

	(void)state;
	committed(store, 200, true);
	for (uint64_t i = 5; i < 190; i += 10) {
		place_flipped(store, i);
		bad = store_open("bad", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
		for (enum daxkv_cursor_op op = DAXKV_NEXT; op <= DAXKV_PREV_KEY; op++) {
			struct daxkv_txn *txn = begin_reading(bad);
			struct daxkv_cursor *c = cursor(txn, DAXKV_MAIN);
			uint64_t got = 0;

			while (daxkv_cursor_get(c, &k, &v, op) == 0)
				got++;
			assert_int_equal(got,
			                 op == DAXKV_NEXT || op == DAXKV_NEXT_KEY ? i : 199 - i);
			for (unsigned int n = 0; n < 40; n++)
				assert_int_equal(daxkv_cursor_get(c, &k, &v, op), DAXKV_CORRUPT);
			daxkv_txn_abort(txn);
			daxkv_cursor_close(c);
		}
		OK(daxkv_close(bad));
	}
	store_done(store);
}

/* many - all entries by daxkv_cursor_get_many; the error that ended it. */
static int many(struct daxkv_store *store, unsigned int flags, uint64_t *got)
{
	struct daxkv_val k[7], v[7];
	struct daxkv_txn *txn = NULL;
	size_t n = 0;
	int rc;

	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY | flags, &txn));
	struct daxkv_cursor *c = cursor(txn, DAXKV_MAIN);

	for (*got = 0; (rc = daxkv_cursor_get_many(c, DAXKV_NEXT, NULL, 7, k, v, &n)) == 0;)
		*got += n;
	for (unsigned int i = 0; i < 60; i++)
		assert_int_equal(daxkv_cursor_get_many(c, DAXKV_NEXT, NULL, 7, k, v, &n), rc);
	daxkv_txn_abort(txn);
	daxkv_cursor_close(c);
	return rc;
}

/* With checksums a large value or a leaf that does not match its own is an error, every time. */
static void checksums_are_not_passed(void **state)
{
	struct daxkv_store *store = store_new("c", 512), *bad;
	struct daxkv_txn *txn;
	struct daxkv_val k, v;
	uint64_t got, off;
	char key[17];

	(void)state;
	committed(store, 100, true);
	assert_int_equal(many(store, DAXKV_TXN_VERIFY, &got), DAXKV_NOT_FOUND);
	assert_int_equal(got, 100);
	for (uint64_t i = 0; i < 90; i++) {
		txn = begin_reading(store);
		k = key_n(key, i);
		OK(daxkv_get(txn, DAXKV_MAIN, &k, &v));
		off = (uint64_t)((const uint8_t *)v.data - store->map.base);
		daxkv_txn_abort(txn);
		store_image(store, "bad");
		image_flip("bad", off + v.size / 2);
		bad = store_open("bad", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
		assert_int_equal(many(bad, DAXKV_TXN_VERIFY, &got), DAXKV_CORRUPT);
		assert_true(got <= i);
		OK(daxkv_txn_begin(bad, NULL, DAXKV_TXN_READ_ONLY | DAXKV_TXN_VERIFY, &txn));
		struct daxkv_cursor *c = cursor(txn, DAXKV_MAIN);

		while (daxkv_cursor_get(c, &k, &v, DAXKV_NEXT) == 0)
			;
		for (unsigned int n = 0; n < 60; n++)
			assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_NEXT), DAXKV_CORRUPT);
		k = key_n(key, i);
		assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK), DAXKV_CORRUPT);
		assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT), EINVAL);
		daxkv_txn_abort(txn);
		daxkv_cursor_close(c);
		OK(daxkv_close(bad));
	}
	store_done(store);
}

/* A key that cannot be found, because its bytes were damaged, is no NOT_FOUND with checksums. */
static void a_search_that_finds_nothing_compares(void **state)
{
	struct daxkv_store *store = store_new("c", 512), *bad;
	struct daxkv_txn *txn;
	struct daxkv_val k, v;
	char key[17];

	(void)state;
	committed(store, 200, false);
	for (uint64_t i = 0; i < 190; i++) {
		txn = begin_reading(store);
		struct daxkv_cursor *c = cursor(txn, DAXKV_MAIN);

		k = key_n(key, i);
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK_GE));
		uint64_t off = (uint64_t)((const uint8_t *)k.data - store->map.base);

		daxkv_txn_abort(txn);
		daxkv_cursor_close(c);
		store_image(store, "bad");
		image_flip("bad", off + k.size - 1);
		bad = store_open("bad", (struct daxkv_options){.flags = DAXKV_READ_ONLY});
		OK(daxkv_txn_begin(bad, NULL, DAXKV_TXN_READ_ONLY | DAXKV_TXN_VERIFY, &txn));
		c = cursor(txn, DAXKV_MAIN);
		k = key_n(key, i);
		assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK), DAXKV_CORRUPT);
		k = key_n(key, i);
		assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK_GE), DAXKV_CORRUPT);
		daxkv_txn_abort(txn);
		daxkv_cursor_close(c);
		OK(daxkv_close(bad));
	}
	store_done(store);
}

/* An end is asked for again by a cursor that stands in its leaf, while what is there goes, and by
 * one that stands elsewhere. */
static void ends_that_go(void **state)
{
	struct daxkv_store *store = store_new("c", 512);

	(void)state;
	for (unsigned int way = 0; way < 8; way++) {
		const bool dups = way & 1, last = way & 2, nested = way & 4;
		const enum daxkv_cursor_op op = last ? DAXKV_LAST : DAXKV_FIRST;
		struct daxkv_txn *outer = begin(store), *txn = nested ? begin_in(outer) : outer;
		daxkv_db db = filled(txn, dups);
		struct daxkv_cursor *c = cursor(txn, db), *far = cursor(txn, db);

		for (unsigned int i = 0; i < ENTRIES; i++) {
			unsigned int left = ENTRIES - i;

			AT(c, op, name(dups, last ? left - 1 : i));
			on_entry(far, left / 2);
			AT(far, op, name(dups, last ? left - 1 : i));
			remove_under(txn, db, c, i % DELETERS, dups);
		}
		AT(c, op, "none");
		daxkv_txn_abort(outer);
	}
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(moves_behind_a_deletion),  TEST(changes_behind_a_deletion),
	    TEST(nothing_is_left),          TEST(ends_that_go),
	    TEST(damage_is_not_passed),     TEST(a_bad_entry_is_not_passed),
	    TEST(checksums_are_not_passed), TEST(a_search_that_finds_nothing_compares),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
