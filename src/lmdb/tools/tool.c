/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *tool_name;

int tool_fail(const char *call, int rc)
{
	fprintf(stderr, "%s failed, error %d %s\n", call, rc, mdb_strerror(rc));
	return 1;
}

bool tool_output(void)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return false;
	fprintf(stderr, "%s: standard output: %s\n", tool_name, strerror(errno ? errno : EIO));
	return true;
}

MDB_env *tool_open(const char *path, unsigned int flags, mode_t mode)
{
	MDB_env *env;
	int rc = mdb_env_create(&env);

	if (rc) {
		tool_fail("mdb_env_create", rc);
		return NULL;
	}
	mdb_env_set_maxdbs(env, 2);
	rc = mdb_env_open(env, path, flags, mode);
	if (!rc)
		return env;
	tool_fail("mdb_env_open", rc);
	mdb_env_close(env);
	return NULL;
}

int tool_named(MDB_txn *txn, int (*use)(MDB_txn *txn, const char *name, MDB_dbi dbi, void *arg),
               void *arg, size_t *names)
{
	MDB_cursor *c;
	MDB_val key, data;
	MDB_dbi main_dbi, dbi;
	size_t seen = 0;
	int rc = mdb_dbi_open(txn, NULL, 0, &main_dbi);

	if (!rc)
		rc = mdb_cursor_open(txn, main_dbi, &c);
	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(c, &key, &data, MDB_NEXT_NODUP)) == 0) {
		if (memchr(key.mv_data, '\0', key.mv_size))
			continue;
		seen++;
		char *name = strndup(key.mv_data, key.mv_size);

		if (!name) {
			rc = MDB_PANIC;
			break;
		}
		rc = mdb_dbi_open(txn, name, 0, &dbi);
		if (!rc) {
			rc = use(txn, name, dbi, arg);
			mdb_dbi_close(mdb_txn_env(txn), dbi);
		} else if (rc == MDB_INCOMPATIBLE ||
		           rc == MDB_NOTFOUND) { /* an entry, and no database */
			rc = 0;
		}
		free(name);
		if (rc)
			break;
	}
	mdb_cursor_close(c);
	if (names)
		*names = seen;
	return rc == MDB_NOTFOUND ? 0 : rc;
}
