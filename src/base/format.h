/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * format.h - every byte of a store file. docs/FORMAT.md is its prose; a static_assert holds each
 * offset.
 *
 *   0          ring_off      first_page                                size
 *   | superblock | ring      | pages: bitmap, directory, tree, blobs ... |
 *
 * All integers are little-endian, all references are byte offsets from the file's start, and a page
 * lies at a multiple of the page size. Two kinds of bytes (DESIGN.md 2): fresh bytes, written while
 * nothing refers to them, and words, aligned 8-byte integers that change only by way of a commit
 * record. Fields that are words are marked W.
 *
 * The structs here are read through pointers to const into the mapping; what follows their fixed
 * part is found by offsets.
 */
#ifndef DAXKV_FORMAT_H
#define DAXKV_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define FMT_MAGIC      "daxkv\r\n\x1a"
#define FMT_MAGIC_SIZE 8u
#define FMT_VERSION    5u
#define FMT_ENDIAN     0x01020304u
/* below 4096 only in tests: small pages make small stores do everything */
#define FMT_PAGE_MIN     512u
#define FMT_PAGE_MAX     32768u
#define FMT_SUPER_SIZE   4096u
#define FMT_RING_RECORD  512u
#define FMT_RING_RECORDS 64u
#define FMT_LINE         64u
#define FMT_WORD         8u

/* ---- superblock: the first 4096 bytes -------------------------------------------------------- */

#define FMT_DIR_WORDS 464u

struct fmt_super {
	char magic[8];
	uint32_t version;
	uint32_t endian;
	uint32_t page_size;
	uint32_t ring_record_size;
	uint32_t ring_records;
	/* feature bits: unknown incompat: do not open; rocompat: open read-only */
	uint32_t incompat;
	uint32_t rocompat;
	uint32_t compat;
	uint64_t file_id; /* random; seeds the records' checksums */
	uint64_t ring_off;
	uint64_t first_page;
	uint64_t created; /* seconds since 1970 */
	/* bytes that were asked for when the store was made: the file is not cut to less. 0:
	 * nothing was asked for */
	uint64_t initial;
	/* of a copy: the store that it is of, the commit that it shows, the user version then.
	 * Else 0 */
	uint64_t source_id;
	uint64_t source_txn;
	uint64_t source_user_version;
	uint8_t zero1[248 - 104];
	uint64_t hash; /* hash64 of the bytes before it */
	/* FMT_CLEAN: every word of records up to this transaction is durable in place. When it is
	 * the newest, the ring is not needed */
	uint64_t clean;
	uint8_t zero2[56];
	uint64_t main_desc; /* W: descriptor page of the main database */
	/* W: bytes of the file in use; the file may be longer */
	uint64_t size;
	uint64_t user_version; /* W: a number of the program's own */
	uint8_t zero3[40];
	/* W: directory pages, each a page of bitmap page offsets; 0 = none */
	uint64_t dir[FMT_DIR_WORDS];
};

/* The clean mark: the transaction in the low 52 bits, above them a checksum of it, so that a
 * damaged mark is never believed. c is crc32c of the transaction's 8 bytes, exclusive-or crc32c of
 * 8 zero bytes. */
#define FMT_CLEAN_BITS    52u /* of any transaction number */
#define FMT_CLEAN_SUM(c)  (((c) ^ (c) >> 12 ^ (c) >> 24) & 0xfffu)
#define FMT_CLEAN(txn, c) ((uint64_t)(txn) | (uint64_t)FMT_CLEAN_SUM(c) << FMT_CLEAN_BITS)

/* ---- space: one bitmap page per zone of page_size * 8 pages ---------------------------------- */

/* Zone z covers pages [z * page_size * 8, (z + 1) * page_size * 8). Its bitmap page (W: page_size /
 * 8 words, bit i of word w is page 64 w + i, 1 = allocated) is named by word z % (page_size / 8) of
 * directory page z / (page_size / 8). Superblock, ring, bitmap and directory pages count as
 * allocated. Bits at and after super.size are 0. Bitmap and directory pages have no page header. */

/* ---- pages with a header --------------------------------------------------------------------- */

enum fmt_page_type { FMT_LEAF = 1, FMT_INNER = 2, FMT_DESC = 3, FMT_SPILL = 4 };

struct fmt_page {
	uint64_t birth; /* the transaction that made the page */
	/* the page that its pointing word held before, for snapshots older than birth; 0 = none.
	 * Means nothing after a restart */
	uint64_t prev;
	/* crc32c of the page's immutable bytes, see below, exclusive-or that of the page's offset
	 * as 8 bytes */
	uint32_t crc;
	uint8_t type;
	uint8_t level; /* 0 leaf */
	uint16_t n;    /* base entries; separators of an inner page */
	/* bytes that all keys of the base (separators) share, 0 or 8 and more: the first plen bytes
	 * of the first one's key */
	uint16_t plen;
	/* offset of heads[n]; of a uniform leaf FMT_UNIFORM + the length of each key */
	uint16_t heads;
	/* offset of offs[n], u16; of a uniform leaf the length of each value */
	uint16_t offs;
	/* end of the base: the tail's entries lie behind it */
	uint16_t end;
};

/*
 * Leaf: 0 header | 32 slots[16] W | 160 heads[n] u64 | offs[n] u16 | base entries | ... tail
 * entries in append order ... Base: offs[i] is the offset of entry i's struct fmt_entry; entries in
 * key order; heads[i] is the order's 8-byte search key.
 *        Uniform, when all keys have one length and all values another: | heads[n] | key, value |
 *          key, value | ... without offs and
 *        fmt_entry, each padded to a multiple of 4.
 * Tail:  slots[i] names one appended entry; 0 = slot unused; used slots come first.
 * crc covers the place and bytes [0,8), [20,32) and [160, end).
 */
#define FMT_TAIL_SLOTS 16u
#define FMT_LEAF_SLOTS 32u
#define FMT_LEAF_BASE  160u
#define FMT_UNIFORM    0x8000u

struct fmt_entry {
	uint16_t klen_flags; /* key length in the low 13 bits */
	uint16_t vlen;
	/* key bytes, value bytes */
};
#define FMT_KLEN_MASK  0x1fffu
#define FMT_ENTRY_BLOB 0x2000u /* the value is a struct fmt_blob */
#define FMT_ENTRY_DB   0x4000u /* the value is a struct fmt_db; in the main database only */
/* the value is a u64, the number of the key's values; in a tree of tallies only */
#define FMT_ENTRY_TALLY 0x8000u
#define FMT_ENTRY_SIZE  4u /* of the fixed part */

/* A tail entry: 8 bytes transaction number before struct fmt_entry, 4 bytes crc32c behind the
 * value: of the transaction number, entry, key, value and then the slot word's 8 bytes. A slot
 * word's offset points at struct fmt_entry. */
#define FMT_TAIL_BEFORE 8u
#define FMT_TAIL_AFTER  4u

/* slot word: bits 0-15 entry offset, 16-31 entry end (behind the crc), 32-47 fingerprint, 48-59
 * rank, 60-63 kind */
enum fmt_slot_kind { FMT_SLOT_INSERT = 1, FMT_SLOT_REPLACE = 2, FMT_SLOT_REMOVE = 3 };
#define FMT_SLOT(off, end, fp, rank, kind)                                                         \
	((uint64_t)(off) | (uint64_t)(end) << 16 | (uint64_t)(fp) << 32 | (uint64_t)(rank) << 48 | \
	 (uint64_t)(kind) << 60)
#define FMT_SLOT_OFF(w)  ((uint32_t)((w)&0xffff))
#define FMT_SLOT_END(w)  ((uint32_t)((w) >> 16 & 0xffff))
#define FMT_SLOT_FP(w)   ((uint32_t)((w) >> 32 & 0xffff))
#define FMT_SLOT_RANK(w) ((uint32_t)((w) >> 48 & 0xfff))
#define FMT_SLOT_KIND(w) ((uint32_t)((w) >> 60))

struct fmt_blob { /* a value outside its leaf: pages of its own, contiguous, nothing but the value
	             in them */
	/* bytes */
	uint64_t off;
	uint64_t len;
	uint32_t crc; /* crc32c of the value */
	uint32_t zero;
};

struct fmt_db { /* a named database's catalog entry in the main one */
	/* its descriptor page; or the leaf that is all of it; 0: nothing was ever stored */
	uint64_t desc;
	uint32_t flags; /* enum daxkv_db_flags */
	uint32_t zero;
	/* the transaction since which the name means this database, and it has these flags */
	uint64_t since;
};

/*
 * Inner: 0 header | 32 heads[n] | kids[n+1] W | offs[n] u16 | separators
 * kids lie directly behind heads. Kid i holds the entries x with separator i-1 <= x < separator i.
 * crc covers the place, [0,8), [20,32), heads, and [offs, end): everything but prev and kids.
 */
#define FMT_INNER_HEADS 32u
struct fmt_sep {
	uint16_t klen; /* key bytes */
	/* duplicate bytes behind the key, or FMT_SEP_NODUP: before all duplicates of the key */
	uint16_t dlen;
	/* key bytes, duplicate bytes */
};
#define FMT_SEP_SIZE  4u
#define FMT_SEP_NODUP 0xffffu

/*
 * Descriptor: what the store knows of one database. crc covers the place, [0,8) and [20, 64). A
 * count word is (transaction - birth) << 40 | entries; they are in order of transactions, 0 =
 * unused. None: base_count entries.
 */
struct fmt_desc {
	struct fmt_page page; /* n, plen, heads, offs are 0; end is 128 */
	uint32_t flags;
	uint32_t zero;
	uint64_t base_count;
	uint8_t zero2[16];
	uint64_t root; /* W: 0 = nothing was ever stored */
	/* W: a blob counts its pages */
	uint64_t leaf_pages;
	uint64_t inner_pages;
	uint64_t blob_pages;
	/* W: root of the tree that has the numbers of values of keys with very many; 0 = none */
	uint64_t tallies;
	uint8_t zero3[24];
	uint64_t counts[]; /* W: to the end of the page */
};
#define FMT_DESC_COUNTS 128u
#define FMT_COUNT_BITS  40u

/* ---- ring: record T lies at index T % ring_records ------------------------------------------- */

/* word 0  T
 *      1  hash64 of word 0 and of words 2 to the record's last, seeded with file_id
 *      2  bits 0-31 fresh crc, 32-39 number of ranges (FMT_REC_SPILLED: see below), 40-47 number of
 *         words, 48-63 T - durable_upto
 *      3  ranges: offset << 16 | length / 4, each
 *         then words: offset, new value, each
 * fresh crc: crc32c over the crc32c of each range, as 4 little-endian bytes, in order. Spilled:
 * words 3 and on are {spill page offset, number of words, crc32c of all (offset, value) pairs};
 * fresh bytes and spill pages were fenced before the record. The spill pages form a chain. */
#define FMT_REC_HEAD       3u
#define FMT_REC_SPILLED    0xffu
#define FMT_REC_MAX_RANGES 60u
struct fmt_spill { /* type FMT_SPILL; page.n is 0, page.prev the next page of the chain */
	struct fmt_page page;
	uint64_t pairs;  /* in this page */
	uint64_t pair[]; /* offset, value, ... */
};
#define FMT_SPILL_PAIRS 40u

#define FMT_AT(type, field, off)                                                                   \
	static_assert(offsetof(struct type, field) == (off), #type "." #field)
FMT_AT(fmt_super, version, 8);
FMT_AT(fmt_super, page_size, 16);
FMT_AT(fmt_super, ring_record_size, 20);
FMT_AT(fmt_super, ring_records, 24);
FMT_AT(fmt_super, incompat, 28);
FMT_AT(fmt_super, file_id, 40);
FMT_AT(fmt_super, ring_off, 48);
FMT_AT(fmt_super, first_page, 56);
FMT_AT(fmt_super, created, 64);
FMT_AT(fmt_super, initial, 72);
FMT_AT(fmt_super, source_id, 80);
FMT_AT(fmt_super, zero1, 104);
FMT_AT(fmt_super, hash, 248);
FMT_AT(fmt_super, clean, 256);
FMT_AT(fmt_super, main_desc, 320);
FMT_AT(fmt_super, size, 328);
FMT_AT(fmt_super, user_version, 336);
FMT_AT(fmt_super, dir, 384);
static_assert(sizeof(struct fmt_super) == FMT_SUPER_SIZE, "fmt_super");
FMT_AT(fmt_page, crc, 16);
FMT_AT(fmt_page, type, 20);
FMT_AT(fmt_page, n, 22);
FMT_AT(fmt_page, end, 30);
static_assert(sizeof(struct fmt_page) == 32, "fmt_page");
FMT_AT(fmt_desc, flags, 32);
FMT_AT(fmt_desc, base_count, 40);
FMT_AT(fmt_desc, root, 64);
FMT_AT(fmt_desc, leaf_pages, 72);
FMT_AT(fmt_desc, tallies, 96);
FMT_AT(fmt_desc, counts, FMT_DESC_COUNTS);
FMT_AT(fmt_spill, pair, FMT_SPILL_PAIRS);
static_assert(sizeof(struct fmt_entry) == FMT_ENTRY_SIZE && sizeof(struct fmt_sep) == FMT_SEP_SIZE,
              "fmt_entry");
static_assert(sizeof(struct fmt_blob) == 24 && sizeof(struct fmt_db) == 24, "fmt_blob, fmt_db");

#endif
