/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * err.h - error text: the calling thread's last failure in words, and the one place where corruption is raised.
 *
 * A failing function sets the text where it knows most and returns the code; callers pass the code on untouched. NOTFOUND and EXIST
 * are answers, not failures: they are returned without a text and cost nothing.
 */
#ifndef DAXKV_ERR_H
#define DAXKV_ERR_H

#include <stdint.h>

/* err_set - keep the text for daxkv_errmsg and return code. printf format; at most 511 bytes are kept. */
int err_set(int code, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* err_sys - the same for a system call: "<text>: <strerror(code)>". */
int err_sys(int code, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* err_corrupt - raise DAXKV_CORRUPT for the page at byte offset off of the file: "corrupted at 0x<off>: <text>". */
int err_corrupt(uint64_t off, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

#endif
