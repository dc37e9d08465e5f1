/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compact.c - a smaller file, while others use it. See daxkv_compact.h and tree_compact.c
 *
 *   a pass: all databases, one after the other, in write transactions of some pages each
 *     boundary: where the file would end if what is in use lay together; what reaches behind it
 *               moves to the first free places, and bitmaps that lie there do, as the last ones
 *   then the end is cut off:
 *     a commit with a smaller size -> checkpoint -> ftruncate, when nobody looks behind that size
 *
 * A pass that packs leaves makes less be in use, so the next one has a lower boundary. The last one
 * finds nothing to move. A file does not grow for it, and what readers hold back stays.
 *
 * The rule that makes the cut correct: a reader that began before the commit of the smaller size
 * may know the old one, so the file is cut when none of these is left; one that was given up may be
 * anywhere, so it is not cut where readers have limits. Others have more mapped than the file has
 * until they write again (commit_take_over); nothing that is theirs lies there.
 */
#include "api/compact.h"

#include "base/cancel.h"
#include "base/err.h"
#include "txn/commit.h"
#include "txn/dbi.h"
#include "txn/store.h"
#include "txn/txn.h"
#include "txn/txn_check.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#define STEP_PAGES 64u /* of a transaction: others write between two */
#define PASSES     8u  /* of a call, while others make more to do */
#define GAP_PART   16u /* a sixteenth more than is in use is much */
#define GAP_TIMES  4u
#define WAIT_NS    2000000 /* between two looks at readers in the way */
#define WAITS      500u    /* such looks: a second */
#define WAITS_FEW  50u     /* where nobody is to wait long: see waits_max */
/* leaves that are looked at behind a commit, whether they move or not */
#define AUTO_LOOKS 256u
#define AUTO_REST  8u /* that part of the file more must be free before a walk is tried again */

struct compaction { /* where the next call goes on; the writer's lock protects it */
	bool running;
	/* in bytes from the file's begin: what reaches behind it moves */
	uint64_t boundary;
	/* pages in this pass, of all databases */
	uint64_t moved;
	/* how far the walk has come in the tree of the database below */
	struct tree_place place;
	bool tallies; /* in that of its tallies, which comes behind it */
	bool zones;   /* behind all databases: among the bitmaps */
	size_t zone;  /* the next one of these */
	/* the next pass, and this one, have a lower boundary: see gap_wanted */
	bool gap_next, gap;
	/* pages waited for a reader when the pass began: the boundary counts them as used */
	bool high;
	/* the last commit of a smaller size, and that size; 0: there was none */
	uint64_t cut_txn;
	uint64_t cut_end;
	size_t name_len; /* of the database; 0: the main one */
	uint8_t name[FMT_PAGE_MAX / 4];
};

struct run { /* a call */
	struct daxkv_store *store;
	const struct daxkv_compact *options;
	struct daxkv_compact_report *report;
	struct tree_compact *tree;
	int64_t from_ms;
	bool bounded;   /* a bound was reached */
	bool gap;       /* the next pass makes a gap */
	bool high;      /* the boundary of the pass that is over was */
	bool waits_not; /* behind a commit: it waits for nobody, and looks at a few leaves only */
};

/* bound_reached - whether the caller wants no more: so many pages were moved, so much time has
 * gone, or the size that it asked for is reached. A bound of 0 bounds nothing. It is asked between
 * two transactions, so a call may take longer than its time by one of them. */
static bool bound_reached(const struct run *r)
{
	const struct daxkv_compact *o = r->options;

	if (o->pages && r->report->moved >= o->pages)
		return true;
	if (o->milliseconds && clock_ms() - r->from_ms >= (int64_t)o->milliseconds)
		return true;
	return daxkv_size(r->store) <= o->size;
}

/* gap_boundary - so much lower that pages move out of some times the space that is to be gained. */
static int gap_boundary(struct space *s, uint64_t *boundary)
{
	uint64_t last;
	int rc = space_last(s, &last);

	if (!rc && last > *boundary)
		*boundary -= min_u64(*boundary, GAP_TIMES * (last - *boundary));
	return rc;
}

/* gap_wanted - behind a pass that moved nothing: whether the file is still much longer than what is
 * in use. Then a large value lies at its end, and the free pages in front are scattered. Pages that
 * lie before the boundary move further to the front, so that there is a gap for the value. Not
 * behind a pass that has done that. */
static bool gap_wanted(const struct run *r, const struct compaction *c)
{
	if (r->waits_not || c->gap || c->running || c->moved)
		return false;
	return r->report->last_page > c->boundary + c->boundary / GAP_PART;
}

/* pass_begin - nothing is moved yet, and the boundary is known. The writer's lock is held, in a
 * transaction that has changed nothing. The checkpoint and the limbo come first, so that pages
 * which nobody needs do not count as used and the boundary is not too high. What earlier passes
 * have cut off stays known. */
static int pass_begin(struct run *r, struct compaction *c)
{
	struct daxkv_store *store = r->store;
	uint64_t pages;
	int rc = commit_checkpoint(store);

	if (rc)
		return rc;
	space_release(&store->space);
	rc = space_in_use(&store->space, &pages);
	if (rc)
		return rc;
	*c = (struct compaction){
	    .running = true,
	    .gap = c->gap_next && !r->waits_not,
	    .high = store->space.limbo.n > 0,
	    .cut_txn = c->cut_txn,
	    .cut_end = c->cut_end,
	};
	c->boundary = max_u64(pages * store->page_size, r->options->size);
	if (c->gap)
		rc = gap_boundary(&store->space, &c->boundary);
	return rc;
}

/* database_next - the walk goes on in the database that comes next, or is over. The name is copied:
 * the leaf that it lies in may be moved by the next step. Databases that are made behind the walk's
 * place are met in this pass, those before it in the next one. */
static int database_next(struct daxkv_txn *txn, struct compaction *c)
{
	struct daxkv_val name = {c->name_len, c->name};
	int rc = daxkv_db_list_next(txn, &name);

	c->place = (struct tree_place){0};
	c->tallies = false;
	if (rc == DAXKV_NOT_FOUND) {
		c->zones = true;
		return 0;
	}
	if (rc)
		return rc;
	assert(name.size <= sizeof c->name);
	memcpy(c->name, name.data, name.size);
	c->name_len = name.size;
	return 0;
}

/* desc_moves - the database's descriptor, when it lies behind the boundary. It is only marked here:
 * the commit writes the descriptor at a new place. *pages: 1 when it will be moved. */
static int desc_moves(struct daxkv_txn *txn, struct dbstate *s, const struct compaction *c,
                      uint64_t *pages)
{
	*pages = 0;
	if (!s->desc)
		return 0;
	int rc = space_behind(&txn->store->space, s->desc, 1, c->boundary, &s->desc_moves);

	if (rc)
		return rc;
	if (!s->desc_moves)
		return 0;
	dbi_changed(txn, s);
	*pages = 1;
	return 0;
}

/* trees_step - a step in the database's tree, or when that is done in its tallies'. *end: both are
 * done. */
static int trees_step(const struct run *r, struct dbstate *s, struct compaction *c, uint64_t *pages,
                      bool *end)
{
	struct tree *tree = &s->tree;

	if (c->tallies)
		tree = &s->tallies;
	int rc = tree_compact_step(tree, r->tree, &c->place, c->boundary, pages, end);

	if (rc)
		return rc;
	if (!*end)
		return 0;
	*end = c->tallies || !s->tallies.root;
	c->tallies = !*end;
	c->place = (struct tree_place){0};
	return 0;
}

/* database_step - a step in the walk's database. *pages: how many were moved. The handle is taken
 * for this step alone and given back, so that a database may be dropped between two steps. Errors
 * are those of the tree's step; the caller aborts. */
static int database_step(struct run *r, struct daxkv_txn *txn, struct compaction *c,
                         uint64_t *pages)
{
	const struct daxkv_val name = {c->name_len, c->name};
	daxkv_db db = DAXKV_MAIN;
	struct dbstate *s;
	bool end = false;
	int rc = 0;

	*pages = 0;
	if (c->name_len)
		rc = daxkv_db_open(txn, &name, 0, &db);
	if (rc == DAXKV_NOT_FOUND) /* dropped since the last step */
		return database_next(txn, c);
	if (rc)
		return rc;
	rc = txn_changing(txn, db);
	if (!rc)
		rc = dbi_state_any(txn, db, &s);
	if (!rc)
		rc = trees_step(r, s, c, pages, &end);
	if (!rc && *pages)
		dbi_changed(txn, s);
	if (!rc && end)
		rc = desc_moves(txn, s, c, pages);
	if (db != DAXKV_MAIN)
		dbi_untake(txn, db);
	if (rc)
		return rc;
	if (!end)
		return 0;
	return database_next(txn, c);
}

/* zone_step - the next zone's own pages; behind the last zone the pass is over. *pages: how many
 * were moved. */
static int zone_step(struct space *s, struct compaction *c, uint64_t *pages)
{
	*pages = 0;
	c->running = c->zone < s->nzones;
	if (!c->running)
		return 0;
	return space_zone_compact(s, c->zone++, c->boundary, pages);
}

/* steps_run - so many pages' steps, in txn. It ends txn in any case: by a commit, or after an error
 * by an abort. The pages that move are taken as by a removal, reserve included, and the file must
 * not grow for them: both are set back at the end. FULL when no free page is left. */
static int steps_run(struct run *r, struct daxkv_txn *txn, struct compaction *c, uint64_t *moved)
{
	struct space *space = &r->store->space;
	const enum space_claim before = space_claim(space, SPACE_MOVE);
	uint64_t used;
	uint64_t most;
	int rc = space_in_use(space, &used); /* counts what is free, too */

	if (!rc && space->nfree < 2 * STEP_PAGES) {
		rc = commit_checkpoint(r->store);
		space_release(space);
	}
	/* a page that is moved takes one, and the ways to it some more */
	most = min_u64(STEP_PAGES, space->nfree / 3 + 1);
	if (r->options->pages)
		most = min_u64(most, r->options->pages - r->report->moved);
	space->stays = true;
	*moved = 0;
	for (unsigned int looks = r->waits_not ? AUTO_LOOKS : UINT_MAX;
	     !rc && c->running && *moved < most && looks; looks--) {
		uint64_t pages;

		if (c->zones)
			rc = zone_step(space, c, &pages);
		else
			rc = database_step(r, txn, c, &pages);
		*moved += pages;
	}
	(void)space_claim(space, before);
	if (rc)
		daxkv_txn_abort(txn);
	else
		rc = daxkv_txn_commit(txn);
	space->stays = false;
	return rc;
}

/* reader_at - a reader of that snapshot; NULL: none is there any more. */
static const struct reader_entry *reader_at(const struct daxkv_store *store, uint64_t snapshot)
{
	for (uint32_t i = 0; i < share_high(store->share); i++)
		if (load_seq_cst(&store->share->reader[i].snapshot_plus_1) == snapshot + 1)
			return &store->share->reader[i];
	return NULL;
}

/* held_back - the oldest reader, when pages wait for it. The writer's lock is held. Readers come
 * and go meanwhile: when the oldest one is no longer found, the report names the snapshot without
 * its process. */
static void held_back(const struct run *r)
{
	struct daxkv_store *store = r->store;
	struct daxkv_compact_report *report = r->report;
	const uint64_t oldest = store->space.oldest_reader(store->space.arg);

	report->held = oldest < store->known;
	if (!report->held)
		return;
	report->reader_snapshot = oldest;
	const struct reader_entry *e = reader_at(store, oldest);

	if (!e)
		return;
	const uint64_t ms = clock_coarse_ms();
	const uint64_t since = load_relaxed(&e->since_ms);

	report->reader_pid = load_relaxed(&e->pid);
	report->reader_age_ms = ms - min_u64(ms, since);
}

/* pass_step - a write transaction of the pass. *over: the pass is. A store without a free page left
 * ends it as well: then what is held back is told. The writer's lock is taken and given back.
 * *moved: pages of the whole pass so far, not of this step alone. The memory of the walk is made by
 * the first call and lives as long as the store. */
static int pass_step(struct run *r, bool *over, uint64_t *moved)
{
	struct daxkv_store *store = r->store;
	struct daxkv_txn *txn;
	int rc = txn_begin_alone(store, r->waits_not ? 0 : -1, &txn);

	*moved = 0;
	if (rc)
		return rc;
	if (!store->compaction)
		store->compaction = calloc(1, sizeof *store->compaction);
	struct compaction *c = store->compaction;

	if (!c)
		rc = err_set(ENOMEM, "no memory for a walk through the store");
	else if (!c->running)
		rc = pass_begin(r, c);
	if (rc) {
		daxkv_txn_abort(txn);
		return rc;
	}
	rc = steps_run(r, txn, c, moved);
	if (rc == DAXKV_FULL) {
		c->running = false;
		*moved = 0;
		rc = 0;
	}
	if (!rc)
		r->report->moved += *moved;
	c->moved += *moved;
	*over = !c->running;
	*moved = c->moved;
	return rc;
}

/* nobody_behind - no reader can look behind the file's usable end: all began after the commit of a
 * size that was no larger. The writer's lock is held, so no new commit comes in between; a reader
 * that begins now begins at the newest one. */
static bool nobody_behind(struct daxkv_store *store)
{
	const struct compaction *c = store->compaction;
	uint64_t since = store->known;

	if (load_relaxed(&store->share->bounded))
		return false;
	if (c && c->cut_txn && c->cut_end <= store->space.end)
		since = c->cut_txn;
	return store->space.oldest_reader(store->space.arg) >= since;
}

/* end_cut - in a write transaction that changes nothing: commit a smaller size, and cut the file to
 * it, or to the size that an earlier call has committed. *more: another part can be cut. The order
 * matters. The smaller size is committed, and a checkpoint makes it durable, before the file loses
 * its end: a crash in between leaves a file that is too long, never one that is too short. *waits:
 * the file is still longer than it should be, since a reader may look there. */
static int end_cut(struct run *r, bool *more, bool *waits)
{
	struct daxkv_store *store = r->store;
	uint64_t length = 0;
	int rc = commit_checkpoint(store);

	if (!rc)
		rc = commit_trim(store, true, more);
	if (!rc && *more && store->compaction) {
		store->compaction->cut_txn = store->known;
		store->compaction->cut_end = store->space.end;
	}
	if (!rc && *more)
		rc = commit_checkpoint(store);
	if (!rc)
		rc = map_file_size(&store->map, &length);
	*waits = !rc && length > store->space.end;
	if (*waits && nobody_behind(store)) {
		rc = map_shrink(&store->map, store->space.end);
		*waits = false;
	}
	if (rc)
		return rc;
	if (*more)
		rc = space_reset(&store->space, store->space.end);
	if (rc)
		return rc;
	if (!*more)
		held_back(r);
	rc = space_last(&store->space, &r->report->last_page);
	if (!rc && store->compaction) {
		r->gap = store->compaction->gap_next = gap_wanted(r, store->compaction);
		r->high = store->compaction->high;
	}
	return rc;
}

/* waits_max - how often the reader in the way is looked at. One of this process may be the caller's
 * own, and a caller that bounds the time does not want to wait long. */
static unsigned int waits_max(const struct run *r)
{
	const struct daxkv_compact_report *report = r->report;

	if (!report->held || report->reader_pid == getpid() || r->options->milliseconds)
		return WAITS_FEW;
	return WAITS;
}

/* wait_a_little - for readers. No cancellation point. */
static void wait_a_little(void)
{
	const struct timespec pause = {.tv_nsec = WAIT_NS};
	const int cancel = cancel_off();

	nanosleep(&pause, NULL);
	cancel_restore(cancel);
}

/* file_cut - cut the end off, part by part. Readers that began before a part's commit are waited
 * for, while others write: most end soon. The lock is given back after each part. After a second
 * it gives up without an error: the next call cuts what is left. */
static int file_cut(struct run *r)
{
	bool more = true;
	bool waits = true;

	for (unsigned int tries = 0; more || (waits && tries < waits_max(r));) {
		struct daxkv_txn *txn;
		int rc = txn_begin_alone(r->store, -1, &txn);

		if (rc)
			return rc;
		rc = end_cut(r, &more, &waits);
		daxkv_txn_abort(txn);
		if (rc)
			return rc;
		if (waits && !more) {
			wait_a_little();
			tries++;
		}
	}
	return 0;
}

/* file_bytes - the length of the file; after an error, what the newest commit uses. errno. */
static int file_bytes(const struct daxkv_store *store, uint64_t *length)
{
	int rc = map_file_size(&store->map, length);

	if (rc)
		*length = daxkv_size(store);
	return rc;
}

/* reader_ends - whether the one that was in the way of the pass has ended, or does while it is
 * waited for, as most do soon: another pass then gets further. One of this process may be the
 * caller's own. */
static bool reader_ends(const struct run *r)
{
	const struct daxkv_compact_report *report = r->report;

	if (!report->held)
		return r->high;
	if (report->reader_pid == getpid())
		return false;
	for (unsigned int looks = 0; reader_at(r->store, report->reader_snapshot); looks++) {
		if (looks == waits_max(r))
			return false;
		wait_a_little();
	}
	return true;
}

/* passes - until one moves nothing, or a bound is reached. A pass that moved nothing is the last
 * one, unless a reader was in its way and has ended, and but for one that makes a gap, which begins
 * in any case: so each call gets further. What progress returns ends the call with that result; all
 * that was committed before stays. */
static int passes_run(struct run *r)
{
	unsigned int passes = 0;
	bool gap = false;

	while (passes < PASSES) {
		uint64_t moved;
		bool over;
		int rc;

		r->bounded = !gap && bound_reached(r);
		if (r->bounded)
			return 0;
		rc = pass_step(r, &over, &moved);
		if (!rc && over)
			rc = file_cut(r);
		if (rc)
			return rc;
		gap = over && r->gap;
		if (over && !moved && !gap && !reader_ends(r))
			return 0;
		passes += over;
		if (r->options->progress) {
			rc = r->options->progress(r->report->moved, daxkv_size(r->store),
			                          r->options->arg);
			if (rc)
				return err_set(rc, "the compaction was ended by its caller");
		}
	}
	return 0;
}

/* walk_begin - a call begins: behind its commits, and others', no step is made meanwhile. A step
 * that is under way is waited for. false: another call was there before. */
static bool walk_begin(struct daxkv_store *store)
{
	const struct timespec pause = {.tv_nsec = WAIT_NS};

	for (;;) {
		enum compacts was = COMPACTS_NOT;

		if (swap_acquire(&store->compacts, &was, COMPACTS_CALL))
			return true;
		if (was == COMPACTS_CALL)
			return false;
		const int cancel = cancel_off();

		nanosleep(&pause, NULL);
		cancel_restore(cancel);
	}
}

/* Also a call that fails reports what it has moved. Each step is a commit of its own, so a crash or
 * an error loses no more than the step that was under way. A bounded call still cuts off what is
 * free at the end. */
int daxkv_compact(struct daxkv_store *store, const struct daxkv_compact *options,
                  struct daxkv_compact_report *report)
{
	static const struct daxkv_compact no_bounds;
	struct daxkv_compact_report unused;
	struct run r = {
	    .store = store,
	    .options = options ? options : &no_bounds,
	    .report = report ? report : &unused,
	    .from_ms = clock_ms(),
	};

	*r.report = (struct daxkv_compact_report){0};
	if (!store)
		return err_set(EINVAL, "no store was given");
	if (txn_forked(store))
		return txn_own(store);
	if (store->external_lock)
		return err_set(DAXKV_INCOMPATIBLE, "with EXTERNAL_LOCK nothing tells of readers "
		                                   "that may need what is cut off");
	int rc = file_bytes(store, &r.report->size_before);

	r.report->size = r.report->size_before;
	if (!rc)
		rc = tree_compact_open(store->page_size, &r.tree);
	if (rc)
		return rc;
	const bool first = walk_begin(store);

	rc = passes_run(&r);
	if (!rc && r.bounded)
		rc = file_cut(&r);
	if (first)
		store_release(&store->compacts, COMPACTS_NOT);
	tree_compact_close(r.tree);
	const int looked = file_bytes(store, &r.report->size);

	if (!rc)
		rc = looked;
	r.report->done = !rc && !r.bounded;
	return rc;
}

/* ---- behind commits -------------------------------------------------------------------------- */

/* free_bytes - of the file, by the newest commit; 0: not known. */
static uint64_t free_bytes(struct daxkv_store *store)
{
	const uint64_t size = daxkv_size(store);
	struct daxkv_usage usage;

	if (daxkv_usage(store, &usage))
		return 0;
	return size - min_u64(size, usage.used_bytes);
}

/* some_done - a step, and at the end of a pass a cut. *nothing: the pass found nothing to move, and
 * nothing was cut. */
static int some_done(struct run *r, bool *nothing)
{
	const uint64_t size = daxkv_size(r->store);
	struct daxkv_txn *txn;
	bool over, more, waits;
	uint64_t moved;
	int rc = pass_step(r, &over, &moved);

	*nothing = false;
	if (rc)
		return rc;
	if (!over)
		return 0;
	rc = txn_begin_alone(r->store, 0, &txn);
	if (rc)
		return rc;
	rc = end_cut(r, &more, &waits);
	daxkv_txn_abort(txn);
	*nothing = !moved && daxkv_size(r->store) == size;
	return rc;
}

/* The share of free space is looked at first, which is two loads where pages in use are counted. A
 * walk that gained nothing is not repeated before more has become free: a reader, the initial size
 * or the reserve may be in the way. */
void compact_after_commit(struct daxkv_store *store)
{
	static const struct daxkv_compact bounds = {.pages = STEP_PAGES};
	struct daxkv_compact_report unused = {0};
	struct run r = {.store = store, .options = &bounds, .report = &unused, .waits_not = true};
	struct err_saved text;

	enum compacts not = COMPACTS_NOT;

	if (!swap_acquire(&store->compacts, &not, COMPACTS_STEP))
		return;
	err_save(&text);
	const int cancel = cancel_off();
	const uint64_t size = daxkv_size(store);
	const uint64_t free = free_bytes(store);
	bool nothing = false;

	/* it would make commits durable that wait for a sync */
	if (!store_lazy(store) && free > size / 100 * store->compact_free &&
	    free > store->compact_rest) {
		int rc = tree_compact_open(store->page_size, &r.tree);

		if (!rc) {
			rc = some_done(&r, &nothing);
			tree_compact_close(r.tree);
		}
		if (nothing || (rc && rc != DAXKV_BUSY))
			store->compact_rest = free + size / AUTO_REST;
		else
			store->compact_rest = 0;
	}
	cancel_restore(cancel);
	err_restore(&text);
	store_release(&store->compacts, COMPACTS_NOT);
}
