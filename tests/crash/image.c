/* SPDX-License-Identifier: BSD-3-Clause */
/* image.c - see image.h */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "check/check.h"
#include "content.h"
#include "pm_crash.h"
#include "txn/registry.h"
#include "txn/store.h"

#define LINE 64u

static struct image {
	int fd;
	uint64_t room, length;
	uint8_t *bytes, *base, *kept;
	uint8_t *marked; /* a byte per line: differs from base, perhaps */
	uint32_t *line;
	size_t lines;
	bool opening; /* the engine's calls for the file are for these bytes */
} image;

static void *take(size_t n, int fd)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
	               fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED, fd, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

void image_start(uint64_t room)
{
	image.fd = memfd_create("image", MFD_CLOEXEC);
	if (image.fd < 0 || ftruncate(image.fd, (off_t)room) != 0) {
		perror("memfd_create");
		exit(2);
	}
	image.room = image.length = room;
	image.bytes = take(room, image.fd);
	image.base = take(room, -1);
	image.kept = take(room, -1);
	image.marked = take(room / LINE, -1);
	image.line = take(room / LINE * sizeof *image.line, -1);
}

void image_end(void)
{
	munmap(image.bytes, image.room);
	munmap(image.base, image.room);
	munmap(image.kept, image.room);
	munmap(image.marked, image.room / LINE);
	munmap(image.line, image.room / LINE * sizeof *image.line);
	close(image.fd);
}

void image_base(const uint8_t *durable, uint64_t off, size_t n)
{
	memcpy(image.base + off, durable + off, n);
	if (off < image.length)
		memcpy(image.bytes + off, durable + off,
		       off + n <= image.length ? n : image.length - off);
}

void image_length(uint64_t size)
{
	if (size == image.length)
		return;
	if (ftruncate(image.fd, (off_t)size) != 0) {
		perror("ftruncate");
		exit(2);
	}
	if (size > image.length)
		memcpy(image.bytes + image.length, image.base + image.length, size - image.length);
	image.length = size;
}

uint64_t image_size(void)
{
	return image.length;
}

const uint8_t *image_bytes(void)
{
	return image.bytes;
}

static void mark(uint64_t off, size_t n)
{
	for (uint64_t i = off / LINE; n && i <= (off + n - 1) / LINE; i++) {
		if (image.marked[i])
			continue;
		image.marked[i] = 1;
		image.line[image.lines++] = (uint32_t)i;
	}
}

void image_patch(uint64_t off, const void *bytes, size_t n)
{
	if (off >= image.length)
		return;
	n = off + n <= image.length ? n : image.length - off;
	mark(off, n);
	memcpy(image.bytes + off, bytes, n);
}

void image_reset(void)
{
	static unsigned int turn;

	while (image.lines) {
		uint64_t i = image.line[--image.lines];

		image.marked[i] = 0;
		if (i * LINE < image.length)
			memcpy(image.bytes + i * LINE, image.base + i * LINE, LINE);
	}
	/* A store that went past the layer would stay: look at all bytes now and then. */
	if (++turn % 256 == 0 && memcmp(image.bytes, image.base, image.length) != 0) {
		fprintf(stderr, "recovery stored something past the persistence layer\n");
		abort();
	}
}

/* ---- the engine's way to the bytes ----------------------------------------------------------- */

static void image_write(struct pm *pm, void *dst, const void *src, size_t n)
{
	mark((uint64_t)((uint8_t *)dst - image.bytes), n);
	pm_plain_write(pm, dst, src, n);
}

static void image_store8(struct pm *pm, uint64_t *word, uint64_t value)
{
	mark((uint64_t)((uint8_t *)word - image.bytes), sizeof *word);
	pm_plain_store8(pm, word, value);
}

static void image_flush(struct pm *pm, const void *p, size_t n)
{
	(void)pm;
	(void)p;
	(void)n;
}

static int image_fence(struct pm *pm)
{
	(void)pm;
	return 0;
}

static const struct pm_ops image_ops = {.name = "image",
                                        .write = image_write,
                                        .stream = image_write,
                                        .store8 = image_store8,
                                        .flush = image_flush,
                                        .fence = image_fence};

int __wrap_map_open_file(struct map *map, const char *path, bool rdonly)
{
	if (!image.opening)
		return __real_map_open_file(map, path, rdonly);
	*map = (struct map){.fd = image.fd, .rdonly = rdonly, .path = path};
	return 0;
}

int __wrap_map_attach(struct map *map, uint64_t size, uint64_t max, enum daxkv_pmem pmem,
                      bool private_copy)
{
	if (!image.opening)
		return __real_map_attach(map, size, max, pmem, private_copy);
	*map = (struct map){.fd = map->fd,
	                    .base = image.bytes,
	                    .reserve = size,
	                    .size = size,
	                    .medium = DAXKV_MEDIUM_EMULATED,
	                    .path = map->path};
	pm_init(&map->pm, &image_ops, map->fd);
	return 0;
}

void __wrap_map_detach(struct map *map)
{
	if (!image.opening)
		__real_map_detach(map);
	else
		map->base = NULL;
}

void __wrap_map_close(struct map *map)
{
	if (map == crash_pm.map)
		crash_pm.map = NULL;
	if (!image.opening)
		__real_map_close(map);
	else
		*map = (struct map){.fd = -1};
}

/* ---- opening --------------------------------------------------------------------------------- */

static const struct daxkv_options options = {
    .flags = DAXKV_NO_LOCK, .pmem = DAXKV_PMEM_FORCE, .max_readers = 2, .max_dbs = 40};

static void say_fault(const char *fault, void *arg)
{
	unsigned int *said = arg;

	if ((*said)++ < 10)
		printf("check: %s\n", fault);
}

/* read_all - the checker's verdict and the content. */
static bool read_all(struct daxkv_store *store, struct image_found *found)
{
	unsigned int said = 0;
	uint64_t faults = 0;
	struct check_input in = {.base = store->map.base,
	                         .mapped = store->map.size,
	                         .txn = store->share->published,
	                         .report = say_fault,
	                         .arg = &said};
	int rc = check_run(&in, &faults);

	if (rc || faults) {
		printf("the checker finds %lu faults (%s)\n", (unsigned long)faults,
		       daxkv_strerror(rc));
		return false;
	}
	rc = content_of_store(store, &found->content, &found->pairs);
	if (rc)
		printf("reading the store: %s: %s\n", daxkv_strerror(rc), daxkv_errmsg());
	return rc == 0;
}

/* open_image - recover the image; read: check it and read it all too. */
static bool open_image(struct image_found *found, bool read)
{
	const struct pm_ops *before = crash_pm_override;
	struct daxkv_store *store;
	bool good = false;

	crash_pm_override = NULL;
	image.opening = true;
	int rc = daxkv_open("image", &options, &store);

	if (rc) {
		printf("recovery: %s: %s\n", daxkv_strerror(rc), daxkv_errmsg());
	} else {
		good = !read || read_all(store, found);
		found->txn = store->share->published;
		found->replayed = store->recovered;
		store->share->panic = EIO; /* closing is to change nothing */
		(void)daxkv_close(store);
	}
	image.opening = false;
	crash_pm_override = before;
	return good;
}

bool image_open(struct image_found *found)
{
	return open_image(found, true);
}

/* line_kept - whether a line is what it was after the first recovery; lines from kept on had not
 * been stored to then. */
static bool line_kept(size_t i, size_t kept)
{
	uint64_t off = (uint64_t)image.line[i] * LINE;

	return off >= image.length ||
	       memcmp(image.bytes + off, (i < kept ? image.kept : image.base) + off, LINE) == 0;
}

bool image_again(const struct image_found *found, bool read)
{
	struct image_found second = *found;
	size_t kept = image.lines;

	for (size_t i = 0; i < kept; i++)
		memcpy(image.kept + (size_t)image.line[i] * LINE,
		       image.bytes + (size_t)image.line[i] * LINE, LINE);
	if (!open_image(&second, read)) {
		printf("that was the second recovery\n");
		return false;
	}
	if (second.content != found->content || second.txn != found->txn) {
		printf("a second recovery finds transaction %lu, the first found %lu\n",
		       (unsigned long)second.txn, (unsigned long)found->txn);
		return false;
	}
	if (second.replayed) {
		printf("a second recovery replays %lu transactions\n",
		       (unsigned long)second.replayed);
		return false;
	}
	for (size_t i = 0; i < image.lines; i++)
		if (!line_kept(i, kept)) {
			printf("a second recovery changes the line at 0x%lx\n",
			       (unsigned long)image.line[i] * LINE);
			return false;
		}
	return true;
}

bool image_bare(const struct image_found *found, bool whole, unsigned int damage)
{
	const struct fmt_super *super = (const void *)image.bytes;
	const uint64_t first = whole ? 0 : found->txn % FMT_RING_RECORDS,
	               n = whole ? FMT_RING_RECORDS : 1;
	struct image_found other = {0};

	for (uint64_t i = first; i < first + n; i++) {
		uint64_t at = super->ring_off + i * FMT_RING_RECORD + damage % FMT_LINE;
		uint8_t byte = image.bytes[at] ^ (uint8_t)(1u << damage / FMT_LINE % 8);

		image_patch(at, &byte, 1);
	}
	if (!open_image(&other, false))
		return false;
	if (other.txn == found->txn && !other.replayed)
		return true;
	printf("without %s record transaction %lu is found for %lu\n", whole ? "any" : "its newest",
	       (unsigned long)other.txn, (unsigned long)found->txn);
	return false;
}

bool image_lazy(const struct daxkv_store *store)
{
	return store->share->lazy;
}

void image_log(struct daxkv_store *store, bool logs)
{
	if (!store)
		return;
	store->logs = logs;
	store->log_part = 2; /* these stores are small, and so are their groups */
	store->log_members = 0;
}

void image_abandon(struct map *opening, struct daxkv_store *store)
{
	if (store)
		(void)pthread_key_delete(store->thread_txn);
	else if (opening)
		store = (struct daxkv_store *)(void *)((char *)opening -
		                                       offsetof(struct daxkv_store, map));
	if (!store)
		return;
	registry_remove(store);
	share_file_close(&store->share_file);
	map_close(&store->map);
	lock_close(&store->lock);
}

/* ---- files ----------------------------------------------------------------------------------- */

int image_copy(const char *path)
{
	FILE *f = fopen(path, "wb");

	if (!f)
		return errno;
	size_t n = fwrite(image.bytes, 1, image.length, f);

	return fclose(f) == 0 && n == image.length ? 0 : errno ? errno : EIO;
}

bool image_plain(const char *path, struct image_found *found)
{
	struct daxkv_options o = options;
	const struct pm_ops *before = crash_pm_override;
	struct daxkv_store *store = NULL;
	bool good = false;
	int rc = image_copy(path);

	o.flags |= DAXKV_READ_ONLY;
	crash_pm_override = NULL;
	if (!rc)
		rc = daxkv_open(path, &o, &store);
	if (rc) {
		printf("opened for reading: %s: %s\n", daxkv_strerror(rc), daxkv_errmsg());
	} else {
		good = read_all(store, found);
		rc = daxkv_close(store);
	}
	crash_pm_override = before;
	(void)unlink(path);
	return good && rc == 0;
}
