/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * takeover.c - a writer is killed at every step that it makes, one after the other, while another
 * process has the store open and goes on.
 *
 *   takeover [--page-size N] [--every N] [--first N] [--scenario N] [--instructions N --seed N]
 *
 * A step is a call of the persistence layer (store, flush, fence), a change of the shared limbo, or
 * a system call on the files. For n = 1, 2, 3 ... a fresh copy of a store is opened by this
 * process, which writes to it and holds an old snapshot; a child opens it too, runs the scenario
 * and is killed at step n, until a child comes to its end. A second child, the first to take over,
 * is killed at one of its steps as well. Then, without reopening anything, this process looks at
 * the newest snapshot, writes (and so takes over), lets another child write, and looks again: the
 * transactions that the child acknowledged are there, at most one more, whole; the old snapshot has
 * not moved, whatever the dead one had freed [I15]; the checker is silent. At the end the store
 * closes clean.
 *
 * With --instructions the child is killed after a random number of instructions (ptrace(2), single
 * steps) behind a random step.
 */
#include "txn/store.h"

#include "rng.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEYS       240u
#define BEFORE     6u  /* transactions before the child comes */
#define VICTIM     10u /* transactions of the child */
#define VALUE_MAX  40000u
#define HEIR_STEPS 60u

struct board {                          /* shared with the child */
	volatile uint64_t acknowledged; /* transactions */
	volatile uint64_t steps, kill_at, stop_at;
};

static struct {
	char path[256], image[256];
	unsigned int page_size, every, scenario;
	uint64_t first, instructions, seed, heirs_killed;
	struct board *board;
	bool counting;
	uint64_t seen; /* the snapshot looked at last */
	uint8_t value[VALUE_MAX];
} run = {.page_size = 512, .every = 1, .first = 1, .seed = 1};

/* ---- steps ----------------------------------------------------------------------------------- */

static void step(void)
{
	if (!run.counting)
		return;
	uint64_t n = ++run.board->steps;

	if (n == run.board->kill_at)
		kill(getpid(), SIGKILL);
	if (n == run.board->stop_at)
		raise(SIGSTOP);
}

static void step_write(struct pm *pm, void *dst, const void *src, size_t n)
{
	step();
	pm_plain_write(pm, dst, src, n);
}

static void step_stream(struct pm *pm, void *dst, const void *src, size_t n)
{
	for (size_t i = 0; i < n; i += 4096) { /* half done counts */
		step();
		pm_plain_write(pm, (uint8_t *)dst + i, (const uint8_t *)src + i,
		               n - i < 4096 ? n - i : 4096);
	}
}

static void step_store8(struct pm *pm, uint64_t *word, uint64_t value)
{
	step();
	pm_plain_store8(pm, word, value);
}

static void step_flush(struct pm *pm, const void *p, size_t n)
{
	(void)pm;
	(void)p;
	(void)n;
}

static int step_fence(struct pm *pm)
{
	(void)pm;
	step();
	return 0;
}

static const struct pm_ops step_ops = {.name = "steps",
                                       .write = step_write,
                                       .stream = step_stream,
                                       .store8 = step_store8,
                                       .flush = step_flush,
                                       .fence = step_fence};

void __wrap_pm_init(struct pm *pm, const struct pm_ops *ops, int fd);
void __real_pm_init(struct pm *pm, const struct pm_ops *ops, int fd);
void __wrap_pm_init(struct pm *pm, const struct pm_ops *ops, int fd)
{
	__real_pm_init(pm, ops == &pm_private_ops ? ops : &step_ops, fd);
}

/* A step before the call and one after it. */
#define WRAP(type, name, params, args)                                                             \
	type __wrap_##name params;                                                                 \
	type __real_##name params;                                                                 \
	type __wrap_##name params                                                                  \
	{                                                                                          \
		step();                                                                            \
		type result = __real_##name args;                                                  \
		step();                                                                            \
		return result;                                                                     \
	}

WRAP(int, share_limbo_add, (struct share_file * file, const struct limbo_item *item), (file, item))
WRAP(int, share_limbo_cut, (struct share_file * file, uint64_t txn), (file, txn))
WRAP(int, share_limbo_load, (struct share_file * file, struct limbo *limbo), (file, limbo))
WRAP(int, lock_share, (struct lock * lock), (lock))
WRAP(int, lock_enter, (struct lock * lock, bool *alone), (lock, alone))
WRAP(int, lock_reader, (const struct lock *lock, uint32_t reader, bool hold), (lock, reader, hold))
WRAP(int, ftruncate, (int fd, off_t size), (fd, size))
WRAP(int, fallocate, (int fd, int mode, off_t off, off_t size), (fd, mode, off, size))
WRAP(int, posix_fallocate, (int fd, off_t off, off_t size), (fd, off, size))
WRAP(int, wlock_wait,
     (struct wlock * w, const struct lock *lock, uint32_t owner, int64_t wait_ms, bool *died),
     (w, lock, owner, wait_ms, died))

void __wrap_wlock_give(struct wlock *w);
void __real_wlock_give(struct wlock *w);
void __wrap_wlock_give(struct wlock *w)
{
	step();
	__real_wlock_give(w);
	step();
}

void __wrap_share_limbo_drop(struct share_file *file, uint64_t n);
void __real_share_limbo_drop(struct share_file *file, uint64_t n);
void __wrap_share_limbo_drop(struct share_file *file, uint64_t n)
{
	step();
	__real_share_limbo_drop(file, n);
	step();
}

/* ---- the content: a function of the number of transactions ----------------------------------- */

struct content {
	uint32_t size[KEYS], seed[KEYS]; /* size 0: not there */
};

/* changes_of - transaction t sets or deletes some keys; each scenario has its own kind. call is
 * given each key with its new size. */
static int changes_of(uint64_t t,
                      int (*call)(uint64_t key, uint32_t size, uint32_t seed, void *arg), void *arg)
{
	unsigned int n = run.scenario == 1 ? (t % 4 == 3 ? KEYS : 2) : run.scenario == 2 ? 3 : 12;
	int rc = 0;

	for (unsigned int i = 0; i < n && !rc; i++) {
		uint64_t r = rng_of(t * 1000 + i), key = n == KEYS ? i : r % KEYS;
		uint32_t size = (uint32_t)(8 + (r >> 20) % 60);

		if (run.scenario == 2)
			size = 3000 + (uint32_t)(r >> 20) % (VALUE_MAX - 3000);
		rc = call(key, (r >> 50) % 4 == 0 ? 0 : size, (uint32_t)r, arg);
	}
	return rc;
}

static int content_set(uint64_t key, uint32_t size, uint32_t seed, void *arg)
{
	struct content *c = arg;

	c->size[key] = size;
	c->seed[key] = seed;
	return 0;
}

static void content_at(uint64_t t, struct content *c)
{
	memset(c, 0, sizeof *c);
	for (uint64_t i = 1; i <= t; i++)
		(void)changes_of(i, content_set, c);
}

static void value_fill(uint32_t size, uint32_t seed)
{
	for (uint32_t i = 0; i < size; i++)
		run.value[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

static int failed(const char *what, int rc)
{
	fprintf(stderr, "takeover: %s: %s (%s)\n", what, daxkv_strerror(rc), daxkv_errmsg());
	return 1;
}

static int put_change(uint64_t key, uint32_t size, uint32_t seed, void *arg)
{
	char name[32];
	struct daxkv_val k = {(size_t)snprintf(name, sizeof name, "a key with a name %05lu",
	                                       (unsigned long)key),
	                      name},
	                 v = {size, run.value};
	int rc;

	if (size == 0) {
		rc = daxkv_del(arg, DAXKV_MAIN, &k, NULL);
		return rc == DAXKV_NOT_FOUND ? 0 : rc;
	}
	value_fill(size, seed);
	return daxkv_put(arg, DAXKV_MAIN, &k, &v, 0);
}

/* transact - transaction t of the content; on the way one that is aborted. */
static int transact(struct daxkv_store *store, uint64_t t)
{
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, 0, &txn);

	if (rc)
		return rc;
	if (t % 3 == 0) {
		rc = changes_of(t + 1000, put_change, txn);
		daxkv_txn_abort(txn);
		if (!rc)
			rc = daxkv_txn_begin(store, NULL, 0, &txn);
		if (rc)
			return rc;
	}
	rc = changes_of(t, put_change, txn);
	if (rc) {
		daxkv_txn_abort(txn);
		return rc;
	}
	return daxkv_txn_commit(txn);
}

/* content_is - what txn sees is the content after t transactions. */
static bool content_is(struct daxkv_txn *txn, uint64_t t)
{
	struct content c;

	content_at(t, &c);
	for (unsigned int key = 0; key < KEYS; key++) {
		char name[32];
		struct daxkv_val k = {(size_t)snprintf(name, sizeof name, "a key with a name %05u",
		                                       key),
		                      name},
		                 v;
		int rc = daxkv_get(txn, DAXKV_MAIN, &k, &v);

		if (c.size[key] == 0 ? rc != DAXKV_NOT_FOUND : rc != 0 || v.size != c.size[key])
			return false;
		if (c.size[key] == 0)
			continue;
		value_fill(c.size[key], c.seed[key]);
		if (memcmp(v.data, run.value, v.size) != 0)
			return false;
	}
	return true;
}

/* ---- a round --------------------------------------------------------------------------------- */

static int open_store(struct daxkv_store **store)
{
	struct daxkv_options o = {.flags = DAXKV_CREATE,
	                          .pmem = DAXKV_PMEM_FORCE,
	                          .page_size = run.page_size,
	                          .max_readers = 8,
	                          .initial_size = 1 << 18};

	return daxkv_open(run.path, &o, store);
}

/* victim - the scenario, from opening to closing. */
static int victim(void)
{
	struct daxkv_store *store;
	struct daxkv_txn *reader;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run.counting = true;
	int rc = open_store(&store);

	if (!rc)
		rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &reader);
	for (uint64_t t = BEFORE + 1; t <= BEFORE + VICTIM && !rc; t++) {
		rc = transact(store, t);
		if (!rc)
			run.board->acknowledged = t;
		if (!rc && t == BEFORE + VICTIM / 2)
			daxkv_txn_abort(reader);
		if (!rc && t == BEFORE + 3)
			rc = daxkv_sync(store);
	}
	if (!rc)
		rc = daxkv_close(store);
	return rc ? failed("the child", rc) : 0;
}

static int successor(uint64_t t)
{
	struct daxkv_store *store;
	int rc = open_store(&store);

	for (int i = 0; i < 3 && !rc; i++)
		rc = transact(store, t + (uint64_t)i);
	if (!rc)
		rc = daxkv_close(store);
	return rc ? failed("another child", rc) : 0;
}

static int copy_image(void)
{
	char command[600];

	snprintf(command, sizeof command, "%s-lock", run.path);
	unlink(command);
	unlink(run.path);
	FILE *from = fopen(run.image, "rb"), *to = fopen(run.path, "wb");
	char buf[65536];
	size_t n;

	if (!from || !to)
		return failed("copying the store", errno);
	while ((n = fread(buf, 1, sizeof buf, from)) > 0)
		fwrite(buf, 1, n, to);
	fclose(from);
	return fclose(to) ? failed("copying the store", errno) : 0;
}

static void print_fault(const char *fault, void *arg)
{
	(void)arg;
	fprintf(stderr, "takeover: check: %s\n", fault);
}

/* look - the newest snapshot has the content after t transactions; or, with one_more, after t + 1.
 * *t becomes which. The same snapshot has the same content whenever it is looked at. */
static int look(struct daxkv_store *store, uint64_t *t, bool one_more, const char *when)
{
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (rc)
		return failed(when, rc);
	bool good = content_is(txn, *t), before = daxkv_txn_id(txn) == run.seen;

	one_more = one_more && !before;
	run.seen = daxkv_txn_id(txn);

	if (!good && one_more && content_is(txn, *t + 1)) {
		++*t;
		good = true;
	}
	daxkv_txn_abort(txn);
	if (!good)
		fprintf(stderr, "takeover: %s: the newest snapshot does not have transaction %lu\n",
		        when, (unsigned long)*t);
	return !good;
}

static int check(struct daxkv_store *store, struct daxkv_txn *old, const char *when)
{
	uint64_t faults;
	int rc = daxkv_check(store, print_fault, NULL, &faults);

	if (rc)
		return failed(when, rc);
	if (old && !content_is(old, BEFORE)) {
		fprintf(stderr, "takeover: %s: the old snapshot has moved\n", when);
		return 1;
	}
	return 0;
}

/* run_traced - let the child go to its stop, then on by single steps, then kill it. */
static void run_traced(pid_t pid, uint64_t instructions)
{
	int status;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		if (run.board->steps < run.board->stop_at) { /* stopped by something else */
			ptrace(PTRACE_CONT, pid, NULL, NULL);
			continue;
		}
		for (uint64_t i = 0; i < instructions && WIFSTOPPED(status); i++)
			if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 ||
			    waitpid(pid, &status, 0) != pid)
				break;
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return;
	}
}

/* die - a child runs the scenario and is killed at the step. *ended: it came to its end. */
static int die(uint64_t n, bool *ended)
{
	int status;
	uint64_t after = rng_of(run.seed * 7919 + n) % 3000;

	*run.board = (struct board){.acknowledged = BEFORE,
	                            .kill_at = run.instructions ? 0 : n,
	                            .stop_at = run.instructions ? n : 0};
	*ended = false;
	pid_t pid = fork();

	if (pid == 0) {
		if (run.instructions)
			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		_exit(victim());
	}
	if (run.instructions) {
		run_traced(pid, after);
		return 0;
	}
	if (waitpid(pid, &status, 0) != pid)
		return failed("waiting", errno);
	*ended = WIFEXITED(status);
	if (*ended ? WEXITSTATUS(status) != 0 : WTERMSIG(status) != SIGKILL) {
		fprintf(stderr, "takeover: the child ended with status 0x%x\n",
		        (unsigned int)status);
		return 1;
	}
	return 0;
}

static int heir(void)
{
	struct daxkv_store *store;
	int rc = open_store(&store);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run.counting = true;
	if (!rc)
		rc = daxkv_sync(store);
	if (!rc)
		rc = daxkv_close(store);
	return rc ? failed("the child that takes over", rc) : 0;
}

/* heir_dies - the first to take over from the dead is killed in turn, at one of its steps; each
 * round at another. */
static int heir_dies(uint64_t n)
{
	uint64_t steps = run.board->steps;
	int status;

	run.board->steps = run.board->stop_at = 0;
	run.board->kill_at = 1 + rng_of(n) % HEIR_STEPS;
	pid_t pid = fork();

	if (pid == 0)
		_exit(heir());
	if (waitpid(pid, &status, 0) != pid ||
	    (WIFEXITED(status) ? WEXITSTATUS(status) != 0 : WTERMSIG(status) != SIGKILL)) {
		fprintf(stderr, "takeover: the child that takes over ended with status 0x%x\n",
		        (unsigned int)status);
		return 1;
	}
	run.heirs_killed += WIFSIGNALED(status);
	run.board->steps = steps;
	run.board->kill_at = 0;
	return 0;
}

/* go_on - by who was there all the time, and by one who comes. */
static int go_on(struct daxkv_store *store, struct daxkv_txn *old)
{
	uint64_t t = run.board->acknowledged;
	/* One more: published, and killed before the acknowledgement. */
	int status, bad = look(store, &t, true, "before the writer's lock is taken");
	int rc = bad ? 0 : daxkv_sync(store);

	if (rc)
		return failed("taking over", rc);
	uint64_t least = t;

	if (!bad)
		bad = look(store, &t, t == run.board->acknowledged, "after taking over") ||
		      check(store, old, "after taking over");
	if (bad || t < least)
		return 1;
	for (int i = 0; i < 2 && !rc; i++)
		rc = transact(store, ++t);
	if (rc)
		return failed("going on", rc);
	pid_t pid = fork();

	if (pid == 0)
		_exit(successor(t + 1));
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return failed("another child", 0);
	t += 3;
	bad = look(store, &t, false, "after another child wrote") ||
	      check(store, old, "after another child wrote");
	rc = bad ? 0 : transact(store, ++t);
	if (rc)
		return failed("going on", rc);
	return bad || look(store, &t, false, "at the end") || check(store, old, "at the end");
}

static int round_run(uint64_t n, bool *ended)
{
	struct daxkv_store *store;
	struct daxkv_txn *old;
	struct daxkv_info info;
	int rc = copy_image();

	if (rc)
		return rc;
	rc = open_store(&store);
	for (uint64_t t = 1; t <= BEFORE && !rc; t++)
		rc = transact(store, t);
	if (!rc)
		rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &old);
	if (rc)
		return failed("the store at first", rc);
	run.seen = UINT64_MAX;
	if (die(n, ended) || heir_dies(n) || go_on(store, old))
		return 1;
	daxkv_txn_abort(old);
	rc = daxkv_info(store, &info);
	if (!rc)
		rc = daxkv_close(store);
	if (!rc)
		rc = open_store(&store);
	if (!rc)
		rc = daxkv_info(store, &info);
	if (rc)
		return failed("opening again", rc);
	if (info.recovered || info.readers || check(store, NULL, "opened again")) {
		fprintf(stderr, "takeover: the store was not closed clean\n");
		return 1;
	}
	rc = daxkv_close(store);
	return rc ? failed("closing again", rc) : 0;
}

static int make_image(void)
{
	struct daxkv_store *store;
	int rc;

	snprintf(run.path, sizeof run.path, "/dev/shm/takeover-%d.daxkv", (int)getpid());
	snprintf(run.image, sizeof run.image, "/dev/shm/takeover-%d.image", (int)getpid());
	rc = open_store(&store);
	if (!rc)
		rc = daxkv_close(store);
	if (!rc && rename(run.path, run.image) != 0)
		rc = errno;
	return rc ? failed("making a store", rc) : 0;
}

static int runs(void)
{
	bool ended = false;
	uint64_t n = run.first, rounds = 0, total = run.instructions ? UINT64_MAX : 0;

	if (run.instructions) { /* how many steps are there? */
		uint64_t instructions = run.instructions;

		run.instructions = 0;
		if (round_run(UINT64_MAX, &ended))
			return 1;
		run.instructions = instructions;
		total = run.board->steps;
	}
	for (; run.instructions ? rounds < run.instructions : !ended; rounds++) {
		uint64_t at = run.instructions ? 1 + rng_of(run.seed + rounds) % total : n;

		if (round_run(at, &ended)) {
			printf("takeover: FAILED: --page-size %u --scenario %u --first %lu; the "
			       "store is kept: %s\n",
			       run.page_size, run.scenario, (unsigned long)at, run.path);
			return 1;
		}
		n += run.every;
	}
	printf("takeover: scenario %u, pages of %u bytes: a writer killed at %lu steps of %lu, and "
	       "%lu times the next one, too: the others went on\n",
	       run.scenario, run.page_size, (unsigned long)rounds - !run.instructions,
	       (unsigned long)run.board->steps, (unsigned long)run.heirs_killed);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"page-size", 1, NULL, 'p'},
	                                        {"every", 1, NULL, 'e'},
	                                        {"first", 1, NULL, 'f'},
	                                        {"scenario", 1, NULL, 's'},
	                                        {"instructions", 1, NULL, 'i'},
	                                        {"seed", 1, NULL, 'S'},
	                                        {0}};
	char lock[600];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t value = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (c) {
		case 'p':
			run.page_size = (unsigned int)value;
			break;
		case 'e':
			run.every = (unsigned int)value;
			break;
		case 'f':
			run.first = value;
			break;
		case 's':
			run.scenario = (unsigned int)value;
			break;
		case 'i':
			run.instructions = value;
			break;
		case 'S':
			run.seed = value;
			break;
		default:
			fprintf(stderr, "usage: takeover [--page-size N] [--every N] [--first N] "
			                "[--scenario 0|1|2] [--instructions ROUNDS --seed N]\n");
			return 2;
		}
	}
	run.board = mmap(NULL, sizeof *run.board, PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.board == MAP_FAILED || run.every == 0 || run.scenario > 2)
		return 2;
	int rc = make_image();

	rc = rc ? rc : runs();
	unlink(run.image);
	if (!rc) {
		unlink(run.path);
		snprintf(lock, sizeof lock, "%s-lock", run.path);
		unlink(lock);
	}
	return rc;
}
