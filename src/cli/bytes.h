/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bytes.h - keys, values and names as text: printable ASCII stands for itself, a backslash is \\,
 * any other byte is \xHH. Every byte string has one text in this form, and the text has neither a
 * tab nor a line's end.
 */
#ifndef DAXKV_CLI_BYTES_H
#define DAXKV_CLI_BYTES_H

#include <stdbool.h>
#include <stdio.h>

#include "daxkv.h"

/* bytes_decode - turn the size characters of text into the bytes they mean, in place. False, with
 * text half changed, when a backslash begins neither \\ nor \xHH. */
bool bytes_decode(char *text, size_t size, struct daxkv_val *bytes);

/* bytes_decode_short - the same for mdb_dump's escapes: \HH and \\. */
bool bytes_decode_short(char *text, size_t size, struct daxkv_val *bytes);

/* bytes_decode_hex - the same for pairs of hexadecimal digits. */
bool bytes_decode_hex(char *text, size_t size, struct daxkv_val *bytes);

/* bytes_print - bytes as text. bytes_print_short, bytes_print_hex - in mdb_dump's forms. The caller
 * looks at ferror(out). */
void bytes_print(FILE *out, const struct daxkv_val *bytes);
void bytes_print_short(FILE *out, const struct daxkv_val *bytes);
void bytes_print_hex(FILE *out, const struct daxkv_val *bytes);

/* bytes_print_json - a text of ASCII as a JSON string, quotes included; other bytes in it become
 * escapes of this file first. */
void bytes_print_json(FILE *out, const char *text, size_t size);

/* bytes_text - as much of bytes as text as fits into the size bytes at text, ended by "..." when
 * something is left out. */
const char *bytes_text(const struct daxkv_val *bytes, char *text, size_t size);

/* bytes_cmp - the default order of keys. */
int bytes_cmp(const struct daxkv_val *a, const struct daxkv_val *b);

#endif
