/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * editline.h - lines from a terminal that can be edited, completed and called back, by libedit. The
 * library is loaded when it is needed; without it, on a terminal that the variable TERM calls dumb,
 * and where the input is no terminal, lines are read as they come.
 */
#ifndef DAXKV_CLI_EDITLINE_H
#define DAXKV_CLI_EDITLINE_H

#include <stdbool.h>
#include <stddef.h>

/* What the word that ends at the cursor may become: add is called for each of them. line: the text
 * before the cursor; at: where the word begins in it. */
typedef void editline_add(void *to, const char *candidate);
typedef void editline_complete(void *arg, const char *line, size_t at, editline_add *add, void *to);

struct editline;

/* editline_open - history: the file that earlier lines are kept in, or NULL. Never fails: what is
 * missing is done without. editline_close - keeps the lines, and frees it. */
struct editline *editline_open(const char *history, editline_complete *complete, void *arg);
void editline_close(struct editline *editline);

/* editline_edits - whether a person is at a terminal, who sees a prompt and may make mistakes. */
bool editline_edits(const struct editline *editline);

/* editline_interrupt - for the handler of SIGINT: a new prompt, when the library reads keys. It
 * shows its prompt before it takes control-C from the terminal, which until then sends the signal
 * and throws the line away. */
void editline_interrupt(void);

/* editline_read - the next line, without its end; valid until the next call, and free to be
 * changed. EDITLINE_INTERRUPTED: the person wants a new line. EDITLINE_END: there is none; errno
 * tells why, 0: the input's end. */
enum editline_result { EDITLINE_LINE, EDITLINE_INTERRUPTED, EDITLINE_END };
enum editline_result editline_read(struct editline *editline, const char *prompt, char **line,
                                   size_t *size);

#endif
