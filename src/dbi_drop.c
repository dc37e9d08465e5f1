/* SPDX-License-Identifier: BSD-3-Clause */
/* dbi_drop.c - emptying, dropping and renaming databases. See dbi.c and daxkv.h */
#include "kv.h"

#include "err.h"

#include <errno.h>
#include <stdlib.h>

/* handle_of - the open handle of that name in the running transaction; 0: there is none. */
static daxkv_db handle_of(const struct daxkv *kv, const struct daxkv_val *name)
{
	for (daxkv_db i = DAXKV_MAIN + 1; i < kv->max_dbs; i++) {
		const struct dbi_name *n = dbi_name(kv, i, kv->wset.txn);

		if (n && n->len == name->size && memcmp(n->bytes, name->data, n->len) == 0)
			return i;
	}
	return 0;
}

/* drop_with_main - free a named database's pages; its record goes with all others of the main one. */
static int drop_with_main(struct daxkv_txn *txn, const struct daxkv_val *name)
{
	struct daxkv *kv = txn->kv;
	daxkv_db db = handle_of(kv, name);
	struct dbi_name *gone = db ? dbi_name_new(NULL, 0) : NULL;
	struct dbstate unopened, *s = &unopened;
	struct fmt_db record;
	int rc = db && !gone ? err_set(ENOMEM, "no memory to drop a database") : 0;

	if (!rc && db)
		rc = dbi_state_any(txn, db, &s);
	else if (!rc)
		rc = dbi_record_find(txn, name->data, (uint32_t)name->size, &record);
	if (!rc && !db)
		rc = dbi_state_read(txn, record.desc, NULL, s);
	if (!rc && db)
		rc = txn_changing(txn, db);
	if (!rc)
		rc = tree_clear(&s->tree, true);
	if (!rc)
		rc = wset_retire(&kv->wset, s->desc);
	if (rc || !db) {
		free(gone);
		return rc;
	}
	s->generation = 0;
	gone->gone = true;
	dbi_name_push(txn, db, gone);
	return 0;
}

static int drop_all_named(struct daxkv_txn *txn)
{
	struct daxkv_val name = {0, NULL}; /* in the main database, which does not change meanwhile */
	int rc;

	while ((rc = daxkv_db_next(txn, &name)) == 0) {
		rc = drop_with_main(txn, &name);
		if (rc)
			return txn_break(txn, rc);
	}
	return rc == DAXKV_NOTFOUND ? 0 : rc;
}

static int drop_record(struct daxkv_txn *txn, daxkv_db db, struct dbstate *s)
{
	struct daxkv *kv = txn->kv;
	const struct dbi_name *n = dbi_name(kv, db, kv->wset.txn);
	struct probe p = {.key = n->bytes, .klen = n->len};
	struct dbstate *main_state;
	struct path path;
	int rc = dbi_state(txn, DAXKV_MAIN, &main_state);

	if (rc)
		return rc;
	rc = tree_seek(&main_state->tree, &p, &path);
	if (!rc && !path.eoff)
		rc = err_corrupt(s->desc, "the database's record is gone");
	if (!rc)
		rc = tree_remove(&main_state->tree, &path);
	if (!rc)
		rc = wset_retire(&kv->wset, s->desc);
	main_state->changed = true;
	s->generation = 0;
	return rc;
}

int daxkv_db_drop(struct daxkv_txn *txn, daxkv_db db, int del)
{
	struct dbstate *s;
	int rc = txn_check(txn, true);

	if (!rc)
		rc = dbi_state_any(txn, db, &s);
	if (!rc)
		rc = txn_changing(txn, db);
	if (!rc && del && db != DAXKV_MAIN)
		rc = txn_changing(txn, DAXKV_MAIN);
	if (!rc && db == DAXKV_MAIN)
		rc = drop_all_named(txn);
	if (rc)
		return rc;
	bool forget = del && db != DAXKV_MAIN;
	struct dbi_name *gone = forget ? dbi_name_new(NULL, 0) : NULL;

	if (forget && !gone)
		return err_set(ENOMEM, "no memory to drop a database");
	rc = tree_clear(&s->tree, forget);
	s->changed = true;
	if (!rc && forget)
		rc = drop_record(txn, db, s);
	if (rc) {
		free(gone);
		return txn_break(txn, rc);
	}
	if (forget) { /* snapshots before this go on using the handle */
		gone->gone = true;
		dbi_name_push(txn, db, gone);
	}
	return 0;
}

int daxkv_db_rename(struct daxkv_txn *txn, daxkv_db db, const struct daxkv_val *name)
{
	struct daxkv *kv;
	struct dbstate *s, *main_state;
	struct item it;
	bool taken = false;
	int rc = txn_check(txn, true);

	if (!rc)
		rc = dbi_state_any(txn, db, &s);
	if (!rc)
		rc = dbi_state(txn, DAXKV_MAIN, &main_state);
	if (rc)
		return rc;
	kv = txn->kv;
	if (db == DAXKV_MAIN)
		return err_set(EINVAL, "the main database has no name");
	rc = record_key_check(kv, &main_state->order, name);
	if (!rc)
		rc = tree_get(&main_state->tree, name->data, (uint32_t)name->size, &it, &taken);
	if (rc || taken)
		return rc ? rc : DAXKV_EXIST;
	struct dbi_name *copy = dbi_name_new(name->data, name->size);

	if (!copy)
		return err_set(ENOMEM, "no memory for a name");
	rc = txn_changing(txn, DAXKV_MAIN);
	if (rc) {
		free(copy);
		return rc;
	}
	const struct dbi_name *old = dbi_name(kv, db, kv->wset.txn);
	struct fmt_db record = {.desc = s->desc, .flags = s->flags};
	struct daxkv_val value = {sizeof record, &record};
	struct probe p = {.key = old->bytes, .klen = old->len};
	struct path path;

	rc = tree_seek(&main_state->tree, &p, &path);
	if (!rc)
		rc = tree_remove(&main_state->tree, &path);
	main_state->changed = true;
	if (!rc)
		rc = record_put(txn, DAXKV_MAIN, &(struct daxkv_val){copy->len, copy->bytes}, &value, 0, FMT_ENTRY_DB); /* *name may lie in a page that changed */
	if (rc) {
		free(copy);
		return txn_break(txn, rc);
	}
	dbi_name_push(txn, db, copy);
	return 0;
}

