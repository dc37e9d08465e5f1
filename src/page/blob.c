/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blob.c - see blob.h
 *
 * A value is streamed past the cache in chunks, each checksummed right before, while it is in the
 * cache for the copy. The last, incomplete line is padded with zeros, so that whole lines are
 * written and nothing of an older page shows.
 */
#include "page/blob.h"

#include "base/crc.h"
#include "base/err.h"
#include "media/map.h"
#include "space/wset.h"

#include <errno.h>
#include <stdlib.h>

#define CHUNK ((uint64_t)1 << 18) /* checksummed while it is in the cache for the store */

/* blob_copy - stream the value to the file at to, and *crc over it. The last line is filled up with
 * zeros: whole lines are written. to is a line's begin. The bytes are durable with the commit's
 * fence, which waits for them as for all others. */
static void blob_copy(struct pm *pm, const uint8_t *to, const uint8_t *val, uint64_t len,
                      uint32_t *crc)
{
	uint64_t whole = round_down(len, FMT_LINE);
	uint64_t rest = len - whole;
	uint8_t line[FMT_LINE] = {0};

	assert(len > 0);
	assert((uintptr_t)to % FMT_LINE == 0);
	for (uint64_t i = 0; i < whole; i += CHUNK) {
		uint64_t n = min_u64(CHUNK, whole - i);

		*crc = crc32c(*crc, val + i, n);
		pm_stream(pm, to + i, val + i, n);
	}
	if (!rest)
		return;
	memcpy(line, val + whole, rest);
	*crc = crc32c(*crc, line, rest);
	pm_stream(pm, to + whole, line, FMT_LINE);
}

/* The extent's entry in the set says what a record must name: the value, filled up to a multiple of
 * 4. A value of 4 GiB or more cannot be named, and is durable before the record instead. val NULL:
 * the caller fills the value and calls blob_seal. Errors of wset_new_extent. */
int blob_write(struct wset *w, const uint8_t *val, uint64_t len, struct fmt_blob *blob)
{
	static const uint8_t zeros[4];
	uint64_t padded = round_up(len, 4);
	struct wpage *wp;
	uint32_t crc = 0;
	int rc;

	assert(len > 0);
	rc = wset_new_extent(w, blob_pages(len, w->psize), &wp);
	if (rc)
		return rc;
	*blob = (struct fmt_blob){
	    .off = wp->off,
	    .len = len,
	};
	wp->streamed = true; /* or flushed by blob_seal */
	wp->used = WSET_UNNAMED;
	if (!val)
		return 0;
	blob_copy(&w->map->pm, map_at(w->map, wp->off), val, len, &crc);
	blob->crc = crc;
	if (padded >= WSET_UNNAMED)
		return 0;
	wp->used = (uint32_t)padded;
	wp->fresh_crc = crc32c(crc, zeros, padded - len);
	wp->crc_valid = true;
	return 0;
}

/* The caller has written to the mapping by plain stores: they are in the cache, and flushed here.
 * Returns the checksum, for the entry that names the value. */
uint32_t blob_seal(struct wset *w, const struct fmt_blob *blob)
{
	const uint8_t *bytes = map_at(w->map, blob->off);

	assert(blob->len > 0);
	pm_flush(&w->map->pm, bytes, blob->len);
	return crc32c(0, bytes, blob->len);
}

/* The length is the entry's, so damage may say anything: space_give bounds it. */
int blob_free(struct wset *w, const struct fmt_blob *blob)
{
	return wset_retire_extent(w, blob->off, blob_pages(blob->len, w->psize));
}

/* Bounds come first: the numbers come from a leaf that may be damaged. *bytes points into the
 * mapping. Its checksum is not compared: that is for those who verify. */
int blob_bytes(const struct view *v, const struct fmt_blob *blob, const uint8_t **bytes)
{
	bool in_bounds = blob->len <= INT64_MAX && blob->off <= INT64_MAX;
	uint64_t end = blob->off + blob->len;

	if (blob->off % v->psize || blob->off == 0 || !in_bounds)
		return err_corrupt(blob->off, "a value of %lu bytes", blob->len);
	if (end > view_size(v)) {
		int rc = view_extend(v, end);

		if (rc)
			return rc;
	}
	*bytes = v->base + blob->off;
	return 0;
}
