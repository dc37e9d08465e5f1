/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model - drives one stream of operations through daxkv, the oracle and LMDB, and stops at the
 * first difference.
 *
 *   model [--seed N] [--ops N] [--page-size N] [--pmem file|force] [--no-lmdb] [--dir D]
 *     [--verbose]
 *
 * With LMDB the stream stays inside LMDB's limits (keys and duplicates of 511 bytes, no empty
 * duplicate); without it keys reach daxkv's own. A difference prints the line that replays it and
 * keeps the store.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "drive.h"
#include "lmdb_ref.h"

struct model {
	uint64_t seed, ops;
	unsigned int page_size;
	enum daxkv_pmem pmem;
	bool no_lmdb, verbose;
	char path[512], lock_path[520], lmdb_path[520];
	char replay[700]; /* the line that replays a failure, but for the number of operations */
	struct ops stream;
	struct oracle oracle;
	struct drive drive;
	struct lmdb_ref *lmdb; /* NULL: not used */
	uint64_t counts[OP_KINDS], skipped, lmdb_compared, pairs_compared;
};

static bool bytes_equal(const struct daxkv_val *a, const struct daxkv_val *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* outcomes_equal - and if not, say how got differs from want. */
static bool outcomes_equal(const char *who, const struct outcome *want, const struct outcome *got)
{
	const char *what = NULL;

	if (got->rc != want->rc) {
		printf("%s returns %d (%s), must return %d (%s)\n", who, got->rc,
		       daxkv_strerror(got->rc), want->rc, daxkv_strerror(want->rc));
		if (got->rc && strcmp(who, "daxkv") == 0)
			printf("errmsg: %s\n", daxkv_errmsg());
		return false;
	}
	if (want->has_key && !bytes_equal(&want->key, &got->key))
		what = "key";
	else if (want->has_value && !bytes_equal(&want->value, &got->value))
		what = "value";
	if (what) {
		printf("%s gives another %s: %zu bytes, must be %zu bytes\n", who, what,
		       what[0] == 'k' ? got->key.size : got->value.size,
		       what[0] == 'k' ? want->key.size : want->value.size);
		return false;
	}
	for (unsigned int i = 0; i < OP_MANY; i++)
		if (want->result[i] != got->result[i]) {
			printf("%s returns %d for pair %u, must return %d\n", who, got->result[i],
			       i, want->result[i]);
			return false;
		}
	if (want->count != got->count) {
		printf("%s counts %llu, must be %llu\n", who, (unsigned long long)got->count,
		       (unsigned long long)want->count);
		return false;
	}
	return true;
}

/* compare_db - one database as transaction txn sees it, against the oracle's. */
static bool compare_db(struct model *model, unsigned int txn, unsigned int index)
{
	const struct oracle_db *db = &oracle_view(&model->oracle, txn)->db[index];
	size_t n = treap_count(db->root);
	struct rec **list = xmalloc((n + 1) * sizeof(struct rec *));
	bool same;

	treap_list(db->root, list);
	same = drive_compare(&model->drive, txn, index, db, list, n);
	if (same && txn == 0 && model->lmdb)
		same = lmdb_ref_compare(model->lmdb, index, db, list, n);
	free(list);
	model->pairs_compared += 2 * n;
	if (!same)
		printf("in database %u (flags 0x%x) of transaction %u\n", index, db->flags, txn);
	return same;
}

static bool compare_all(struct model *model, unsigned int txn)
{
	const struct oracle_state *state = oracle_view(&model->oracle, txn);

	for (unsigned int i = 0; state && i < OP_DBS; i++) {
		if (state->db[i].incarnation && !compare_db(model, txn, i))
			return false;
	}
	return true;
}

/* compare_ending - a snapshot is read completely before it ends. */
static bool compare_ending(struct model *model, const struct op *op)
{
	if (op->kind == OP_READER_END || op->kind == OP_READER_RESET)
		return compare_all(model, op->txn);
	for (unsigned int r = 1; op->kind == OP_REOPEN && r <= OP_READERS; r++) {
		if (!compare_all(model, r))
			return false;
	}
	return true;
}

/* model_step - one operation everywhere. */
static bool model_step(struct model *model, const struct op *op, const struct oracle_before *before)
{
	struct outcome want, got;

	if (!compare_ending(model, op))
		return false;
	oracle_apply(&model->oracle, op, &want);
	if (model->verbose)
		printf("    must return %s\n",
		       want.rc == OP_SKIP ? "(skipped)" : daxkv_strerror(want.rc));
	if (want.rc == OP_SKIP) {
		model->skipped++;
		return true;
	}
	model->counts[op->kind]++;
	if (model->verbose)
		fflush(stdout); /* a crash in daxkv comes after the line of its operation */
	drive_apply(&model->drive, op, before, &got);
	if (!outcomes_equal("daxkv", &want, &got))
		return false;
	if (model->lmdb) {
		lmdb_ref_apply(model->lmdb, op, before, &want, &got);
		if (op->txn == 0 && got.rc != OP_SKIP) {
			model->lmdb_compared++;
			if (!outcomes_equal("LMDB", &want, &got))
				return false;
		}
	}
	if (op->kind == OP_COMPARE)
		return compare_db(model, op->txn, op->db);
	return op->kind != OP_COMPARE_ALL || compare_all(model, op->txn);
}

/* model_finish - after the last operation: what was committed survives one more opening, and every
 * rule of the format holds. */
static bool model_finish(struct model *model)
{
	struct op op = {.kind = OP_REOPEN};
	struct oracle_before before;
	bool same;

	oracle_before_get(&model->oracle, &op, &before);
	same = model_step(model, &op, &before);
	op.kind = OP_CHECK;
	same = same && model_step(model, &op, &before);
	op.kind = OP_BEGIN;
	same = same && model_step(model, &op, &before);
	op.kind = OP_COMPARE_ALL;
	same = same && model_step(model, &op, &before);
	oracle_before_end(&before);
	return same;
}

/* compacted - snapshots that were held over it, and what is committed, are what they were. */
static bool compacted(struct model *model)
{
	static const enum op_kind kinds[] = {OP_CHECK, OP_BEGIN, OP_COMPARE_ALL, OP_ABORT};
	bool same = true;

	for (unsigned int r = 1; r <= OP_READERS && same; r++)
		same = compare_all(model, r);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && same; i++) {
		struct op op = {.kind = kinds[i]};
		struct oracle_before before;

		oracle_before_get(&model->oracle, &op, &before);
		same = model_step(model, &op, &before);
		oracle_before_end(&before);
	}
	return same;
}

static bool model_run(struct model *model, struct op *op)
{
	struct oracle_before before;
	bool same;

	while (model->stream.made < model->ops) {
		ops_next(&model->stream, op);
		oracle_before_get(&model->oracle, op, &before);
		if (model->verbose) {
			printf("%llu: ", (unsigned long long)model->stream.made);
			ops_print(op, &before);
		}
		same = model_step(model, op, &before);
		if (same && op->kind == OP_COMPACT)
			same = compacted(model);
		if (!same && !model->verbose)
			ops_print(op, &before);
		oracle_before_end(&before);
		if (!same)
			return false;
	}
	return model_finish(model);
}

static void model_summary(struct model *model, double seconds)
{
	struct daxkv_counters counters;

	drive_counters(&model->drive, &counters);
	printf("model --seed %llu: %llu operations in %.1f s:", (unsigned long long)model->seed,
	       (unsigned long long)model->ops, seconds);
	for (size_t i = 0; i < OP_KINDS; i++)
		printf(" %s %llu", op_names[i], (unsigned long long)model->counts[i]);
	printf("; skipped %llu; compared with LMDB %llu, pairs read whole %llu; depth %u, splits "
	       "%llu, merges %llu, compactions %llu, "
	       "grows %llu, commits %llu, pages moved %llu, files cut %llu\n",
	       (unsigned long long)model->skipped, (unsigned long long)model->lmdb_compared,
	       (unsigned long long)model->pairs_compared, model->drive.deepest,
	       (unsigned long long)counters.splits, (unsigned long long)counters.merges,
	       (unsigned long long)counters.compactions, (unsigned long long)counters.grows,
	       (unsigned long long)counters.commits, (unsigned long long)model->drive.moved,
	       (unsigned long long)model->drive.compact_cuts);
}

/* ---- failures -------------------------------------------------------------------------------- */

static struct model *crashing; /* for the signal handler */
static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
#define CRASH_SIGNALS (sizeof(crash_signals) / sizeof(crash_signals[0]))
static struct sigaction crash_before[CRASH_SIGNALS];

/* failure_say - the replay line, with write(2) alone: it is called from the signal handler too. */
static void failure_say(const struct model *model)
{
	char line[sizeof(model->replay) + 32];
	size_t size = strlen(model->replay), digits = 1;
	uint64_t made = model->stream.made;

	memcpy(line, model->replay, size);
	for (uint64_t n = made; n >= 10; n /= 10)
		digits++;
	for (size_t i = 0; i < digits; i++) {
		line[size + digits - 1 - i] = (char)('0' + made % 10);
		made /= 10;
	}
	size += digits;
	line[size++] = '\n';
	if (write(STDOUT_FILENO, line, size) < 0)
		_exit(1);
}

/* on_crash - say how to repeat it, then let the signal do what it would have done. */
static void on_crash(int signal_number)
{
	failure_say(crashing);
	for (size_t i = 0; i < CRASH_SIGNALS; i++)
		(void)sigaction(crash_signals[i], &crash_before[i], NULL);
	if (signal_number == SIGABRT)
		(void)raise(SIGABRT);
}

static void failures_watch(struct model *model)
{
	struct sigaction action = {.sa_handler = on_crash};

	snprintf(model->replay, sizeof(model->replay),
	         "kept: %s\nFAILED: model --seed %llu --page-size %u --pmem %s%s --ops ",
	         model->path, (unsigned long long)model->seed, model->page_size,
	         model->pmem == DAXKV_PMEM_FILE ? "file" : "force",
	         model->no_lmdb ? " --no-lmdb" : "");
	crashing = model;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < CRASH_SIGNALS; i++)
		(void)sigaction(crash_signals[i], &action, &crash_before[i]);
}

/* ---- start and end --------------------------------------------------------------------------- */

static void usage(void)
{
	fprintf(stderr, "usage: model [--seed N] [--ops N] [--page-size N] [--pmem file|force] "
	                "[--no-lmdb] [--dir D] [--verbose]\n");
	exit(2);
}

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 0);

	if (*text == '\0' || *end)
		usage();
	return n;
}

static void arguments(struct model *model, int argc, char **argv)
{
	static const struct option options[] = {
	    {"seed", required_argument, NULL, 's'},      {"ops", required_argument, NULL, 'n'},
	    {"page-size", required_argument, NULL, 'p'}, {"pmem", required_argument, NULL, 'm'},
	    {"no-lmdb", no_argument, NULL, 'L'},         {"dir", required_argument, NULL, 'd'},
	    {"verbose", no_argument, NULL, 'v'},         {NULL, 0, NULL, 0},
	};
	const char *dir = getenv("TMPDIR");
	int c;

	dir = dir ? dir : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	*model =
	    (struct model){.seed = 1, .ops = 200000, .page_size = 4096, .pmem = DAXKV_PMEM_FORCE};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			model->seed = number(optarg);
			break;
		case 'n':
			model->ops = number(optarg);
			break;
		case 'p':
			model->page_size = (unsigned int)number(optarg);
			break;
		case 'm':
			if (strcmp(optarg, "file") && strcmp(optarg, "force"))
				usage();
			model->pmem = optarg[1] == 'i' ? DAXKV_PMEM_FILE : DAXKV_PMEM_FORCE;
			break;
		case 'L':
			model->no_lmdb = true;
			break;
		case 'd':
			dir = optarg;
			break;
		case 'v':
			model->verbose = true;
			break;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
	snprintf(model->path, sizeof(model->path), "%s/model-%ld.daxkv", dir, (long)getpid());
	snprintf(model->lock_path, sizeof(model->lock_path), "%s-lock", model->path);
	snprintf(model->lmdb_path, sizeof(model->lmdb_path), "%s.lmdb", model->path);
}

/* limits - what the stream may ask for. A pair of duplicates must fit half a page: sizes near that
 * are kept out of the stream. */
static struct ops_config limits(const struct model *model, size_t max_key)
{
	size_t most = model->lmdb && max_key > 511 ? 511 : max_key;

	return (struct ops_config){
	    .max_key = most,
	    .max_dup = most,
	    .max_pair = model->page_size / 2 - 140,
	    .bad_pair = model->page_size / 2,
	    .max_value = model->page_size < 4096 ? 256 << 10 : 2 << 20,
	    .db_pairs = model->seed % 3 == 2 ? 6000 : 1500,
	    .long_lists = model->seed % 2 == 0,
	    .empty_dups = !model->lmdb,
	    .bad_sizes = true,
	};
}

static bool model_start(struct model *model)
{
	struct daxkv_options options = {.flags = DAXKV_CREATE | DAXKV_EXCLUSIVE,
	                                .pmem = model->pmem,
	                                .page_size = model->page_size};
	unsigned int main_flags = model->seed % 4 == 3 ? DAXKV_REVERSE_KEY : 0;
	struct ops_config config;
	size_t max_key;
	int rc;

	rc = drive_start(&model->drive, model->path, &options, main_flags, &model->oracle);
	if (rc) {
		printf("%s: %s: %s\n", model->path, daxkv_strerror(rc), daxkv_errmsg());
		return false;
	}
	model->drive.options.flags = 0;
	if (!model->no_lmdb)
		model->lmdb = lmdb_ref_start(model->lmdb_path, main_flags);
	max_key = daxkv_max_key_size(model->drive.store);
	config = limits(model, max_key);
	oracle_start(&model->oracle, main_flags, max_key, max_key, config.bad_pair);
	ops_start(&model->stream, model->seed, &config, &model->oracle);
	return true;
}

int main(int argc, char **argv)
{
	static struct model model;
	struct timespec from, to;
	struct op op;
	int rc;

	arguments(&model, argc, argv);
	failures_watch(&model);
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (!model_start(&model))
		return 1;
	if (!model_run(&model, &op)) {
		fflush(stdout);
		failure_say(&model);
		(void)unlink(model.lmdb_path);
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	rc = drive_end(&model.drive);
	if (rc) {
		printf("close: %s: %s\nkept: %s\n", daxkv_strerror(rc), daxkv_errmsg(), model.path);
		return 1;
	}
	model_summary(&model, (double)(to.tv_sec - from.tv_sec) +
	                          (double)(to.tv_nsec - from.tv_nsec) / 1e9);
	if (model.lmdb)
		lmdb_ref_end(model.lmdb);
	ops_end(&model.stream);
	oracle_end(&model.oracle);
	(void)unlink(model.path);
	(void)unlink(model.lock_path);
	return 0;
}
