/* SPDX-License-Identifier: BSD-3-Clause */
/* mdb_copy.c - usage: mdb_copy [-V] [-c] [-n] SRCPATH [DSTPATH] */
#include "tool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	unsigned int flags = MDB_RDONLY, copy = 0;
	const char *action = "opening environment";
	MDB_env *env;
	int option, rc;

	tool_name = argv[0];
	opterr = 0; /* the usage says it */
	while ((option = getopt(argc, argv, "Vcn")) != -1) {
		switch (option) {
		case 'V':
			printf("%s\n", mdb_version(NULL, NULL, NULL));
			return 0;
		case 'c':
			copy |= MDB_CP_COMPACT;
			break;
		case 'n':
			flags |= MDB_NOSUBDIR;
			break;
		default:
			argc = 0;
		}
	}
	if (argc - optind < 1 || argc - optind > 2) {
		fprintf(stderr, "usage: %s [-V] [-c] [-n] srcpath [dstpath]\n", tool_name);
		return 1;
	}
	rc = mdb_env_create(&env);
	if (!rc) {
		rc = mdb_env_open(env, argv[optind], flags, 0600);
		if (!rc) {
			action = "copying";
			rc = argc - optind == 1 ? mdb_env_copyfd2(env, STDOUT_FILENO, copy)
			                        : mdb_env_copy2(env, argv[optind + 1], copy);
		}
		mdb_env_close(env);
	}
	if (rc == EPIPE && argc - optind == 1) { /* who reads has seen enough: ends as by default */
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	if (rc)
		fprintf(stderr, "%s: %s failed, error %d (%s)\n", tool_name, action, rc,
		        mdb_strerror(rc));
	return rc != 0;
}
