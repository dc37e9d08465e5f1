/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tool.h - what mdb_stat, mdb_dump, mdb_load and mdb_copy share. They take the options and print
 * the texts of LMDB's tools of the same names, and use LMDB's interface alone: linked with the
 * stock library they would serve its files.
 */
#ifndef DAXKV_LMDB_TOOL_H
#define DAXKV_LMDB_TOOL_H

#include "lmdb_abi.h"

#include <stdbool.h>

extern const char *tool_name; /* argv[0] */

/* tool_fail - print "CALL failed, error N TEXT"; returns 1. */
int tool_fail(const char *call, int rc);

/* tool_output - whether what was printed did not reach the standard output; that is printed, too.
 */
bool tool_output(void);

/* tool_open - create and open an environment; NULL after a failure that was printed. */
MDB_env *tool_open(const char *path, unsigned int flags, mode_t mode);

/* tool_named - call use for every named database in the main one; an entry that is none is skipped.
 * Its first result that is not 0 ends it. *names: how many entries were seen that could be
 * databases by their keys; NULL: nobody asks. */
int tool_named(MDB_txn *txn, int (*use)(MDB_txn *txn, const char *name, MDB_dbi dbi, void *arg),
               void *arg, size_t *names);

#endif
