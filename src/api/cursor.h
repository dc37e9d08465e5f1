/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor.h - what the files of a cursor share: cursor.c (life, changes), cursor_move.c (moves),
 * cursor_many.c (many entries a call), cursor_verify.c (checksums). Where it stands: txn/place.h.
 */
#ifndef DAXKV_CURSOR_H
#define DAXKV_CURSOR_H

#include "txn/entry.h"

/* cursor_usable - the transaction can be used (with write: changed). cursor_ready - and the
 * cursor's place is known again. Errors as of txn_check, dbi_state. */
int cursor_usable(struct daxkv_cursor *c, bool write, struct dbstate **s);
int cursor_ready(struct daxkv_cursor *c, bool write, struct dbstate **s);

/* cursor_output - key and value under the cursor; either may be NULL. CORRUPT. */
int cursor_output(struct daxkv_cursor *c, struct daxkv_val *key, struct daxkv_val *value);

/* cursor_order - have the leaf's entries in order at hand, for stepping, and let the first ones of
 * that way come. */
int cursor_order(struct daxkv_cursor *c, bool forward);

/* cursor_verify - compare the checksums of what the cursor stands on: its entry, a large value
 * included, the leaf and the pages above, these once for each leaf. cursor_verify_pages - of the
 * pages alone; the path leads to one. cursor_verify_value - of another entry of that leaf, the
 * value alone. CORRUPT. */
int cursor_verify(struct daxkv_cursor *c);
int cursor_verify_pages(struct daxkv_cursor *c);
int cursor_verify_value(const struct daxkv_cursor *c, const struct item *it);

/* cursor_same_key - whether the cursor's entry has that key. CORRUPT. */
int cursor_same_key(struct daxkv_cursor *c, const struct tree *t, const uint8_t *key, uint32_t klen,
                    bool *same);

#endif
