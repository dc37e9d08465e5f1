/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * salvage.c - the file, the superblock, and the order of the steps. See salvage.h
 *
 *   superblock -> page size -> which pages are sound -> words of the ring -> trees -> orphans
 *
 * Each step has only what the steps before it could find, so each has an answer for "not known": a
 * page size that is guessed, a newest commit that is not bounded, a main database that is looked
 * for. What is lost is told when it is found, by salvage_lost, and never ends the run. What ends it
 * is the program that takes what is found, or a lack of memory (s->rc).
 */
#include "salvage/salvage.h"

#include "base/array.h"
#include "base/cancel.h"
#include "base/crc.h"
#include "base/err.h"
#include "base/fds.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SUPER_HASH_SEED UINT64_C(0x6461786b76000001)
#define TEXT_SIZE       512u
#define NAME_SHOWN      40u
#define NAME_ROOM       (FMT_KLEN_MASK + 64) /* for a longer one than any key */

/* name_print - what to call a database in a message, in parentheses. A name that is no text is
 * shown by its bytes, a long one cut. out has room for NAME_SHOWN bytes of four characters each and
 * the words around them. */
static void name_print(char *out, size_t size, const struct salvage_db *db)
{
	const char *end = "\")";
	size_t used;

	if (db->main) {
		snprintf(out, size, " (main database)");
		return;
	}
	if (db->nameless) {
		snprintf(out, size, " (a database without a name)");
		return;
	}
	used = (size_t)snprintf(out, size, " (database \"");
	for (uint32_t i = 0; i < db->name_len && i < NAME_SHOWN; i++) {
		const uint8_t c = db->name[i];
		const bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
		const char *format = "\\x%02x";

		if (plain)
			format = "%c";

		used += (size_t)snprintf(out + used, size - used, format, c);
	}
	if (db->name_len > NAME_SHOWN)
		end = "...\")";
	snprintf(out + used, size - used, "%s", end);
}

/* The text ends with the database that it is about. */
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

/* It is not counted yet, so a run that ends here has no half-filled one. */
struct salvage_db *salvage_db_new(struct salvage *s)
{
	struct salvage_db *db;
	int rc = array_room(&s->dbs, s->ndbs, &s->dbs_room, sizeof *s->dbs);

	if (rc) {
		s->rc = rc;
		return NULL;
	}
	db = &s->dbs[s->ndbs];
	*db = (struct salvage_db){.main = false};
	return db;
}

/* lost_name - the name that a database without one gets: SALVAGE_LOST and what tells it from
 * others, behind the longest key of main's that begins so, where there is one. Returns its length.
 * The text is no longer than its room, whatever the key: NAME_ROOM is for more than any key has.
 * From the first such name on the longest key stays what it is, so that all of them begin alike. */
static size_t lost_name(const struct salvage *s, const char *suffix, char text[NAME_ROOM])
{
	const char *longest = (const char *)s->lost_name;
	int n;

	if (longest)
		n = snprintf(text, NAME_ROOM, "%.*s+%s", (int)s->lost_name_len, longest, suffix);
	else
		n = snprintf(text, NAME_ROOM, "%s%s", SALVAGE_LOST, suffix);
	assert(n > 0);
	assert((size_t)n < NAME_ROOM);
	return (size_t)n;
}

/* The value's bytes are the mapping's, or on the stack: they are good for the call only. */
void salvage_database(struct salvage *s, size_t db)
{
	const struct salvage_db *d = &s->dbs[db];
	struct daxkv_val name = {d->name_len, s->base};
	struct daxkv_val *of = &name;
	char text[NAME_ROOM];

	assert(db <= s->ndbs);
	if (d->nameless) {
		s->lost_name_used = true;
		name.size = lost_name(s, d->suffix, text);
		name.data = text;
	} else if (d->name) {
		name.data = s->base + (d->name - s->base);
	}
	if (d->main)
		of = NULL;
	s->rc = s->to->database(of, d->flags, s->to->arg);
}

/* super_sound - whether what was read from the file's beginning is a superblock of this format
 * whose bytes are as they were written. Offsets in it are still not trusted. */
static bool super_sound(const struct fmt_super *super)
{
	const size_t hashed = offsetof(struct fmt_super, hash);
	const uint32_t size = super->page_size;

	if (memcmp(super->magic, FMT_MAGIC, FMT_MAGIC_SIZE) != 0)
		return false;
	if (super->hash != hash64(SUPER_HASH_SEED, super, hashed))
		return false;
	if (super->version != FMT_VERSION)
		return false;
	if (super->endian != FMT_ENDIAN)
		return false;
	if (super->incompat)
		return false;
	if (size < FMT_PAGE_MIN)
		return false;
	if (size > FMT_PAGE_MAX)
		return false;
	if (size & (size - 1))
		return false;
	if (super->ring_record_size != FMT_RING_RECORD)
		return false;
	return super->ring_records == FMT_RING_RECORDS;
}

/* super_read - what the superblock says, when it can be believed. Otherwise page_size is not used,
 * and the rest of the run does without. */
static void super_read(struct salvage *s, int fd)
{
	const ssize_t size = sizeof s->super;

	if (pread(fd, &s->super, sizeof s->super, 0) != size)
		return;
	s->super_sound = super_sound(&s->super);
}

/* pages_known - which pages are sound, and all that takes memory. FOREIGN when there is no page
 * that could be one. ENOMEM; salvage_free_all gives back what was taken. */
static int pages_known(struct salvage *s, int fd)
{
	/* of an entry of a leaf the least that a page may show: its head. A uniform base has no
	 * offsets, and a damaged one entries without bytes. */
	const size_t entry = sizeof(uint64_t);
	size_t room;

	s->page_size = s->super.page_size;
	if (!s->super_sound)
		s->page_size = salvage_page_size(fd);
	if (!s->page_size)
		return err_set(DAXKV_FOREIGN, "no page of a store is in it");
	s->pages = s->size / s->page_size;
	room = s->page_size / entry + FMT_TAIL_SLOTS + 1;
	s->page = calloc(s->pages + 1, 1);
	s->leaf.entries = calloc(room, sizeof *s->leaf.entries);
	s->other.entries = calloc(room, sizeof *s->other.entries);
	if (!s->page || !s->leaf.entries || !s->other.entries)
		return err_set(ENOMEM, "no memory for %lu pages", s->pages);
	return salvage_scan(s, fd);
}

/* databases - the main one, and those that its catalog names. A tree may name more of them while it
 * is walked, and what no tree leads to comes last. Orphans' catalog entries come before the trees
 * of named databases, because they may name some. */
static void databases(struct salvage *s)
{
	uint64_t main_desc = s->super.main_desc;
	struct salvage_db *db;

	if (!s->super_sound)
		main_desc = salvage_main_find(s);
	if (s->rc)
		return;
	db = salvage_db_new(s);
	if (!db)
		return;
	db->main = true;
	db->desc = main_desc;
	s->ndbs++;
	salvage_tree(s, 0);
	salvage_orphans_catalog(s);
	for (size_t i = 1; i < s->ndbs && !s->rc; i++)
		salvage_tree(s, i);
	salvage_orphans_trees(s);
	salvage_orphans(s);
}

/* salvage_run - all of it, over the file that is mapped. The words of the ring are in place before
 * anything is looked up in the superblock or a tree. Errors are those of memory, and what the
 * caller's functions have returned. */
static int salvage_run(struct salvage *s, int fd)
{
	uint64_t user_version = 0;
	int rc;

	super_read(s, fd);
	rc = pages_known(s, fd);
	if (rc)
		return rc;
	s->newest = s->words_lost = UINT64_MAX;
	if (s->super_sound) {
		salvage_ring(s);
		memcpy(&s->super, s->base, sizeof s->super);
		user_version = s->super.user_version;
	} else {
		salvage_lost(s, NULL, "superblock: its checksum does not hold");
	}
	salvage_replaced(s);
	rc = s->to->store(s->page_size, user_version, s->to->arg);
	if (rc)
		return rc;
	databases(s);
	return s->rc;
}

/* salvage_free_all - safe on a run that ended before it had any of it. */
static void salvage_free_all(struct salvage *s)
{
	free(s->page);
	free(s->leaf.entries);
	free(s->other.entries);
	free(s->dbs);
	free(s->holes);
}

/* input_open - the file, for reading alone. *fd is to be closed, whatever is returned, unless it is
 * -1. It is opened without waiting, because the path may be that of a pipe. FOREIGN when it is
 * empty; EINVAL, errno. */
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
	if (*size == 0)
		return err_set(DAXKV_FOREIGN, "%s is empty", path);
	return 0;
}

/* input_run - salvage the file of s->size bytes, in a mapping that is this process's own: what is
 * stored there never reaches the file. Pages that the medium does not give are known before they
 * are looked at there (salvage_scan). */
static int input_run(struct salvage *s, const char *path, int fd)
{
	const int prot = PROT_READ | PROT_WRITE;
	void *map = fds_map(NULL, s->size, prot, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
	int rc;

	if (map == MAP_FAILED)
		return err_sys(errno, "mmap %s", path);
	s->base = map;
	rc = salvage_run(s, fd);
	munmap(map, s->size);
	return rc;
}

/* No cancellation inside: a thread that ended here would leave the mapping and the descriptor.
 * *lost is written when the run came to its end, whatever was lost. */
int daxkv_salvage(const char *path, const struct daxkv_salvage *to, uint64_t *lost)
{
	struct salvage s = {.to = to};
	int fd = -1;
	int cancel;
	int rc;

	if (!path || !to || !to->store || !to->database || !to->entry)
		return err_set(EINVAL, "a path is needed, and functions that take what is found");
	cancel = cancel_off();
	rc = input_open(path, &s.size, &fd);
	if (!rc)
		rc = input_run(&s, path, fd);
	salvage_free_all(&s);
	if (fd >= 0)
		close(fd);
	cancel_restore(cancel);
	if (rc)
		return rc;
	if (lost)
		*lost = s.lost;
	return 0;
}
