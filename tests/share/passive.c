/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * passive.c - readers of another user, who may not write the lock file, beside writers that come,
 * go and are killed.
 *
 *   passive [--dir D] [--seconds N] [--readers N] [--page-size N] [--seed N]
 *
 * Commit number N, which is kept in an entry, rewrites group N % GROUPS, so what a snapshot has is
 * a function of N. A reader begins, reads all, rests, and reads all again, with one or two
 * transactions at a time, while the writers take every page that is free: it must never see
 * anything else, and never an older commit than was acknowledged before it began. A writer must
 * never be kept out, but by a reader that shows an unclean file, for as long as that takes. Ends
 * with one line, and exit status 0 when nothing went wrong; 77 when it cannot be tried here.
 */
#include "daxkv.h"

#include "clock.h"
#include "rng.h"

#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUPS      12u
#define KEYS        8u /* of a group */
#define MAX_READERS 16
#define OTHER_USER  65534u

struct board {                 /* atomic */
	uint64_t acknowledged; /* the newest commit that returned */
	uint64_t reads, unclean, kept_out, commits, lives;
	uint64_t stop;
};

static struct {
	char path[512];
	unsigned int seconds, readers, page_size, seed;
	struct board *board;
} run = {.seconds = 5, .readers = 3, .page_size = 512, .seed = 1};

static int failed(const char *what, int rc)
{
	fprintf(stderr, "passive: process %d: %s: %s (%s)\n", (int)getpid(), what,
	        daxkv_strerror(rc), daxkv_errmsg());
	return 1;
}

static bool stopped(void)
{
	return __atomic_load_n(&run.board->stop, __ATOMIC_ACQUIRE);
}

static void count(uint64_t *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

/* ---- the content ----------------------------------------------------------------------------- */

static uint64_t version_at(uint64_t snapshot, unsigned int group)
{
	return snapshot - (snapshot - group) % GROUPS;
}

static struct daxkv_val key_of(unsigned int key, char *bytes, size_t room)
{
	return (struct daxkv_val){
	    (size_t)snprintf(bytes, room, "group %02u entry %u", key / KEYS, key % KEYS), bytes};
}

/* value_of - long and short ones: leaves split and join, and some lie outside of them. */
static struct daxkv_val value_of(unsigned int key, uint64_t version, uint8_t *bytes)
{
	uint64_t r = rng_of(version * 1000 + key);
	size_t size = 8 + (r % 8 == 0 ? (r >> 8) % 2000 : (r >> 8) % 60);

	memset(bytes, (int)(r >> 32), size);
	memcpy(bytes, &version, sizeof version);
	return (struct daxkv_val){size, bytes};
}

static const struct daxkv_val number_key = {6, "number"};

/* number_of - the commit that the transaction sees. */
static int number_of(struct daxkv_txn *txn, uint64_t *number)
{
	struct daxkv_val v;
	int rc = daxkv_get(txn, DAXKV_MAIN, &number_key, &v);

	if (!rc)
		memcpy(number, v.data, sizeof *number);
	return rc;
}

static int all_right(struct daxkv_txn *txn)
{
	uint64_t snapshot;
	uint8_t bytes[4096];
	char name[40];

	if (number_of(txn, &snapshot))
		return failed("the number", 0);

	for (unsigned int key = 0; key < GROUPS * KEYS; key++) {
		struct daxkv_val k = key_of(key, name, sizeof name),
		                 wanted = value_of(key, version_at(snapshot, key / KEYS), bytes), v;
		int rc = daxkv_get(txn, DAXKV_MAIN, &k, &v);

		if (rc)
			return failed("get", rc);
		if (v.size == wanted.size && memcmp(v.data, wanted.data, v.size) == 0)
			continue;
		fprintf(stderr, "passive: %s of snapshot %lu is wrong\n", name,
		        (unsigned long)snapshot);
		return 1;
	}
	return 0;
}

/* ---- writers --------------------------------------------------------------------------------- */

static int commit_next(struct daxkv_store *store)
{
	struct daxkv_txn *txn;
	uint8_t bytes[4096];
	char name[40];
	int rc = daxkv_txn_begin(store, NULL, 0, &txn);

	if (rc)
		return failed("begin", rc);
	uint64_t version = 0;

	rc = number_of(txn, &version);
	rc = rc == DAXKV_NOT_FOUND ? 0 : rc;
	version++;
	unsigned int first = (unsigned int)(version % GROUPS) * KEYS;
	struct daxkv_val number = {sizeof version, &version};

	if (!rc)
		rc = daxkv_put(txn, DAXKV_MAIN, &number_key, &number, 0);
	for (unsigned int key = first; key < first + KEYS && !rc; key++) {
		struct daxkv_val k = key_of(key, name, sizeof name),
		                 v = value_of(key, version, bytes);

		rc = daxkv_put(txn, DAXKV_MAIN, &k, &v, 0);
	}
	if (rc) {
		daxkv_txn_abort(txn);
		return failed("put", rc);
	}
	rc = daxkv_txn_commit(txn);
	if (rc)
		return failed("commit", rc);
	__atomic_store_n(&run.board->acknowledged, version, __ATOMIC_SEQ_CST);
	count(&run.board->commits);
	return 0;
}

/* writer_live - one life: some commits, and then an end by closing, or by death in the middle. */
static int writer_live(struct rng *rng)
{
	const struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE, .max_size = 64 << 20};
	uint64_t commits = 1 + rng_next(rng) % 200;
	struct daxkv_txn *txn;
	struct daxkv_store *store;
	double until = now() + 60;
	int rc;

	while ((rc = daxkv_open(run.path, &o, &store)) == DAXKV_BUSY &&
	       now() < until) { /* an unclean file is shown */
		count(&run.board->kept_out);
		usleep(2000);
	}
	if (rc)
		return failed("open", rc);
	count(&run.board->lives);
	for (uint64_t i = 0; i < commits && !stopped(); i++)
		if (commit_next(store))
			return 1;
	if (rng_next(rng) % 3 == 0) {
		if (rng_next(rng) % 2 && daxkv_txn_begin(store, NULL, 0, &txn) == 0)
			(void)daxkv_del_range(txn, DAXKV_MAIN, NULL, NULL, NULL);
		raise(SIGKILL);
	}
	rc = daxkv_close(store);
	return rc ? failed("close", rc) : 0;
}

/* ---- readers --------------------------------------------------------------------------------- */

static int read_twice(struct daxkv_store *store, struct rng *rng)
{
	struct daxkv_txn *txn[2] = {NULL, NULL};
	uint64_t least = __atomic_load_n(&run.board->acknowledged, __ATOMIC_SEQ_CST);
	int rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn[0]);

	if (rc)
		return failed("begin", rc);
	uint64_t number = 0;

	if (number_of(txn[0], &number) || number < least) {
		fprintf(stderr, "passive: commit %lu was acknowledged, and %lu is seen\n",
		        (unsigned long)least, (unsigned long)number);
		return 1;
	}
	rc = all_right(txn[0]);
	usleep((useconds_t)(rng_next(rng) % 6000));
	if (!rc && rng_next(rng) % 2) {
		rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn[1]);
		rc = rc ? failed("begin", rc) : all_right(txn[1]);
	}
	if (!rc)
		rc = all_right(txn[0]);
	daxkv_txn_abort(txn[0]);
	if (txn[1] && !rc) { /* it goes on, older than any other */
		usleep((useconds_t)(rng_next(rng) % 3000));
		rc = all_right(txn[1]);
	}
	daxkv_txn_abort(txn[1]);
	count(&run.board->reads);
	return rc;
}

static int reader_live(struct rng *rng)
{
	const struct daxkv_options o = {.flags = DAXKV_READ_ONLY, .pmem = DAXKV_PMEM_FORCE};
	struct daxkv_info info;
	struct daxkv_store *store;
	int rc = daxkv_open(run.path, &o, &store);

	if (rc == DAXKV_BUSY)
		return 0;
	if (rc || (rc = daxkv_info(store, &info)))
		return failed("opening for reading", rc);
	if (info.private_recovery)
		count(&run.board->unclean);
	for (uint64_t n = info.private_recovery ? 1 : rng_next(rng) % 300; n && !rc && !stopped();
	     n--)
		rc = read_twice(store, rng);
	if (rc)
		return 1;
	rc = daxkv_close(store);
	return rc ? failed("closing", rc) : 0;
}

/* ---- processes ------------------------------------------------------------------------------- */

static int in_process(unsigned int number, int (*live)(struct rng *rng), bool reader)
{
	fflush(NULL);
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct rng rng;

	rng_seed(&rng, run.seed * 1000 + number);

	if (reader && (setgroups(0, NULL) || setgid(OTHER_USER) || setuid(OTHER_USER)))
		_exit(1);
	while (reader && !stopped())
		if (live(&rng))
			_exit(1);
	_exit(reader ? 0 : live(&rng));
}

/* writers - one life after another, until the time is over. */
static int writers(void)
{
	double until = now() + run.seconds;
	int status, bad = 0;

	for (unsigned int n = 1000; now() < until && !bad; n++) {
		pid_t pid = in_process(n, writer_live, false);

		bad = waitpid(pid, &status, 0) != pid ||
		      (WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL : WEXITSTATUS(status));
	}
	return bad;
}

static int run_all(void)
{
	struct board *b = run.board;
	pid_t pid[MAX_READERS];
	uint64_t faults = 0;
	struct daxkv_store *store;
	int status, bad = 0;

	for (unsigned int i = 0; i < run.readers; i++)
		pid[i] = in_process(i, reader_live, true);
	bad = writers();
	__atomic_store_n(&b->stop, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < run.readers; i++)
		bad += waitpid(pid[i], &status, 0) != pid[i] || status != 0;
	int rc = daxkv_open(run.path, NULL, &store);

	if (!rc)
		rc = daxkv_check(store, NULL, NULL, &faults);
	bad += rc ? failed("check", rc) : 0;
	if (!rc)
		(void)daxkv_close(store);
	printf("passive: %lu commits in %lu lives, %lu reads, %lu of an unclean file, %lu times a "
	       "writer waited for such; %d failures\n",
	       (unsigned long)b->commits, (unsigned long)b->lives, (unsigned long)b->reads,
	       (unsigned long)b->unclean, (unsigned long)b->kept_out, bad);
	return bad || !b->reads || b->commits < GROUPS;
}

/* begin_store - with every group written once. Everybody may read it. */
static int begin_store(void)
{
	const struct daxkv_options o = {.flags = DAXKV_CREATE,
	                                .mode = 0644,
	                                .page_size = run.page_size,
	                                .pmem = DAXKV_PMEM_FORCE};
	struct daxkv_store *store;
	int rc = daxkv_open(run.path, &o, &store);

	if (rc)
		return failed("create", rc);
	for (unsigned int i = 0; i < 2 * GROUPS; i++)
		if (commit_next(store))
			return 1;
	return daxkv_close(store);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"dir", 1, NULL, 'd'},       {"seconds", 1, NULL, 's'}, {"readers", 1, NULL, 'r'},
	    {"page-size", 1, NULL, 'p'}, {"seed", 1, NULL, 'e'},    {NULL, 0, NULL, 0}};
	char dir[400] = "";
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'd')
			snprintf(dir, sizeof dir, "%s/silent-XXXXXX", optarg);
		else if (c == '?')
			return 2;
		else
			*(c == 's'   ? &run.seconds
			  : c == 'r' ? &run.readers
			  : c == 'p' ? &run.page_size
			             : &run.seed) = (unsigned int)atoi(optarg);
	}
	if (geteuid() != 0) {
		printf("skip: readers of another user need root\n");
		return 0;
	}
	if (!dir[0])
		snprintf(dir, sizeof dir, "%s/silent-XXXXXX",
		         access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	umask(022);
	if (run.readers > MAX_READERS || !mkdtemp(dir) || chmod(dir, 0755))
		return 2;
	snprintf(run.path, sizeof run.path, "%s/store", dir);
	run.board = mmap(NULL, sizeof *run.board, PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.board == MAP_FAILED || begin_store())
		return 2;
	int rc = run_all();

	if (!rc) {
		unlink(run.path);
		strcat(run.path, "-lock");
		unlink(run.path);
		rmdir(dir);
	}
	return rc;
}
