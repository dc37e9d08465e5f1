/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scenario.h - a store's life in steps, each of which uses calls that can fail.
 *
 * A step that fails leaves no transaction open and returns the library's result; next is then what
 * the store would have had. A step that succeeds leaves in next what the store has now. A step can
 * be run again after a failure.
 */
#ifndef DAXKV_TEST_SCENARIO_H
#define DAXKV_TEST_SCENARIO_H

#include "state.h"

struct life {
	char path[512], copy[520]; /* copy: of a store that nobody closed */
	struct daxkv_options options;
	struct daxkv_store *store; /* NULL: closed */
	struct state acked, next;
	int reported;      /* what a call of the step returned though the step went on: a nested
	                      transaction's failure */
	bool elsewhere;    /* the step's failure is that of another store's handle */
	const char *wrong; /* a call's result was not the one that it has to be */
};

struct step {
	const char *name;
	int (*run)(struct life *life);
	bool closes; /* the store is closed when it is done */
};

extern const struct step scenario[];
extern const unsigned int scenario_steps;

/* life_open - open the store as options say, making it when it is missing. */
int life_open(struct life *life);

/* life_reports_faults - whether daxkv_check says something; prints it. */
bool life_reports_faults(struct daxkv_store *store);

#endif
