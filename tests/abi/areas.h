/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * areas.h - the programs of one area of LMDB's interface each: every call's result is printed, to
 * be run with two libraries and compared. What the libraries may do differently (docs/daxkv-lmdb.7)
 * is not printed.
 */
#ifndef DAXKV_TESTS_ABI_AREAS_H
#define DAXKV_TESTS_ABI_AREAS_H

#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* shown - print a call's text and result; returns the result. */
int shown(const char *call, int rc);
#define SHOW(call) shown(#call, (call))

/* value_of - a string as a value, without its NUL. shown_val - print one. */
MDB_val value_of(const char *text);
void shown_val(const char *what, const MDB_val *v);

/* shown_all - every entry of a database. */
void shown_all(MDB_txn *txn, MDB_dbi dbi);

/* place - a new name in the scratch directory. */
const char *place(const char *name);

/* main_open - open the main database once, which LMDB needs before its handle, 1, can be used. */
void main_open(MDB_env *env);

/* is_daxkv - whether this is not the stock library: for what ours promises beyond it, and the other
 * is not asked. */
bool is_daxkv(void);

/* started - an environment in a new directory, opened with flags and named databases allowed. */
MDB_env *started(const char *name, unsigned int flags);

void area_env(void);
void area_open(void);
void area_txn(void);
void area_threads(void);
void area_hands(void);
void area_map(void);
void area_flags(void);
void area_dbi(void);
void area_handles(void);
void area_misuse(void);
void area_cancel(void);
void area_order(void);
void area_entry(void);
void area_cursor(void);
void area_dups(void);
void area_deleted(void);
void area_full(void);
void area_copy(void);
void area_large(void);
void area_file(void);
void area_process(void);
void area_fork(void);
void area_sync(void);
void area_asked(void);
void area_number(void);

#endif
