/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.h - several commands on one open store: the lines of kv batch and kv shell.
 *
 * A line is a command as on kv's command line, without FILE: words parted by blanks. Quotes, single
 * or double, keep blanks together, and inside them, as outside, \xHH and \\ stand for bytes. A line
 * that begins with # says nothing.
 *
 * Each command of a session is a call of its own (cli.h), whose store and running transaction are
 * the session's: call_store.c asks session_store and session_txn for them. A command that changes
 * something inside the shell's begin .. commit runs in a nested transaction, so that what fails
 * half done leaves nothing of itself.
 */
#ifndef DAXKV_CLI_SESSION_H
#define DAXKV_CLI_SESSION_H

#include "cli.h"

/* A command of the session's own, by its words. *done false: it is none. An exit status. */
typedef int session_own(void *arg, char **words, unsigned int n, bool *done);

struct session {
	const struct call *call; /* of the command that the session is */
	struct daxkv_store *store;
	struct daxkv_txn *txn; /* that commands work in; NULL: each has one of its own */
	bool nested;           /* a command that changes something is a transaction in txn */
	bool all_or_nothing;   /* failures say that nothing was changed */
	bool told;             /* lines are counted, and failures name theirs */
	bool reader_gone;      /* as a call's: nobody reads the output any more */
	uint64_t line;
	session_own *own; /* NULL: there are no commands but those of kv */
	void *own_arg;
};

/* session_line - do what a line of text says, which is changed. *word: its first word, NULL when
 * there is none. An exit status. */
int session_line(struct session *session, char *line, size_t size, const char **word);

/* session_words - part a line in place: at most max words, NULL behind the last. An exit status. */
int session_words(const struct session *session, char *line, size_t size, char **words,
                  unsigned int max, unsigned int *n);
#define SESSION_WORDS 32u

/* session_interrupt - a signal's handler: the command that runs ends as soon as it can, and a
 * second signal ends the process. session_interrupted - whether it should. */
void session_interrupt(void);
bool session_interrupted(void);

/* session_calm - no command runs that a signal before this could have been for. */
void session_calm(void);

/* session_fail - print that the line cannot be done; returns status. */
int session_fail(const struct session *session, enum exit_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
