/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * args.h - the options of all commands, and numbers with a unit.
 */
#ifndef DAXKV_CLI_ARGS_H
#define DAXKV_CLI_ARGS_H

#include "cli.h"

enum option_set { /* which options a command takes; --pmem and --help belong to all */
	          TAKES_DB = 0x1,          /* --db */
	          TAKES_JSON = 0x2,        /* --json */
	          TAKES_NEW = 0x4,         /* --page-size, --initial-size */
	          TAKES_MAX_SIZE = 0x8,    /* --max-size */
	          TAKES_DB_FLAGS = 0x10,   /* --dup-sort and the rest */
	          TAKES_FROM = 0x20,       /* --from */
	          TAKES_RANGE = 0x40,      /* --to, --prefix */
	          TAKES_KEEP = 0x80,       /* --if-absent, --no-overwrite, --expect, --return-old */
	          TAKES_OUT = 0x100,       /* --out */
	          TAKES_LOAD = 0x200,      /* --format, --batch, --ack */
	          TAKES_PRINT = 0x400,     /* -p */
	          TAKES_WAIT = 0x800,      /* --wait */
	          TAKES_SCAN = 0x1000,     /* --reverse, --limit, --keys */
	          TAKES_ESTIMATE = 0x2000, /* --estimate */
	          TAKES_EMPTY = 0x4000,    /* --empty */
	          TAKES_METRICS = 0x8000,  /* --openmetrics */
	          TAKES_WATCH = 0x10000,   /* --interval, --count */
	          TAKES_BACKUP = 0x20000,  /* --since, --nice */
	          TAKES_BUDGET = 0x40000,  /* --budget, --ms, --if-free */
	          IN_SESSION = 0x40000000  /* no option: the command may be a line of one */
};

/* args_parse - read the options of call->command into call->opt and set file and operands. argv[0]
 * is the command's name; in a session there is no FILE. Returns an exit status; a failure was
 * printed. With opt.help set nothing else was checked. */
int args_parse(struct call *call, int argc, char **argv);

/* args_option - the name of each option that the command takes, one after the other: *at is 0 at
 * first. NULL: there are no more. */
const char *args_option(const struct command *command, size_t *at);

/* args_pmem - the medium named by text. */
bool args_pmem(const char *text, enum daxkv_pmem *pmem);

/* args_size - "4096", "64K", "2M", "1G", "1T": units of 1024. False when text is anything else or
 * 2^64 and more. */
bool args_size(const char *text, uint64_t *size);

/* args_bytes - decode the argument text, named what, in place; EXIT_USAGE, printed, when its
 * escapes are wrong. */
int args_bytes(const struct call *call, const char *what, char *text, struct daxkv_val *bytes);

#endif
