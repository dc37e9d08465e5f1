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
 * the release of LMDB that it is compared with, when that is the only one: steps at which that one
 * is known to go wrong are not done. 0: there are several. library_release - 924 for 0.9.24. */
struct library *library_open(const char *path, const char *dir, int wary);
int library_release(const char *path);

enum rule { /* by which a step is not done, in any library: see steps_run.c */
	    RULE_NONE,
	    RULE_BESIDE,
	    RULE_COUNT,
	    RULE_BEYOND,
	    RULE_ROOT,
	    RULE_ARRAY,
	    RULE_RESERVE,
	    RULE_SIBLING,
	    RULE_CURRENT,
	    RULE_SETUP,
	    RULES
};
extern const char *const rules[];

struct result {
	uint32_t n;                   /* steps up to which all went well; the end is one more */
	uint32_t hash[STEPS_MAX + 1]; /* of all results up to that step */
	uint8_t rule[STEPS_MAX + 1];
	bool shrunk[STEPS_MAX + 1]; /* a key had several values and has one */
};

/* case_run - do it, undo it. *result grows with every step: a library may crash, give what was
 * never stored, or break an order; what it does from there on says nothing. out: all is printed
 * there. */
void case_run(struct library *lib, const struct test_case *t, struct result *result, FILE *out);

#endif
