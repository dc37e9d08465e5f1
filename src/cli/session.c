/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c - see session.h.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "call_store.h"
#include "commands.h"
#include "medium.h"
#include "session.h"

static volatile sig_atomic_t interrupts;

void session_interrupt(void)
{
	if (interrupts++ == 0)
		return;
	signal(SIGINT, SIG_DFL);
	raise(SIGINT);
}

bool session_interrupted(void)
{
	return interrupts != 0;
}

void session_calm(void)
{
	interrupts = 0;
}

int session_fail(const struct session *session, enum exit_status status, const char *format, ...)
{
	struct session of = *session;
	struct call call = {.session = &of};
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return call_fail_as(&call, status, "%s", text);
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* word_end - take the quotes off the word at *in, which becomes a string at out; *in is behind it
 * then. False: a quote is not closed. */
static bool word_end(char **in, const char *end, char *out)
{
	char quote = '\0', *p = *in;

	for (; p < end && (quote != '\0' || !blank(*p)); p++) {
		if (quote == '\0' && (*p == '"' || *p == '\''))
			quote = *p;
		else if (*p == quote)
			quote = '\0';
		else
			*out++ = *p;
	}
	*in = p < end ? p + 1 : p; /* *p may be the end of the string that is made now */
	*out = '\0';
	return quote == '\0';
}

int session_words(const struct session *session, char *line, size_t size, char **words,
                  unsigned int max, unsigned int *n)
{
	char *p = line, *end = line + size;

	*n = 0;
	words[0] = NULL;
	if (memchr(line, '\0', size) != NULL)
		return session_fail(session, EXIT_USAGE, "a zero byte: write it as \\x00");
	for (;;) {
		while (p < end && blank(*p))
			p++;
		if (p == end || (*n == 0 && *p == '#'))
			break;
		if (*n == max)
			return session_fail(session, EXIT_USAGE, "more than %u words", max);
		words[*n] = p;
		if (!word_end(&p, end, words[*n]))
			return session_fail(session, EXIT_USAGE, "a quote is not closed");
		words[++*n] = NULL;
	}
	return EXIT_OK;
}

/* help - of all commands that may be lines, or of one. */
static int help(const struct session *session, char **words)
{
	const struct command *command = NULL;
	struct session of = *session;
	struct call call = {.session = &of};

	if (words[1] != NULL) {
		command = command_find(words[1]);
		if (command == NULL || !(command->options & IN_SESSION))
			return command_missing(&call, words[1]);
		command_help(command, true);
		return EXIT_OK;
	}
	while ((command = command_next(command)) != NULL) {
		if (command->options & IN_SESSION)
			printf("  %-8s %s\n", command->name, command->summary);
	}
	if (session->own != NULL)
		puts("  begin    what follows is one transaction, until commit or abort\n"
		     "  commit   make it durable\n"
		     "  abort    forget it\n"
		     "  exit     end; also quit");
	puts("  help     this, or with a command's name what that does");
	return EXIT_OK;
}

/* command_run - a command of its own, in the session's store. */
static int command_run(struct session *session, const struct command *command, char **words,
                       unsigned int n)
{
	struct call call = {.db = DAXKV_MAIN,
	                    .command = command,
	                    .file = session->call->file,
	                    .session = session,
	                    .opt.wait_ms = session->call->opt.wait_ms};
	int status, output;

	medium_watch(&call);
	status = args_parse(&call, (int)n, words);
	if (status == EXIT_OK && call.opt.help)
		command_help(command, true);
	else if (status == EXIT_OK)
		status = command->run(&call);
	output = call_output(&call, true);
	status = store_end(&call, status == EXIT_OK ? output : status);
	session->reader_gone = session->reader_gone || call.reader_gone;
	medium_watch(session->call);
	return status;
}

int session_line(struct session *session, char *line, size_t size, const char **word)
{
	char *words[SESSION_WORDS + 1];
	const struct command *command;
	struct session of = *session;
	struct call call = {.session = &of};
	unsigned int n;
	int status = session_words(session, line, size, words, SESSION_WORDS, &n);

	*word = words[0];
	if (status != EXIT_OK || n == 0)
		return status;
	if (strcmp(words[0], "help") == 0)
		return help(session, words);
	if (session->own != NULL) {
		bool done;

		status = session->own(session->own_arg, words, n, &done);
		if (done)
			return status;
	}
	command = command_find(words[0]);
	if (command == NULL)
		return command_missing(&call, words[0]);
	if (!(command->options & IN_SESSION))
		return session_fail(session, EXIT_USAGE, "'%s' is no command for a line; see help",
		                    words[0]);
	return command_run(session, command, words, n);
}
