/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * read.c - kv get and scan.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args.h"
#include "bytes.h"
#include "call_store.h"
#include "progress.h"
#include "range.h"
#include "session.h"

/* write_full - all bytes of value, from the mapping to the descriptor, without a copy. 0 or
 * errno. */
static int write_full(int fd, const struct daxkv_val *value)
{
	const char *data = value->data;
	size_t done = 0;

	while (done < value->size) {
		ssize_t n = write(fd, data + done, value->size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		done += (size_t)n;
	}
	return 0;
}

/* of_store - whether the open file is the store or its lock file. */
static bool of_store(const struct call *call, int fd)
{
	const char *lock = daxkv_lock_path(call->store);
	struct stat out, st;

	if (fstat(fd, &out) != 0)
		return false;
	if (fstat(daxkv_fd(call->store), &st) == 0 && st.st_dev == out.st_dev &&
	    st.st_ino == out.st_ino)
		return true;
	return lock != NULL && stat(lock, &st) == 0 && st.st_dev == out.st_dev &&
	       st.st_ino == out.st_ino;
}

/* write_out - the value to the file of --out, which is made or emptied now that there is a
 * value. */
static int write_out(const struct call *call, const struct daxkv_val *value)
{
	int err, fd = open(call->opt.out, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	struct stat st;

	if (fd < 0)
		return call_fail_sys(call, errno, "cannot make '%s'", call->opt.out);
	if (of_store(call, fd)) {
		close(fd);
		return call_fail_as(call, EXIT_USAGE,
		                    "'%s' is the store, or its lock file: --out needs another file",
		                    call->opt.out);
	}
	err = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && ftruncate(fd, 0) != 0 ? errno : 0;
	if (err == 0)
		err = write_full(fd, value);
	if (close(fd) != 0 && err == 0)
		err = errno;
	return err == 0 ? EXIT_OK : call_fail_sys(call, err, "cannot write '%s'", call->opt.out);
}

int run_get(struct call *call)
{
	struct daxkv_val key, value, newline = {1, "\n"};
	char text[80];
	daxkv_db named;
	int err, status = args_bytes(call, "the key", call->operands[0], &key);

	if (status == EXIT_OK)
		status = store_read(call);
	if (status != EXIT_OK)
		return status;
	err = daxkv_get(call->txn, call->db, &key, &value);
	if (err != 0)
		return call_fail(call, err, "cannot get the value");
	if (call->db == DAXKV_MAIN && daxkv_db_open(call->txn, &key, 0, &named) == 0)
		return call_fail_as(
		    call, EXIT_USAGE,
		    "'%s' is a named database, which has no value: --db works in it",
		    bytes_text(&key, text, sizeof text));
	if (call->opt.out != NULL)
		return write_out(call, &value);
	if (call->session != NULL) { /* among other lines */
		bytes_print(stdout, &value);
		putchar('\n');
		return EXIT_OK;
	}
	err = write_full(STDOUT_FILENO, &value);
	if (err == 0 && isatty(STDOUT_FILENO))
		err = write_full(STDOUT_FILENO, &newline);
	return err == 0 ? EXIT_OK : call_output_failed(call, err);
}

/* ---- scan ------------------------------------------------------------------------------------ */

/* scan_entries - print what lies in the range; daxkv's result or, printed already, *status. */
static int scan_entries(struct call *call, const struct range *range, struct daxkv_cursor *cursor,
                        int *status)
{
	bool reverse = call->opt.reverse;
	enum daxkv_cursor_op next = reverse ? (call->opt.keys ? DAXKV_PREV_KEY : DAXKV_PREV)
	                                    : (call->opt.keys ? DAXKV_NEXT_KEY : DAXKV_NEXT);
	uint64_t printed = 0;
	struct daxkv_val key, value;
	int err = range_start(range, reverse, cursor, &key, &value);

	while (err == 0) {
		enum range_place place = range_place(call, range, &key);
		if (place == (reverse ? RANGE_BEFORE : RANGE_BEHIND))
			return 0;
		if (place == RANGE_INSIDE) {
			bytes_print(stdout, &key);
			if (!call->opt.keys) {
				putchar('\t');
				bytes_print(stdout, &value);
			}
			putchar('\n');
			if (ferror(stdout)) {
				*status = call_output(call, false);
				return 0;
			}
			progress_add(1);
			if (++printed == call->opt.limit)
				return 0;
		}
		err = session_interrupted() ? EINTR : daxkv_cursor_get(cursor, &key, &value, next);
	}
	return err == DAXKV_NOT_FOUND ? 0 : err;
}

int run_scan(struct call *call)
{
	bool begun = false;
	struct range range = {0};
	struct daxkv_cursor *cursor = NULL;
	int err = 0, status = range_arguments(call, &range);

	if (status == EXIT_OK)
		status = store_read_verified(call);
	if (status == EXIT_OK)
		status = range_open(call, &range);
	if (status == EXIT_OK)
		status = store_cursor(call, &cursor);
	if (status == EXIT_OK)
		begun = progress_begin_beside_output(call, "entries");
	if (status == EXIT_OK)
		err = scan_entries(call, &range, cursor, &status);
	progress_end(begun);
	if (err != 0)
		status = call_fail(call, err, "cannot scan");
	if (cursor != NULL)
		daxkv_cursor_close(cursor);
	range_free(&range);
	return status;
}
