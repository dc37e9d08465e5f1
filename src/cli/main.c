/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - the kv command: what is printed of failures, and how a call begins and ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "call_store.h"
#include "commands.h"
#include "medium.h"
#include "progress.h"
#include "session.h"

/* ---- failures -------------------------------------------------------------------------------- */

/* prefix - "kv COMMAND: FILE: ", and of a session the line and what that says; size is more than
 * enough for anything but a long path. */
static void prefix(const struct call *call, char *text, size_t size)
{
	const struct session *session = call->session;
	const struct call *of = session != NULL ? session->call : call;
	int n = snprintf(text, size, "kv%s%s: %s%s", of->command != NULL ? " " : "",
	                 of->command != NULL ? of->command->name : "",
	                 of->file != NULL ? of->file : "", of->file != NULL ? ": " : "");
	size_t at = n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;

	if (session != NULL && session->told) {
		n = snprintf(text + at, size - at, "line %" PRIu64 ": ", session->line);
		at += n < 0 ? 0 : (size_t)n < size - at ? (size_t)n : size - at - 1;
	}
	if (session != NULL && call->command != NULL)
		snprintf(text + at, size - at, "%s: ", call->command->name);
}

/* print_line - one line on the standard error: what a name or a message has of control characters
 * becomes '?'. */
static void print_line(const struct call *call, const char *text, const char *detail, bool failed)
{
	char before[1024], line[4096];
	const char *behind = failed && call->session != NULL && call->session->all_or_nothing
	                         ? "; nothing was changed"
	                         : "";

	prefix(call, before, sizeof before);
	int n = snprintf(line, sizeof line - 1, "%s%s%s%s%s%s", before, text,
	                 detail != NULL ? " (" : "", detail != NULL ? detail : "",
	                 detail != NULL ? ")" : "", behind);
	size_t size = n < 0 ? 0 : (size_t)n < sizeof line - 2 ? (size_t)n : sizeof line - 2;

	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[size++] = '\n';
	progress_clear();
	fwrite(line, 1, size, stderr);
}

static enum exit_status status_of(int err)
{
	switch (err) {
	case DAXKV_OK:
		return EXIT_OK;
	case DAXKV_NOT_FOUND:
		return EXIT_NOT_FOUND;
	case EINVAL:
	case DAXKV_KEY_SIZE:
	case DAXKV_VALUE_SIZE:
	case DAXKV_INCOMPATIBLE:
		return EXIT_USAGE;
	case DAXKV_CORRUPT:
	case DAXKV_FOREIGN:
	case DAXKV_VERSION:
		return EXIT_CORRUPT;
	default:
		return EXIT_SYSTEM;
	}
}

int call_fail(const struct call *call, int err, const char *what)
{
	const char *detail = daxkv_errmsg();

	if (err == DAXKV_NOT_FOUND || err == DAXKV_EXIST || err == EINTR || detail == NULL ||
	    *detail == '\0')
		detail = daxkv_strerror(
		    err); /* answers rather than failures: daxkv_errmsg knows nothing of them */
	if (err == DAXKV_NEED_COMPARE)
		detail = "the database has its program's own order, which this command does not "
		         "know: it can only be read from end to end";
	print_line(call, what != NULL ? what : daxkv_strerror(err), detail, true);
	return (int)status_of(err);
}

int call_fail_sys(const struct call *call, int err, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	print_line(call, text, strerror(err), true);
	return EXIT_SYSTEM;
}

int call_fail_as(const struct call *call, enum exit_status status, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	print_line(call, text, NULL, true);
	return (int)status;
}

void call_note(const struct call *call, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	print_line(call, text, NULL, false);
}

int call_output_failed(struct call *call, int err)
{
	struct sigaction inherited;

	/* A program that had SIGPIPE ignored when it started this one wants to be told. */
	if (err == EPIPE && sigaction(SIGPIPE, NULL, &inherited) == 0 &&
	    inherited.sa_handler != SIG_IGN) {
		call->reader_gone = true;
		return EXIT_SYSTEM;
	}
	return call_fail_sys(call, err, "cannot write to the standard output%s",
	                     call->changed ? "; the change is made" : "");
}

int call_output(struct call *call, bool flush)
{
	if (ferror(stdout) || (flush && fflush(stdout) != 0))
		return call_output_failed(call, errno != 0 ? errno : EIO);
	return EXIT_OK;
}

/* ---- a call ---------------------------------------------------------------------------------- */

/* occupy_standard_streams - a stream that the caller closed would give its number to the store's
 * descriptor, and what is printed there would land in the store. Each missing one becomes a
 * descriptor that cannot be used in the stream's direction. */
static bool occupy_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	}
	return true;
}

/* global_options - those before the command; *done when nothing is left to do. Returns an exit
 * status. */
static int global_options(struct call *call, int argc, char **argv, bool *done)
{
	static const struct option list[] = {{"help", no_argument, NULL, 'h'},
	                                     {"version", no_argument, NULL, 'V'},
	                                     {"pmem", required_argument, NULL, 'm'},
	                                     {NULL, 0, NULL, 0}};
	const char *medium = getenv("DAXKV_PMEM");
	int id;

	*done = false;
	if (medium != NULL && *medium != '\0' && !args_pmem(medium, &call->opt.pmem))
		return call_fail_as(
		    call, EXIT_USAGE,
		    "the variable DAXKV_PMEM must be auto, dax, file or force, not '%s'", medium);
	while ((id = getopt_long(argc, argv, "+:hV", list, NULL)) != -1) {
		switch (id) {
		case 'h':
			command_usage(stdout);
			*done = true;
			return call_output(call, true);
		case 'V':
			printf("kv %s\n", daxkv_version());
			*done = true;
			return call_output(call, true);
		case 'm':
			if (!args_pmem(optarg, &call->opt.pmem))
				return call_fail_as(
				    call, EXIT_USAGE,
				    "--pmem needs auto, dax, file or force, not '%s'", optarg);
			break;
		default:
			return call_fail_as(call, EXIT_USAGE,
			                    "option '%s' cannot be used so; see kv --help",
			                    argv[optind - 1]);
		}
	}
	return EXIT_OK;
}

static void pipe_broken(int number)
{
	(void)number;
}

/* pipe_watch - a reader that went away is a failed write, so that the store is closed in order
 * first. */
static void pipe_watch(void)
{
	struct sigaction inherited, watch = {.sa_handler = pipe_broken};

	if (sigaction(SIGPIPE, NULL, &inherited) == 0 && inherited.sa_handler == SIG_DFL)
		sigaction(SIGPIPE, &watch, NULL);
}

/* pipe_die - end as a program does that does not look after SIGPIPE. */
static void pipe_die(void)
{
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}

/* call_end - what is printed and what is stored must both have arrived. */
static int call_end(struct call *call, int status)
{
	if (status == EXIT_OK || status == EXIT_CORRUPT) {
		int output = call_output(call, true);
		status = output != EXIT_OK ? output : status;
	}
	return store_end(call, status);
}

int main(int argc, char **argv)
{
	struct call call = {.db = DAXKV_MAIN, .opt.wait_ms = -1, .opt.nice = BACKUP_NICE};
	bool done;
	int status;

	if (!occupy_standard_streams())
		return EXIT_SYSTEM;
	pipe_watch();
	status = global_options(&call, argc, argv, &done);
	if (call.reader_gone)
		pipe_die();
	if (status != EXIT_OK || done)
		return status;
	if (optind == argc) {
		command_usage(stderr);
		return EXIT_USAGE;
	}
	call.command = command_find(argv[optind]);
	if (call.command == NULL)
		return command_missing(&call, argv[optind]);
	status = args_parse(&call, argc - optind, argv + optind);
	if (status != EXIT_OK)
		return status;
	medium_watch(&call);
	if (call.opt.help)
		command_help(call.command, false);
	else
		status = call.command->run(&call);
	status = call_end(&call, status);
	if (call.reader_gone)
		pipe_die();
	return status;
}
