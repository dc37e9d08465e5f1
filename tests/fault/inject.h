/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inject.h - make a chosen call of the engine to the C library or the system fail.
 *
 * The program is linked with --wrap for every call in inject.c, so that the engine's calls come
 * here first. While armed they are counted; the n-th one fails with the error of its kind, and when
 * it is to last, so does every later one of the same kind. Nothing is done of what the failing call
 * asks for.
 *
 * Memory that the engine holds is counted as well, so that a leak shows without a sanitizer.
 */
#ifndef DAXKV_TEST_INJECT_H
#define DAXKV_TEST_INJECT_H

#include <stdbool.h>
#include <stddef.h>

struct inject_shot {
	const char *call;    /* its name */
	int error;           /* the errno it failed with */
	bool may_pass;       /* an engine that goes on without it can be right */
	unsigned long count; /* how often it failed */
};

/* inject_arm - let the n-th call from now on fail, with lasting also the later ones of its kind. n
 * 0: only count. */
void inject_arm(unsigned long n, bool lasting);

/* inject_pause, inject_resume - let calls through, uncounted; go on. */
void inject_pause(void);
void inject_resume(void);

/* inject_stop - no call fails any more; counting goes on. */
void inject_stop(void);

/* inject_calls - the number counted since inject_arm. */
unsigned long inject_calls(void);

/* inject_fired - what failed since inject_arm; NULL: nothing. */
const struct inject_shot *inject_fired(void);

/* inject_held - blocks of memory that the engine has and has not freed. */
long inject_held(void);

#endif
