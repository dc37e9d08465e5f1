/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stress.c - many processes on one store: writers that move money between accounts, readers that
 * count it, processes that come and go, kills.
 *
 *   stress [--dir D] [--seconds N] [--writers N] [--readers N] [--kills N] [--pmem force|file]
 *     [--seed N] [--namespaces] [--resident] [--lazy PERCENT]
 *
 * The store has ACCOUNTS accounts in the main database whose sum every transaction keeps, a log
 * with one entry for each of the last transfers of each writer (its number and sequence), and
 * values of changing size, so that leaves split, merge and are rewritten. A writer acknowledges a
 * transfer outside the store, in memory shared with the parent, after commit returned. Readers
 * check in every snapshot that the sum is right, and, holding it a while, that nothing in it moves.
 * With kills, the parent kills a child at random every now and then, and each time, with the others
 * there, lets the checker look and compares the logs with what was acknowledged; then it starts
 * another in its place. No child may be kept waiting for longer than a second, or than a process
 * that touches no store was. With --resident the parent has the store open all the time, and finds
 * at the end that no reader's place is taken and that the file does not grow for want of pages.
 * With --lazy so many transfers wait for a sync, which a writer makes now and then; the death of
 * processes loses none of them. With --namespaces every child lives in a PID namespace of its own,
 * where its number is 1 (root only). Ends with one line, and exit status 0 when nothing went wrong.
 */
#include "daxkv.h"

#include "account.h"
#include "clock.h"
#include "rng.h"

#include <errno.h>
#include <fcntl.h>
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

#define ACCOUNTS     500u
#define START        1000
#define MAX_CHILDREN 32
#define THREADS      2
#define LOG_KEPT     100u /* entries of each writer's log */
#define GIVE_UP      120  /* seconds: what has not come by then does not come */
#define STALL_MAX    1.0  /* seconds, on a machine that lets everybody run */
#define STALL_LOAD                                                                                 \
	4 /* who waits may wait for several in turn, each kept from running as the control was */
#define CONTROL (MAX_CHILDREN - 1)

struct board { /* shared by all processes, outside the store */
	volatile uint64_t acknowledged[MAX_CHILDREN]; /* transfers of writer i */
	volatile uint64_t snapshots, opens, failures, stop, pause;
	volatile uint64_t steps[MAX_CHILDREN]; /* how often child i got something done */
	volatile double stall[MAX_CHILDREN]; /* seconds: the longest that child i was kept waiting;
	                                        CONTROL: one that touches no store */
};

static struct {
	char path[512];
	unsigned int seconds, writers, readers, kills, seed, namespaces, resident, lazy;
	enum daxkv_pmem pmem;
	struct board *board;
} run = {.seconds = 5, .writers = 1, .readers = 4, .pmem = DAXKV_PMEM_FORCE, .seed = 1};

/* went_on - child id has got something done since then, a while ago. */
static void went_on(unsigned int id, double *since)
{
	double t = now();

	if (t - *since > run.board->stall[id])
		run.board->stall[id] = t - *since;
	*since = t;
	run.board->steps[id]++;
}

static int failed(const char *what, int rc)
{
	fprintf(stderr, "stress: process %d: %s: %s (%s)\n", (int)getpid(), what,
	        daxkv_strerror(rc), daxkv_errmsg());
	__atomic_fetch_add(&run.board->failures, 1, __ATOMIC_SEQ_CST);
	return 1;
}

static int open_store(struct daxkv_store **store)
{
	struct daxkv_options o = {.flags = DAXKV_CREATE, .pmem = run.pmem};

	return daxkv_open(run.path, &o, store);
}

/* ---- writers --------------------------------------------------------------------------------- */

static int transfer(struct daxkv_txn *txn, unsigned int id, uint64_t sequence, struct rng *rng)
{
	unsigned int from = (unsigned int)(rng_next(rng) % ACCOUNTS),
	             to = (unsigned int)(rng_next(rng) % ACCOUNTS);
	int64_t a, b, amount = (int64_t)(rng_next(rng) % 10);
	char name[64];
	struct daxkv_val key = {(size_t)snprintf(name, sizeof name, "log-%02u-%010lu", id,
	                                         (unsigned long)sequence),
	                        name},
	                 value = {sizeof amount, &amount};
	int rc = account_get(txn, from, &a);

	if (!rc)
		rc = account_put(txn, from, a - amount, rng);
	if (!rc)
		rc = account_get(txn, to, &b);
	if (!rc)
		rc = account_put(txn, to, b + amount, rng);
	if (!rc)
		rc = daxkv_put(txn, DAXKV_MAIN, &key, &value, 0);
	if (rc || sequence <= LOG_KEPT)
		return rc;
	key.size = (size_t)snprintf(name, sizeof name, "log-%02u-%010lu", id,
	                            (unsigned long)(sequence - LOG_KEPT));
	rc = daxkv_del(txn, DAXKV_MAIN, &key, NULL);
	return rc == DAXKV_NOT_FOUND ? 0 : rc;
}

/* last_sequence - of a writer's log: one that takes over from a killed one goes on behind it. */
static int last_sequence(struct daxkv_store *store, unsigned int id, uint64_t *sequence)
{
	char name[64];
	struct daxkv_val key = {(size_t)snprintf(name, sizeof name, "log-%02u-~", id), name};
	struct daxkv_txn *txn;
	struct daxkv_cursor *c;
	int rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

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
	daxkv_txn_abort(txn);
	return rc == DAXKV_NOT_FOUND ? 0 : rc;
}

static int writer(unsigned int id)
{
	struct rng rng = {.state = run.seed * 1000 + id + (uint64_t)getpid()};
	uint64_t sequence;
	struct daxkv_store *store;
	int rc = open_store(&store);

	if (rc)
		return failed("open for writing", rc);
	rc = last_sequence(store, id, &sequence);
	double since = now();

	while (!rc && !run.board->stop) {
		struct daxkv_txn *txn;

		while (run.board->pause && !run.board->stop) {
			usleep(200);
			since = now();
		}
		const bool lazy = rng_percent(&rng, run.lazy);

		rc = daxkv_txn_begin(store, NULL, lazy ? DAXKV_TXN_LAZY : 0, &txn);
		if (rc)
			break;
		rc = transfer(txn, id, sequence + 1, &rng);
		if (rc || rng_next(&rng) % 8 == 0) {
			daxkv_txn_abort(txn);
			continue;
		}
		rc = daxkv_txn_commit(txn);
		if (!rc)
			run.board->acknowledged[id] = ++sequence;
		if (!rc && lazy && rng_percent(&rng, 3))
			rc = daxkv_sync(store);
		went_on(id, &since);
	}
	if (rc)
		return failed("writing", rc);
	rc = daxkv_close(store);
	return rc ? failed("close", rc) : 0;
}

/* ---- readers --------------------------------------------------------------------------------- */

static int count_money(struct daxkv_txn *txn, int64_t *sum, uint64_t *hash)
{
	struct daxkv_cursor *c;
	struct daxkv_val key = {8, (void *)(uintptr_t) "account-"}, value;
	int rc = daxkv_cursor_open(txn, DAXKV_MAIN, &c);
	unsigned int n = 0;

	*sum = 0;
	*hash = 0;
	if (rc)
		return rc;
	for (rc = daxkv_cursor_get(c, &key, &value, DAXKV_SEEK_GE); !rc && key.size == 14;
	     rc = daxkv_cursor_get(c, &key, &value, DAXKV_NEXT)) {
		int64_t balance;

		memcpy(&balance, value.data, sizeof balance);
		*sum += balance;
		*hash = *hash * 31 + (uint64_t)balance + value.size;
		n++;
	}
	daxkv_cursor_close(c);
	if (rc && rc != DAXKV_NOT_FOUND)
		return rc;
	return n == ACCOUNTS ? 0 : DAXKV_CORRUPT;
}

static int look(struct daxkv_store *store, struct rng *rng)
{
	struct daxkv_txn *txn;
	int64_t sum = 0, again;
	uint64_t hash, hash_again;
	int rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (rc)
		return rc;
	rc = count_money(txn, &sum, &hash);
	for (uint64_t i = rng_next(rng) % 4; i > 0 && !rc; i--) { /* hold it */
		usleep((useconds_t)(rng_next(rng) % 2000));
		rc = count_money(txn, &again, &hash_again);
		if (!rc && (again != sum || hash_again != hash)) {
			fprintf(stderr, "stress: snapshot %lu moved\n",
			        (unsigned long)daxkv_txn_id(txn));
			rc = DAXKV_CORRUPT;
		}
	}
	if (!rc && sum != (int64_t)ACCOUNTS * START) {
		fprintf(stderr, "stress: snapshot %lu has %ld instead of %ld\n",
		        (unsigned long)daxkv_txn_id(txn), (long)sum, (long)ACCOUNTS * START);
		rc = DAXKV_CORRUPT;
	}
	daxkv_txn_abort(txn);
	__atomic_fetch_add(&run.board->snapshots, 1, __ATOMIC_RELAXED);
	return rc;
}

static struct {
	struct daxkv_store *store;
	unsigned int id;
} reading; /* in a reader's process */

static void *reader_thread(void *arg)
{
	struct rng rng = {.state = run.seed + (uint64_t)getpid() * 7 + (uint64_t)(uintptr_t)&rng};
	double since = now();

	(void)arg;
	while (!run.board->stop) {
		int rc = look(reading.store, &rng);

		went_on(reading.id, &since);
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
	struct daxkv_store *store;
	int rc = open_store(&store);
	uintptr_t bad = 0;

	if (rc)
		return failed("open for reading", rc);
	reading.store = store;
	reading.id = id;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, reader_thread, NULL);
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(thread[i], &result);
		bad |= (uintptr_t)result;
	}
	rc = daxkv_close(store);
	return rc ? failed("close", rc) : (int)bad;
}

/* visitor - opens, looks, closes, over and over. */
static int visitor(unsigned int id)
{
	struct rng rng = {.state = run.seed + id};
	double since = now();

	while (!run.board->stop) {
		struct daxkv_store *store;
		int rc = open_store(&store);

		if (!rc) {
			rc = look(store, &rng);
			int closed = daxkv_close(store);

			rc = rc ? rc : closed;
		}
		if (rc)
			return failed("coming and going", rc);
		went_on(id, &since);
		__atomic_fetch_add(&run.board->opens, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

/* control - what the machine alone does to a process that computes, sleeps and, in file mode, syncs
 * a file. Nobody kills it. */
static int control(void)
{
	char name[600];
	double since = now();

	snprintf(name, sizeof name, "%s-control", run.path);
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	while (!run.board->stop) {
		for (clock_t end = clock() + CLOCKS_PER_SEC / 1000; clock() < end;)
			; /* a millisecond of work */
		usleep(1000);
		if (run.pmem == DAXKV_PMEM_FILE &&
		    (pwrite(fd, &since, sizeof since, 0) < 0 || fdatasync(fd) != 0))
			return failed("the control's file", errno);
		went_on(CONTROL, &since);
	}
	unlink(name);
	return 0;
}

/* ---- the parent ------------------------------------------------------------------------------ */

static int child_run(unsigned int id)
{
	return id == CONTROL                    ? control()
	       : id < run.writers               ? writer(id)
	       : id < run.writers + run.readers ? reader(id)
	                                        : visitor(id);
}

/* namespace_run - in a child of this one, number 1 of a new PID namespace; it is killed when this
 * one is. */
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

static int fill(void)
{
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	struct rng rng = {.state = run.seed};
	int rc = open_store(&store);

	if (rc)
		return rc;
	rc = daxkv_txn_begin(store, NULL, 0, &txn);
	for (unsigned int i = 0; i < ACCOUNTS && !rc; i++)
		rc = account_put(txn, i, START, &rng);
	if (!rc)
		rc = daxkv_txn_commit(txn);
	int closed = daxkv_close(store);

	return rc ? rc : closed;
}

static void print_fault(const char *fault, void *arg)
{
	(void)arg;
	fprintf(stderr, "stress: check: %s\n", fault);
}

/* acknowledged_there - what every writer had acknowledged before this call is there. */
static int acknowledged_there(struct daxkv_store *store)
{
	for (unsigned int id = 0; id < run.writers; id++) {
		uint64_t sequence, acknowledged = run.board->acknowledged[id];
		int rc = last_sequence(store, id, &sequence);

		/* The log may be ahead: committed, and not acknowledged yet. */
		if (rc || sequence < acknowledged)
			return failed("an acknowledged transfer is lost", rc);
	}
	return 0;
}

/* look_over - after a kill, with the others there: writers rest until the checker has looked. */
static int look_over(struct daxkv_store *resident)
{
	struct daxkv_store *store = resident;
	int rc = resident ? 0 : open_store(&store);
	double give_up = now() + GIVE_UP;

	if (rc)
		return failed("open after a kill", rc);
	int bad = acknowledged_there(store);

	run.board->pause = 1;
	while ((rc = daxkv_check(store, print_fault, NULL, NULL)) == DAXKV_BUSY && now() < give_up)
		usleep(100);
	run.board->pause = 0;
	if (rc)
		bad = failed("check after a kill", rc);
	rc = resident ? 0 : daxkv_close(store);
	return rc ? failed("close after a kill", rc) : bad;
}

static void count_place(const struct daxkv_reader *reader, void *arg)
{
	*(unsigned int *)arg += !reader->own;
}

/* nothing_lost - by one who was there all the time: no reader's place is taken, no pages are held
 * back for good. */
static int nothing_lost(struct daxkv_store *store)
{
	struct daxkv_info info;
	struct daxkv_txn *txn;
	unsigned int places = 0;
	struct rng rng = {.state = 1};
	uint64_t size;
	int rc = daxkv_info(store, &info);

	(void)daxkv_readers_reap(store);
	daxkv_readers_list(store, count_place, &places);
	if (rc || places)
		return failed("reader places are lost", (int)places);
	size = info.file_size;
	for (unsigned int i = 0; i < 3000 && !rc; i++) {
		rc = daxkv_txn_begin(store, NULL, 0, &txn);
		for (unsigned int k = 0; k < 20 && !rc; k++) {
			int64_t balance;

			rc = account_get(txn, (i * 20 + k) % ACCOUNTS, &balance);
			if (!rc)
				rc = account_put(txn, (i * 20 + k) % ACCOUNTS, balance, &rng);
		}
		if (!rc)
			rc = daxkv_txn_commit(txn);
	}
	if (!rc)
		rc = daxkv_info(store, &info);
	if (rc || info.file_size > size)
		return failed("pages are lost: the store grows when it need not", rc);
	return 0;
}

/* verify - the store is whole, everything acknowledged is there, no reader entry is left over. */
static int verify(unsigned int rounds_total)
{
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	struct daxkv_info info;
	uint64_t transfers = 0, hash, faults;
	double longest = 0, limit = STALL_MAX + STALL_LOAD * run.board->stall[CONTROL];
	int64_t sum;
	int rc = open_store(&store);

	if (rc)
		return failed("open to verify", rc);
	rc = daxkv_check(store, print_fault, NULL, &faults);
	if (rc)
		return failed("check", rc);
	if (daxkv_info(store, &info) || info.readers)
		return failed("readers left over", (int)info.readers);
	rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);
	if (!rc)
		rc = count_money(txn, &sum, &hash);
	if (rc || sum != (int64_t)ACCOUNTS * START)
		return failed("money at the end", rc);
	daxkv_txn_abort(txn);
	if (acknowledged_there(store))
		return 1;
	for (unsigned int id = 0; id < run.writers; id++)
		transfers += run.board->acknowledged[id];
	for (unsigned int id = 0; id < CONTROL; id++)
		longest = run.board->stall[id] > longest ? run.board->stall[id] : longest;
	rc = daxkv_close(store);
	if (rc)
		return failed("close", rc);
	printf("stress: %lu transfers by %u writers, %lu snapshots by %u readers, %lu visits, %u "
	       "kills, the longest wait %.0f ms (without "
	       "a store %.0f ms): %s\n",
	       (unsigned long)transfers, run.writers, (unsigned long)run.board->snapshots,
	       run.readers, (unsigned long)run.board->opens, rounds_total, longest * 1000,
	       run.board->stall[CONTROL] * 1000,
	       longest > limit ? "somebody was kept waiting for too long" : "no fault");
	return longest > limit;
}

/* reap - a child ended: 1 when it found something wrong. */
static int reap(pid_t *child, unsigned int n, bool restart)
{
	int status, bad = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned int i = 0; i < n; i++)
			if (child[i] == pid) {
				bad |= WIFEXITED(status) ? WEXITSTATUS(status) != 0
				                         : WTERMSIG(status) != SIGKILL;
				child[i] = restart && !bad ? start(i) : 0;
			}
	return bad;
}

/* others_go_on - by themselves, each of the n but the one killed. */
static int others_go_on(const pid_t *child, unsigned int n, unsigned int killed)
{
	double give_up = now() + GIVE_UP;
	uint64_t steps[MAX_CHILDREN];

	for (unsigned int i = 0; i < n; i++)
		steps[i] = run.board->steps[i];
	for (unsigned int i = 0; i < n; i++)
		while (i != killed && child[i] && run.board->steps[i] == steps[i] &&
		       !run.board->failures) {
			if (now() > give_up) {
				fprintf(
				    stderr,
				    "stress: process %d (child %u) does not go on after a kill\n",
				    (int)child[i], i);
				return 1;
			}
			usleep(500);
		}
	return 0;
}

/* stop_all - tell the children to end, and wait; one that hangs is a fault. */
static int stop_all(pid_t *child, unsigned int n)
{
	double give_up = now() + GIVE_UP;
	int bad = 0;

	run.board->stop = 1;
	for (unsigned int i = 0; i < n; i++)
		while (child[i]) {
			bad |= reap(child, n, false);
			if (now() > give_up) {
				fprintf(stderr, "stress: process %d (child %u) hangs\n",
				        (int)child[i], i);
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
	struct daxkv_store *resident = NULL;
	struct rng rng = {.state = run.seed};
	double end = now() + run.seconds, each = run.kills ? (double)run.seconds / run.kills : 0,
	       next = now() + each;
	int bad = 0, status;

	if (run.resident && open_store(&resident))
		return failed("open", 0);
	for (unsigned int i = 0; i < n; i++)
		child[i] = start(i);
	child[CONTROL] = start(CONTROL);
	while (now() < end && !bad && !run.board->failures) {
		usleep(1000);
		bad = reap(child, MAX_CHILDREN, true);
		if (run.kills && now() >= next && killed < run.kills) {
			unsigned int who = (unsigned int)(rng_next(&rng) % n);

			next += each;
			if (child[who]) {
				kill(child[who], SIGKILL);
				bad = waitpid(child[who], &status, 0) != child[who] ||
				      (WIFEXITED(status) && WEXITSTATUS(status) != 0);
				killed++;
				bad = bad || others_go_on(child, n, who) || look_over(resident);
				child[who] = bad ? 0 : start(who);
			}
		}
	}
	bad |= stop_all(child, MAX_CHILDREN);
	if (resident && !bad)
		bad = nothing_lost(resident);
	if (daxkv_close(resident))
		bad = 1;
	return bad || run.board->failures ? 1 : verify(killed);
}

static int usage(void)
{
	fprintf(stderr, "usage: stress [--dir D] [--seconds N] [--writers N] [--readers N] "
	                "[--kills N] [--pmem force|file] [--seed N] "
	                "[--namespaces] [--resident] [--lazy PERCENT]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"dir", 1, NULL, 'd'},
	                                        {"seconds", 1, NULL, 's'},
	                                        {"writers", 1, NULL, 'w'},
	                                        {"readers", 1, NULL, 'r'},
	                                        {"kills", 1, NULL, 'k'},
	                                        {"pmem", 1, NULL, 'p'},
	                                        {"seed", 1, NULL, 'S'},
	                                        {"namespaces", 0, NULL, 'n'},
	                                        {"resident", 0, NULL, 'R'},
	                                        {"lazy", 1, NULL, 'l'},
	                                        {0}};
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
		else if (c == 'l')
			run.lazy = value;
		else if (c == 'n')
			run.namespaces = 1;
		else if (c == 'R')
			run.resident = 1;
		else if (c == 'p')
			run.pmem = strcmp(optarg, "file") == 0 ? DAXKV_PMEM_FILE : DAXKV_PMEM_FORCE;
		else
			return usage();
	}
	if (run.writers + run.readers + 1 > CONTROL || optind != argc)
		return usage();
	snprintf(run.path, sizeof run.path, "%s/stress-%d.daxkv", dir, (int)getpid());
	run.board = mmap(NULL, sizeof *run.board, PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.board == MAP_FAILED)
		return 1;
	int rc = fill();

	rc = rc ? failed("filling the store", rc) : storm();
	if (rc) {
		printf("stress: FAILED; the store is kept: %s\n", run.path);
		return 1;
	}
	unlink(run.path);
	snprintf(name, sizeof name, "%s-lock", run.path);
	unlink(name);
	return 0;
}
