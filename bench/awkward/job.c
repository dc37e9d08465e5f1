/* SPDX-License-Identifier: BSD-3-Clause */
/* job.c - one phase with one library, in a process of its own. See awkward.h */
#include "awkward.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAP_BYTES ((size_t)64 << 30)
#define MAX_DBS   2048u

static void library_load(struct library *l, const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!library) {
		fprintf(stderr, "bench-awkward: %s\n", dlerror());
		exit(1);
	}
#define FIND(name)                                                                                 \
	do {                                                                                       \
		void *found = dlsym(library, #name);                                               \
		if (!found) {                                                                      \
			fprintf(stderr, "bench-awkward: %s has no %s\n", path, #name);             \
			exit(1);                                                                   \
		}                                                                                  \
		memcpy(&l->name, &found, sizeof found);                                            \
	} while (0);
	AWKWARD_FUNCTIONS(FIND)
#undef FIND
}

void must(const struct job *j, int rc, const char *what)
{
	if (!rc)
		return;
	fprintf(stderr, "bench-awkward: %s: %s: %s\n", j->phase->name, what,
	        j->mdb.mdb_strerror(rc));
	exit(1);
}

void job_open(struct job *j, const char *library, const char *pmem)
{
	const unsigned int flags =
	    MDB_NOSUBDIR | j->phase->env_flags | (j->phase->nests ? 0 : MDB_WRITEMAP);
	char path[4096];

	library_load(&j->mdb, library);
	if (setenv("DAXKV_PMEM", pmem, 1) != 0)
		exit(1);
	(void)snprintf(path, sizeof path, "%s/store", j->dir);
	must(j, j->mdb.mdb_env_create(&j->env), "env_create");
	must(j, j->mdb.mdb_env_set_mapsize(j->env, MAP_BYTES), "env_set_mapsize");
	must(j, j->mdb.mdb_env_set_maxdbs(j->env, MAX_DBS), "env_set_maxdbs");
	must(j, j->mdb.mdb_env_open(j->env, path, flags, 0600), "env_open");
	job_begin(j, 0);
	must(j,
	     j->mdb.mdb_dbi_open(j->txn, j->phase->named ? "main" : NULL,
	                         j->phase->db_flags | MDB_CREATE, &j->dbi),
	     "dbi_open");
	job_commit(j);
	j->rng = 88172645463325252u;
}

void job_close(struct job *j)
{
	if (j->cursor)
		job_cursor_end(j);
	if (j->old)
		j->mdb.mdb_txn_abort(j->old);
	if (j->txn)
		job_abort(j);
	j->mdb.mdb_env_close(j->env);
}

void job_begin(struct job *j, unsigned int flags)
{
	must(j, j->mdb.mdb_txn_begin(j->env, NULL, flags, &j->txn), "txn_begin");
}

void job_commit(struct job *j)
{
	MDB_txn *txn = j->txn;

	j->txn = NULL;
	must(j, j->mdb.mdb_txn_commit(txn), "txn_commit");
}

void job_abort(struct job *j)
{
	j->mdb.mdb_txn_abort(j->txn);
	j->txn = NULL;
}

void job_step(struct job *j, uint64_t i)
{
	if (i % TXN_OPS)
		return;
	if (j->txn)
		job_commit(j);
	job_begin(j, 0);
}

MDB_val job_key(struct job *j, uint64_t id)
{
	const uint64_t front = __builtin_bswap64(id);

	memcpy(j->key, &front, sizeof front);
	return (MDB_val){KEY_BYTES, j->key};
}

MDB_val job_value(struct job *j, uint64_t id, size_t size)
{
	memcpy(j->value, &id, sizeof id);
	return (MDB_val){size, j->value};
}

void job_put_size(struct job *j, uint64_t id, size_t size)
{
	MDB_val k = job_key(j, id), v = job_value(j, id, size);

	must(j, j->mdb.mdb_put(j->txn, j->dbi, &k, &v, 0), "put");
}

void job_put(struct job *j, uint64_t id)
{
	job_put_size(j, id, VALUE_BYTES);
}

void job_del(struct job *j, uint64_t id)
{
	MDB_val k = job_key(j, id);

	must(j, j->mdb.mdb_del(j->txn, j->dbi, &k, NULL), "del");
}

/* add - the first bytes of what was read. */
static void add(struct job *j, const MDB_val *v)
{
	uint64_t word = 0;

	memcpy(&word, v->mv_data, v->mv_size < sizeof word ? v->mv_size : sizeof word);
	j->sum = j->sum * 31 + word + v->mv_size;
}

void job_get(struct job *j, MDB_txn *txn, uint64_t id)
{
	MDB_val k = job_key(j, id), v;

	must(j, j->mdb.mdb_get(txn, j->dbi, &k, &v), "get");
	add(j, &v);
}

void job_fill(struct job *j, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		job_step(j, i);
		job_put(j, i);
	}
	job_commit(j);
}

void job_fill_random(struct job *j, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		job_step(j, i);
		job_put(j, job_mix(i));
	}
	job_commit(j);
}

void job_cursor(struct job *j)
{
	must(j, j->mdb.mdb_cursor_open(j->txn, j->dbi, &j->cursor), "cursor_open");
}

int job_move(struct job *j, MDB_cursor_op op)
{
	MDB_val k, v;
	int rc = j->mdb.mdb_cursor_get(j->cursor, &k, &v, op);

	if (rc == MDB_NOTFOUND)
		return rc;
	must(j, rc, "cursor_get");
	add(j, &v);
	return 0;
}

void job_cursor_end(struct job *j)
{
	j->mdb.mdb_cursor_close(j->cursor);
	j->cursor = NULL;
}

uint64_t job_draw(struct job *j, uint64_t n)
{
	j->rng ^= j->rng << 13;
	j->rng ^= j->rng >> 7;
	j->rng ^= j->rng << 17;
	return (uint64_t)(((unsigned __int128)j->rng * n) >> 64);
}

uint64_t job_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

double job_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}
