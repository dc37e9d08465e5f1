/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check.c - the superblock, and the run of a check. See check.h
 *
 * The superblock is copied first, and everything else follows that copy: nothing that the check
 * depends on changes under it. What is wrong there decides how far the run can go: without an
 * identity nothing means anything, without a layout no page can be found, and every other fault of
 * the superblock leaves the rest to be checked.
 */
#include "check/check.h"

#include "base/crc.h"
#include "check/check_walk.h"
#include "daxkv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SUPER_HASH_SEED UINT64_C(0x6461786b76000001)
#define FAULT_SIZE      512u
#define NAME_SHOWN      40u

/* name_print - a database's name with bytes that are not plain text as \xhh; cut when long. out has
 * room for NAME_SHOWN bytes of four characters each and the words around them. */
static void name_print(char *out, size_t size, const struct check_db *db)
{
	size_t used = 0;

	if (db->tallies_of)
		db = db->tallies_of;
	if (db->main) {
		snprintf(out, size, " (main database)");
		return;
	}
	used += (size_t)snprintf(out, size, " (database \"");
	for (uint32_t i = 0; i < db->name_len && i < NAME_SHOWN; i++) {
		uint8_t c = db->name[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
		used += (size_t)snprintf(out + used, size - used, plain ? "%c" : "\\x%02x", c);
	}
	snprintf(out + used, size - used, "%s\")", db->name_len > NAME_SHOWN ? "..." : "");
}

/* Asked often, because it is what makes a check of a live store sound: a fault is believed only
 * when the bytes behind it are still those of the transaction that is checked. */
bool check_moved(struct check *ck)
{
	if (ck->err == 0 && ck->in->moved && ck->in->moved(ck->in->moved_arg))
		ck->err = EAGAIN;
	return ck->err == EAGAIN;
}

/* A fault beyond CHECK_MAX_REPORTS is counted and has no text: a file of garbage would fill the
 * disk with reports. */
void check_fault(struct check *ck, const struct check_db *db, const char *format, ...)
{
	char text[FAULT_SIZE], name[NAME_SHOWN * 4 + 32];
	va_list args;

	if (check_moved(ck))
		return;
	if (++ck->faults > CHECK_MAX_REPORTS)
		return;
	if (!ck->in->report)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text - sizeof name, format, args);
	va_end(args);
	if (db) {
		name_print(name, sizeof name, db);
		snprintf(text + strlen(text), sizeof name, "%s", name);
	}
	ck->in->report(text, ck->in->arg);
}

/* all_zero - whether n bytes are zeros, as the format asks of what it keeps for later. */
static bool all_zero(const uint8_t *p, size_t n)
{
	while (n > 0 && *p == 0)
		p++, n--;
	return n == 0;
}

/* super_identity - whether this is a store whose layout is known here. Only then does anything else
 * in it mean something. A hash that is wrong is told and no reason to stop: a byte that nothing
 * depends on may be the one. False, told: magic, version, byte order or page size cannot be. */
static bool super_identity(struct check *ck)
{
	const struct fmt_super *super = &ck->super;
	uint32_t size = super->page_size;

	if (memcmp(super->magic, FMT_MAGIC, FMT_MAGIC_SIZE) != 0) {
		check_fault(ck, NULL, "superblock: magic is not that of a daxkv store");
		return false;
	}
	if (super->hash != hash64(SUPER_HASH_SEED, super, offsetof(struct fmt_super, hash)))
		check_fault(ck, NULL, "superblock: hash does not match its first %zu bytes",
		            offsetof(struct fmt_super, hash));
	if (super->version != FMT_VERSION || super->endian != FMT_ENDIAN || super->incompat != 0) {
		check_fault(ck, NULL,
		            "superblock: format version %u, byte order 0x%08x, incompatible "
		            "features 0x%x: not known here",
		            super->version, super->endian, super->incompat);
		return false;
	}
	if (size < FMT_PAGE_MIN || size > FMT_PAGE_MAX || (size & (size - 1)) != 0) {
		check_fault(ck, NULL,
		            "superblock: page size %u is not a power of two from %u to %u", size,
		            FMT_PAGE_MIN, FMT_PAGE_MAX);
		return false;
	}
	return true;
}

/* ring_fits - whether the superblock's ring has records of a size that can be, lies behind the
 * superblock, and ends before the first page. The products and sums are of bounded numbers, and in
 * 64 bits. */
static bool ring_fits(const struct fmt_super *super)
{
	uint64_t bytes = (uint64_t)super->ring_records * super->ring_record_size;

	if (super->ring_record_size < FMT_LINE)
		return false;
	if (super->ring_record_size > FMT_PAGE_MAX)
		return false;
	if (super->ring_record_size % FMT_LINE != 0)
		return false;
	if (super->ring_records < 4)
		return false;
	if (super->ring_off < FMT_SUPER_SIZE)
		return false;
	if (super->ring_off % FMT_LINE != 0)
		return false;
	if (super->ring_off > super->first_page)
		return false;
	if (super->first_page % super->page_size != 0)
		return false;
	return bytes <= super->first_page - super->ring_off;
}

/* spare_zero - whether all bytes of the superblock that the format keeps for later are zeros. */
static bool spare_zero(const struct fmt_super *super)
{
	if (!all_zero(super->zero1, sizeof super->zero1))
		return false;
	if (!all_zero(super->zero2, sizeof super->zero2))
		return false;
	return all_zero(super->zero3, sizeof super->zero3);
}

/* check_super_layout - sizes and offsets. False when the pages cannot be walked. Sets ck->limit,
 * which all offsets are held against from here on: what the superblock says of the size, but no
 * more than is mapped. */
static bool check_super_layout(struct check *ck)
{
	const struct fmt_super *super = &ck->super;

	if (!ring_fits(super)) {
		check_fault(ck, NULL,
		            "superblock: ring of %u records of %u bytes at 0x%lx and first page "
		            "0x%lx do not fit together",
		            super->ring_records, super->ring_record_size, super->ring_off,
		            super->first_page);
		return false;
	}
	if (!spare_zero(super))
		check_fault(ck, NULL, "superblock: bytes that must be zero are not");
	if (super->size % super->page_size != 0)
		check_fault(ck, NULL, "superblock: size %lu is not a multiple of the page size",
		            super->size);
	if (super->size > ck->in->mapped)
		check_fault(ck, NULL, "superblock: size %lu is more than the file has (%lu)",
		            super->size, ck->in->mapped);
	ck->limit = round_down(min_u64(super->size, ck->in->mapped), super->page_size);
	if (super->first_page >= ck->limit) {
		check_fault(ck, NULL, "superblock: size %lu leaves no page behind the ring",
		            super->size);
		return false;
	}
	return true;
}

/* memory_take - what a run needs, all at once, so that nothing fails half-way but a long list of
 * databases. The sizes come from limit, which the file's real length bounds. False: no memory.
 * check_run gives it back. */
static bool memory_take(struct check *ck)
{
	assert(ck->limit > 0);
	assert(ck->page_size >= FMT_PAGE_MIN);
	size_t entries = (ck->page_size - FMT_LEAF_BASE) / CHECK_MIN_ENTRY + FMT_TAIL_SLOTS;

	ck->pages = ck->limit / ck->page_size;
	ck->words = (ck->pages + 63) / 64;
	ck->used = calloc(ck->words, sizeof *ck->used);
	ck->seen = calloc(ck->words, sizeof *ck->seen);
	ck->copies = calloc(CHECK_COPIES, ck->page_size);
	ck->entries = calloc(entries, sizeof *ck->entries);
	ck->order = calloc(entries, sizeof *ck->order);
	if (!ck->used)
		return false;
	if (!ck->seen)
		return false;
	if (!ck->copies)
		return false;
	if (!ck->entries)
		return false;
	return ck->order;
}

/* databases_walk - the main database, which finds the named ones, then those. The list may grow,
 * and move, while the main database is walked; the named ones add nothing to it. */
static void databases_walk(struct check *ck)
{
	struct check_db main_db = {.main = true, .desc = ck->super.main_desc};

	check_db_walk(ck, &main_db, offsetof(struct fmt_super, main_desc));
	for (size_t i = 0; i < ck->dbs_count && ck->err == 0; i++)
		check_db_walk(ck, &ck->dbs[i], (uint64_t)(ck->dbs[i].name - ck->base));
}

/* Everything of the run is freed here, also when it ended early. The order matters: bitmaps before
 * claims, claims before leaks. 0, CORRUPT with *faults, ENOMEM; EAGAIN when the state has moved,
 * and then no fault counts. */
int check_run(const struct check_input *in, uint64_t *faults)
{
	struct check ck = {
	    .in = in,
	    .base = in->base,
	    .txn = in->txn,
	};

	if (in->mapped < sizeof ck.super) {
		check_fault(&ck, NULL, "superblock: the file has %lu bytes, less than a superblock",
		            in->mapped);
		*faults = ck.faults;
		return DAXKV_CORRUPT;
	}
	memcpy(&ck.super, in->base, sizeof ck.super);
	ck.page_size = ck.super.page_size;
	if (super_identity(&ck) && check_super_layout(&ck)) {
		if (!memory_take(&ck)) {
			ck.err = ENOMEM;
		} else {
			check_space_load(&ck);
			check_ring(&ck);
			databases_walk(&ck);
			check_space_leaks(&ck);
			check_space_told(&ck);
		}
	}
	free(ck.used);
	free(ck.seen);
	free(ck.copies);
	free(ck.entries);
	free(ck.order);
	free(ck.dbs);
	if (ck.err != 0 || check_moved(&ck))
		return ck.err;
	*faults = ck.faults;
	if (ck.faults == 0)
		return 0;
	return DAXKV_CORRUPT;
}
