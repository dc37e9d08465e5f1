/* SPDX-License-Identifier: BSD-3-Clause */
/* Error texts: each thread's own, cut at 511 bytes, and one for every code. */
#include "base/err.h"

#include "daxkv.h"
#include "scratch.h"

#include <pthread.h>

static void err_set_keeps_text_and_returns_code(void **state)
{
	(void)state;
	errno = EXDEV;
	assert_int_equal(err_set(DAXKV_FULL, "%s has %d pages", "it", 7), DAXKV_FULL);
	assert_string_equal(daxkv_errmsg(), "it has 7 pages");
	assert_int_equal(errno, EXDEV);
}

static void err_sys_appends_errno_text(void **state)
{
	(void)state;
	assert_int_equal(err_sys(ENOSPC, "growing %s", "a file"), ENOSPC);
	assert_string_equal(daxkv_errmsg(), "growing a file: No space left on device");
}

static void err_corrupt_names_the_place(void **state)
{
	(void)state;
	assert_int_equal(err_corrupt(0x1f000, "leaf: %d slots", 99), DAXKV_CORRUPT);
	assert_string_equal(daxkv_errmsg(), "corrupted at 0x1f000: leaf: 99 slots");
}

static void err_set_quoting_the_last_text(void **state)
{
	(void)state;
	err_set(1, "inner");
	err_set(1, "outer (%s)", daxkv_errmsg());
	assert_string_equal(daxkv_errmsg(), "outer (inner)");
}

static void err_texts_too_long(void **state)
{
	char name[2000];
	(void)state;
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = 0;
	err_set(1, "%s", name);
	assert_int_equal(strlen(daxkv_errmsg()), 511);
	err_sys(EIO, "%s", name);
	assert_int_equal(strlen(daxkv_errmsg()), 511);
	err_corrupt(1, "%s", name);
	assert_int_equal(strlen(daxkv_errmsg()), 511);
	assert_memory_equal(daxkv_errmsg(), "corrupted at 0x1: xxx", 21);
	err_sys(EIO, "%.*s", 509, name);
	assert_string_equal(daxkv_errmsg() + 505, "xxxx: ");
	err_set(1, "%s", "short again");
	assert_string_equal(daxkv_errmsg(), "short again");
}

static void *other_thread(void *arg)
{
	bool *ok = arg;
	bool fresh = strcmp(daxkv_errmsg(), "no call of this thread has failed") == 0;
	err_set(2, "theirs");
	*ok = fresh && strcmp(daxkv_errmsg(), "theirs") == 0;
	return NULL;
}

static void err_set_in_two_threads(void **state)
{
	pthread_t thread;
	bool ok = false;
	(void)state;
	err_set(1, "mine");
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &ok), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(ok);
	assert_string_equal(daxkv_errmsg(), "mine");
}

static void strerror_every_code(void **state)
{
	(void)state;
	assert_string_equal(daxkv_strerror(DAXKV_OK), "success");
	assert_string_equal(daxkv_strerror(DAXKV_NOT_FOUND), "not found");
	for (int code = 0; code >= DAXKV_NOT_DAX; code--) {
		const char *text = daxkv_strerror(code);
		assert_non_null(text);
		assert_true(strlen(text) > 5);
		assert_string_not_equal(text, "unknown error code");
		for (int other = 0; other > code; other--)
			assert_string_not_equal(text, daxkv_strerror(other));
	}
}

static void strerror_unknown_codes(void **state)
{
	(void)state;
	assert_string_equal(daxkv_strerror(DAXKV_NOT_DAX - 1), "unknown error code");
	assert_string_equal(daxkv_strerror(INT_MIN), "unknown error code");
	assert_string_equal(daxkv_strerror(INT_MAX), "unknown error number");
}

static void strerror_errno(void **state)
{
	(void)state;
	assert_string_equal(daxkv_strerror(ENOENT), "No such file or directory");
	assert_string_equal(daxkv_strerror(EFBIG), "File too large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(err_set_keeps_text_and_returns_code),
	    cmocka_unit_test(err_sys_appends_errno_text),
	    cmocka_unit_test(err_corrupt_names_the_place),
	    cmocka_unit_test(err_set_quoting_the_last_text),
	    cmocka_unit_test(err_texts_too_long),
	    cmocka_unit_test(err_set_in_two_threads),
	    cmocka_unit_test(strerror_every_code),
	    cmocka_unit_test(strerror_unknown_codes),
	    cmocka_unit_test(strerror_errno),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
