/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * value.h - the content of a file or pipe as a value. A regular file's size is known beforehand:
 * its bytes are read straight into the room that DAXKV_RESERVE makes in the store. Anything else is
 * gathered in memory first.
 */
#ifndef DAXKV_CLI_VALUE_H
#define DAXKV_CLI_VALUE_H

#include "cli.h"

struct value_source {
	int fd;
	const char *path; /* for messages */
	bool sized;       /* size is what a regular file had when it was opened */
	uint64_t size;
};

/* value_open - open path ; a symbolic link only when follow. value_stdin - the standard input. An
 * exit status. */
int value_open(const struct call *call, const char *path, bool follow, struct value_source *source);
int value_stdin(const struct call *call, struct value_source *source);
void value_close(struct value_source *source);

/* value_gather - all of the source in memory; the caller frees value->data, after a failure, too.
 * For what may have to be waited for: no transaction need run. */
int value_gather(const struct call *call, const struct value_source *source,
                 struct daxkv_val *value);

/* value_put - store what source holds under key in call->db, in call->txn. After a failure the
 * transaction must be aborted: the room may be made and not filled. *size: the value's bytes. */
int value_put(const struct call *call, const struct daxkv_val *key, struct value_source *source,
              unsigned int put_flags, uint64_t *size);

#endif
