/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * args.c - see args.h. One table holds every option of every command; a command's set says which of
 * them it takes.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "bytes.h"
#include "commands.h"
#include "suggest.h"

#define SECONDS_MAX 4000000

enum option_id {
	OPT_DB = 256,
	OPT_JSON,
	OPT_PAGE_SIZE,
	OPT_INITIAL_SIZE,
	OPT_MAX_SIZE,
	OPT_DUP_SORT,
	OPT_DUP_FIXED,
	OPT_INTEGER_KEY,
	OPT_INTEGER_DUP,
	OPT_REVERSE_KEY,
	OPT_REVERSE_DUP,
	OPT_FROM,
	OPT_TO,
	OPT_PREFIX,
	OPT_REVERSE,
	OPT_LIMIT,
	OPT_KEYS,
	OPT_NO_OVERWRITE,
	OPT_EXPECT,
	OPT_RETURN_OLD,
	OPT_ESTIMATE,
	OPT_EMPTY,
	OPT_OPENMETRICS,
	OPT_INTERVAL,
	OPT_COUNT,
	OPT_BUDGET,
	OPT_MS,
	OPT_IF_FREE,
	OPT_OUT,
	OPT_FORMAT,
	OPT_BATCH,
	OPT_ACK,
	OPT_WAIT,
	OPT_SINCE,
	OPT_NICE,
	OPT_PMEM
};

static const struct {
	const char *name;
	int has_arg, id;
	unsigned int set; /* 0: of every command */
} option_table[] = {
    {"db", required_argument, OPT_DB, TAKES_DB},
    {"json", no_argument, OPT_JSON, TAKES_JSON},
    {"page-size", required_argument, OPT_PAGE_SIZE, TAKES_NEW},
    {"initial-size", required_argument, OPT_INITIAL_SIZE, TAKES_NEW},
    {"max-size", required_argument, OPT_MAX_SIZE, TAKES_MAX_SIZE},
    {"dup-sort", no_argument, OPT_DUP_SORT, TAKES_DB_FLAGS},
    {"dup-fixed", no_argument, OPT_DUP_FIXED, TAKES_DB_FLAGS},
    {"integer-key", no_argument, OPT_INTEGER_KEY, TAKES_DB_FLAGS},
    {"integer-dup", no_argument, OPT_INTEGER_DUP, TAKES_DB_FLAGS},
    {"reverse-key", no_argument, OPT_REVERSE_KEY, TAKES_DB_FLAGS},
    {"reverse-dup", no_argument, OPT_REVERSE_DUP, TAKES_DB_FLAGS},
    {"from", required_argument, OPT_FROM, TAKES_FROM},
    {"to", required_argument, OPT_TO, TAKES_RANGE},
    {"prefix", required_argument, OPT_PREFIX, TAKES_RANGE},
    {"reverse", no_argument, OPT_REVERSE, TAKES_SCAN},
    {"limit", required_argument, OPT_LIMIT, TAKES_SCAN},
    {"keys", no_argument, OPT_KEYS, TAKES_SCAN},
    {"if-absent", no_argument, OPT_NO_OVERWRITE, TAKES_KEEP},
    {"no-overwrite", no_argument, OPT_NO_OVERWRITE, TAKES_KEEP},
    {"expect", required_argument, OPT_EXPECT, TAKES_KEEP},
    {"return-old", no_argument, OPT_RETURN_OLD, TAKES_KEEP},
    {"estimate", no_argument, OPT_ESTIMATE, TAKES_ESTIMATE},
    {"empty", no_argument, OPT_EMPTY, TAKES_EMPTY},
    {"openmetrics", no_argument, OPT_OPENMETRICS, TAKES_METRICS},
    {"interval", required_argument, OPT_INTERVAL, TAKES_WATCH},
    {"count", required_argument, OPT_COUNT, TAKES_WATCH},
    {"budget", required_argument, OPT_BUDGET, TAKES_BUDGET},
    {"ms", required_argument, OPT_MS, TAKES_BUDGET},
    {"if-free", required_argument, OPT_IF_FREE, TAKES_BUDGET},
    {"out", required_argument, OPT_OUT, TAKES_OUT},
    {"format", required_argument, OPT_FORMAT, TAKES_LOAD},
    {"batch", required_argument, OPT_BATCH, TAKES_LOAD},
    {"ack", no_argument, OPT_ACK, TAKES_LOAD},
    {"wait", required_argument, OPT_WAIT, TAKES_WAIT},
    {"since", required_argument, OPT_SINCE, TAKES_BACKUP},
    {"nice", required_argument, OPT_NICE, TAKES_BACKUP},
    {"print", no_argument, 'p', TAKES_PRINT},
    {"pmem", required_argument, OPT_PMEM, 0},
    {"help", no_argument, 'h', 0},
};
#define OPTIONS (sizeof option_table / sizeof option_table[0])

bool args_pmem(const char *text, enum daxkv_pmem *pmem)
{
	static const struct {
		const char *name;
		enum daxkv_pmem pmem;
	} media[] = {{"auto", DAXKV_PMEM_AUTO},
	             {"dax", DAXKV_PMEM_DAX},
	             {"file", DAXKV_PMEM_FILE},
	             {"force", DAXKV_PMEM_FORCE}};
	for (size_t i = 0; i < sizeof media / sizeof media[0]; i++) {
		if (strcmp(text, media[i].name) == 0) {
			*pmem = media[i].pmem;
			return true;
		}
	}
	return false;
}

bool args_size(const char *text, uint64_t *size)
{
	static const char units[] = "KMGT";
	char *end;
	unsigned long long number;
	unsigned int shift = 0;

	if (!isdigit((unsigned char)*text)) /* strtoull takes blanks and signs */
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0)
		return false;
	if (*end != '\0') {
		const char *unit = strchr(units, toupper((unsigned char)*end));
		if (unit == NULL || end[1] != '\0')
			return false;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (number > UINT64_MAX >> shift)
		return false;
	*size = (uint64_t)number << shift;
	return true;
}

/* seconds_read - "3" or "0.25" as milliseconds. False when text is anything else, or more than some
 * weeks. */
static bool seconds_read(const char *text, int64_t *ms)
{
	const char *p = text;
	int64_t n = 0, unit = 1000;

	for (; isdigit((unsigned char)*p); p++) {
		n = 10 * n + (*p - '0');
		if (n > SECONDS_MAX)
			return false;
	}
	if (p == text)
		return false;
	n *= unit;
	if (*p == '.') {
		for (p++; isdigit((unsigned char)*p); p++)
			n += (*p - '0') * (unit /= 10);
	}
	*ms = n;
	return *p == '\0' && p[-1] != '.';
}

int args_bytes(const struct call *call, const char *what, char *text, struct daxkv_val *bytes)
{
	if (!bytes_decode(text, strlen(text), bytes))
		return call_fail_as(call, EXIT_USAGE, "a backslash in %s must begin \\xHH or \\\\",
		                    what);
	return EXIT_OK;
}

static int bad_value(const struct call *call, const char *option, const char *wanted)
{
	return call_fail_as(call, EXIT_USAGE, "--%s needs %s, not '%s'", option, wanted, optarg);
}

/* set_number - options whose argument is a number. */
static int set_number(struct call *call, int id)
{
	struct options *opt = &call->opt;
	uint64_t n;

	if (id == OPT_PAGE_SIZE) {
		if (!args_size(optarg, &n) || n == 0 || n > 1u << 20)
			return bad_value(call, "page-size", "a number of bytes");
		opt->page_size = (unsigned int)n;
		return EXIT_OK;
	}
	if (id == OPT_MS) {
		if (!args_size(optarg, &n) || n == 0 || n > UINT32_MAX)
			return bad_value(call, "ms", "a number of milliseconds, from 1 on");
		opt->budget_ms = (unsigned int)n;
		return EXIT_OK;
	}
	if (id == OPT_IF_FREE) {
		if (!args_size(optarg, &n) || n > 99)
			return bad_value(call, "if-free", "a number of per cent from 0 to 99");
		opt->if_free = (unsigned int)n;
		return EXIT_OK;
	}
	if (id == OPT_NICE) {
		if (!args_size(optarg, &n) || n > 19)
			return bad_value(call, "nice", "a number from 0 to 19");
		opt->nice = (int)n;
		return EXIT_OK;
	}
	if (!args_size(optarg, &n) || n == 0) {
		if (id == OPT_LIMIT || id == OPT_BATCH || id == OPT_COUNT || id == OPT_BUDGET)
			return bad_value(call,
			                 id == OPT_LIMIT    ? "limit"
			                 : id == OPT_BATCH  ? "batch"
			                 : id == OPT_BUDGET ? "budget"
			                                    : "count",
			                 "a number from 1 on");
		return bad_value(call, id == OPT_MAX_SIZE ? "max-size" : "initial-size",
		                 "a number of bytes, as 64M");
	}
	if (id == OPT_LIMIT)
		opt->limit = n;
	else if (id == OPT_BATCH)
		opt->batch = n;
	else if (id == OPT_COUNT)
		opt->count = n;
	else if (id == OPT_BUDGET)
		opt->budget = n;
	else if (id == OPT_MAX_SIZE)
		opt->max_size = n;
	else
		opt->initial_size = n;
	return EXIT_OK;
}

static unsigned int db_flag(int id)
{
	switch (id) {
	case OPT_DUP_SORT:
		return DAXKV_DUP_SORT;
	case OPT_DUP_FIXED:
		return DAXKV_DUP_SORT | DAXKV_DUP_FIXED;
	case OPT_INTEGER_KEY:
		return DAXKV_INTEGER_KEY;
	case OPT_INTEGER_DUP:
		return DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP;
	case OPT_REVERSE_KEY:
		return DAXKV_REVERSE_KEY;
	case OPT_REVERSE_DUP:
		return DAXKV_DUP_SORT | DAXKV_REVERSE_DUP;
	default:
		return 0;
	}
}

/* set_text - options whose argument is a word, a key or a path. */
static int set_text(struct call *call, int id)
{
	struct options *opt = &call->opt;
	int status = EXIT_OK;

	if (id == OPT_DB) {
		status = args_bytes(call, "the database's name", optarg, &opt->db);
		opt->has_db = true;
	} else if (id == OPT_PMEM) {
		if (!args_pmem(optarg, &opt->pmem))
			status = bad_value(call, "pmem", "auto, dax, file or force");
	} else if (id == OPT_WAIT) {
		if (!seconds_read(optarg, &opt->wait_ms))
			status = bad_value(call, "wait", "a number of seconds, as 0, 0.5 or 10");
	} else if (id == OPT_INTERVAL) {
		if (!seconds_read(optarg, &opt->interval_ms) || opt->interval_ms == 0)
			status = bad_value(call, "interval", "a number of seconds, as 0.5 or 10");
	} else if (id == OPT_FORMAT) {
		if (strcmp(optarg, "tsv") != 0 && strcmp(optarg, "mdb") != 0 &&
		    strcmp(optarg, "dir") != 0)
			status = bad_value(call, "format", "tsv, mdb or dir");
		opt->format = optarg;
	} else if (id == OPT_FROM) {
		opt->from = optarg;
	} else if (id == OPT_TO) {
		opt->to = optarg;
	} else if (id == OPT_PREFIX) {
		opt->prefix = optarg;
	} else if (id == OPT_SINCE) {
		opt->since = optarg;
	} else if (id == OPT_EXPECT) {
		opt->expect = optarg;
	} else {
		opt->out = optarg;
	}
	return status;
}

/* set_flag - options without an argument. */
static void set_flag(struct options *opt, int id)
{
	switch (id) {
	case OPT_JSON:
		opt->json = true;
		break;
	case OPT_REVERSE:
		opt->reverse = true;
		break;
	case OPT_KEYS:
		opt->keys = true;
		break;
	case OPT_NO_OVERWRITE:
		opt->no_overwrite = true;
		break;
	case OPT_RETURN_OLD:
		opt->return_old = true;
		break;
	case OPT_ESTIMATE:
		opt->estimate = true;
		break;
	case OPT_EMPTY:
		opt->empty = true;
		break;
	case OPT_OPENMETRICS:
		opt->openmetrics = true;
		break;
	case OPT_ACK:
		opt->ack = true;
		break;
	case 'p':
		opt->print = true;
		break;
	case 'h':
		opt->help = true;
		break;
	default:
		opt->db_flags |= db_flag(id);
	}
}

static int set_option(struct call *call, int id)
{
	switch (id) {
	case OPT_DB:
	case OPT_PMEM:
	case OPT_WAIT:
	case OPT_FORMAT:
	case OPT_FROM:
	case OPT_TO:
	case OPT_PREFIX:
	case OPT_EXPECT:
	case OPT_INTERVAL:
	case OPT_SINCE:
	case OPT_OUT:
		return set_text(call, id);
	case OPT_PAGE_SIZE:
	case OPT_INITIAL_SIZE:
	case OPT_MAX_SIZE:
	case OPT_LIMIT:
	case OPT_BATCH:
	case OPT_COUNT:
	case OPT_BUDGET:
	case OPT_MS:
	case OPT_NICE:
	case OPT_IF_FREE:
		return set_number(call, id);
	default:
		set_flag(&call->opt, id);
		return EXIT_OK;
	}
}

/* option_list - the options that command takes, for getopt_long; returns the short ones. */
static const char *option_list(const struct command *command, struct option list[OPTIONS + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < OPTIONS; i++) {
		if (option_table[i].set != 0 && (option_table[i].set & command->options) == 0)
			continue;
		list[n++] = (struct option){option_table[i].name, option_table[i].has_arg, NULL,
		                            option_table[i].id};
	}
	list[n] = (struct option){NULL, 0, NULL, 0};
	return command->options & TAKES_PRINT ? ":hp" : ":h";
}

/* bad_option - what getopt_long has found wrong with the option that it came to; EXIT_USAGE. */
static int bad_option(const struct call *call, int id, const char *text, const struct option *list)
{
	const char *name = call->command->name, *meant;
	struct suggest suggest;
	char word[64];
	size_t n = strncmp(text, "--", 2) == 0 ? strcspn(text + 2, "=") : sizeof word;

	if (id == ':')
		return call_fail_as(call, EXIT_USAGE, "option '%s' needs an argument", text);
	if (optopt > 0 && optopt < 256)
		return call_fail_as(call, EXIT_USAGE, "no option '-%c' here; see kv %s --help",
		                    optopt, name);
	if (optopt == 0 && n < sizeof word) {
		memcpy(word, text + 2, n);
		word[n] = '\0';
		suggest_begin(&suggest, word);
		for (; list->name != NULL; list++)
			suggest_try(&suggest, list->name);
		meant = suggest_end(&suggest);
		if (meant != NULL && strcmp(meant, word) != 0)
			return call_fail_as(call, EXIT_USAGE,
			                    "no option '%s'; did you mean '--%s'? See kv %s --help",
			                    text, meant, name);
	}
	return call_fail_as(call, EXIT_USAGE, "option '%s' cannot be used so; see kv %s --help",
	                    text, name);
}

const char *args_option(const struct command *command, size_t *at)
{
	while (*at < OPTIONS) {
		size_t i = (*at)++;

		if (option_table[i].set == 0 || (option_table[i].set & command->options) != 0)
			return option_table[i].name;
	}
	return NULL;
}

int args_parse(struct call *call, int argc, char **argv)
{
	struct option list[OPTIONS + 1];
	const struct command *command = call->command;
	const char *shorts = option_list(command, list);
	int id, status, file = call->session == NULL;

	optind = 0; /* main has used getopt_long for the options before the command */
	while ((id = getopt_long(argc, argv, shorts, list, NULL)) != -1) {
		if (id == ':' || id == '?')
			return bad_option(call, id, argv[optind - 1], list);
		status = set_option(call, id);
		if (status != EXIT_OK)
			return status;
		if (call->opt.help)
			return EXIT_OK;
	}
	argc -= optind - !file;
	argv += optind;
	if (argc < command->min_operands || argc > command->max_operands)
		return call_fail_as(
		    call, EXIT_USAGE, "%s; usage: %s%s %s",
		    argc < command->min_operands ? "an operand is missing" : "too many operands",
		    file ? "kv " : "", command->name, command_operands(command, !file));
	if (file)
		call->file = argv[0];
	call->operands = argv + file;
	call->n_operands = argc - 1;
	return EXIT_OK;
}
