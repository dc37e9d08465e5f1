/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a store may lie: bind mounts, media that cannot be written, files of somebody else, network
 * filesystems. Children in mount namespaces of their own; they need root, else they are skipped. */
#include "small_store.h"

#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define NOBODY 65534

static int open_code(const char *path, unsigned int flags, struct daxkv_store **out)
{
	struct daxkv_options o = {.pmem = DAXKV_PMEM_FORCE, .flags = flags};
	struct daxkv_store *store;
	int rc = daxkv_open(path, &o, &store);

	if (!rc && out)
		*out = store;
	else if (!rc)
		rc = daxkv_close(store);
	return rc;
}

/* mounts_own - a mount namespace of this child's own. */
static bool mounts_own(void)
{
	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		return true;
	fprintf(stderr, "skip: a mount namespace needs root%s%s\n", geteuid() ? "" : ": ",
	        geteuid() ? "" : strerror(errno));
	return false;
}

static bool mount_again(const char *what, const char *where, unsigned long flags)
{
	return mount(what, where, NULL, MS_BIND, NULL) == 0 &&
	       (!flags || mount("none", where, NULL, MS_BIND | MS_REMOUNT | flags, NULL) == 0);
}

enum left {
	CLEAN,
	IN_PLACE, /* as a killed process leaves it between commits */
	TORN /* with words of its newest commit that are not in place: by a power cut, or in the
	        middle of storing them */
};
static enum left left;

/* word_restore - in the image, the word at off is what it is in old. */
static void word_restore(const char *image, const char *old, uint64_t off)
{
	int from = open(scratch_path(old), O_RDONLY | O_CLOEXEC),
	    to = open(scratch_path(image), O_RDWR | O_CLOEXEC);
	uint64_t word;

	assert_true(from >= 0 && to >= 0);
	assert_int_equal(pread(from, &word, sizeof word, (off_t)off), sizeof word);
	assert_int_equal(pwrite(to, &word, sizeof word, (off_t)off), sizeof word);
	close(from);
	close(to);
}

static void store_make(enum left how)
{
	struct daxkv_store *store = store_new("e", 4096);

	left = how;
	store_image(store, "old");
	put_one(store, "k", "v");
	if (how != CLEAN)
		store_image(store, "image");
	assert_true(store->words.n > 1);
	if (how == TORN)
		word_restore("image", "old", store->words.w[0].off);
	store_done(store);
	if (how == CLEAN)
		return;
	OK(rename(scratch_path("image"), scratch_path("e")));
	OK(unlink(scratch_path("e-lock")));
}

static void put_and_close(const char *name)
{
	struct daxkv_store *store = store_open(
	    name, (struct daxkv_options){.flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FORCE});
	char lock[64];

	put_one(store, "k", "v");
	OK(daxkv_close(store));
	snprintf(lock, sizeof lock, "%s-lock", name);
	OK(unlink(scratch_path(lock)));
}

static bool shows(struct daxkv_store *store, const char *key, const char *value)
{
	struct daxkv_txn *txn;

	if (daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &txn))
		return false;
	bool good = has(txn, DAXKV_MAIN, key, value);

	daxkv_txn_abort(txn);
	return good;
}

/* ---- bind mounts ----------------------------------------------------------------------------- */

static int child_binds(void)
{
	struct daxkv_store *a, *b;

	if (!mounts_own())
		return SKIPPED;
	CHECK(mkdir(scratch_path("dir"), 0700) == 0 && mkdir(scratch_path("other"), 0700) == 0);
	CHECK(open_code(scratch_path("dir/e"), DAXKV_CREATE, &a) == 0);
	close(open(scratch_path("name"), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	CHECK(mount_again(scratch_path("dir/e"), scratch_path("name"), 0));
	CHECK(mount_again(scratch_path("dir"), scratch_path("other"), 0));
	/* The file alone: another lock file, and so another name. */
	CHECK(open_code(scratch_path("name"), 0, NULL) == DAXKV_BUSY &&
	      strstr(daxkv_errmsg(), "another name"));
	CHECK(open_code(scratch_path("name"), DAXKV_READ_ONLY, NULL) == DAXKV_BUSY);
	/* The directory: the same lock file, and the store is shared. */
	CHECK(open_code(scratch_path("other/e"), 0, &b) == 0);
	put_one(a, "a", "1");
	put_one(b, "b", "2");
	CHECK(shows(a, "b", "2") && shows(b, "a", "1"));
	CHECK(daxkv_close(a) == 0 && daxkv_close(b) == 0);
	CHECK(open_code(scratch_path("name"), 0, &a) == 0); /* nobody is there: any name will do */
	CHECK(open_code(scratch_path("dir/e"), 0, NULL) == DAXKV_BUSY);
	CHECK(shows(a, "b", "2") && daxkv_close(a) == 0);
	return 0;
}

static void bind_mounts(void **state)
{
	(void)state;
	child_run(child_binds);
}

/* ---- what cannot be written ------------------------------------------------------------------ */

/* beside_a_writer - the reader goes on while somebody writes by way of the other mount: its
 * snapshot stays, and the next one is new. */
static int beside_a_writer(struct daxkv_store *reader)
{
	struct daxkv_txn *old, *txn;
	struct daxkv_store *writer;

	CHECK(daxkv_txn_begin(reader, NULL, DAXKV_TXN_READ_ONLY, &old) == 0 &&
	      has(old, DAXKV_MAIN, "k", "v"));
	CHECK(open_code(scratch_path("e"), 0, &writer) == 0);
	for (int i = 0; i < 3000; i++) {
		CHECK(daxkv_txn_begin(writer, NULL, 0, &txn) == 0 &&
		      put(txn, DAXKV_MAIN, "k", i % 2 ? "odd" : "even", 0) == 0);
		CHECK(daxkv_txn_commit(txn) == 0);
	}
	CHECK(has(old, DAXKV_MAIN, "k", "v"));
	daxkv_txn_abort(old);
	CHECK(shows(reader, "k", "odd"));
	CHECK(daxkv_txn_begin(writer, NULL, 0, &txn) == 0 &&
	      put(txn, DAXKV_MAIN, "k", "v", 0) == 0 && daxkv_txn_commit(txn) == 0);
	CHECK(daxkv_close(writer) == 0);
	CHECK(shows(reader, "k", "v"));
	return 0;
}

static int child_reads_readonly_media(void)
{
	struct daxkv_store *store, *second;
	struct daxkv_info i;

	if (!mounts_own())
		return SKIPPED;
	CHECK(mkdir(scratch_path("ro"), 0700) == 0 || errno == EEXIST);
	CHECK(mount_again(scratch_dir, scratch_path("ro"), MS_RDONLY));
	for (int with_lock = 0; with_lock < 2;
	     with_lock++) { /* a lock file that is there can only be read */
		if (with_lock)
			close(open(scratch_path("e-lock"), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
		CHECK(open_code(scratch_path("ro/e"), 0, NULL) == EROFS);
		CHECK(open_code(scratch_path("ro/e"), DAXKV_READ_ONLY, &store) == 0);
		CHECK(open_code(scratch_path("ro/e"), DAXKV_READ_ONLY, &second) == 0);
		CHECK(shows(store, "k", "v") && shows(second, "k", "v"));
		CHECK(daxkv_info(store, &i) == 0 && i.private_recovery == (left == TORN) &&
		      i.read_only);
		if (left == TORN) /* it keeps writers away who come by the other mount */
			CHECK(open_code(scratch_path("e"), 0, NULL) == DAXKV_BUSY);
		else
			CHECK(beside_a_writer(store) == 0);
		CHECK(daxkv_close(store) == 0 && daxkv_close(second) == 0);
	}
	return 0;
}

static void readonly_media(void **state)
{
	(void)state;
	for (enum left how = CLEAN; how <= TORN; how++) {
		store_make(how);
		child_run(child_reads_readonly_media);
		OK(open_code(scratch_path("e"), 0, NULL));
	}
}

static int child_is_nobody(void)
{
	struct daxkv_store *store;
	struct daxkv_info i;

	if (geteuid() != 0) {
		fprintf(stderr, "skip: to become somebody else needs root\n");
		return SKIPPED;
	}
	CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	CHECK(open_code(scratch_path("e"), 0, NULL) == EACCES);
	CHECK(open_code(scratch_path("e"), DAXKV_READ_ONLY, &store) == 0);
	CHECK(shows(store, "k", "v"));
	CHECK(daxkv_info(store, &i) == 0 && i.private_recovery == (left == TORN));
	CHECK(daxkv_close(store) == 0);
	return 0;
}

/* Somebody who may only read it, and may not make a lock file. */
static void file_of_somebody_else(void **state)
{
	struct stat before, after;
	(void)state;
	OK(chmod(scratch_dir, 0755));
	for (enum left how = CLEAN; how <= TORN; how++) {
		store_make(how);
		OK(chmod(scratch_path("e"), 0644));
		OK(stat(scratch_path("e"), &before));
		child_run(child_is_nobody);
		OK(stat(scratch_path("e"), &after));
		assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
		OK(open_code(scratch_path("e"), 0, NULL));
	}
}

/* ---- network filesystems --------------------------------------------------------------------- */

static struct {
	uint32_t type; /* 0: what it is */
	int error;
} fake;

/* The engine's call comes here. */
int fstatfs(int fd, struct statfs *fs)
{
	if (fake.error) {
		errno = fake.error;
		return -1;
	}
	int rc = (int)syscall(SYS_fstatfs, fd, fs);

	if (rc == 0 && fake.type)
		fs->f_type = (__typeof__(fs->f_type))fake.type;
	return rc;
}

static void network_filesystems(void **state)
{
	static const uint32_t remote[] = {0x6969,     0x517b,     0xff534d42, 0xfe534d42,
	                                  0x00c36400, 0x5346414f, 0x0bd00bd0},
	                      local[] = {0xef53, 0x58465342, 0x9123683e, 0x12345};
	(void)state;
	store_make(CLEAN);
	for (size_t i = 0; i < sizeof remote / sizeof *remote; i++) {
		fake.type = remote[i];
		assert_int_equal(open_code(scratch_path("e"), 0, NULL), EOPNOTSUPP);
		assert_non_null(strstr(daxkv_errmsg(), "network filesystem"));
		assert_int_equal(open_code(scratch_path("e"), DAXKV_READ_ONLY, NULL), EOPNOTSUPP);
		assert_int_equal(open_code(scratch_path("new"), DAXKV_CREATE, NULL), EOPNOTSUPP);
		assert_int_equal(access(scratch_path("new"), F_OK), -1);
		OK(open_code(scratch_path("e"), DAXKV_NO_LOCK,
		             NULL)); /* who keeps the others away himself may */
	}
	for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
		fake.type = local[i];
		OK(open_code(scratch_path("e"), 0, NULL));
	}
	fake.type = 0;
	fake.error = ENOSYS;
	OK(open_code(scratch_path("e"), 0, NULL));
	fake.error = 0;
}

/* layers_mount - an overlay of the scratch directory's low, up and work at ov. */
static bool layers_mount(void)
{
	char options[3 * PATH_MAX];

	for (const char *const *name = (const char *const[]){"low", "up", "work", "ov", NULL};
	     *name; name++)
		(void)mkdir(scratch_path(*name), 0755);
	int n = snprintf(options, sizeof options, "lowerdir=%s", scratch_path("low"));
	n += snprintf(options + n, sizeof options - (size_t)n, ",upperdir=%s", scratch_path("up"));
	snprintf(options + n, sizeof options - (size_t)n, ",workdir=%s", scratch_path("work"));
	if (mount("overlay", scratch_path("ov"), "overlay", 0, options) == 0)
		return true;
	fprintf(stderr, "skip: no overlay filesystem (%s)\n", strerror(errno));
	return false;
}

/* A file of a lower layer becomes another one with its first writer: readers from before see what
 * is committed there, and their running snapshots stay. */
static int child_reads_layers(void)
{
	const unsigned int modes[] = {0, DAXKV_NO_LOCK | DAXKV_EXTERNAL_LOCK};
	struct daxkv_store *reader, *writer;
	struct daxkv_txn *old;

	if (!mounts_own())
		return SKIPPED;
	(void)mkdir(scratch_path("low"), 0755);
	for (size_t i = 0; i < 2; i++) {
		const char *name = i ? "ov/turns" : "ov/shared";

		put_and_close(i ? "low/turns" : "low/shared");
		if (i == 0 && !layers_mount())
			return SKIPPED;
		if (i)
			CHECK(umount(scratch_path("ov")) == 0 && layers_mount());
		CHECK(open_code(scratch_path(name), DAXKV_READ_ONLY | modes[i], &reader) == 0 &&
		      shows(reader, "k", "v"));
		CHECK(daxkv_txn_begin(reader, NULL, DAXKV_TXN_READ_ONLY, &old) == 0);
		CHECK(open_code(scratch_path(name), modes[i], &writer) == 0);
		for (unsigned int n = 0; n < 200; n++)
			put_one(writer, "k", n % 2 ? "w" : "x");
		put_some(writer, 0, 2000, 100, 1); /* the file grows */
		CHECK(has(old, DAXKV_MAIN, "k", "v"));
		daxkv_txn_abort(old);
		CHECK(shows(reader, "k", "w"));
		put_one(writer, "k", "y");
		CHECK(shows(reader, "k", "y"));
		CHECK(daxkv_close(writer) == 0 && shows(reader, "k", "y") &&
		      daxkv_close(reader) == 0);
	}
	return umount(scratch_path("ov"));
}

static void layers(void **state)
{
	(void)state;
	child_run(child_reads_layers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(layers), TEST(bind_mounts), TEST(readonly_media),
	                                   TEST(file_of_somebody_else), TEST(network_filesystems)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
