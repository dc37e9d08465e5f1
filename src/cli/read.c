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
#include "names.h"

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
	err = write_full(STDOUT_FILENO, &value);
	if (err == 0 && isatty(STDOUT_FILENO))
		err = write_full(STDOUT_FILENO, &newline);
	return err == 0 ? EXIT_OK : call_output_failed(call, err);
}

/* ---- scan ------------------------------------------------------------------------------------ */

struct scan {
	bool has_from, has_to, has_prefix;
	bool bytewise; /* the database's order is that of bytes_cmp: keys with one prefix are
	                  neighbours */
	struct daxkv_val from, to, prefix, after; /* after: the first key behind all that begin with
	                                             prefix; size 0: there is none */
	struct names names;
};

enum place {
	BEFORE,
	INSIDE,
	BEHIND,
	BESIDE
}; /* BESIDE: not wanted, and says nothing of its neighbours */

/* scan_arguments - decode the range. */
static int scan_arguments(struct call *call, struct scan *scan)
{
	const struct options *opt = &call->opt;
	int status = EXIT_OK;

	scan->has_from = opt->from != NULL;
	scan->has_to = opt->to != NULL;
	scan->has_prefix = opt->prefix != NULL && *opt->prefix != '\0';
	if (scan->has_from)
		status = args_bytes(call, "--from", opt->from, &scan->from);
	if (status == EXIT_OK && scan->has_to)
		status = args_bytes(call, "--to", opt->to, &scan->to);
	if (status == EXIT_OK && scan->has_prefix)
		status = args_bytes(call, "--prefix", opt->prefix, &scan->prefix);
	if (status == EXIT_OK &&
	    ((scan->has_from && scan->from.size == 0) || (scan->has_to && scan->to.size == 0)))
		status = call_fail_as(call, EXIT_USAGE,
		                      "--from and --to need a key of one byte or more");
	return status;
}

/* scan_after - the last byte that is not 0xff counted up, what follows it cut off. */
static int scan_after(const struct call *call, struct scan *scan)
{
	size_t size = scan->prefix.size;
	unsigned char *after = malloc(size);

	if (after == NULL)
		return call_fail_sys(call, ENOMEM, "cannot scan");
	memcpy(after, scan->prefix.data, size);
	while (size > 0 && after[size - 1] == 0xff)
		size--;
	if (size > 0)
		after[size - 1]++;
	scan->after = (struct daxkv_val){size, after};
	return EXIT_OK;
}

/* scan_place - where key lies. */
static enum place scan_place(const struct call *call, const struct scan *scan,
                             const struct daxkv_val *key)
{
	if (scan->has_from && daxkv_db_compare(call->txn, call->db, key, &scan->from) < 0)
		return BEFORE;
	if (scan->has_to && daxkv_db_compare(call->txn, call->db, key, &scan->to) >= 0)
		return BEHIND;
	if (scan->has_prefix && (key->size < scan->prefix.size ||
	                         memcmp(key->data, scan->prefix.data, scan->prefix.size) != 0)) {
		if (!scan->bytewise)
			return BESIDE;
		return bytes_cmp(key, &scan->prefix) < 0 ? BEFORE : BEHIND;
	}
	return call->db == DAXKV_MAIN && names_has(&scan->names, key) ? BESIDE : INSIDE;
}

/* scan_start - the cursor on the first entry that may be wanted; it may still lie before or beside
 * the range. */
static int scan_start(const struct call *call, const struct scan *scan, struct daxkv_cursor *cursor,
                      struct daxkv_val *key, struct daxkv_val *value)
{
	const struct daxkv_val *bound = NULL, *prefix_bound = NULL;
	bool reverse = call->opt.reverse;
	int err;

	if (reverse ? scan->has_to : scan->has_from)
		bound = reverse ? &scan->to : &scan->from;
	if (scan->has_prefix && scan->bytewise && (!reverse || scan->after.size > 0))
		prefix_bound = reverse ? &scan->after : &scan->prefix;
	if (bound == NULL ||
	    (prefix_bound != NULL && (bytes_cmp(prefix_bound, bound) < 0) == reverse))
		bound = prefix_bound != NULL ? prefix_bound : bound;
	if (bound == NULL)
		return daxkv_cursor_get(cursor, key, value, reverse ? DAXKV_LAST : DAXKV_FIRST);
	*key = *bound;
	err = daxkv_cursor_get(cursor, key, value, reverse ? DAXKV_SEEK_LE : DAXKV_SEEK_GE);
	return err;
}

/* scan_entries - print what lies in the range; daxkv's result or, printed already, *status. */
static int scan_entries(struct call *call, const struct scan *scan, struct daxkv_cursor *cursor,
                        int *status)
{
	bool reverse = call->opt.reverse;
	enum daxkv_cursor_op next = reverse ? (call->opt.keys ? DAXKV_PREV_KEY : DAXKV_PREV)
	                                    : (call->opt.keys ? DAXKV_NEXT_KEY : DAXKV_NEXT);
	uint64_t printed = 0;
	struct daxkv_val key, value;
	int err = scan_start(call, scan, cursor, &key, &value);

	while (err == 0) {
		enum place place = scan_place(call, scan, &key);
		if (place == (reverse ? BEFORE : BEHIND))
			return 0;
		if (place == INSIDE) {
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
			if (++printed == call->opt.limit)
				return 0;
		}
		err = daxkv_cursor_get(cursor, &key, &value, next);
	}
	return err == DAXKV_NOT_FOUND ? 0 : err;
}

int run_scan(struct call *call)
{
	struct scan scan = {0};
	struct daxkv_cursor *cursor = NULL;
	unsigned int flags = 0;
	int err = 0, status = scan_arguments(call, &scan);

	if (status == EXIT_OK)
		status = store_read_verified(call);
	if (status == EXIT_OK && scan.has_prefix)
		status = scan_after(call, &scan);
	if (status == EXIT_OK && call->db == DAXKV_MAIN)
		status = names_read(call, &scan.names);
	if (status == EXIT_OK)
		err = daxkv_db_flags(call->txn, call->db, &flags);
	scan.bytewise = (flags & (DAXKV_REVERSE_KEY | DAXKV_INTEGER_KEY | DAXKV_OWN_COMPARE)) == 0;
	if (status == EXIT_OK && err == 0 && flags & DAXKV_OWN_COMPARE &&
	    (scan.has_from || scan.has_to))
		err = DAXKV_NEED_COMPARE;
	if (status == EXIT_OK && err == 0)
		status = store_cursor(call, &cursor);
	if (status == EXIT_OK && err == 0)
		err = scan_entries(call, &scan, cursor, &status);
	if (err != 0)
		status = call_fail(call, err, "cannot scan");
	if (cursor != NULL)
		daxkv_cursor_close(cursor);
	names_free(&scan.names);
	free(scan.after.data);
	return status;
}
