/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * export.c - kv export: a store becomes a new LMDB environment: all databases, their flags and
 * duplicates.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "call_store.h"
#include "lmdb.h"
#include "progress.h"

#define BATCH_ENTRIES 10000u
#define MAP_SPARE     ((uint64_t)64 << 20)
#define MAP_TIMES                                                                                  \
	4u /* as large as the store's file: LMDB's pages are emptier where keys come out of order  \
	    */
#define MAP_PAGE 4096u

struct export
{
	struct call *call;
	struct lmdb lmdb;
	MDB_txn *txn;
	MDB_dbi dbi;
	uint64_t total, pending;
};

/* The order of arrival: LMDB asks with what is put first. */
static int export_keys(const MDB_val *a, const MDB_val *b)
{
	return a->mv_size == b->mv_size && memcmp(a->mv_data, b->mv_data, a->mv_size) == 0 ? 0 : 1;
}

static int export_dups(const MDB_val *a, const MDB_val *b)
{
	return a->mv_size == b->mv_size &&
	               (a->mv_size == 0 || memcmp(a->mv_data, b->mv_data, a->mv_size) == 0)
	           ? 0
	           : 1;
}

/* target - the database of the environment, in a transaction of its own. */
static int export_target(struct export *ex, const char *name, unsigned int flags)
{
	int rc = ex->lmdb.mdb_txn_begin(ex->lmdb.env, NULL, 0, &ex->txn);

	if (rc != 0) {
		ex->txn = NULL;
		return lmdb_fail(ex->call, &ex->lmdb, rc, "cannot write to the LMDB file");
	}
	rc = ex->lmdb.mdb_dbi_open(ex->txn, name, (flags & LMDB_DB_FLAGS) | MDB_CREATE, &ex->dbi);
	if (rc == 0 && flags & DAXKV_OWN_COMPARE)
		rc = ex->lmdb.mdb_set_compare(ex->txn, ex->dbi, export_keys);
	if (rc == 0 && flags & DAXKV_OWN_DUP_COMPARE)
		rc = ex->lmdb.mdb_set_dupsort(ex->txn, ex->dbi, export_dups);
	return rc == 0
	           ? EXIT_OK
	           : lmdb_fail(ex->call, &ex->lmdb, rc, "cannot make a database in the LMDB file");
}

static int target_commit(struct export *ex)
{
	int rc = ex->lmdb.mdb_txn_commit(ex->txn);

	ex->txn = NULL;
	return rc == 0 ? EXIT_OK
	               : lmdb_fail(ex->call, &ex->lmdb, rc, "cannot write to the LMDB file");
}

static int export_put(struct export *ex, const struct daxkv_val *key, const struct daxkv_val *value,
                      const char *name, unsigned int flags)
{
	MDB_val k = {key->size, key->data}, v = {value->size, value->data};
	int status, rc = ex->lmdb.mdb_put(ex->txn, ex->dbi, &k, &v, 0);

	if (rc != 0) {
		char text[80], what[128];

		snprintf(what, sizeof what, "LMDB cannot take the entry of '%s'",
		         bytes_text(key, text, sizeof text));
		return lmdb_fail(ex->call, &ex->lmdb, rc, what);
	}
	progress_add(1);
	if (++ex->pending < BATCH_ENTRIES)
		return EXIT_OK;
	ex->pending = 0;
	status = target_commit(ex);
	return status == EXIT_OK ? export_target(ex, name, flags) : status;
}

/* next_name - the first named database after the one in *name; size 0: none. */
static int next_name(const struct call *call, struct daxkv_val *name)
{
	int err = daxkv_db_list_next(call->txn, name);

	if (err == DAXKV_NOT_FOUND)
		name->size = 0;
	return err == 0 || err == DAXKV_NOT_FOUND
	           ? EXIT_OK
	           : call_fail(call, err, "cannot list the databases");
}

/* export_entries - name NULL: the main database, without the entries of named ones. */
static int export_entries(struct export *ex, const char *name, unsigned int flags)
{
	struct daxkv_val key, value, skip = {0, NULL};
	struct daxkv_cursor *c = NULL;
	uint64_t found = 0;
	int err = 0, status = export_target(ex, name, flags);

	if (status == EXIT_OK)
		status = store_cursor(ex->call, &c);
	if (status == EXIT_OK && name == NULL)
		status = next_name(ex->call, &skip);
	while (status == EXIT_OK && (err = daxkv_cursor_get(c, &key, &value, DAXKV_NEXT)) == 0) {
		found++;
		if (skip.size == key.size && skip.size != 0 &&
		    memcmp(skip.data, key.data, key.size) == 0)
			status = next_name(ex->call, &skip);
		else
			status = export_put(ex, &key, &value, name, flags);
	}
	daxkv_cursor_close(c);
	if (status == EXIT_OK && err != DAXKV_NOT_FOUND)
		status = call_fail(ex->call, err, "cannot read the store");
	if (status == EXIT_OK)
		status = store_count(ex->call, found);
	return status == EXIT_OK ? target_commit(ex) : status;
}

static int export_database(struct export *ex, const struct daxkv_val *name)
{
	struct call *call = ex->call;
	struct daxkv_db_stat st;
	unsigned int flags = 0;
	char *text = NULL;
	int err, status;

	if (name != NULL && memchr(name->data, '\0', name->size) != NULL)
		return call_fail_as(
		    call, EXIT_USAGE,
		    "a database's name has a NUL byte, which LMDB's names cannot have");
	status = store_select(call, name, 0);
	if (status != EXIT_OK)
		return status;
	err = daxkv_db_flags(call->txn, call->db, &flags);
	if (err == 0)
		err = daxkv_db_stat(call->txn, call->db, &st);
	if (err != 0)
		return call_fail(call, err, "cannot read the store");
	ex->total += st.entries;
	progress_total(ex->total);
	if (name != NULL && (text = strndup(name->data, name->size)) == NULL)
		return call_fail_sys(call, ENOMEM, "cannot read the store");
	status = export_entries(ex, text, flags);
	if (text != NULL && status == EXIT_OK)
		ex->lmdb.mdb_dbi_close(ex->lmdb.env, ex->dbi);
	free(text);
	return status;
}

/* export_all - the named databases' handles are given back one by one, which takes a new snapshot
 * each time: the store is opened for nobody else meanwhile, so it is the same one. The name is kept
 * in memory of our own for that reason. */
static int export_all(struct export *ex)
{
	struct daxkv_val name = {0, NULL};
	char *kept = NULL;
	int status = export_database(ex, NULL);

	if (status == EXIT_OK)
		status = next_name(ex->call, &name);
	while (status == EXIT_OK && name.size != 0) {
		char *copy = malloc(name.size);

		if (copy == NULL) {
			status = call_fail_sys(ex->call, ENOMEM, "cannot read the store");
			break;
		}
		memcpy(copy, name.data, name.size);
		free(kept);
		kept = copy;
		name.data = kept;
		progress_total(--ex->total); /* an entry of the main database that is none */
		status = export_database(ex, &name);
		if (status == EXIT_OK)
			status = store_next_db(ex->call);
		if (status == EXIT_OK)
			status = next_name(ex->call, &name);
	}
	free(kept);
	if (status == EXIT_OK) {
		int rc = ex->lmdb.mdb_env_sync(ex->lmdb.env, 1);

		if (rc != 0)
			status =
			    lmdb_fail(ex->call, &ex->lmdb, rc, "cannot write to the LMDB file");
	}
	return status;
}

/* data_file - make the environment's file at path, empty, where nothing is yet; LMDB fills it.
 * *name: the file; NULL: it was not made. */
static int data_file(struct call *call, const char *path, char **name)
{
	struct stat st;
	bool dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	char *file;
	int fd, status;

	if (asprintf(&file, dir ? "%s/data.mdb" : "%s", path) < 0)
		return call_fail_sys(call, ENOMEM, "cannot export");
	fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0664);
	if (fd < 0) {
		status = call_fail_sys(call, errno, "cannot make '%s'", file);
		free(file);
		return status;
	}
	close(fd);
	*name = file;
	return EXIT_OK;
}

int run_export(struct call *call)
{
	struct export ex = {.call = call};
	struct daxkv_info info;
	char *name = NULL;
	int err, status = lmdb_load(call, &ex.lmdb);

	if (status == EXIT_OK)
		status = store_read_verified(call);
	if (status == EXIT_OK && (err = daxkv_info(call->store, &info)) != 0)
		status = call_fail(call, err, NULL);
	if (status == EXIT_OK)
		status = data_file(call, call->operands[0], &name);
	if (status == EXIT_OK) {
		uint64_t mapsize = (MAP_TIMES * info.file_size + MAP_SPARE) / MAP_PAGE * MAP_PAGE;

		/* Nobody else has the new file. LMDB would write over any file with its lock file's
		 * name. */
		status =
		    lmdb_open(call, &ex.lmdb, call->operands[0], MDB_NOSYNC | MDB_NOLOCK, mapsize);
	}
	const bool begun = progress_begin(call, "entries", 0);

	if (status == EXIT_OK)
		status = export_all(&ex);
	if (begun && status == EXIT_OK)
		progress_stays();
	progress_end(begun);
	if (ex.txn != NULL)
		ex.lmdb.mdb_txn_abort(ex.txn);
	lmdb_end(&ex.lmdb);
	if (name != NULL && status != EXIT_OK)
		unlink(name); /* no half environment stays */
	free(name);
	return status;
}
