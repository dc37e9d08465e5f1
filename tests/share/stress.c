/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stress.c - many processes on one store: writers that move money between accounts, readers that count it, processes that come and go, kills.
 *
 *   stress [--dir D] [--seconds N] [--writers N] [--readers N] [--kills N] [--pmem force|file] [--seed N] [--namespaces] [--opens N]
 *
 * The store has ACCOUNTS accounts in the main database whose sum every transaction keeps, a log with one record for each transfer of each writer (its
 * number and sequence), and values of changing size, so that leaves split, merge and are rewritten. A writer acknowledges a transfer outside the store, in memory shared with
 * the parent, after commit returned. Readers check in every snapshot that the sum is right, and, holding it a while, that nothing in it moves. With kills, the parent kills a
 * child at random every now and then, starts another in its place, and looks at the end that every acknowledged transfer is in the log, that the checker is silent,
 * and that no reader slot is left over. With --namespaces every child lives in a PID namespace of its own, where its number is 1 (root only). With --opens that many
 * processes create the same store at once, and nothing else is done. Ends with one line, and exit status 0 when nothing went wrong.
 */
#include "daxkv.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ACCOUNTS 500u
#define START 1000
#define MAX_CHILDREN 32
#define THREADS 2

struct board { /* shared by all processes, outside the store */
	volatile uint64_t acknowledged[MAX_CHILDREN]; /* transfers of writer i */
	volatile uint64_t snapshots, opens, failures, stop;
};

static struct {
	char path[512];
	unsigned int seconds, writers, readers, kills, seed, namespaces, opens;
	enum daxkv_pmem pmem;
	struct board *board;
} run = {.seconds = 5, .writers = 1, .readers = 4, .pmem = DAXKV_PMEM_FORCE, .seed = 1};

static uint64_t rng_next(uint64_t *state)
{
	uint64_t x = *state += 0x9E3779B97F4A7C15u;

	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
	x = (x ^ x >> 27) * 0x94D049BB133111EBu;
	return x ^ x >> 31;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int failed(const char *what, int rc)
{
	fprintf(stderr, "stress: process %d: %s: %s (%s)\n", (int)getpid(), what, daxkv_strerror(rc), daxkv_errmsg());
	__atomic_fetch_add(&run.board->failures, 1, __ATOMIC_SEQ_CST);
	return 1;
}

static int open_store(struct daxkv **kv)
{
	struct daxkv_options o = {.flags = DAXKV_CREATE, .pmem = run.pmem};

	return daxkv_open(run.path, &o, kv);
}

struct account {
	int64_t balance;
	uint8_t filler[200]; /* part of it is stored */
};

static struct daxkv_val account_key(unsigned int i, char *buf, size_t size)
{
	return (struct daxkv_val){(size_t)snprintf(buf, size, "account-%06u", i), buf};
}

static int account_get(struct daxkv_txn *txn, unsigned int i, int64_t *balance)
{
	char buf[32];
	struct daxkv_val key = account_key(i, buf, sizeof buf), value;
	int rc = daxkv_get(txn, DAXKV_MAIN, &key, &value);

	if (!rc)
		memcpy(balance, value.data, sizeof *balance);
	return rc;
}

static int account_put(struct daxkv_txn *txn, unsigned int i, int64_t balance, uint64_t *rng)
{
	char buf[32];
	struct account a = {.balance = balance};
	struct daxkv_val key = account_key(i, buf, sizeof buf), value = {sizeof a.balance + rng_next(rng) % sizeof a.filler, &a};

	memset(a.filler, (int)i, sizeof a.filler);
	return daxkv_put(txn, DAXKV_MAIN, &key, &value, 0);
}

/* ---- writers -------------------------------------------------------------------------------------------------------------- */

static int transfer(struct daxkv_txn *txn, unsigned int id, uint64_t sequence, uint64_t *rng)
{
	unsigned int from = (unsigned int)(rng_next(rng) % ACCOUNTS), to = (unsigned int)(rng_next(rng) % ACCOUNTS);
	int64_t a, b, amount = (int64_t)(rng_next(rng) % 10);
	char name[64];
	struct daxkv_val key = {(size_t)snprintf(name, sizeof name, "log-%02u-%010lu", id, (unsigned long)sequence), name}, value = {sizeof amount, &amount};
	int rc = account_get(txn, from, &a);

	if (!rc)
		rc = account_put(txn, from, a - amount, rng);
	if (!rc)
		rc = account_get(txn, to, &b);
	if (!rc)
		rc = account_put(txn, to, b + amount, rng);
	return rc ? rc : daxkv_put(txn, DAXKV_MAIN, &key, &value, 0);
}

/* last_sequence - of a writer's log: one that takes over from a killed one goes on behind it. */
static int last_sequence(struct daxkv *kv, unsigned int id, uint64_t *sequence)
{
	char name[64];
	struct daxkv_val key = {(size_t)snprintf(name, sizeof name, "log-%02u-~", id), name};
	struct daxkv_txn *txn;
	struct daxkv_cursor *c;
	int rc = daxkv_begin(kv, NULL, DAXKV_TXN_RDONLY, &txn);

	*sequence = 0;
	if (rc)
		return rc;
	rc = daxkv_cursor_open(txn, DAXKV_MAIN, &c);
	if (!rc) {
		rc = daxkv_cursor_get(c, &key, NULL, DAXKV_SEEK_LE);
		if (!rc && key.size == 17 && memcmp(key.data, name, 7) == 0) {
			char digits[11] = {0};

			memcpy(digits, (char *)key.data + 7, 10);
			*sequence = strtoull(digits, NULL, 10);
		}
		daxkv_cursor_close(c);
	}
	daxkv_abort(txn);
	return rc == DAXKV_NOTFOUND ? 0 : rc;
}

static int writer(unsigned int id)
{
	uint64_t rng = run.seed * 1000 + id + (uint64_t)getpid(), sequence;
	struct daxkv *kv;
	int rc = open_store(&kv);

	if (rc)
		return failed("open for writing", rc);
	rc = last_sequence(kv, id, &sequence);
	while (!rc && !run.board->stop) {
		struct daxkv_txn *txn;

		rc = daxkv_begin(kv, NULL, 0, &txn);
		if (rc)
			break;
		rc = transfer(txn, id, sequence + 1, &rng);
		if (rc || rng_next(&rng) % 8 == 0) {
			daxkv_abort(txn);
			continue;
		}
		rc = daxkv_commit(txn);
		if (!rc)
			run.board->acknowledged[id] = ++sequence;
	}
	if (rc)
		return failed("writing", rc);
	rc = daxkv_close(kv);
	return rc ? failed("close", rc) : 0;
}

/* ---- readers -------------------------------------------------------------------------------------------------------------- */

static int count_money(struct daxkv_txn *txn, int64_t *sum, uint64_t *hash)
{
	struct daxkv_cursor *c;
	struct daxkv_val key = {8, (void *)(uintptr_t)"account-"}, value;
	int rc = daxkv_cursor_open(txn, DAXKV_MAIN, &c);
	unsigned int n = 0;

	*sum = 0;
	*hash = 0;
	if (rc)
		return rc;
	for (rc = daxkv_cursor_get(c, &key, &value, DAXKV_SEEK_GE); !rc && key.size == 14; rc = daxkv_cursor_get(c, &key, &value, DAXKV_NEXT)) {
		int64_t balance;

		memcpy(&balance, value.data, sizeof balance);
		*sum += balance;
		*hash = *hash * 31 + (uint64_t)balance + value.size;
		n++;
	}
	daxkv_cursor_close(c);
	if (rc && rc != DAXKV_NOTFOUND)
		return rc;
	return n == ACCOUNTS ? 0 : DAXKV_CORRUPT;
}

static int look(struct daxkv *kv, uint64_t *rng)
{
	struct daxkv_txn *txn;
	int64_t sum = 0, again;
	uint64_t hash, hash_again;
	int rc = daxkv_begin(kv, NULL, DAXKV_TXN_RDONLY, &txn);

	if (rc)
		return rc;
	rc = count_money(txn, &sum, &hash);
	for (uint64_t i = rng_next(rng) % 4; i > 0 && !rc; i--) { /* hold it */
		usleep((useconds_t)(rng_next(rng) % 2000));
		rc = count_money(txn, &again, &hash_again);
		if (!rc && (again != sum || hash_again != hash)) {
			fprintf(stderr, "stress: snapshot %lu moved\n", (unsigned long)daxkv_txn_id(txn));
			rc = DAXKV_CORRUPT;
		}
	}
	if (!rc && sum != (int64_t)ACCOUNTS * START) {
		fprintf(stderr, "stress: snapshot %lu has %ld instead of %ld\n", (unsigned long)daxkv_txn_id(txn), (long)sum, (long)ACCOUNTS * START);
		rc = DAXKV_CORRUPT;
	}
	daxkv_abort(txn);
	__atomic_fetch_add(&run.board->snapshots, 1, __ATOMIC_RELAXED);
	return rc;
}

static void *reader_thread(void *arg)
{
	uint64_t rng = run.seed + (uint64_t)getpid() * 7 + (uint64_t)(uintptr_t)&rng;

	while (!run.board->stop) {
		int rc = look(arg, &rng);

		if (rc) {
			failed("reading", rc);
			return (void *)1;
		}
	}
	return NULL;
}

static int reader(unsigned int id)
{
	pthread_t thread[THREADS];
	struct daxkv *kv;
	int rc = open_store(&kv);
	uintptr_t bad = 0;

	if (rc)
		return failed("open for reading", rc);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, reader_thread, kv);
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(thread[i], &result);
		bad |= (uintptr_t)result;
	}
	rc = daxkv_close(kv);
	(void)id;
	return rc ? failed("close", rc) : (int)bad;
}

/* visitor - opens, looks, closes, over and over. */
static int visitor(unsigned int id)
{
	uint64_t rng = run.seed + id;

	while (!run.board->stop) {
		struct daxkv *kv;
		int rc = open_store(&kv);

		if (!rc) {
			rc = look(kv, &rng);
			int closed = daxkv_close(kv);

			rc = rc ? rc : closed;
		}
		if (rc)
			return failed("coming and going", rc);
		__atomic_fetch_add(&run.board->opens, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

/* ---- the parent ----------------------------------------------------------------------------------------------------------- */

static int child_run(unsigned int id)
{
	return id < run.writers ? writer(id) : id < run.writers + run.readers ? reader(id) : visitor(id);
}

/* namespace_run - in a child of this one, number 1 of a new PID namespace; it is killed when this one is. */
static int namespace_run(unsigned int id)
{
	int status;

	if (unshare(CLONE_NEWPID) != 0)
		return failed("a PID namespace", errno);
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getpid() == 1 ? child_run(id) : 1);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static pid_t start(unsigned int id)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(run.namespaces ? namespace_run(id) : child_run(id));
	return pid;
}

/* open_together - processes that create one store at the same moment all get it, and each leaves a record. */
static int open_together(void)
{
	int bad = 0, status;

	for (unsigned int i = 0; i < run.opens; i++)
		if (fork() == 0) {
			struct daxkv *kv;
			struct daxkv_txn *txn;
			uint64_t rng = i;

			while (!run.board->stop)
				sched_yield();
			int rc = open_store(&kv);

			if (!rc)
				rc = daxkv_begin(kv, NULL, 0, &txn);
			if (!rc)
				rc = account_put(txn, i, START, &rng);
			if (!rc)
				rc = daxkv_commit(txn);
			if (!rc)
				rc = daxkv_close(kv);
			_exit(rc ? failed("creating together", rc) : 0);
		}
	run.board->stop = 1;
	for (unsigned int i = 0; i < run.opens; i++)
		bad |= wait(&status) < 0 || status != 0;
	struct daxkv *kv;
	struct daxkv_txn *txn;
	struct daxkv_stat stat;
	int rc = bad ? 0 : open_store(&kv);

	if (bad || rc)
		return failed("creating together", rc);
	rc = daxkv_begin(kv, NULL, DAXKV_TXN_RDONLY, &txn);
	if (!rc) {
		rc = daxkv_db_stat(txn, DAXKV_MAIN, &stat);
		daxkv_abort(txn);
	}
	if (rc || stat.entries != run.opens || daxkv_check(kv, NULL, NULL, NULL))
		return failed("what was created together", rc);
	printf("stress: %u processes created one store at once: no fault\n", run.opens);
	return daxkv_close(kv) ? 1 : 0;
}

static int fill(void)
{
	struct daxkv *kv;
	struct daxkv_txn *txn;
	uint64_t rng = run.seed;
	int rc = open_store(&kv);

	if (rc)
		return rc;
	rc = daxkv_begin(kv, NULL, 0, &txn);
	for (unsigned int i = 0; i < ACCOUNTS && !rc; i++)
		rc = account_put(txn, i, START, &rng);
	if (!rc)
		rc = daxkv_commit(txn);
	int closed = daxkv_close(kv);

	return rc ? rc : closed;
}

static void print_fault(const char *fault, void *arg)
{
	(void)arg;
	fprintf(stderr, "stress: check: %s\n", fault);
}

/* verify - the store is whole, everything acknowledged is there, no reader slot is left over. */
static int verify(unsigned int rounds_total)
{
	struct daxkv *kv;
	struct daxkv_txn *txn;
	struct daxkv_info info;
	uint64_t transfers = 0, hash, faults;
	int64_t sum;
	int rc = open_store(&kv);

	if (rc)
		return failed("open to verify", rc);
	rc = daxkv_check(kv, print_fault, NULL, &faults);
	if (rc)
		return failed("check", rc);
	if (daxkv_info(kv, &info) || info.readers)
		return failed("readers left over", (int)info.readers);
	rc = daxkv_begin(kv, NULL, DAXKV_TXN_RDONLY, &txn);
	if (!rc)
		rc = count_money(txn, &sum, &hash);
	if (rc || sum != (int64_t)ACCOUNTS * START)
		return failed("money at the end", rc);
	daxkv_abort(txn);
	for (unsigned int id = 0; id < run.writers; id++) {
		uint64_t sequence;

		rc = last_sequence(kv, id, &sequence);
		/* The log may be one ahead: committed, and killed before the acknowledgement. */
		if (rc || sequence < run.board->acknowledged[id])
			return failed("an acknowledged transfer is lost", rc);
		transfers += sequence;
	}
	rc = daxkv_close(kv);
	if (rc)
		return failed("close", rc);
	printf("stress: %lu transfers by %u writers, %lu snapshots by %u readers, %lu visits, %u kills: no fault\n", (unsigned long)transfers, run.writers,
	       (unsigned long)run.board->snapshots, run.readers, (unsigned long)run.board->opens, rounds_total);
	return 0;
}

/* reap - a child ended: 1 when it found something wrong. */
static int reap(pid_t *child, unsigned int n, bool restart)
{
	int status, bad = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned int i = 0; i < n; i++)
			if (child[i] == pid) {
				bad |= WIFEXITED(status) ? WEXITSTATUS(status) != 0 : WTERMSIG(status) != SIGKILL;
				child[i] = restart && !bad ? start(i) : 0;
			}
	return bad;
}

/* stop_all - tell the children to end, and wait; one that hangs is a fault. */
static int stop_all(pid_t *child, unsigned int n)
{
	double give_up = now() + 20;
	int bad = 0;

	run.board->stop = 1;
	for (unsigned int i = 0; i < n; i++)
		while (child[i]) {
			bad |= reap(child, n, false);
			if (now() > give_up) {
				fprintf(stderr, "stress: process %d (child %u) hangs\n", (int)child[i], i);
				kill(child[i], SIGKILL);
				return 1;
			}
			usleep(1000);
		}
	return bad;
}

static int storm(void)
{
	pid_t child[MAX_CHILDREN] = {0};
	unsigned int n = run.writers + run.readers + 1, killed = 0;
	uint64_t rng = run.seed;
	double end = now() + run.seconds, each = run.kills ? (double)run.seconds / run.kills : 0, next = now() + each;
	int bad = 0;

	for (unsigned int i = 0; i < n; i++)
		child[i] = start(i);
	while (now() < end && !bad && !run.board->failures) {
		usleep(1000);
		bad = reap(child, n, true);
		if (run.kills && now() >= next && killed < run.kills) {
			unsigned int who = (unsigned int)(rng_next(&rng) % n);

			next += each;
			if (child[who]) {
				kill(child[who], SIGKILL);
				killed++;
			}
		}
	}
	bad |= stop_all(child, n);
	return bad || run.board->failures ? 1 : verify(killed);
}

static int usage(void)
{
	fprintf(stderr, "usage: stress [--dir D] [--seconds N] [--writers N] [--readers N] [--kills N] [--pmem force|file] [--seed N] [--namespaces] [--opens N]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"dir", 1, NULL, 'd'},   {"seconds", 1, NULL, 's'}, {"writers", 1, NULL, 'w'}, {"readers", 1, NULL, 'r'},
	                                        {"kills", 1, NULL, 'k'}, {"pmem", 1, NULL, 'p'},    {"seed", 1, NULL, 'S'},    {"namespaces", 0, NULL, 'n'},
	                                        {"opens", 1, NULL, 'o'}, {0}};
	const char *dir = "/dev/shm";
	char name[600];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned int value = optarg ? (unsigned int)strtoul(optarg, NULL, 10) : 0;

		if (c == 'd')
			dir = optarg;
		else if (c == 's')
			run.seconds = value;
		else if (c == 'w')
			run.writers = value;
		else if (c == 'r')
			run.readers = value;
		else if (c == 'k')
			run.kills = value;
		else if (c == 'S')
			run.seed = value;
		else if (c == 'n')
			run.namespaces = 1;
		else if (c == 'o')
			run.opens = value;
		else if (c == 'p')
			run.pmem = strcmp(optarg, "file") == 0 ? DAXKV_PMEM_FILE : DAXKV_PMEM_FORCE;
		else
			return usage();
	}
	if (run.writers + run.readers + 1 > MAX_CHILDREN || optind != argc)
		return usage();
	snprintf(run.path, sizeof run.path, "%s/stress-%d.daxkv", dir, (int)getpid());
	run.board = mmap(NULL, sizeof *run.board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.board == MAP_FAILED)
		return 1;
	int rc = run.opens ? 0 : fill();

	rc = rc ? failed("filling the store", rc) : run.opens ? open_together() : storm();
	if (rc) {
		printf("stress: FAILED; the store is kept: %s\n", run.path);
		return 1;
	}
	unlink(run.path);
	snprintf(name, sizeof name, "%s-lock", run.path);
	unlink(name);
	return 0;
}
