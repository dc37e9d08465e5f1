/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys with one value and with so many that they take leaves: moves by key, counts and removals,
 * from every place there is, compared with what was put. Pages are small, so that runs of a key end
 * at, before and behind the ends of leaves. */
#include "small_store.h"

#define KEYS   14u
#define VALUES 320u

struct shape {
	const char *name;
	unsigned int flags, size; /* of the database; bytes of a key */
	bool own;                 /* keys in an order of the program's own */
};

struct content { /* what there is */
	bool has[KEYS][VALUES];
};

struct place { /* key KEYS: none */
	unsigned int key, value;
};
static const struct place nowhere = {KEYS, 0};

static int backward(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	size_t n = a->size < b->size ? a->size : b->size;
	int c = memcmp(b->data, a->data, n);

	(void)arg;
	return c ? c : (b->size > a->size) - (b->size < a->size);
}

static unsigned int count_of(const struct content *m, unsigned int key)
{
	unsigned int n = 0;

	for (unsigned int v = 0; v < VALUES; v++)
		n += m->has[key][v];
	return n;
}

/* beyond - the pair that follows p in order, or goes before it; key_only: of another key. */
static struct place beyond(const struct content *m, struct place p, bool forward, bool key_only)
{
	int way = forward ? 1 : -1, at = (int)(p.key * VALUES + p.value);

	if (key_only)
		at = (int)(p.key * VALUES + (forward ? VALUES - 1 : 0));
	for (at += way; at >= 0 && at < (int)(KEYS * VALUES); at += way)
		if (m->has[at / (int)VALUES][at % (int)VALUES])
			return (struct place){(unsigned int)at / VALUES, (unsigned int)at % VALUES};
	return nowhere;
}

static struct place edge_of(const struct content *m, unsigned int key, bool last)
{
	for (unsigned int i = 0; i < VALUES; i++)
		if (m->has[key][last ? VALUES - 1 - i : i])
			return (struct place){key, last ? VALUES - 1 - i : i};
	return nowhere;
}

static struct place expected(const struct content *m, struct place p, enum daxkv_cursor_op op)
{
	struct place to;

	switch (op) {
	case DAXKV_FIRST_DUP:
	case DAXKV_LAST_DUP:
		return edge_of(m, p.key, op == DAXKV_LAST_DUP);
	case DAXKV_NEXT_DUP:
	case DAXKV_PREV_DUP:
		to = beyond(m, p, op == DAXKV_NEXT_DUP, false);
		return to.key == p.key ? to : nowhere;
	default:
		return beyond(m, p, op == DAXKV_NEXT_KEY, true);
	}
}

/* key_bytes - of one length, alike in the first bytes where there are many. An own order is
 * backward, and so are its keys. */
static struct daxkv_val key_bytes(const struct shape *s, unsigned int key, uint8_t *buf)
{
	memset(buf, 'k', s->size);
	if (s->flags & DAXKV_REVERSE_KEY)
		buf[0] = (uint8_t)('a' + key);
	else
		buf[s->size - 1] = (uint8_t)('a' + (s->own ? KEYS - key : key));
	return (struct daxkv_val){s->size, buf};
}

static struct daxkv_val value_bytes(unsigned int value, char *buf)
{
	snprintf(buf, 8, "%04u", value);
	return (struct daxkv_val){4, buf};
}

static struct place place_of(const struct shape *s, const struct daxkv_val *k,
                             const struct daxkv_val *v)
{
	const uint8_t *key = k->data;
	unsigned int letter =
	    key[s->flags & DAXKV_REVERSE_KEY ? 0 : s->size - 1] - (unsigned int)'a';
	char digits[5] = "";

	assert_true(k->size == s->size && v->size == 4);
	memcpy(digits, v->data, 4);
	return (struct place){s->own ? KEYS - letter : letter, (unsigned int)atoi(digits)};
}

/* moved - the move from p, where the cursor is put first: leads where it should, and a failed one
 * nowhere else. */
static void moved(const struct shape *s, const struct content *m, struct daxkv_cursor *c,
                  struct place p, enum daxkv_cursor_op op)
{
	uint8_t kb[64];
	char vb[8];
	struct daxkv_val k = key_bytes(s, p.key, kb), v = value_bytes(p.value, vb);
	struct place to = expected(m, p, op);

	OK(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK_PAIR));
	if (p.value % 2 &&
	    !daxkv_cursor_get(c, NULL, NULL, DAXKV_NEXT)) /* the leaf's order at hand */
		OK(daxkv_cursor_get(c, NULL, NULL, DAXKV_PREV));
	int rc = daxkv_cursor_get(c, &k, &v, op);

	assert_int_equal(rc, to.key == KEYS ? DAXKV_NOT_FOUND : 0);
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT));
	struct place at = place_of(s, &k, &v), should = rc ? p : to;

	if (at.key != should.key || at.value != should.value)
		fail_msg("%s: move %d from %u=%u leads to %u=%u, not to %u=%u", s->name, (int)op,
		         p.key, p.value, at.key, at.value, should.key, should.value);
}

static void counted(const struct shape *s, const struct content *m, struct daxkv_cursor *c,
                    struct place p)
{
	uint8_t kb[64];
	char vb[8];
	struct daxkv_val k = key_bytes(s, p.key, kb), v = value_bytes(p.value, vb);
	unsigned int n = count_of(m, p.key);
	uint64_t count = 0;
	int several = 2;

	OK(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK_PAIR));
	OK(daxkv_cursor_count(c, &count));
	OK(daxkv_cursor_several(c, &several));
	if (count != n || several != (n > 1))
		fail_msg("%s: at %u=%u of %u values: count %lu, several %d", s->name, p.key,
		         p.value, n, (unsigned long)count, several);
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT));
	struct place at = place_of(s, &k, &v);

	assert_true(at.key == p.key && at.value == p.value);
}

/* all_moves - from every pair, one of every so many. */
static void all_moves(const struct shape *s, const struct content *m, struct daxkv_txn *txn,
                      daxkv_db db, unsigned int every)
{
	struct daxkv_cursor *c;

	OK(daxkv_cursor_open(txn, db, &c));
	for (unsigned int at = 0; at < KEYS * VALUES; at++) {
		struct place p = {at / VALUES, at % VALUES};

		if (!m->has[p.key][p.value] || (at % every && p.value))
			continue;
		for (int op = DAXKV_NEXT_KEY; op <= DAXKV_LAST_DUP; op++)
			moved(s, m, c, p, (enum daxkv_cursor_op)op);
		counted(s, m, c, p);
	}
	daxkv_cursor_close(c);
}

static void change(const struct shape *s, struct content *m, struct daxkv_txn *txn, daxkv_db db,
                   unsigned int key, unsigned int value, bool there)
{
	uint8_t kb[64];
	char vb[8];
	struct daxkv_val k = key_bytes(s, key, kb), v = value_bytes(value, vb);

	if (there)
		OK(daxkv_put(txn, db, &k, &v, 0));
	else
		assert_int_equal(daxkv_del(txn, db, &k, &v),
		                 m->has[key][value] ? 0 : DAXKV_NOT_FOUND);
	m->has[key][value] = there;
}

static const unsigned int wanted[KEYS] = {1, 1, 2, 1, 60, 1, 3, 300, 5, 1, 30, 1, 1, 90};

static daxkv_db shape_open(const struct shape *s, struct daxkv_txn *txn)
{
	daxkv_db db = db_of(txn, "dups", s->flags);

	if (s->own)
		OK(daxkv_db_set_compare(txn, db, backward, NULL));
	return db;
}

/* fill - in an order that leaves tails in leaves, some a transaction. */
static daxkv_db fill(const struct shape *s, struct daxkv_store *store, struct content *m)
{
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = shape_open(s, txn);
	unsigned int n = 0;

	memset(m, 0, sizeof *m);
	for (unsigned int i = 0; i < KEYS * VALUES; i++) {
		unsigned int at = i * 2777 % (KEYS * VALUES), key = at / VALUES;

		if (at % VALUES * wanted[key] % VALUES >= wanted[key])
			continue;
		change(s, m, txn, db, key, at % VALUES, true);
		if (++n % 37 == 0) {
			OK(daxkv_txn_commit(txn));
			txn = begin(store);
		}
	}
	OK(daxkv_txn_commit(txn));
	return db;
}

static const struct shape shapes[] = {
    {"short keys", DAXKV_DUP_SORT, 3, false},
    {"long keys", DAXKV_DUP_SORT, 24, false},
    {"fixed values", DAXKV_DUP_SORT | DAXKV_DUP_FIXED, 8, false},
    {"reverse keys", DAXKV_DUP_SORT | DAXKV_REVERSE_KEY, 11, false},
    {"own order", DAXKV_DUP_SORT | DAXKV_OWN_COMPARE, 9, true},
};
#define SHAPES (sizeof shapes / sizeof *shapes)

/* As committed, in a transaction that has changed something, and in an older snapshot beside that.
 */
static void moves_and_counts_from_every_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < SHAPES; i++) {
		const struct shape *s = &shapes[i];
		struct daxkv_store *store = store_new("c", 512);
		static struct content m, old;
		daxkv_db db = fill(s, store, &m);
		struct daxkv_txn *reader = begin_reading(store), *txn;

		old = m;
		txn = begin(store);
		for (unsigned int at = 0; at < KEYS * VALUES; at += 5)
			change(s, &m, txn, db, at / VALUES, at % VALUES, at % 3 == 0);
		all_moves(s, &m, txn, db, 5);
		OK(daxkv_txn_commit(txn));
		all_moves(s, &old, reader, db, 3);
		daxkv_txn_abort(reader);
		reader = begin_reading(store);
		all_moves(s, &m, reader, db, 3);
		daxkv_txn_abort(reader);
		store_done(store);
	}
}

/* del_key - all values of a key, by daxkv_del or through a cursor. */
static void del_key(const struct shape *s, struct content *m, struct daxkv_txn *txn, daxkv_db db,
                    unsigned int key, bool by_cursor)
{
	uint8_t kb[64];
	struct daxkv_val k = key_bytes(s, key, kb), v;
	bool there = count_of(m, key) > 0;
	struct daxkv_cursor *c;

	if (by_cursor && there) {
		OK(daxkv_cursor_open(txn, db, &c));
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK_LE));
		OK(daxkv_cursor_del(c, DAXKV_NO_DUP_DATA));
		struct place next = beyond(m, (struct place){key, 0}, true, true);

		assert_int_equal(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT),
		                 next.key == KEYS ? DAXKV_NOT_FOUND : 0);
		if (next.key != KEYS)
			assert_true(place_of(s, &k, &v).key == next.key);
		daxkv_cursor_close(c);
	} else {
		assert_int_equal(daxkv_del(txn, db, &k, NULL), there ? 0 : DAXKV_NOT_FOUND);
	}
	memset(m->has[key], 0, sizeof m->has[key]);
}

/* Keys go one after the other, in every of some orders; a child transaction that does the same is
 * aborted first, and an older snapshot keeps all. */
static void a_key_goes_with_all_its_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < SHAPES * 2; i++) {
		const struct shape *s = &shapes[i % SHAPES];
		struct daxkv_store *store = store_new("c", 512);
		static struct content m, old, gone;
		daxkv_db db = fill(s, store, &m);
		struct daxkv_txn *reader = begin_reading(store);

		old = m;
		for (unsigned int j = 0; j < KEYS; j++) {
			unsigned int key = (j * (i < SHAPES ? 5 : 3) + 2) % KEYS;
			struct daxkv_txn *txn = begin(store), *child = begin_in(txn);
			struct daxkv_db_stat stat;
			uint64_t left = 0;

			gone = m;
			del_key(s, &gone, child, db, key, j % 2);
			daxkv_txn_abort(child);
			all_moves(s, &m, txn, db, 41);
			del_key(s, &m, txn, db, key, j % 2 == 0);
			all_moves(s, &m, txn, db, 41);
			for (unsigned int k = 0; k < KEYS; k++)
				left += count_of(&m, k);
			OK(daxkv_db_stat(txn, db, &stat));
			assert_int_equal(stat.entries, left);
			OK(daxkv_txn_commit(txn));
			store_check(store);
		}
		all_moves(s, &old, reader, db, 29);
		daxkv_txn_abort(reader);
		store_done(store);
	}
}

/* count_is - of a key, asked for in a write transaction. */
static void count_is(const struct shape *s, const struct content *m, struct daxkv_txn *txn,
                     daxkv_db db, unsigned int key)
{
	uint8_t kb[64];
	struct daxkv_val k = key_bytes(s, key, kb);
	unsigned int n = count_of(m, key);
	struct daxkv_cursor *c;
	uint64_t count = 0;

	OK(daxkv_cursor_open(txn, db, &c));
	int rc = daxkv_cursor_get(c, &k, NULL, DAXKV_SEEK);

	assert_int_equal(rc, n ? 0 : DAXKV_NOT_FOUND);
	if (!rc)
		OK(daxkv_cursor_count(c, &count));
	assert_int_equal(count, n);
	daxkv_cursor_close(c);
}

static unsigned int chance(unsigned int below)
{
	static uint64_t state = 17;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned int)(state % below);
}

/* any_change - one of all kinds there are, mostly a single one. */
static void any_change(const struct shape *s, struct content *m, struct daxkv_txn *txn, daxkv_db db)
{
	uint8_t kb[2][64];
	unsigned int key = chance(3) ? 7 : chance(KEYS), to = key + chance(3), kind = chance(30),
	             from = chance(VALUES);
	struct daxkv_val k = key_bytes(s, key, kb[0]), end = key_bytes(s, to, kb[1]);

	switch (kind) {
	case 0:
		del_key(s, m, txn, db, key, from % 2);
		break;
	case 1:
		OK(daxkv_del_range(txn, db, &k, &end, NULL));
		for (unsigned int i = key; i < to && i < KEYS; i++)
			memset(m->has[i], 0, sizeof m->has[i]);
		break;
	case 2: /* in order, behind all others: a batch begins */
		for (unsigned int v = VALUES; v-- > from;)
			change(s, m, txn, db, KEYS - 1, v, false);
		count_is(s, m, txn, db, KEYS - 1);
		for (unsigned int v = from; v < VALUES; v++)
			change(s, m, txn, db, KEYS - 1, v, true);
		break;
	case 3: /* counted, less and less, until it goes by the leaf that is left */
		count_is(s, m, txn, db, key);
		for (unsigned int v = 9; v < VALUES; v++)
			change(s, m, txn, db, key, v, false);
		del_key(s, m, txn, db, key, from % 2);
		for (unsigned int v = 0; v < VALUES; v++)
			change(s, m, txn, db, key, v, v % 5 > 0);
		count_is(s, m, txn, db, key);
		break;
	default:
		for (unsigned int i = 0; i < 5; i++)
			change(s, m, txn, db, key, chance(VALUES), chance(3) > 0);
	}
}

/* A writer goes on counting what it has counted. Between its counts there are changes of all kinds,
 * children that end either way, transactions that do, and those of another opening of the store. */
static void counts_between_changes(void **state)
{
	const struct shape *s = &shapes[0];
	struct daxkv_store *store = store_new("c", 512), *other = store_again("c");
	static struct content m, before, outer;
	daxkv_db db = fill(s, store, &m), others;
	struct daxkv_txn *txn = begin_reading(other);
	(void)state;

	OK(daxkv_db_open(txn, &(struct daxkv_val){4, "dups"}, 0, &others));
	daxkv_txn_abort(txn);
	for (unsigned int i = 0; i < 1200; i++) {
		bool by_other = chance(6) == 0;
		daxkv_db in = by_other ? others : db;

		outer = m;
		txn = begin(by_other ? other : store);
		for (unsigned int j = 0; j < 3; j++) {
			struct daxkv_txn *child = chance(6) ? NULL : begin_in(txn);

			before = m;
			any_change(s, &m, child ? child : txn, in);
			if (chance(2))
				count_is(s, &m, child ? child : txn, in, 7);
			count_is(s, &m, child ? child : txn, in, chance(KEYS));
			if (child && chance(2)) {
				daxkv_txn_abort(child);
				m = before;
			} else if (child) {
				OK(daxkv_txn_commit(child));
			}
			count_is(s, &m, txn, in, 7);
			count_is(s, &m, txn, in, KEYS - 1);
		}
		if (chance(9) == 0) {
			daxkv_txn_abort(txn);
			m = outer;
		} else {
			OK(daxkv_txn_commit(txn));
		}
	}
	OK(daxkv_close(other));
	store_done(store);
}

/* values_from - n values from p on in one array, and the cursor on the last. */
static void values_from(const struct shape *s, const struct content *m, struct daxkv_cursor *c,
                        struct place p, size_t n)
{
	uint8_t kb[64], all[(VALUES + 1) * 4];
	char vb[8];
	struct daxkv_val k = key_bytes(s, p.key, kb), v = value_bytes(p.value, vb);
	size_t got = 0;

	OK(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK_PAIR));
	memset(all, '?', sizeof all);
	OK(daxkv_cursor_get_values(c, n, 4, all, &got));
	for (size_t i = 0; i < got; i++) {
		assert_memory_equal(all + 4 * i, value_bytes(p.value, vb).data, 4);
		struct place next = expected(m, p, DAXKV_NEXT_DUP);

		assert_true(i + 1 < got ? next.key != KEYS : got == n || next.key == KEYS);
		p = i + 1 < got ? next : p;
	}
	assert_int_equal(all[4 * got], '?');
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT));
	struct place at = place_of(s, &k, &v);

	assert_true(at.key == p.key && at.value == p.value);
}

static void values_in_one_array(void **state)
{
	(void)state;
	for (size_t i = 0; i < SHAPES; i++) {
		const struct shape *s = &shapes[i];
		struct daxkv_store *store = store_new("c", 512);
		static struct content m;
		daxkv_db db = fill(s, store, &m);
		struct daxkv_txn *txn = begin_reading(store);
		struct daxkv_cursor *c;

		OK(daxkv_cursor_open(txn, db, &c));
		for (unsigned int at = 0; at < KEYS * VALUES; at++)
			if (m.has[at / VALUES][at % VALUES] && (at % 7 == 0 || at % VALUES < 3))
				for (unsigned int n = 1; n <= VALUES; n = 3 * n + at % 2)
					values_from(s, &m, c,
					            (struct place){at / VALUES, at % VALUES}, n);
		daxkv_cursor_close(c);
		daxkv_txn_abort(txn);
		store_done(store);
	}
}

/* An array ends before a value of another size, wherever leaves end; and what is refused. */
static void values_of_other_sizes(void **state)
{
	struct daxkv_store *store = store_new("c", 512);
	struct daxkv_txn *txn = begin(store);
	daxkv_db db = db_of(txn, "dups", DAXKV_DUP_SORT);
	char value[8], all[4 * 100];
	struct daxkv_val k = text("key"), v;
	struct daxkv_cursor *c;
	size_t got = 0;
	(void)state;

	OK(put(txn, DAXKV_MAIN, "one", "value", 0));
	for (int i = 0; i < 100; i++) { /* every 30th, at first every 11th, is longer */
		snprintf(value, sizeof value, i % 30 == 29 || i == 11 ? "%04dx" : "%04d", i);
		OK(put(txn, db, "key", value, 0));
	}
	OK(daxkv_cursor_open(txn, db, &c));
	assert_int_equal(daxkv_cursor_get_values(c, 9, 4, all, &got), EINVAL);
	for (int i = 0; i < 100; i++) {
		int end = i < 11 ? 11 : i / 30 * 30 + 29;

		snprintf(value, sizeof value, "%04d", i);
		v = text(value);
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK_PAIR_GE));
		if (i == end || i == 11) {
			assert_int_equal(daxkv_cursor_get_values(c, 100, 4, all, &got),
			                 DAXKV_VALUE_SIZE);
			continue;
		}
		OK(daxkv_cursor_get_values(c, 100, 4, all, &got));
		assert_int_equal(got, (end < 100 ? end : 100) - i);
		assert_memory_equal(all, value, 4);
		OK(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT));
		assert_int_equal(atoi(memcpy(value, v.data, 4)), i + (int)got - 1);
	}
	assert_int_equal(daxkv_cursor_get_values(c, 0, 4, all, &got), EINVAL);
	assert_int_equal(daxkv_cursor_get_values(c, 9, 4, NULL, &got), EINVAL);
	assert_int_equal(daxkv_cursor_get_values(c, 9, 4, all, NULL), EINVAL);
	daxkv_cursor_close(c);
	OK(daxkv_cursor_open(txn, DAXKV_MAIN, &c));
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_FIRST));
	assert_int_equal(daxkv_cursor_get_values(c, 9, 5, all, &got), DAXKV_INCOMPATIBLE);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

/* between - what may come between a count and a put by the same cursor: nothing, as in most cases,
 * or a change that the cursor has to notice. */
static void between(const struct shape *s, struct content *m, struct daxkv_txn *txn, daxkv_db db,
                    unsigned int key)
{
	unsigned int kind = chance(12);

	if (kind < 4)
		change(s, m, txn, db, kind % 2 ? key : chance(KEYS), chance(VALUES), kind < 2);
	else if (kind == 4)
		del_key(s, m, txn, db, key, false);
}

/* put_is - a put by the cursor, of a value that may be there, with flags that ask for that in every
 * way; it says what the content says. */
static void put_is(const struct shape *s, struct content *m, struct daxkv_cursor *c, struct place p)
{
	static const unsigned int kinds[] = {0, DAXKV_NO_DUP_DATA, DAXKV_APPEND_DUP,
	                                     DAXKV_APPEND_DUP | DAXKV_NO_DUP_DATA,
	                                     DAXKV_NO_OVERWRITE};
	unsigned int flags = kinds[chance(5)];
	uint8_t kb[64];
	char vb[8];
	struct daxkv_val k = key_bytes(s, p.key, kb), v = value_bytes(p.value, vb);
	bool refused =
	    flags & DAXKV_NO_OVERWRITE ? count_of(m, p.key) > 0 : flags && m->has[p.key][p.value];

	for (unsigned int above = p.value; flags & DAXKV_APPEND_DUP && above < VALUES; above++)
		refused |= m->has[p.key][above];
	int rc = daxkv_cursor_put(c, &k, &v, flags);

	if (rc != (refused ? DAXKV_EXIST : 0))
		fail_msg("%s: %u=%u, flags 0x%x: %d", s->name, p.key, p.value, flags, rc);
	if (refused)
		return;
	m->has[p.key][p.value] = true;
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_GET_CURRENT));
	struct place at = place_of(s, &k, &v);

	assert_true(at.key == p.key && at.value == p.value);
}

/* As an index is kept: a key is looked for, its values are counted, and one more is put, mostly
 * behind them. The same cursor does that for one key after the other, and changes that others make
 * come between. */
static void puts_beside_what_was_counted(void **state)
{
	(void)state;
	for (size_t i = 0; i < SHAPES; i++) {
		const struct shape *s = &shapes[i];
		struct daxkv_store *store = store_new("c", i % 2 ? 512 : 1024);
		static struct content m;
		daxkv_db db = fill(s, store, &m);

		for (unsigned int j = 0; j < 60; j++) {
			struct daxkv_txn *txn = begin(store);
			struct daxkv_cursor *c;

			shape_open(s, txn);
			OK(daxkv_cursor_open(txn, db, &c));
			for (unsigned int round = 0; round < 40; round++) {
				struct place p = {chance(KEYS), chance(VALUES)};
				uint8_t kb[64];
				struct daxkv_val k = key_bytes(s, p.key, kb);
				uint64_t n = 0;

				if (chance(3)) {
					struct place last = edge_of(&m, p.key, true);

					p.value = last.key == KEYS ? 0 : (last.value + 1) % VALUES;
				}
				int rc = daxkv_cursor_get(c, &k, NULL, DAXKV_SEEK);

				assert_int_equal(rc, count_of(&m, p.key) ? 0 : DAXKV_NOT_FOUND);
				if (!rc && chance(8)) {
					OK(daxkv_cursor_count(c, &n));
					assert_int_equal(n, count_of(&m, p.key));
				}
				between(s, &m, txn, db, p.key);
				if (!rc && chance(2)) /* it finds its place again */
					(void)daxkv_cursor_get(c, NULL, NULL, DAXKV_GET_CURRENT);
				if (chance(4) == 0) /* another key's, whose values come next */
					p = (struct place){(p.key + 1) % KEYS, chance(VALUES)};
				put_is(s, &m, c, p);
				if (chance(4) == 0)
					change(s, &m, txn, db, p.key, chance(VALUES), false);
			}
			if (j % 10 == 0)
				all_moves(s, &m, txn, db, 41);
			OK(daxkv_txn_commit(txn));
		}
		store_done(store);
	}
}

/* What a count and a removal of very many values look at are leaves, and not values. */
static void many_values_are_not_visited(void **state)
{
	struct daxkv_store *store = store_new("c", 4096);
	struct daxkv_txn *txn = begin(store);
	struct daxkv_val k = text("key"), v;
	struct daxkv_db_stat stat;
	struct daxkv_cursor *c;
	uint64_t n = 0;
	daxkv_db db = db_of(txn, "dups", DAXKV_DUP_SORT);
	(void)state;

	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t value = __builtin_bswap32(i);

		OK(daxkv_put(txn, db, &k, &(struct daxkv_val){sizeof value, &value}, 0));
	}
	OK(put(txn, db, "kez", "other", 0));
	OK(daxkv_cursor_open(txn, db, &c));
	OK(daxkv_cursor_get(c, &k, &v, DAXKV_SEEK));
	OK(daxkv_cursor_count(c, &n));
	assert_int_equal(n, 100000);
	OK(daxkv_cursor_del(c, DAXKV_NO_DUP_DATA));
	OK(daxkv_db_stat(txn, db, &stat));
	assert_true(stat.entries == 1 && stat.leaf_pages == 1);
	OK(daxkv_txn_commit(txn));
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(moves_and_counts_from_every_place),
	    TEST(a_key_goes_with_all_its_values),
	    TEST(counts_between_changes),
	    TEST(puts_beside_what_was_counted),
	    TEST(many_values_are_not_visited),
	    TEST(values_in_one_array),
	    TEST(values_of_other_sizes),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
