/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crash - drives one stream of operations through daxkv on a persistence layer that tries what a
 * crash could leave at every point.
 *
 *   crash [--seed N] [--ops N] [--granule 64|512|4096] [--effort N] [--crash-one-in N]
 *     [--fail-one-in N] [--lazy PERCENT] [--image N] [--save PATH] [--dir D] [--verbose]
 *
 * Granule 64 is persistent memory, in lines; 512 and 4096 are a file in the page cache, in sectors
 * and pages. A failure prints the line that repeats it: with --image, when an image failed, that
 * image alone is opened, and --save writes it to a file.
 *
 *   ops -> oracle: what was acknowledged, what is in flight ---------------.
 *      `-> drive -> daxkv -> pm_crash -> explore: image -> daxkv_open -> content: one of the two?
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "content.h"
#include "media/super.h"
#include "members.h"
#include "run.h"
#include "synced.h"

#define PAGE            512u
#define FIRST_SIZE      ((uint64_t)48 << 10)
#define FIRST_SIZE_FULL (((uint64_t)2 << 20) - (8 << 10)) /* of a zone's 2 MiB */
#define PRESSED_SIZE                                                                               \
	((uint64_t)256 << 10) /* a store that is kept small grows to it at most, if that is        \
	                         enough, in such steps */
#define PRESSED_STEP ((uint64_t)32 << 10)
#define FILLED_SIZE  ((uint64_t)48 << 10) /* of a store that is filled, at least */
#define CALM_CRASH   3000u
#define HOT_CRASH    200u
#define CALM_FEW     20u /* so many times fewer crashes, where the ring is to fill */
#define HOT_FAIL     30u
#define STEP_SECONDS                                                                               \
	60 /* of processor time: no operation takes so long, all its images included               \
	    */

struct run run;

/* __asan_default_options - a crash abandons what the engine had allocated. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* ---- failures -------------------------------------------------------------------------------- */

/* replay_say - with write(2) alone: it is called from the signal handler too. */
static void replay_say(void)
{
	char digits[24];
	size_t n = sizeof digits;
	uint64_t image = explore.counts.images;

	digits[--n] = '\n';
	do
		digits[--n] = (char)('0' + image % 10);
	while (image /= 10);
	if (write(STDOUT_FILENO, run.replay, strlen(run.replay)) < 0 ||
	    write(STDOUT_FILENO, " --image ", 9) < 0 ||
	    write(STDOUT_FILENO, digits + n, sizeof digits - n) < 0)
		_exit(1);
}

static void on_signal(int number)
{
	static const char text[] = "a signal ended the run: ";
	char two[3] = {(char)('0' + number / 10), (char)('0' + number % 10), '\n'};

	if (write(STDOUT_FILENO, text, sizeof text - 1) < 0 ||
	    write(STDOUT_FILENO, two, sizeof two) < 0)
		_exit(1);
	replay_say();
	_exit(1);
}

/* step_time - the clock of an operation that does not end starts anew. */
static void step_time(void)
{
	const struct itimerval limit = {.it_value = {.tv_sec = STEP_SECONDS}};

	(void)setitimer(ITIMER_PROF, &limit, NULL);
}

static void files_remove(void)
{
	char lock[540];

	snprintf(lock, sizeof lock, "%s-lock", run.path);
	(void)unlink(run.path);
	(void)unlink(run.plain_path);
	(void)unlink(lock);
}

static void fail(const char *why)
{
	printf("FAILED: %s\n", why);
	printf("operation %lu, image %lu\n", (unsigned long)run.stream.made,
	       (unsigned long)explore.counts.images);
	fflush(stdout);
	replay_say();
	files_remove();
	exit(1);
}

static void only_done(void)
{
	printf("image %lu is in order\n", (unsigned long)explore.config.only);
	files_remove();
	exit(0);
}

static void signals_watch(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGPROF};
	struct sigaction action = {.sa_handler = on_signal};

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		(void)sigaction(signals[i], &action, NULL);
}

/* ---- crashing -------------------------------------------------------------------------------- */

static void made_durable(uint64_t off, size_t n)
{
	image_base(crash_pm.durable, off, n);
}

/* leave - the engine's handle is abandoned where it is: what it holds of the machine goes back, its
 * memory stays. */
static void leave(void)
{
	image_abandon(crash_pm.map, run.drive.store);
	image_abandon(NULL, run.other.store);
	run.other.store = NULL;
	longjmp(run.crashed, 1);
}

/* crash - the power fails, or the process dies and the machine does not. */
static void crash(void)
{
	struct image_found found;

	if (crash_pm.size_before || rng_percent(&run.rng, 65)) {
		uint64_t size = explore_cut(run.cut, &found);

		crash_pm_cut(run.cut, size);
		explore_allow(found.content, false, 0);
		synced_cut();
		run.rebooted = true;
		run.died = false;
		run.cuts++;
	} else {
		crash_pm_died();
		run.died = !run.rebooted;
		run.deaths++;
	}
	if (run.verbose)
		printf("crash at image %lu: %s\n", (unsigned long)explore.counts.images,
		       explore.nallowed > 1 ? "one of some" : "known");
	leave();
}

static void oracle_do(enum op_kind kind)
{
	struct op op = {.kind = kind};
	struct outcome out;

	oracle_apply(&run.oracle, &op, &out);
}

/* oracle_follow - the store came back with this content: the oracle goes there too. */
static void oracle_follow(uint64_t content)
{
	bool lost = run.acked == content;

	if (run.in_flight && content == content_of_oracle(&run.before)) {
		state_release(&run.oracle.committed);
		run.oracle.committed = run.before;
	} else if (run.in_flight) {
		state_release(&run.before);
	}
	run.in_flight = false;
	if (content != content_of_oracle(&run.oracle.committed) && !synced_is(content))
		fail("the store came back with something else than what its image was found to "
		     "hold");
	run.acked = content;
	synced_back();
	bool again = lost && rng_percent(&run.rng, 60);

	run.retries += again;
	retry_plan(again);
}

/* members_of_run - groups of the stream; NULL: there are none, because the store may be full where
 * a member asks for room. */
static const struct drive_members *members_of_run(void)
{
	return run.steer.pressed || run.steer.full ? NULL : &members;
}

/* other_open - a second user comes. */
static int other_open(void)
{
	run.other = (struct drive){.oracle = &run.oracle,
	                           .path = run.path,
	                           .options = run.drive.options,
	                           .members = members_of_run(),
	                           .stored = crash_pm_stored};
	const int rc = daxkv_open(run.path, &run.other.options, &run.other.store);

	image_log(run.other.store, run.steer.logs);
	return rc;
}

/* reopen - after a crash: recovery, in which the next crash may happen. */
static void reopen(void)
{
	uint64_t content = 0, pairs;

	oracle_do(OP_REOPEN);
	steer_lost(&run.steer, cover_spilled() != run.spilled);
	while (setjmp(run.crashed)) {
		run.in_recovery++;
		explore.config.crash_one_in *= 2; /* it stores more words than points let live */
	}
	run.failures = crash_pm.failures; /* the crash took who was to report it */
	step_time();
	cover_drive(&run.drive);
	run.drive = (struct drive){.oracle = &run.oracle,
	                           .path = run.path,
	                           .options = run.drive.options,
	                           .members = members_of_run(),
	                           .stored = crash_pm_stored};
	int rc = daxkv_open(run.path, &run.drive.options, &run.drive.store);

	while (rc && crash_pm.failures != run.failures) { /* a fence of recovery failed: the next
		                                             attempt finds what it left */
		run.failures = crash_pm.failures;
		run.rebooted = true;
		run.died = false;
		crash_pm_died();
		rc = daxkv_open(run.path, &run.drive.options, &run.drive.store);
	}
	if (crash_pm.failures != run.failures)
		fail("a failed fence of recovery was not reported");
	image_log(run.drive.store, run.steer.logs);
	if (!rc && run.shared)
		rc = other_open();
	if (!rc)
		rc = content_of_store(run.drive.store, &content, &pairs);
	if (rc) {
		printf("reopening: %s: %s\n", daxkv_strerror(rc), daxkv_errmsg());
		fail("the store does not open after a crash");
	}
	if (!explore_allows(content))
		fail("after a crash the store holds neither the last acknowledged transaction nor "
		     "the one in flight");
	if (run.verbose)
		printf("back, %s\n",
		       content == run.acked ? "as acknowledged" : "with what was in flight");
	oracle_follow(content);
	run.rebooted = false;
	synced_allow();
	crash_pm_look();
	explore_point(POINT_CALL);
}

/* ---- a full store ---------------------------------------------------------------------------- */

/* press - before a transaction: the file may not grow, or hardly. So it finds its pages among those
 * that the last commits freed, and makes a checkpoint for that. */
static void press(void)
{
	bool hopeless = run.full_in_row > 4;
	uint64_t room = hopeless || (crash_pm.size < PRESSED_SIZE && rng_percent(&run.rng, 30))
	                    ? PRESSED_STEP
	                    : 0;

	if (daxkv_set_max_size(run.drive.store, crash_pm.size + room))
		fail("the maximum size cannot be set");
}

/* press_filled - the same where the store is filled and emptied: while that is under way it may not
 * grow at all. */
static void press_filled(void)
{
	uint64_t most = CRASH_ROOM;

	if (run.steer.full)
		most = max_u64(crash_pm.size, FILLED_SIZE);
	if (daxkv_set_max_size(run.drive.store, most))
		fail("the maximum size cannot be set");
	run.drive.members = members_of_run();
}

static void abort_all(void)
{
	struct op op = {.kind = OP_ABORT};
	struct oracle_before before;
	struct outcome out;

	while (run.oracle.depth) {
		oracle_before_get(&run.oracle, &op, &before);
		oracle_apply(&run.oracle, &op, &out);
		drive_apply(&run.drive, &op, &before, &out);
		oracle_before_end(&before);
	}
}

/* store_full - an operation found no room: the transaction is given up, or the machine crashes
 * there. */
static void store_full(void)
{
	run.full++;
	run.full_in_row++;
	steer_full(&run.steer);
	if (rng_percent(&run.rng, 20))
		crash();
	if (run.in_flight) {
		state_release(&run.oracle.committed);
		run.oracle.committed = run.before;
		run.in_flight = false;
		synced_allow();
	}
	abort_all();
	steer_lost(&run.steer, false);
	crash_pm_look();
	explore_point(POINT_CALL);
}

/* ---- operations ------------------------------------------------------------------------------ */

/* fence_failed - an operation met a failed fence: it must say so, and changing the store must be
 * refused from here on. */
static void fence_failed(const struct op *op, int rc)
{
	struct daxkv_txn *txn;

	run.failures = crash_pm.failures;
	run.failed_fences++;
	if (rc == 0 && op->kind != OP_ABORT) /* which has no result */
		fail("a failed fence was not reported");
	if (op->kind != OP_REOPEN) {
		drive_abort(&run.drive);
		rc = daxkv_txn_begin(run.drive.store, NULL, DAXKV_TXN_TRY, &txn);
		if (rc != DAXKV_PANIC)
			fail("after a failed fence the store lets itself be changed");
	}
	run.rebooted = true; /* for lazy commits: nobody can know what the kernel has lost */
	run.died = false;
	crash_pm_died();
	leave();
}

static void step_run(const struct op *op, const struct oracle_before *before,
                     const struct outcome *want)
{
	struct outcome got;

	cover_next(op);
	drive_apply(&run.drive, op, before, &got);
	if (crash_pm.failures != run.failures)
		fence_failed(op, got.rc);
	if ((run.steer.pressed || run.steer.full) && (got.rc == DAXKV_FULL || got.rc == ENOSPC)) {
		store_full();
		return;
	}
	if (got.rc != want->rc) {
		printf("daxkv returns %d (%s), must return %d (%s)\nerrmsg: %s\n", got.rc,
		       daxkv_strerror(got.rc), want->rc, daxkv_strerror(want->rc), daxkv_errmsg());
		fail("an operation went wrong");
	}
	cover_op(op, before, want);
	const bool committed = run.in_flight;

	if (run.in_flight) {
		steer_committed(&run.steer, cover_spilled() != run.spilled);
		run.full_in_row = 0;
		state_release(&run.before);
		run.in_flight = false;
		run.acked = content_of_oracle(&run.oracle.committed);
		synced_allow();
	}
	synced_look((op->kind == OP_SYNC && want->rc == 0) || (committed && !synced_lazy()));
	synced_allow();
	if (op->kind <= OP_PUT || (op->kind >= OP_PUT_MANY && op->kind <= OP_DEL_RANGE) ||
	    op->kind == OP_REOPEN || op->kind == OP_SYNC || op->kind == OP_COMPACT) {
		crash_pm_look();
		if (crash_pm.point)
			explore_point(POINT_CALL);
	}
	if ((op->kind == OP_REOPEN || op->kind == OP_COMPACT) && crash_pm.size_before &&
	    rng_percent(&run.rng, run.steer.zone_full ? 70 : 30))
		crash(); /* the file may have its old length again, and old bytes in it */
}

/* heat - behind a spilled commit crashes and failed fences come more often. A store that
 * is filled and emptied is to get to the commit of that. */
static void heat(const struct op *op)
{
	unsigned int crash_one_in = run.crash_one_in, fail_one_in = run.fail_one_in;

	if (run.steer.hot && crash_one_in > HOT_CRASH)
		crash_one_in = HOT_CRASH;
	if (run.steer.hot && fail_one_in > HOT_FAIL)
		fail_one_in = HOT_FAIL;
	const bool emptied = run.steer.has_filled && op->kind == OP_COMMIT;

	if (run.steer.full && !emptied && crash_one_in && crash_one_in < CALM_CRASH)
		crash_one_in = CALM_CRASH;
	explore.config.crash_one_in = crash_one_in;
	crash_pm.fail_one_in = crash_pm.cached && crash_pm.point ? fail_one_in : 0;
}

static void step(const struct op *op, const struct oracle_before *before)
{
	struct outcome want;
	bool commits = op->kind == OP_COMMIT && run.oracle.depth == 1;

	if (commits)
		state_keep(&run.before, &run.oracle.committed);
	oracle_apply(&run.oracle, op, &want);
	if (commits) {
		run.in_flight = true;
		synced_allow();
	}
	if (want.rc == OP_SKIP)
		return;
	run.spilled = cover_spilled();
	heat(op);
	if (run.steer.pressed && op->kind == OP_BEGIN && before->depth == 0)
		press();
	if (run.steer.filled && op->kind == OP_BEGIN && before->depth == 0)
		press_filled();
	if (op->kind == OP_BEGIN && before->depth == 0)
		synced_mode();
	retry_note(op, op->kind == OP_BEGIN && before->depth == 0);
	step_time();
	if (setjmp(run.crashed))
		reopen();
	else
		step_run(op, before, &want);
}

/* users_swap - the other user makes the next transaction. */
static void users_swap(void)
{
	struct drive drive = run.drive;

	run.drive = run.other;
	run.other = drive;
	run.swaps++;
}

static void run_ops(void)
{
	struct op op;
	struct oracle_before before;

	while (run.stream.made < run.ops) {
		if (!retry_next(&op)) {
			ops_next(&run.stream, &op);
			if (!steer_op(&run.steer, &op))
				continue;
		}
		if (run.shared && op.kind == OP_BEGIN && run.oracle.depth == 0 &&
		    rng_percent(&run.rng, 40))
			users_swap();
		oracle_before_get(&run.oracle, &op, &before);
		if (run.verbose) {
			printf("%lu: ", (unsigned long)run.stream.made);
			ops_print(&op, &before);
			fflush(stdout);
		}
		step(&op, &before);
		oracle_before_end(&before);
	}
}

/* ---- start and end --------------------------------------------------------------------------- */

/* fill_zone - one value takes all but the last pages: the next growth begins a zone, with a bitmap
 * page of its own. What it leaves is the reserve for removals, thrice [I22], and some pages for
 * others: with less the zone would be there at once, and never go. */
static void fill_zone(void)
{
	struct op op = {.kind = OP_BEGIN,
	                .key = {sizeof steer_filler, steer_filler},
	                .value = {FIRST_SIZE_FULL - (268 << 10), NULL}};
	static const enum op_kind kinds[] = {OP_BEGIN, OP_PUT, OP_COMMIT};
	struct oracle_before before;

	op.value.data = xmalloc(op.value.size);
	rng_fill(run.seed, op.value.data, op.value.size);
	for (size_t i = 0; i < 3; i++) {
		op.kind = kinds[i];
		oracle_before_get(&run.oracle, &op, &before);
		step(&op, &before);
		oracle_before_end(&before);
	}
	free(op.value.data);
}

static int store_make(void)
{
	struct super_new new = {.page_size = PAGE,
	                        .size = run.steer.zone_full ? FIRST_SIZE_FULL : FIRST_SIZE,
	                        .file_id = rng_mix(run.seed),
	                        .created = 1};
	int fd = open(run.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (run.steer.first_holds)
		new.initial = new.size = 2 * FIRST_SIZE;
	if (fd < 0 || ftruncate(fd, (off_t) new.size) != 0 || super_fill(fd, &new) != 0) {
		perror(run.path);
		exit(2);
	}
	return fd;
}

static void start(void)
{
	static const size_t pairs[] = {6, 20, 60};
	const bool lists = run.seed % 4 == 1;
	struct daxkv_options options = {.flags = DAXKV_NO_LOCK,
	                                .pmem = DAXKV_PMEM_FORCE,
	                                .max_size = CRASH_ROOM,
	                                .max_readers = 16,
	                                .max_dbs = 1000};
	struct ops_config config;
	int fd, rc;

	run.shared = run.seed % 5 == 2;
	steer_start(&run.steer, run.seed, &run.oracle, &run.stream, run.shared,
	            run.granule > FMT_LINE);
	if (run.steer.calm)
		run.crash_one_in *= CALM_FEW;
	fd = store_make();
	if (run.shared)
		options.flags = 0;
	/* commits make a step of a compaction; a fence that fails there is not the commit's */
	if (run.seed % 4 == 3 && run.granule == FMT_LINE)
		options.compact_free = 20;
	if (run.granule > FMT_LINE)
		options.pmem = DAXKV_PMEM_FILE;
	options.lazy_ms = UINT64_MAX; /* a run is the same each time */
	options.lazy_commits = 3 + run.seed % 24;
	rng_seed(&run.rng, run.seed ^ 0x63726173u);
	run.cut = xmalloc(CRASH_ROOM);
	image_start(CRASH_ROOM);
	explore_start(&run.explore);
	explore.crash = crash;
	explore.fail = fail;
	explore.done = only_done;
	crash_pm_start(fd, run.granule, run.granule > FMT_LINE, run.seed);
	crash_pm.made_durable = made_durable;
	made_durable(0, crash_pm.size);
	image_length(crash_pm.size);
	crash_pm_override = &crash_pm_ops;
	oracle_start(&run.oracle, 0, PAGE / 4, PAGE / 4, PAGE / 2);
	config = (struct ops_config){.max_key = PAGE / 4,
	                             .max_dup = PAGE / 4,
	                             .max_pair = PAGE / 2 - 140,
	                             .bad_pair = PAGE / 2,
	                             .max_value = run.seed % 7 == 3 ? 100000 : 3000,
	                             .db_pairs = lists ? 120 : pairs[run.seed / 4 % 3],
	                             .long_lists = lists,
	                             .empty_dups = true};
	ops_start(&run.stream, run.seed, &config, &run.oracle);
	rc = drive_start(&run.drive, run.path, &options, 0, &run.oracle);
	if (rc) {
		printf("%s: %s: %s\n", run.path, daxkv_strerror(rc), daxkv_errmsg());
		exit(2);
	}
	image_log(run.drive.store, run.steer.logs);
	run.drive.stored = crash_pm_stored;
	run.drive.members = members_of_run();
	run.acked = content_of_oracle(&run.oracle.committed);
	synced_start();
	synced_allow();
	if (run.shared && other_open()) {
		printf("a second user: %s\n", daxkv_errmsg());
		exit(2);
	}
	crash_pm.point = explore_point;
	crash_pm_look();
	/* the first point may be the one where the run crashes */
	if (setjmp(run.crashed))
		reopen();
	else
		explore_point(POINT_CALL);
}

static void summary(void)
{
	const struct explore_counts *c = &explore.counts;
	struct timespec to;

	clock_gettime(CLOCK_MONOTONIC, &to);
	double seconds =
	    (double)(to.tv_sec - run.from.tv_sec) + (double)(to.tv_nsec - run.from.tv_nsec) / 1e9;

	printf("crash --seed %lu --granule %zu: %lu operations in %.1f s, %.0f images a "
	       "second\nexplored:",
	       (unsigned long)run.seed, run.granule, (unsigned long)run.stream.made, seconds,
	       (double)c->images / seconds);
	cover_show("images", c->images);
	cover_show("points", c->points);
	cover_show("points with every subset tried", c->exhaustive);
	cover_show("torn", c->torn);
	cover_show("older", c->older);
	cover_show("replayed", c->replayed);
	cover_show("acknowledged", c->acked);
	cover_show("in flight", c->next);
	cover_show("recovered twice", c->second);
	cover_show("clean without their ring", c->bare);
	cover_show("opened as files", c->plain);
	cover_show("tried already", c->same);
	cover_show("most units in doubt", c->most_units);
	printf("\ncrashed:");
	cover_show("power cuts", run.cuts);
	cover_show("deaths", run.deaths);
	cover_show("crashes in recovery", run.in_recovery);
	cover_show("transactions run again", run.retries);
	cover_show("failed fences", run.failed_fences);
	cover_show("full stores", run.full);
	cover_show("files cut", crash_pm.shrinks);
	cover_show("bitmap pages made", crash_pm.zeroed);
	cover_show("over old bytes", crash_pm.zeroed_old);
	cover_show("turns of the other user", run.swaps);
	cover_show("flushes in vain", crash_pm.flushes_in_vain);
	cover_show("fences of a range", crash_pm.range_fences);
	printf("\n");
	cover_drive(&run.drive);
	cover_print();
	synced_show();
}

int main(int argc, char **argv)
{
	arguments(argc, argv);
	signals_watch();
	clock_gettime(CLOCK_MONOTONIC, &run.from);
	start();
	if (run.steer.zone_full)
		fill_zone();
	run_ops();
	if (run.explore.only)
		fail("the run has no image of that number");
	summary();
	crash_pm.point = NULL;
	crash_pm.fail_one_in = 0;
	int rc = drive_end(&run.drive);

	if (!rc && run.shared)
		rc = drive_end(&run.other);

	if (rc) {
		printf("close: %s: %s\n", daxkv_strerror(rc), daxkv_errmsg());
		fail("closing went wrong");
	}
	crash_pm_override = NULL;
	ops_end(&run.stream);
	oracle_end(&run.oracle);
	explore_end();
	image_end();
	crash_pm_end();
	free(run.cut);
	files_remove();
	return 0;
}
