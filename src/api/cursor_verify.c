/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor_verify.c - checksums of what a cursor stands on. See cursor.h
 *
 * Pages are compared once for each way to a leaf, not for each entry: the cursor keeps a number for
 * the way that was compared last. Large values are compared each time one is given out.
 */
#include "api/cursor.h"
#include "base/crc.h"
#include "base/err.h"
#include "page/blob.h"

/* way_of - the cursor's way down, as a number: a damaged word can lead to one leaf by several
 * ways. Two ways with one number would be a page that is not compared: damage found one step later.
 */
static uint64_t way_of(const struct path *p)
{
	uint64_t way = p->leaf.off;

	for (unsigned int i = 1; i < p->height; i++)
		way = way * 1000003u + p->at[i].index;
	return way;
}

/* An empty tree has pages to compare as well: the versions behind its root word. */
int cursor_verify_pages(struct daxkv_cursor *c)
{
	const struct tree *t = &dbi_state_known(c->txn, c->db)->tree;
	uint64_t way = 0;
	int rc;

	if (c->path.height)
		way = way_of(&c->path);
	if (way && c->verified == way)
		return 0;
	rc = tree_verify(t, &c->path, NULL);
	if (rc)
		return rc;
	c->verified = way;
	return 0;
}

/* A value inside the leaf is covered by the leaf's own checksum. */
int cursor_verify_value(const struct daxkv_cursor *c, const struct item *it)
{
	const uint8_t *bytes;
	struct fmt_blob blob;

	if (!(it->flags & FMT_ENTRY_BLOB))
		return 0;
	if (it->vlen != sizeof blob)
		return err_corrupt(c->path.leaf.off, "leaf: a large value's place of %u bytes",
		                   it->vlen);
	memcpy(&blob, it->val, sizeof blob);
	int rc = blob_bytes(txn_view(c->txn), &blob, &bytes);

	if (rc)
		return rc;
	if (crc32c(0, bytes, blob.len) != blob.crc)
		rc = err_corrupt(blob.off, "a value of %lu bytes: its checksum does not match",
		                 blob.len);
	return rc;
}

/* The entry is looked up again, because the move has told only its bytes. */
int cursor_verify(struct daxkv_cursor *c)
{
	struct item it;
	int rc = cursor_verify_pages(c);

	if (rc)
		return rc;
	rc = place_entry(c, &it);
	if (rc)
		return rc;
	return cursor_verify_value(c, &it);
}
