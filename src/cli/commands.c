/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commands.c - see commands.h.
 */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "suggest.h"

#define WAIT_HELP                                                                                  \
	"  --wait SECONDS       wait no longer than that for another process that writes, or "     \
	"opens or\n"                                                                               \
	"                       closes the store (for this a second at least)\n"

#define RESTORE_MAX 100000 /* pieces: as many as a command line may have */

static const struct command commands[] = {
    {"create", run_create,
     TAKES_DB | TAKES_NEW | TAKES_MAX_SIZE | TAKES_DB_FLAGS | TAKES_WAIT | IN_SESSION, 1, 1,
     "FILE [OPTION...]", "make a store, or a database in it",
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
    {"put", run_put, TAKES_DB | TAKES_FROM | TAKES_KEEP | TAKES_MAX_SIZE | TAKES_WAIT | IN_SESSION,
     2, 3, "FILE KEY VALUE|-|--from PATH [OPTION...]", "store a value under a key",
     "Replaces the key's value; in a database with duplicates adds the pair. VALUE - is the "
     "standard input.\n\n"
     "  --from PATH          the value is the content of the file PATH\n"
     "  --if-absent          fail when the key is there; also --no-overwrite\n"
     "  --expect OLD         only when the key's value is OLD, which is then replaced; of\n"
     "                       duplicates the one that is OLD\n"
     "  --return-old         print the value that was replaced\n"
     "  --max-size N         do not let the file grow beyond N\n" WAIT_HELP},
    {"get", run_get, TAKES_DB | TAKES_OUT | IN_SESSION, 2, 2, "FILE KEY [--out PATH]",
     "print a key's value",
     "Prints the value's bytes as they are, and a newline behind them only when the standard "
     "output is a terminal. Of duplicates the\n"
     "first is printed.\n\n"
     "  --out PATH           write the value to the file PATH instead\n"},
    {"del", run_del, TAKES_DB | TAKES_FROM | TAKES_RANGE | TAKES_MAX_SIZE | TAKES_WAIT | IN_SESSION,
     1, 3, "FILE KEY [VALUE] | --from KEY|--to KEY|--prefix BYTES...",
     "remove a key, a pair, or a range",
     "Removes the key with all its values; with VALUE only that pair, and nothing when the key "
     "has\n"
     "other values only. With at least one of these, instead of KEY, all keys that scan prints "
     "for\n"
     "them, and tells how many entries that were:\n\n"
     "  --from KEY           from KEY on, it included\n"
     "  --to KEY             up to KEY, which stays itself\n"
     "  --prefix BYTES       only keys that begin with BYTES\n"
     "  --max-size N         do not let the file grow beyond N\n" WAIT_HELP},
    {"scan", run_scan, TAKES_DB | TAKES_FROM | TAKES_RANGE | TAKES_SCAN | IN_SESSION, 1, 1,
     "FILE [OPTION...]", "print entries in order",
     "Prints one line for each entry, key TAB value, in the escaped form, which kv load reads "
     "back. The main database's entries\n"
     "that are named databases are left out.\n\n"
     "  --from KEY           from KEY on, it included\n"
     "  --to KEY             up to KEY, which is not printed itself\n"
     "  --prefix BYTES       only keys that begin with BYTES\n"
     "  --reverse            from the last to the first\n"
     "  --limit N            stop after N entries\n"
     "  --keys               print keys only, each once\n"},
    {"count", run_count, TAKES_DB | TAKES_FROM | TAKES_RANGE | TAKES_ESTIMATE | IN_SESSION, 1, 1,
     "FILE [OPTION...]", "count entries",
     "Prints how many entries scan prints for the same options, each value of a key for itself.\n\n"
     "  --from KEY           from KEY on, it included\n"
     "  --to KEY             up to KEY, which is not counted itself\n"
     "  --prefix BYTES       only keys that begin with BYTES\n"
     "  --estimate           about how many, by the first page and the last one of the range\n"},
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
     "  --batch N            N entries in a transaction; else up to 100,000, 16 MiB, or what came "
     "in "
     "a tenth of a second\n"
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
    {"salvage", run_salvage, 0, 2, 2, "DAMAGED NEW", "make a store of what a damaged one still has",
     "Makes the store NEW, which must not be there, of all entries of DAMAGED whose checksums "
     "hold, and\n"
     "tells each place where something is lost. DAMAGED is not written, and must not be in use. "
     "What has\n"
     "lost its database's name comes into databases whose names begin with lost+found. The exit "
     "status\n"
     "is 4 when something is lost.\n\n"},
    {"backup", run_backup, TAKES_BACKUP, 2, 2, "FILE DEST|- [OPTION...]",
     "copy the store while others write",
     "Writes what the store has at this moment to the new file DEST, or to the standard output. "
     "DEST is\n"
     "a store of its own, packed and verified. It is written at a lower priority than other "
     "processes have.\n\n"
     "  --since EARLIER      only what changed since EARLIER, a backup of this store, was made; "
     "with\n"
     "                       it and those before it kv restore makes the store\n"
     "  --nice N             lower its priority by N, as nice(1) does (10); 0: as fast as it "
     "can\n"},
    {"restore", run_restore, 0, 2, RESTORE_MAX, "BASE [DELTA...] STORE", "make a store of backups",
     "Makes the store STORE, which must not be there, of the full backup BASE and the deltas "
     "behind "
     "it\n"
     "(kv backup --since), in their order. Each is verified before anything is made, and one that "
     "is\n"
     "missing, at the wrong place or of another store is refused.\n\n"},
    {"compact", run_compact, TAKES_MAX_SIZE | TAKES_BUDGET | TAKES_WAIT, 1, 1, "FILE [OPTION...]",
     "make the file smaller while others use it",
     "Moves pages from the end of the file into free ones before them, packs sparse pages, and "
     "cuts the\n"
     "file. Others read and write meanwhile. Prints the sizes, and what held the rest back.\n\n"
     "  --budget N           move N pages at most; the next call goes on\n"
     "  --ms N               begin no step after N milliseconds; the next call goes on\n"
     "  --if-free PERCENT    do nothing unless more than PERCENT of the file is free\n"
     "  --max-size N         as for the other commands\n" WAIT_HELP},
    {"rename", run_rename, TAKES_MAX_SIZE | TAKES_WAIT | IN_SESSION, 3, 3, "FILE NAME NEW-NAME",
     "give a database another name",
     "The named database NAME has the name NEW-NAME from then on, which nothing else may have.\n\n"
     "  --max-size N         do not let the file grow beyond N\n" WAIT_HELP},
    {"copy", run_copy, TAKES_MAX_SIZE | TAKES_WAIT | IN_SESSION, 3, 3, "FILE NAME NEW-NAME",
     "copy a database within the store",
     "Makes the database NEW-NAME, which must not be there, with all that the database NAME has, "
     "in\n"
     "one transaction.\n\n"
     "  --max-size N         do not let the file grow beyond N\n" WAIT_HELP},
    {"drop", run_drop, TAKES_MAX_SIZE | TAKES_EMPTY | TAKES_WAIT | IN_SESSION, 2, 2,
     "FILE NAME [--empty]", "remove a database",
     "Removes the named database NAME with all that it has, and tells how many entries that "
     "were.\n\n"
     "  --empty              keep the database, with nothing in it\n"
     "  --max-size N         do not let the file grow beyond N\n" WAIT_HELP},
    {"batch", run_batch, TAKES_MAX_SIZE | TAKES_WAIT, 1, 2, "FILE [SCRIPT]",
     "do several things, or none of them",
     "Reads commands from SCRIPT (the standard input when missing or -), one on each line, "
     "without\n"
     "FILE: put, get, del, scan, count, create --db, rename, copy, drop, list, stat, info, "
     "readers.\n"
     "All are one transaction. When one fails, its line is named and nothing is changed. Words are "
     "parted by\n"
     "blanks; single or double quotes keep them together; a line that begins with # is skipped.\n\n"
     "  --max-size N         do not let the file grow beyond N\n" WAIT_HELP},
    {"shell", run_shell, TAKES_MAX_SIZE | TAKES_WAIT, 1, 1, "FILE", "work in a store line by line",
     "Reads commands as kv batch does and does each at once, or those between begin and commit "
     "(or\n"
     "abort) as one transaction. What fails does not end it; exit, quit or the input's end does. "
     "On\n"
     "a terminal lines can be edited, commands, options and names of databases completed with "
     "TAB,\n"
     "and earlier lines be called back, which are kept in ~/.kv_history (or the file that the\n"
     "variable KV_HISTORY names; none when it is empty).\n\n"
     "  --max-size N         do not let the file grow beyond N\n" WAIT_HELP},
    {"list", run_list, TAKES_JSON | IN_SESSION, 1, 1, "FILE [--json]", "list the databases",
     "Prints for each database: name TAB entries TAB flags, the main one, (main), first and "
     "without its entries that are databases.\n\n"
     "  --json               as JSON\n"},
    {"stat", run_stat, TAKES_DB | TAKES_JSON | TAKES_METRICS | IN_SESSION, 1, 1,
     "FILE [--db NAME] [--json] [--openmetrics]", "tell what databases consist of",
     "Prints a line for each database: its page size, depth, pages by kind and entries, under a "
     "line of headings.\n\n"
     "  --db NAME            only that database\n"
     "  --json               as JSON\n"
     "  --openmetrics        all databases and the store, as text for monitoring programs\n"},
    {"info", run_info, TAKES_JSON | IN_SESSION, 1, 1, "FILE [--json]", "tell what the store is",
     "Prints the store's medium, what a commit survives on it, format, sizes, newest commit and "
     "readers.\n\n"
     "  --json               as JSON\n"},
    {"readers", run_readers, TAKES_JSON | IN_SESSION, 1, 1, "FILE [--json]",
     "list the running read transactions",
     "Prints for each read transaction of any process: process TAB snapshot TAB seconds since it "
     "began, and TAB evicted behind one whose\n"
     "snapshot was given up. Places of processes that died are given free first.\n\n"
     "  --json               as JSON\n"},
    {"watch", run_watch, TAKES_JSON | TAKES_WATCH, 1, 1, "FILE [OPTION...]", "show what goes on",
     "Prints a line every second until it is stopped: the time, the newest commit, commits a "
     "second,\n"
     "running read transactions, the age of the oldest, bytes used and of the file, free pages "
     "held\n"
     "back, and the process that writes.\n\n"
     "  --interval SECONDS   between two lines\n"
     "  --count N            end after N lines\n"
     "  --json               each line is a JSON object\n"},
    {"check", run_check, TAKES_JSON | TAKES_WAIT, 1, 1, "FILE [--json]", "verify the whole file",
     "Verifies every rule of the format. Prints each fault and their number; the exit status is 4\n"
     "when there is one. Other processes may write meanwhile; when they do so all the time, they "
     "wait\n"
     "for it.\n\n"
     "  --json               as JSON\n" WAIT_HELP},
    {"help", run_help, 0, 0, 1, "[COMMAND]", "tell about a command",
     "Prints what kv COMMAND --help prints; without COMMAND the list of commands.\n\n"},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static const char every_command[] =
    "  --pmem auto|dax|file|force\n"
    "                       what makes a commit durable; also the variable DAXKV_PMEM\n"
    "  --help               print this\n";

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

const struct command *command_next(const struct command *command)
{
	const struct command *next = command != NULL ? command + 1 : commands;

	return next < commands + COMMANDS ? next : NULL;
}

const char *command_meant(const char *name)
{
	/* As other programs call it. */
	static const char *const others[][2] = {
	    {"delete", "del"},   {"remove", "del"},     {"rm", "del"},      {"unlink", "del"},
	    {"set", "put"},      {"insert", "put"},     {"add", "put"},     {"store", "put"},
	    {"ls", "list"},      {"databases", "list"}, {"tables", "list"}, {"cat", "get"},
	    {"mv", "rename"},    {"cp", "copy"},        {"keys", "scan"},   {"range", "scan"},
	    {"exec", "batch"},   {"cli", "shell"},      {"repl", "shell"},  {"monitor", "watch"},
	    {"verify", "check"}, {"fsck", "check"}};
	struct suggest suggest;

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		if (strcmp(name, others[i][0]) == 0)
			return others[i][1];
	}
	suggest_begin(&suggest, name);
	for (size_t i = 0; i < COMMANDS; i++)
		suggest_try(&suggest, commands[i].name);
	return suggest_end(&suggest);
}

int command_missing(const struct call *call, const char *name)
{
	const char *meant = command_meant(name),
	           *all = call->session != NULL ? "help" : "kv --help";

	if (meant == NULL)
		return call_fail_as(call, EXIT_USAGE, "no command '%s'; see %s", name, all);
	return call_fail_as(call, EXIT_USAGE, "no command '%s'; did you mean '%s'? See %s", name,
	                    meant, all);
}

void command_usage(FILE *out)
{
	fputs("usage: kv COMMAND FILE [OPERAND...] [OPTION...]\n\n", out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\nkv COMMAND --help tells more. Options may stand anywhere; -- ends them. Keys, "
	      "values\n"
	      "and names are bytes: \\xHH and \\\\ in an argument stand for one. Exit status: 0 "
	      "done, 1\n"
	      "not found, 2 wrong usage, 3 the system refused, 4 corrupted or foreign file.\n\n"
	      "  --pmem auto|dax|file|force\n"
	      "            what makes a commit durable; also the variable DAXKV_PMEM\n"
	      "  --version print the version\n"
	      "  --help    print this\n",
	      out);
}

void command_help(const struct command *command, bool session)
{
	bool tell_db = command->options & TAKES_DB && strstr(command->help, "--db NAME") == NULL;

	if (session)
		printf("%s %s\n\n", command->name, command_operands(command, true));
	else
		printf("usage: kv %s %s\n\n", command->name, command->operands);
	printf("%s%s%s", command->help,
	       tell_db ? "  --db NAME            in the named database NAME\n" : "",
	       session ? "" : every_command);
}

const char *command_operands(const struct command *command, bool session)
{
	return session && strncmp(command->operands, "FILE ", 5) == 0 ? command->operands + 5
	                                                              : command->operands;
}

int run_help(struct call *call)
{
	const struct command *command;

	if (call->file == NULL) {
		command_usage(stdout);
		return EXIT_OK;
	}
	command = command_find(call->file);
	if (command != NULL) {
		command_help(command, false);
		return EXIT_OK;
	}
	return command_missing(call, call->operands[-1]);
}
