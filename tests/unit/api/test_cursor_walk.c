/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random walks of many cursors at once, in nested write transactions and in readers, beside sets in
 * memory: where each cursor stands, and how many values its key has, is compared behind every step.
 * Pages are small, and one key has more values than a leaf. CURSOR_WALKS=N walks N times,
 * CURSOR_SEED=S begins at that seed.
 */
#include "cursor_world.h"

#define STEPS 1500u

/* told - what the cursor gave is the entry of that slot. */
static void told(const struct place *p, uint32_t slot, struct daxkv_val k, struct daxkv_val v)
{
	char kb[32], vb[128];
	struct daxkv_val value = value_of(p->db, slot, has_of(p)[slot], vb);

	if (!same(k, key_of(p->db, slot, kb)) || !same(v, value))
		fail_msg("seed %llu step %u: at %.*s=%.*s, not %s=%.*s", (unsigned long long)w.seed,
		         w.step, (int)k.size, (char *)k.data, (int)v.size, (char *)v.data, kb,
		         (int)value.size, vb);
}

static bool usable(const struct place *p)
{
	if (p->txn == FREE || !w.txn[p->txn] || w.resting[p->txn])
		return false;
	return p->txn >= LEVELS || p->txn + 1 == w.depth;
}

static void move(struct place *p, enum daxkv_cursor_op op)
{
	struct daxkv_val k = {0}, v = {0};
	int rc = daxkv_cursor_get(p->c, &k, &v, op);
	uint32_t to;

	if (p->slot == NOWHERE && op >= DAXKV_FIRST_DUP) {
		SAME(rc, EINVAL);
		return;
	}
	to = led(p, op);
	SAME(rc, to == NOWHERE ? DAXKV_NOT_FOUND : 0);
	if (rc)
		return;
	told(p, to, k, v);
	p->slot = to;
}

static void seek(struct place *p, enum daxkv_cursor_op op)
{
	const uint16_t *has = has_of(p);
	uint32_t s = rnd(SLOTS), db = p->db, to;
	char kb[32], vb[128];
	struct daxkv_val k = key_of(db, s, kb), v = value_of(db, s, 1, vb);

	if (op >= DAXKV_SEEK_PAIR && kinds[db].dups == 1)
		op = DAXKV_SEEK_GE;
	int rc = daxkv_cursor_get(p->c, &k, &v, op);

	switch (op) {
	case DAXKV_SEEK:
		to = within(db, s, after(has, key_begin(db, s)));
		break;
	case DAXKV_SEEK_GE:
		to = after(has, key_begin(db, s));
		break;
	case DAXKV_SEEK_LE:
		to = before(has, key_end(db, s));
		break;
	case DAXKV_SEEK_PAIR:
		to = has[s] ? s : NOWHERE;
		break;
	default:
		to = within(db, s, after(has, s));
	}
	SAME(rc, to == NOWHERE ? DAXKV_NOT_FOUND : 0);
	p->slot = to;
	if (!rc)
		told(p, to, k, v);
}

static void many(struct place *p)
{
	static const enum daxkv_cursor_op ops[] = {DAXKV_NEXT, DAXKV_PREV, DAXKV_FIRST, DAXKV_LAST};
	enum daxkv_cursor_op op = ops[rnd(4)];
	bool forward = op == DAXKV_NEXT || op == DAXKV_FIRST;
	struct daxkv_val k[40], v[40];
	size_t n = 1 + rnd(40), got = 0;
	int rc = daxkv_cursor_get_many(p->c, op, NULL, n, k, v, &got);
	uint32_t to = led(p, op);

	SAME(rc, to == NOWHERE ? DAXKV_NOT_FOUND : 0);
	for (size_t i = 0; !rc && i < n; i++) {
		SAME(i < got, to != NOWHERE);
		if (to == NOWHERE)
			break;
		told(p, to, k[i], v[i]);
		p->slot = to;
		to = led(p, forward ? DAXKV_NEXT : DAXKV_PREV);
	}
}

/* look - the count, without a move; and sometimes where it is, which leaves a gap. */
static void look(struct place *p)
{
	const uint16_t *has = has_of(p);
	uint32_t at = p->slot == NOWHERE ? NOWHERE : after(has, p->slot);
	uint64_t count = 0, values = 0;
	int several = 0, rc;

	for (uint32_t s = key_begin(p->db, at); at != NOWHERE && s < key_end(p->db, at); s++)
		values += has[s] != 0;
	if (rnd(2)) {
		rc = daxkv_cursor_several(p->c, &several);
		SAME(rc, p->slot == NOWHERE ? EINVAL : at == NOWHERE ? DAXKV_NOT_FOUND : 0);
		SAME(several, values > 1);
	}
	if (rnd(2)) {
		rc = daxkv_cursor_count(p->c, &count);
		SAME(rc, p->slot == NOWHERE ? EINVAL : at == NOWHERE ? DAXKV_NOT_FOUND : 0);
		SAME(count, values);
	}
	if (rnd(3) == 0)
		move(p, DAXKV_GET_CURRENT);
}

static void look_all(void)
{
	for (unsigned int i = 0; i < CURSORS; i++)
		if (usable(&w.place[i]) && rnd(3))
			look(&w.place[i]);
}

/* ---- changes --------------------------------------------------------------------------------- */

static uint16_t next_number(void)
{
	w.number = (uint16_t)(w.number % 60000 + 1);
	return w.number;
}

/* somewhere - a slot; of lists mostly the same few keys. */
static uint32_t somewhere(uint32_t db)
{
	return rnd(3) ? rnd(SLOTS) : rnd(kinds[db].dups * 2);
}

static void cursor_put(struct place *p)
{
	uint16_t *has = w.content[p->txn].has[p->db];
	uint32_t s = somewhere(p->db);
	uint16_t number = next_number();
	bool once = rnd(4) == 0;
	char kb[32], vb[128];
	struct daxkv_val k = key_of(p->db, s, kb), v = value_of(p->db, s, number, vb);
	unsigned int flag = kinds[p->db].dups > 1 ? DAXKV_NO_DUP_DATA : DAXKV_NO_OVERWRITE;
	int rc = daxkv_cursor_put(p->c, &k, &v, once ? flag : 0);

	SAME(rc, once && has[s] ? DAXKV_EXIST : 0);
	if (!rc)
		has[s] = number;
	p->slot = s;
}

static void cursor_replace(struct place *p)
{
	uint16_t *has = w.content[p->txn].has[p->db];
	uint16_t number = next_number();
	uint32_t at = p->slot == NOWHERE ? NOWHERE : after(has, p->slot), to = at;
	char vb[128];

	if (at != NOWHERE && kinds[p->db].dups > 1)
		to = key_begin(p->db, at) + rnd(kinds[p->db].dups);
	struct daxkv_val v = value_of(p->db, to == NOWHERE ? 0 : to, number, vb);
	int rc = daxkv_cursor_put(p->c, NULL, &v, DAXKV_CURRENT);

	SAME(rc, p->slot == NOWHERE ? EINVAL : at == NOWHERE ? DAXKV_NOT_FOUND : 0);
	if (rc)
		return;
	has[at] = 0;
	has[to] = number;
	p->slot = to;
}

static void key_out(uint16_t *has, uint32_t db, uint32_t slot)
{
	for (uint32_t s = key_begin(db, slot); s < key_end(db, slot); s++)
		has[s] = 0;
}

static void cursor_del(struct place *p)
{
	uint16_t *has = w.content[p->txn].has[p->db];
	uint32_t at = p->slot == NOWHERE ? NOWHERE : after(has, p->slot);
	bool all = rnd(6) == 0;
	int rc = daxkv_cursor_del(p->c, all ? DAXKV_NO_DUP_DATA : 0);

	SAME(rc, p->slot == NOWHERE ? EINVAL : at == NOWHERE ? DAXKV_NOT_FOUND : 0);
	if (rc)
		return;
	p->slot = at;
	has[at] = 0;
	if (all)
		key_out(has, p->db, at);
}

static void lose(uint32_t txn, uint32_t db)
{
	for (unsigned int i = 0; i < CURSORS; i++)
		if (w.place[i].txn == txn && w.place[i].db == db) {
			daxkv_cursor_close(w.place[i].c);
			w.place[i].txn = FREE;
		}
}

static void put_row(struct daxkv_txn *txn, uint16_t *has, uint32_t db)
{
	char kb[24][32], vb[24][128];
	struct daxkv_val k[24], v[24];
	int result[24];
	uint32_t n = 1 + rnd(24), s = somewhere(db), by = 1 + rnd(3);

	for (uint32_t i = 0; i < n; i++, s = (s + by) % SLOTS) {
		uint16_t number = next_number();

		k[i] = key_of(db, s, kb[i]);
		v[i] = value_of(db, s, number, vb[i]);
		has[s] = number;
	}
	if (rnd(2)) {
		SAME(daxkv_put_many(txn, w.db[db], n, k, v, 0, result), 0);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		SAME(daxkv_put(txn, w.db[db], &k[i], &v[i], 0), 0);
}

/* rewrite - values of one size in a row, as a scan that changes what it sees does. */
static void rewrite(struct place *p)
{
	uint32_t n = 1 + rnd(60);

	if (kinds[p->db].dups > 1 || p->slot == NOWHERE)
		return;
	while (n-- > 0 && after(has_of(p), p->slot) != NOWHERE) {
		cursor_replace(p);
		if (rnd(8) == 0)
			look_all();
		move(p, DAXKV_NEXT);
	}
}

static void remove_row(struct place *p)
{
	uint32_t n = 1 + rnd(60);

	while (n-- > 0 && p->slot != NOWHERE && after(has_of(p), p->slot) != NOWHERE) {
		cursor_del(p);
		if (rnd(8) == 0)
			look_all();
		if (rnd(2))
			move(p, DAXKV_GET_CURRENT);
	}
}

static void change(void)
{
	uint32_t level = w.depth - 1, db = rnd(DBS), s = somewhere(db);
	struct daxkv_txn *txn = w.txn[level];
	uint16_t *has = w.content[level].has[db];
	char kb[32], vb[128];
	struct daxkv_val k = key_of(db, s, kb), v = value_of(db, s, 1, vb);
	uint32_t gone = 0;

	switch (rnd(12)) {
	case 0:
		SAME(daxkv_del(txn, w.db[db], &k, NULL),
		     within(db, s, after(has, key_begin(db, s))) == NOWHERE ? DAXKV_NOT_FOUND : 0);
		key_out(has, db, s);
		break;
	case 1:
	case 2:
		if (kinds[db].dups == 1)
			break;
		SAME(daxkv_del(txn, w.db[db], &k, &v), has[s] ? 0 : DAXKV_NOT_FOUND);
		has[s] = 0;
		break;
	case 3: {
		uint32_t to = key_begin(db, s + rnd(kinds[db].dups * 3 + 30));
		uint64_t deleted = 0;
		char eb[32];
		struct daxkv_val end = key_of(db, to, eb);

		SAME(daxkv_del_range(txn, w.db[db], &k, &end, &deleted), 0);
		for (uint32_t i = key_begin(db, s); i < to && i < SLOTS; i++) {
			gone += has[i] != 0;
			has[i] = 0;
		}
		SAME(deleted, gone);
		break;
	}
	case 4:
		if (rnd(20))
			break;
		lose(level, db);
		SAME(daxkv_db_drop(txn, w.db[db], 0), 0);
		memset(has, 0, sizeof w.content[0].has[0]);
		break;
	default:
		put_row(txn, has, db);
	}
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void detach(uint32_t txn, bool close)
{
	for (unsigned int i = 0; i < CURSORS; i++) {
		struct place *p = &w.place[i];

		if (p->txn != txn)
			continue;
		if (close)
			daxkv_cursor_close(p->c);
		p->txn = FREE;
		p->slot = NOWHERE;
	}
}

static void write_begin(void)
{
	struct daxkv_txn *parent = w.depth ? w.txn[w.depth - 1] : NULL;

	SAME(daxkv_txn_begin(w.store, parent, 0, &w.txn[w.depth]), 0);
	w.content[w.depth] = w.depth ? w.content[w.depth - 1] : w.committed;
	w.depth++;
}

static void write_end(bool keep)
{
	uint32_t level = --w.depth;
	struct content *to = level ? &w.content[level - 1] : &w.committed;

	if (rnd(2))
		detach(level, true);
	if (keep) {
		SAME(daxkv_txn_commit(w.txn[level]), 0);
		*to = w.content[level];
	} else {
		daxkv_txn_abort(w.txn[level]);
	}
	detach(level, false);
	w.txn[level] = NULL;
}

/* renewed - a reader reads the newest commit: its cursors keep their places, or some are renewed
 * and have none. */
static void renewed(uint32_t reader)
{
	w.content[reader] = w.committed;
	w.resting[reader] = false;
	for (unsigned int i = 0; i < CURSORS; i++) {
		struct place *p = &w.place[i];

		if (p->txn != reader || rnd(3))
			continue;
		SAME(daxkv_cursor_renew(w.txn[reader], p->c), 0);
		p->slot = NOWHERE;
	}
}

static void reader_turn(void)
{
	uint32_t r = LEVELS + rnd(READERS);

	if (!w.txn[r]) {
		unsigned int verify = rnd(6) ? 0 : DAXKV_TXN_VERIFY;

		SAME(daxkv_txn_begin(w.store, NULL, DAXKV_TXN_READ_ONLY | verify, &w.txn[r]), 0);
		w.content[r] = w.committed;
		w.resting[r] = false;
	} else if (w.resting[r]) {
		SAME(daxkv_txn_renew(w.txn[r]), 0);
		renewed(r);
	} else if (rnd(3)) {
		daxkv_txn_reset(w.txn[r]);
		w.resting[r] = true;
		if (rnd(4)) {
			SAME(daxkv_txn_renew(w.txn[r]), 0);
			renewed(r);
		}
	} else {
		detach(r, true);
		daxkv_txn_abort(w.txn[r]);
		w.txn[r] = NULL;
	}
}

static void cursor_turn(void)
{
	struct place *p = &w.place[rnd(CURSORS)];

	if (p->txn != FREE) {
		if (usable(p) && rnd(4) == 0) {
			daxkv_cursor_close(p->c);
			p->txn = FREE;
		}
		return;
	}
	p->txn = w.depth && rnd(2) ? w.depth - 1 : LEVELS + rnd(READERS);
	p->db = rnd(DBS);
	p->slot = NOWHERE;
	if (!w.txn[p->txn] || w.resting[p->txn]) {
		p->txn = FREE;
		return;
	}
	SAME(daxkv_cursor_open(w.txn[p->txn], w.db[p->db], &p->c), 0);
}

/* use - a cursor moves, mostly to ends, or changes something. */
static void use(struct place *p)
{
	static const enum daxkv_cursor_op ends[] = {DAXKV_FIRST, DAXKV_LAST, DAXKV_FIRST_DUP,
	                                            DAXKV_LAST_DUP};

	if (p->txn < LEVELS && rnd(3) == 0) {
		switch (rnd(6)) {
		case 0:
			cursor_del(p);
			break;
		case 1:
			cursor_replace(p);
			break;
		case 2:
			rewrite(p);
			break;
		case 3:
			if (rnd(3) == 0)
				remove_row(p);
			break;
		default:
			cursor_put(p);
		}
		return;
	}
	switch (rnd(8)) {
	case 0:
		seek(p, DAXKV_SEEK + rnd(5));
		break;
	case 1:
		many(p);
		break;
	case 2:
	case 3:
	case 4:
		for (unsigned int i = 0; i < 4; i++) {
			move(p, ends[rnd(4)]);
			look(p);
		}
		break;
	default:
		move(p, rnd(DAXKV_GET_CURRENT + 1));
	}
}

/* handle_anew - the handle is closed, and another one means the database from then on. */
static void handle_anew(void)
{
	uint32_t db = rnd(DBS);
	struct daxkv_val name = text(kinds[db].name);

	for (uint32_t t = 0; t < LEVELS + READERS; t++)
		lose(t, db);
	daxkv_db_close(w.store, w.db[db]);
	struct daxkv_txn *txn = begin_reading(w.store);

	SAME(daxkv_db_open(txn, &name, 0, &w.db[db]), 0);
	daxkv_txn_abort(txn);
}

/* clone_looks - what a clone of a reader sees, beside the reader's own cursors. */
static void clone_looks(void)
{
	uint32_t r = LEVELS + rnd(READERS);
	struct place p = {.txn = r, .db = rnd(DBS), .slot = NOWHERE};
	struct daxkv_txn *clone;

	if (!w.txn[r] || w.resting[r])
		return;
	SAME(daxkv_txn_clone(w.txn[r], &clone), 0);
	SAME(daxkv_cursor_open(clone, w.db[p.db], &p.c), 0);
	for (unsigned int i = 0; i < 12; i++) {
		move(&p, rnd(DAXKV_GET_CURRENT + 1));
		look(&p);
	}
	daxkv_cursor_close(p.c);
	daxkv_txn_abort(clone);
}

static void stat_same(uint32_t txn)
{
	struct daxkv_db_stat stat;
	uint32_t db = rnd(DBS);
	uint64_t n = 0;

	for (uint32_t s = 0; s < SLOTS; s++)
		n += w.content[txn].has[db][s] != 0;
	SAME(daxkv_db_stat(w.txn[txn], w.db[db], &stat), 0);
	SAME(stat.entries, n);
}

static void step(void)
{
	uint32_t kind = rnd(100);

	if (kind < 4 && w.depth < LEVELS) {
		write_begin();
	} else if (kind >= 4 && kind < 8 && w.depth) {
		write_end(rnd(3) != 0);
	} else if (kind < 14) {
		reader_turn();
	} else if (kind < 24) {
		cursor_turn();
	} else if (kind < 34 && w.depth) {
		change();
	} else if (kind < 38) {
		for (uint32_t t = 0; t < LEVELS + READERS; t++)
			if (w.txn[t] && !w.resting[t] && (t >= LEVELS || t + 1 == w.depth))
				stat_same(t);
	} else if (kind < 39 && !w.depth) {
		const struct daxkv_compact some = {.pages = rnd(20)};

		SAME(daxkv_compact(w.store, &some, NULL), 0);
	} else if (kind < 40 && !w.depth) {
		handle_anew();
	} else if (kind < 41) {
		clone_looks();
	} else {
		for (unsigned int i = 0; i < 4; i++) {
			unsigned int at = rnd(CURSORS);

			for (unsigned int n = 0; n < CURSORS && !usable(&w.place[at]); n++)
				at = (at + 1) % CURSORS;
			if (usable(&w.place[at]))
				use(&w.place[at]);
		}
	}
	look_all();
}

static void walk(uint64_t seed)
{
	memset(&w, 0, sizeof w);
	rng_seed(&w.rng, seed);
	w.seed = seed;
	w.store = store_new("walk", rnd(3) ? 512 : 4096);
	for (unsigned int i = 0; i < CURSORS; i++)
		w.place[i].txn = FREE;
	struct daxkv_txn *txn = begin(w.store);

	for (uint32_t db = 0; db < DBS; db++)
		w.db[db] = db_of(txn, kinds[db].name, kinds[db].flags);
	for (unsigned int i = 0; i < 80; i++) {
		uint32_t db = rnd(DBS);

		put_row(txn, w.committed.has[db], db);
	}
	SAME(daxkv_txn_commit(txn), 0);
	for (w.step = 0; w.step < STEPS; w.step++)
		step();
	while (w.depth)
		write_end(true);
	for (uint32_t r = LEVELS; r < LEVELS + READERS; r++) {
		detach(r, true);
		daxkv_txn_abort(w.txn[r]);
	}
	store_done(w.store);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *given = getenv(name);

	return given ? strtoull(given, NULL, 10) : otherwise;
}

static void walks(void **state)
{
	uint64_t first = number("CURSOR_SEED", 1), n = number("CURSOR_WALKS", 10);
	(void)state;

	for (uint64_t i = 0; i < n; i++)
		walk(first + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(walks)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
