/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shell.c - kv shell: lines of commands, done one by one as they come.
 */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "bytes.h"
#include "call_store.h"
#include "commands.h"
#include "editline.h"
#include "names.h"
#include "session.h"

static const char *const own_commands[] = {"begin", "commit", "abort", "exit", "quit", "help"};

struct shell {
	struct session session;
	struct call *call; /* kv shell; its transaction is that of begin */
	bool ending;
};

/* ---- its own commands ------------------------------------------------------------------------ */

static int transaction_begin(struct shell *shell)
{
	int status;

	if (shell->session.txn != NULL)
		return session_fail(&shell->session, EXIT_USAGE, "begin: a transaction is running");
	status = store_begin(shell->call, 0);
	shell->session.txn = shell->call->txn;
	return status;
}

static int transaction_end(struct shell *shell, bool commit)
{
	if (shell->session.txn == NULL)
		return session_fail(&shell->session, EXIT_USAGE, "%s: no transaction is running",
		                    commit ? "commit" : "abort");
	shell->session.txn = NULL;
	if (commit)
		return store_commit(shell->call);
	daxkv_txn_abort(shell->call->txn);
	shell->call->txn = NULL;
	return EXIT_OK;
}

/* own - session.h: what the shell does itself. */
static int own(void *arg, char **words, unsigned int n, bool *done)
{
	struct shell *shell = arg;
	const char *word = words[0];

	*done = true;
	if (strcmp(word, "begin") != 0 && strcmp(word, "commit") != 0 &&
	    strcmp(word, "abort") != 0 && strcmp(word, "exit") != 0 && strcmp(word, "quit") != 0) {
		*done = false;
		return EXIT_OK;
	}
	if (n > 1)
		return session_fail(&shell->session, EXIT_USAGE, "%s: too many operands", word);
	if (*word == 'b')
		return transaction_begin(shell);
	if (*word == 'c' || *word == 'a')
		return transaction_end(shell, *word == 'c');
	shell->ending = true;
	return EXIT_OK;
}

/* ---- completion ------------------------------------------------------------------------------ */

static void add_commands(editline_add *add, void *to)
{
	for (const struct command *c = command_next(NULL); c != NULL; c = command_next(c)) {
		if (c->options & IN_SESSION)
			add(to, c->name);
	}
	for (size_t i = 0; i < sizeof own_commands / sizeof own_commands[0]; i++)
		add(to, own_commands[i]);
}

static void add_options(const char *name, editline_add *add, void *to)
{
	const struct command *command = command_find(name);
	const char *option;
	char text[64];
	size_t at = 0;

	while (command != NULL && (option = args_option(command, &at)) != NULL) {
		snprintf(text, sizeof text, "--%s", option);
		add(to, text);
	}
}

/* add_name - a database's name as one word, without quotes. */
static void add_name(const struct daxkv_val *name, editline_add *add, void *to)
{
	const char *p = name->data;
	char *text = malloc(4 * name->size + 1), *out = text;

	if (text == NULL)
		return;
	for (size_t i = 0; i < name->size; i++) {
		if (p[i] > ' ' && p[i] < 0x7f && strchr("\"'\\", p[i]) == NULL)
			*out++ = p[i];
		else
			out += snprintf(out, 5, "\\x%02x", (unsigned char)p[i]);
	}
	*out = '\0';
	add(to, text);
	free(text);
}

static void add_names(struct shell *shell, editline_add *add, void *to)
{
	struct call call = {.session = &shell->session, .db = DAXKV_MAIN};
	struct names names = {NULL, 0};

	if (store_read(&call) == EXIT_OK && names_read(&call, &names) == EXIT_OK) {
		for (size_t i = 0; i < names.count; i++)
			add_name(&names.name[i], add, to);
	}
	names_free(&names);
	(void)store_end(&call, EXIT_OK);
}

/* complete - editline.h: by the words before the one that ends at the cursor. */
static void complete(void *arg, const char *line, size_t at, editline_add *add, void *to)
{
	struct shell *shell = arg;
	char *before = strndup(line, at), *rest, *word, *first = NULL, *last = NULL;
	unsigned int n = 0;

	if (before == NULL)
		return;
	for (word = strtok_r(before, " \t", &rest); word != NULL;
	     word = strtok_r(NULL, " \t", &rest)) {
		first = n++ == 0 ? word : first;
		last = word;
	}
	if (n == 0 || (n == 1 && strcmp(first, "help") == 0))
		add_commands(add, to);
	else if (strcmp(last, "--db") == 0 ||
	         (n == 1 && (strcmp(first, "rename") == 0 || strcmp(first, "copy") == 0 ||
	                     strcmp(first, "drop") == 0)))
		add_names(shell, add, to);
	else if (line[at] == '-')
		add_options(first, add, to);
	free(before);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* history_path - in memory to be freed; NULL: lines are not kept. */
static char *history_path(void)
{
	const char *named = getenv("KV_HISTORY"), *home = getenv("HOME");
	char *path;

	if (named != NULL)
		return *named != '\0' ? strdup(named) : NULL;
	if (home == NULL || *home == '\0')
		return NULL;
	path = malloc(strlen(home) + sizeof "/.kv_history");
	if (path != NULL)
		sprintf(path, "%s/.kv_history", home);
	return path;
}

/* store_opened - for writing, or where the file may only be read for that. */
static int store_opened(struct call *call)
{
	bool read_only = access(call->file, W_OK) != 0 && access(call->file, R_OK) == 0;

	if (read_only)
		call_note(call, "the file may only be read: nothing can be changed");
	return store_open(call, read_only ? DAXKV_READ_ONLY : 0, NULL);
}

static void interrupted(int number)
{
	int err = errno;

	(void)number;
	session_interrupt();
	editline_interrupt();
	errno = err;
}

/* lines_run - until the end; the status of the last line that failed, or of what ended it. */
static int lines_run(struct shell *shell, struct editline *input)
{
	bool person = editline_edits(input);
	int failed = EXIT_OK, status;
	const char *word;
	size_t size;
	char *line;

	while (!shell->ending) {
		enum editline_result got;

		session_calm();
		got = editline_read(input, shell->session.txn != NULL ? "kv*> " : "kv> ", &line,
		                    &size);
		if (got == EDITLINE_INTERRUPTED)
			continue;
		if (got == EDITLINE_END && errno != 0)
			return call_fail_sys(shell->call, errno, "cannot read the standard input");
		if (got == EDITLINE_END) {
			if (person)
				putchar('\n');
			break;
		}
		shell->session.line++;
		status = session_line(&shell->session, line, size, &word);
		shell->call->reader_gone = shell->session.reader_gone;
		if (shell->call->reader_gone)
			return EXIT_SYSTEM;
		failed = status != EXIT_OK ? status : failed;
	}
	if (shell->session.txn != NULL) {
		shell->session.told = false;
		failed =
		    call_fail_as(shell->call, EXIT_USAGE,
		                 "the transaction that was begun is undone: there was no commit");
	}
	return person ? EXIT_OK : failed;
}

int run_shell(struct call *call)
{
	struct shell shell = {.call = call, .session = {.call = call, .nested = true}};
	struct sigaction interrupt = {.sa_handler = interrupted}, before;
	struct editline *input;
	char *history;
	int status = store_opened(call);

	if (status != EXIT_OK)
		return status;
	setlocale(LC_CTYPE, ""); /* for what is typed; bytes are escaped whatever it says */
	shell.session.store = call->store;
	shell.session.own = own;
	shell.session.own_arg = &shell;
	history = history_path();
	input = editline_open(history, complete, &shell);
	if (input == NULL) {
		free(history);
		return call_fail_sys(call, ENOMEM, "cannot read lines");
	}
	shell.session.told = !editline_edits(input);
	if (editline_edits(input))
		sigaction(SIGINT, &interrupt, &before);
	status = lines_run(&shell, input);
	if (editline_edits(input))
		sigaction(SIGINT, &before, NULL);
	editline_close(input);
	free(history);
	return status;
}
