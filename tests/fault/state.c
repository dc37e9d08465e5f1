/* SPDX-License-Identifier: BSD-3-Clause */
#include "state.h"

#include <stdio.h>
#include <string.h>

static char difference[256];

struct daxkv_val state_key(unsigned int i)
{
	static char keys[8][8];
	static unsigned int next;
	char *key = keys[next++ % 8];

	snprintf(key, sizeof keys[0], "k%04u", i % 10000);
	return (struct daxkv_val){5, key};
}

struct daxkv_val state_fill(uint32_t len, uint32_t seed)
{
	static uint32_t bytes[STATE_VALUE_MAX / 4 + 1];

	for (uint32_t i = 0; i <= len / 4; i++)
		bytes[i] = seed * 2654435761u + i;
	return (struct daxkv_val){len, bytes};
}

struct daxkv_val state_dup(unsigned int v)
{
	static char bytes[8];

	snprintf(bytes, sizeof bytes, "v%02u", v % 100);
	return (struct daxkv_val){3, bytes};
}

struct daxkv_val state_name(const char *name)
{
	static char bytes[2][16];
	static unsigned int next;
	char *to = bytes[next++ % 2];

	snprintf(to, sizeof bytes[0], "%s", name);
	return (struct daxkv_val){strlen(to), to};
}

static const char *differ(const char *what, unsigned int i, int rc)
{
	snprintf(difference, sizeof difference, "%s, number %u: %s", what, i,
	         rc ? daxkv_strerror(rc) : "another value");
	return difference;
}

static const char *values_differ(struct daxkv_txn *txn, daxkv_db db, const char *what,
                                 const struct state_value *values, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct daxkv_val key = state_key(i), got;
		int rc = daxkv_get(txn, db, &key, &got);

		if (!values[i].there) {
			if (rc != DAXKV_NOT_FOUND)
				return differ(what, i, rc);
			continue;
		}
		if (rc)
			return differ(what, i, rc);
		struct daxkv_val want = state_fill(values[i].len, values[i].seed);

		if (got.size != want.size || memcmp(got.data, want.data, want.size) != 0)
			return differ(what, i, 0);
	}
	return NULL;
}

/* entries_differ - a database has as many entries as it should, by its count and by walking it. */
static const char *entries_differ(struct daxkv_txn *txn, daxkv_db db, const char *what,
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
		return differ(what, (unsigned int)walked, rc);
	if (stat.entries == want && walked == want)
		return NULL;
	snprintf(difference, sizeof difference, "%s: %lu entries, %lu counted, %lu wanted", what,
	         (unsigned long)walked, (unsigned long)stat.entries, (unsigned long)want);
	return difference;
}

static uint64_t values_there(const struct state_value *values, unsigned int n)
{
	uint64_t there = 0;

	for (unsigned int i = 0; i < n; i++)
		there += values[i].there;
	return there;
}

/* db_differs - whether a named database is there as it should be; with it, its handle. */
static const char *db_differs(struct daxkv_txn *txn, const char *name, bool there, daxkv_db *db)
{
	struct daxkv_val n = state_name(name);
	int rc = daxkv_db_open(txn, &n, 0, db);

	return rc == (there ? 0 : DAXKV_NOT_FOUND) ? NULL : differ(name, 0, rc);
}

static const char *dups_differ(struct daxkv_txn *txn, const struct state *s)
{
	daxkv_db db;
	uint64_t want = 0;
	const char *d = db_differs(txn, "dups", s->dups_there, &db);

	if (d || !s->dups_there)
		return d;
	for (unsigned int i = 0; i < STATE_DUP_KEYS; i++) {
		struct daxkv_cursor *cursor;
		int rc = daxkv_cursor_open(txn, db, &cursor);

		if (rc)
			return differ("dups", i, rc);
		for (unsigned int v = 0; v < 64; v++) {
			struct daxkv_val key = state_key(i), value = state_dup(v);
			bool there = s->dups[i] >> v & 1;

			want += there;
			rc = daxkv_cursor_get(cursor, &key, &value, DAXKV_SEEK_PAIR);
			if (rc == 0 && !there)
				rc = DAXKV_EXIST;
			if (rc == DAXKV_NOT_FOUND && !there)
				rc = 0;
			if (rc)
				break;
		}
		daxkv_cursor_close(cursor);
		if (rc)
			return differ("dups", i, rc);
	}
	return entries_differ(txn, db, "dups", want);
}

static const char *txn_differs(struct daxkv_txn *txn, const struct state *s)
{
	static const char *const names[] = {"more", "moved"};
	const char *d = values_differ(txn, DAXKV_MAIN, "main", s->main, STATE_KEYS);

	if (!d)
		d = dups_differ(txn, s);
	for (unsigned int i = 0; i < 2 && !d; i++) {
		bool there = s->more_name && strcmp(s->more_name, names[i]) == 0;
		daxkv_db db;

		d = db_differs(txn, names[i], there, &db);
		if (!d && there)
			d = values_differ(txn, db, names[i], s->more, STATE_MORE);
		if (!d && there)
			d = entries_differ(txn, db, names[i], values_there(s->more, STATE_MORE));
	}
	if (!d)
		d = entries_differ(txn, DAXKV_MAIN, "main",
		                   values_there(s->main, STATE_KEYS) + s->dups_there +
		                       (s->more_name != NULL));
	return d;
}

const char *state_differs(struct daxkv_store *store, const struct state *s)
{
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (rc)
		return differ("beginning to read", 0, rc);
	const char *d = txn_differs(txn, s);

	daxkv_txn_abort(txn);
	return d;
}
