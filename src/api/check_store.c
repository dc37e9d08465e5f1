/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_store.c - which state daxkv_check looks at, and how it keeps out of writers' way.
 *
 *   1. Without a lock: the newest commit is whole, and stays so until the next one is written. A
 *      commit stores its record before it changes a word [I1], so the place of the next record
 *      shows whether what was read is still that state. A write transaction that is only running
 *      changes nothing there.
 *   2. When commits come in between: holding the writer's lock, so that nobody commits.
 *   3. Behind a writer that died or failed in its commit: a copy in private memory, recovered
 *      there. The file is left for the next writer to recover.
 *
 * The rule that makes it correct: no fault is told before the state was seen to be the same as at
 * the beginning. So a writer beside is never taken for damage.
 */
#include "api/check_store.h"

#include "base/cancel.h"
#include "base/crc.h"
#include "base/err.h"
#include "check/check.h"
#include "redo/recover.h"
#include "txn/commit.h"
#include "txn/store.h"
#include "txn/txn.h"
#include "txn/txn_check.h"
#include "txn/writer.h"

#include <stdlib.h>
#include <time.h>

/* waited for the lock before the state is looked at again: its owner may be idle */
#define HOLD_MS  50
#define PAUSE_NS 1000000

struct check_faults { /* of one look at the store: nothing is told of one that has to be repeated */
	char *text[CHECK_MAX_REPORTS];
	size_t n;
	uint64_t found;
	const struct daxkv_check *options;
	int ended; /* what the caller's progress returned, when it was not 0 */
};

struct unpublished { /* a record that nobody has published so far */
	uint64_t next;
	int64_t since;
};

struct state { /* what a look is at */
	struct daxkv_store *store;
	/* the newest published commit */
	uint64_t txn;
	/* the superblock's word, as it was then */
	uint64_t clean;
	/* the number in the place of record txn + 1: it changes before anything else does */
	uint64_t next;
};

/* fault_keep - the checker's report: a copy of the text, as long as there are not too many. Without
 * memory the fault is counted, and not told. */
static void fault_keep(const char *text, void *arg)
{
	struct check_faults *f = arg;
	char *copy = NULL;

	if (f->n < CHECK_MAX_REPORTS)
		copy = strdup(text);
	if (copy)
		f->text[f->n++] = copy;
}

/* faults_forget - before a look is repeated, and at the end. */
static void faults_forget(struct check_faults *f)
{
	while (f->n)
		free(f->text[--f->n]);
	f->found = 0;
}

/* By pread(2), not by the mapping, which may be a private copy. Superblock and ring go in: each
 * commit changes one of them. errno. */
int store_stamp(const struct daxkv_store *store, uint64_t *stamp)
{
	const uint64_t end = store->geometry.ring_off + FMT_RING_RECORD * FMT_RING_RECORDS;
	uint64_t bytes[FMT_SUPER_SIZE / FMT_WORD];
	uint64_t hash = store->geometry.file_id;

	for (uint64_t at = 0; at < end;) {
		ssize_t n = pread(store->map.fd, bytes, min_u64(sizeof bytes, end - at), (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || n % FMT_WORD != 0)
			return err_sys(n < 0 ? errno : EIO, "reading the ring");
		hash = hash64(hash, bytes, (size_t)n);
		at += (uint64_t)n;
	}
	*stamp = hash;
	return 0;
}

/* alone - whether this reader shares nothing with writers: it may not use the lock file, or has a
 * copy of its own. Then nothing keeps writers away, and only the file's stamp shows that there was
 * one. */
static bool alone(const struct daxkv_store *store)
{
	if (!store->read_only)
		return false;
	if (store->share_file.fd >= 0)
		return false;
	return !store->external_lock;
}

/* next_of - the number in the place where the record behind that commit will be. */
static uint64_t next_of(const struct daxkv_store *store, uint64_t txn)
{
	return load_word(ring_at(&store->ring, txn + 1));
}

/* file_txn - the commit that the file shows: lazy ones since its last sync are not there for who
 * comes by its superblock. */
static uint64_t file_txn(const struct daxkv_store *store)
{
	for (;;) {
		const bool lazy = store_lazy(store);
		const uint64_t txn = lazy ? load_seq_cst(&store->share->interval.synced)
		                          : load_seq_cst(&store->share->published);

		fence_loads();
		if (lazy == (bool)store_lazy(store))
			return txn;
	}
}

/* state_now - the newest commit, and what changes when it is one no more. published is loaded
 * first: what is read later may be newer, which state_moved then finds. */
static struct state state_now(struct daxkv_store *store)
{
	const struct fmt_super *super = map_super(&store->map);
	struct state s = {.store = store, .txn = file_txn(store)};

	s.next = next_of(store, s.txn);
	s.clean = load_word(&super->clean);
	return s;
}

/* state_moved - what was read before this call may be of another state. */
static bool state_moved(void *arg)
{
	const struct state *s = arg;
	const struct fmt_super *super = map_super(&s->store->map);

	/* pairs with the release stores of commit_store, which come behind the record */
	fence_loads();
	if (file_txn(s->store) != s->txn)
		return true;
	if (next_of(s->store, s->txn) != s->next)
		return true;
	return load_word(&super->clean) != s->clean;
}

/* told - the checker's progress. */
static bool told(uint64_t pages, uint64_t total, void *arg)
{
	struct check_faults *f = arg;

	f->ended = f->options->progress(pages, total, f->options->arg);
	return f->ended;
}

/* look - at the state that base shows. EAGAIN when it has moved. *map may be the store's, or a
 * private copy. Faults of an earlier look are forgotten first. Errors of check_run. */
static int look(const struct map *map, struct state *s, bool may_move, struct check_faults *f)
{
	assert(map->base);
	struct check_input in = {
	    .base = map->base,
	    .txn = s->txn,
	    .report = fault_keep,
	    .arg = f,
	};

	in.mapped = load_word(&map->size);
	if (may_move) {
		in.moved = state_moved;
		in.moved_arg = s;
	}
	if (f->options->progress)
		in.progress = told;
	in.progress_arg = f;
	faults_forget(f);
	return check_run(&in, &f->found);
}

/* see_all - have mapped what the newest commit uses. Another process may have made the file grow
 * [I17]. CORRUPT, errno of mmap. */
static int see_all(struct daxkv_store *store)
{
	const struct fmt_super *super = map_super(&store->map);
	uint64_t size = load_word(&super->size);

	if (size > load_word(&store->map.size))
		return map_extend(&store->map, size);
	return 0;
}

/* look_free - without a lock. EAGAIN when a commit is half done, or came in between. That the
 * writer's record is there but not yet published is seen by its place in the ring: it is the next
 * number, or that of a sync, which may be larger. An error of
 * mapping counts only when the state is still the same, as a fault does. */
static int look_free(struct daxkv_store *store, struct check_faults *f)
{
	assert(!alone(store));
	int rc = 0;

	if (store->external_lock)
		rc = commit_follow(store);
	if (!rc)
		rc = see_all(store);
	struct state s = state_now(store);

	if (rc) {
		if (state_moved(&s))
			return EAGAIN;
		return rc;
	}
	if (s.next > s.txn)
		return EAGAIN;
	return look(&store->map, &s, true, f);
}

/* look_reading - the same as a reader, under which the file is not cut. EAGAIN when there is no
 * reader entry left: with the lock it is not cut either. */
static int look_reading(struct daxkv_store *store, struct check_faults *f)
{
	struct daxkv_txn *txn;

	if (store->external_lock)
		return look_free(store, f);
	if (daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn))
		return EAGAIN;
	int rc = look_free(store, f);

	txn_read_end(txn);
	return rc;
}

/* look_recovered - at what the next writer will recover. The writer's lock is held, or the look
 * counts only when nothing has moved meanwhile. The file is mapped privately, so recovery changes
 * this process's memory alone. CORRUPT from recovery leaves its own text as the only fault. The
 * store itself is not changed. */
static int look_recovered(struct daxkv_store *store, struct check_faults *f)
{
	assert(store->map.fd >= 0);
	struct map copy = {
	    .fd = store->map.fd,
	    .rdonly = true,
	    .path = store->map.path,
	};
	struct ring ring = store->ring;
	struct recover_result r;
	uint64_t size;
	int rc = map_file_size(&store->map, &size);

	if (rc)
		return rc;
	size = round_down(size, store->page_size);
	rc = map_attach(&copy, size, size, DAXKV_PMEM_FORCE, true);
	if (rc)
		return rc;
	ring.map = &copy;
	rc = recover(&ring, &r);
	if (rc == DAXKV_CORRUPT) {
		faults_forget(f);
	} else if (!rc) {
		struct state s = {.store = store, .txn = r.txn};

		rc = look(&copy, &s, false, f);
	}
	map_detach(&copy);
	return rc;
}

/* look_held - holding the writer's lock. BUSY. The lock is left as it was found: to its dead
 * owner's recovery, when there is one. Faults that it finds are certain: nobody can have changed
 * anything meanwhile. */
static int look_held(struct daxkv_store *store, int64_t wait_ms, struct check_faults *f)
{
	assert(!store->read_only || store->share_file.fd >= 0);
	bool died;
	int rc = writer_hold(store, wait_ms, &died);

	if (rc)
		return rc;
	/* Whoever waits may know for whom. The next writer, this one too, looks at the free space
	 * anew [I16]. */
	store->known = UINT64_MAX;
	store_relaxed(&store->share->writer_pid, getpid());
	store_release(&store->share->last_writer, store->share_file.owner);
	if (died || load_seq_cst(&store->share->panic)) {
		rc = look_recovered(store, f);
	} else {
		rc = see_all(store);
		struct state s = state_now(store);

		if (!rc)
			rc = look(&store->map, &s, false, f);
	}
	writer_let_go(store, died);
	return rc;
}

/* look_left - with an external lock: at what the next writer will recover, when its record has been
 * there for HOLD_MS. The process that made it has died, then; or it is slow, and the look does not
 * count when it has gone on. In panic nobody may have made a record, and nobody will. EAGAIN. */
static int look_left(struct daxkv_store *store, bool panic, struct unpublished *u,
                     struct check_faults *f)
{
	struct state s = state_now(store);

	if ((!panic && s.next <= s.txn) || s.next != u->next) {
		u->next = s.next;
		u->since = clock_ms();
		return EAGAIN;
	}
	if (clock_ms() - u->since < HOLD_MS)
		return EAGAIN;
	int rc = look_recovered(store, f);

	return state_moved(&s) ? EAGAIN : rc;
}

/* look_shared - the first look that no commit disturbed. wait_ms: negative to wait as long as it
 * takes. BUSY. Looks without the lock and short waits for it take turns, since its owner may keep
 * it for long without a commit. */
static int look_shared(struct daxkv_store *store, int64_t wait_ms, struct check_faults *f)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	const int64_t from = clock_ms();
	struct unpublished u = {0};

	for (;;) {
		bool panic = load_seq_cst(&store->share->panic);
		int rc = EAGAIN;
		int64_t left = HOLD_MS;

		if (!panic)
			rc = look_reading(store, f);
		if (wait_ms >= 0)
			left = wait_ms - (clock_ms() - from);
		if (rc != EAGAIN)
			return rc;
		/* the lock is the caller's own, and not known here */
		if (store->external_lock) {
			rc = look_left(store, panic, &u, f);
			if (rc != EAGAIN)
				return rc;
			if (left > 0)
				rc = 0;
			else
				rc = err_set(DAXKV_BUSY, "the store is written to all the time");
			nanosleep(&pause, NULL);
		} else {
			rc = look_held(store, left < 0 ? 0 : left < HOLD_MS ? left : HOLD_MS, f);
			if (rc != DAXKV_BUSY)
				return rc;
			if (left > 0)
				rc = 0;
		}
		if (rc)
			return rc;
	}
}

/* look_alone - by a reader that no writer notices: the file must be as it was when it was opened.
 * What was found counts only when the file has the stamp of that time still. */
static int look_alone(struct daxkv_store *store, struct check_faults *f)
{
	assert(alone(store));
	struct state s = state_now(store);
	uint64_t stamp;
	int rc = look(&store->map, &s, false, f);
	int end = store_stamp(store, &stamp);

	if (end)
		return end;
	if (stamp == store->stamp)
		return rc;
	return err_set(DAXKV_BUSY, "a writer changed the store while it was checked, and "
	                           "this user cannot use its lock file");
}

/* check_tell - what was found, after rc of the look. Faults are told after the lock is given back:
 * report is the program's, and may take its time. What the call returns. */
static int check_tell(const struct check_faults *f, int rc, uint64_t *faults)
{
	if (f->ended)
		return err_set(f->ended, "the check was ended by its caller");
	if (rc == ENOMEM)
		return err_set(rc, "no memory for a check");
	if (rc != 0 && rc != DAXKV_CORRUPT)
		return rc;
	for (size_t i = 0; i < f->n && f->options->report; i++)
		f->options->report(f->text[i], f->options->arg);
	if (faults)
		*faults = f->found;
	if (rc)
		return err_set(rc, "the check found %lu faults", f->found);
	return 0;
}

/* Chooses the look. 0: no faults. CORRUPT: *faults of them, told or only counted. Other errors say
 * that the check did not come to an end, and *faults is not set. */
int daxkv_check_with(struct daxkv_store *store, const struct daxkv_check *options, uint64_t *faults)
{
	struct check_faults *f;
	int rc;

	if (!store || !options)
		return err_set(EINVAL, "no store was given, or no options");
	if (txn_forked(store))
		return err_set(DAXKV_BAD_TXN, "the store was opened by the parent process");
	/* a thread that only checks can be cancelled: here, where it has nothing */
	pthread_testcancel();
	f = calloc(1, sizeof *f);
	if (!f)
		return err_set(ENOMEM, "no memory for a check");
	f->options = options;
	const int cancel = cancel_off();

	if (alone(store))
		rc = look_alone(store, f);
	else
		rc = look_shared(store, options->milliseconds, f);
	cancel_restore(cancel);
	if (rc == DAXKV_CORRUPT && f->found == 0) { /* met before anything was looked at */
		fault_keep(daxkv_errmsg(), f);
		f->found = 1;
	}
	rc = check_tell(f, rc, faults);
	faults_forget(f);
	free(f);
	return rc;
}

/* Waits for a writer as long as it takes. */
int daxkv_check(struct daxkv_store *store, void (*report)(const char *fault, void *arg), void *arg,
                uint64_t *faults)
{
	const struct daxkv_check options = {.milliseconds = -1, .report = report, .arg = arg};

	return daxkv_check_with(store, &options, faults);
}
