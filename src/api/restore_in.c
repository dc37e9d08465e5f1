/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restore_in.c - a delta, read and verified block by block. See backup.h
 *
 *   | head | length, checksum, payload | length, checksum, payload | ... | 0, checksum, totals |
 *
 * Records lie in the payloads one behind the other, and know nothing of blocks. A block is used
 * only after its checksum was compared, which covers all blocks before it.
 *
 * The checksum of a block goes on from that of the block before it, and the first one from that of
 * the head. So blocks of two deltas cannot be mixed, and a block that is missing, twice there or
 * moved is found where it happens. The last block has the length 0 and says how many blocks and
 * bytes came before it: a file that was cut off between two blocks lacks it.
 */
#include "api/backup.h"
#include "base/crc.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* read_some - up to n bytes at off, fewer at the file's end only. pread(2) leaves no position
 * behind, so the delta can be read twice. *got: the bytes that are in to. A short read is no error
 * here: the caller knows what is missing. errno, with path and place. */
static int read_some(int fd, const char *path, void *to, size_t n, uint64_t off, size_t *got)
{
	*got = 0;
	while (*got < n) {
		ssize_t done = pread(fd, (uint8_t *)to + *got, n - *got, (off_t)(off + *got));

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_sys(errno, "reading %s at byte %lu", path, (off + *got));
		if (!done)
			return 0;
		*got += (size_t)done;
	}
	return 0;
}

/* delta_damaged - CORRUPT, with the place in the file. off: bytes from the file's begin, where the
 * part begins that does not hold. */
static int delta_damaged(const char *path, uint64_t off, const char *what)
{
	return err_set(DAXKV_CORRUPT, "%s: the delta is damaged at byte %lu: %s", path, off, what);
}

/* delta_head_read - the version is looked at before the checksum: a later one may have another
 * head. Nothing else of the head is used before its checksum is compared. A store is told apart,
 * since to give the full backup in the wrong place is the likeliest mistake. Errors as of
 * delta_open. */
static int delta_head_read(int fd, const char *path, struct delta_head *head)
{
	size_t got;
	int rc = read_some(fd, path, head, sizeof *head, 0, &got);

	if (rc)
		return rc;
	if (got >= FMT_MAGIC_SIZE && memcmp(head->magic, FMT_MAGIC, FMT_MAGIC_SIZE) == 0)
		return err_set(
		    DAXKV_INCOMPATIBLE,
		    "%s: a store; a full backup is the first piece of a row, and the others "
		    "are deltas",
		    path);
	if (got < DELTA_MAGIC_SIZE || memcmp(head->magic, DELTA_MAGIC, DELTA_MAGIC_SIZE) != 0)
		return err_set(DAXKV_FOREIGN, "%s: neither a store nor a delta", path);
	if (got < sizeof *head)
		return delta_damaged(path, got, "it ends in its head");
	if (head->endian == FMT_ENDIAN && head->version > DELTA_VERSION)
		return err_set(DAXKV_VERSION, "%s: a delta of version %u; this library reads %u",
		               path, head->version, DELTA_VERSION);
	if (crc32c(0, head, offsetof(struct delta_head, crc)) != head->crc ||
	    head->version != DELTA_VERSION || head->endian != FMT_ENDIAN)
		return delta_damaged(path, 0, "the checksum of its head does not match");
	return 0;
}

/* After a failure delta_close is needed, and enough. The path is not copied: it has to live as long
 * as in does. A delta is read twice, so a pipe cannot be one. */
int delta_open(struct delta_in *in, const char *path)
{
	struct stat st;

	*in = (struct delta_in){.path = path, .fd = open(path, DELTA_OPEN_FLAGS)};
	if (in->fd < 0)
		return err_sys(errno, "opening %s", path);
	if (fstat(in->fd, &st) != 0)
		return err_sys(errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return err_sys(EISDIR, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(DAXKV_FOREIGN, "%s: not a regular file", path);
	in->buffer = malloc(DELTA_BLOCK);
	if (!in->buffer)
		return err_set(ENOMEM, "no memory for a delta");
	int rc = delta_head_read(in->fd, in->path, &in->head);

	in->off = sizeof in->head;
	in->crc = in->head.crc;
	return rc;
}

/* Safe on one that was closed. */
void delta_close(struct delta_in *in)
{
	if (in->fd >= 0)
		close(in->fd);
	free(in->buffer);
	in->fd = -1;
	in->buffer = NULL;
}

/* delta_block - the next block, or the last one, behind which nothing may stand. The length is
 * bounded before it is used, and the payload before it is trusted: the checksum covers both. After
 * an error the checksum's chain is broken, and only delta_close is left. CORRUPT, errno. */
static int delta_block(struct delta_in *in)
{
	assert(!in->ended);
	uint8_t head[DELTA_BLOCK_HEAD];
	uint8_t more;
	size_t got;
	int rc = read_some(in->fd, in->path, head, sizeof head, in->off, &got);
	uint32_t length = get32(head);
	uint32_t behind = DELTA_TOTALS;

	if (length)
		behind = length;

	if (rc)
		return rc;
	if (got < sizeof head)
		return delta_damaged(in->path, in->off + got, "its end is missing");
	if (length > DELTA_BLOCK)
		return delta_damaged(in->path, in->off, "a block is too long");
	rc = read_some(in->fd, in->path, in->buffer, behind, in->off + sizeof head, &got);
	if (rc)
		return rc;
	if (got < behind)
		return delta_damaged(in->path, in->off + sizeof head + got, "its end is missing");
	in->crc = crc32c(crc32c(in->crc, head, 4), in->buffer, behind);
	if (in->crc != get32(head + 4))
		return delta_damaged(in->path, in->off, "the checksum of a block does not match");
	in->off += sizeof head + behind;
	in->used = length;
	in->at = 0;
	in->payload += length;
	in->blocks += length != 0;
	in->ended = !length;
	if (!in->ended)
		return 0;
	if (get64(in->buffer) != in->payload || get64(in->buffer + 8) != in->blocks)
		return delta_damaged(in->path, in->off, "blocks are missing");
	rc = read_some(in->fd, in->path, &more, 1, in->off, &got);
	if (rc)
		return rc;
	if (got)
		rc = delta_damaged(in->path, in->off, "something stands behind its end");
	return rc;
}

/* Everything is read once, so that a damaged delta changes nothing. Then in stands at the delta's
 * end: to get at the records it has to be opened again. */
int delta_check(struct delta_in *in, uint64_t *payload)
{
	assert(!in->payload);
	assert(!in->ended);
	int rc = 0;

	while (!rc && !in->ended)
		rc = delta_block(in);
	*payload = in->payload;
	return rc;
}

/* From as many blocks as it takes. After an error to may have some of them. */
int delta_bytes(struct delta_in *in, void *to, size_t n)
{
	assert(in->at <= in->used);
	uint8_t *p = to;

	while (n) {
		size_t now = min_u64(n, in->used - in->at);

		if (now) {
			memcpy(p, in->buffer + in->at, now);
			in->at += (uint32_t)now;
			p += now;
			n -= now;
			continue;
		}
		int rc = in->ended ? delta_damaged(in->path, in->off, "a record is cut short")
		                   : delta_block(in);

		if (rc)
			return rc;
	}
	return 0;
}
