/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault.c - every call that the engine makes and that can fail, fails once, and once for good.
 *
 *   fault [--dir DIR] [--pmem auto|force] [--page-size N] [--only N] [--lasting] [--verbose]
 *
 * The scenario runs with its first call failing, then with its second, until a run meets no
 * failure; then again with failures that last until a call reports them. After each failure: a call
 * reported it, with that error and a text of its own; the store has what was acknowledged and
 * nothing else, in the same handle and after the checker; the step then succeeds. After a failed
 * sync the handle refuses to write, says why, still reads, and the reopened store has what was
 * acknowledged, with or without the commit that failed. At the end of a run no memory, descriptor
 * or mapping is left.
 */
#include "inject.h"
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
	const char *dir;
	enum daxkv_pmem pmem;
	uint32_t page_size;
	unsigned long only;
	bool lasting, verbose;
};

struct tally {
	unsigned long runs, reported, panicked, passed;
};

static struct life life;

static bool complain(const char *step, const char *what, const char *detail)
{
	const struct inject_shot *shot = inject_fired();

	printf("step '%s', %s failing with \"%s\": %s%s%s\n", step, shot ? shot->call : "nothing",
	       shot ? strerror(shot->error) : "", what, detail ? ": " : "", detail ? detail : "");
	return false;
}

static void print_fault(const char *fault, void *arg)
{
	(void)arg;
	printf("daxkv_check: %s\n", fault);
}

bool life_reports_faults(struct daxkv_store *store)
{
	uint64_t faults = 0;
	int rc = daxkv_check(store, print_fault, NULL, &faults);

	if (rc)
		printf("daxkv_check: %s\n", daxkv_strerror(rc));
	return rc || faults;
}

/* is_sync - after its failure nobody knows what is durable. */
static bool is_sync(const char *call)
{
	return !strcmp(call, "fdatasync") || !strcmp(call, "fsync") || !strcmp(call, "msync");
}

/* expected_error - whether a call may answer the failure with rc. */
static bool expected_error(int rc)
{
	const struct inject_shot *shot = inject_fired();

	if (shot && strcmp(shot->call, "fcntl") == 0 && rc == DAXKV_BUSY)
		return true; /* a lock that cannot be asked for counts as taken */
	if (shot && rc == DAXKV_PANIC && is_sync(shot->call))
		return true;
	return shot && rc == shot->error;
}

static bool write_refused(const char *step)
{
	struct daxkv_txn *txn;
	int rc = daxkv_txn_begin(life.store, NULL, 0, &txn);

	if (rc == 0) {
		daxkv_txn_abort(txn);
		return complain(step, "the handle in panic begins a write transaction", NULL);
	}
	if (rc != DAXKV_PANIC || !strstr(daxkv_errmsg(), strerror(inject_fired()->error)))
		return complain(step, "the handle in panic does not say why it refuses",
		                daxkv_errmsg());
	rc = daxkv_sync(life.store);
	if (rc != DAXKV_PANIC)
		return complain(step, "the handle in panic syncs", daxkv_strerror(rc));
	return true;
}

/* after_panic - the handle refuses writes and still reads; then the store is reopened. kept: the
 * failed commit is there. */
static bool after_panic(const char *step, bool *kept)
{
	const char *difference = NULL;

	if (life.store) {
		if (!write_refused(step))
			return false;
		difference = state_differs(life.store, &life.acked);
		if (difference)
			return complain(step, "what the handle in panic reads", difference);
		int rc = daxkv_close(life.store);

		life.store = NULL;
		if (rc)
			return complain(step, "closing the handle in panic", daxkv_strerror(rc));
	}
	if (life_open(&life))
		return complain(step, "opening it again", daxkv_errmsg());
	*kept = !state_differs(life.store, &life.next);
	return true;
}

/* after_failure - a step failed with rc: was that right, and is the store whole? Then the step
 * again, unless the commit was kept after all. */
static bool after_failure(const struct step *step, int rc, struct tally *tally)
{
	bool kept = false;
	char temp[540];

	if (!expected_error(rc))
		return complain(step->name, "reported as", daxkv_strerror(rc));
	tally->reported++;
	inject_stop();
	snprintf(temp, sizeof temp, "%s.daxkv-new", life.path);
	if (access(temp, F_OK) == 0)
		return complain(step->name, "a temporary file is left", temp);
	if (step == scenario && access(life.path, F_OK) == 0)
		return complain(step->name, "a file is left of the store that was not made",
		                life.path);
	/* A sync or fence that fails at growth may have lost the pages of earlier commits. */
	bool lost = strstr(inject_fired()->call, "sync") && life.store;

	if ((rc == DAXKV_PANIC || lost) && !life.elsewhere) {
		tally->panicked++;
		if (!after_panic(step->name, &kept))
			return false;
	}
	if (life_open(&life)) /* a failed open or close left no handle */
		return complain(step->name, "opening it again", daxkv_errmsg());
	if (kept)
		life.acked = life.next;
	const char *difference = state_differs(life.store, &life.acked);

	if (difference)
		return complain(step->name, "the store is not what was acknowledged", difference);
	if (life_reports_faults(life.store))
		return complain(step->name, "the store has faults", NULL);
	if (kept && !step->closes)
		return true;
	life.next = life.acked;
	rc = step->run(&life);
	if (rc)
		return complain(step->name, "the step fails again", daxkv_errmsg());
	life.acked = life.next;
	return true;
}

static bool step_run(const struct step *step, struct tally *tally)
{
	const bool fired_before = inject_fired() != NULL;
	char text[512];

	(void)daxkv_txn_commit(NULL); /* a text that no other call leaves */
	snprintf(text, sizeof text, "%s", daxkv_errmsg());
	life.next = life.acked;
	life.reported = 0;
	life.elsewhere = false;
	int rc = step->run(&life);
	const struct inject_shot *shot = fired_before ? NULL : inject_fired();

	if (life.wrong)
		return complain(step->name, life.wrong, NULL);
	if (rc || life.reported) {
		if (strcmp(text, daxkv_errmsg()) == 0)
			return complain(step->name, "no text for daxkv_errmsg",
			                daxkv_strerror(rc ? rc : life.reported));
		if (!expected_error(rc ? rc : life.reported))
			return complain(step->name, "reported as",
			                daxkv_strerror(rc ? rc : life.reported));
	}
	if (rc)
		return after_failure(step, rc, tally);
	life.acked = life.next;
	if (!shot)
		return true;
	if (life.reported)
		tally->reported++;
	else if (shot->may_pass)
		tally->passed++;
	else
		return complain(step->name, "no call reported it", NULL);
	inject_stop();
	const char *difference = life.store ? state_differs(life.store, &life.acked) : NULL;

	if (difference)
		return complain(step->name, "the store is not what was acknowledged", difference);
	if (life.store && life_reports_faults(life.store))
		return complain(step->name, "the store has faults", NULL);
	return true;
}

static unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static bool mapped(const char *path)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[1024];
	bool found = false;

	while (maps && fgets(line, sizeof line, maps))
		found |= strstr(line, path) != NULL;
	if (maps)
		fclose(maps);
	return found;
}

static void remove_files(void)
{
	char name[560];
	static const char *const suffix[] = {"", "-lock", ".daxkv-new"};

	for (unsigned int i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "%s%s", life.path, suffix[i]);
		(void)unlink(name);
		snprintf(name, sizeof name, "%s%s", life.copy, suffix[i]);
		(void)unlink(name);
	}
}

/* run - one life with its n-th call failing; *met tells whether there was such a call. */
static bool run(const struct settings *s, unsigned long n, bool lasting, struct tally *tally,
                bool *met)
{
	const long held = inject_held();
	const unsigned int open_before = descriptors();
	bool good = true;

	memset(&life, 0, sizeof life);
	snprintf(life.path, sizeof life.path, "%s/store", s->dir);
	snprintf(life.copy, sizeof life.copy, "%s/copy", s->dir);
	life.options = (struct daxkv_options){.flags = DAXKV_CREATE,
	                                      .pmem = s->pmem,
	                                      .page_size = s->page_size,
	                                      .max_size = 64u << 20,
	                                      .max_dbs = 8,
	                                      .max_readers = 8};
	remove_files();
	inject_arm(n, lasting);
	for (unsigned int i = 0; i < scenario_steps && good; i++)
		good = step_run(&scenario[i], tally);
	*met = inject_fired() != NULL;
	inject_stop();
	inject_pause();
	if (good && life_open(&life))
		good = complain("the end", "opening it again", daxkv_errmsg());
	const char *difference = good ? state_differs(life.store, &life.acked) : NULL;

	if (difference)
		good = complain("the end", "the store is not what was acknowledged", difference);
	if (good && life_reports_faults(life.store))
		good = complain("the end", "the store has faults", NULL);
	(void)daxkv_close(life.store);
	if (good && inject_held() != held)
		good = complain("the end", "memory is left", NULL);
	if (good && descriptors() != open_before)
		good = complain("the end", "a descriptor is left", NULL);
	if (good && (mapped(life.path) || mapped(life.copy)))
		good = complain("the end", "a mapping is left", NULL);
	tally->runs++;
	return good;
}

static bool run_all(const struct settings *s, bool lasting)
{
	struct tally tally = {0};
	bool met = true;

	for (unsigned long n = 1; met; n++) {
		if (s->only)
			n = s->only;
		if (!run(s, n, lasting, &tally, &met)) {
			printf("FAIL: fault --pmem %s --page-size %u --only %lu%s\n",
			       s->pmem == DAXKV_PMEM_FORCE ? "force" : "auto", s->page_size, n,
			       lasting ? " --lasting" : "");
			return false;
		}
		if (s->verbose && inject_fired())
			printf("%lu %s\n", n, inject_fired()->call);
		if (s->only)
			break;
	}
	printf("%s, pages of %u, failures %s: %lu runs, %lu failures reported, %lu put the handle "
	       "into panic, %lu did no harm\n",
	       s->pmem == DAXKV_PMEM_FORCE ? "emulated" : "file", s->page_size,
	       lasting ? "that last" : "once", tally.runs, tally.reported, tally.panicked,
	       tally.passed);
	return s->only ||
	       (tally.reported > 100 && (s->pmem == DAXKV_PMEM_FORCE || tally.panicked > 10));
}

static int usage(void)
{
	fprintf(stderr, "usage: fault [--dir DIR] [--pmem auto|force] [--page-size N] [--only N] "
	                "[--lasting] [--verbose]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static char dir[400];
	struct settings s = {.pmem = DAXKV_PMEM_AUTO, .page_size = 4096};
	const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--lasting") == 0)
			s.lasting = true;
		else if (strcmp(argv[i], "--verbose") == 0)
			s.verbose = true;
		else if (!value)
			return usage();
		else if (strcmp(argv[i], "--dir") == 0)
			parent = argv[++i];
		else if (strcmp(argv[i], "--pmem") == 0)
			s.pmem =
			    strcmp(argv[++i], "force") == 0 ? DAXKV_PMEM_FORCE : DAXKV_PMEM_AUTO;
		else if (strcmp(argv[i], "--page-size") == 0)
			s.page_size = (uint32_t)strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--only") == 0)
			s.only = strtoul(argv[++i], NULL, 10);
		else
			return usage();
	}
	snprintf(dir, sizeof dir, "%s/daxkv-fault-XXXXXX", parent);
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	s.dir = dir;
	bool good = (s.lasting && s.only) || run_all(&s, false);

	if (good && (!s.only || s.lasting))
		good = run_all(&s, true);
	if (!good) {
		printf("the files are kept in %s\n", dir);
		return 1;
	}
	remove_files();
	return rmdir(dir) == 0 ? 0 : 1;
}
