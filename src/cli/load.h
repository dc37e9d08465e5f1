/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.h - what the three input formats of kv load share: batches of entries in transactions, and
 * lines of text.
 *
 * Entries are gathered in memory, and stored in one transaction when the batch is full, a tenth of
 * a second old, or the input has no more at the moment; so a fast input has large transactions.
 * None is running while more input is waited for, so that other writers go on. A file of more than
 * 16 MiB is stored as it is read, and a batch of more than that goes into its transaction by parts.
 * Commits are lazy where nobody is told of each: a sync comes at the end, and before a number of
 * durable entries is printed.
 * What was committed stays, whatever comes later: the failure's message says how many entries that
 * is.
 */
#ifndef DAXKV_CLI_LOAD_H
#define DAXKV_CLI_LOAD_H

#include <stdio.h>

#include "cli.h"

struct load_pair { /* gathered: key and value lie in struct load's data, one behind the other */
	size_t key_size, value_size;
	uint64_t line; /* of the input that it ends in; 0: none */
};

struct load {
	struct call *call;
	char *data; /* of the entries gathered */
	size_t data_size, data_room;
	struct load_pair *gathered;
	size_t n_gathered, gathered_room;
	size_t put, data_put; /* of these, in the transaction that is running */
	char *name;           /* of the database that follows, owned; NULL: the main one */
	size_t name_size;
	unsigned int db_flags;               /* it is made with */
	uint64_t batch_entries, batch_bytes; /* limits of a transaction */
	uint64_t entries, bytes;             /* in the running transaction, or gathered for it */
	uint64_t committed;                  /* by this call */
	bool lazy;                           /* they wait for a sync */
	bool started;                        /* a database was chosen */
	bool by_parts; /* what was gathered is stored when it is much, in a transaction that goes on
	                */
	const struct load_input *input; /* NULL: a directory */
	int fd;                         /* of the input; -1: a directory */
	int64_t began;                  /* the batch, by store_now_ms */
};

struct load_input { /* lines of text */
	FILE *file;
	const char *path;
	char *line; /* without its line's end, and changed freely by decoders */
	size_t room, size;
	uint64_t number; /* of line, from 1 */
	bool again;      /* the next load_line gives the same line again */
	bool crlf;       /* its lines end in CR LF, as the first one tells */
};

/* load_line - the next line: 1, at the end 0, LOAD_FAILED when it cannot be read, LOAD_REFUSED when
 * it is not text that can be taken; both were printed. load_status - their exit status. */
enum { LOAD_FAILED = -1, LOAD_REFUSED = -2 };
int load_line(const struct load *load, struct load_input *input);
static inline int load_status(int got)
{
	return got == LOAD_REFUSED ? EXIT_USAGE : EXIT_SYSTEM;
}

/* load_bad_line - print that the line cannot be used; returns EXIT_USAGE. */
int load_bad_line(const struct load *load, const struct load_input *input, const char *what);

/* load_database - what follows goes to the database name (NULL: that of --db, or the main one),
 * made with flags when missing: at the next load_commit at the latest. */
int load_database(struct load *load, const struct daxkv_val *name, unsigned int flags);

/* load_commit - what was loaded so far is committed. An exit status. */
int load_commit(struct load *load);

/* load_put - add one entry, of which a copy is made, to the batch. An exit status. */
int load_put(struct load *load, const struct daxkv_val *key, const struct daxkv_val *value);

/* load_gathers - whether a value of that size is gathered. Else load_room has a transaction running
 * that holds what was gathered, a new one when size more bytes would overfill the batch, and
 * load_added tells that an entry of size bytes was stored in it. */
bool load_gathers(uint64_t size);
int load_room(struct load *load, uint64_t size);
int load_added(struct load *load, uint64_t size);

/* The formats: each reads all of its input. An exit status. */
int load_tsv(struct load *load, struct load_input *input);
int load_mdb(struct load *load, struct load_input *input);
int load_dir(struct load *load, const char *path);

#endif
