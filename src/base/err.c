/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * err.c - see err.h
 *
 * Each thread has one text. It is kept until the thread's next failure, and never cleared by
 * success, as errno is not. errno itself is saved around everything here: a caller may still want
 * it.
 */
#include "base/err.h"

#include "base/base.h"
#include "daxkv.h"

#include <stdarg.h>
#include <stdio.h>

_Thread_local int err_answered;
static _Thread_local char text[ERR_TEXT];

static const char *const error_texts[] = {
    [-DAXKV_OK] = "success",
    [-DAXKV_EXIST] = "the key is there already",
    [-DAXKV_NOT_FOUND] = "not found",
    [-DAXKV_CORRUPT] = "the file is corrupted",
    [-DAXKV_FOREIGN] = "not a daxkv store",
    [-DAXKV_VERSION] = "another version of daxkv made the file, or with features unknown here",
    [-DAXKV_FULL] = "the store has reached its maximum size",
    [-DAXKV_BUSY] = "in use",
    [-DAXKV_BAD_TXN] = "the transaction cannot be used for this",
    [-DAXKV_BAD_DB] = "no such database handle, or its database is gone",
    [-DAXKV_INCOMPATIBLE] = "the operation or its flags do not suit the database",
    [-DAXKV_KEY_SIZE] = "the key is empty, too long, or not an integer's size",
    [-DAXKV_VALUE_SIZE] = "the value is too large, or not the size of the database's values",
    [-DAXKV_PANIC] = "an earlier fence failed: writing is refused until the store is opened again",
    [-DAXKV_DBS_FULL] = "too many database handles",
    [-DAXKV_READERS_FULL] = "too many read transactions at once",
    [-DAXKV_NEED_COMPARE] = "the database has its own order: its comparator must be set first",
    [-DAXKV_TOO_OLD] = "the snapshot had reached its bound and was given up: its space was needed",
    [-DAXKV_NOT_DAX] = "the mapping cannot have MAP_SYNC",
};

/* sys_text - the text of an errno value, in storage that no other thread changes. */
static const char *sys_text(int err)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
	const char *s = strerrordesc_np(err);
	if (s)
		return s;
	return "unknown error number";
#else
	/* Known numbers have constant texts here; an unknown one would be printed into a buffer
	 * that threads share. */
	if (err < 134)
		return strerror(err);
	return "unknown error number";
#endif
}

/* A positive code is an errno value, a negative one is daxkv's, 0 is success. */
const char *daxkv_strerror(int err)
{
	const size_t known = sizeof error_texts / sizeof *error_texts;
	if (err > 0)
		return sys_text(err);
	size_t i = -(size_t)err;
	if (i < known)
		return error_texts[i];
	return "unknown error code";
}

/* An answer (NOT_FOUND, EXIST) that was returned after the text was kept comes first. */
const char *daxkv_errmsg(void)
{
	if (err_answered)
		return daxkv_strerror(err_answered);
	if (text[0])
		return text;
	return "no call of this thread has failed";
}

/* text_set - "<prefix><formatted><suffix>". By way of a second buffer: an argument may be the text
 * that is there. */
__attribute__((format(printf, 3, 0))) static void text_set(const char *prefix, const char *suffix,
                                                           const char *format, va_list args)
{
	char fresh[ERR_TEXT];
	int at = snprintf(fresh, sizeof fresh, "%s", prefix);
	if (at >= 0) {
		int n = vsnprintf(fresh + at, sizeof fresh - (size_t)at, format, args);
		if (n >= 0)
			at = at + n;
		if (at < ERR_TEXT)
			snprintf(fresh + at, sizeof fresh - (size_t)at, "%s", suffix);
	}
	memcpy(text, fresh, sizeof text);
	err_answered = 0;
}

/* The text goes along with the answer: either may be what the caller reads next. */
void err_save(struct err_saved *saved)
{
	saved->answered = err_answered;
	memcpy(saved->text, text, sizeof text);
}

/* What failed in between is forgotten. */
void err_restore(const struct err_saved *saved)
{
	err_answered = saved->answered;
	memcpy(text, saved->text, sizeof text);
}

/* The text stands alone: the code's own text is not added, because callers of daxkv_errmsg have the
 * code. */
int err_set(int code, const char *format, ...)
{
	int saved = errno;
	va_list args;
	assert(code != 0);
	va_start(args, format);
	text_set("", "", format, args);
	va_end(args);
	errno = saved;
	return code;
}

/* The system's text is added, because the caller of a system call knows no more than its number. */
int err_sys(int code, const char *format, ...)
{
	int saved = errno;
	char suffix[128];
	assert(code != 0);
	snprintf(suffix, sizeof suffix, ": %s", daxkv_strerror(code));
	va_list args;
	va_start(args, format);
	text_set("", suffix, format, args);
	va_end(args);
	errno = saved;
	return code;
}

/* The one place where damage gets its name: a breakpoint here finds every report of it. */
int err_corrupt(uint64_t off, const char *format, ...)
{
	int saved = errno;
	char prefix[48];
	snprintf(prefix, sizeof prefix, "corrupted at 0x%lx: ", off);
	va_list args;
	va_start(args, format);
	text_set(prefix, "", format, args);
	va_end(args);
	errno = saved;
	return DAXKV_CORRUPT;
}
