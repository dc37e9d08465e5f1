/* SPDX-License-Identifier: BSD-3-Clause */
/* reopen.h - a process that fills a store is killed with SIGKILL, inside a transaction; how long
 * until the store answers again. */
#ifndef BENCH_REOPEN_H
#define BENCH_REOPEN_H

#include "plan.h"

/* reopen_run - let a child fill a store of the engine, kill it, and time open and one get. The
 * store must then hold exactly what was committed. Returns 0, else it has said what failed.
 * contents is scratch. */
int reopen_run(const struct bench_config *config, const struct bench_engine *engine,
               struct contents *contents, double *ns);

/* reopen_fill - what the child does: fill the store, begin a transaction, write a byte to standard
 * output and wait. Returns only when it fails, the program's exit status. */
int reopen_fill(const struct bench_config *config, const struct bench_engine *engine);

#endif
