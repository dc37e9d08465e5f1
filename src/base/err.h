/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * err.h - error text: the calling thread's last failure in words, and the one place where
 * corruption is raised.
 *
 * A failing function sets the text where it knows most and returns the code; callers pass the code
 * on untouched. NOT_FOUND and EXIST are answers, which most callers do not ask about: inside the
 * library they have no text, and the public function that returns one passes it through err_answer.
 */
#ifndef DAXKV_ERR_H
#define DAXKV_ERR_H

#include "daxkv.h"

#include <stdint.h>

#define ERR_TEXT 512

/* err_set - keep the text for daxkv_errmsg and return code. printf format; at most 511 bytes are
 * kept. */
int err_set(int code, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* err_answer - rc of a public function, which it returns: where that is NOT_FOUND or EXIST, the
 * thread's text becomes that answer's, at the cost of one store. */
#if defined(__GLIBC__)
/* 4 bytes: no call is needed to find them */
#define ERR_TLS __attribute__((tls_model("initial-exec")))
#else
#define ERR_TLS
#endif
/* the answer returned since a text was kept; 0: none */
extern _Thread_local int err_answered ERR_TLS;
static inline int err_answer(int rc)
{
	if (rc == DAXKV_NOT_FOUND || rc == DAXKV_EXIST)
		err_answered = rc;
	return rc;
}

/* err_save, err_restore - a call that fails within another and is no failure of that leaves no
 * text. */
struct err_saved {
	int answered;
	char text[ERR_TEXT];
};
void err_save(struct err_saved *saved);
void err_restore(const struct err_saved *saved);

/* err_sys - the same for a system call: "<text>: <strerror(code)>". */
int err_sys(int code, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* err_corrupt - raise DAXKV_CORRUPT for the page at byte offset off of the file: "corrupted at
 * 0x<off>: <text>". */
int err_corrupt(uint64_t off, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

#endif
