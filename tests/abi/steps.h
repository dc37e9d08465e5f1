/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * steps.h - cases of a few calls each on cursors, done with several libraries that have LMDB's
 * interface. steps_case.c makes them by number, steps_run.c does one, steps.c compares.
 */
#ifndef DAXKV_TESTS_ABI_STEPS_H
#define DAXKV_TESTS_ABI_STEPS_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define STEPS_MAX 8u

enum what { GET, PUT, DEL, COUNT, TXN_PUT, TXN_DEL, TXN_DEL_PAIR, TXN_DROP, CHILD };

enum which { /* a key or a value, by where it lies; keys: CURRENT is the one that the case is about
	      */
	     BELOW,
	     FIRST,
	     MIDDLE,
	     LAST,
	     BEYOND,
	     ABSENT, /* just behind the middle one */
	     OTHER   /* of keys: the one behind the case's own */
};

enum { CHILD_ABORTS = 1, CHILD_PAIR = 2, CHILD_CURSOR = 4 };

struct step {
	enum what what;
	unsigned int cursor; /* 0 or 1 */
	unsigned int op;     /* of GET, or flags */
	enum which key, value;
	bool no_data;
};

struct kind {
	const char *name;
	unsigned int flags;
};
extern const struct kind kinds[];
extern const unsigned int n_kinds;

struct content { /* keys, values of each in turn, bytes that fill a key */
	const char *name;
	unsigned int keys, values[4], pad;
};
extern const struct content contents[];
extern const unsigned int n_contents;

struct test_case {
	unsigned int kind, content, n;
	bool nested;      /* all of it in a child transaction */
	unsigned int key; /* which one it is about */
	struct step step[STEPS_MAX];
};

/* case_of - the case with that number, below case_count(). case_print - its steps. */
uint64_t case_count(void);
struct test_case case_of(uint64_t number);
void step_print(const struct test_case *t, const struct step *s);

/* ---- steps_run.c ----------------------------------------------------------------------------- */

struct library;

/* library_open - the library at path, with an environment in dir. Exits when there is none. wary:
 * what LMDB before 0.9.31 is known to do wrong counts as a fault. */
struct library *library_open(const char *path, const char *dir, bool wary);

#define RESULT_FAULT  1u /* of a library that gives what was never stored, or breaks an order */
#define RESULT_SHRUNK 4u /* a key had several values and has one: see steps_run.c */

/* case_run - do it, undo it; a number that stands for all results. out: they are printed there. */
uint64_t case_run(struct library *lib, const struct test_case *t, FILE *out);

#endif
