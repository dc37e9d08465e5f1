/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * durability.c - the three choices of what a commit waits for, and what each can lose.
 *
 *   strict   a commit is durable when it has returned. Each waits for the medium by itself.
 *   group    the same promise. Threads that commit at the same time share one wait.
 *   lazy     a commit waits for nothing, and is durable at the next sync. A power cut takes what
 *            came behind the last sync, in whole transactions; the death of the process takes
 *            nothing.
 *
 * The program adds COUNT entries, each in a transaction of its own, by 8 threads. It prints how
 * often it waited, what the medium keeps, and how many commits are behind the last sync. Then it
 * reads its standard input to the end, so that one can look at the store meanwhile ("kv info
 * STORE"), or kill the program. At last it calls daxkv_sync. On persistent memory a wait is short,
 * and all commits are durable when they return.
 *
 * usage: durability STORE strict|group|lazy COUNT
 * build: cc durability.c -pthread $(pkg-config --cflags --libs daxkv)
 */
#include <daxkv.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 8u

struct share { /* of the entries, for one thread */
	pthread_t thread;
	struct daxkv_store *store;
	unsigned int from, to;
	int err;
};

static int add(struct daxkv_store *store, unsigned int number)
{
	struct daxkv_val key = {sizeof number, &number}, value = {5, "value"};
	struct daxkv_txn *txn;
	int err = daxkv_txn_begin(store, NULL, 0, &txn);

	if (err)
		return err;
	err = daxkv_put(txn, DAXKV_MAIN, &key, &value, 0);
	if (err) {
		daxkv_txn_abort(txn);
		return err;
	}
	return daxkv_txn_commit(txn);
}

static void *add_share(void *arg)
{
	struct share *share = arg;

	for (unsigned int i = share->from; i < share->to && !share->err; i++)
		share->err = add(share->store, i);
	return NULL;
}

static int add_all(struct daxkv_store *store, unsigned int count)
{
	struct share share[THREADS];
	unsigned int started = 0;
	int err = 0;

	for (unsigned int i = 0; i < THREADS && !err; i++) {
		share[i] = (struct share){
		    .store = store,
		    .from = (unsigned int)((uint64_t)count * i / THREADS),
		    .to = (unsigned int)((uint64_t)count * (i + 1) / THREADS),
		};
		err = pthread_create(&share[i].thread, NULL, add_share, &share[i]);
		started += !err;
	}
	for (unsigned int i = 0; i < started; i++) {
		pthread_join(share[i].thread, NULL);
		if (!err)
			err = share[i].err;
	}
	return err;
}

/* tell_loss - what a power cut would take now, where the medium survives one. */
static int tell_loss(struct daxkv_store *store)
{
	struct daxkv_info info;
	int err = daxkv_info(store, &info);

	if (err)
		return err;
	printf("medium: %s\n", info.durability);
	printf("behind the last sync: %" PRIu64 " commits, for %" PRIu64 " ms\n", info.lazy_commits,
	       info.lazy_ms);
	fflush(stdout);
	return 0;
}

static int work(struct daxkv_store *store, unsigned int count)
{
	struct daxkv_counters before, after;
	int err;

	daxkv_counters(store, &before);
	err = add_all(store, count);
	if (err)
		return err;
	daxkv_counters(store, &after);
	printf("%u commits, %" PRIu64 " waits\n", count, after.fences - before.fences);
	err = tell_loss(store);
	while (!err && getchar() != EOF)
		;
	if (!err)
		err = daxkv_sync(store); /* what is committed survives everything from here on */
	return err ? err : tell_loss(store);
}

int main(int argc, char **argv)
{
	struct daxkv_options options = {.flags = DAXKV_CREATE};
	struct daxkv_store *store;
	int err;

	if (argc == 4 && !strcmp(argv[2], "group")) {
		options.flags |= DAXKV_GROUP_COMMIT;
	} else if (argc == 4 && !strcmp(argv[2], "lazy")) {
		options.durability = DAXKV_LAZY;
	} else if (argc != 4 || strcmp(argv[2], "strict") != 0) {
		fprintf(stderr, "usage: durability STORE strict|group|lazy COUNT\n");
		return 2;
	}
	err = daxkv_open(argv[1], &options, &store);
	if (err) {
		fprintf(stderr, "durability: %s: %s\n", argv[1], daxkv_errmsg());
		return 1;
	}
	err = work(store, (unsigned int)strtoul(argv[3], NULL, 10));
	if (err)
		fprintf(stderr, "durability: %s: %s\n", argv[1], daxkv_strerror(err));
	const int close_err = daxkv_close(store); /* makes a sync, too */

	if (close_err)
		fprintf(stderr, "durability: %s: %s\n", argv[1], daxkv_strerror(close_err));
	return err || close_err;
}
