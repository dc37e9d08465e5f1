/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * addressbook.c - a program as a book on LMDB would have it: people with numbers, an index by name
 * and one by city, kept in step by transactions. It knows lmdb.h and nothing else. Compiled with
 * the stock header and linked with the stock library it runs with either library, and prints the
 * same.
 *
 * usage: addressbook DIR
 */
#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHECK(call) check((call), #call, __LINE__)

struct person { /* as it is stored */
	uint32_t id, born;
	char name[32], city[24], phone[24];
};

struct book {
	MDB_env *env;
	MDB_dbi people;  /* number -> person; MDB_INTEGERKEY */
	MDB_dbi by_name; /* name -> numbers; MDB_DUPSORT */
	MDB_dbi by_city; /* city -> numbers; MDB_DUPSORT, MDB_DUPFIXED, MDB_INTEGERDUP */
};

static void check(int rc, const char *call, int line)
{
	if (rc == MDB_SUCCESS)
		return;
	fprintf(stderr, "addressbook.c:%d: %s: %s\n", line, call, mdb_strerror(rc));
	exit(EXIT_FAILURE);
}

static MDB_val val_of_string(char *s)
{
	return (MDB_val){strlen(s), s};
}

/* ---- the book -------------------------------------------------------------------------------- */

static void book_open(struct book *b, const char *dir, unsigned int flags)
{
	MDB_txn *txn;
	bool rdonly = flags & MDB_RDONLY;
	unsigned int create = rdonly ? 0 : MDB_CREATE;

	CHECK(mdb_env_create(&b->env));
	CHECK(mdb_env_set_maxdbs(b->env, 4));
	CHECK(mdb_env_set_mapsize(b->env, 1u << 20));
	CHECK(mdb_env_open(b->env, dir, flags, 0664));
	CHECK(mdb_txn_begin(b->env, NULL, rdonly ? MDB_RDONLY : 0, &txn));
	CHECK(mdb_dbi_open(txn, "people", MDB_INTEGERKEY | create, &b->people));
	CHECK(mdb_dbi_open(txn, "by_name", MDB_DUPSORT | create, &b->by_name));
	CHECK(mdb_dbi_open(txn, "by_city", MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP | create,
	                   &b->by_city));
	CHECK(mdb_txn_commit(txn));
}

/* next_id - one more than the greatest number in the book. */
static int next_id(struct book *b, MDB_txn *txn, uint32_t *id)
{
	MDB_cursor *cur;
	MDB_val key, data;
	int rc = mdb_cursor_open(txn, b->people, &cur);

	if (rc)
		return rc;
	rc = mdb_cursor_get(cur, &key, &data, MDB_LAST);
	*id = rc == MDB_SUCCESS ? *(uint32_t *)key.mv_data + 1 : 1;
	mdb_cursor_close(cur);
	return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

static int person_add(struct book *b, MDB_txn *txn, const char *name, const char *city,
                      const char *phone, uint32_t born)
{
	struct person p = {.born = born};
	MDB_val key = {sizeof p.id, &p.id}, data = {sizeof p, NULL}, id = key, word;
	int rc = next_id(b, txn, &p.id);

	if (rc)
		return rc;
	snprintf(p.name, sizeof p.name, "%s", name);
	snprintf(p.city, sizeof p.city, "%s", city);
	snprintf(p.phone, sizeof p.phone, "%s", phone);
	rc = mdb_put(txn, b->people, &key, &data, MDB_RESERVE | MDB_APPEND);
	if (rc)
		return rc;
	memcpy(data.mv_data, &p, sizeof p);
	word = val_of_string(p.name);
	rc = mdb_put(txn, b->by_name, &word, &id, MDB_NODUPDATA);
	if (rc)
		return rc;
	word = val_of_string(p.city);
	return mdb_put(txn, b->by_city, &word, &id, 0);
}

static int person_get(struct book *b, MDB_txn *txn, uint32_t id, struct person *p)
{
	MDB_val key = {sizeof id, &id}, data;
	int rc = mdb_get(txn, b->people, &key, &data);

	if (rc == MDB_SUCCESS)
		memcpy(p, data.mv_data, sizeof *p);
	return rc;
}

static int person_move(struct book *b, MDB_txn *txn, uint32_t id, const char *city)
{
	struct person p;
	MDB_val key = {sizeof id, &id}, data = {sizeof p, &p}, number = key, word;
	int rc = person_get(b, txn, id, &p);

	if (rc)
		return rc;
	word = val_of_string(p.city);
	rc = mdb_del(txn, b->by_city, &word, &number);
	if (rc)
		return rc;
	memset(p.city, 0, sizeof p.city);
	snprintf(p.city, sizeof p.city, "%s", city);
	word = val_of_string(p.city);
	rc = mdb_put(txn, b->by_city, &word, &number, 0);
	return rc ? rc : mdb_put(txn, b->people, &key, &data, 0);
}

static int person_remove(struct book *b, MDB_txn *txn, uint32_t id)
{
	struct person p;
	MDB_val key = {sizeof id, &id}, number = key, word;
	int rc = person_get(b, txn, id, &p);

	if (rc)
		return rc;
	word = val_of_string(p.name);
	rc = mdb_del(txn, b->by_name, &word, &number);
	word = val_of_string(p.city);
	if (rc == MDB_SUCCESS)
		rc = mdb_del(txn, b->by_city, &word, &number);
	return rc ? rc : mdb_del(txn, b->people, &key, NULL);
}

/* ---- reports --------------------------------------------------------------------------------- */

static void print_person(const struct person *p)
{
	printf("  %3u  %-16s %-12s %-12s %u\n", p->id, p->name, p->city, p->phone, p->born);
}

/* list_index - everybody in an index, from its first word that is not below from; a line for each
 * word. */
static void list_index(struct book *b, MDB_txn *txn, MDB_dbi index, char *from, int limit)
{
	MDB_cursor *cur;
	MDB_val word = val_of_string(from), id;

	CHECK(mdb_cursor_open(txn, index, &cur));
	int rc = mdb_cursor_get(cur, &word, &id, *from ? MDB_SET_RANGE : MDB_FIRST);

	for (; rc == MDB_SUCCESS && limit;
	     rc = mdb_cursor_get(cur, &word, &id, MDB_NEXT_NODUP), limit--) {
		size_t count;

		CHECK(mdb_cursor_count(cur, &count));
		printf("  %.*s: %zu\n", (int)word.mv_size, (char *)word.mv_data, count);
		do {
			struct person p;
			uint32_t n;

			memcpy(&n, id.mv_data, sizeof n);
			CHECK(person_get(b, txn, n, &p));
			print_person(&p);
		} while (mdb_cursor_get(cur, &word, &id, MDB_NEXT_DUP) == MDB_SUCCESS);
	}
	if (rc && rc != MDB_NOTFOUND)
		check(rc, "walk of an index", __LINE__);
	mdb_cursor_close(cur);
}

/* list_backwards - the last few people, newest first. */
static void list_backwards(struct book *b, MDB_txn *txn, int limit)
{
	MDB_cursor *cur;
	MDB_val key, data;

	CHECK(mdb_cursor_open(txn, b->people, &cur));
	while (limit-- && mdb_cursor_get(cur, &key, &data, MDB_PREV) == MDB_SUCCESS) {
		struct person p;

		memcpy(&p, data.mv_data, sizeof p);
		print_person(&p);
	}
	mdb_cursor_close(cur);
}

static void print_sizes(struct book *b, MDB_txn *txn, const char *when)
{
	static const char *const names[] = {"people", "by_name", "by_city"};
	MDB_dbi dbis[] = {b->people, b->by_name, b->by_city};

	printf("%s:", when);
	for (int i = 0; i < 3; i++) {
		MDB_stat st;
		unsigned int flags;

		CHECK(mdb_stat(txn, dbis[i], &st));
		CHECK(mdb_dbi_flags(txn, dbis[i], &flags));
		printf(" %s %zu (%x)", names[i], st.ms_entries, flags);
	}
	printf("\n");
}

static void print_book(struct book *b, const char *when)
{
	MDB_txn *txn;
	char everything[] = "", from[] = "D";

	CHECK(mdb_txn_begin(b->env, NULL, MDB_RDONLY, &txn));
	print_sizes(b, txn, when);
	list_index(b, txn, b->by_city, everything, 100);
	printf(" by name, from D\n");
	list_index(b, txn, b->by_name, from, 4);
	printf(" newest\n");
	list_backwards(b, txn, 3);
	mdb_txn_abort(txn);
}

/* ---- a day with the book --------------------------------------------------------------------- */

static void first_people(struct book *b)
{
	MDB_txn *txn;

	CHECK(mdb_txn_begin(b->env, NULL, 0, &txn));
	CHECK(person_add(b, txn, "Ada Lovelace", "London", "020 1815", 1815));
	CHECK(person_add(b, txn, "Alan Turing", "London", "020 1912", 1912));
	CHECK(person_add(b, txn, "Grace Hopper", "New York", "212 1906", 1906));
	CHECK(person_add(b, txn, "Edsger Dijkstra", "Rotterdam", "010 1930", 1930));
	CHECK(person_add(b, txn, "Donald Knuth", "Milwaukee", "414 1938", 1938));
	CHECK(person_add(b, txn, "Barbara Liskov", "Los Angeles", "213 1939", 1939));
	CHECK(person_add(b, txn, "Alan Turing", "Manchester", "0161 1912",
	                 1912)); /* a second one of that name */
	CHECK(mdb_txn_commit(txn));
}

/* import - a list, each line in a transaction of its own within that of the whole: a line that
 * cannot be taken leaves nothing behind. */
static void import(struct book *b)
{
	static const char *const lines[] = {"Leslie Lamport;New York;212 1941;1941", "Nobody",
	                                    "Tony Hoare;Colombo;011 1934;1934", ";London;;0",
	                                    "Frances Allen;Peru;518 1932;1932"};
	MDB_txn *all, *one;

	CHECK(mdb_txn_begin(b->env, NULL, 0, &all));
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		char name[32] = "", city[24] = "", phone[24] = "";
		unsigned int born = 0;
		int fields =
		    sscanf(lines[i], "%31[^;];%23[^;];%23[^;];%u", name, city, phone, &born);

		CHECK(mdb_txn_begin(b->env, all, 0, &one));
		int rc = person_add(b, one, name, city, phone,
		                    born); /* an empty name or city is no key */

		if (rc || fields != 4) {
			mdb_txn_abort(one);
			printf("line %zu: %s\n", i + 1, rc ? mdb_strerror(rc) : "too short");
		} else {
			CHECK(mdb_txn_commit(one));
		}
	}
	CHECK(mdb_txn_commit(all));
}

static void changes(struct book *b)
{
	MDB_txn *txn, *reader;

	CHECK(mdb_txn_begin(b->env, NULL, MDB_RDONLY, &reader));
	CHECK(mdb_txn_begin(b->env, NULL, 0, &txn));
	CHECK(person_move(b, txn, 4, "Austin"));
	CHECK(person_move(b, txn, 9, "Cambridge"));
	CHECK(person_remove(b, txn, 2));
	printf("nobody has number 2: %d, 99: %d\n", person_remove(b, txn, 2) == MDB_NOTFOUND,
	       person_move(b, txn, 99, "x") == MDB_NOTFOUND);
	CHECK(mdb_txn_commit(txn));
	print_sizes(b, reader, "what a reader saw that began before");
	mdb_txn_reset(reader);
	CHECK(mdb_txn_renew(reader));
	print_sizes(b, reader, "and sees when it begins again");
	mdb_txn_abort(reader);

	CHECK(mdb_txn_begin(b->env, NULL, 0, &txn));
	for (uint32_t id = 1; id < 20; id++)
		(void)person_remove(b, txn, id);
	print_sizes(b, txn, "emptied");
	mdb_txn_abort(txn); /* a change of mind */
}

/* leave_town - remove everybody of a city with a cursor on the index. */
static void leave_town(struct book *b, char *city)
{
	MDB_txn *txn;
	MDB_cursor *cur;
	MDB_val word = val_of_string(city), ids;
	uint32_t gone[64];
	size_t n = 0;

	CHECK(mdb_txn_begin(b->env, NULL, 0, &txn));
	CHECK(mdb_cursor_open(txn, b->by_city, &cur));
	CHECK(mdb_cursor_get(cur, &word, &ids, MDB_SET));
	CHECK(mdb_cursor_get(cur, &word, &ids, MDB_GET_MULTIPLE));
	if (ids.mv_size <= sizeof gone)
		memcpy(gone, ids.mv_data, n = ids.mv_size);
	n /= sizeof gone[0];
	for (size_t i = 0; i < n; i++) {
		struct person p;
		MDB_val key = {sizeof gone[i], &gone[i]}, number = key, name;

		CHECK(person_get(b, txn, gone[i], &p));
		name = val_of_string(p.name);
		CHECK(mdb_del(txn, b->by_name, &name, &number));
		CHECK(mdb_del(txn, b->people, &key, NULL));
	}
	CHECK(mdb_cursor_del(cur, MDB_NODUPDATA));
	mdb_cursor_close(cur);
	CHECK(mdb_txn_commit(txn));
	printf("%zu left %s\n", n, city);
}

/* crowd - more people than the map has room for: it is made larger, and the transaction done
 * again. */
static void crowd(struct book *b, unsigned int count)
{
	size_t size = 1u << 20;
	bool full = false;
	int rc;

	do {
		MDB_txn *txn;

		CHECK(mdb_txn_begin(b->env, NULL, 0, &txn));
		rc = MDB_SUCCESS;
		for (unsigned int i = 0; i < count && rc == MDB_SUCCESS; i++) {
			char name[32], city[24];

			snprintf(name, sizeof name, "Visitor %u", i * 7919 % count);
			snprintf(city, sizeof city, "Hotel %u", i % 97);
			rc = person_add(b, txn, name, city, "-", 2000);
		}
		if (rc == MDB_MAP_FULL) {
			mdb_txn_abort(txn);
			full = true;
			CHECK(mdb_env_set_mapsize(b->env, size *= 2));
			continue;
		}
		CHECK(rc);
		CHECK(mdb_txn_commit(txn));
	} while (rc == MDB_MAP_FULL);
	printf("a crowd of %u; the map was full: %d\n", count, full);
	print_book(b, "with the crowd");
}

int main(int argc, char **argv)
{
	struct book b;
	char copy[4096], london[] = "London";

	if (argc != 2) {
		fprintf(stderr, "usage: addressbook DIR\n");
		return EXIT_FAILURE;
	}
	book_open(&b, argv[1], 0);
	first_people(&b);
	print_book(&b, "first people");
	import(&b);
	changes(&b);
	print_book(&b, "after changes");
	mdb_env_close(b.env);

	book_open(&b, argv[1], 0);
	print_book(&b, "opened again");
	leave_town(&b, london);
	crowd(&b, 20000);
	snprintf(copy, sizeof copy, "%s/copy", argv[1]);
	if (mkdir(copy, 0775) != 0)
		perror(copy);
	CHECK(mdb_env_copy2(b.env, copy, MDB_CP_COMPACT));
	mdb_env_close(b.env);

	book_open(&b, copy, MDB_RDONLY);
	print_book(&b, "the copy");
	mdb_env_close(b.env);
	return EXIT_SUCCESS;
}
