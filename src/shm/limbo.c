/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limbo.c - see limbo.h
 *
 * A ring buffer: the oldest item is at head, and item i at (head + i) modulo room. Room is
 * reserved before the commit whose items are added, so that what follows the fence cannot fail.
 */
#include "shm/limbo.h"

#include "base/base.h"
#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

/* The items are moved to the new memory's beginning, in order. */
int limbo_reserve(struct limbo *l, size_t n)
{
	struct limbo_item *item;
	size_t room = 64;

	assert((l->room & (l->room - 1)) == 0);
	assert(l->n <= l->room);
	if (l->room)
		room = l->room;
	while (room < l->n + n)
		room *= 2;
	if (room == l->room)
		return 0;
	item = malloc(room * sizeof *item);
	if (!item)
		return err_set(ENOMEM, "no memory for %zu freed extents", room);
	for (size_t i = 0; i < l->n; i++)
		item[i] = *limbo_at(l, i);
	free(l->item);
	l->item = item;
	l->room = room;
	l->head = 0;
	return 0;
}

/* It follows the commit's fence, where nothing may fail: hence the room. */
void limbo_add(struct limbo *l, uint64_t txn, uint64_t off, uint64_t pages)
{
	assert(l->n < l->room);
	assert(l->n == 0 || limbo_at(l, l->n - 1)->txn <= txn);
	*limbo_at(l, l->n) = (struct limbo_item){
	    .txn = txn,
	    .off = off,
	    .pages = pages,
	};
	l->n++;
	counter_add(&l->pages, pages & ~LIMBO_COARSE);
}

/* The rule of [R3] is the caller's: upto is the lesser of what readers and recovery allow. */
bool limbo_take(struct limbo *l, uint64_t upto, struct limbo_item *item)
{
	if (l->n == 0)
		return false;
	if (limbo_oldest(l) > upto)
		return false;
	*item = *limbo_at(l, 0);
	l->head = (l->head + 1) & (l->room - 1);
	l->n--;
	counter_add(&l->pages, 0 - limbo_item_pages(item));
	assert(l->head < l->room);
	return true;
}

/* Items are in the order of their transactions, so it is the first one's. */
uint64_t limbo_oldest(const struct limbo *l)
{
	if (!l->n)
		return UINT64_MAX;
	return limbo_at(l, 0)->txn;
}

/* The newest are asked first: what is asked for was mostly freed last. */
bool limbo_has(const struct limbo *l, uint64_t off, uint64_t page_size)
{
	for (size_t i = l->n; i-- > 0;) {
		const struct limbo_item *it = limbo_at(l, i);

		if (off >= it->off && off - it->off < limbo_item_pages(it) * page_size)
			return true;
	}
	return false;
}

/* item_sound - see limbo_sound. The superblock's page is nobody's to give up. */
static bool item_sound(const struct limbo_item *it, uint64_t newest, uint64_t page_size,
                       uint64_t bytes)
{
	if (it->txn > newest)
		return false;
	if (it->off % page_size)
		return false;
	if (it->off == 0)
		return false;
	if (it->off >= bytes)
		return false;
	if (limbo_item_pages(it) == 0)
		return false;
	return limbo_item_pages(it) <= (bytes - it->off) / page_size;
}

/* Asked of a limbo that came from the lock file, which other processes can write. */
bool limbo_sound(const struct limbo *l, uint64_t newest, uint64_t page_size, uint64_t bytes)
{
	for (size_t i = 0; i < l->n; i++)
		if (!item_sound(limbo_at(l, i), newest, page_size, bytes))
			return false;
	return true;
}

/* Safe on one that is all zeros; it is that again. */
void limbo_free(struct limbo *l)
{
	free(l->item);
	l->item = NULL;
	l->head = l->n = l->room = 0;
	store_relaxed(&l->pages, 0);
}
