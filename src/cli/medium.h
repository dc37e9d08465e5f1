/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * medium.h - a bad place of the medium is an error message, not a dead process.
 *
 * A load or store in a mapping whose page the medium cannot give is a signal, SIGBUS: a poisoned
 * page, a bad block, a file cut off by somebody else. The library leaves signals to the program;
 * this is what the kv command does about it: it tells the place and ends. What was committed before
 * stays so, as after any sudden end.
 */
#ifndef DAXKV_CLI_MEDIUM_H
#define DAXKV_CLI_MEDIUM_H

#include "cli.h"

/* medium_watch - from now on SIGBUS in a file's mapping ends the process with EXIT_SYSTEM and a
 * line on the standard error. */
void medium_watch(const struct call *call);

#endif
