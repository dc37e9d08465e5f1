/* SPDX-License-Identifier: BSD-3-Clause */
/* err.c - results and their texts, and the version that is reported. */
#include "layer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int err_of(int rc)
{
	switch (rc) {
	case DAXKV_EXIST:
		return MDB_KEYEXIST;
	case DAXKV_NOT_FOUND:
		return MDB_NOTFOUND;
	case DAXKV_CORRUPT:
		return MDB_CORRUPTED;
	case DAXKV_FOREIGN:
		return MDB_INVALID;
	case DAXKV_VERSION:
		return MDB_VERSION_MISMATCH;
	case DAXKV_FULL:
		return MDB_MAP_FULL;
	case DAXKV_BUSY:
		return EAGAIN;
	case DAXKV_BAD_TXN:
	case DAXKV_TOO_OLD:
		return MDB_BAD_TXN;
	case DAXKV_BAD_DB: /* the handle is good, so this transaction does not see its database */
		return MDB_NOTFOUND;
	case DAXKV_INCOMPATIBLE:
	case DAXKV_NEED_COMPARE:
		return MDB_INCOMPATIBLE;
	case DAXKV_KEY_SIZE:
	case DAXKV_VALUE_SIZE:
		return MDB_BAD_VALSIZE;
	case DAXKV_PANIC:
		return MDB_PANIC;
	case DAXKV_DBS_FULL:
		return MDB_DBS_FULL;
	case DAXKV_READERS_FULL:
		return MDB_READERS_FULL;
	case DAXKV_NOT_DAX:
		return EOPNOTSUPP;
	default:
		return rc;
	}
}

char *mdb_strerror(int err)
{
	static const char *const texts[] = {
	    "MDB_KEYEXIST: Key/data pair already exists",
	    "MDB_NOTFOUND: No matching key/data pair found",
	    "MDB_PAGE_NOTFOUND: Requested page not found",
	    "MDB_CORRUPTED: Located page was wrong type",
	    "MDB_PANIC: Update of meta page failed or environment had fatal error",
	    "MDB_VERSION_MISMATCH: Database environment version mismatch",
	    "MDB_INVALID: File is not an LMDB file",
	    "MDB_MAP_FULL: Environment mapsize limit reached",
	    "MDB_DBS_FULL: Environment maxdbs limit reached",
	    "MDB_READERS_FULL: Environment maxreaders limit reached",
	    "MDB_TLS_FULL: Thread-local storage keys full - too many environments open",
	    "MDB_TXN_FULL: Transaction has too many dirty pages - transaction too big",
	    "MDB_CURSOR_FULL: Internal error - cursor stack limit reached",
	    "MDB_PAGE_FULL: Internal error - page has no more space",
	    "MDB_MAP_RESIZED: Database contents grew beyond environment mapsize",
	    "MDB_INCOMPATIBLE: Operation and DB incompatible, or DB flags changed",
	    "MDB_BAD_RSLOT: Invalid reuse of reader locktable slot",
	    "MDB_BAD_TXN: Transaction must abort, has a child, or is invalid",
	    "MDB_BAD_VALSIZE: Unsupported size of key/DB name/data, or wrong DUPFIXED size",
	    "MDB_BAD_DBI: The specified DBI handle was closed/changed unexpectedly",
	};
	union {
		const char *in;
		char *out;
	} text = {"Successful return: 0"}; /* callers do not write to it */

	if (err == 0)
		return text.out;
	if (err < MDB_KEYEXIST || err > MDB_BAD_DBI)
		return strerror(err);
	text.in = texts[err - MDB_KEYEXIST];
	return text.out;
}

static struct {
	int major, minor, patch;
	char text[96];
} version;
static pthread_once_t version_once = PTHREAD_ONCE_INIT;

static void version_find(void)
{
	const char *wanted = secure_getenv("DAXKV_LMDB_VERSION");
	char end;

	if (!wanted || sscanf(wanted, "%d.%d.%d%c", &version.major, &version.minor, &version.patch,
	                      &end) != 3) {
		version.major = 0;
		version.minor = 9;
		version.patch = 24;
	}
	snprintf(version.text, sizeof version.text, "LMDB %d.%d.%d: (daxkv %s)", version.major,
	         version.minor, version.patch, daxkv_version());
}

char *mdb_version(int *major, int *minor, int *patch)
{
	pthread_once(&version_once, version_find);
	if (major)
		*major = version.major;
	if (minor)
		*minor = version.minor;
	if (patch)
		*patch = version.patch;
	return version.text;
}
