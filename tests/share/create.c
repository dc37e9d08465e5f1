/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * create.c - processes that create one store at the same moment: all get it, and each leaves an
 * entry.
 *
 *   create [PROCESSES [DIRECTORY]]        100, /dev/shm
 */
#include "daxkv.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[512];

static int failed(const char *what, int rc)
{
	fprintf(stderr, "create: process %d: %s: %s (%s)\n", (int)getpid(), what,
	        daxkv_strerror(rc), daxkv_errmsg());
	return 1;
}

static int open_store(struct daxkv_store **store)
{
	struct daxkv_options o = {.flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FORCE};

	return daxkv_open(path, &o, store);
}

static int leave_record(unsigned int i)
{
	struct daxkv_val key = {sizeof i, &i}, value = {6, (void *)(uintptr_t) "a name"};
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	int rc = open_store(&store);

	if (!rc)
		rc = daxkv_txn_begin(store, NULL, 0, &txn);
	if (!rc)
		rc = daxkv_put(txn, DAXKV_MAIN, &key, &value, DAXKV_NO_OVERWRITE);
	if (!rc)
		rc = daxkv_txn_commit(txn);
	if (!rc)
		rc = daxkv_close(store);
	return rc ? failed("creating together", rc) : 0;
}

static int verify(unsigned int processes)
{
	struct daxkv_store *store;
	struct daxkv_txn *txn;
	struct daxkv_db_stat stat;
	int rc = open_store(&store);

	if (rc)
		return failed("open to verify", rc);
	rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);
	if (!rc) {
		rc = daxkv_db_stat(txn, DAXKV_MAIN, &stat);
		daxkv_txn_abort(txn);
	}
	if (rc || stat.entries != processes || daxkv_check(store, NULL, NULL, NULL))
		return failed("what was created together", rc);
	return daxkv_close(store) ? 1 : 0;
}

int main(int argc, char **argv)
{
	unsigned int processes = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 100;
	volatile int *go =
	    mmap(NULL, sizeof *go, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char lock[600];
	int bad = 0, status;

	if (go == MAP_FAILED || processes == 0 || argc > 3) {
		fprintf(stderr, "usage: create [PROCESSES [DIRECTORY]]\n");
		return 2;
	}
	snprintf(path, sizeof path, "%s/create-%d.daxkv", argc > 2 ? argv[2] : "/dev/shm",
	         (int)getpid());
	for (unsigned int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			while (!*go)
				sched_yield();
			_exit(leave_record(i));
		}
		bad |= pid < 0;
	}
	*go = 1;
	for (unsigned int i = 0; i < processes; i++)
		bad |= wait(&status) < 0 || status != 0;
	if (bad || verify(processes)) {
		printf("create: FAILED; the store is kept: %s\n", path);
		return 1;
	}
	printf("create: %u processes created one store at once: no fault\n", processes);
	snprintf(lock, sizeof lock, "%s-lock", path);
	unlink(path);
	unlink(lock);
	return 0;
}
