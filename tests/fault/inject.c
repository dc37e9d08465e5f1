/* SPDX-License-Identifier: BSD-3-Clause */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	bool armed, lasting;
	unsigned long calls, n;
	struct inject_shot shot;
	long held;
} inject;

void inject_arm(unsigned long n, bool lasting)
{
	inject.armed = true;
	inject.lasting = lasting;
	inject.calls = 0;
	inject.n = n;
	inject.shot = (struct inject_shot){.call = NULL};
}

void inject_pause(void)
{
	inject.armed = false;
}

void inject_resume(void)
{
	inject.armed = true;
}

void inject_stop(void)
{
	inject.n = 0;
	inject.lasting = false;
}

unsigned long inject_calls(void)
{
	return inject.calls;
}

const struct inject_shot *inject_fired(void)
{
	return inject.shot.call ? &inject.shot : NULL;
}

long inject_held(void)
{
	return inject.held;
}

static bool fail_now(const char *call, int error, bool may_pass)
{
	if (!inject.armed)
		return false;
	inject.calls++;
	if (inject.calls == inject.n) {
		inject.shot = (struct inject_shot){
		    .call = call, .error = error, .may_pass = may_pass, .count = 1};
		errno = error;
		return true;
	}
	if (!inject.lasting || !inject.shot.call || strcmp(inject.shot.call, call) != 0)
		return false;
	inject.shot.count++;
	errno = error;
	return true;
}

/* must - a call that the engine cannot do without; may - one that it can. */
static bool must(const char *call, int error)
{
	return fail_now(call, error, false);
}

static bool may(const char *call, int error)
{
	return fail_now(call, error, true);
}

static void *hold(void *p)
{
	inject.held += p != NULL;
	return p;
}

/* WRAP - declares the engine's way to a call, and the call itself. */
#define WRAP(type, name, ...)                                                                      \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

/* ---- memory ---------------------------------------------------------------------------------- */

/* A kept read transaction, a smaller reserve and the like do without memory: whether going on was
 * right is for the state to show. */
WRAP(void *, malloc, size_t n)
{
	return may("malloc", ENOMEM) ? NULL : hold(__real_malloc(n));
}

WRAP(void *, calloc, size_t n, size_t size)
{
	return may("calloc", ENOMEM) ? NULL : hold(__real_calloc(n, size));
}

WRAP(void *, realloc, void *p, size_t n)
{
	if (may("realloc", ENOMEM))
		return NULL;
	void *q = __real_realloc(p, n);
	if (!p)
		hold(q);
	return q;
}

WRAP(void *, aligned_alloc, size_t align, size_t n)
{
	return may("aligned_alloc", ENOMEM) ? NULL : hold(__real_aligned_alloc(align, n));
}

WRAP(char *, strdup, const char *s)
{
	return may("strdup", ENOMEM) ? NULL : hold(__real_strdup(s));
}

WRAP(char *, strndup, const char *s, size_t n)
{
	return may("strndup", ENOMEM) ? NULL : hold(__real_strndup(s, n));
}

/* print - what asprintf does, and its form under _FORTIFY_SOURCE. */
static int print(char **out, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static int print(char **out, const char *format, va_list args)
{
	if (may("asprintf", ENOMEM))
		return -1;
	int n = vasprintf(out, format, args);
	if (n >= 0)
		hold(*out);
	return n;
}

int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **out, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = print(out, format, args);
	va_end(args);
	return n;
}

int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
{
	(void)flag; /* asks for a check of the format, which is a literal everywhere */
	va_list args;
	va_start(args, format);
	int n = print(out, format, args);
	va_end(args);
	return n;
}

WRAP(void, free, void *p)
{
	inject.held -= p != NULL;
	__real_free(p);
}

WRAP(void *, mmap, void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	/* Address space is asked for in ever smaller pieces, and a range given up stays what it
	 * was: the other mappings must be had. */
	bool space = prot == PROT_NONE;
	if (space && may("mmap of address space", ENOMEM))
		return MAP_FAILED;
	/* Growth for which there is no memory is like one without space: see fallocate. */
	bool growth = !space && fd >= 0 && off > 0;
	if (!space &&
	    (must("mmap", growth ? EAGAIN : ENOMEM) || (growth && may("mmap in growth", ENOMEM))))
		return MAP_FAILED;
	return __real_mmap(at, n, prot, flags, fd, off);
}

WRAP(int, pthread_key_create, pthread_key_t *key, void (*destroy)(void *))
{
	return must("pthread_key_create", EAGAIN) ? EAGAIN
	                                          : __real_pthread_key_create(key, destroy);
}

WRAP(int, pthread_setspecific, pthread_key_t key, const void *value)
{
	/* To forget a value takes no memory. */
	return value && may("pthread_setspecific", ENOMEM) ? ENOMEM
	                                                   : __real_pthread_setspecific(key, value);
}

WRAP(ssize_t, getrandom, void *p, size_t n, unsigned int flags)
{
	return must("getrandom", EIO) ? -1 : __real_getrandom(p, n, flags);
}

/* ---- files ----------------------------------------------------------------------------------- */

int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {
		va_list args;
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	/* Not every filesystem has files without a name: there is another way without them. */
	if ((flags & O_TMPFILE) == O_TMPFILE ? may("open of a nameless file", EOPNOTSUPP)
	                                     : must("open", EMFILE))
		return -1;
	return __real_open(path, flags, mode);
}

/* The forms of _FORTIFY_SOURCE: __open_2 sees to it that no mode is needed, __pread_chk knows the
 * size of the buffer. */
WRAP(int, __open_2, const char *path, int flags)
{
	return must("open", EMFILE) ? -1 : __real___open_2(path, flags);
}

WRAP(int, __open64_2, const char *path, int flags)
{
	return must("open", EMFILE) ? -1 : __real___open64_2(path, flags);
}

WRAP(ssize_t, __pread_chk, int fd, void *p, size_t n, off_t off, size_t room)
{
	return must("pread", EIO) ? -1 : __real___pread_chk(fd, p, n, off, room);
}

WRAP(ssize_t, __pread64_chk, int fd, void *p, size_t n, off_t off, size_t room)
{
	return must("pread", EIO) ? -1 : __real___pread64_chk(fd, p, n, off, room);
}

int __real_fcntl(int fd, int op, void *arg);
int __wrap_fcntl(int fd, int op, ...);
int __wrap_fcntl(int fd, int op, ...)
{
	va_list args;
	va_start(args, op);
	void *arg = va_arg(args, void *);
	va_end(args);
	/* A lock that cannot be had counts as somebody else's: at close that leaves more to the
	 * next recovery, and no more. */
	return may("fcntl", ENOLCK) ? -1 : __real_fcntl(fd, op, arg);
}

WRAP(int, fallocate, int fd, int mode, off_t off, off_t n)
{
	/* A new store has to have its space. Growth that finds none makes do with less, or with
	 * pages that the last commits freed; but what is broken is reported by it, too. */
	if (must("fallocate", EIO) ||
	    (off ? may("fallocate in growth", ENOSPC) : must("fallocate of a file", ENOSPC)))
		return -1;
	return __real_fallocate(fd, mode, off, n);
}

WRAP(int, ftruncate, int fd, off_t n)
{
	return must("ftruncate", EIO) ? -1 : __real_ftruncate(fd, n);
}

WRAP(int, fdatasync, int fd)
{
	return must("fdatasync", EIO) ? -1 : __real_fdatasync(fd);
}

WRAP(int, fsync, int fd)
{
	return must("fsync", EIO) ? -1 : __real_fsync(fd);
}

WRAP(int, msync, void *p, size_t n, int flags)
{
	return must("msync", EIO) ? -1 : __real_msync(p, n, flags);
}

WRAP(ssize_t, pwrite, int fd, const void *p, size_t n, off_t off)
{
	return must("pwrite", ENOSPC) ? -1 : __real_pwrite(fd, p, n, off);
}

WRAP(ssize_t, pread, int fd, void *p, size_t n, off_t off)
{
	return must("pread", EIO) ? -1 : __real_pread(fd, p, n, off);
}

WRAP(int, renameat2, int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
	return must("renameat2", ENOSPC) ? -1 : __real_renameat2(from_dir, from, to_dir, to, flags);
}

/* A filesystem without RENAME_NOREPLACE leaves the name to link, which is reached in no other
 * way. */
WRAP(int, link, const char *from, const char *to)
{
	return must("link", ENOSPC) ? -1 : __real_link(from, to);
}

WRAP(int, unlink, const char *path)
{
	return may("unlink", EIO)
	           ? -1
	           : __real_unlink(
	                 path); /* of a temporary name, which the next store made here replaces */
}

WRAP(int, memfd_create, const char *name, unsigned int flags)
{
	return must("memfd_create", EMFILE) ? -1 : __real_memfd_create(name, flags);
}

WRAP(int, stat, const char *path, struct stat *st)
{
	return must("stat", EIO) ? -1 : __real_stat(path, st);
}

WRAP(int, fstat, int fd, struct stat *st)
{
	return must("fstat", EIO) ? -1 : __real_fstat(fd, st);
}

WRAP(int, lstat, const char *path, struct stat *st)
{
	return must("lstat", EIO) ? -1 : __real_lstat(path, st);
}

WRAP(off_t, lseek, int fd, off_t off, int whence)
{
	return must("lseek", EIO) ? -1 : __real_lseek(fd, off, whence);
}

WRAP(int, madvise, void *p, size_t n, int advice)
{
	return may("madvise", ENOMEM)
	           ? -1
	           : __real_madvise(p, n, advice); /* MADV_DONTFORK and the like are wishes */
}
