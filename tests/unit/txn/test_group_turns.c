/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that share a commit: whose turn it is, for how long, and beside which processes [G4]
 * [G6]. */
#include "group_workers.h"

#include <sched.h>

/* ---- turns ------------------------------------------------------------------------------------
 */

static void timed_begins_in_the_queue(void **state)
{
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = begin(store), *other;
	struct worker w[3];
	(void)state;

	assert_int_equal(daxkv_txn_begin(store, NULL, 0, &other), DAXKV_BUSY); /* its own */
	start(&w[0], store, body_commit, 1);
	w[1] = (struct worker){.store = store, .body = body_commit, .n = 2, .wait_ms = 30};
	w[2] = (struct worker){.store = store, .body = body_commit, .n = 3, .wait_ms = 0};
	for (unsigned int i = 1; i < 3; i++) {
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
		end(&w[i]);
		assert_int_equal(w[i].rc, DAXKV_BUSY);
		assert_non_null(strstr(w[i].text, "another write transaction"));
	}
	queued(store, 1);
	w[1].wait_ms = 20000;
	assert_int_equal(pthread_create(&w[1].thread, NULL, work, &w[1]), 0);
	queued(store, 2);
	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	OK(daxkv_txn_commit(txn));
	end(&w[0]);
	end(&w[1]);
	OK(w[0].rc);
	OK(w[1].rc);
	assert_int_equal(w[0].id, w[1].id);
	OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_TRY, &txn)); /* nobody has the turn */
	daxkv_txn_abort(txn);
	store_done(store);
}

/* sleeps - the first in the queue does. */
static bool sleeps(struct daxkv_store *store)
{
	pthread_mutex_lock(&store->group.mutex);
	const uint32_t seen = __atomic_load_n(&store->group.first->state, __ATOMIC_SEQ_CST);

	pthread_mutex_unlock(&store->group.mutex);
	return seen == GROUP_SLEEPS;
}

/* A thread looks for its turn for a moment; then it sleeps, and is woken. */
static void a_long_wait_is_slept(void **state)
{
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = begin(store);
	struct worker w;
	(void)state;

	start(&w, store, body_commit, 1);
	for (unsigned int ms = 0; !sleeps(store) && ms < 20000; ms++)
		usleep(1000);
	assert_true(sleeps(store));
	daxkv_txn_abort(txn);
	end(&w);
	OK(w.rc);
	assert_true(there(store, 1));
	store_done(store);
}

/* On one processor a thread that looked for its turn would keep the other one from ending it. */
static void on_one_processor_nobody_looks(void **state)
{
	struct worker w[MEMBERS];
	cpu_set_t before, one;
	(void)state;

	OK(sched_getaffinity(0, sizeof before, &before));
	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &one);
	OK(sched_setaffinity(0, sizeof one, &one));
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = begin(store);

	assert_false(store->group.spins);
	for (unsigned int i = 0; i < MEMBERS; i++)
		start(&w[i], store, body_commit, i + 1);
	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	OK(daxkv_txn_commit(txn));
	for (unsigned int i = 0; i < MEMBERS; i++) {
		end(&w[i]);
		OK(w[i].rc);
		assert_true(there(store, i + 1));
	}
	store_done(store);
	OK(sched_setaffinity(0, sizeof before, &before));
	store = file_new();
	assert_int_equal(store->group.spins, CPU_COUNT(&before) > 1);
	store_done(store);
}

static int timeouts_left; /* atomic */

/* impatient - waits for about as long as the others have the turn, so that the time is often over
 * at the moment at which the turn comes. */
static void *impatient(void *arg)
{
	struct worker *w = arg;
	struct daxkv_txn *txn;

	while (!w->rc && __atomic_load_n(&timeouts_left, __ATOMIC_RELAXED) > 0) {
		int rc = daxkv_txn_begin_timed(w->store, 1, &txn);

		if (rc == DAXKV_BUSY) {
			__atomic_fetch_sub(&timeouts_left, 1, __ATOMIC_RELAXED);
			continue;
		}
		w->rc = rc;
		if (rc)
			break;
		usleep(1000);
		daxkv_txn_abort(txn);
	}
	return NULL;
}

/* meddle - keep the queue's mutex most of the time, so that one who quits and one who gives the
 * turn on meet there. */
static void *meddle(void *arg)
{
	struct worker *w = arg;

	while (__atomic_load_n(&timeouts_left, __ATOMIC_RELAXED) > 0) {
		pthread_mutex_lock(&w->store->group.mutex);
		usleep(400);
		pthread_mutex_unlock(&w->store->group.mutex);
		usleep(50);
	}
	return NULL;
}

/* The turn that comes when the time is over is not lost: somebody has it afterwards. */
static void a_turn_that_comes_at_the_last_moment(void **state)
{
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = NULL;
	struct worker w[3], meddler = {.store = store};
	(void)state;

	timeouts_left = 300;
	for (unsigned int i = 0; i < 3; i++) {
		w[i] = (struct worker){.store = store};
		assert_int_equal(pthread_create(&w[i].thread, NULL, impatient, &w[i]), 0);
	}
	assert_int_equal(pthread_create(&meddler.thread, NULL, meddle, &meddler), 0);
	for (unsigned int i = 0; i < 3; i++) {
		end(&w[i]);
		OK(w[i].rc);
	}
	end(&meddler);
	OK(daxkv_txn_begin_timed(store, 5000, &txn));
	daxkv_txn_abort(txn);
	assert_int_equal(group_waiting(&store->group), 0);
	store_done(store);
}

static void *sync_alone(void *arg)
{
	struct worker *w = arg;

	w->rc = daxkv_sync(w->store);
	return NULL;
}

/* A checkpoint takes no part in a group: what it marks is what was committed before it [G6]. */
static void a_checkpoint_is_no_member(void **state)
{
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = begin(store);
	struct worker w = {.store = store};
	uint64_t clean;
	(void)state;

	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	assert_int_equal(pthread_create(&w.thread, NULL, sync_alone, &w), 0);
	queued(store, 1);
	OK(daxkv_txn_commit(txn));
	end(&w);
	OK(w.rc);
	(void)super_clean((const void *)store->map.base, &clean);
	assert_int_equal(clean, __atomic_load_n(&store->share->published, __ATOMIC_SEQ_CST));
	assert_true(lasts(store, 0));
	store_done(store);
}

/* Alone a commit waits for nobody, also when the one before had company. */
static void one_thread_alone_waits_for_nobody(void **state)
{
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = begin(store);
	struct worker w;
	(void)state;

	start(&w, store, body_commit, 1);
	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	OK(daxkv_txn_commit(txn));
	end(&w);
	assert_int_equal(store->group.expected, 2);
	for (unsigned int i = 2; i < 5; i++) {
		const struct daxkv_counters before = counters(store);

		txn = begin(store);
		OK(put_n(txn, DAXKV_MAIN, i, 20, 1));
		OK(daxkv_txn_commit(txn));
		assert_int_equal(store->group.expected, 1);
		assert_int_equal(counters(store).fences - before.fences, 1);
	}
	store_done(store);
}

static unsigned int order[MEMBERS], in_order; /* the turn's */

static int body_notes(struct worker *w, struct daxkv_txn *txn)
{
	order[in_order++] = w->n;
	if (w->n % 2)
		return body_commit(w, txn);
	daxkv_txn_abort(txn);
	return 0;
}

static void turns_go_in_the_order_of_their_begins(void **state)
{
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = begin(store);
	struct worker w[MEMBERS];
	(void)state;

	in_order = 0;
	for (unsigned int i = 0; i < MEMBERS; i++)
		start(&w[i], store, body_notes, i);
	daxkv_txn_abort(txn); /* no group is open: the first one in the queue begins alone */
	for (unsigned int i = 0; i < MEMBERS; i++) {
		end(&w[i]);
		OK(w[i].rc);
		assert_int_equal(order[i], i);
	}
	store_done(store);
}

#define MOST 64u

/* No more members than that, and none that comes to a group which is too old [G4]. */
static void a_group_has_bounds(void **state)
{
	static struct worker w[MOST + 4];
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = begin(store);
	uint64_t id = daxkv_txn_id(txn);
	(void)state;

	for (unsigned int i = 0; i < MOST + 4; i++)
		start(&w[i], store, body_commit, i + 1);
	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	OK(daxkv_txn_commit(txn));
	for (unsigned int i = 0; i < MOST + 4; i++) {
		end(&w[i]);
		OK(w[i].rc);
		assert_int_equal(w[i].id, id + (i + 1 >= MOST));
	}
	store->group.age_max_ns = 0;
	txn = begin(store);
	id = daxkv_txn_id(txn);
	start(&w[0], store, body_commit, 1);
	OK(put_n(txn, DAXKV_MAIN, 1000, 20, 1));
	OK(daxkv_txn_commit(txn));
	end(&w[0]);
	OK(w[0].rc);
	assert_int_equal(w[0].id, id + 1);
	store_done(store);
}

/* Once somebody has waited for long for the lock, by another handle here, a group takes no more
 * members: whoever is the next to have it [G4]. */
static void a_group_ends_for_one_who_has_waited(void **state)
{
	struct daxkv_store *store = file_new(), *other;
	struct daxkv_txn *txn = begin(store);
	const uint64_t id = daxkv_txn_id(txn);
	struct worker w[2];
	(void)state;

	other = store_open("g", (struct daxkv_options){.pmem = DAXKV_PMEM_FILE});
	w[0] = (struct worker){.store = other, .body = body_commit, .n = 1, .wait_ms = -1};
	assert_int_equal(pthread_create(&w[0].thread, NULL, work, &w[0]), 0);
	for (unsigned int ms = 0; !wlock_starving(&store->share->writer) && ms < 20000; ms++)
		usleep(1000);
	start(&w[1], store, body_commit, 2);
	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	OK(daxkv_txn_commit(txn));
	for (unsigned int i = 0; i < 2; i++) {
		end(&w[i]);
		OK(w[i].rc);
		assert_true(w[i].id > id);
	}
	store_done(other);
	store_done(store);
}

/* ---- processes --------------------------------------------------------------------------------
 */

static bool stop; /* atomic */

static void *kept_busy(void *arg)
{
	struct worker *w = arg;
	struct daxkv_txn *txn;

	while (!w->rc && !__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		w->rc = daxkv_txn_begin(w->store, NULL, 0, &txn);
		if (!w->rc)
			w->rc = body_commit(w, txn);
	}
	return NULL;
}

/* Writers of another process have their turn beside a handle whose threads are never done [G4]. */
static void another_process_has_its_turn(void **state)
{
	struct daxkv_store *store = file_new();
	struct worker w[MEMBERS];
	int status = 1;
	(void)state;

	sync_us = 2000;
	fflush(NULL);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct daxkv_options o = {.pmem = DAXKV_PMEM_FILE};
		struct daxkv_store *mine;
		struct daxkv_txn *txn;
		int rc = daxkv_close(store); /* does nothing here */

		rc = rc ? rc : daxkv_open(scratch_path("g"), &o, &mine);
		for (uint64_t i = 100; i < 110 && !rc; i++) {
			rc = daxkv_txn_begin_timed(mine, 10000, &txn);
			if (!rc)
				rc = put_n(txn, DAXKV_MAIN, i, 20, 1);
			if (!rc)
				rc = daxkv_txn_commit(txn);
		}
		_exit(rc ? 1 : daxkv_close(mine) != 0);
	}
	stop = false;
	for (unsigned int i = 0; i < MEMBERS; i++) {
		w[i] = (struct worker){.store = store, .n = i};
		assert_int_equal(pthread_create(&w[i].thread, NULL, kept_busy, &w[i]), 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < MEMBERS; i++) {
		end(&w[i]);
		OK(w[i].rc);
	}
	assert_int_equal(status, 0);
	for (unsigned int i = 0; i < 10; i++)
		assert_true(there(store, 100 + i));
	store_done(store);
}

static int body_dies(struct worker *w, struct daxkv_txn *txn)
{
	int rc = put_n(txn, DAXKV_MAIN, w->n, 20, 1);

	raise(SIGKILL);
	return rc;
}

/* The process of an open group dies: nothing of the group is there, and the next writer goes on. */
static void the_process_of_an_open_group_dies(void **state)
{
	struct daxkv_store *store = file_new();
	int status = 0;
	(void)state;

	put_some(store, 50, 60, 20, 1);
	fflush(NULL);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct daxkv_options o = {.flags = DAXKV_GROUP_COMMIT,
		                                .pmem = DAXKV_PMEM_FILE};
		struct daxkv_store *mine;
		struct daxkv_txn *txn;
		struct worker w[2];

		if (daxkv_open(scratch_path("g"), &o, &mine))
			_exit(1);
		mine->group.on = true;
		mine->group.age_max_ns = UINT64_MAX; /* as file_new has it */
		txn = begin(mine);
		start(&w[0], mine, body_commit, 1);
		start(&w[1], mine, body_dies, 2);
		(void)put_n(txn, DAXKV_MAIN, 0, 20, 1);
		_exit(daxkv_txn_commit(txn));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	for (unsigned int i = 0; i < 3; i++)
		assert_false(there(store, i));
	put_some(store, 0, 1, 20, 1);
	assert_true(lasts(store, 0) && lasts(store, 55) && !lasts(store, 1) && !lasts(store, 2));
	store_done(store);
}

static int body_forks(struct worker *w, struct daxkv_txn *txn)
{
	int status = 1, rc;
	pid_t pid = fork();

	if (pid == 0) { /* nothing that the child does reaches the parent's group */
		rc = daxkv_txn_commit(txn) != DAXKV_BAD_TXN;
		daxkv_txn_abort(txn);
		_exit(rc || daxkv_close(w->store));
	}
	rc = body_commit(w, txn);
	(void)waitpid(pid, &status, 0);
	return rc ? rc : status;
}

static void a_child_of_a_member_changes_nothing(void **state)
{
	struct daxkv_store *store = file_new();
	struct daxkv_txn *txn = begin(store);
	struct worker w[2];
	(void)state;

	OK(put_n(txn, DAXKV_MAIN, 0, 20, 1));
	start(&w[0], store, body_forks, 1);
	start(&w[1], store, body_commit, 2);
	OK(daxkv_txn_commit(txn));
	for (unsigned int i = 0; i < 2; i++) {
		end(&w[i]);
		OK(w[i].rc);
	}
	for (unsigned int i = 0; i < 3; i++)
		assert_true(lasts(store, i));
	store_done(store);
}

/* ---- all together -----------------------------------------------------------------------------
 */

#define BUSY_THREADS 6u
#define ROUNDS       150u

/* busy - moves between accounts, some of them in vain: every third transaction is aborted. */
static void *busy(void *arg)
{
	struct worker *w = arg;
	struct daxkv_txn *txn, *child;

	for (unsigned int i = 0; i < ROUNDS && !w->rc; i++) {
		const unsigned int n = w->n * ROUNDS + i;

		w->rc = daxkv_txn_begin(w->store, NULL, 0, &txn);
		if (w->rc)
			break;
		w->rc = put_n(txn, DAXKV_MAIN, n, 20, 1);
		if (!w->rc && i % 5 == 1) {
			w->rc = daxkv_txn_begin(w->store, txn, 0, &child);
			if (!w->rc)
				w->rc = put_n(child, DAXKV_MAIN, 100000 + n, 600, 1);
			if (!w->rc)
				w->rc = daxkv_txn_commit(child);
		}
		if (i % 3 == 2 || w->rc)
			daxkv_txn_abort(txn);
		else
			w->rc = daxkv_txn_commit(txn);
		if (!w->rc && there(w->store, n) != (i % 3 != 2))
			w->rc = -1000; /* what was acknowledged is there at once, the rest never */
		if (i % 40 == 7 && !w->rc)
			w->rc = daxkv_sync(w->store);
	}
	return NULL;
}

static void threads_that_are_never_done(void **state)
{
	struct daxkv_store *store = file_new();
	const struct daxkv_counters before = counters(store);
	struct worker w[BUSY_THREADS];
	(void)state;

	sync_us = 300;
	for (unsigned int i = 0; i < BUSY_THREADS; i++) {
		w[i] = (struct worker){.store = store, .n = i};
		assert_int_equal(pthread_create(&w[i].thread, NULL, busy, &w[i]), 0);
	}
	for (unsigned int i = 0; i < BUSY_THREADS; i++) {
		end(&w[i]);
		OK(w[i].rc);
	}
	const struct daxkv_counters after = counters(store);

	assert_int_equal(after.commits - before.commits, BUSY_THREADS * ROUNDS / 3 * 2);
	print_message("%lu commits, %lu fences\n", (unsigned long)(after.commits - before.commits),
	              (unsigned long)(after.fences - before.fences));
	for (unsigned int n = 0; n < BUSY_THREADS * ROUNDS; n++)
		assert_int_equal(there(store, n), n % ROUNDS % 3 != 2);
	sync_us = 0;
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(timed_begins_in_the_queue),
	    cmocka_unit_test(a_long_wait_is_slept),
	    cmocka_unit_test(on_one_processor_nobody_looks),
	    cmocka_unit_test(a_turn_that_comes_at_the_last_moment),
	    cmocka_unit_test(a_checkpoint_is_no_member),
	    cmocka_unit_test(one_thread_alone_waits_for_nobody),
	    cmocka_unit_test(turns_go_in_the_order_of_their_begins),
	    cmocka_unit_test(a_group_has_bounds),
	    cmocka_unit_test(a_group_ends_for_one_who_has_waited),
	    cmocka_unit_test(another_process_has_its_turn),
	    cmocka_unit_test(the_process_of_an_open_group_dies),
	    cmocka_unit_test(a_child_of_a_member_changes_nothing),
	    cmocka_unit_test(threads_that_are_never_done),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
