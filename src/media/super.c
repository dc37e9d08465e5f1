/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * super.c - see super.h
 *
 * The first 256 bytes are written once and carry a hash, so a wrong byte there is found before
 * anything else is believed. A format that is newer than this library is told from a damaged file
 * by that hash: the version is looked at first only where it is greater, because a newer format
 * may place its hash elsewhere.
 *
 * A new store, from its beginning:
 *
 *   | superblock | ring, zeros | directory pages | bitmap pages | descriptor | free pages ... |
 *                ring_off      first_page        bitmaps_off    data_off                   size
 *
 * What is written must be durable before the file has its name, or before its head is there: that
 * is the caller's (map_create_file), which knows how a new file comes to be seen.
 */
#include "media/super.h"

#include "base/base.h"
#include "base/crc.h"
#include "base/err.h"
#include "daxkv.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SUPER_HASH_SEED 0x6461786b76000001u
#define CACHE_PAGE      4096u /* bytes of the page cache's smallest page */
#define LMDB_MAGIC      0xBEEFC0DEu
#define LMDB_MAGIC_OFF  16

/* super_blank - what a file whose creation was cut short begins with. */
static const struct fmt_super *super_blank(void)
{
	static const struct fmt_super blank;

	return &blank;
}

/* super_foreign - say what the file seems to be instead of a store. FOREIGN in any case: the text
 * is a help. */
static int super_foreign(const struct fmt_super *s)
{
	const char *bytes = (const char *)s;

	if (get32(bytes + LMDB_MAGIC_OFF) == LMDB_MAGIC)
		return err_set(DAXKV_FOREIGN, "not a daxkv store: an LMDB file");
	if (memcmp(s, super_blank(), sizeof *s) == 0)
		return err_set(DAXKV_FOREIGN,
		               "not a daxkv store: its first %u bytes are zero (a store whose "
		               "creation was cut short looks like this too)",
		               FMT_SUPER_SIZE);
	return err_set(DAXKV_FOREIGN, "not a daxkv store: no magic number at its start");
}

/* page_size_valid - a power of two in the format's range. */
static bool page_size_valid(uint32_t n)
{
	if (n < FMT_PAGE_MIN)
		return false;
	if (n > FMT_PAGE_MAX)
		return false;
	return (n & (n - 1)) == 0;
}

/* ring_off_of, first_page_of - where the ring and the pages behind it begin. They follow from the
 * page size alone. In bytes. */
static uint64_t ring_off_of(uint32_t page_size)
{
	return round_up(FMT_SUPER_SIZE, page_size);
}

/* first_page_of - behind the ring, at the next multiple of the page size. */
static uint64_t first_page_of(uint32_t page_size)
{
	return round_up(ring_off_of(page_size) + FMT_RING_RECORD * FMT_RING_RECORDS, page_size);
}

/* ring_sound - the ring has the format's size, and lies where the page size says. So none of these
 * fields can lead outside the file's head. */
static bool ring_sound(const struct fmt_super *s)
{
	if (s->ring_record_size != FMT_RING_RECORD || s->ring_records != FMT_RING_RECORDS)
		return false;
	if (s->ring_off != ring_off_of(s->page_size))
		return false;
	return s->first_page == first_page_of(s->page_size);
}

/* super_validate - each fact that the rest of the engine takes for granted from here on. The order
 * is that of what tells most: whether it is a store at all, then whether this library may read it,
 * then whether it is whole. FOREIGN, VERSION, CORRUPT. */
static int super_validate(const struct fmt_super *s)
{
	if (memcmp(s->magic, FMT_MAGIC, FMT_MAGIC_SIZE) != 0)
		return super_foreign(s);
	if (s->endian != FMT_ENDIAN)
		return err_corrupt(12, "superblock: byte order mark is 0x%08x, not 0x%08x",
		                   s->endian, FMT_ENDIAN);
	if (s->version > FMT_VERSION)
		return err_set(DAXKV_VERSION, "format version %u: this library reads up to %u",
		               s->version, FMT_VERSION);
	if (s->hash != hash64(SUPER_HASH_SEED, s, offsetof(struct fmt_super, hash)))
		return err_corrupt(0, "superblock: its checksum does not match");
	if (s->version != FMT_VERSION)
		return err_set(DAXKV_VERSION, "format version %u: this library reads %u",
		               s->version, FMT_VERSION);
	if (!page_size_valid(s->page_size))
		return err_corrupt(16, "superblock: page size %u", s->page_size);
	if (s->incompat)
		return err_set(
		    DAXKV_VERSION,
		    "the store uses features (bits 0x%x) that this library does not know",
		    s->incompat);
	if (!ring_sound(s))
		return err_corrupt(20, "superblock: ring of %u records of %u bytes at 0x%lx",
		                   s->ring_records, s->ring_record_size, s->ring_off);
	return 0;
}

/* Errors name the byte where the superblock is wrong. *g is set on success alone. */
int super_read(int fd, uint64_t file_size, struct geometry *g)
{
	struct fmt_super s;
	ssize_t n;

	memset(&s, 0, sizeof s);
	do
		n = pread(fd, &s, sizeof s, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(errno, "reading the superblock");
	if (file_size == 0 || n == 0)
		return err_set(DAXKV_FOREIGN, "not a daxkv store: the file is empty");
	if (n < (ssize_t)FMT_MAGIC_SIZE || memcmp(s.magic, FMT_MAGIC, FMT_MAGIC_SIZE) != 0)
		return super_foreign(&s);
	if (n < (ssize_t)sizeof s)
		return err_corrupt(0, "truncated: the file has %lu bytes, the superblock alone %u",
		                   file_size, FMT_SUPER_SIZE);
	int rc = super_validate(&s);
	if (rc)
		return rc;
	if (file_size < super_min_size(s.page_size))
		return err_corrupt(0, "truncated: the file has %lu bytes, a store at least %lu",
		                   file_size, super_min_size(s.page_size));
	*g = (struct geometry){
	    .page_size = s.page_size,
	    .file_id = s.file_id,
	    .ring_off = s.ring_off,
	    .first_page = s.first_page,
	    .rocompat = s.rocompat != 0,
	};
	return 0;
}

/* The checksum's own share of a word that is 0 is taken off, so that the mark of a store without a
 * commit is 0 as a new file has it. */
uint64_t super_clean_word(uint64_t txn)
{
	static const uint64_t none;
	uint32_t c = crc32c(0, &txn, sizeof txn) ^ crc32c(0, &none, sizeof none);

	return FMT_CLEAN(txn, c);
}

/* A mark whose checksum does not match says nothing: *txn is 0 then, as if no commit were in
 * place. */
bool super_clean(const struct fmt_super *super, uint64_t *txn)
{
	uint64_t word = load_word(&super->clean);
	uint64_t named = word & (((uint64_t)1 << FMT_CLEAN_BITS) - 1);
	bool sound = super_clean_word(named) == word;

	if (sound)
		*txn = named;
	else
		*txn = 0;
	return sound;
}

/* The superblock, the ring, and one page each of directory, bitmap and descriptor. */
uint64_t super_min_size(uint32_t page_size)
{
	/* directory, bitmap, descriptor */
	return first_page_of(page_size) + 3 * (uint64_t)page_size;
}

/* write_at - as file_write of map_file.c, which is about files and not about stores. A write of
 * nothing is EIO. 0 or errno, without a text. No piece is larger than a small page of the page
 * cache: the kernel holds in one page what one call writes, and a commit that changes a record of
 * the ring would write all of it. */
static int write_at(int fd, const void *p, size_t n, uint64_t off)
{
	const uint8_t *bytes = p;

	while (n) {
		const size_t piece = min_u64(n, CACHE_PAGE - off % CACHE_PAGE);
		ssize_t done = pwrite(fd, bytes, piece, (off_t)off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return errno;
		if (done == 0)
			return EIO;
		bytes += done;
		off += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

/* super_set_bits - n pages from a zone's page number from on are in use. */
static void super_set_bits(uint64_t *bitmap, uint64_t from, uint64_t n)
{
	for (uint64_t i = from; i < from + n; i++)
		bitmap[i / 64] |= (uint64_t)1 << i % 64;
}

/* All but the words at its end is covered by the hash and never changes: words are stored one at a
 * time, by commits, and a hash over them could not be kept. */
void super_image(struct fmt_super *s, const struct super_new *new, uint64_t dirs,
                 uint64_t main_desc, uint64_t txn)
{
	assert(page_size_valid(new->page_size));
	assert(new->size % new->page_size == 0);
	assert(dirs <= FMT_DIR_WORDS);
	uint64_t first = first_page_of(new->page_size);

	memset(s, 0, sizeof *s);
	memcpy(s->magic, FMT_MAGIC, FMT_MAGIC_SIZE);
	s->version = FMT_VERSION;
	s->endian = FMT_ENDIAN;
	s->page_size = new->page_size;
	s->ring_record_size = FMT_RING_RECORD;
	s->ring_records = FMT_RING_RECORDS;
	s->file_id = new->file_id;
	s->ring_off = ring_off_of(new->page_size);
	s->first_page = first;
	s->created = new->created;
	s->initial = new->initial;
	s->source_id = new->source_id;
	s->source_txn = new->source_txn;
	if (new->source_id)
		s->source_user_version = new->user_version;
	s->hash = hash64(SUPER_HASH_SEED, s, offsetof(struct fmt_super, hash));
	s->clean = super_clean_word(txn);
	s->main_desc = main_desc;
	s->size = new->size;
	s->user_version = new->user_version;
	for (uint64_t d = 0; d < dirs; d++)
		s->dir[d] = first + d * new->page_size;
}

/* Bitmap pages lie in the zones that they are for: one more zone may need one more page, so the
 * sum is made again until it holds. */
void super_layout(struct super_layout *l, uint32_t page_size, uint64_t data)
{
	assert(page_size_valid(page_size));
	const uint64_t per_dir = page_size / FMT_WORD;
	const uint64_t zone = super_zone_bytes(page_size);
	uint64_t need = 1;

	l->first_page = first_page_of(page_size);
	do {
		l->zones = need;
		l->dirs = (l->zones + per_dir - 1) / per_dir;
		l->bitmaps_off = l->first_page + l->dirs * page_size;
		l->data_off = l->bitmaps_off + l->zones * page_size;
		need = (l->data_off + data + zone - 1) / zone;
	} while (need > l->zones);
}

/* Of the bytes that do not change after it was written: birth, and from type on to the root. */
uint32_t desc_crc(const struct fmt_desc *desc)
{
	const uint8_t *p = (const void *)desc;

	return crc32c(crc32c(0, p, 8), p + 20, offsetof(struct fmt_desc, root) - 20);
}

/* dirs_write - the directory pages of a new store: a word for each zone, the place of its bitmap
 * page. page is a page of scratch. 0 or errno. Words behind the last zone are 0: there is no zone
 * yet. */
static int dirs_write(int fd, const struct super_layout *l, uint32_t psize, uint64_t *page)
{
	const uint64_t per_dir = psize / FMT_WORD;

	assert(l->dirs <= FMT_DIR_WORDS);
	for (uint64_t d = 0; d < l->dirs; d++) {
		int rc;

		for (uint64_t i = 0; i < per_dir; i++) {
			uint64_t z = d * per_dir + i;

			page[i] = 0;
			if (z < l->zones)
				page[i] = l->bitmaps_off + z * psize;
		}
		rc = write_at(fd, page, psize, l->first_page + d * psize);
		if (rc)
			return rc;
	}
	return 0;
}

/* bitmaps_write - the bitmap pages of a new store, the first used pages of which are in use. page
 * is a page of scratch. 0 or errno. The used pages are those of the head, of the directory, of the
 * bitmaps, and the descriptor. */
static int bitmaps_write(int fd, const struct super_layout *l, uint32_t psize, uint64_t used,
                         uint64_t *page)
{
	const uint64_t per_zone = (uint64_t)psize * 8;

	for (uint64_t z = 0; z < l->zones; z++) {
		uint64_t from = z * per_zone;
		int rc;

		memset(page, 0, psize);
		if (used > from)
			super_set_bits(page, 0, min_u64(used - from, per_zone));
		rc = write_at(fd, page, psize, l->bitmaps_off + z * psize);
		if (rc)
			return rc;
	}
	return 0;
}

/* desc_write - the main database's descriptor, of an empty database. page is a page of scratch. 0
 * or errno. It has no root: the first put makes one. */
static int desc_write(int fd, uint64_t off, uint32_t psize, uint64_t *page)
{
	struct fmt_desc *desc = (void *)page;

	assert(off % psize == 0);
	memset(page, 0, psize);
	desc->page = (struct fmt_page){
	    .type = FMT_DESC,
	    .end = FMT_DESC_COUNTS,
	};
	desc->page.crc = desc_crc(desc) ^ crc32c_place(off);
	return write_at(fd, page, psize, off);
}

/* pages_write - all of a new store but its superblock: the ring, which has no record, directory
 * pages, bitmap pages, the descriptor. 0 or errno. Elsewhere the file reads as zeros. */
static int pages_write(int fd, const struct super_layout *l, uint32_t psize)
{
	const uint64_t ring = FMT_RING_RECORD * FMT_RING_RECORDS;
	const uint64_t used = l->data_off / psize + 1;
	uint64_t *page = calloc(1, max_u64(psize, ring));
	int rc;

	assert(l->data_off % psize == 0);
	if (!page)
		return ENOMEM;
	rc = write_at(fd, page, ring, ring_off_of(psize));
	if (!rc)
		rc = dirs_write(fd, l, psize, page);
	if (!rc)
		rc = bitmaps_write(fd, l, psize, used, page);
	if (!rc)
		rc = desc_write(fd, l->data_off, psize, page);
	free(page);
	return rc;
}

/* A new store: every zone that its size touches has its bitmap page, behind the directory pages,
 * behind the ring. The superblock comes last. 0 or errno: the caller knows the file's name. Nothing
 * is synced here. */
int super_fill(int fd, void *arg)
{
	const struct super_new *new = arg;
	const uint32_t psize = new->page_size;
	const uint64_t zone = super_zone_bytes(psize);
	const uint64_t per_dir = psize / FMT_WORD;
	struct super_layout l = {.zones = (new->size + zone - 1) / zone};
	struct fmt_super s;
	int rc;

	assert(page_size_valid(psize));
	assert(new->size % psize == 0);
	l.dirs = (l.zones + per_dir - 1) / per_dir;
	l.first_page = first_page_of(psize);
	l.bitmaps_off = l.first_page + l.dirs * psize;
	l.data_off = l.bitmaps_off + l.zones * psize;
	assert(l.data_off + psize <= new->size);
	rc = pages_write(fd, &l, psize);
	if (rc)
		return rc;
	super_image(&s, new, l.dirs, l.data_off, 0);
	return write_at(fd, &s, sizeof s, 0);
}
