/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * super.h - the superblock: what a store file says of itself, and the bytes of a new one.
 *
 * The first 256 bytes never change and carry a hash; the words behind them change by commit records
 * (main_desc, size, user_version, dir) or by recovery and close (clean).
 *
 * The rule: what is hashed never changes, and what changes is a word with an owner of its own.
 * clean carries a checksum of itself in its upper bits, because a wrong mark would make recovery
 * leave out words that are not in place [I4]. A feature that a library does not know is in
 * incompat (do not open), rocompat (only read) or compat (do not care).
 */
#ifndef DAXKV_SUPER_H
#define DAXKV_SUPER_H

#include "base/format.h"

#include <stdbool.h>

struct geometry { /* the fixed facts of a store */
	uint32_t page_size;
	uint64_t file_id;
	uint64_t ring_off;
	uint64_t first_page;
	/* features are unknown here that reading does not need: read-only */
	bool rocompat;
};

/* super_read - validate the superblock of the open file, file_size bytes long. Errors: FOREIGN,
 * VERSION, CORRUPT, errno of pread. */
int super_read(int fd, uint64_t file_size, struct geometry *geometry);

struct super_new {
	uint32_t page_size;
	uint64_t size;         /* bytes: a multiple of the page size */
	uint64_t file_id;      /* the store's own number */
	uint64_t created;      /* seconds since 1970 */
	uint64_t user_version; /* the program's */
	uint64_t initial;      /* bytes below which a closing does not cut the file */
	/* of a copy, see format.h */
	uint64_t source_id;
	uint64_t source_txn;
};

/* super_fill - write a new store's superblock, ring, space pages and main descriptor into fd, whose
 * bytes may be anything. new is a struct super_new. The superblock is written last. 0 or errno. */
int super_fill(int fd, void *new_store);

/* desc_crc - of a descriptor page, its place left out. */
uint32_t desc_crc(const struct fmt_desc *desc);

/* super_clean - the transaction that the clean mark names. False, and 0, when the mark is damaged.
 * super_clean_word - the mark for it. */
bool super_clean(const struct fmt_super *super, uint64_t *txn);
uint64_t super_clean_word(uint64_t txn);

/* super_image - the superblock of a store at transaction txn, with so many directory pages behind
 * the ring, all else clean. super_layout - where in a store the pages behind the ring lie:
 * directory pages, a bitmap page for each zone, and data bytes behind them, all in use. */
struct super_layout {
	uint64_t first_page;  /* offset of the first directory page: behind the ring */
	uint64_t dirs;        /* directory pages */
	uint64_t zones;       /* and so many bitmap pages */
	uint64_t bitmaps_off; /* offset of the first of these */
	uint64_t data_off;    /* offset of what lies behind them */
};
void super_image(struct fmt_super *s, const struct super_new *new_store, uint64_t dirs,
                 uint64_t main_desc, uint64_t txn);
void super_layout(struct super_layout *layout, uint32_t page_size, uint64_t data);

/* super_min_size - the least size of a new store with this page size. */
uint64_t super_min_size(uint32_t page_size);

/* super_zone_bytes - the bytes of file that one bitmap page covers. */
static inline uint64_t super_zone_bytes(uint32_t page_size)
{
	return (uint64_t)page_size * 8 * page_size;
}

/* super_max_bytes - the bytes that the directory can cover. */
static inline uint64_t super_max_bytes(uint32_t page_size)
{
	return super_zone_bytes(page_size) * (page_size / FMT_WORD) * FMT_DIR_WORDS;
}

#endif
