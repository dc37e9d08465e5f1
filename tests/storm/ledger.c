/* SPDX-License-Identifier: BSD-3-Clause */
#include "ledger.h"

#include "rng.h"

#include <inttypes.h>
#include <stdio.h>

#define LOG_VALUE_MAX 120000u

static char wrong[300];

struct plan { /* of one transaction */
	unsigned int from, to;
	int64_t amount;
	uint32_t log_len;
	bool nested, bulk;
};

static uint32_t log_len(uint64_t seed, uint64_t t)
{
	uint64_t r = rng_mix(seed * 31 + t);

	if (r % 200 == 0)
		return 20000 + (uint32_t)(r >> 20) % (LOG_VALUE_MAX - 20000);
	return r % 20 == 0 ? 1000 + (uint32_t)(r >> 20) % 3000 : 8 + (uint32_t)(r >> 20) % 90;
}

static struct plan plan_make(uint64_t seed, uint64_t t)
{
	struct rng rng;
	struct plan p;

	rng_seed(&rng, rng_mix(seed ^ t << 20));
	p.from = (unsigned int)rng_below(&rng, LEDGER_ACCOUNTS);
	p.to = (unsigned int)rng_below(&rng, LEDGER_ACCOUNTS);
	p.amount = (int64_t)rng_below(&rng, 500);
	p.log_len = log_len(seed, t);
	p.nested = rng_below(&rng, 10) == 0;
	p.bulk = rng_below(&rng, 60) == 0;
	return p;
}

void ledger_start(struct ledger *l, uint64_t seed)
{
	*l = (struct ledger){.seed = seed};
	for (unsigned int i = 0; i < LEDGER_ACCOUNTS; i++)
		l->account[i] = LEDGER_OPENING;
}

void ledger_advance(struct ledger *l)
{
	struct plan p = plan_make(l->seed, ++l->last);

	l->account[p.from] -= p.amount;
	l->account[p.to] += p.amount;
	if (p.bulk)
		l->bulk = l->last;
}

/* ---- entries --------------------------------------------------------------------------------- */

struct name {
	char bytes[24];
	struct daxkv_val val;
};

static struct daxkv_val *name(struct name *n, const char *kind, uint64_t number)
{
	int len = snprintf(n->bytes, sizeof n->bytes, "%.8s%010" PRIu64, kind, number);

	n->val = (struct daxkv_val){(size_t)len, n->bytes};
	return &n->val;
}

/* log_value - what transaction t notes in the log. */
static struct daxkv_val log_value(uint32_t len, uint64_t t)
{
	static uint64_t bytes[LOG_VALUE_MAX / 8 + 1];

	for (uint32_t i = 0; i <= len / 8; i++)
		bytes[i] = t * 0x9e3779b97f4a7c15u + i;
	return (struct daxkv_val){len, bytes};
}

static int db_open(struct daxkv_txn *txn, const char *db_name, unsigned int flags, daxkv_db *db)
{
	char bytes[16];

	snprintf(bytes, sizeof bytes, "%s", db_name);
	return daxkv_db_open(txn, &(struct daxkv_val){strlen(bytes), bytes}, flags, db);
}

static int put_number(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
                      int64_t number)
{
	return daxkv_put(txn, db, key, &(struct daxkv_val){sizeof number, &number}, 0);
}

static int get_number(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *key,
                      int64_t *number)
{
	struct daxkv_val value;
	int rc = daxkv_get(txn, db, key, &value);

	if (rc)
		return rc;
	if (value.size != sizeof *number)
		return DAXKV_VALUE_SIZE;
	memcpy(number, value.data, sizeof *number);
	return 0;
}

/* ---- one transaction ------------------------------------------------------------------------- */

static int account_add(struct daxkv_txn *txn, unsigned int i, int64_t amount)
{
	struct name n;
	int64_t balance;
	int rc = get_number(txn, DAXKV_MAIN, name(&n, "account", i), &balance);

	return rc ? rc : put_number(txn, DAXKV_MAIN, &n.val, balance + amount);
}

static int accounts_open(struct daxkv_txn *txn)
{
	struct name n;
	int rc = 0;

	for (unsigned int i = 0; i < LEDGER_ACCOUNTS && !rc; i++)
		rc = put_number(txn, DAXKV_MAIN, name(&n, "account", i), LEDGER_OPENING);
	return rc;
}

static int transfer(struct daxkv_txn *txn, const struct plan *p)
{
	int rc = account_add(txn, p->from, -p->amount);

	return rc ? rc : account_add(txn, p->to, p->amount);
}

/* nested_tries - a transfer that is kept, after one that is not, with marks that must never be
 * seen. */
static int nested_tries(struct daxkv_store *store, struct daxkv_txn *txn, const struct plan *p)
{
	struct daxkv_txn *child;
	struct name n;
	int rc = daxkv_txn_begin(store, txn, 0, &child);

	if (rc)
		return rc;
	for (unsigned int i = 0; i < 30 && !rc; i++)
		rc = put_number(child, DAXKV_MAIN, name(&n, "aborted", i), 1);
	if (!rc)
		rc = account_add(child, p->from, 1000000);
	daxkv_txn_abort(child);
	if (!rc)
		rc = daxkv_txn_begin(store, txn, 0, &child);
	if (rc)
		return rc;
	rc = transfer(child, p);
	if (!rc)
		return daxkv_txn_commit(child);
	daxkv_txn_abort(child);
	return rc;
}

static int log_write(struct daxkv_txn *txn, const struct plan *p, uint64_t t)
{
	struct name n;
	struct daxkv_val value = log_value(p->log_len, t);
	int rc = daxkv_put(txn, DAXKV_MAIN, name(&n, "log", t), &value, 0);

	if (!rc && t > LEDGER_LOG)
		rc = daxkv_del(txn, DAXKV_MAIN, name(&n, "log", t - LEDGER_LOG), NULL);
	return rc ? rc
	          : put_number(txn, DAXKV_MAIN, &(struct daxkv_val){4, (char[]){"last"}},
	                       (int64_t)t);
}

static int pair_change(struct daxkv_txn *txn, daxkv_db db, uint64_t t, bool add)
{
	struct name n, number;
	struct daxkv_val *key = name(&n, "pair", t % 20);

	return add ? daxkv_put(txn, db, key, name(&number, "", t), 0)
	           : daxkv_del(txn, db, key, name(&number, "", t));
}

static int pairs_write(struct daxkv_txn *txn, uint64_t t)
{
	daxkv_db db;
	int rc = db_open(txn, "pairs", DAXKV_CREATE | DAXKV_DUP_SORT, &db);

	if (!rc)
		rc = pair_change(txn, db, t, true);
	if (!rc && t > LEDGER_PAIRS)
		rc = pair_change(txn, db, t - LEDGER_PAIRS, false);
	return rc;
}

static int bulk_write(struct daxkv_txn *txn, uint64_t t)
{
	daxkv_db db;
	int rc = db_open(txn, "bulk", DAXKV_CREATE, &db);

	for (uint64_t i = 0; i < LEDGER_BULK && !rc; i++) {
		struct name n;

		rc = put_number(txn, db, name(&n, "bulk", i * 7919 % LEDGER_BULK), (int64_t)t);
	}
	return rc;
}

int ledger_write(struct daxkv_store *store, uint64_t seed, uint64_t t, volatile uint64_t *started)
{
	struct plan p = plan_make(seed, t);
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, 0, &txn);

	if (rc)
		return rc;
	if (t == 1)
		rc = accounts_open(txn);
	if (!rc)
		rc = p.nested ? nested_tries(store, txn, &p) : transfer(txn, &p);
	if (!rc)
		rc = pairs_write(txn, t);
	if (!rc && p.bulk)
		rc = bulk_write(txn, t);
	if (!rc)
		rc = log_write(txn, &p, t);
	if (rc) {
		daxkv_txn_abort(txn);
		return rc;
	}
	if (started)
		*started = t;
	return daxkv_txn_commit(txn);
}

/* ---- what is there --------------------------------------------------------------------------- */

int ledger_last(struct daxkv_txn *txn, uint64_t *t)
{
	int64_t number = 0;
	int rc = get_number(txn, DAXKV_MAIN, &(struct daxkv_val){4, (char[]){"last"}}, &number);

	if (rc && rc != DAXKV_NOT_FOUND)
		return rc;
	*t = (uint64_t)number;
	return 0;
}

int ledger_sum(struct daxkv_txn *txn, int64_t *sum)
{
	*sum = 0;
	for (unsigned int i = 0; i < LEDGER_ACCOUNTS; i++) {
		struct name n;
		int64_t balance = 0;
		int rc = get_number(txn, DAXKV_MAIN, name(&n, "account", i), &balance);

		if (rc && rc != DAXKV_NOT_FOUND)
			return rc;
		*sum += balance;
	}
	return 0;
}

static const char *differ(const char *what, uint64_t number, int rc)
{
	snprintf(wrong, sizeof wrong, "%s %" PRIu64 ": %s", what, number,
	         rc ? daxkv_strerror(rc) : "not as it should be");
	return wrong;
}

static const char *accounts_differ(struct daxkv_txn *txn, const struct ledger *l)
{
	int64_t sum = 0;

	for (unsigned int i = 0; i < LEDGER_ACCOUNTS; i++) {
		struct name n;
		int64_t balance;
		int rc = get_number(txn, DAXKV_MAIN, name(&n, "account", i), &balance);

		if (rc || balance != l->account[i])
			return differ("account", i, rc);
		sum += balance;
	}
	return sum == (int64_t)LEDGER_ACCOUNTS * LEDGER_OPENING
	           ? NULL
	           : differ("the sum of the accounts at", l->last, 0);
}

static const char *log_differs(struct daxkv_txn *txn, const struct ledger *l)
{
	uint64_t first = l->last > LEDGER_LOG ? l->last - LEDGER_LOG + 1 : 1;

	for (uint64_t t = first; t <= l->last; t++) {
		struct name n;
		struct daxkv_val got, want = log_value(log_len(l->seed, t), t);
		int rc = daxkv_get(txn, DAXKV_MAIN, name(&n, "log", t), &got);

		if (rc || got.size != want.size || memcmp(got.data, want.data, want.size) != 0)
			return differ("log entry", t, rc);
	}
	return NULL;
}

/* count_differs - the database has so many entries, by its count and by walking it. */
static const char *count_differs(struct daxkv_txn *txn, daxkv_db db, const char *what,
                                 uint64_t want)
{
	struct daxkv_db_stat stat;
	struct daxkv_cursor *cursor;
	uint64_t walked = 0;
	int rc = daxkv_db_stat(txn, db, &stat);

	if (!rc)
		rc = daxkv_cursor_open(txn, db, &cursor);
	if (rc)
		return differ(what, 0, rc);
	while ((rc = daxkv_cursor_get(cursor, NULL, NULL, DAXKV_NEXT)) == 0)
		walked++;
	daxkv_cursor_close(cursor);
	if (rc != DAXKV_NOT_FOUND)
		return differ(what, walked, rc);
	if (stat.entries == want && walked == want)
		return NULL;
	snprintf(wrong, sizeof wrong,
	         "%s: %" PRIu64 " entries, %" PRIu64 " counted, %" PRIu64 " wanted", what, walked,
	         stat.entries, want);
	return wrong;
}

static const char *pairs_differ(struct daxkv_txn *txn, const struct ledger *l)
{
	uint64_t first = l->last > LEDGER_PAIRS ? l->last - LEDGER_PAIRS + 1 : 1;
	struct daxkv_cursor *cursor;
	daxkv_db db;
	int rc = db_open(txn, "pairs", 0, &db);

	if (!rc)
		rc = daxkv_cursor_open(txn, db, &cursor);
	if (rc)
		return differ("the database of pairs at", l->last, rc);
	for (uint64_t t = first; t <= l->last && !rc; t++) {
		struct name key, number;

		rc = daxkv_cursor_get(cursor, name(&key, "pair", t % 20), name(&number, "", t),
		                      DAXKV_SEEK_PAIR);
	}
	daxkv_cursor_close(cursor);
	return rc ? differ("a pair at", l->last, rc)
	          : count_differs(txn, db, "pairs", l->last - first + 1);
}

static const char *bulk_differs(struct daxkv_txn *txn, const struct ledger *l)
{
	daxkv_db db;
	int rc = db_open(txn, "bulk", 0, &db);

	if (!l->bulk)
		return rc == DAXKV_NOT_FOUND ? NULL
		                             : differ("a database of bulk data at", l->last, rc);
	for (uint64_t i = 0; i < LEDGER_BULK && !rc; i++) {
		struct name n;
		int64_t number = 0;

		rc = get_number(txn, db, name(&n, "bulk", i), &number);
		if (rc || number != (int64_t)l->bulk)
			return differ("bulk entry", i, rc);
	}
	return rc ? differ("the database of bulk data at", l->last, rc)
	          : count_differs(txn, db, "bulk", LEDGER_BULK);
}

static const char *txn_differs(struct daxkv_txn *txn, const struct ledger *l)
{
	uint64_t last = 0, log = l->last < LEDGER_LOG ? l->last : LEDGER_LOG;
	int rc = ledger_last(txn, &last);

	if (rc || last != l->last)
		return differ("the newest transaction is", last, rc);
	if (last == 0)
		return count_differs(txn, DAXKV_MAIN, "the main database", 0);
	const char *d = accounts_differ(txn, l);

	if (!d)
		d = log_differs(txn, l);
	if (!d)
		d = pairs_differ(txn, l);
	if (!d)
		d = bulk_differs(txn, l);
	/* Accounts, log, "last", and the catalog entries. */
	return d ? d
	         : count_differs(txn, DAXKV_MAIN, "the main database",
	                         LEDGER_ACCOUNTS + log + 2 + (l->bulk != 0));
}

static void fault_print(const char *fault, void *arg)
{
	(void)arg;
	fprintf(stderr, "daxkv_check: %s\n", fault);
}

const char *ledger_differs(struct daxkv_store *store, const struct ledger *l)
{
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (rc)
		return differ("beginning to read at", l->last, rc);
	const char *d = txn_differs(txn, l);

	daxkv_txn_abort(txn);
	if (d)
		return d;
	rc = daxkv_check(store, fault_print, NULL, NULL);
	return rc ? differ("the check at", l->last, rc) : NULL;
}
