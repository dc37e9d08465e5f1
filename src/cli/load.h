/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.h - what the three input formats of kv load share: batches of records in transactions, and lines of text.
 *
 * Records go into the running transaction; it is committed when the batch is full, and a new one begins. What was committed stays,
 * whatever comes later: the failure's message says how many records that is.
 */
#ifndef DAXKV_CLI_LOAD_H
#define DAXKV_CLI_LOAD_H

#include <stdio.h>
#include <time.h>

#include "cli.h"

struct load {
	struct call *call;
	uint64_t batch_records, batch_bytes; /* limits of a transaction */
	uint64_t records, bytes;             /* in the running transaction */
	uint64_t durable, durable_bytes;     /* committed by this call */
	bool progress;
	struct timespec start, shown;
};

struct load_input { /* lines of text */
	FILE *file;
	const char *path;
	char *line; /* without its line's end, and changed freely by decoders */
	size_t room, size;
	uint64_t number; /* of line, from 1 */
	bool again;      /* the next load_line gives the same line again */
};

/* load_line - the next line: 1, at the end 0, after a failure to read -1 (printed). */
int load_line(const struct load *load, struct load_input *input);

/* load_bad_line - print that the line cannot be used; returns EXIT_USAGE. */
int load_bad_line(const struct load *load, const struct load_input *input, const char *what);

/* load_database - what follows goes to the database name (NULL: that of --db, or the main one), made with flags when missing. */
int load_database(struct load *load, const struct daxkv_val *name, unsigned int flags);

/* load_put - store one record. An exit status. */
int load_put(struct load *load, const struct daxkv_val *key, struct daxkv_val *value);

/* load_room - commit first when size more bytes would overfill the batch. load_added - a record of size bytes was stored. For a caller
 * that stores records itself; load_put does both. */
int load_room(struct load *load, uint64_t size);
int load_added(struct load *load, uint64_t size);

/* The formats: each reads all of its input. An exit status. */
int load_tsv(struct load *load, struct load_input *input);
int load_mdb(struct load *load, struct load_input *input);
int load_dir(struct load *load, const char *path);

#endif
