/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_salvage_bad.c - salvage of what no commit has written, and from a medium that does not give
 * a page: its read by the system fails, and the page is a signal in a mapping. So pread fails here
 * for such pages, and no access to them is allowed.
 */
#include "salvage/salvage.h"
#include "salvage_world.h"

#include "base/crc.h"

#include <sys/mman.h>
#include <sys/syscall.h>

static bool medium_bad; /* pages that are noise cannot be read */

/* page_bad - as far as the file is the image. */
static bool page_bad(uint64_t page)
{
	return page < w.size / w.page_size && w.noise[page];
}

/* lock_pages - bad pages of the image that is mapped for the first time. */
static void lock_pages(void)
{
	const uint64_t block = w.page_size < 4096 ? 4096 / w.page_size : 1;
	const uint64_t size = w.page_size < 4096 ? 4096 : w.page_size;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	bool mapped = false;

	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		uint8_t *base = (uint8_t *)strtoul(line, NULL, 16);

		if (!strstr(line, "/image"))
			continue;
		mapped = true;
		for (uint64_t i = 0; i < w.size / w.page_size; i++)
			if (i % block == 0 && page_bad(i))
				assert_int_equal(mprotect(base + i * w.page_size, size, PROT_NONE),
				                 0);
		break;
	}
	fclose(f);
	assert_true(mapped);
}

/* What the linker takes for the engine's call: a read ends before a bad page, or fails at it. */
ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
	if (medium_bad) {
		uint64_t page = (uint64_t)off / w.page_size;

		if (off == 0)
			lock_pages();
		while (page * w.page_size < (uint64_t)off + n && !page_bad(page))
			page++;
		if (page * w.page_size <= (uint64_t)off && page_bad(page)) {
			errno = EIO;
			return -1;
		}
		n = n < page * w.page_size - (uint64_t)off ? n : page * w.page_size - (uint64_t)off;
	}
	return syscall(SYS_pread64, fd, buf, n, off);
}

/* What a build with _FORTIFY_SOURCE makes of a read into a buffer whose size is known. */
ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t size);
ssize_t __pread64_chk(int fd, void *buf, size_t n, off64_t off, size_t size);

ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t size)
{
	assert_true(n <= size);
	return pread(fd, buf, n, off);
}

ssize_t __pread64_chk(int fd, void *buf, size_t n, off64_t off, size_t size)
{
	return __pread_chk(fd, buf, n, off, size);
}

/* salvage_bad_medium - blocks of the medium that have noise cannot be read. Returns how many pages
 * that takes along. */
static uint64_t salvage_bad_medium(void)
{
	const uint64_t block = w.page_size < 4096 ? 4096 / w.page_size : 1;
	uint64_t bad = 0;

	for (uint64_t i = 0; i < w.size / w.page_size; i++) {
		const uint64_t first = i - i % block;

		for (uint64_t k = first; k < first + block && w.noise[i]; k++)
			w.noise[k] = true;
	}
	for (uint64_t i = 0; i < w.size / w.page_size; i++)
		bad += w.noise[i];
	medium_bad = true;
	salvage("image");
	medium_bad = false;
	return bad;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void some_pages_cannot_be_read(void **state)
{
	(void)state;
	for (unsigned int n = 0; n < 8; n++) {
		const unsigned int kinds = n % 3 == 0 ? SUPER : 0;

		world_make(512u << n % 7, n < 4, n);
		noise("image", n, 1, kinds);
		const uint64_t bad = salvage_bad_medium();

		assert_int_equal(w.unreadable, bad);
		judge_back("unreadable", kinds);
		world_end();
	}
}

/* A store that is shorter than what is read of it at once. */
static void the_only_superblock_cannot_be_read(void **state)
{
	struct daxkv_store *store = store_new("store", 4096);
	(void)state;
	memset(w.known, 0, sizeof w.known);
	w.page_size = 4096;
	w.named = false;
	struct daxkv_txn *txn = begin(store);

	for (uint32_t i = 1; i < 40; i++)
		change(txn, DAXKV_MAIN, MAIN, i, true);
	OK(daxkv_txn_commit(txn));
	pages_find(store);
	w.size = store->map.size;
	assert_true(w.size < 128 << 10);
	w.noise = calloc(w.size / w.page_size, sizeof *w.noise);
	store_image(store, "image");
	store_done(store);
	noise("image", 1, 0, SUPER);
	assert_int_equal(salvage_bad_medium(), 1);
	assert_int_equal(w.unreadable, 1);
	assert_float_equal(share_back(), 100, 0);
	world_end();
}

/* chain_page - a sound inner page of that level, all of whose kids are one page. */
static void chain_page(uint8_t *page, uint64_t off, uint8_t level, uint64_t kid)
{
	struct fmt_page *head = (void *)page;

	head->level = level;
	for (uint32_t i = 0; i <= head->n; i++)
		memcpy(page + FMT_INNER_HEADS + 8 * (head->n + i), &kid, sizeof kid);
	head->crc = crc32c(crc32c(0, page, 8), page + 20, 12);
	head->crc = crc32c(head->crc, page + FMT_INNER_HEADS, head->n * sizeof(uint64_t));
	head->crc = crc32c(head->crc, page + head->offs, (size_t)(head->end - head->offs));
	head->crc ^= crc32c_place(off);
}

/* Words of kids have no checksum. Where each page's kids are all one page, there are more ways down
 * than can be gone. */
static void kids_that_are_all_one_page(void **state)
{
	uint8_t page[512], inner[512], desc[512];
	unsigned int levels = 30;
	uint64_t end, root = 0;
	bool found = false;

	(void)state;
	world_make(sizeof page, true, 1);
	noise("image", 1, 0, SUPER | BITMAPS); /* these say that what is made here is free */
	int fd = open(scratch_path("image"), O_RDWR | O_CLOEXEC);

	for (uint64_t off = 0; off < w.size; off += sizeof page) {
		struct fmt_page head;

		assert_int_equal(pread(fd, page, sizeof page, (off_t)off), sizeof page);
		memcpy(&head, page, sizeof head);
		if (head.type == FMT_INNER && head.heads == FMT_INNER_HEADS && head.n > 1 &&
		    !found) {
			memcpy(inner, page, sizeof page);
			found = true;
		}
		if (head.type == FMT_DESC && head.end == FMT_DESC_COUNTS && head.n == 0)
			memcpy(desc, page, sizeof page);
	}
	assert_true(found);
	end = w.size;
	for (unsigned int level = 2; level < levels; level++) {
		chain_page(inner, end, (uint8_t)level, root);
		root = end;
		assert_int_equal(pwrite(fd, inner, sizeof inner, (off_t)end), sizeof inner);
		end += sizeof inner;
	}
	struct fmt_desc *d = (void *)desc;

	d->root = root;
	d->page.crc = crc32c(crc32c(0, desc, 8), desc + 20, 64 - 20) ^ crc32c_place(end);
	assert_int_equal(pwrite(fd, desc, sizeof desc, (off_t)end), sizeof desc);
	close(fd);
	salvage("image");
	assert_true(share_back() >= 95);
	world_end();
}

/* newest_record - where it lies in the image. */
static uint8_t *newest_record(uint8_t *image)
{
	const struct fmt_super *super = (const void *)image;
	uint8_t *ring = image + super->ring_off;
	uint8_t *newest = NULL;

	for (uint32_t i = 0; i < FMT_RING_RECORDS; i++) {
		uint8_t *r = ring + i * FMT_RING_RECORD;

		if (get64(r) % FMT_RING_RECORDS == i && (!newest || get64(r) > get64(newest)))
			newest = r;
	}
	assert_non_null(newest);
	return newest;
}

/* newest_words - the record of the newest commit, which has words: a pair of place and value each.
 */
static uint8_t *newest_words(uint8_t *image, uint8_t **pairs, uint64_t *words)
{
	uint8_t *newest = newest_record(image);
	const uint64_t ranges = get64(newest + 16) >> 32 & 0xff;

	*words = get64(newest + 16) >> 40 & 0xff;
	assert_true(ranges != FMT_REC_SPILLED && *words > 0);
	*pairs = newest + (FMT_REC_HEAD + ranges) * 8;
	return newest;
}

/* record_point - the newest record's first word is to be stored at off instead, and be value: the
 * record's hash holds. */
static void record_point(uint8_t *image, uint64_t off, uint64_t value)
{
	const struct fmt_super *super = (const void *)image;
	uint64_t words;
	uint8_t *pairs;
	uint8_t *record = newest_words(image, &pairs, &words);

	put64(pairs, off);
	put64(pairs + 8, value);
	put64(record + 8, hash64(hash64(super->file_id, record, 8), record + 16,
	                         (size_t)(pairs + 16 * words - record - 16)));
}

/* small_store - KEYS_FEW commits of one entry. */
static struct daxkv_store *small_store(void)
{
	struct daxkv_store *store = store_new("store", 512);

	memset(w.known, 0, sizeof w.known);
	w.page_size = 512;
	w.named = false;
	for (uint32_t i = 1; i <= KEYS_FEW; i++) {
		struct daxkv_txn *txn = begin(store);

		change(txn, DAXKV_MAIN, MAIN, i, true);
		OK(daxkv_txn_commit(txn));
	}
	pages_find(store);
	return store;
}

/* image_of - what a crash leaves of the store, as it is mapped. */
static uint8_t *image_of(const struct daxkv_store *store, const char *name)
{
	uint8_t *image;

	store_image(store, name);
	w.size = store->map.size;
	int fd = open(scratch_path(name), O_RDWR | O_CLOEXEC);

	image = mmap(NULL, w.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(image != MAP_FAILED);
	close(fd);
	return image;
}

/* small_world - the image of a small store, which is closed. */
static uint8_t *small_world(void)
{
	struct daxkv_store *store = small_store();
	uint8_t *image = image_of(store, "image");

	store_done(store);
	return image;
}

static void small_world_back(uint8_t *image, uint32_t n)
{
	munmap(image, w.size);
	salvage("image");
	assert_int_equal(w.wrong, 0);
	for (uint32_t i = 1; i <= n; i++)
		assert_int_equal(w.known[MAIN][i].back, 1);
}

/* Words of records go to the mapping when it is known what pages there are. */
static void a_word_over_a_page_header(void **state)
{
	uint8_t *image = small_world();
	const uint64_t off = w.known[MAIN][1].from * w.page_size;

	(void)state;
	assert_int_equal(image[off + 20], FMT_LEAF);
	record_point(image, off + 16, UINT64_MAX << 48 | get64(image + off + 16));
	small_world_back(image, KEYS_FEW - 1); /* the word was the last one's */
}

static void words_that_are_not_in_place(void **state)
{
	uint8_t *image = small_world();
	uint64_t words;
	uint8_t *pairs;

	(void)state;
	newest_words(image, &pairs, &words);
	for (uint64_t i = 0; i < words; i++)
		put64(image + get64(pairs + 16 * i), 0);
	small_world_back(image, KEYS_FEW);
}

/* words_back - the words of the newest record, which has them in pages, are as they were in older,
 * and these pages are lost. */
static void words_back(uint8_t *image, const uint8_t *older, uint64_t older_size)
{
	const uint8_t *record = newest_record(image);
	uint64_t off = get64(record + 24);

	assert_int_equal(get64(record + 16) >> 32 & 0xff, FMT_REC_SPILLED);
	while (off) {
		struct fmt_spill *spill = (void *)(image + off);

		for (uint64_t i = 0; i < spill->pairs; i++) {
			const uint64_t at = spill->pair[2 * i];

			if (at < older_size)
				put64(image + at, get64(older + at));
		}
		off = spill->page.prev;
		spill->page.type = 0;
	}
}

/* inner_lost - all inner pages of the image are noise: each leaf is found by itself. */
static void inner_lost(uint8_t *image)
{
	for (uint64_t off = FMT_SUPER_SIZE; off < w.size; off += w.page_size)
		if (image[off + 20] == FMT_INNER &&
		    salvage_page_sound(image + off, off, w.page_size))
			memset(image + off, 0x5a, w.page_size);
}

/* The bitmap that is there is that of the commit before: it takes pages of the newest commit for
 * free, which are in use. All entries of these come back. What was added to pages that were there
 * is lost with the words of the commit. */
static void a_bitmap_of_an_older_state(void **state)
{
	static struct known before[KEYS];
	struct daxkv_store *store = small_store();
	uint8_t *older = image_of(store, "older"), *image;
	const uint64_t older_size = w.size;
	struct daxkv_txn *txn = begin(store);
	uint32_t in_new_pages = 0;

	(void)state;
	memcpy(before, w.known[MAIN], sizeof before);
	for (uint32_t i = 1; i <= KEYS_FEW; i++)
		change(txn, DAXKV_MAIN, MAIN, i, true);
	OK(daxkv_txn_commit(txn));
	pages_find(store);
	image = image_of(store, "image");
	words_back(image, older, older_size);
	inner_lost(image);
	munmap(older, older_size);
	munmap(image, w.size);
	store_done(store);
	salvage("image");
	assert_true(w.mixed > 0);
	for (uint32_t i = 1; i <= KEYS_FEW; i++) {
		if (w.known[MAIN][i].from == before[i].from)
			continue;
		assert_int_equal(w.known[MAIN][i].back, 1);
		in_new_pages++;
	}
	assert_true(in_new_pages > KEYS_FEW / 2);
}

/* A word in a page of the newest record's is not the one that was written. */
static void a_word_of_a_record_is_wrong(void **state)
{
	struct daxkv_store *store = small_store();
	struct daxkv_txn *txn = begin(store);
	struct fmt_spill *spill;
	uint8_t *image;

	(void)state;
	for (uint32_t i = 1; i <= KEYS_FEW; i++)
		change(txn, DAXKV_MAIN, MAIN, i, true);
	OK(daxkv_txn_commit(txn));
	image = image_of(store, "image");
	store_done(store);
	assert_int_equal(get64(newest_record(image) + 16) >> 32 & 0xff, FMT_REC_SPILLED);
	spill = (void *)(image + get64(newest_record(image) + 24));
	spill->pair[1] ^= 1; /* the last bit of what goes to the first place */
	munmap(image, w.size);
	salvage("image");
	assert_int_equal(w.mixed, 1);
	for (uint32_t i = 1, back = 0; i <= KEYS_FEW; i++) {
		back += w.known[MAIN][i].back;
		assert_true(i < KEYS_FEW || back > KEYS_FEW * 9 / 10);
	}
}

/* A record with the right hash has a number that no transaction can have. Who goes from record to
 * record up to that one would not end. */
static void a_record_of_the_last_number(void **state)
{
	struct daxkv_store *store = small_store();
	uint64_t faults = 0;

	(void)state;
	ring_write(&store->ring, UINT64_MAX, UINT64_MAX - 1, NULL, 0, NULL, 0);
	uint8_t *image = image_of(store, "image");

	munmap(image, w.size);
	alarm(60);
	assert_int_equal(daxkv_check(store, NULL, NULL, &faults), DAXKV_CORRUPT);
	assert_int_equal(faults, 1);
	OK(daxkv_close(store));
	salvage("image");
	alarm(0);
	for (uint32_t i = 1; i <= KEYS_FEW; i++)
		assert_int_equal(w.known[MAIN][i].back, 1);
}

/* Nothing of a page is believed when one of its bytes is wrong. */
static void a_byte_of_a_page_is_wrong(void **state)
{
	struct rng rng;

	(void)state;
	rng_seed(&rng, 1);
	world_make(1024, true, 1);
	noise("image", 1, 0, 0);
	/* behind the ring, whose newest record nothing can replace */
	for (uint64_t i = (64 << 10) / w.page_size; i < w.size / w.page_size; i++) {
		if (w.bitmap[i] || !rng_percent(&rng, 5))
			continue;
		w.noise[i] = true;
		image_flip("image", i * w.page_size + 200 + rng_below(&rng, 300));
	}
	salvage("image");
	judge_back("a byte", 0);
	world_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(some_pages_cannot_be_read),   TEST(the_only_superblock_cannot_be_read),
	    TEST(kids_that_are_all_one_page),  TEST(a_word_over_a_page_header),
	    TEST(words_that_are_not_in_place), TEST(a_bitmap_of_an_older_state),
	    TEST(a_word_of_a_record_is_wrong), TEST(a_byte_of_a_page_is_wrong),
	    TEST(a_record_of_the_last_number)};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
