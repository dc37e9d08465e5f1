/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * storm.c - a writer is killed with SIGKILL at random moments, again and again; after each kill the
 * store must have what was acknowledged.
 *
 *   storm [--rounds N] [--dir DIR] [--pmem MODE] [--seed S] [--lazy PERCENT]   kill writers, verify
 *     after each kill
 *   storm write STORE [--pmem MODE] [--seed S] [--limit N] [--lazy PERCENT]   write transactions,
 *     "ACK n" when they are durable: for whoever cuts the power
 *   storm verify STORE ACKED [--pmem MODE] [--seed S] the store has transaction ACKED, or a later
 *     one, and all of it
 *
 * The writer notes in memory shared with its parent which transaction it began to commit and which
 * returned. What the store must have follows from its newest transaction's number, which must be
 * the acknowledged one or the one on its way. While it writes, a second thread of the writer reads:
 * every snapshot must have all the money, and no snapshot may be older than the one before. A life
 * opens the store, writes, now and then closes and opens it again, and ends anywhere: in recovery,
 * in growth, in a commit, in close.
 *
 * With --lazy so many commits wait for a sync, which comes now and then. A kill loses none of them.
 * At some kills the lock file goes, too: then the file alone counts, as after a power cut, and has
 * at least what was synced.
 */
#include "ledger.h"
#include "rng.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared { /* by the writer and who kills it */
	volatile uint64_t started, acked, opens;
	volatile uint64_t synced; /* durable: returned a sync, a durable commit, or a close */
	char error[300];          /* of the writer, when it ended by itself */
};

struct settings {
	const char *dir, *medium;
	struct daxkv_options options;
	uint64_t rounds, seed, limit;
	unsigned int lazy; /* percent of the commits */
};

static struct daxkv_store *reader_store;

/* ---- the writer ------------------------------------------------------------------------------ */

static _Noreturn void writer_fail(struct shared *sh, const char *what, int rc)
{
	snprintf(sh->error, sizeof sh->error, "%s: %s (%s)", what, daxkv_strerror(rc),
	         daxkv_errmsg());
	fprintf(stderr, "storm: the writer: %s\n", sh->error);
	_exit(1);
}

/* read_snapshots - every snapshot has all the money and is not older than the one before. */
static void *read_snapshots(void *arg)
{
	struct shared *sh = arg;
	uint64_t before = 0;

	for (;;) {
		struct daxkv_txn *txn;
		uint64_t last = 0;
		int64_t sum = 0;
		int rc = daxkv_txn_begin(reader_store, NULL, DAXKV_TXN_READ_ONLY, &txn);

		if (!rc)
			rc = ledger_last(txn, &last);
		if (!rc)
			rc = ledger_sum(txn, &sum);
		if (rc)
			writer_fail(sh, "the reader", rc);
		if (last < before || sum != (last ? (int64_t)LEDGER_ACCOUNTS * LEDGER_OPENING : 0))
			writer_fail(sh,
			            last < before ? "a snapshot is older than the one before"
			                          : "a snapshot does not have all the money",
			            0);
		before = last;
		daxkv_txn_abort(txn);
		nanosleep(&(struct timespec){0, 100000}, NULL);
	}
}

/* writer_open - open, and learn what the newest transaction is. */
static struct daxkv_store *writer_open(const struct settings *s, const char *path,
                                       struct shared *sh, uint64_t *last)
{
	struct daxkv_options options = s->options;
	struct daxkv_store *store;
	struct daxkv_txn *txn;

	options.flags = DAXKV_CREATE;
	int rc = daxkv_open(path, &options, &store);

	if (!rc)
		rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);
	if (rc)
		writer_fail(sh, "opening the store", rc);
	rc = ledger_last(txn, last);
	daxkv_txn_abort(txn);
	if (rc)
		writer_fail(sh, "reading the newest transaction", rc);
	sh->opens++;
	return store;
}

/* write_next - transaction t; *durable: all up to it are, because it was not lazy, or a sync came
 * behind it. A result of daxkv. */
static int write_next(struct daxkv_store *store, const struct settings *s, struct rng *rng,
                      uint64_t t, volatile uint64_t *started, bool *durable)
{
	const bool lazy = rng_percent(rng, s->lazy), syncs = lazy && rng_percent(rng, 10);
	int rc = s->lazy ? daxkv_set_durability(store, lazy ? DAXKV_LAZY : DAXKV_DURABLE) : 0;

	if (!rc)
		rc = ledger_write(store, s->seed, t, started);
	if (!rc && syncs)
		rc = daxkv_sync(store);
	*durable = !lazy || syncs;
	return rc;
}

/* writer_run - write until killed. With reading, a thread reads meanwhile and the store stays open;
 * else it is reopened at times. */
static _Noreturn void writer_run(const struct settings *s, const char *path, struct shared *sh,
                                 uint64_t salt)
{
	const bool reading = salt % 2;
	struct rng rng;
	uint64_t last;
	struct daxkv_store *store = writer_open(s, path, sh, &last);
	pthread_t thread;

	rng_seed(&rng, salt);
	reader_store = store;
	if (reading && pthread_create(&thread, NULL, read_snapshots, sh))
		writer_fail(sh, "a thread", EAGAIN);
	for (;;) {
		bool durable;
		int rc = write_next(store, s, &rng, last + 1, &sh->started, &durable);

		if (rc)
			writer_fail(sh, "writing", rc);
		sh->acked = ++last;
		if (durable)
			sh->synced = last;
		if (reading || rng_below(&rng, 20))
			continue;
		rc = daxkv_close(store);
		if (rc)
			writer_fail(sh, "closing", rc);
		sh->synced = last;
		store = writer_open(s, path, sh, &last);
		if (last != sh->acked)
			writer_fail(sh, "the reopened store is at another transaction", 0);
	}
}

/* ---- the storm ------------------------------------------------------------------------------- */

struct tally {
	uint64_t kills, kept, recovered, opens, cuts;
};

static bool complain(const struct settings *s, const char *path, uint64_t round, const char *what,
                     const char *detail)
{
	printf("FAIL: --pmem %s --seed %" PRIu64 ", kill %" PRIu64
	       ": %s: %s\nthe store is kept: %s\n",
	       s->medium, s->seed, round, what, detail, path);
	return false;
}

/* verify - the store is at the acknowledged transaction or at the one on its way, and whole. Every
 * other time it is only looked at, so that the next writer meets what the kill left, and lazy
 * commits still wait for their sync. cut: the lock file is gone. */
static bool verify(const struct settings *s, const char *path, struct shared *sh, bool cut,
                   struct ledger *l, uint64_t round, struct tally *tally)
{
	struct daxkv_options options = s->options;
	struct daxkv_info info;
	struct daxkv_txn *txn;
	struct daxkv_store *store;
	uint64_t last = 0;

	if (access(path, F_OK) != 0 && sh->acked == 0 && l->last == 0)
		return true; /* killed before the store was made */
	options.flags = round % 2 ? DAXKV_READ_ONLY : 0;
	int rc = daxkv_open(path, &options, &store);

	if (!rc)
		rc = daxkv_info(store, &info);
	if (!rc)
		rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);
	if (rc)
		return complain(s, path, round, "opening", daxkv_errmsg());
	rc = ledger_last(txn, &last);
	daxkv_txn_abort(txn);
	if (rc)
		return complain(s, path, round, "reading", daxkv_strerror(rc));
	tally->recovered += info.recovered > 0;
	if (last < (cut ? sh->synced : sh->acked) || last > sh->started) {
		char text[160];

		snprintf(text, sizeof text,
		         "%" PRIu64 ", acknowledged %" PRIu64 ", synced %" PRIu64 ", begun %" PRIu64
		         "%s",
		         last, sh->acked, sh->synced, sh->started, cut ? ", as of the file" : "");
		return complain(s, path, round, "the newest transaction is", text);
	}
	tally->kept += last > sh->acked;
	tally->cuts += last < sh->acked;
	if (last < l->last)
		ledger_start(l, s->seed);
	while (l->last < last)
		ledger_advance(l);
	const char *d = ledger_differs(store, l);

	if (d)
		return complain(s, path, round, "after the kill", d);
	rc = daxkv_close(store);
	if (rc)
		return complain(s, path, round, "closing", daxkv_strerror(rc));
	if (cut || options.flags == 0)
		sh->synced = last;
	return true;
}

static void wait_us(long us)
{
	nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

/* round_wait - until it is time to kill: some writers have just begun, maybe in recovery; the
 * others have got something acknowledged, however slow the medium is. */
static void round_wait(const struct shared *sh, uint64_t last, uint64_t salt)
{
	if (salt % 4 == 0) {
		wait_us((long)((salt >> 8) % 1500));
		return;
	}
	for (unsigned int i = 0; i < 10000 && sh->acked == last && !sh->error[0]; i++)
		wait_us(200);
	wait_us((long)((salt >> 8) % 20000));
}

static bool round_run(const struct settings *s, const char *path, struct shared *sh,
                      struct ledger *l, uint64_t round, struct tally *tally)
{
	const uint64_t salt = rng_mix(s->seed * 977 + round);
	int status = 0;

	sh->started = sh->acked = l->last;
	sh->opens = 0;
	pid_t pid = fork();

	if (pid < 0) {
		perror("fork");
		return false;
	}
	if (pid == 0)
		writer_run(s, path, sh, salt >> 4);
	round_wait(sh, l->last, salt);
	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		return complain(s, path, round, "the writer ended by itself",
		                sh->error[0] ? sh->error : "no message");
	tally->kills++;
	tally->opens += sh->opens;
	const bool cut = s->lazy && salt % 3 == 0;
	char lock[460];

	snprintf(lock, sizeof lock, "%s-lock", path);
	if (cut)
		(void)unlink(lock);
	return verify(s, path, sh, cut, l, round, tally);
}

static int storm(const struct settings *s)
{
	char dir[400], path[440], lock[460];
	struct tally tally = {0};
	struct ledger l;
	struct shared *sh =
	    mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	snprintf(dir, sizeof dir, "%s/daxkv-storm-XXXXXX", s->dir);
	if (sh == MAP_FAILED || !mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	snprintf(path, sizeof path, "%s/store", dir);
	snprintf(lock, sizeof lock, "%s/store-lock", dir);
	ledger_start(&l, s->seed);
	for (uint64_t round = 1; round <= s->rounds; round++)
		if (!round_run(s, path, sh, &l, round, &tally))
			return 1;
	printf("--pmem %s in %s, seed %" PRIu64 ": %" PRIu64 " kills, %" PRIu64
	       " transactions acknowledged or kept, %" PRIu64 " on their way were kept, %" PRIu64
	       " openings by writers, %" PRIu64 " stores had records to replay, %" PRIu64
	       " files were older than their lazy commits; nothing lost, nothing half\n",
	       s->medium, s->dir, s->seed, tally.kills, l.last, tally.kept, tally.opens,
	       tally.recovered, tally.cuts);
	(void)unlink(path);
	(void)unlink(lock);
	(void)rmdir(dir);
	if (l.last < s->rounds / 2 || (s->rounds >= 20 && tally.recovered == 0) ||
	    (s->rounds >= 100 && s->lazy && tally.cuts == 0)) {
		printf(
		    "FAIL: the writers got too little done between the kills to show anything\n");
		return 1;
	}
	return 0;
}

/* ---- for who cuts the power ------------------------------------------------------------------ */

static int write_on(const struct settings *s, const char *path)
{
	static struct shared sh;
	struct rng rng;
	uint64_t last;
	struct daxkv_store *store = writer_open(s, path, &sh, &last);

	rng_seed(&rng, s->seed);
	for (uint64_t n = 0; !s->limit || n < s->limit; n++) {
		bool durable;
		int rc = write_next(store, s, &rng, last + 1, NULL, &durable);

		if (rc) {
			fprintf(stderr, "storm: transaction %" PRIu64 ": %s\n", last + 1,
			        daxkv_errmsg());
			return 1;
		}
		last++;
		if (durable)
			printf("ACK %" PRIu64 "\n", last);
		fflush(stdout);
	}
	return daxkv_close(store) ? 1 : 0;
}

static int verify_one(const struct settings *s, const char *path, uint64_t acked)
{
	struct daxkv_options options = s->options;
	struct daxkv_info info;
	struct daxkv_txn *txn;
	struct daxkv_store *store;
	struct ledger l;
	uint64_t last = 0;
	int rc = daxkv_open(path, &options, &store);

	if (!rc)
		rc = daxkv_info(store, &info);
	if (!rc)
		rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);
	if (!rc) {
		rc = ledger_last(txn, &last);
		daxkv_txn_abort(txn);
	}
	if (rc) {
		printf("FAIL: %s: %s\n", path, daxkv_errmsg());
		return 1;
	}
	ledger_start(&l, s->seed);
	while (l.last < last)
		ledger_advance(&l);
	const char *d =
	    last < acked ? "an acknowledged transaction is missing" : ledger_differs(store, &l);

	printf("%s: acknowledged %" PRIu64 ", there %" PRIu64 ", %" PRIu64
	       " records replayed: %s\n",
	       d ? "FAIL" : "good", acked, last, info.recovered, d ? d : "whole");
	rc = daxkv_close(store);
	return d || rc ? 1 : 0;
}

static int usage(void)
{
	fprintf(stderr,
	        "usage: storm [--rounds N] [--dir DIR] [--pmem auto|dax|file|force] [--seed S]\n"
	        "             [--lazy PERCENT]\n"
	        "       storm write STORE [--pmem MODE] [--seed S] [--limit N] [--lazy PERCENT]\n"
	        "       storm verify STORE ACKED [--pmem MODE] [--seed S]\n");
	return 2;
}

static bool medium_set(struct settings *s, const char *word)
{
	static const char *const words[] = {[DAXKV_PMEM_AUTO] = "auto",
	                                    [DAXKV_PMEM_DAX] = "dax",
	                                    [DAXKV_PMEM_FILE] = "file",
	                                    [DAXKV_PMEM_FORCE] = "force"};

	for (unsigned int i = 0; i < 4; i++)
		if (strcmp(word, words[i]) == 0) {
			s->options.pmem = (enum daxkv_pmem)i;
			s->medium = words[i];
			return true;
		}
	return false;
}

int main(int argc, char **argv)
{
	struct settings s = {.dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
	                     .medium = "auto",
	                     .rounds = 100,
	                     .seed = 1};
	const char *operand[3] = {NULL, NULL, NULL};
	unsigned int operands = 0;

	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strncmp(argv[i], "--", 2) != 0 && operands < 3) {
			operand[operands++] = argv[i];
			continue;
		}
		if (!value)
			return usage();
		if (strcmp(argv[i], "--dir") == 0)
			s.dir = value;
		else if (strcmp(argv[i], "--rounds") == 0)
			s.rounds = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0)
			s.seed = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--lazy") == 0)
			s.lazy = (unsigned int)strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "--limit") == 0)
			s.limit = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--pmem") != 0 || !medium_set(&s, value))
			return usage();
		i++;
	}
	if (operands == 0)
		return storm(&s);
	if (operands == 2 && strcmp(operand[0], "write") == 0)
		return write_on(&s, operand[1]);
	if (operands == 3 && strcmp(operand[0], "verify") == 0)
		return verify_one(&s, operand[1], strtoull(operand[2], NULL, 10));
	return usage();
}
