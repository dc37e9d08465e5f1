/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wild.c - a program that may write the lock file writes anything there, beside processes that use
 * the store.
 *
 *   wild [SECONDS [SEED]]
 *
 * What they do may fail, and says why; none may crash, or stand still, and the store is whole
 * afterwards. The word of the writer's lock is left alone meanwhile: a program that forges it makes
 * two writers of one, which no bound on a number can tell. But a word that names the waiting
 * process itself is tried first. Ends with one line, and exit status 0 when nothing went wrong.
 */
#include "daxkv.h"

#include "clock.h"
#include "rng.h"
#include "shm/readers.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define USERS         5
#define STILL_SECONDS 60 /* without a sign of life: it hangs */

struct board { /* atomic */
	uint64_t done[USERS], failed[USERS];
	uint64_t stop, writes;
};
static struct board *board;
static char path[512], lock_path[520];
static unsigned int seed = 1;

static const struct daxkv_options options = {
    .flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FORCE, .page_size = 512, .max_size = 32 << 20};

static int writes_some(struct daxkv_store *store, struct rng *rng)
{
	uint8_t bytes[600] = {0};
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin_timed(store, 500, &txn);

	if (rc)
		return rc;
	for (unsigned int i = 0; i < 20 && !rc; i++) {
		uint64_t key = rng_next(rng) % 500;
		struct daxkv_val k = {sizeof key, &key}, v = {rng_next(rng) % sizeof bytes, bytes};

		rc = daxkv_put(txn, DAXKV_MAIN, &k, &v, 0);
	}
	if (rc || rng_next(rng) % 8 == 0) {
		daxkv_txn_abort(txn);
		return rc;
	}
	return daxkv_txn_commit(txn);
}

static void shown(const struct daxkv_reader *reader, void *arg)
{
	*(uint64_t *)arg += reader->running != 0;
}

static int reads_some(struct daxkv_store *store, struct rng *rng)
{
	struct daxkv_cursor *cursor;
	struct daxkv_info info;
	struct daxkv_txn *txn;
	struct daxkv_val k, v;
	uint64_t running = 0;
	int rc = daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn);

	if (rc)
		return rc;
	rc = daxkv_cursor_open(txn, DAXKV_MAIN, &cursor);
	for (unsigned int i = 0; i < 200 && !rc; i++)
		rc = daxkv_cursor_get(cursor, &k, &v, DAXKV_NEXT);
	rc = rc == DAXKV_NOT_FOUND ? 0 : rc;
	daxkv_txn_abort(txn);
	daxkv_readers_list(store, shown, &running);
	(void)daxkv_readers_reap(store);
	(void)daxkv_writer_pid(store);
	if (!rc && rng_next(rng) % 4 == 0)
		rc = daxkv_info(store, &info);
	return rc;
}

/* uses - opens, writes and reads, closes, again and again. */
static void uses(unsigned int number)
{
	struct rng rng;

	rng_seed(&rng, seed * 100 + number);
	while (!__atomic_load_n(&board->stop, __ATOMIC_ACQUIRE)) {
		struct daxkv_store *store;
		int rc = daxkv_open(path, &options, &store);

		for (uint64_t n = rng_next(&rng) % 300; n && !rc; n--) {
			rc = (number % 2 ? reads_some : writes_some)(store, &rng);
			__atomic_fetch_add(&board->done[number], 1, __ATOMIC_RELAXED);
			if (rc)
				(void)daxkv_close(store);
		}
		if (!rc)
			rc = daxkv_close(store);
		__atomic_fetch_add(&board->done[number], 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&board->failed[number], rc != 0, __ATOMIC_RELAXED);
	}
}

/* forged - the writer's lock is given to this process in its name: its writers are told so, in a
 * while, and when all have closed the store it can be written again. */
static bool forged(void)
{
	struct daxkv_txn *txn;
	struct share share;
	struct daxkv_store *store;
	int fd, rc = daxkv_open(path, &options, &store);

	if (rc)
		return false;
	fd = open(lock_path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &share, sizeof share, 0) != sizeof share)
		return false;
	share.writer.word = (uint64_t)share.next_owner << WLOCK_OWNER_SHIFT;
	if (pwrite(fd, &share.writer, sizeof share.writer, offsetof(struct share, writer)) !=
	    sizeof share.writer)
		return false;
	close(fd);
	alarm(STILL_SECONDS);
	rc = daxkv_txn_begin(store, NULL, 0, &txn);
	alarm(0);
	bool told = rc == DAXKV_CORRUPT && strstr(daxkv_errmsg(), lock_path);

	(void)daxkv_close(store);
	rc = daxkv_open(path, &options, &store);
	if (!rc)
		rc = daxkv_txn_begin(store, NULL, 0, &txn);
	if (!rc)
		rc = daxkv_txn_commit(txn);
	return !daxkv_close(store) && !rc && told;
}

static void fault(const char *text, void *arg)
{
	(void)arg;
	fprintf(stderr, "wild: %s\n", text);
}

/* whole - when all have closed it, what was written into the lock file counts no more: the checker
 * finds nothing in the store, and it can be written. */
static bool whole(void)
{
	struct daxkv_txn *txn;
	uint64_t faults = 0;
	struct daxkv_store *store;
	int rc = daxkv_open(path, &options, &store);

	if (rc)
		return fault(daxkv_errmsg(), NULL), false;
	rc = daxkv_check(store, fault, NULL, &faults);
	if (!rc)
		rc = daxkv_txn_begin(store, NULL, 0, &txn);
	if (!rc)
		rc = daxkv_txn_commit(txn);
	if (rc)
		fault(daxkv_errmsg(), NULL);
	return !daxkv_close(store) && !rc && !faults;
}

static uint64_t wild_number(struct rng *rng, uint64_t now)
{
	switch (rng_next(rng) % 6) {
	case 0:
		return rng_next(rng);
	case 1:
		return rng_next(rng) % 5000;
	case 2:
		return now ^ (uint64_t)1 << rng_next(rng) % 64;
	case 3:
		return now + rng_next(rng) % 5 - 2;
	case 4:
		return UINT64_MAX - rng_next(rng) % 3;
	default:
		return (uint64_t)1 << rng_next(rng) % 64;
	}
}

/* spoils - a word of the share, a slot, or the limbo, every now and then. */
static void spoils(void)
{
	const uint64_t writer = offsetof(struct share, writer);
	struct rng rng;

	rng_seed(&rng, seed);
	while (!__atomic_load_n(&board->stop, __ATOMIC_ACQUIRE)) {
		static const uint64_t reach[] = {sizeof(struct share), 4096, 400000};
		uint64_t at = rng_next(&rng) % reach[rng_next(&rng) % 3] / 8 * 8, word = 0;
		int fd = open(lock_path, O_RDWR | O_CLOEXEC);

		usleep((useconds_t)(rng_next(&rng) % 3000));
		if (fd >= 0 && at != writer &&
		    at != 0 && /* without its name it is another file, and refused */
		    pread(fd, &word, sizeof word, (off_t)at) == sizeof word) {
			word = wild_number(&rng, word);
			if (pwrite(fd, &word, sizeof word, (off_t)at) == sizeof word)
				__atomic_fetch_add(&board->writes, 1, __ATOMIC_RELAXED);
		}
		if (fd >= 0)
			close(fd);
	}
}

static pid_t start(unsigned int number)
{
	fflush(NULL);
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (number == USERS)
		spoils();
	else
		uses(number);
	_exit(0);
}

/* watched - until the time is over; whether all have gone on. */
static bool watched(double seconds)
{
	uint64_t seen[USERS] = {0};
	double until = now() + seconds, moved[USERS];
	bool late = false;

	for (int i = 0; i < USERS; i++)
		moved[i] = now();
	while (now() < until && !late) {
		usleep(100000);
		for (int i = 0; i < USERS; i++) {
			uint64_t done = __atomic_load_n(&board->done[i], __ATOMIC_RELAXED);

			if (done != seen[i])
				moved[i] = now();
			seen[i] = done;
			late |= now() - moved[i] > STILL_SECONDS;
		}
	}
	return !late;
}

/* ended - all have come to their end by themselves; how many have not, or crashed. */
static int ended(pid_t *pid)
{
	int status, bad = 0, left = USERS + 1;

	for (int tries = 0; left && tries < STILL_SECONDS * 10; tries++) {
		left = 0;
		for (int i = 0; i <= USERS; i++) {
			if (!pid[i] || waitpid(pid[i], &status, WNOHANG) == 0) {
				left += pid[i] != 0;
				continue;
			}
			if (WIFSIGNALED(status))
				fprintf(stderr, "wild: user %d died of signal %d\n", i,
				        WTERMSIG(status));
			bad += WIFSIGNALED(status);
			pid[i] = 0;
		}
		if (left)
			usleep(100000);
	}
	for (int i = 0; i <= USERS; i++) {
		if (!pid[i])
			continue;
		fprintf(stderr, "wild: user %d stands still\n", i);
		kill(pid[i], SIGKILL);
		bad++;
	}
	return bad;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 5;
	char dir[] = "/dev/shm/wild-XXXXXX";
	uint64_t done = 0, failures = 0;
	pid_t pid[USERS + 1];
	struct daxkv_store *store;

	seed = argc > 2 ? (unsigned int)atoi(argv[2]) : 1;
	board =
	    mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED || !mkdtemp(dir))
		return 2;
	snprintf(path, sizeof path, "%s/store", dir);
	snprintf(lock_path, sizeof lock_path, "%s-lock", path);
	if (daxkv_open(path, &options, &store) || daxkv_close(store))
		return 2;
	if (!forged()) {
		fprintf(stderr, "wild: a forged lock: %s\n", daxkv_errmsg());
		return 1;
	}
	for (unsigned int i = 0; i <= USERS; i++)
		pid[i] = start(i);
	bool went_on = watched(seconds);

	__atomic_store_n(&board->stop, 1, __ATOMIC_RELEASE);
	int bad = ended(pid);

	if (!whole())
		bad++;
	for (int i = 0; i < USERS; i++) {
		done += board->done[i];
		failures += board->failed[i];
	}
	printf("wild: %lu words written, %lu things done, %lu of them refused; %d failures%s\n",
	       (unsigned long)board->writes, (unsigned long)done, (unsigned long)failures, bad,
	       went_on ? "" : ", and somebody stood still");
	unlink(path);
	unlink(lock_path);
	rmdir(dir);
	return bad || !went_on || !board->writes || done == failures;
}
