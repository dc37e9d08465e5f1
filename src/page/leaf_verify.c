/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leaf_verify.c - a leaf's checksums, for those who ask for them. See leaf.h
 *
 * The base has one checksum, which covers the page's place, and each entry of the tail has its own,
 * which covers the slot that names it. A get does not compare them, because a leaf is many times as
 * large as what it reads of it.
 */
#include "base/crc.h"
#include "base/err.h"
#include "page/leaf.h"

/* tail_verify - the entry that a slot names, and the slot itself. Its lengths are read after it is
 * known that they lie in the page, and the checksum after it is known that the entry does. CORRUPT,
 * with the slot in the text. */
static int tail_verify(const struct leaf *leaf, unsigned int i, uint64_t slot)
{
	const uint8_t *p = (const uint8_t *)leaf->page;
	uint32_t off = FMT_SLOT_OFF(slot);
	uint32_t end = FMT_SLOT_END(slot);
	uint32_t low = leaf->page->end + FMT_TAIL_BEFORE;
	uint32_t klen;
	uint32_t vlen;
	uint32_t behind;
	uint32_t from;
	uint32_t crc;

	if (off < low || end > leaf->psize || off + FMT_ENTRY_SIZE + FMT_TAIL_AFTER > end)
		return err_corrupt(leaf->off,
		                   "leaf: the entry of slot %u does not lie behind the base", i);
	klen = get16(p + off) & FMT_KLEN_MASK;
	vlen = get16(p + off + 2);
	behind = off + FMT_ENTRY_SIZE + klen + vlen;
	if (behind + FMT_TAIL_AFTER > end)
		return err_corrupt(leaf->off, "leaf: the entry of slot %u is longer than it says",
		                   i);
	from = off - FMT_TAIL_BEFORE;
	crc = crc32c(0, p + from, behind - from);
	crc = crc32c(crc, &slot, sizeof slot);
	if (crc != get32(p + behind))
		return err_corrupt(leaf->off, "leaf: the checksum of slot %u does not match", i);
	return 0;
}

/* Unused slots come last: one behind a hole would never be read. All slots of the page are looked
 * at, also those that the view does not see: damage there meets a later snapshot. */
int leaf_verify(const struct leaf *leaf)
{
	const struct fmt_page *page = leaf->page;
	const uint64_t *slots = leaf_slots(page);
	uint32_t crc = leaf_crc((const uint8_t *)page, page->end) ^ crc32c_place(leaf->off);
	bool ended = false;

	if (crc != page->crc)
		return err_corrupt(leaf->off, "leaf: its checksum does not match");
	for (unsigned int i = 0; i < FMT_TAIL_SLOTS; i++) {
		uint64_t slot = load_word(&slots[i]);
		int rc;

		if (!slot) {
			ended = true;
			continue;
		}
		rc = tail_verify(leaf, i, slot);
		if (rc)
			return rc;
		if (ended)
			return err_corrupt(leaf->off, "leaf: slot %u follows an unused one", i);
	}
	return 0;
}
