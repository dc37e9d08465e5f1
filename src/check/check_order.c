/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_order.c - the orders of keys and duplicates, written a second time. See check_walk.h
 *
 * The engine's own comparison (page/order.h) is not used: a mistake there would make a wrong order
 * and then call it right. Where a comparator of the program decides, nothing but equal bytes can be
 * told from the file, so the answer is CHECK_UNKNOWN, which the callers take for no fault.
 */
#include "check/check_walk.h"
#include "daxkv.h"

/* sign - of what memcmp returned. */
static enum check_order sign(int diff)
{
	if (diff < 0)
		return CHECK_BEFORE;
	if (diff > 0)
		return CHECK_AFTER;
	return CHECK_SAME;
}

/* by_number - the order of two unsigned numbers. */
static enum check_order by_number(uint64_t a, uint64_t b)
{
	if (a < b)
		return CHECK_BEFORE;
	if (a > b)
		return CHECK_AFTER;
	return CHECK_SAME;
}

/* check_by_bytes - as memcmp; of two that begin alike the shorter one comes first. */
static enum check_order check_by_bytes(const uint8_t *a, uint32_t alen, const uint8_t *b,
                                       uint32_t blen)
{
	int diff = memcmp(a, b, alen < blen ? alen : blen);
	if (diff != 0)
		return sign(diff);
	return by_number(alen, blen);
}

/* by_last_byte - the same from the last byte backwards. */
static enum check_order by_last_byte(const uint8_t *a, uint32_t alen, const uint8_t *b,
                                     uint32_t blen)
{
	for (uint32_t i = 1; i <= alen && i <= blen; i++)
		if (a[alen - i] != b[blen - i])
			return by_number(a[alen - i], b[blen - i]);
	return by_number(alen, blen);
}

/* check_is_integer - whether an integer key can have that many bytes. */
static bool check_is_integer(uint32_t len)
{
	if (len == sizeof(uint32_t))
		return true;
	return len == sizeof(uint64_t);
}

/* check_integer - the number at p, which has 4 or 8 bytes. In the machine's byte order, at any
 * alignment. */
static uint64_t check_integer(const uint8_t *p, uint32_t len)
{
	if (len == sizeof(uint32_t))
		return get32(p);
	return get64(p);
}

/* A wrong size is a fault of its own, reported where the entry is read: here it only must not be
 * read as a number. */
static enum check_order check_by_integer(const uint8_t *a, uint32_t alen, const uint8_t *b,
                                         uint32_t blen)
{
	enum check_order order;

	if (!check_is_integer(alen) || !check_is_integer(blen))
		return check_by_bytes(a, alen, b, blen);
	order = by_number(check_integer(a, alen), check_integer(b, blen));
	if (order != CHECK_SAME)
		return order;
	return by_number(alen, blen);
}

/* Equal bytes are equal under any comparator; of others only the program knows the order. */
static enum check_order by_program(const uint8_t *a, uint32_t alen, const uint8_t *b, uint32_t blen)
{
	if (alen == blen && memcmp(a, b, alen) == 0)
		return CHECK_SAME;
	return CHECK_UNKNOWN;
}

/* keys - the order of the keys alone, by the database's flags. */
static enum check_order keys(uint32_t flags, const struct check_item *a, const struct check_item *b)
{
	if (flags & DAXKV_OWN_COMPARE)
		return by_program(a->key, a->klen, b->key, b->klen);
	if (flags & DAXKV_INTEGER_KEY)
		return check_by_integer(a->key, a->klen, b->key, b->klen);
	if (flags & DAXKV_REVERSE_KEY)
		return by_last_byte(a->key, a->klen, b->key, b->klen);
	return check_by_bytes(a->key, a->klen, b->key, b->klen);
}

/* dups - the order of two duplicates of one key; a separator without one lies before all. */
static enum check_order dups(uint32_t flags, const struct check_item *a, const struct check_item *b)
{
	if (a->nodup || b->nodup) {
		if (a->nodup == b->nodup)
			return CHECK_SAME;
		if (a->nodup)
			return CHECK_BEFORE;
		return CHECK_AFTER;
	}
	if (flags & DAXKV_OWN_DUP_COMPARE)
		return by_program(a->dup, a->dlen, b->dup, b->dlen);
	if (flags & DAXKV_INTEGER_DUP)
		return check_by_integer(a->dup, a->dlen, b->dup, b->dlen);
	if (flags & DAXKV_REVERSE_DUP)
		return by_last_byte(a->dup, a->dlen, b->dup, b->dlen);
	return check_by_bytes(a->dup, a->dlen, b->dup, b->dlen);
}

/* The key decides, and with sorted duplicates the value behind it. UNKNOWN for the key is UNKNOWN
 * for both: the values say nothing then. */
enum check_order check_compare(uint32_t flags, const struct check_item *a,
                               const struct check_item *b)
{
	enum check_order order = keys(flags, a, b);

	if (order != CHECK_SAME || !(flags & DAXKV_DUP_SORT))
		return order;
	return dups(flags, a, b);
}

/* A head of a program's own order is always 0: nothing may be concluded from it. */
uint64_t check_head(uint32_t flags, const uint8_t *key, uint32_t klen, uint32_t plen)
{
	uint64_t head = 0;

	if (flags & DAXKV_OWN_COMPARE)
		return 0;
	if (flags & DAXKV_INTEGER_KEY) {
		if (check_is_integer(klen))
			return check_integer(key, klen);
		return 0;
	}
	for (uint32_t i = 0; i < 8; i++) {
		uint8_t byte = 0;
		if (flags & DAXKV_REVERSE_KEY)
			byte = i < klen ? key[klen - 1 - i] : 0;
		else if (plen + i < klen)
			byte = key[plen + i];
		head = head << 8 | byte;
	}
	return head;
}

/* Flags of duplicates mean nothing without them, and the format has no such database. */
bool check_flags_valid(uint32_t flags)
{
	const uint32_t of_dups =
	    DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP | DAXKV_REVERSE_DUP | DAXKV_OWN_DUP_COMPARE;
	const uint32_t known =
	    of_dups | DAXKV_REVERSE_KEY | DAXKV_DUP_SORT | DAXKV_INTEGER_KEY | DAXKV_OWN_COMPARE;

	if (flags & ~known)
		return false;
	if (flags & DAXKV_DUP_SORT)
		return true;
	return !(flags & of_dups);
}
