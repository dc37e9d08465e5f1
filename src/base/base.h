/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * base.h - integers and bytes: what every floor uses.
 *
 * It begins with the machines that daxkv does not run on: the Makefile compiles it alone before it
 * builds anything (scripts/install-deps), so a refusal is the first message of a build.
 *
 * What is here: rounding and comparing of sizes, values at any alignment, loads and stores with an
 * order, and a few words for the compiler. Nothing here fails, allocates or takes a lock, and
 * nothing here knows what a store is.
 *
 * Memory order, in one place. A word of the file is loaded by load_word (acquire) and stored by
 * pm_store8 (release): who sees a reference sees what it refers to. Counters that one thread
 * changes and others read are relaxed, because only the number matters. What readers and the
 * writer tell each other in the share is ordered there (shm/readers.h), by seq_cst operations and
 * these fences.
 */
#ifndef DAXKV_BASE_H
#define DAXKV_BASE_H

#ifndef __linux__
#error "daxkv runs on Linux only"
#endif

#if __SIZEOF_POINTER__ != 8
#error "daxkv needs a 64-bit machine: a store is mapped whole, and commits publish 8 bytes at once"
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "daxkv needs a little-endian machine: the file format is little-endian"
#endif

#if defined __has_include
#if __has_include(<features.h>)
#include <features.h>
#ifndef __GLIBC__
#error "daxkv needs the GNU C library: libpmem is not known to run on another one, such as musl"
#endif
#endif
#endif

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIKELY(x)     __builtin_expect(!!(x), 1)
#define UNLIKELY(x)   __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Loads and stores of a number that others use, named for their order. */
#define load_relaxed(p)     __atomic_load_n(p, __ATOMIC_RELAXED)
#define load_acquire(p)     __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define load_seq_cst(p)     __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define store_relaxed(p, x) __atomic_store_n(p, x, __ATOMIC_RELAXED)
#define store_release(p, x) __atomic_store_n(p, x, __ATOMIC_RELEASE)
#define store_seq_cst(p, x) __atomic_store_n(p, x, __ATOMIC_SEQ_CST)

/* Compare and swap: *p becomes x if it is *seen. Otherwise false, and *seen is what was there, read
 * without order: who tries again has looked at nothing that the number leads to. */
#define swap_if(p, seen, x, order)                                                                 \
	__atomic_compare_exchange_n(p, seen, x, false, order, __ATOMIC_RELAXED)
#define swap_acquire(p, seen, x) swap_if(p, seen, x, __ATOMIC_ACQUIRE)
#define swap_release(p, seen, x) swap_if(p, seen, x, __ATOMIC_RELEASE)
#define swap_acq_rel(p, seen, x) swap_if(p, seen, x, __ATOMIC_ACQ_REL)
#define swap_seq_cst(p, seen, x) swap_if(p, seen, x, __ATOMIC_SEQ_CST)

/* spin_pause - in a loop that waits for another processor: the core rests for some cycles. */
static inline void spin_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Texts print 64-bit numbers by %lu: on these machines uint64_t is unsigned long. */
static_assert(_Generic((uint64_t)0, unsigned long : 1, default : 0), "uint64_t is not for %lu");

/* clock_ms - milliseconds of a clock that only goes forward. */
static inline int64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* clock_coarse_ms - the same clock, as it was at the last tick of the system, some milliseconds
 * ago. It is read without a system call and without the processor's counter, so each read
 * transaction can afford it. */
static inline uint64_t clock_coarse_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* round_up, round_down - the next multiple of unit, which need not be a power of two. */
static inline uint64_t round_up(uint64_t x, uint64_t unit)
{
	return (x + unit - 1) / unit * unit;
}

static inline uint64_t round_down(uint64_t x, uint64_t unit)
{
	return x / unit * unit;
}

/* min_u64, max_u64 - of two numbers. Each argument is evaluated once. */
static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	if (a < b)
		return a;
	return b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	if (a > b)
		return a;
	return b;
}

/* get16, get64 - a value at any alignment. */
static inline uint16_t get16(const void *p)
{
	uint16_t x;
	memcpy(&x, p, sizeof x);
	return x;
}

static inline uint32_t get32(const void *p)
{
	uint32_t x;
	memcpy(&x, p, sizeof x);
	return x;
}

static inline uint64_t get64(const void *p)
{
	uint64_t x;
	memcpy(&x, p, sizeof x);
	return x;
}

/* put16, put32, put64 - store a value at any alignment. put16 takes the low 16 bits. */
static inline void put16(void *p, uint32_t x)
{
	uint16_t y = (uint16_t)x;

	memcpy(p, &y, sizeof y);
}

static inline void put32(void *p, uint32_t x)
{
	memcpy(p, &x, sizeof x);
}

static inline void put64(void *p, uint64_t x)
{
	memcpy(p, &x, sizeof x);
}

/* once - x as it was read: the compiler does not read it again, from memory that another process
 * may be changing. */
static inline uint32_t once(uint32_t x)
{
	__asm__("" : "+r"(x));
	return x;
}

/* fence_loads - loads before it are not moved behind it. fence_all - neither are stores.
 * ThreadSanitizer knows no fences and gcc refuses them beside it: there they keep the compiler from
 * moving anything, and the processor's own order has to do. */
#ifdef __SANITIZE_THREAD__
static inline void fence_loads(void)
{
	__asm__ volatile("" ::: "memory");
}

static inline void fence_all(void)
{
	__asm__ volatile("" ::: "memory");
}
#else
static inline void fence_loads(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline void fence_all(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
#endif

/* load_word - a word of the file; pairs with pm_store8's release, so what it refers to is seen
 * whole. */
static inline uint64_t load_word(const uint64_t *word)
{
	return load_acquire(word);
}

/* counter_add - add to a counter that one thread at a time changes and any may read. */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
	store_relaxed(counter, *counter + n);
}

/* fd_above_stdio - the same open file at a descriptor above 2: programs write to 0, 1 and 2, and
 * close them, without asking. Takes fd over, -1 included; returns -1 with errno set. */
static inline int fd_above_stdio(int fd)
{
	if (fd < 0 || fd > 2)
		return fd;
	int higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	int err = errno;
	close(fd);
	errno = err;
	return higher;
}

#endif
