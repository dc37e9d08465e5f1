/* SPDX-License-Identifier: BSD-3-Clause */
/* command.c - see command.h */
#include "command.h"

int kv_main(int argc, char **argv);

/* The command's own main function, under another name. */
#define main kv_main
#include "../../src/cli/main.c"
#undef main

#define ARGUMENTS_MAX 24

/* stream_move - point descriptor fd to where to points; what fd was before. */
static int stream_move(int fd, int to)
{
	int saved = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (saved < 0 || dup2(to, fd) != fd)
		abort();
	return saved;
}

static void stream_back(int fd, int saved)
{
	if (dup2(saved, fd) != fd)
		abort();
	close(saved);
}

int command_run(const char *const arguments[], const struct memfile *output)
{
	char *argv[ARGUMENTS_MAX + 2] = {strdup("kv")};
	struct sigaction bus; /* the command leaves a handler that speaks of its own call */
	int argc = 1, nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (nowhere < 0 || !argv[0])
		abort();
	for (; arguments[argc - 1] && argc <= ARGUMENTS_MAX; argc++)
		if (!(argv[argc] = strdup(arguments[argc - 1])))
			abort();
	fflush(stdout);
	fflush(stderr);
	int out = stream_move(STDOUT_FILENO, output ? output->fd : nowhere),
	    err = stream_move(STDERR_FILENO, nowhere);

	sigaction(SIGBUS, NULL, &bus);
	optind = 0; /* getopt begins anew */
	int status = kv_main(argc, argv);

	sigaction(SIGBUS, &bus, NULL);
	fflush(stdout);
	fflush(stderr);
	stream_back(STDOUT_FILENO, out);
	stream_back(STDERR_FILENO, err);
	close(nowhere);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return status;
}
