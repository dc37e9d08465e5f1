/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backup_out.c - a backup's way to its descriptor. See backup.h
 *
 * The descriptor may be a file, a pipe or a socket, so bytes are written once, in order, and never
 * looked at again. A full backup is written as large pieces as the buffer has. A delta is a row of
 * blocks; each has the checksum of all before it, so that one which is missing or in the wrong
 * place is found by the reader.
 */
#include "api/backup.h"
#include "base/crc.h"
#include "base/err.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define OUT_BUFFER (1u << 20) /* for one write of a store; a block fits */

/* One buffer for both kinds. The descriptor stays the caller's. */
int backup_out_open(struct backup_out *out, int fd, const struct daxkv_backup_options *options)
{
	static_assert(OUT_BUFFER >= DELTA_BLOCK_HEAD + DELTA_BLOCK, "a block fits");
	*out = (struct backup_out){
	    .fd = fd,
	    .options = options,
	    .buffer = malloc(OUT_BUFFER),
	};
	if (!out->buffer)
		return err_set(ENOMEM, "no memory for a backup");
	return 0;
}

/* What is not written is dropped: the backup has failed. */
void backup_out_close(struct backup_out *out)
{
	free(out->buffer);
	out->buffer = NULL;
}

/* out_failed - the write at this byte did not succeed. What is there is no backup: its reader finds
 * that the end is missing. The byte counts from the first one that this call has written, wherever
 * the descriptor stood. */
static int out_failed(const struct backup_out *out, int err)
{
	return err_sys(err, "writing the backup at byte %lu, where it ends unfinished", out->done);
}

/* out_write - all of it. A signal or a full pipe does not end it. Progress is told after each
 * piece. errno of write or poll; what progress returned, when it is not 0. After an error the bytes
 * up to out->done are written, and no more are. */
static int out_write(struct backup_out *out, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t done = write(out->fd, p, min_u64(n, OUT_BUFFER));

		if (done < 0 && errno == EAGAIN) { /* it does not block: wait for room */
			struct pollfd room = {.fd = out->fd, .events = POLLOUT};

			if (poll(&room, 1, -1) < 0 && errno != EINTR)
				return out_failed(out, errno);
			continue;
		}
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return out_failed(out, done ? errno : EIO);
		p += done;
		n -= (size_t)done;
		out->done += (uint64_t)done;
		if (!out->options || !out->options->progress)
			continue;
		int rc = out->options->progress(out->done, out->total, out->options->progress_arg);

		if (rc)
			return err_set(rc, "the backup was ended by its caller");
	}
	return 0;
}

/* For a full backup, whose last piece need not fill the buffer. The buffer counts as empty also
 * after an error: nothing is written twice. */
int backup_out_flush(struct backup_out *out)
{
	assert(out->used <= OUT_BUFFER);
	size_t n = out->used;

	out->used = 0;
	return out_write(out, out->buffer, n);
}

/* The first bytes are the superblock, which says how many will come. */
int backup_out_store(const void *bytes, size_t n, void *arg)
{
	struct backup_out *out = arg;
	int rc = 0;

	if (!out->total && n == sizeof(struct fmt_super))
		out->total = ((const struct fmt_super *)bytes)->size;
	if (n > OUT_BUFFER - out->used)
		rc = backup_out_flush(out);
	if (rc)
		return rc;
	if (n > OUT_BUFFER)
		return out_write(out, bytes, n);
	memcpy(out->buffer + out->used, bytes, n);
	out->used += n;
	return 0;
}

/* The head is not part of a block, and is written at once. */
int backup_out_head(struct backup_out *out, struct delta_head *head)
{
	assert(!out->blocks);
	assert(!out->payload);
	memcpy(head->magic, DELTA_MAGIC, DELTA_MAGIC_SIZE);
	head->version = DELTA_VERSION;
	head->endian = FMT_ENDIAN;
	head->crc = out->crc = crc32c(0, head, offsetof(struct delta_head, crc));
	out->used = DELTA_BLOCK_HEAD;
	return out_write(out, (const void *)head, sizeof *head);
}

/* block_out - the block in the buffer, whose payload has so many bytes; behind the last one's
 * length stand others. The checksum goes on from that of the block before. behind: bytes after the
 * block's head, which the checksum covers together with the length. */
static int block_out(struct backup_out *out, uint32_t length, uint32_t behind)
{
	assert(length <= DELTA_BLOCK);
	assert(behind > 0);
	uint8_t *b = out->buffer;

	put32(b, length);
	out->crc = crc32c(out->crc, b, 4);
	out->crc = crc32c(out->crc, b + DELTA_BLOCK_HEAD, behind);
	put32(b + 4, out->crc);
	out->used = DELTA_BLOCK_HEAD;
	return out_write(out, b, DELTA_BLOCK_HEAD + behind);
}

/* payload_out - what is gathered, as a block. An empty block would be taken for the last one, so
 * none is written. */
static int payload_out(struct backup_out *out)
{
	assert(out->used >= DELTA_BLOCK_HEAD);
	uint32_t n = (uint32_t)(out->used - DELTA_BLOCK_HEAD);

	if (!n)
		return 0;
	out->blocks++;
	out->payload += n;
	return block_out(out, n, n);
}

/* A record may begin in one block and end in another. */
int backup_out_bytes(struct backup_out *out, const void *bytes, size_t n)
{
	assert(out->used >= DELTA_BLOCK_HEAD);
	const uint8_t *p = bytes;
	int rc = 0;

	while (n && !rc) {
		size_t room = DELTA_BLOCK_HEAD + DELTA_BLOCK - out->used;
		size_t now = min_u64(n, room);

		memcpy(out->buffer + out->used, p, now);
		out->used += now;
		p += now;
		n -= now;
		if (now == room)
			rc = payload_out(out);
	}
	return rc;
}

/* A block of length 0, with how many bytes and blocks there were. */
int backup_out_end(struct backup_out *out)
{
	int rc = payload_out(out);

	if (rc)
		return rc;
	put64(out->buffer + DELTA_BLOCK_HEAD, out->payload);
	put64(out->buffer + DELTA_BLOCK_HEAD + 8, out->blocks);
	return block_out(out, 0, DELTA_TOTALS);
}
