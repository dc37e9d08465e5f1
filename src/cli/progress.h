/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * progress.h - what a command that takes more than a second says meanwhile: one line on the
 * standard error, written over again and again, and gone in the end, unless the command wants its
 * totals to stay. Nothing is said when the standard error is no terminal, or when the command's own
 * output goes to one.
 *
 * The line is a thread's of its own, so that it lives also while one call of the library takes
 * long.
 */
#ifndef DAXKV_CLI_PROGRESS_H
#define DAXKV_CLI_PROGRESS_H

#include "cli.h"

/* progress_begin - what: the unit that progress_add counts; NULL: only the time is told. total: of
 * them; 0: not known. True: progress_end must follow, with that; false: nothing is told, or another
 * call tells already. */
bool progress_begin(const struct call *call, const char *what, uint64_t total);
void progress_end(bool begun);

/* progress_begin_beside_output - the same, for a command that prints meanwhile. */
bool progress_begin_beside_output(const struct call *call, const char *what);

/* progress_clear - what stands on the terminal's line goes: another message is about to. */
void progress_clear(void);

/* progress_total - it is known now how many there are. progress_add - so many more are done.
 * progress_add_bytes - these had so many bytes: the line tells them, and the speed. Any thread may
 * say so. */
void progress_total(uint64_t total);
void progress_add(uint64_t n);
void progress_add_bytes(uint64_t bytes);

/* progress_is - so many are done now. progress_add counts nothing any more: commands inside of this
 * one count something else. */
void progress_is(uint64_t done);

/* progress_stays - the line that progress_end shows stays, however short the command was. */
void progress_stays(void);

#endif
