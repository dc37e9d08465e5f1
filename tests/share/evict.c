/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evict.c - readers with a bound, beside a writer that takes the pages under them all the time.
 *
 *   evict [--dir D] [--seconds N] [--readers N] [--page-size N] [--seed N]
 *
 * The store may not grow, so that the writer gives readers up whenever it wants a page. Commit T
 * rewrites group T % GROUPS: entries small and large, some gone, and in another database
 * duplicates. So what a snapshot has is a function of its number, and the readers, processes of
 * their own, compare whatever a call returned with it, after a second call has told that the
 * snapshot was still theirs. They get, get many, scan both ways, count, list databases; they must
 * never see anything else [I20], crash, or stand still. Ends with one line, and exit status 0 when
 * nothing went wrong.
 */
#include "daxkv.h"

#include "clock.h"
#include "rng.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUPS        24u
#define KEYS          16u /* of a group */
#define MAX_READERS   16
#define VALUE_MAX     6000u
#define FULL_TRIES    1000u /* a millisecond apart */
#define STILL_SECONDS 120   /* without a sign of life: it hangs */

struct board {
	volatile uint64_t calls[MAX_READERS], given_up[MAX_READERS];
	volatile uint64_t stop;
};

static struct {
	char path[512];
	unsigned int seconds, readers, page_size, seed;
	struct board *board;
} run = {.seconds = 5, .readers = 3, .page_size = 512, .seed = 1};

static int failed(const char *what, int rc)
{
	fprintf(stderr, "evict: process %d: %s: %s (%s)\n", (int)getpid(), what, daxkv_strerror(rc),
	        daxkv_errmsg());
	return 1;
}

/* ---- the content: a function of the snapshot ------------------------------------------------- */

/* version_at - the commit that wrote the group last. */
static uint64_t version_at(uint64_t snapshot, unsigned int group)
{
	return snapshot - (snapshot - group) % GROUPS;
}

/* size_of - of a key's value; 0: it is not there. */
static uint32_t size_of(unsigned int key, uint64_t version)
{
	uint64_t r = rng_of(version * 1000 + key);

	if (r % 5 == 0)
		return 0;
	return 8 + (uint32_t)((r >> 8) % 4 == 0 ? (r >> 16) % (VALUE_MAX - 8) : (r >> 16) % 60);
}

static void value_fill(uint8_t *value, uint32_t size, unsigned int key, uint64_t version)
{
	for (uint32_t i = 0; i < size; i += 8) {
		uint64_t r = rng_of(version * 77 + key * 13 + i);

		memcpy(value + i, &r, size - i < 8 ? size - i : 8);
	}
}

static unsigned int dups_of(uint64_t version)
{
	return 1 + (unsigned int)(rng_of(version) % 60);
}

struct name {
	char bytes[40];
	struct daxkv_val val;
};

/* Names share a beginning with their group's, so that pages have prefixes. */
static struct daxkv_val *key_name(unsigned int key, struct name *n)
{
	n->val =
	    (struct daxkv_val){(size_t)snprintf(n->bytes, sizeof n->bytes, "entry-of-group-%02u-%u",
	                                        key / KEYS, key % KEYS),
	                       n->bytes};
	return &n->val;
}

/* ---- the writer ------------------------------------------------------------------------------ */

static int group_write(struct daxkv_txn *txn, daxkv_db dups, unsigned int group, uint64_t version)
{
	static uint8_t value[VALUE_MAX];
	struct name n;
	struct daxkv_val v;
	int rc = 0;

	for (unsigned int key = group * KEYS; key < (group + 1) * KEYS && !rc; key++) {
		v = (struct daxkv_val){size_of(key, version), value};
		value_fill(value, (uint32_t)v.size, key, version);
		rc = v.size ? daxkv_put(txn, DAXKV_MAIN, key_name(key, &n), &v, 0)
		            : daxkv_del(txn, DAXKV_MAIN, key_name(key, &n), NULL);
		rc = rc == DAXKV_NOT_FOUND ? 0 : rc;
	}
	if (!rc)
		rc = daxkv_del(txn, dups, key_name(group, &n), NULL);
	rc = rc == DAXKV_NOT_FOUND ? 0 : rc;
	for (unsigned int i = 0; i < dups_of(version) && !rc; i++) {
		uint64_t dup = rng_of(version * 100 + i);

		v = (struct daxkv_val){sizeof dup, &dup};
		rc = daxkv_put(txn, dups, key_name(group, &n), &v, 0);
	}
	return rc;
}

static int commit_try(struct daxkv_store *store, daxkv_db dups)
{
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(store, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = group_write(txn, dups, (unsigned int)(daxkv_txn_id(txn) % GROUPS), daxkv_txn_id(txn));
	if (!rc)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return rc;
}

/* commit_next - a large value needs contiguous pages; readers on their way out may hold the last
 * such run for a moment. */
static int commit_next(struct daxkv_store *store, daxkv_db dups)
{
	int rc = commit_try(store, dups);

	for (unsigned int i = 0; rc == DAXKV_FULL && i < FULL_TRIES; i++) {
		usleep(1000);
		rc = commit_try(store, dups);
	}
	return rc;
}

static int writer_open(struct daxkv_store **store, daxkv_db *dups)
{
	/* Little more than the content and a few versions of it, with room for the holes between
	 * them: a value needs up to twelve pages that follow each other. */
	struct daxkv_options o = {.flags = DAXKV_CREATE,
	                          .pmem = DAXKV_PMEM_FORCE,
	                          .page_size = run.page_size,
	                          .initial_size = 1,
	                          .max_size = (uint64_t)run.page_size *
	                                      (run.page_size < 4096 ? 1800 : 280)};
	struct daxkv_val name = {4, (void *)(uintptr_t) "dups"};
	struct daxkv_txn *txn;
	int rc = daxkv_open(run.path, &o, store);

	if (!rc)
		rc = daxkv_txn_begin(*store, NULL, 0, &txn);
	if (!rc)
		rc = daxkv_db_open(txn, &name, DAXKV_CREATE | DAXKV_DUP_SORT, dups);
	if (!rc)
		rc = daxkv_txn_commit(txn);
	for (unsigned int i = 0; i < GROUPS && !rc; i++)
		rc = commit_next(*store, *dups);
	return rc;
}

/* ---- readers --------------------------------------------------------------------------------- */

struct look {
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	struct daxkv_cursor *cursor, *dup_cursor;
	daxkv_db dups;
	uint64_t snapshot, rng;
	unsigned int id;
};

static uint64_t draw(struct look *l)
{
	return rng_of(l->rng++);
}

/* still - whether what was copied before this call is good: TOO_OLD when not. */
static int still(struct look *l)
{
	unsigned int flags;

	return daxkv_db_flags(l->txn, DAXKV_MAIN, &flags);
}

/* value_check - what a call gave for the key, rc and value: 0, TOO_OLD, or CORRUPT when it is not
 * the snapshot's. */
static int value_check(struct look *l, unsigned int key, int rc, const struct daxkv_val *v)
{
	uint64_t version = version_at(l->snapshot, key / KEYS);
	uint32_t size = size_of(key, version);
	uint8_t copy[VALUE_MAX], want[VALUE_MAX];
	bool good = size ? rc == 0 && v->size == size : rc == DAXKV_NOT_FOUND;

	if (rc == 0 && v->size <= sizeof copy)
		memcpy(copy, v->data, v->size);
	if (rc && rc != DAXKV_NOT_FOUND)
		return rc;
	rc = still(l);
	if (rc)
		return rc;
	value_fill(want, size, key, version);
	if (good && memcmp(copy, want, size) == 0)
		return 0;
	fprintf(stderr, "evict: snapshot %lu, key %u, version %lu: not what was written\n",
	        (unsigned long)l->snapshot, key, (unsigned long)version);
	return DAXKV_CORRUPT;
}

static int get_one(struct look *l)
{
	unsigned int key = (unsigned int)(draw(l) % (GROUPS * KEYS));
	struct daxkv_val v;
	struct name n;

	return value_check(l, key, daxkv_get(l->txn, DAXKV_MAIN, key_name(key, &n), &v), &v);
}

static int get_many(struct look *l)
{
	struct daxkv_val key[KEYS], value[KEYS];
	struct name name[KEYS];
	unsigned int from = (unsigned int)(draw(l) % GROUPS) * KEYS;
	int result[KEYS], rc;

	for (unsigned int i = 0; i < KEYS; i++)
		key[i] = *key_name(from + i, &name[i]);
	rc = daxkv_get_many(l->txn, DAXKV_MAIN, KEYS, key, value, result);
	for (unsigned int i = 0; i < KEYS && !rc; i++)
		rc = value_check(l, from + i, result[i], &value[i]);
	return rc;
}

/* scan - the whole database one way: its keys, counted, and now and then a value. */
static int scan(struct look *l, enum daxkv_cursor_op first, enum daxkv_cursor_op next)
{
	struct daxkv_val k, v;
	unsigned int n = 0, want = 0;
	int rc;

	for (rc = daxkv_cursor_get(l->cursor, &k, &v, first); !rc;
	     rc = daxkv_cursor_get(l->cursor, &k, &v, next)) {
		unsigned int group, key;
		char text[40] = {0};

		n++;
		run.board->calls[l->id]++;
		if (draw(l) % 16)
			continue;
		memcpy(text, k.data, k.size < sizeof text ? k.size : sizeof text - 1);
		rc = still(l);
		if (rc)
			return rc;
		if (memcmp(text, "dups", 4) == 0)
			continue;
		if (sscanf(text, "entry-of-group-%02u-%u", &group, &key) != 2 || group >= GROUPS ||
		    key >= KEYS) {
			fprintf(stderr, "evict: snapshot %lu: a key that was never written\n",
			        (unsigned long)l->snapshot);
			return DAXKV_CORRUPT;
		}
		rc = value_check(l, group * KEYS + key, 0, &v);
		if (rc)
			return rc;
	}
	if (rc != DAXKV_NOT_FOUND)
		return rc;
	for (unsigned int key = 0; key < GROUPS * KEYS; key++)
		want += size_of(key, version_at(l->snapshot, key / KEYS)) != 0;
	if (n == want + 1) /* the named database's catalog entry */
		return 0;
	fprintf(stderr, "evict: snapshot %lu: a scan finds %u entries instead of %u\n",
	        (unsigned long)l->snapshot, n, want + 1);
	return DAXKV_CORRUPT;
}

static int count(struct look *l)
{
	unsigned int group = (unsigned int)(draw(l) % GROUPS);
	uint64_t n;
	struct name name;
	int rc = daxkv_cursor_get(l->dup_cursor, key_name(group, &name), NULL, DAXKV_SEEK);

	if (!rc)
		rc = daxkv_cursor_count(l->dup_cursor, &n);
	if (rc || n == dups_of(version_at(l->snapshot, group)))
		return rc;
	fprintf(stderr, "evict: snapshot %lu, group %u: %lu duplicates\n",
	        (unsigned long)l->snapshot, group, (unsigned long)n);
	return DAXKV_CORRUPT;
}

static int list(struct look *l)
{
	struct daxkv_db_stat stat;
	struct daxkv_val name = {0};
	int rc = daxkv_db_list_next(l->txn, &name);

	if (!rc)
		rc = daxkv_db_list_next(l->txn, &name);
	if (rc == DAXKV_NOT_FOUND)
		rc = daxkv_db_stat(l->txn, l->dups, &stat);
	return rc;
}

static int look_once(struct look *l)
{
	switch (draw(l) % 8) {
	case 0:
		return scan(l, DAXKV_FIRST, DAXKV_NEXT);
	case 1:
		return scan(l, DAXKV_LAST, DAXKV_PREV);
	case 2:
		return get_many(l);
	case 3:
		return count(l);
	case 4:
		return list(l);
	case 5:
		usleep((useconds_t)(draw(l) % 300));
		return still(l);
	default:
		return get_one(l);
	}
}

static int look_begin(struct look *l)
{
	struct daxkv_val name = {4, (void *)(uintptr_t) "dups"};
	int rc = daxkv_txn_begin(l->store, NULL, DAXKV_TXN_READ_ONLY, &l->txn);

	if (rc)
		return rc;
	l->snapshot = daxkv_txn_id(l->txn);
	l->cursor = l->dup_cursor = NULL;
	rc = daxkv_db_open(l->txn, &name, 0, &l->dups);
	if (!rc)
		rc = daxkv_cursor_open(l->txn, DAXKV_MAIN, &l->cursor);
	if (!rc)
		rc = daxkv_cursor_open(l->txn, l->dups, &l->dup_cursor);
	return rc;
}

static void look_end(struct look *l)
{
	daxkv_cursor_close(l->cursor);
	daxkv_cursor_close(l->dup_cursor);
	daxkv_txn_abort(l->txn);
}

static int reader(unsigned int id)
{
	struct daxkv_options o = {
	    .flags = id % 2 ? DAXKV_READ_ONLY : 0, .pmem = DAXKV_PMEM_FORCE, .max_lag = 1 + id % 3};
	struct look l = {.rng = run.seed * 1000003 + id * 7919, .id = id};
	int rc = daxkv_open(run.path, &o, &l.store);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (rc)
		return failed("open for reading", rc);
	while (!run.board->stop) {
		rc = look_begin(&l);
		for (uint64_t i = draw(&l) % 40; i > 0 && !rc; i--) {
			rc = look_once(&l);
			run.board->calls[id]++;
		}
		look_end(&l);
		if (rc && rc != DAXKV_TOO_OLD)
			return failed("reading", rc);
		run.board->given_up[id] += rc == DAXKV_TOO_OLD;
	}
	rc = daxkv_close(l.store);
	return rc ? failed("close", rc) : 0;
}

/* ---- the parent ------------------------------------------------------------------------------ */

/* alive - nobody has ended, and everybody has called something since the last look. */
static bool alive(pid_t *pid, uint64_t *seen, double *since)
{
	for (unsigned int i = 0; i < run.readers; i++) {
		int status;

		if (waitpid(pid[i], &status, WNOHANG) == pid[i]) {
			fprintf(stderr, "evict: reader %u ended with status 0x%x\n", i,
			        (unsigned int)status);
			pid[i] = 0;
			return false;
		}
		if (run.board->calls[i] != seen[i]) {
			seen[i] = run.board->calls[i];
			since[i] = now();
		} else if (now() - since[i] > STILL_SECONDS) {
			fprintf(stderr, "evict: reader %u (process %d) stands still\n", i,
			        (int)pid[i]);
			return false;
		}
	}
	return true;
}

static int write_and_watch(struct daxkv_store *store, daxkv_db dups, pid_t *pid)
{
	uint64_t seen[MAX_READERS] = {0}, commits = 0, calls = 0, given_up = 0;
	double since[MAX_READERS], end = now() + run.seconds;
	int rc = 0, status, bad = 0;

	for (unsigned int i = 0; i < run.readers; i++)
		since[i] = now();
	for (; now() < end && !rc && !bad; commits++) {
		rc = commit_next(store, dups);
		if (commits % 64 == 0)
			bad = !alive(pid, seen, since);
	}
	run.board->stop = 1;
	for (unsigned int i = 0; i < run.readers; i++) {
		if (bad && pid[i])
			kill(pid[i], SIGKILL);
		if (pid[i] && waitpid(pid[i], &status, 0) == pid[i] && status != 0 && !bad)
			bad = 1;
		calls += run.board->calls[i];
		given_up += run.board->given_up[i];
	}
	if (rc || bad)
		return rc ? failed("writing", rc) : 1;
	rc = daxkv_check(store, NULL, NULL, NULL);
	if (rc)
		return failed("check", rc);
	printf("evict: pages of %u bytes: %lu commits, %lu calls of %u readers, %lu snapshots "
	       "given up under them: no fault\n",
	       run.page_size, (unsigned long)commits, (unsigned long)calls, run.readers,
	       (unsigned long)given_up);
	return given_up == 0;
}

static int start(void)
{
	pid_t pid[MAX_READERS];
	struct daxkv_store *store;
	daxkv_db dups;
	int rc = writer_open(&store, &dups);

	if (rc)
		return failed("making the store", rc);
	for (unsigned int i = 0; i < run.readers; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			_exit(reader(i));
	}
	int bad = write_and_watch(store, dups, pid);

	rc = daxkv_close(store);
	return bad ? bad : rc ? failed("close", rc) : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"dir", 1, NULL, 'd'},       {"seconds", 1, NULL, 's'}, {"readers", 1, NULL, 'r'},
	    {"page-size", 1, NULL, 'p'}, {"seed", 1, NULL, 'S'},    {0}};
	const char *dir = "/dev/shm";
	char name[600];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned int value = optarg ? (unsigned int)strtoul(optarg, NULL, 10) : 0;

		if (c == 'd') {
			dir = optarg;
		} else if (c == 's') {
			run.seconds = value;
		} else if (c == 'r' && value <= MAX_READERS) {
			run.readers = value;
		} else if (c == 'p') {
			run.page_size = value;
		} else if (c == 'S') {
			run.seed = value;
		} else {
			fprintf(stderr, "usage: evict [--dir D] [--seconds N] [--readers N] "
			                "[--page-size N] [--seed N]\n");
			return 2;
		}
	}
	snprintf(run.path, sizeof run.path, "%s/evict-%d.daxkv", dir, (int)getpid());
	run.board = mmap(NULL, sizeof *run.board, PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.board == MAP_FAILED)
		return 1;
	if (start()) {
		printf("evict: FAILED; the store is kept: %s\n", run.path);
		return 1;
	}
	unlink(run.path);
	snprintf(name, sizeof name, "%s-lock", run.path);
	unlink(name);
	return 0;
}
