/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backup.c - kv backup and kv restore: files that have another name until they are whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call_store.h"
#include "new_file.h"
#include "progress.h"

/* told - what the library tells while it works. */
static int told(uint64_t done, uint64_t total, void *arg)
{
	uint64_t *shown = arg;

	progress_total(total);
	progress_add(done - *shown);
	*shown = done;
	return 0;
}

/* earlier - what --since names. An exit status. */
static int earlier(const struct call *call, struct daxkv_backup_info *info)
{
	char what[512];
	int err = daxkv_backup_look(call->opt.since, info);

	if (err == 0)
		return EXIT_OK;
	snprintf(what, sizeof what, "cannot use the earlier backup '%s'", call->opt.since);
	return call_fail(call, err, what);
}

/* write_backup - to fd, of which the name is shown. An exit status. */
static int write_backup(struct call *call, int fd, const struct daxkv_backup_info *since)
{
	uint64_t shown = 0;
	const struct daxkv_backup_options options = {
	    .since = since, .progress = told, .progress_arg = &shown};
	const bool begun = progress_begin(call, "bytes", 0);
	int err = daxkv_backup(call->txn, fd, &options);

	progress_end(begun);
	return err == 0 ? EXIT_OK : call_fail(call, err, "the backup failed");
}

/* backup_to_file - a new one, which may be read by those who may read the store. */
static int backup_to_file(struct call *call, const char *name,
                          const struct daxkv_backup_info *since)
{
	struct new_file file;
	struct stat st;
	int fd, status = new_file_begin(call, name, &file);

	if (status != EXIT_OK)
		return status;
	fd = open(file.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		status = call_fail_sys(call, errno, "cannot make '%s'", file.path);
		new_file_forget(&file);
		return status;
	}
	if (fstat(daxkv_fd(call->store), &st) != 0 || fchmod(fd, st.st_mode & 0777) != 0)
		status = call_fail_sys(call, errno, "cannot set the permissions of '%s'", name);
	if (status == EXIT_OK)
		status = write_backup(call, fd, since);
	if (status == EXIT_OK && fsync(fd) != 0)
		status = call_fail_sys(call, errno, "cannot write '%s'", name);
	if (close(fd) != 0 && status == EXIT_OK)
		status = call_fail_sys(call, errno, "cannot write '%s'", name);
	return new_file_end(call, &file, status);
}

/* lazy_sync - a snapshot of lazy commits cannot be backed up before a sync, which takes a handle
 * that writes. Where this process may not write, daxkv_backup says what is wrong. */
static void lazy_sync(const struct call *call)
{
	const struct daxkv_options options = {.pmem = call->opt.pmem};
	struct daxkv_store *writes;
	struct daxkv_info info;

	if (daxkv_info(call->store, &info) != 0 || info.lazy_commits == 0 || !info.read_only)
		return;
	if (daxkv_open(call->file, &options, &writes) != 0)
		return;
	(void)daxkv_sync(writes);
	(void)daxkv_close(writes);
}

/* give_way - a backup is nobody's hurry: where processors are few, those who use the store have
 * them first. The disk follows, since its priority is that of the processor as long as nobody sets
 * it. A priority can always be lowered. */
static void give_way(int by)
{
	const int most = 19;
	const int now = getpriority(PRIO_PROCESS, 0);

	(void)setpriority(PRIO_PROCESS, 0, now + by < most ? now + by : most);
}

int run_backup(struct call *call)
{
	const char *to = call->operands[0];
	struct daxkv_backup_info info;
	const struct daxkv_backup_info *since = call->opt.since != NULL ? &info : NULL;
	int status = since != NULL ? earlier(call, &info) : EXIT_OK;

	if (status == EXIT_OK && strcmp(to, "-") == 0 && isatty(STDOUT_FILENO) == 1)
		status = call_fail_as(call, EXIT_USAGE,
		                      "a backup is not for a terminal: send the output elsewhere");
	if (status == EXIT_OK)
		status = store_read(call);
	if (status != EXIT_OK)
		return status;
	lazy_sync(call);
	give_way(call->opt.nice);
	if (strcmp(to, "-") == 0)
		return write_backup(call, STDOUT_FILENO, since);
	return backup_to_file(call, to, since);
}

int run_restore(struct call *call)
{
	const size_t n = (size_t)call->n_operands;
	const char **pieces = calloc(n, sizeof *pieces);
	uint64_t shown = 0;
	const struct daxkv_backup_options options = {
	    .progress = told, .progress_arg = &shown, .pmem = call->opt.pmem};
	struct new_file file;
	int err, status;

	if (pieces == NULL)
		return call_fail_sys(call, ENOMEM, "cannot restore");
	pieces[0] = call->file;
	for (size_t i = 1; i < n; i++)
		pieces[i] = call->operands[i - 1];
	status = new_file_begin(call, call->operands[n - 1], &file);
	if (status == EXIT_OK) {
		const bool begun = progress_begin(call, "bytes", 0);

		err = daxkv_restore(file.path, pieces, n, &options);
		progress_end(begun);
		if (err != 0)
			status = call_fail(call, err, "the restore failed");
		status = new_file_end(call, &file, status);
	}
	free(pieces);
	return status;
}
