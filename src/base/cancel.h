/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cancel.h - a thread that is cancelled (pthread_cancel) does not end inside the library.
 *
 * Calls such as fsync, fallocate and fdatasync are cancellation points. A thread that ended there
 * would leave mutexes locked, descriptors open and the store half opened, which no other thread can
 * put right. So each such call is made with cancellation off, and the thread ends at its next
 * cancellation point outside. It is turned off around what can meet such a call, and not in the
 * calls that only read and write memory. Beginning to write is a cancellation point by itself
 * (txn.c), before anything is taken, so that a thread which does nothing but write can be
 * cancelled, too. A function of the program's own that is called back, such as a comparator, must
 * not end its thread while it runs.
 */
#ifndef DAXKV_CANCEL_H
#define DAXKV_CANCEL_H

#include <pthread.h>

/* cancel_off - returns what cancel_restore takes. They nest. errno stays. */
static inline int cancel_off(void)
{
	int state = PTHREAD_CANCEL_ENABLE;

	/* fails on bad arguments only */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

/* cancel_restore - what the state was before cancel_off. A cancellation that came meanwhile stays
 * pending until the thread's next cancellation point. */
static inline void cancel_restore(int state)
{
	(void)pthread_setcancelstate(state, &state);
}

#endif
