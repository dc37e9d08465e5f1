/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flip.c - every single bit of a small store, flipped: no crash, no hang, and nothing wrong that goes unnoticed.
 *
 *   flip [--dir D] [--step N]        every N-th bit; 1 by default
 *
 * Two stores with pages of 512 bytes and some of everything in them - splits, appended entries, tombstones, duplicates, large values, named databases -
 * one closed, one as a killed process leaves it. For each flip the file is opened read-only, checked, and read from end to end in all databases. A flip is refused at
 * open, or found by the check, or it changes nothing that a reader sees; a flip that the check does not find and a reader sees is a failure. Run it
 * under AddressSanitizer, too.
 */
#include "daxkv.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HANG_SECONDS 20

static struct {
	char path[512];
	uint8_t *image;
	size_t size, used;
	uint64_t flips, refused, found, unseen, wrong;
} run;

static void must(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "flip: %s: %s (%s)\n", what, daxkv_strerror(rc), daxkv_errmsg());
	exit(1);
}

static struct daxkv_val val(char *bytes, size_t size)
{
	return (struct daxkv_val){size, bytes};
}

static void fill(struct daxkv *kv, const char *name, unsigned int flags, unsigned int n, size_t value_size)
{
	static char big[8000];
	char key[32], copy[32];
	struct daxkv_txn *txn;
	daxkv_db db = DAXKV_MAIN;

	for (unsigned int i = 0; i < n; i++) {
		must(daxkv_begin(kv, NULL, 0, &txn), "begin");
		if (name) {
			struct daxkv_val v = val(copy, (size_t)snprintf(copy, sizeof copy, "%s", name));

			must(daxkv_db_open(txn, &v, flags | DAXKV_CREATE, &db), "db_open");
		}
		struct daxkv_val k = val(key, (size_t)snprintf(key, sizeof key, flags & DAXKV_DUP_SORT ? "key %u" : "some key %u", i * 7919 % n / (flags ? 5 : 1)));
		size_t size = i % 13 == 5 && !flags ? 3000 : value_size + i % 17;
		struct daxkv_val v = val(big, size);

		memset(big, (int)i, size);
		must(daxkv_put(txn, db, &k, &v, 0), "put");
		if (i % 9 == 8)
			must(daxkv_del(txn, db, &k, NULL), "del");
		must(daxkv_commit(txn), "commit");
	}
}

static void slurp(void)
{
	struct stat st;
	int fd = open(run.path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) || !(run.image = malloc((size_t)st.st_size)) || read(fd, run.image, (size_t)st.st_size) != st.st_size) {
		perror(run.path);
		exit(1);
	}
	close(fd);
	run.size = (size_t)st.st_size;
	for (run.used = run.size; run.used && run.image[run.used - 1] == 0;)
		run.used--;
}

/* make - the image of the store; with killed, as it is without a close. */
static void make(bool killed)
{
	struct daxkv_options o = {.flags = DAXKV_CREATE | DAXKV_NOLOCK, .pmem = DAXKV_PMEM_FORCE, .page_size = 512};
	struct daxkv *kv;

	unlink(run.path);
	must(daxkv_open(run.path, &o, &kv), "create");
	fill(kv, NULL, 0, 90, 20);
	fill(kv, "dups", DAXKV_DUP_SORT, 60, 6);
	fill(kv, "numbers", DAXKV_REVERSE_KEY, 40, 10);
	if (killed)
		slurp();
	must(daxkv_close(kv), "close");
	if (!killed)
		slurp();
}

static uint64_t mix(uint64_t hash, const struct daxkv_val *v)
{
	const uint8_t *p = v->data;

	for (size_t i = 0; i < v->size; i++)
		hash = (hash ^ p[i]) * 0x100000001b3u;
	return (hash ^ v->size) * 0x100000001b3u;
}

/* read_db - a hash of all pairs; what fails is part of it. */
static uint64_t read_db(struct daxkv_txn *txn, daxkv_db db, uint64_t hash)
{
	struct daxkv_cursor *c;
	struct daxkv_val key, value;
	int rc = daxkv_cursor_open(txn, db, &c);

	if (rc)
		return hash ^ (uint64_t)(unsigned int)rc;
	for (unsigned int n = 0; n < 100000 && (rc = daxkv_cursor_get(c, &key, &value, DAXKV_NEXT)) == 0; n++)
		hash = mix(mix(hash, &key), &value);
	daxkv_cursor_close(c);
	return hash ^ (uint64_t)(unsigned int)rc << 32;
}

static uint64_t read_all(struct daxkv *kv)
{
	struct daxkv_val name = {0, NULL};
	struct daxkv_txn *txn;
	uint64_t hash = 0xcbf29ce484222325u;
	int rc = daxkv_begin(kv, NULL, DAXKV_TXN_RDONLY, &txn);

	if (rc)
		return 0;
	hash = read_db(txn, DAXKV_MAIN, hash);
	for (unsigned int n = 0; n < 1000 && daxkv_db_next(txn, &name) == 0; n++) {
		daxkv_db db;

		rc = daxkv_db_open(txn, &name, 0, &db);
		hash = rc ? hash * 31 + (uint64_t)(unsigned int)rc : read_db(txn, db, mix(hash, &name));
		if (!rc)
			daxkv_db_close(kv, db);
	}
	daxkv_abort(txn);
	return hash;
}

/* look - open, check, read. Returns false when the store was refused. */
static bool look(uint64_t *hash, uint64_t *faults)
{
	struct daxkv_options o = {.flags = DAXKV_RDONLY | DAXKV_NOLOCK};
	struct daxkv *kv;

	alarm(HANG_SECONDS);
	if (daxkv_open(run.path, &o, &kv))
		return false;
	int rc = daxkv_check(kv, NULL, NULL, faults);

	if (rc && rc != DAXKV_CORRUPT)
		must(rc, "check");
	*hash = read_all(kv);
	must(daxkv_close(kv), "close");
	return true;
}

static void flip_all(size_t step)
{
	uint64_t right = 0, faults = 0, hash = 0;
	int fd = open(run.path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, run.image, run.size) != (ssize_t)run.size || !look(&right, &faults) || faults) {
		fprintf(stderr, "flip: the store is not sound to begin with\n");
		exit(1);
	}
	for (size_t bit = 0; bit < run.used * 8; bit += step) {
		uint8_t byte = (uint8_t)(run.image[bit / 8] ^ 1u << bit % 8);

		if (pwrite(fd, &byte, 1, (off_t)(bit / 8)) != 1)
			exit(1);
		faults = 0;
		run.flips++;
		if (!look(&hash, &faults))
			run.refused++;
		else if (faults)
			run.found++;
		else if (hash == right)
			run.unseen++;
		else {
			run.wrong++;
			printf("flip: byte %zu bit %zu: the check finds nothing, and a reader sees something else\n", bit / 8, bit % 8);
		}
		if (pwrite(fd, &run.image[bit / 8], 1, (off_t)(bit / 8)) != 1)
			exit(1);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"dir", 1, NULL, 'd'}, {"step", 1, NULL, 's'}, {0}};
	const char *dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	size_t step = 1;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'd')
			dir = optarg;
		else if (c == 's')
			step = strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (step == 0 || optind != argc) {
		fprintf(stderr, "usage: flip [--dir D] [--step N]\n");
		return 2;
	}
	snprintf(run.path, sizeof run.path, "%s/flip-%d.daxkv", dir, (int)getpid());
	for (int killed = 0; killed < 2; killed++) {
		make(killed);
		flip_all(step);
		free(run.image);
	}
	unlink(run.path);
	printf("flip: %lu bits of two stores: %lu refused at open, %lu found by the check, %lu in bytes that nobody reads, %lu wrong and not found\n",
	       (unsigned long)run.flips, (unsigned long)run.refused, (unsigned long)run.found, (unsigned long)run.unseen, (unsigned long)run.wrong);
	return run.wrong != 0;
}
