/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * salvage.c - kv salvage: what can be read of a damaged store becomes a new store. It has another
 * name until it is whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrival.h"
#include "bytes.h"
#include "call_store.h"
#include "new_file.h"
#include "progress.h"

#define BATCH_ENTRIES 10000u
#define BATCH_BYTES   (16u << 20)

struct salvage {
	struct call *call;
	const struct new_file *file;
	struct arrival arrival;
	void *name; /* a copy of the database's; NULL: the main one */
	size_t name_size;
	unsigned int flags;
	bool refused; /* the store does not take the database, so that its entries are lost */
	uint64_t entries, databases, refusals, pending, bytes;
	int status; /* of what failed, which was printed; else EXIT_OK */
};

/* ended - what a function that the library calls returns; a failure was printed. */
static int ended(struct salvage *sv, int status)
{
	sv->status = status;
	return status == EXIT_OK ? 0 : DAXKV_BUSY;
}

static int on_store(unsigned int page_size, uint64_t user_version, void *arg)
{
	struct salvage *sv = arg;
	struct call *call = sv->call;
	const struct daxkv_options options = {.flags =
	                                          DAXKV_CREATE | DAXKV_EXCLUSIVE | DAXKV_NO_LOCK,
	                                      .pmem = call->opt.pmem,
	                                      .page_size = page_size,
	                                      .user_version = user_version};
	int err = daxkv_open(sv->file->path, &options, &call->store);

	if (err == 0)
		return 0;
	call->store = NULL;
	return ended(sv, call_fail(call, err, "cannot make the new store"));
}

/* refuse - the new store does not take it: that is told, and the rest goes on. */
static void refuse(struct salvage *sv, int err, const char *what, const struct daxkv_val *name)
{
	char text[80];

	sv->refusals++;
	call_note(sv->call, "lost: %s '%s': %s", what, bytes_text(name, text, sizeof text),
	          daxkv_strerror(err));
}

static bool refusal(int err)
{
	return err == DAXKV_INCOMPATIBLE || err == DAXKV_KEY_SIZE || err == DAXKV_VALUE_SIZE ||
	       err == DAXKV_EXIST || err == EINVAL;
}

/* target - the database, in a new transaction. An exit status. */
static int target(struct salvage *sv)
{
	struct call *call = sv->call;
	const struct daxkv_val name = {sv->name_size, sv->name};
	int err, status = store_begin(call, 0);

	if (status != EXIT_OK)
		return status;
	err = daxkv_db_open(call->txn, sv->name != NULL ? &name : NULL, sv->flags | DAXKV_CREATE,
	                    &call->db);
	if (err == 0 && sv->flags & DAXKV_OWN_COMPARE)
		err = daxkv_db_set_compare(call->txn, call->db, arrival_keys, &sv->arrival);
	if (err == 0 && sv->flags & DAXKV_OWN_DUP_COMPARE)
		err = daxkv_db_set_dup_compare(call->txn, call->db, arrival_dups, &sv->arrival);
	sv->refused = refusal(err);
	if (sv->refused)
		refuse(sv, err, "the database", &name);
	return err == 0 || sv->refused ? EXIT_OK : call_fail(call, err, "cannot make a database");
}

/* target_end - what was found of it is durable. An exit status. */
static int target_end(struct salvage *sv)
{
	struct call *call = sv->call;
	int status = EXIT_OK;

	if (call->txn == NULL)
		return EXIT_OK;
	sv->pending = sv->bytes = 0;
	status = store_commit(call);
	if (status == EXIT_OK && !sv->refused && sv->name != NULL)
		daxkv_db_close(call->store, call->db);
	return status;
}

static int on_database(const struct daxkv_val *name, unsigned int flags, void *arg)
{
	struct salvage *sv = arg;
	int status = target_end(sv);

	if (status != EXIT_OK)
		return ended(sv, status);
	free(sv->name);
	sv->name = NULL;
	sv->name_size = 0;
	sv->flags = flags;
	if (name != NULL) {
		sv->name = malloc(name->size + 1);
		if (sv->name == NULL)
			return ended(sv, call_fail_sys(sv->call, ENOMEM, "cannot salvage"));
		memcpy(sv->name, name->data, name->size);
		sv->name_size = name->size;
	}
	sv->databases++;
	return ended(sv, target(sv));
}

static int on_entry(const struct daxkv_val *key, const struct daxkv_val *value, void *arg)
{
	struct salvage *sv = arg;
	struct call *call = sv->call;
	struct daxkv_val v = *value;
	int err;

	if (sv->refused) {
		sv->refusals++;
		return 0;
	}
	sv->arrival = (struct arrival){key->data, v.data};
	err = daxkv_put(call->txn, call->db, key, &v, 0);
	if (refusal(err))
		refuse(sv, err, "the entry of", key);
	else if (err != 0)
		return ended(sv, call_fail(call, err, "cannot store an entry"));
	else
		sv->entries++;
	progress_add(1);
	sv->bytes += key->size + v.size;
	if (++sv->pending < BATCH_ENTRIES && sv->bytes < BATCH_BYTES)
		return 0;
	err = target_end(sv);
	return ended(sv, err == EXIT_OK ? target(sv) : err);
}

static void on_lost(const char *what, void *arg)
{
	call_note(((struct salvage *)arg)->call, "lost: %s", what);
}

/* store_done - the new store is whole and closed. An exit status. */
static int store_done(struct salvage *sv)
{
	struct call *call = sv->call;
	int err, status = target_end(sv);

	if (status != EXIT_OK)
		return status;
	err = daxkv_close(call->store);
	call->store = NULL;
	return err == 0 ? EXIT_OK : call_fail(call, err, "cannot close the new store cleanly");
}

int run_salvage(struct call *call)
{
	struct new_file file;
	struct salvage sv = {.call = call, .file = &file};
	const struct daxkv_salvage to = {on_store, on_database, on_entry, on_lost, &sv};
	uint64_t lost = 0;
	int err, status = new_file_begin(call, call->operands[0], &file);

	if (status != EXIT_OK)
		return status;
	const bool told = progress_begin(call, "entries", 0);

	err = daxkv_salvage(call->file, &to, &lost);
	progress_end(told);
	if (err != 0 && sv.status == EXIT_OK)
		sv.status = call_fail(call, err, "cannot salvage it");
	status = sv.status == EXIT_OK ? store_done(&sv) : sv.status;
	status = store_end(call, status);
	status = new_file_end(call, &file, status);
	free(sv.name);
	if (status != EXIT_OK)
		return status;
	lost += sv.refusals;
	printf("%" PRIu64 " entries saved, %" PRIu64 " places lost\n", sv.entries, lost);
	return lost == 0 ? EXIT_OK : EXIT_CORRUPT;
}
