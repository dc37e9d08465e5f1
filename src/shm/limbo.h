/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limbo.h - freed pages that must not be reused yet: a queue in memory, oldest first.
 *
 * A page freed by transaction T is free in T's own bitmap words; what keeps it from reuse is this
 * queue alone. Two things may still need its old bytes: a reader older than T, and recovery, which
 * would store an old word into the page's new life while T's words are not known to be durable.
 * Both die with the machine: after a power cut there are no readers and recovery makes every word
 * durable before anything else, so the queue needs no place in the file [R3]. While several
 * processes use the store a copy of it lies in the share (share_limbo_add and its like in share.h),
 * from which the next writer takes it over [I15]. Rejected: a
 * persistent queue; it costs words in every record that frees.
 *
 * Who may let go of an item: the writer alone, when it wants space. It asks for the oldest
 * snapshot that any reader has announced, and for the commit up to which a fenced record says that
 * all words are durable in place; items freed at or before both are nobody's any more.
 */
#ifndef DAXKV_LIMBO_H
#define DAXKV_LIMBO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An extent that a commit gave up. */
struct limbo_item {
	uint64_t txn;   /* the commit that gave it up: older snapshots may refer to it */
	uint64_t off;   /* of its first page, in bytes */
	uint64_t pages; /* how many; perhaps with LIMBO_COARSE */
};

/* Not all of the item's pages were given up, but all that its commit gave up are among them. Those
 * that were free before wait with them. */
#define LIMBO_COARSE ((uint64_t)1 << 63)
static inline uint64_t limbo_item_pages(const struct limbo_item *item)
{
	return item->pages & ~LIMBO_COARSE;
}

/* A ring buffer of items in the order of their txn. */
struct limbo {
	struct limbo_item *item;
	size_t head;    /* index of the oldest */
	size_t n;       /* in use; <= room */
	size_t room;    /* a power of two, or 0 before the first limbo_reserve */
	uint64_t pages; /* of all items; any thread may read it */
};

/* limbo_at - the i-th item from the oldest. The pointer is good until the next limbo_reserve. */
static inline struct limbo_item *limbo_at(const struct limbo *limbo, size_t i)
{
	return &limbo->item[(limbo->head + i) & (limbo->room - 1)];
}

/* limbo_reserve - make room for n more items, so that limbo_add cannot fail. 0 or ENOMEM. */
int limbo_reserve(struct limbo *limbo, size_t n);

/* limbo_add - room must have been reserved; txn never falls. */
void limbo_add(struct limbo *limbo, uint64_t txn, uint64_t off, uint64_t pages);

/* limbo_take - take the oldest item when it was freed at upto or before. */
bool limbo_take(struct limbo *limbo, uint64_t upto, struct limbo_item *item);

/* limbo_oldest - the transaction of the oldest item; UINT64_MAX when empty. */
uint64_t limbo_oldest(const struct limbo *limbo);

/* limbo_has - whether the page at off waits in it. */
bool limbo_has(const struct limbo *limbo, uint64_t off, uint64_t page_size);

/* limbo_sound - whether all items, which others may have written, name pages of a file of so many
 * bytes, freed by transactions up to the newest. */
bool limbo_sound(const struct limbo *limbo, uint64_t newest, uint64_t page_size, uint64_t bytes);

void limbo_free(struct limbo *limbo);

#endif
