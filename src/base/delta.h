/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * delta.h - every byte of a delta: what changed in a store since an earlier backup. docs/FORMAT.md
 * is its prose.
 *
 *   | head | block | block | ... | last block |
 *
 * A block is its payload's length and a checksum, u32 both, and the payload, DELTA_BLOCK bytes at
 * most. The checksum is the crc32c of the length and the payload, continued from the block before,
 * the first from the head's: blocks can neither be left out nor change places. The last block has
 * length 0, and behind its checksum stand, covered by it, the bytes of all payloads and the number
 * of blocks before it, u64 both. The payloads, one behind the other, are records.
 */
#ifndef DAXKV_DELTA_H
#define DAXKV_DELTA_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define DELTA_MAGIC      "daxd\r\n\x1a\n"
#define DELTA_MAGIC_SIZE 8u
#define DELTA_VERSION    1u
#define DELTA_BLOCK      65536u
#define DELTA_BLOCK_HEAD 8u
#define DELTA_TOTALS     16u

struct delta_head {
	char magic[8];
	uint32_t version;
	uint32_t endian; /* FMT_ENDIAN */
	uint32_t page_size;
	uint32_t main_flags; /* of the main database */
	uint64_t store_id;   /* file_id of the store */
	uint64_t since;      /* the commit that the earlier backup shows */
	uint64_t txn;        /* the commit that this one shows */
	uint64_t user_version;
	uint64_t created; /* seconds since 1970 */
	uint32_t zero;
	uint32_t crc; /* crc32c of all before it */
};
static_assert(sizeof(struct delta_head) == 72 && offsetof(struct delta_head, crc) == 68,
              "delta_head");

/*
 * Records: a byte that says which, and then, integers little-endian, without padding:
 *
 *   NAME      u16 name length; the name
 *   DATABASE  u8 whole, u16 name length (0: the main one), u32 flags, u64 entries; the name
 *   OPEN      a place: what the earlier state has behind it, up to the next CLOSE, is not any more
 *   CLOSE     a place
 *   PUT       u16 key length, u64 value length; the key, the value
 *   DEL       u16 key length, u16 duplicate length or DELTA_NONE; the key, the duplicate
 *   END       u64 databases
 *
 * A place is u16 key length, u16 duplicate length or DELTA_NONE; the key, the duplicate. Key length
 * 0 is the database's begin (OPEN) or end (CLOSE).
 */
enum delta_record {
	DELTA_NAME = 1,
	DELTA_DATABASE,
	DELTA_OPEN,
	DELTA_CLOSE,
	DELTA_PUT,
	DELTA_DEL,
	DELTA_END
};
#define DELTA_NONE 0xffffu

#endif
