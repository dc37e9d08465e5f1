/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "plan.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS_PART 10u   /* of the operations, for each of several writers */
#define WRITER_IDS   1000u /* entries that the thread beside the readers rewrites */

#define RANDOM(n, w, k, ...)                                                                       \
	{                                                                                          \
		.name = n, .what = w, .store = BENCH_STORE_RANDOM, .kind = k, __VA_ARGS__          \
	}
#define OTHER(n, w, s, k, ...)                                                                     \
	{                                                                                          \
		.name = n, .what = w, .store = s, .kind = k, __VA_ARGS__                           \
	}

static const struct bench_phase phases[] = {
    RANDOM("load", "put of random keys, 1,000 a transaction", BENCH_PUT, .batch = BENCH_TXN,
           .floor_streams = 1),
    RANDOM("insert", "put of a new random key, one a transaction", BENCH_PUT, .batch = 1,
           .floor_reads = 1, .floor_commits = 1),
    RANDOM("update", "put of an existing random key, one a transaction", BENCH_PUT, .batch = 1,
           .floor_reads = 1, .floor_commits = 1),
    RANDOM("tail", "the same, each transaction timed by itself", BENCH_PUT, .batch = 1, .timed = 1,
           .floor_reads = 1, .floor_commits = 1),
    RANDOM("get", "get of an existing random key", BENCH_GET, .floor_reads = 1),
    RANDOM("get-txn", "get of an existing random key, each in a transaction of its own", BENCH_GET,
           .batch = 1, .floor_reads = 1),
    RANDOM("get-many", "get of an existing random key, 64 a call", BENCH_GET, .many = 1,
           .floor_reads = 1),
    RANDOM("scan", "an entry of a full scan, forward", BENCH_SCAN, .batch = 0),
    RANDOM("back", "an entry of a full scan, backward", BENCH_SCAN_BACK, .batch = 0),
    RANDOM("seek50", "seek to a random key and read the 50 that follow it", BENCH_RANGE,
           .batch = 0),
    RANDOM("ycsb-a", "YCSB A: half get, half update, zipfian", BENCH_MIXED, .floor_reads = 0.5,
           .floor_commits = 0.5),
    RANDOM("ycsb-b", "YCSB B: 95 % get, 5 % update, zipfian", BENCH_MIXED, .floor_reads = 0.95,
           .floor_commits = 0.05),
    RANDOM("ycsb-c", "YCSB C: get, zipfian", BENCH_MIXED, .floor_reads = 1),
    RANDOM("ycsb-d", "YCSB D: 95 % get of latest entries, 5 % insert", BENCH_MIXED,
           .floor_reads = 0.95, .floor_commits = 0.05),
    RANDOM("ycsb-e", "YCSB E: 95 % read 1 to 100 from a zipfian key on, 5 % insert", BENCH_MIXED,
           .batch = 0),
    RANDOM("ycsb-f", "YCSB F: half get, half read, change and write, zipfian", BENCH_MIXED,
           .floor_reads = 1, .floor_commits = 0.5),
    RANDOM("read1", "get by 1 thread, nobody else", BENCH_READERS, .threads = 1, .floor_reads = 1),
    RANDOM("read1+w", "get by 1 thread while another commits one-put transactions", BENCH_READERS,
           .threads = 1, .writer = 1, .floor_reads = 1),
    RANDOM("read2", "get by 2 threads, nobody else", BENCH_READERS, .threads = 2,
           .floor_reads = 0.5),
    RANDOM("read2+w", "get by 2 threads while another commits one-put transactions", BENCH_READERS,
           .threads = 2, .writer = 1, .floor_reads = 0.5),
    RANDOM(
        "idle100",
        "put of an existing random key, one a transaction, beside 100 open readers that do nothing",
        BENCH_PUT, .batch = 1, .idle = 100, .floor_reads = 1, .floor_commits = 1),
    RANDOM("write1", "put of an existing random key, one a transaction, by 1 thread", BENCH_WRITERS,
           .threads = 1),
    RANDOM("write2", "the same by 2 threads", BENCH_WRITERS, .threads = 2),
    RANDOM("write8", "the same by 8 threads", BENCH_WRITERS, .threads = 8),
    RANDOM("write32", "the same by 32 threads", BENCH_WRITERS, .threads = 32),
    RANDOM("lazy1", "put of an existing random key, one a transaction that waits for a sync",
           BENCH_PUT, .batch = 1, .relaxed = 1),
    RANDOM("lazy1000", "the same, 1,000 a transaction", BENCH_PUT, .batch = BENCH_TXN,
           .relaxed = 1),
    RANDOM("sync", "a sync behind 1,000 such transactions of one put", BENCH_SYNC, .batch = 1,
           .relaxed = 1),
    RANDOM("delete", "delete of an existing random key, one a transaction", BENCH_DEL, .batch = 1,
           .floor_reads = 1, .floor_commits = 1),
    OTHER("ascend", "plain put of ascending keys, 1,000 a transaction", BENCH_STORE_ASCEND,
          BENCH_PUT, .batch = BENCH_TXN, .floor_streams = 1),
    OTHER("append", "put of ascending keys with APPEND, 1,000 a transaction", BENCH_STORE_APPEND,
          BENCH_PUT, .batch = BENCH_TXN, .append = 1, .floor_streams = 1),
    OTHER("put-many", "put of random keys, 1,000 a transaction and a call", BENCH_STORE_MANY,
          BENCH_PUT, .batch = BENCH_TXN, .many = 1, .floor_streams = 1),
    OTHER("scan-many", "an entry of a full scan, forward, 64 a call", BENCH_STORE_MANY, BENCH_SCAN,
          .batch = 0, .many = 1),
    OTHER("back-many", "the same backward", BENCH_STORE_MANY, BENCH_SCAN_BACK, .batch = 0,
          .many = 1),
    OTHER("bulk", "sorted load, 1,000 a transaction", BENCH_STORE_BULK, BENCH_PUT,
          .batch = BENCH_TXN, .append = 1, .many = 1, .floor_streams = 1),
    OTHER("cut", "an entry of the half of them that goes as one range", BENCH_STORE_BULK, BENCH_CUT,
          .batch = 0),
    OTHER("put64k", "put of a value of 64 KiB, one a transaction", BENCH_STORE_LARGE, BENCH_PUT,
          .batch = 1, .floor_streams = 1),
    OTHER("get64k", "get of a value of 64 KiB, 8 bytes of each cache line read", BENCH_STORE_LARGE,
          BENCH_GET, .batch = 0),
    OTHER("reopen", "open and one get after SIGKILL", BENCH_STORE_KILLED, BENCH_REOPEN, .batch = 0),
};
#define PHASES (sizeof phases / sizeof phases[0])

_Static_assert(PHASES <= BENCH_PHASES, "the report has a row for each phase");

const struct bench_phase *plan_phase(size_t i)
{
	return i < PHASES ? &phases[i] : NULL;
}

/* name_matches - whether wanted, len bytes, names the phase or a group that it belongs to. */
static int name_matches(const char *name, const char *wanted, size_t len)
{
	return (strlen(name) == len && memcmp(name, wanted, len) == 0) ||
	       (len == 4 && memcmp(wanted, "ycsb", 4) == 0 && strncmp(name, "ycsb-", 5) == 0) ||
	       (len == 7 && memcmp(wanted, "readers", 7) == 0 && strncmp(name, "read", 4) == 0) ||
	       (len == 7 && memcmp(wanted, "writers", 7) == 0 && strncmp(name, "write", 5) == 0) ||
	       (len == 4 && memcmp(wanted, "lazy", 4) == 0 &&
	        (strncmp(name, "lazy", 4) == 0 || strcmp(name, "sync") == 0));
}

int plan_chosen(const struct bench_config *config, size_t phase)
{
	for (const char *at = config->only; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (name_matches(phases[phase].name, at, strcspn(at, ",")))
			return 1;
	return !config->only;
}

int plan_names(const char *list)
{
	for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		int known = 0;

		for (size_t p = 0; p < PHASES; p++)
			known |= name_matches(phases[p].name, at, strcspn(at, ","));
		if (!known)
			return 0;
	}
	return 1;
}

int plan_wanted(const struct bench_config *config, size_t phase)
{
	int first = phase == 0 || phases[phase - 1].store != phases[phase].store;

	if (plan_chosen(config, phase))
		return 1;
	for (size_t i = phase + 1; first && i < PHASES && phases[i].store == phases[phase].store;
	     i++)
		if (plan_chosen(config, i))
			return 1;
	return 0;
}

/* ---- operations ------------------------------------------------------------------------------ */

struct zipf { /* ranks from 0 to n - 1; low ones come often. After Gray and others, "Quickly
	         generating billion-record databases" */
	double n, theta, alpha, zetan, eta, half;
};

static void zipf_make(struct zipf *z, uint64_t n)
{
	z->n = (double)n;
	z->theta = 0.99;
	z->alpha = 1 / (1 - z->theta);
	z->zetan = 0;
	for (uint64_t i = 1; i <= n; i++)
		z->zetan += 1 / pow((double)i, z->theta);
	z->half = 1 + pow(0.5, z->theta);
	z->eta = (1 - pow(2 / z->n, 1 - z->theta)) / (1 - z->half / z->zetan);
}

static uint64_t zipf_draw(const struct zipf *z, uint64_t random)
{
	double u = (double)(random >> 11) / 9007199254740992.0, uz = u * z->zetan;
	uint64_t rank;

	if (uz < 1 || z->n < 2)
		return 0;
	if (uz < z->half)
		return 1;
	rank = (uint64_t)(z->n * pow(z->eta * u - z->eta + 1, z->alpha));
	return rank < (uint64_t)z->n ? rank : (uint64_t)z->n - 1;
}

static uint64_t phase_reported(const struct bench_config *c, const struct bench_phase *phase,
                               const struct contents *contents)
{
	uint64_t n = 0;

	switch (phase->kind) {
	case BENCH_SCAN:
	case BENCH_SCAN_BACK:
		for (uint64_t i = 0; i < contents->ids; i++)
			n += contents->versions[i] != 0;
		return n;
	case BENCH_MIXED:
		return c->mixed_ops;
	case BENCH_READERS:
		return c->ops * phase->threads;
	case BENCH_SYNC:
		return c->ops < BENCH_TXN ? 1 : c->ops / BENCH_TXN;
	case BENCH_WRITERS:
		return phase->threads * (c->ops < WRITERS_PART ? 1 : c->ops / WRITERS_PART);
	case BENCH_REOPEN:
		return 1;
	case BENCH_CUT:
		return c->entries / 2;
	default:
		if (phase->store == BENCH_STORE_LARGE)
			return c->large_ops;
		if (phase->idle)
			return c->ops < BENCH_IDLE
			           ? 1
			           : c->ops / BENCH_IDLE; /* no page that the idle readers may see
			                                     is used again meanwhile */
		return phase->batch == BENCH_TXN ? c->entries : c->ops;
	}
}

/* op_mixed - one operation of a YCSB mix, whose letter is the last of the phase's name. */
static void op_mixed(const struct bench_phase *phase, const struct zipf *z,
                     struct contents *contents, uint64_t *rng, struct bench_op *op)
{
	char letter = phase->name[strlen(phase->name) - 1];
	uint64_t percent = phase_mix(++*rng) % 100, rank = zipf_draw(z, phase_mix(++*rng));
	uint64_t reads = letter == 'a' || letter == 'f' ? 50 : letter == 'c' ? 100 : 95;

	op->id = letter == 'd' ? contents->next - 1 - rank : rank;
	op->kind = letter == 'e' ? BENCH_RANGE : BENCH_GET;
	op->length = (uint16_t)(1 + phase_mix(++*rng) % 100);
	if (percent < reads)
		return;
	op->kind = letter == 'f' ? BENCH_MODIFY : BENCH_PUT;
	if (letter == 'd' || letter == 'e')
		op->id = contents->next++;
	op->version = ++contents->versions[op->id];
}

static void op_draw(const struct bench_config *c, const struct bench_phase *phase, uint64_t i,
                    struct contents *contents, uint64_t *rng, struct bench_op *op)
{
	int existing = strcmp(phase->name, "update") == 0 || phase->timed || phase->relaxed ||
	               phase->kind == BENCH_GET || phase->kind == BENCH_RANGE;
	uint64_t known = phase->store == BENCH_STORE_LARGE ? c->large_ops : c->entries;

	op->id = i;
	if (strcmp(phase->name, "insert") == 0)
		op->id = contents->next;
	else if (existing)
		op->id = phase_mix(++*rng) % known;
	if (phase->kind == BENCH_WRITERS && known >= phase->threads)
		op->id = phase_mix(++*rng) % (known / phase->threads) * phase->threads +
		         i % phase->threads;
	if (phase->kind == BENCH_PUT || phase->kind == BENCH_READERS ||
	    phase->kind == BENCH_WRITERS || phase->kind == BENCH_SYNC)
		op->version = ++contents->versions[op->id];
	else if (phase->kind == BENCH_DEL)
		contents->versions[op->id] = 0;
	if (op->id >= contents->next)
		contents->next = op->id + 1;
}

static uint64_t plan_user_bytes(const struct bench_config *c, const struct bench_plan *plan)
{
	uint64_t n = 0, entry = c->key_size + phase_value_size(c, plan->phase->store);

	if (plan->phase->kind == BENCH_PUT || plan->phase->kind == BENCH_WRITERS ||
	    plan->phase->kind == BENCH_SYNC)
		return plan->n * entry;
	if (plan->phase->kind == BENCH_DEL)
		return plan->n * c->key_size;
	for (uint64_t i = 0; plan->phase->kind == BENCH_MIXED && i < plan->n; i++)
		n += plan->ops[i].version ? entry : 0;
	return n;
}

int plan_make(const struct bench_config *c, size_t number, struct contents *contents,
              struct bench_plan *plan)
{
	const struct bench_phase *phase = &phases[number];
	uint64_t rng = number * 1000003u;
	struct zipf z = {0};

	plan->phase = phase;
	plan->reported = phase_reported(c, phase, contents);
	plan->n = plan->reported;
	if (phase->kind == BENCH_SCAN || phase->kind == BENCH_SCAN_BACK ||
	    phase->kind == BENCH_REOPEN || phase->kind == BENCH_CUT)
		plan->n = 0;
	for (uint64_t i = 0; phase->kind == BENCH_CUT && i < plan->reported; i++)
		contents->versions[c->entries / 4 + i] = 0;
	if (phase->kind == BENCH_SYNC)
		plan->n = plan->reported * (c->ops < BENCH_TXN ? c->ops : BENCH_TXN);
	if (phase->kind == BENCH_READERS)
		plan->n = !phase->writer ? 0 : c->entries < WRITER_IDS ? c->entries : WRITER_IDS;
	plan->ops = calloc(plan->n + 1, sizeof *plan->ops);
	if (!plan->ops)
		return ENOMEM;
	if (phase->kind == BENCH_MIXED)
		zipf_make(&z, c->entries);
	for (uint64_t i = 0; i < plan->n; i++)
		if (phase->kind == BENCH_MIXED)
			op_mixed(phase, &z, contents, &rng, &plan->ops[i]);
		else
			op_draw(c, phase, i, contents, &rng, &plan->ops[i]);
	plan->user_bytes = plan_user_bytes(c, plan);
	return 0;
}

/* ---- what a store holds ---------------------------------------------------------------------- */

int contents_make(const struct bench_config *config, struct contents *contents)
{
	memset(contents, 0, sizeof *contents);
	/* The inserts of the phase of that name, and those of the mixes, of which there are at most
	 * two for each operation. */
	contents->ids = config->entries + config->ops + 2 * config->mixed_ops + config->large_ops;
	contents->versions = calloc(contents->ids, sizeof *contents->versions);
	return contents->versions ? 0 : ENOMEM;
}

void contents_clear(struct contents *contents)
{
	memset(contents->versions, 0, contents->ids * sizeof *contents->versions);
	contents->next = 0;
}

int contents_sum(const struct bench_config *c, enum bench_store store, struct contents *contents)
{
	size_t size = phase_value_size(c, store);
	unsigned char *key = malloc(c->key_size), *value = malloc(size);
	int err = key && value ? 0 : ENOMEM;

	contents->count = contents->sum = 0;
	for (uint64_t i = 0; !err && i < contents->ids; i++)
		if (contents->versions[i]) {
			phase_key(c, store, i, key);
			phase_value(size, i, contents->versions[i], value);
			contents->count++;
			contents->sum += phase_hash((struct bench_bytes){key, c->key_size},
			                            (struct bench_bytes){value, size});
		}
	free(key);
	free(value);
	return err;
}

static int failure_report(const struct bench_engine *e, int err)
{
	fprintf(stderr, "bench: %s: verify: %s\n", e->name, e->errmsg(err));
	return 1;
}

int contents_verify(const struct bench_engine *e, void *session, const struct contents *contents)
{
	struct bench_bytes k = {NULL, 0}, v;
	unsigned char last[BENCH_KEY_MAX];
	size_t last_size = 0;
	uint64_t count = 0, sum = 0;
	int err = e->begin(session, 0), disorder = 0;

	if (err)
		return failure_report(e, err);
	err = e->cursor_open(session);
	if (err) {
		e->abort(session);
		return failure_report(e, err);
	}
	err = e->move(session, BENCH_FIRST, &k, &v);
	while (!err) {
		if (k.size > sizeof last ||
		    (count && (k.size != last_size || memcmp(last, k.data, k.size) >= 0))) {
			disorder = 1;
			break;
		}
		memcpy(last, k.data, k.size);
		last_size = k.size;
		count++;
		sum += phase_hash(k, v);
		err = e->move(session, BENCH_NEXT, &k, &v);
	}
	e->cursor_close(session);
	e->abort(session);
	if (err && err != BENCH_END)
		return failure_report(e, err);
	if (disorder || count != contents->count || sum != contents->sum) {
		fprintf(stderr,
		        "bench: %s holds %" PRIu64 " entries with checksum %016" PRIx64
		        "%s; expected %" PRIu64 ", %016" PRIx64 "\n",
		        e->name, count, sum, disorder ? " before a key out of order" : "",
		        contents->count, contents->sum);
		return 1;
	}
	return 0;
}
