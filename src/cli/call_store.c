/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * call_store.c - see call_store.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "call_store.h"
#include "session.h"

#define WAIT_QUIET_MS 1000

int64_t store_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* open_waiting - open it by and by, as another process may stand still in opening or closing it:
 * that one is told once, and waited for as long as --wait says, but a second at least, as what goes
 * on takes a moment. 0, or daxkv's result; *said: it was printed. */
static int open_waiting(struct call *call, struct daxkv_options *options, bool *said)
{
	const int64_t first = store_now_ms(), most = call->opt.wait_ms;
	int64_t from = first, now;
	bool noted = false;
	int err;

	options->wait_ms = WAIT_QUIET_MS;
	*said = false;
	while ((err = daxkv_open(call->file, options, &call->store)) == DAXKV_BUSY) {
		now = store_now_ms();
		if (now - from < options->wait_ms) /* it is not a matter of waiting */
			break;
		*said = most >= 0 && now - first >= most;
		if (*said) {
			call_fail_as(call, EXIT_SYSTEM, "%s: waited for %.1f s", daxkv_errmsg(),
			             (double)(now - first) / 1000);
			break;
		}
		if (!noted)
			call_note(call, "waiting: %s", daxkv_errmsg());
		noted = true;
		if (most >= 0 && most - (now - first) < WAIT_QUIET_MS)
			options->wait_ms = (unsigned int)(most - (now - first));
		from = now;
	}
	return err;
}

/* newest_commit - 0: that cannot be known. */
static uint64_t newest_commit(const struct call *call)
{
	struct daxkv_info info;

	return daxkv_info(call->store, &info) == 0 ? info.last_txn : 0;
}

/* session_open - the store of the session that the call is a line of. */
static int session_open(struct call *call, unsigned int flags, bool *found)
{
	call->store = call->session->store;
	if (found != NULL)
		*found = flags & DAXKV_EXCLUSIVE;
	else if (flags & DAXKV_EXCLUSIVE)
		return call_fail_as(call, EXIT_USAGE,
		                    "the store is open: --db makes a database in it");
	return EXIT_OK;
}

int store_open(struct call *call, unsigned int flags, bool *found)
{
	if (call->session != NULL)
		return session_open(call, flags, found);
	struct daxkv_options options = {
	    .flags = flags,
	    .pmem = call->opt.pmem,
	    .page_size = call->opt.page_size,
	    .initial_size = call->opt.initial_size,
	    .max_size = call->opt.max_size,
	    .user_version = call->user_version,
	};
	bool said;
	int err = open_waiting(call, &options, &said);

	if (found != NULL)
		*found = err == EEXIST;
	if (err == 0 && (flags & DAXKV_EXCLUSIVE)) {
		call->made = true;
		call->made_at = newest_commit(call);
	}
	if (err == 0 || (err == EEXIST && found != NULL))
		return EXIT_OK;
	call->store = NULL;
	return said ? EXIT_SYSTEM
	            : call_fail(call, err,
	                        flags & DAXKV_CREATE ? "cannot open or make the store"
	                                             : "cannot open the store");
}

/* waiting_note - say who is waited for, once for each. */
static void waiting_note(struct call *call)
{
	int pid = daxkv_writer_pid(call->store);

	if (call->waited_for == (pid > 0 ? pid : -1))
		return;
	call->waited_for = pid > 0 ? pid : -1;
	if (pid > 0)
		call_note(call, "waiting for process %d, which has the writer's lock", pid);
	else
		call_note(call, "waiting for another process, which has the writer's lock");
}

unsigned int store_waiting(struct call *call, int64_t waited_ms)
{
	int64_t left = call->opt.wait_ms < 0 ? INT64_MAX : call->opt.wait_ms - waited_ms;
	int pid = daxkv_writer_pid(call->store);

	if (waited_ms >= WAIT_QUIET_MS && left > 0)
		waiting_note(call);
	if (waited_ms > 0 && left <= 0) {
		if (pid > 0)
			call_fail_as(call, EXIT_SYSTEM,
			             "process %d has the writer's lock: waited for %.1f s", pid,
			             (double)call->opt.wait_ms / 1000);
		else
			call_fail_as(call, EXIT_SYSTEM,
			             "another process has the writer's lock: waited for %.1f s",
			             (double)call->opt.wait_ms / 1000);
		return 0;
	}
	return left < WAIT_QUIET_MS ? (unsigned int)left : WAIT_QUIET_MS;
}

/* store_begin_write - by and by, so that what is waited for can be told. 0, or daxkv's result;
 * *said: it was printed. */
static int store_begin_write(struct call *call, bool *said)
{
	const int64_t from = store_now_ms();
	unsigned int wait = store_waiting(call, 0);
	int err;

	*said = false;
	while ((err = daxkv_txn_begin_timed(call->store, wait, &call->txn)) == DAXKV_BUSY) {
		int64_t waited = store_now_ms() - from;

		wait = store_waiting(call, waited > 0 ? waited : 1);
		*said = wait == 0;
		if (*said)
			break;
	}
	return err;
}

int store_begin(struct call *call, unsigned int flags)
{
	struct daxkv_txn *of = call->session != NULL ? call->session->txn : NULL;
	bool read_only = flags & DAXKV_TXN_READ_ONLY, said = false;
	int err;

	if (of != NULL && (read_only || !call->session->nested)) {
		call->txn = of;
		return EXIT_OK;
	}
	if (read_only || of != NULL)
		err = daxkv_txn_begin(call->store, of, flags, &call->txn);
	else
		err = store_begin_write(call, &said);
	if (err == 0)
		return EXIT_OK;
	call->txn = NULL;
	return said ? EXIT_SYSTEM : call_fail(call, err, "cannot begin a transaction");
}

int store_select(struct call *call, const struct daxkv_val *name, unsigned int flags)
{
	char text[80], what[128];
	int err;

	if (name == NULL && flags == 0) {
		call->db = DAXKV_MAIN;
		return EXIT_OK;
	}
	err = daxkv_db_open(call->txn, name, flags, &call->db);
	if (err == 0)
		return EXIT_OK;
	if (name == NULL)
		return call_fail(call, err, "cannot open the main database");
	snprintf(what, sizeof what, "cannot open the database '%s'",
	         bytes_text(name, text, sizeof text));
	return call_fail(call, err, what);
}

/* begin_selected - a transaction with the database of --db. */
static int begin_selected(struct call *call, unsigned int flags)
{
	int status = store_begin(call, flags);

	if (status != EXIT_OK)
		return status;
	return store_select(call, call->opt.has_db ? &call->opt.db : NULL, 0);
}

int store_read(struct call *call)
{
	int status = store_open(call, DAXKV_READ_ONLY, NULL);

	return status != EXIT_OK ? status : begin_selected(call, DAXKV_TXN_READ_ONLY);
}

int store_read_verified(struct call *call)
{
	int status = store_open(call, DAXKV_READ_ONLY, NULL);

	return status != EXIT_OK ? status
	                         : begin_selected(call, DAXKV_TXN_READ_ONLY | DAXKV_TXN_VERIFY);
}

int store_count(struct call *call, uint64_t found)
{
	struct daxkv_db_stat stat;
	int err = daxkv_db_stat(call->txn, call->db, &stat);

	if (err != 0)
		return call_fail(call, err, "cannot read the database");
	if (stat.entries == found)
		return EXIT_OK;
	return call_fail_as(call, EXIT_CORRUPT,
	                    "the database has %" PRIu64 " entries, and %" PRIu64 " were found",
	                    stat.entries, found);
}

int store_write(struct call *call)
{
	int status = call->store != NULL ? EXIT_OK : store_open(call, 0, NULL);

	return status != EXIT_OK ? status : begin_selected(call, 0);
}

/* in_session - whether the running transaction is the session's, which ends it. */
static bool in_session(const struct call *call)
{
	return call->session != NULL && call->txn == call->session->txn;
}

int store_commit(struct call *call)
{
	int err = in_session(call) ? 0 : daxkv_txn_commit(call->txn);

	call->txn = NULL; /* gone whatever the result */
	call->changed = err == 0 && !in_session(call);
	return err == 0 ? EXIT_OK : call_fail(call, err, "cannot commit");
}

/* The commits of a session are its lines' own. */
bool store_lazy(struct call *call)
{
	return call->session == NULL && daxkv_set_durability(call->store, DAXKV_LAZY) == 0;
}

int store_sync(struct call *call)
{
	const int err = daxkv_sync(call->store);

	return err == 0 ? EXIT_OK : call_fail(call, err, "cannot make what was committed durable");
}

int store_next_db(struct call *call)
{
	int err;

	if (call->db == DAXKV_MAIN)
		return EXIT_OK;
	if (in_session(call)) {
		daxkv_db_close(call->store, call->db);
		call->db = DAXKV_MAIN;
		return EXIT_OK;
	}
	daxkv_txn_reset(call->txn); /* a handle is closed while no transaction uses it */
	daxkv_db_close(call->store, call->db);
	call->db = DAXKV_MAIN;
	err = daxkv_txn_renew(call->txn);
	return err == 0 ? EXIT_OK : call_fail(call, err, "cannot go on reading");
}

static int compare(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	(void)arg;
	return bytes_cmp(a, b);
}

int store_cursor(struct call *call, struct daxkv_cursor **cursor)
{
	unsigned int flags = 0;
	int err = daxkv_db_flags(call->txn, call->db, &flags);

	/* Any comparator does, because no step from an entry to its neighbour compares; the
	 * commands refuse what would. In a session others come, which must not find it. */
	if (err == 0 && call->session != NULL && call->db == DAXKV_MAIN &&
	    flags & (DAXKV_OWN_COMPARE | DAXKV_OWN_DUP_COMPARE))
		err = DAXKV_NEED_COMPARE;
	if (err == 0 && flags & DAXKV_OWN_COMPARE)
		err = daxkv_db_set_compare(call->txn, call->db, compare, NULL);
	if (err == 0 && flags & DAXKV_OWN_DUP_COMPARE)
		err = daxkv_db_set_dup_compare(call->txn, call->db, compare, NULL);
	if (err == 0)
		err = daxkv_cursor_open(call->txn, call->db, cursor);
	return err == 0 ? EXIT_OK : call_fail(call, err, "cannot read the database");
}

int store_open_or_make(struct call *call)
{
	bool found;
	int status = store_open(call, DAXKV_CREATE | DAXKV_EXCLUSIVE, &found);

	return status == EXIT_OK && found ? store_open(call, DAXKV_CREATE, NULL) : status;
}

/* store_remove - the store that was closed, which is the file st, and its lock file; a link to it
 * stays. Each user of a store has locks on its lock file: while all of that is locked here there is
 * none, and none comes. Whoever waits to open it looks then whether the lock file still has its
 * name. */
static void store_remove(const struct call *call, const struct stat *st, const char *lock)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char *path = realpath(call->file, NULL);
	struct stat now;
	int fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (path != NULL && fd >= 0 && fcntl(fd, F_OFD_SETLK, &all) == 0 &&
	    lstat(path, &now) == 0 && now.st_dev == st->st_dev && now.st_ino == st->st_ino &&
	    unlink(path) == 0)
		unlink(lock);
	if (fd >= 0)
		close(fd);
	free(path);
}

int store_end(struct call *call, int status)
{
	struct stat st;
	char *lock = NULL;
	bool gone;
	int err;

	if (call->txn != NULL && !in_session(call))
		daxkv_txn_abort(call->txn);
	call->txn = NULL;
	if (call->store == NULL)
		return status;
	if (call->session != NULL) { /* the handle may have an order that is none: store_cursor */
		daxkv_db_close(call->store, call->db);
		call->store = NULL;
		return status;
	}
	gone = status != EXIT_OK && call->made && fstat(daxkv_fd(call->store), &st) == 0 &&
	       (call->half || newest_commit(call) == call->made_at);
	if (gone && daxkv_lock_path(call->store) != NULL)
		lock = strdup(daxkv_lock_path(call->store));
	err = daxkv_close(call->store);
	call->store = NULL;
	if (lock != NULL)
		store_remove(call, &st, lock);
	free(lock);
	if (err != 0 && status == EXIT_OK)
		return call_fail(call, err, "cannot close the store cleanly");
	return status;
}
