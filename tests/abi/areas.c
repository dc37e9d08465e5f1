/* SPDX-License-Identifier: BSD-3-Clause */
/* areas.c - usage: areas DIR [AREA]: runs all areas, or the one that is named. See areas.h */
#include "areas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *scratch;

int shown(const char *call, int rc)
{
	printf("%s = %d\n", call, rc);
	return rc;
}

MDB_val value_of(const char *text)
{
	union {
		const char *in;
		void *out;
	} bytes = {text}; /* no library writes to what is put */

	return (MDB_val){strlen(text), bytes.out};
}

void shown_val(const char *what, const MDB_val *v)
{
	printf("  %s %zu:", what, v->mv_size);
	for (size_t i = 0; i < v->mv_size && i < 24; i++) {
		unsigned char c = ((const unsigned char *)v->mv_data)[i];

		printf(c >= 0x20 && c < 0x7f ? "%c" : "\\%02x", c);
	}
	printf("\n");
}

void shown_all(MDB_txn *txn, MDB_dbi dbi)
{
	MDB_cursor *c;
	MDB_val k, v;

	if (SHOW(mdb_cursor_open(txn, dbi, &c)))
		return;
	while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0) {
		shown_val("key", &k);
		shown_val("data", &v);
	}
	mdb_cursor_close(c);
}

const char *place(const char *name)
{
	static char path[4][4096];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof path[0], "%s/%s", scratch, name);
	return p;
}

void main_open(MDB_env *env)
{
	MDB_txn *txn;
	MDB_dbi dbi;

	if (mdb_txn_begin(env, NULL, 0, &txn) || mdb_dbi_open(txn, NULL, 0, &dbi) ||
	    mdb_txn_commit(txn))
		exit(2);
}

bool is_daxkv(void)
{
	return strstr(mdb_version(NULL, NULL, NULL), "daxkv") != NULL;
}

MDB_env *started(const char *name, unsigned int flags)
{
	MDB_env *env;
	const char *dir = place(name);

	if (!(flags & MDB_NOSUBDIR) && mkdir(dir, 0755) != 0) {
		perror(dir);
		exit(2);
	}
	if (mdb_env_create(&env) || mdb_env_set_maxdbs(env, 8) ||
	    SHOW(mdb_env_open(env, dir, flags, 0644)))
		exit(2);
	main_open(env);
	return env;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} areas[] = {
	    {"env", area_env},         {"open", area_open},       {"txn", area_txn},
	    {"threads", area_threads}, {"hands", area_hands},     {"map", area_map},
	    {"flags", area_flags},     {"dbi", area_dbi},         {"handles", area_handles},
	    {"misuse", area_misuse},   {"cancel", area_cancel},   {"order", area_order},
	    {"entry", area_entry},     {"cursor", area_cursor},   {"dups", area_dups},
	    {"deleted", area_deleted}, {"full", area_full},       {"copy", area_copy},
	    {"file", area_file},       {"process", area_process}, {"fork", area_fork},
	    {"large", area_large},     {"sync", area_sync},       {"asked", area_asked},
	    {"number", area_number}};

	if (argc < 2)
		return 2;
	scratch = argv[1];
	for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++) {
		if (argc > 2 && strcmp(argv[2], areas[i].name) != 0)
			continue;
		printf("== %s\n", areas[i].name);
		areas[i].run();
		fflush(stdout);
	}
	return 0;
}
