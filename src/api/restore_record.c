/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restore_record.c - what a record of a delta is made of. See restore_apply.h
 *
 * A record is its kind, one byte, and numbers, keys and values as the kind says. A length comes
 * before its bytes, so a record is read from front to back and a delta may come from a pipe. All
 * pieces were verified, checksum by checksum, before the first record is applied. What is read here
 * is bounded all the same: a checksum shows that bytes are as they were written, and not that a
 * program of ours wrote them.
 *
 * Two faults are told apart. A record that makes no sense is CORRUPT, whatever store it meets. One
 * that does not fit is INCOMPATIBLE: it removes or changes what is not there, so the pieces are not
 * of one row, or not in their order.
 */
#include "api/restore_apply.h"
#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

int apply_misfit(const struct apply *a, const char *what)
{
	return err_set(DAXKV_INCOMPATIBLE, "%s: it does not fit what the pieces before it made: %s",
	               a->in->path, what);
}

int apply_senseless(const struct apply *a)
{
	return err_set(DAXKV_CORRUPT, "%s: a record before byte %lu makes no sense", a->in->path,
	               a->in->off);
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* next_bytes - of the delta, counted. */
static int next_bytes(struct apply *a, void *to, size_t n)
{
	a->read += n;
	return delta_bytes(a->in, to, n);
}

int apply_u8(struct apply *a, uint8_t *x)
{
	return next_bytes(a, x, 1);
}

int apply_u16(struct apply *a, uint32_t *x)
{
	uint8_t bytes[2];
	int rc = next_bytes(a, bytes, sizeof bytes);

	if (rc)
		return rc;
	*x = get16(bytes);
	return 0;
}

int apply_u32(struct apply *a, uint32_t *x)
{
	uint8_t bytes[4];
	int rc = next_bytes(a, bytes, sizeof bytes);

	if (rc)
		return rc;
	*x = get32(bytes);
	return 0;
}

int apply_u64(struct apply *a, uint64_t *x)
{
	uint8_t bytes[8];
	int rc = next_bytes(a, bytes, sizeof bytes);

	if (rc)
		return rc;
	*x = get64(bytes);
	return 0;
}

/* ---- keys and values ------------------------------------------------------------------------- */

/* bytes_room - for n bytes, and one more: an empty key has an address, too. */
static int bytes_room(struct apply_bytes *b, uint64_t n)
{
	if (n < b->room)
		return 0;
	uint8_t *more = realloc(b->p, n + 1);

	if (!more)
		return err_set(ENOMEM, "no memory for %lu bytes of a delta", n);
	b->p = more;
	b->room = n + 1;
	return 0;
}

int apply_keep(struct apply_bytes *to, const void *from, size_t size)
{
	int rc = bytes_room(to, size);

	if (rc)
		return rc;
	to->size = size;
	if (size)
		memcpy(to->p, from, size);
	return 0;
}

/* The length comes from the delta, so it is bounded before memory is taken. */
int apply_get(struct apply *a, struct apply_bytes *to, uint64_t n)
{
	if (n > a->payload - a->read)
		return apply_senseless(a);
	int rc = bytes_room(to, n);

	if (rc)
		return rc;
	to->size = n;
	return next_bytes(a, to->p, n);
}

/* A place in a database without duplicates has none. */
int apply_place(struct apply *a, struct apply_bytes *key, struct apply_bytes *dup)
{
	uint32_t klen;
	uint32_t dlen;
	int rc = apply_u16(a, &klen);

	if (rc)
		return rc;
	rc = apply_u16(a, &dlen);
	if (rc)
		return rc;
	bool has_dup = dlen != DELTA_NONE;

	if (klen && a->dups != has_dup)
		return apply_senseless(a);
	if (!has_dup)
		dlen = 0;
	rc = apply_get(a, key, klen);
	if (rc)
		return rc;
	return apply_get(a, dup, dlen);
}

/* Into the bytes of the record in work. */
int apply_entry(struct apply *a)
{
	uint32_t klen;
	uint64_t vlen;
	int rc = apply_u16(a, &klen);

	if (rc)
		return rc;
	rc = apply_u64(a, &vlen);
	if (rc)
		return rc;
	rc = apply_get(a, &a->key, klen);
	if (rc)
		return rc;
	return apply_get(a, &a->value, vlen);
}
