/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * value.c - see value.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "value.h"

/* source_look - what kind of file the descriptor is. */
static int source_look(const struct call *call, struct value_source *source)
{
	struct stat st;

	if (fstat(source->fd, &st) != 0)
		return call_fail_sys(call, errno, "cannot look at '%s'", source->path);
	if (S_ISDIR(st.st_mode))
		return call_fail_sys(call, EISDIR, "cannot read '%s'", source->path);
	source->sized =
	    S_ISREG(st.st_mode) && st.st_size > 0; /* files of /proc say 0 and hold more */
	source->size = source->sized ? (uint64_t)st.st_size : 0;
	return EXIT_OK;
}

int value_open(const struct call *call, const char *path, bool follow, struct value_source *source)
{
	int status;

	*source = (struct value_source){.fd = -1, .path = path};
	source->fd = open(path, O_RDONLY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
	if (source->fd < 0)
		return call_fail_sys(call, errno, "cannot open '%s'", path);
	status = source_look(call, source);
	if (status != EXIT_OK)
		value_close(source);
	return status;
}

int value_stdin(const struct call *call, struct value_source *source)
{
	int status;

	*source = (struct value_source){.fd = STDIN_FILENO, .path = "standard input"};
	status = source_look(call, source);
	source->sized = false; /* the shell may hand it over with a part read already */
	return status;
}

void value_close(struct value_source *source)
{
	if (source->fd > STDIN_FILENO)
		close(source->fd);
	source->fd = -1;
}

/* read_full - read until size bytes are there or the file ends; -1 with errno set, or the number of
 * bytes. */
static ssize_t read_full(int fd, char *data, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = read(fd, data + got, size - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static int put_failed(const struct call *call, int err, const struct daxkv_val *key)
{
	char text[80], what[128];

	snprintf(what, sizeof what, "cannot put '%s'", bytes_text(key, text, sizeof text));
	return call_fail(call, err, what);
}

/* sized_right - got bytes of the file were read: whether these are as many as it had. */
static int sized_right(const struct call *call, const struct value_source *source, size_t got)
{
	if (!source->sized || got == source->size)
		return EXIT_OK;
	if (got < source->size)
		return call_fail_as(call, EXIT_SYSTEM,
		                    "'%s' shrank while it was read (%zu of %" PRIu64 " bytes)",
		                    source->path, got, source->size);
	return call_fail_as(call, EXIT_SYSTEM,
	                    "'%s' grew while it was read (beyond %" PRIu64 " bytes)", source->path,
	                    source->size);
}

/* put_sized - the way of a regular file: room first, bytes straight into it. */
static int put_sized(const struct call *call, const struct daxkv_val *key,
                     const struct value_source *source, unsigned int put_flags)
{
	struct daxkv_val value = {source->size, NULL};
	char more;
	ssize_t got, ended;
	int err = daxkv_put(call->txn, call->db, key, &value, put_flags | DAXKV_RESERVE);

	if (err != 0)
		return put_failed(call, err, key);
	got = read_full(source->fd, value.data, source->size);
	if (got < 0 || (ended = read_full(source->fd, &more, 1)) < 0)
		return call_fail_sys(call, errno, "cannot read '%s'", source->path);
	return sized_right(call, source, (size_t)(got + ended));
}

int value_gather(const struct call *call, const struct value_source *source,
                 struct daxkv_val *value)
{
	size_t room = source->sized ? source->size + 1 : 65536, size = 0;
	char *data = malloc(room);

	*value = (struct daxkv_val){0, NULL};
	while (data != NULL) {
		ssize_t got = read_full(source->fd, data + size, room - size);
		char *larger;
		if (got < 0) {
			int err = errno;
			free(data);
			return call_fail_sys(call, err, "cannot read '%s'", source->path);
		}
		size += (size_t)got;
		if (size < room) {
			*value = (struct daxkv_val){size, data};
			return sized_right(call, source, size);
		}
		larger = room > SIZE_MAX / 2 ? NULL : realloc(data, room * 2);
		if (larger == NULL)
			free(data);
		data = larger;
		room *= 2;
	}
	return call_fail_sys(call, ENOMEM, "cannot read '%s'", source->path);
}

int value_put(const struct call *call, const struct daxkv_val *key, struct value_source *source,
              unsigned int put_flags, uint64_t *size)
{
	unsigned int db_flags;
	struct daxkv_val value;
	void *gathered;
	int status, err = daxkv_db_flags(call->txn, call->db, &db_flags);

	if (err != 0)
		return put_failed(call, err, key);
	*size = source->size;
	if (source->sized && (db_flags & DAXKV_DUP_SORT) == 0)
		return put_sized(call, key, source, put_flags);
	status = value_gather(call, source, &value);
	gathered = value.data; /* after EXIST value shows the store's own */
	if (status == EXIT_OK) {
		err = daxkv_put(call->txn, call->db, key, &value, put_flags);
		status = err == 0 ? EXIT_OK : put_failed(call, err, key);
	}
	*size = value.size;
	free(gathered);
	return status;
}
