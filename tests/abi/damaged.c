/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * damaged.c - damaged stores by LMDB's interface and its tools, with checksums compared: whatever
 * is read is an error, or it is all that was stored; and trying again does not pass what is
 * damaged.
 *
 * usage: damaged DIR TOOLS CASES SEED      needs the LMDB-compatible library
 */
#include <errno.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define PAGE       4096u
#define TOOLS_EACH 25u /* cases of which the tools see one */
#define KINDS      3u  /* of damage: a bit, two bytes, a page */
#define GONE       2u
#define RETRIES    300u /* more than a page has entries */
#define FNV_START  1469598103934665603u
#define FNV_PRIME  1099511628211u

static const struct {
	const char *name;
	unsigned int flags;
} databases[] = {
    {"plain", 0}, {"dups", MDB_DUPSORT}, {"fixed", MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP}};
#define DATABASES (sizeof databases / sizeof databases[0])

enum how { FORWARD, BACKWARD, BY_KEY, BACK_BY_KEY, BY_SEARCH, ARRAYS, COUNTS, WAYS };

static char file[4096], copy[4200];
static const char *tools;
static unsigned char *sound, *bytes;
static size_t size;
static uint64_t right[DATABASES][WAYS], random_state;
static uint64_t right_tools[3];
static unsigned long failures, refused, found, unseen;

static void must(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "damaged: %s: %s\n", what, mdb_strerror(rc));
		exit(2);
	}
}

static uint64_t below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}

static void add(uint64_t *hash, const MDB_val *v)
{
	const unsigned char *p = v->mv_data;

	for (size_t i = 0; i < v->mv_size; i++)
		*hash = (*hash ^ p[i]) * FNV_PRIME;
}

/* ---- the store ------------------------------------------------------------------------------- */

static void put(MDB_txn *txn, MDB_dbi dbi, const char *key, void *value, size_t n)
{
	MDB_val k = {strlen(key), NULL}, v = {n, value};
	char room[32];

	k.mv_data = strcpy(room, key);
	must(mdb_put(txn, dbi, &k, &v, 0), "put");
}

static void fill(MDB_txn *txn, unsigned int db, MDB_dbi dbi)
{
	static char value[20000];
	char key[32];

	for (unsigned int i = 0; i < (db ? 40u : 400u); i++) {
		snprintf(key, sizeof key, "key %05u", i * 7);
		memset(value, 'a' + (int)(i % 26), sizeof value);
		if (!db)
			put(txn, dbi, key, value, i % 100 == 50 ? sizeof value : 60 + i % 50);
		for (uint64_t n = 0; db && n < (i == 20 ? 700u : 1 + i % 5); n++) {
			snprintf(value, sizeof value, "value %05u", (unsigned int)n);
			put(txn, dbi, key, db == 2 ? (void *)&n : value, db == 2 ? sizeof n : 11);
		}
	}
}

static int store_open(const char *path, unsigned int flags, MDB_env **env)
{
	must(mdb_env_create(env), "create");
	must(mdb_env_set_maxdbs(*env, 8), "maxdbs");
	if (!flags)
		must(mdb_env_set_mapsize(*env, (size_t)16 << 20), "mapsize");
	return mdb_env_open(*env, path, MDB_NOSUBDIR | MDB_NOLOCK | flags, 0600);
}

static void store_make(void)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	must(store_open(file, 0, &env), "open");
	must(mdb_txn_begin(env, NULL, 0, &txn),
	     "begin"); /* one: damage may take the last one back */
	for (unsigned int db = 0; db < DATABASES; db++) {
		must(mdb_dbi_open(txn, databases[db].name, databases[db].flags | MDB_CREATE, &dbi),
		     "dbi_open");
		fill(txn, db, dbi);
	}
	must(mdb_txn_commit(txn), "commit");
	mdb_env_close(env);
}

static void file_read(void)
{
	FILE *f = fopen(file, "rb");

	if (!f || fseek(f, 0, SEEK_END) != 0)
		exit(2);
	size = (size_t)ftell(f);
	rewind(f);
	sound = malloc(size);
	bytes = malloc(size);
	if (!sound || !bytes || fread(sound, 1, size, f) != size)
		exit(2);
	fclose(f);
}

static void file_write(void)
{
	FILE *f = fopen(file, "wb");

	if (!f || fwrite(bytes, 1, size, f) != size || fclose(f) != 0)
		exit(2);
}

/* damage - of one of the kinds. */
static void damage(unsigned int kind)
{
	size_t at = below(size);

	memcpy(bytes, sound, size);
	for (unsigned int i = 0; i < 1000 && !sound[at]; i++) /* where something is */
		at = below(size);
	switch (kind) {
	case 0:
		bytes[at] ^= (unsigned char)(1u << below(8));
		break;
	case 1:
		bytes[at] = (unsigned char)below(256);
		bytes[at + 1 < size ? at + 1 : at] = (unsigned char)below(256);
		break;
	default:
		memset(bytes + at / PAGE * PAGE, 0, PAGE);
		break;
	}
}

/* ---- reading --------------------------------------------------------------------------------- */

/* scan - all entries that way, into the hash. 0: the end was found. */
static int scan(MDB_cursor *c, enum how how, uint64_t *hash)
{
	bool back = how == BACKWARD || how == BACK_BY_KEY;
	MDB_cursor_op step = how == FORWARD    ? MDB_NEXT
	                     : how == BACKWARD ? MDB_PREV
	                     : back            ? MDB_PREV_NODUP
	                                       : MDB_NEXT_NODUP;
	MDB_val k = {0, NULL}, v;
	char next[40];
	size_t n;
	int rc = mdb_cursor_get(c, &k, &v, back ? MDB_LAST : MDB_FIRST);

	while (!rc) {
		add(hash, &k);
		add(hash, &v);
		if (how == COUNTS) {
			rc = mdb_cursor_count(c, &n);
			*hash = (*hash ^ n) * FNV_PRIME;
		}
		if (!rc && how == ARRAYS)
			rc = mdb_cursor_get(c, &k, &v, MDB_GET_MULTIPLE);
		while (!rc && (how == BY_KEY || how == BACK_BY_KEY || how == ARRAYS)) {
			rc = mdb_cursor_get(c, &k, &v,
			                    back            ? MDB_PREV_DUP
			                    : how == ARRAYS ? MDB_NEXT_MULTIPLE
			                                    : MDB_NEXT_DUP);
			if (!rc)
				add(hash, &v);
		}
		if (rc && rc != MDB_NOTFOUND)
			break;
		if (how != BY_SEARCH) {
			rc = mdb_cursor_get(c, &k, &v, step);
			continue;
		}
		n = k.mv_size < sizeof next ? k.mv_size : sizeof next - 1;
		memcpy(next, k.mv_data, n);
		next[n] = '\0';
		k = (MDB_val){n + 1, next};
		rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* is_way - whether a database can be read that way. */
static bool is_way(unsigned int db, enum how how)
{
	return how == ARRAYS   ? databases[db].flags & MDB_DUPFIXED
	       : how == COUNTS ? databases[db].flags & MDB_DUPSORT
	                       : true;
}

/* read_one - a database, that way. An error must be one again, however often it is tried. */
static int read_one(MDB_env *env, unsigned int db, enum how how, uint64_t *hash)
{
	static const MDB_cursor_op again[] = {MDB_NEXT, MDB_PREV, MDB_NEXT_NODUP, MDB_GET_CURRENT};
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_cursor *c;
	MDB_val k, v;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	*hash = FNV_START;
	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, databases[db].name, 0, &dbi);
	if (!rc && !(rc = mdb_cursor_open(txn, dbi, &c))) {
		rc = scan(c, how, hash);
		for (unsigned int i = 0; rc && i < RETRIES; i++) {
			int other = mdb_cursor_get(c, &k, &v, again[i % 4]);

			if (!other || other == MDB_NOTFOUND) {
				printf("%s, way %d: %s is passed by trying again\n",
				       databases[db].name, (int)how, mdb_strerror(rc));
				failures++;
				break;
			}
		}
		mdb_cursor_close(c);
	}
	mdb_txn_abort(txn);
	return rc;
}

/* read_all - true: nothing was noticed. */
static bool read_all(MDB_env *env)
{
	bool clean = true;

	for (unsigned int db = 0; db < DATABASES; db++) {
		for (enum how how = FORWARD; how < WAYS; how++) {
			uint64_t hash;
			int rc = is_way(db, how) ? read_one(env, db, how, &hash) : 0;

			clean &= !rc;
			if (rc || !is_way(db, how) || hash == right[db][how])
				continue;
			printf("%s, way %d: no error, and not what was stored\n",
			       databases[db].name, (int)how);
			failures++;
		}
	}
	return clean;
}

/* ---- changing -------------------------------------------------------------------------------- */

/* change_all - puts, and a deletion of all entries by a cursor. What fails for damage must not be
 * committed, and a page that is gone must not hide its entries. */
static void change_all(MDB_env *env, unsigned int db, bool counts)
{
	size_t n = 0, expected = 0;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_cursor *c;
	MDB_stat st;
	MDB_val k, v;
	int rc = mdb_txn_begin(env, NULL, 0, &txn), done;

	if (rc)
		return;
	rc = mdb_dbi_open(txn, databases[db].name, 0, &dbi);
	if (!rc && !(rc = mdb_stat(txn, dbi, &st)))
		expected = st.ms_entries;
	if (rc || (rc = mdb_cursor_open(txn, dbi, &c)) != 0) {
		mdb_txn_abort(txn);
		return;
	}
	while (!(rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) && !(rc = mdb_cursor_del(c, 0)))
		n++;
	if (rc == MDB_NOTFOUND && n != expected && counts) {
		printf("%s: %zu of %zu entries found to delete\n", databases[db].name, n, expected);
		failures++;
	}
	k = (MDB_val){9, "key 00084"};
	v = (MDB_val){8, "12345678"};
	if (rc == MDB_NOTFOUND)
		rc = mdb_put(txn, dbi, &k, &v, 0);
	done = mdb_txn_commit(txn);
	if (rc == MDB_CORRUPTED && !done) {
		printf("%s: a change that met damage is committed\n", databases[db].name);
		failures++;
	}
}

/* ---- the tools ------------------------------------------------------------------------------- */

/* output - of a command: a hash. Its status, other than 0 for a failure. */
static int output(const char *command, uint64_t *hash)
{
	static char text[65536];
	FILE *f = popen(command, "r");
	int status;

	*hash = FNV_START;
	if (!f)
		exit(2);
	for (size_t n; (n = fread(text, 1, sizeof text, f)) > 0;)
		add(hash, &(MDB_val){n, text});
	status = pclose(f);
	if (WIFSIGNALED(status) || WEXITSTATUS(status) > 127) {
		printf("%s: status 0x%x\n", command, (unsigned int)status);
		failures++;
	}
	return status;
}

static int tool(unsigned int i, uint64_t *hash)
{
	static const char *const formats[] = {
	    "%s/mdb_dump -n -a %s 2>/dev/null", "%s/mdb_stat -n -a %s 2>/dev/null",
	    "rm -f %3$s && %1$s/mdb_copy -n %2$s %3$s 2>/dev/null && %1$s/mdb_dump -n -a %3$s"};
	char command[20000];

	snprintf(command, sizeof command, formats[i], tools, file, copy);
	return output(command, hash);
}

static void tools_all(void)
{
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t hash;

		if (tool(i, &hash) == 0 && hash != right_tools[i]) {
			printf("tool %u: status 0, and not what was stored\n", i);
			failures++;
		}
	}
}

int main(int argc, char **argv)
{
	unsigned long cases, seed;
	MDB_env *env;

	if (argc != 5)
		return 2;
	snprintf(file, sizeof file, "%s/damaged", argv[1]);
	snprintf(copy, sizeof copy, "%s-copy", file);
	tools = argv[2];
	cases = strtoul(argv[3], NULL, 0);
	seed = strtoul(argv[4], NULL, 0);
	setenv("DAXKV_VERIFY", "1", 1);
	store_make();
	file_read();
	must(store_open(file, MDB_RDONLY, &env), "open");
	for (unsigned int db = 0; db < DATABASES; db++)
		for (enum how how = FORWARD; how < WAYS; how++)
			if (is_way(db, how))
				must(read_one(env, db, how, &right[db][how]), "read");
	mdb_env_close(env);
	for (unsigned int i = 0; i < 3; i++)
		must(tool(i, &right_tools[i]), "tool");
	for (unsigned long i = seed; i < seed + cases; i++) {
		unsigned long before = failures;
		bool clean = false;

		random_state = i * UINT64_C(0x9e3779b97f4a7c15) + 1;
		damage((unsigned int)(i % KINDS));
		file_write();
		if (store_open(file, MDB_RDONLY, &env) != 0)
			refused++;
		else if (!(clean = read_all(env)))
			found++;
		else
			unseen++;
		mdb_env_close(env);
		if (i % TOOLS_EACH == 0)
			tools_all();
		if (!clean && store_open(file, 0, &env) == 0)
			for (unsigned int db = 0; db < DATABASES; db++)
				change_all(env, db, i % KINDS == GONE);
		if (!clean)
			mdb_env_close(env);
		if (failures != before)
			printf("---- case %lu\n", i);
	}
	printf("%lu cases: %lu refused, %lu found, %lu unseen, %lu failures\n", cases, refused,
	       found, unseen, failures);
	return failures != 0;
}
