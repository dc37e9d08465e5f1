/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - the kv command: the table of its commands, its help, and how a call begins and ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "call_store.h"
#include "medium.h"

#define WAIT_HELP                                                                                  \
	"  --wait SECONDS       wait no longer than that for another process that writes, or "     \
	"opens or\n"                                                                               \
	"                       closes the store (for this a second at least)\n"

static const struct command commands[] = {
    {"create", run_create, TAKES_DB | TAKES_NEW | TAKES_MAX_SIZE | TAKES_DB_FLAGS | TAKES_WAIT, 1,
     1, "FILE [OPTION...]", "make a store, or a database in it",
     "Makes the store FILE, which must not be there. With --db the store may be there and the "
     "database is made in it.\n\n"
     "  --db NAME            make the named database NAME; the other flags are its own\n"
     "  --dup-sort           a key may have many values, kept sorted\n"
     "  --dup-fixed          as --dup-sort, with values of one size\n"
     "  --integer-key        keys are unsigned integers of 4 or 8 bytes, in this machine's order\n"
     "  --integer-dup        as --dup-fixed, with values that are such integers\n"
     "  --reverse-key        keys compare from their last byte\n"
     "  --reverse-dup        as --dup-sort, with values that compare from their last byte\n"
     "  --page-size N        4K (default), 8K, 16K or 32K\n"
     "  --initial-size N     size of the new file, kept when others would cut it\n"
     "  --max-size N         limit of this call: the file does not grow beyond it\n" WAIT_HELP},
    {"put", run_put, TAKES_DB | TAKES_FROM | TAKES_KEEP | TAKES_MAX_SIZE | TAKES_WAIT, 2, 3,
     "FILE KEY VALUE|-|--from PATH", "store a value under a key",
     "Replaces the key's value; in a database with duplicates adds the pair. VALUE - is the "
     "standard input.\n\n"
     "  --from PATH          the value is the content of the file PATH\n"
     "  --no-overwrite       fail when the key is there\n"
     "  --max-size N         do not let the file grow beyond N\n" WAIT_HELP},
    {"get", run_get, TAKES_DB | TAKES_OUT, 2, 2, "FILE KEY [--out PATH]", "print a key's value",
     "Prints the value's bytes as they are, and a newline behind them only when the standard "
     "output is a terminal. Of duplicates the\n"
     "first is printed.\n\n"
     "  --out PATH           write the value to the file PATH instead\n"},
    {"del", run_del, TAKES_DB | TAKES_MAX_SIZE | TAKES_WAIT, 2, 3, "FILE KEY [VALUE]",
     "remove a key, or one pair",
     "Removes the key with all its values; with VALUE only that pair, and nothing when the key has "
     "other values only.\n\n"
     "  --max-size N         do not let the file grow beyond N\n" WAIT_HELP},
    {"scan", run_scan, TAKES_DB | TAKES_FROM | TAKES_RANGE, 1, 1, "FILE [OPTION...]",
     "print entries in order",
     "Prints one line for each entry, key TAB value, in the escaped form, which kv load reads "
     "back. The main database's entries\n"
     "that are named databases are left out.\n\n"
     "  --from KEY           from KEY on, it included\n"
     "  --to KEY             up to KEY, which is not printed itself\n"
     "  --prefix BYTES       only keys that begin with BYTES\n"
     "  --reverse            from the last to the first\n"
     "  --limit N            stop after N entries\n"
     "  --keys               print keys only, each once\n"},
    {"load", run_load,
     TAKES_DB | TAKES_LOAD | TAKES_NEW | TAKES_MAX_SIZE | TAKES_DB_FLAGS | TAKES_WAIT, 1, 2,
     "FILE [INPUT] [OPTION...]", "store many entries",
     "Reads INPUT (the standard input when missing or -) and stores what it holds; makes FILE and "
     "databases that are not there. A dump\n"
     "of kv dump or mdb_dump is recognised by its first line, a directory by being one; else each "
     "line is key TAB value in the escaped\n"
     "form; lines may end in CR LF, and the text begin with a byte order mark. Of a directory "
     "each\n"
     "regular file is an entry: its path from there and its content.\n\n"
     "  --db NAME            the database for entries that name none\n"
     "  --format F           tsv, mdb or dir: do not guess\n"
     "  --batch N            N entries in a transaction; else 1000, or fewer when they reach 16 "
     "MiB\n"
     "  --ack                after each commit print the number of entries that are durable\n"
     "  --dup-sort, --dup-fixed, --integer-key, --integer-dup, --reverse-key, --reverse-dup, "
     "--page-size N, --initial-size N\n"
     "                       as for kv create, when it is made\n"
     "  --max-size N         do not let the file grow beyond N\n" WAIT_HELP},
    {"dump", run_dump, TAKES_DB | TAKES_PRINT, 1, 1, "FILE [-p] [--db NAME]",
     "print everything as text",
     "Prints all databases in the text format of mdb_dump, for kv load and mdb_load.\n\n"
     "  --db NAME            only that database\n"
     "  -p, --print          printable characters as they are instead of hexadecimal\n"},
    {"import", run_import, TAKES_NEW | TAKES_MAX_SIZE, 2, 2, "LMDB STORE [OPTION...]",
     "make a store of an LMDB file",
     "Makes the store STORE, which must not be there, of all databases of the LMDB environment "
     "LMDB, a directory or a data file. LMDB's library,\n"
     "liblmdb.so.0, must be installed.\n\n"
     "  --page-size N, --initial-size N, --max-size N\n"
     "                       as for kv create\n"},
    {"export", run_export, 0, 2, 2, "FILE LMDB", "make an LMDB file of a store",
     "Writes all databases to a new LMDB environment: LMDB is a directory, or the data file's "
     "name. LMDB's library, liblmdb.so.0, must be\n"
     "installed.\n\n"},
    {"list", run_list, TAKES_JSON, 1, 1, "FILE [--json]", "list the databases",
     "Prints for each database: name TAB entries TAB flags, the main one, (main), first and "
     "without its entries that are databases.\n\n"
     "  --json               as JSON\n"},
    {"stat", run_stat, TAKES_DB | TAKES_JSON, 1, 1, "FILE [--db NAME] [--json]",
     "tell what databases consist of",
     "Prints a line for each database: its page size, depth, pages by kind and entries, under a "
     "line of headings.\n\n"
     "  --db NAME            only that database\n"
     "  --json               as JSON\n"},
    {"info", run_info, TAKES_JSON, 1, 1, "FILE [--json]", "tell what the store is",
     "Prints the store's medium, what a commit survives on it, format, sizes, newest commit and "
     "readers.\n\n"
     "  --json               as JSON\n"},
    {"readers", run_readers, TAKES_JSON, 1, 1, "FILE [--json]",
     "list the running read transactions",
     "Prints for each read transaction of any process: process TAB snapshot TAB seconds since it "
     "began, and TAB evicted behind one whose\n"
     "snapshot was given up. Places of processes that died are given free first.\n\n"
     "  --json               as JSON\n"},
    {"check", run_check, TAKES_JSON | TAKES_WAIT, 1, 1, "FILE [--json]", "verify the whole file",
     "Verifies every rule of the format. Prints each fault and their number; the exit status is 4\n"
     "when there is one. Other processes may write meanwhile; when they do so all the time, they "
     "wait\n"
     "for it.\n\n"
     "  --json               as JSON\n" WAIT_HELP},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static const char every_command[] =
    "  --pmem auto|dax|file|force\n"
    "                       what makes a commit durable; also the variable DAXKV_PMEM\n"
    "  --help               print this\n";

/* ---- failures -------------------------------------------------------------------------------- */

/* print_line - one line on the standard error: what a name or a message has of control characters
 * becomes '?'. */
static void print_line(const struct call *call, const char *text, const char *detail)
{
	char line[4096];
	int n = snprintf(
	    line, sizeof line - 1, "kv%s%s: %s%s%s%s%s%s", call->command != NULL ? " " : "",
	    call->command != NULL ? call->command->name : "", call->file != NULL ? call->file : "",
	    call->file != NULL ? ": " : "", text, detail != NULL ? " (" : "",
	    detail != NULL ? detail : "", detail != NULL ? ")" : "");
	size_t size = n < 0 ? 0 : (size_t)n < sizeof line - 2 ? (size_t)n : sizeof line - 2;

	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[size++] = '\n';
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

	if (err == DAXKV_NOT_FOUND || err == DAXKV_EXIST || detail == NULL || *detail == '\0')
		detail = daxkv_strerror(
		    err); /* answers rather than failures: daxkv_errmsg knows nothing of them */
	if (err == DAXKV_NEED_COMPARE)
		detail = "the database has its program's own order, which this command does not "
		         "know: it can only be read from end to end";
	print_line(call, what != NULL ? what : daxkv_strerror(err), detail);
	return (int)status_of(err);
}

int call_fail_sys(const struct call *call, int err, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	print_line(call, text, strerror(err));
	return EXIT_SYSTEM;
}

int call_fail_as(const struct call *call, enum exit_status status, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	print_line(call, text, NULL);
	return (int)status;
}

void call_note(const struct call *call, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	print_line(call, text, NULL);
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
	return call_fail_sys(call, err, "cannot write to the standard output");
}

int call_output(struct call *call, bool flush)
{
	if (ferror(stdout) || (flush && fflush(stdout) != 0))
		return call_output_failed(call, errno != 0 ? errno : EIO);
	return EXIT_OK;
}

/* ---- help ------------------------------------------------------------------------------------ */

static void print_usage(FILE *out)
{
	fputs("usage: kv COMMAND FILE [OPERAND...] [OPTION...]\n\n", out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-7s %s\n", commands[i].name, commands[i].summary);
	fputs("\nkv COMMAND --help tells more. Options may stand anywhere; -- ends them. Keys, "
	      "values and names are bytes: \\xHH and \\\\ "
	      "in an\n"
	      "argument stand for one. Exit status: 0 done, 1 not found, 2 wrong usage, 3 the "
	      "system refused, 4 corrupted or foreign "
	      "file.\n\n"
	      "  --pmem auto|dax|file|force\n"
	      "            what makes a commit durable; also the variable DAXKV_PMEM\n"
	      "  --version print the version\n"
	      "  --help    print this\n",
	      out);
}

static void print_help(const struct command *command)
{
	bool tell_db = command->options & TAKES_DB && strstr(command->help, "--db NAME") == NULL;

	printf("usage: kv %s %s\n\n%s%s%s", command->name, command->operands, command->help,
	       tell_db ? "  --db NAME            in the named database NAME\n" : "", every_command);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
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
			print_usage(stdout);
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
	struct call call = {.db = DAXKV_MAIN, .opt.wait_ms = -1};
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
		print_usage(stderr);
		return EXIT_USAGE;
	}
	call.command = find_command(argv[optind]);
	if (call.command == NULL)
		return call_fail_as(&call, EXIT_USAGE, "no command '%s'; see kv --help",
		                    argv[optind]);
	status = args_parse(&call, argc - optind, argv + optind);
	if (status != EXIT_OK)
		return status;
	medium_watch(&call);
	if (call.opt.help)
		print_help(call.command);
	else
		status = call.command->run(&call);
	status = call_end(&call, status);
	if (call.reader_gone)
		pipe_die();
	return status;
}
