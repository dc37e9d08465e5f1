/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blob.h - values outside their leaf: one extent each, so that a reader gets one contiguous
 * pointer.
 *
 * Written once by streaming stores, freed by the transaction that supersedes them. The leaf's entry
 * keeps where, how long, and the checksum.
 */
#ifndef DAXKV_BLOB_H
#define DAXKV_BLOB_H

#include "page/view.h"

/* blob_pages - pages that len bytes take. */
static inline uint64_t blob_pages(uint64_t len, uint32_t psize)
{
	return (len + psize - 1) / psize;
}

/* blob_write - take space and store the value; val NULL: zeros nothing, the caller fills it
 * (blob_seal). *blob is what the entry keeps. Errors of space_take. */
int blob_write(struct wset *w, const uint8_t *val, uint64_t len, struct fmt_blob *blob);

/* blob_seal - flush what the caller filled; returns its checksum. */
uint32_t blob_seal(struct wset *w, const struct fmt_blob *blob);

/* blob_free - give the space of a superseded value back: of one that this nesting level made, to be
 * used again at once. CORRUPT, ENOMEM. */
int blob_free(struct wset *w, const struct fmt_blob *blob);

/* blob_bytes - the value in the mapping. CORRUPT when it does not lie in the file. */
int blob_bytes(const struct view *v, const struct fmt_blob *blob, const uint8_t **bytes);

#endif
