/* SPDX-License-Identifier: BSD-3-Clause */
/* leaf_verify.c - a leaf's checksums, for those who ask for them. See leaf.h */
#include "base/crc.h"
#include "base/err.h"
#include "page/leaf.h"

/* tail_verify - the entry that a slot names, and the slot itself. */
static int tail_verify(const struct leaf *leaf, unsigned int i, uint64_t slot)
{
	const uint8_t *p = (const uint8_t *)leaf->page;
	uint32_t off = FMT_SLOT_OFF(slot);
	uint32_t end = FMT_SLOT_END(slot);
	uint32_t from = leaf->page->end + FMT_TAIL_BEFORE;
	uint32_t behind;

	if (off < from || end > leaf->psize || off + FMT_ENTRY_SIZE + FMT_TAIL_AFTER > end)
		return err_corrupt(leaf->off,
		                   "leaf: the entry of slot %u does not lie behind the base", i);
	behind = off + FMT_ENTRY_SIZE + (get16(p + off) & FMT_KLEN_MASK) + get16(p + off + 2);
	if (behind + FMT_TAIL_AFTER > end)
		return err_corrupt(leaf->off, "leaf: the entry of slot %u is longer than it says",
		                   i);
	uint32_t crc = crc32c(0, p + off - FMT_TAIL_BEFORE, behind - off + FMT_TAIL_BEFORE);

	if (crc32c(crc, &slot, sizeof slot) != get32(p + behind))
		return err_corrupt(leaf->off, "leaf: the checksum of slot %u does not match", i);
	return 0;
}

/* Unused slots come last: one behind a hole would never be read. */
int leaf_verify(const struct leaf *leaf)
{
	const uint8_t *p = (const uint8_t *)leaf->page;
	const uint64_t *slots = (const void *)(p + FMT_LEAF_SLOTS);
	bool ended = false;

	if ((leaf_crc(p, leaf->page->end) ^ crc32c_place(leaf->off)) != leaf->page->crc)
		return err_corrupt(leaf->off, "leaf: its checksum does not match");
	for (unsigned int i = 0; i < FMT_TAIL_SLOTS; i++) {
		uint64_t slot = load_word(&slots[i]);
		int rc = 0;

		if (slot)
			rc = tail_verify(leaf, i, slot);
		if (!rc && slot && ended)
			rc = err_corrupt(leaf->off, "leaf: slot %u follows an unused one", i);
		if (rc)
			return rc;
		ended = slot == 0;
	}
	return 0;
}
