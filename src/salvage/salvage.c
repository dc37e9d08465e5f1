/* SPDX-License-Identifier: BSD-3-Clause */
#include "salvage/salvage.h"

#include "base/array.h"
#include "base/cancel.h"
#include "base/crc.h"
#include "base/err.h"
#include "base/fds.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SUPER_HASH_SEED UINT64_C(0x6461786b76000001)
#define TEXT_SIZE       512u
#define NAME_SHOWN      40u
#define NAME_ROOM       (FMT_KLEN_MASK + 64) /* for a longer one than any key */

static void name_print(char *out, size_t size, const struct salvage_db *db)
{
	size_t used = 0;

	if (db->main || db->nameless) {
		snprintf(out, size, db->main ? " (main database)" : " (a database without a name)");
		return;
	}
	used += (size_t)snprintf(out, size, " (database \"");
	for (uint32_t i = 0; i < db->name_len && i < NAME_SHOWN; i++) {
		const uint8_t c = db->name[i];
		const bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

		used += (size_t)snprintf(out + used, size - used, plain ? "%c" : "\\x%02x", c);
	}
	snprintf(out + used, size - used, "%s\")", db->name_len > NAME_SHOWN ? "..." : "");
}

void salvage_lost(struct salvage *s, const struct salvage_db *db, const char *format, ...)
{
	char name[NAME_SHOWN * 4 + 32] = "";
	char text[TEXT_SIZE];
	va_list args;

	s->lost++;
	if (!s->to->lost)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text - sizeof name, format, args);
	va_end(args);
	if (db)
		name_print(name, sizeof name, db);
	snprintf(text + strlen(text), sizeof name, "%s", name);
	s->to->lost(text, s->to->arg);
}

void salvage_database(struct salvage *s, size_t db)
{
	const struct salvage_db *d = &s->dbs[db];
	struct daxkv_val name = {d->name_len, s->base};
	char text[NAME_ROOM];

	if (d->nameless) {
		s->lost_name_used = true;
		name.size = (size_t)snprintf(
		    text, sizeof text, "%.*s%s%s", s->lost_name ? (int)s->lost_name_len : 10,
		    s->lost_name ? (const char *)s->lost_name : SALVAGE_LOST,
		    s->lost_name ? "+" : "", d->suffix);
		name.data = text;
	} else if (d->name) {
		name.data = s->base + (d->name - s->base);
	}
	s->rc = s->to->database(d->main ? NULL : &name, d->flags, s->to->arg);
}

/* super_read - what the superblock says, when it can be believed. */
static void super_read(struct salvage *s, int fd)
{
	struct fmt_super *super = &s->super;

	if (pread(fd, super, sizeof *super, 0) != (ssize_t)sizeof *super)
		return;
	s->super_sound =
	    memcmp(super->magic, FMT_MAGIC, FMT_MAGIC_SIZE) == 0 &&
	    super->hash == hash64(SUPER_HASH_SEED, super, offsetof(struct fmt_super, hash)) &&
	    super->version == FMT_VERSION && super->endian == FMT_ENDIAN && !super->incompat &&
	    super->page_size >= FMT_PAGE_MIN && super->page_size <= FMT_PAGE_MAX &&
	    !(super->page_size & (super->page_size - 1)) &&
	    super->ring_records == FMT_RING_RECORDS && super->ring_record_size == FMT_RING_RECORD;
}

/* pages_known - which pages are sound, and all that takes memory. */
static int pages_known(struct salvage *s, int fd)
{
	s->page_size = s->super_sound ? s->super.page_size : salvage_page_size(fd);
	if (!s->page_size)
		return err_set(DAXKV_FOREIGN, "no page of a store is in it");
	s->pages = s->size / s->page_size;
	const size_t room =
	    s->page_size / (sizeof(uint64_t) + sizeof(uint16_t)) + FMT_TAIL_SLOTS + 1;

	s->page = calloc(s->pages + 1, 1);
	s->leaf.entries = calloc(room, sizeof *s->leaf.entries);
	s->other.entries = calloc(room, sizeof *s->other.entries);
	if (!s->page || !s->leaf.entries || !s->other.entries)
		return err_set(ENOMEM, "no memory for %lu pages", (unsigned long)s->pages);
	return salvage_scan(s, fd);
}

/* databases - the main one, and those that its catalog names. */
static void databases(struct salvage *s)
{
	uint64_t main_desc = s->super.main_desc;

	if (!s->super_sound)
		main_desc = salvage_main_find(s);
	if (!s->rc)
		s->rc = array_room(&s->dbs, 0, &s->dbs_room, sizeof *s->dbs);
	if (s->rc)
		return;
	s->dbs[s->ndbs++] = (struct salvage_db){.main = true, .desc = main_desc};
	salvage_tree(s, 0);
	salvage_orphans_catalog(s);
	for (size_t i = 1; i < s->ndbs && !s->rc; i++)
		salvage_tree(s, i);
	salvage_orphans_trees(s);
	salvage_orphans(s);
}

static int salvage_run(struct salvage *s, int fd)
{
	int rc;

	super_read(s, fd);
	rc = pages_known(s, fd);
	if (rc)
		return rc;
	s->newest = UINT64_MAX;
	if (s->super_sound) {
		salvage_ring(s);
		memcpy(&s->super, s->base, sizeof s->super);
	} else {
		salvage_lost(s, NULL, "superblock: its checksum does not hold");
	}
	rc = s->to->store(s->page_size, s->super_sound ? s->super.user_version : 0, s->to->arg);
	if (rc)
		return rc;
	databases(s);
	return s->rc;
}

static void salvage_free_all(struct salvage *s)
{
	free(s->page);
	free(s->leaf.entries);
	free(s->other.entries);
	free(s->dbs);
	free(s->holes);
}

/* input_open - the file, for reading alone. */
static int input_open(const char *path, uint64_t *size, int *fd)
{
	struct stat st;

	*fd = fd_above_stdio(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
	if (*fd < 0)
		return err_sys(errno, "cannot open %s", path);
	if (fstat(*fd, &st) != 0)
		return err_sys(errno, "fstat %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(EINVAL, "%s is no regular file", path);
	*size = (uint64_t)st.st_size;
	return *size ? 0 : err_set(DAXKV_FOREIGN, "%s is empty", path);
}

int daxkv_salvage(const char *path, const struct daxkv_salvage *to, uint64_t *lost)
{
	struct salvage s = {.to = to};
	int fd = -1;
	int rc;

	if (!path || !to || !to->store || !to->database || !to->entry)
		return err_set(EINVAL, "a path is needed, and functions that take what is found");
	const int cancel = cancel_off();

	rc = input_open(path, &s.size, &fd);
	if (!rc) {
		void *map = fds_map(NULL, s.size, PROT_READ | PROT_WRITE,
		                    MAP_PRIVATE | MAP_NORESERVE, fd, 0);

		if (map == MAP_FAILED) {
			rc = err_sys(errno, "mmap %s", path);
		} else {
			s.base = map;
			rc = salvage_run(&s, fd);
			munmap(map, s.size);
		}
	}
	salvage_free_all(&s);
	if (fd >= 0)
		close(fd);
	cancel_restore(cancel);
	if (!rc && lost)
		*lost = s.lost;
	return rc;
}
