/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cli.h - one call of the kv command: what was asked for, the store it works on, and how it ends.
 *
 *   main.c       finds the command, reads the options, runs it, ends the call
 *   commands.c   the table of the commands, and their help      suggest.c  what was meant
 *   args.c       options and sizes                              bytes.c    escapes
 *   call_store.c opening, transactions                          names.c    the named databases
 *   range.c      --from, --to, --prefix                         value.c    files as values
 *   session.c    lines of commands: batch.c shell.c             editline.c lines that are typed
 *   progress.c   what takes long
 *   medium.c     a bad place of the medium: SIGBUS              lmdb.c     LMDB's library
 *   new_file.c   a file has its name when it is whole           arrival.c  a program's own order
 *   edit.c read.c count.c db.c load*.c dump.c import.c export.c report.c metrics.c watch.c
 *   salvage.c backup.c compact.c    the commands
 *
 * Every command has the form int run_NAME(struct call *): it returns an exit status, having printed
 * one line on the standard error when that is not 0. It need not clean up the store: call_end, in
 * main.c, aborts a transaction that is still running and closes the store, so a command's every
 * early return leaves the file as the last commit left it.
 */
#ifndef DAXKV_CLI_H
#define DAXKV_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daxkv.h"

enum exit_status {
	EXIT_OK = 0,
	EXIT_NOT_FOUND = 1, /* the key, the pair or the database is not there */
	EXIT_USAGE = 2,     /* the arguments or the input cannot be used */
	EXIT_SYSTEM = 3,    /* the system, or the state of the store, refused */
	EXIT_CORRUPT = 4    /* the file is corrupted, foreign or too new */
};

#define BACKUP_NICE 10 /* by which a backup gives way when --nice says nothing */

struct options {
	bool has_db, json, reverse, keys, no_overwrite, ack, print, help;
	bool return_old, estimate, empty, openmetrics;
	struct daxkv_val db;
	enum daxkv_pmem pmem;
	unsigned int page_size, db_flags;
	uint64_t initial_size, max_size, limit, batch; /* limit, batch: 0 when not given */
	int64_t wait_ms; /* for other processes; -1: as long as it takes */
	uint64_t count;  /* of lines that kv watch prints; 0: until it is stopped */
	uint64_t budget; /* pages that kv compact moves at most; 0: no bound */
	/* after which it begins no further step; 0: no bound */
	unsigned int budget_ms;
	unsigned int if_free; /* per cent: with no more of the file free it does nothing */
	int64_t interval_ms;  /* between them; 0: not given */
	int nice;             /* by which a backup gives way to other processes, see nice(2) */
	char *from, *to, *prefix, *expect;
	const char *out, *format, *since;
};

struct call;
struct session;
struct command {
	const char *name;
	int (*run)(struct call *call);
	unsigned int options; /* enum option_set, args.h */
	int min_operands, max_operands;
	const char *operands; /* as help shows them */
	const char *summary, *help;
};

struct call {
	const struct command *command;
	const char *file;
	struct session *session; /* that the call is a line of; NULL: none */
	char **operands;         /* those after FILE */
	int n_operands;
	struct options opt;
	uint64_t user_version;     /* of a store that is made */
	struct daxkv_store *store; /* NULL: not open */
	struct daxkv_txn *txn;
	daxkv_db db;
	bool made;        /* by this call: its store does not stay when the call fails, */
	uint64_t made_at; /* unless something was committed since this commit; */
	bool half;        /* what this call commits is nothing without the rest */
	int waited_for;   /* the process that a line on the standard error has named, or -1 for an
	                     unknown one; 0: none */
	/* what it changed is committed: a failure behind that is none of the change */
	bool changed;
	bool reader_gone; /* nobody reads the standard output any more: the call ends as SIGPIPE
	                     ends others */
};

/* call_fail - print "kv COMMAND: FILE: what (detail)" for a failed daxkv function; returns the exit
 * status for err. what may be NULL. */
int call_fail(const struct call *call, int err, const char *what);

/* call_fail_sys - the same for a failed function of libc; returns EXIT_SYSTEM. */
int call_fail_sys(const struct call *call, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* call_fail_as - the same with a text alone; returns status. */
int call_fail_as(const struct call *call, enum exit_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* call_note - say something on the standard error that is no failure. */
void call_note(const struct call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* call_output - whether what was printed reached the standard output: EXIT_OK or EXIT_SYSTEM.
 * flush: all of it so far. call_output_failed - it did not, for err. Nothing is printed when its
 * reader has gone. */
int call_output(struct call *call, bool flush);
int call_output_failed(struct call *call, int err);

int run_create(struct call *call);
int run_put(struct call *call);
int run_get(struct call *call);
int run_del(struct call *call);
int run_scan(struct call *call);
int run_load(struct call *call);
int run_dump(struct call *call);
int run_import(struct call *call);
int run_export(struct call *call);
int run_salvage(struct call *call);
int run_compact(struct call *call);
int run_backup(struct call *call);
int run_restore(struct call *call);
int run_list(struct call *call);
int run_stat(struct call *call);
int run_info(struct call *call);
int run_readers(struct call *call);
int run_check(struct call *call);
int run_count(struct call *call);
int run_rename(struct call *call);
int run_copy(struct call *call);
int run_drop(struct call *call);
int run_watch(struct call *call);
int run_batch(struct call *call);
int run_help(struct call *call);
int run_shell(struct call *call);

/* call_medium_word - the word for a medium. */
const char *call_medium_word(enum daxkv_medium medium);

#endif
