/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pty.c - run a program on a pseudo-terminal as a person would use it: see what it prints, type.
 *
 *   pty COMMAND [ARGUMENT...] <STEPS
 *
 * Each line of the steps is one: "> TEXT" waits until the terminal shows TEXT behind what was seen
 * so far, "< TEXT" types TEXT, "= raw" waits until the program reads key by key: before that the
 * terminal itself takes ^C and ^D. \r, \t, \e, \\ and \xHH stand for bytes. What the terminal shows
 * is printed. The status is the program's own, or 98 when a text did not come within 60 seconds.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 60
#define SHOWN   (1u << 20)

static struct {
	int fd;
	char shown[SHOWN + 1];
	size_t n, seen;
	int ended;
} term;

static int hex(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* decode - the bytes that a step's text means, in place; how many. */
static size_t decode(char *text)
{
	char *in = text, *out = text;

	while (*in) {
		if (*in != '\\') {
			*out++ = *in++;
			continue;
		}
		switch (in[1]) {
		case 'r':
			*out++ = '\r';
			break;
		case 't':
			*out++ = '\t';
			break;
		case 'e':
			*out++ = '\033';
			break;
		case 'x':
			if (hex(in[2]) < 0 || hex(in[3]) < 0)
				exit(99);
			*out++ = (char)(hex(in[2]) << 4 | hex(in[3]));
			in += 2;
			break;
		default:
			*out++ = in[1];
			break;
		}
		in += 2;
	}
	*out = '\0';
	return (size_t)(out - text);
}

/* more - what the terminal shows next, for that long at most. */
static void more(int milliseconds)
{
	struct pollfd p = {.fd = term.fd, .events = POLLIN};
	ssize_t n;

	if (term.ended || term.n >= SHOWN || poll(&p, 1, milliseconds) <= 0)
		return;
	n = read(term.fd, term.shown + term.n, SHOWN - term.n);
	if (n <= 0) {
		term.ended = 1; /* EIO: the program has gone */
		return;
	}
	fwrite(term.shown + term.n, 1, (size_t)n, stdout);
	term.n += (size_t)n;
}

/* wait_for - whether the terminal shows the text. */
static int wait_for(const char *text, size_t size)
{
	time_t end = time(NULL) + SECONDS;

	for (;;) {
		char *at = memmem(term.shown + term.seen, term.n - term.seen, text, size);

		if (at) {
			term.seen = (size_t)(at - term.shown) + size;
			return 1;
		}
		if (term.ended || time(NULL) > end)
			return 0;
		more(100);
	}
}

/* wait_raw - whether the terminal gives keys as they are typed. */
static int wait_raw(void)
{
	time_t end = time(NULL) + SECONDS;
	struct termios mode;

	while (tcgetattr(term.fd, &mode) == 0 && !term.ended && time(NULL) <= end) {
		if (!(mode.c_lflag & ICANON))
			return 1;
		more(10);
	}
	return 0;
}

static int steps_do(void)
{
	char line[4096];

	while (fgets(line, sizeof line, stdin)) {
		size_t size;

		line[strcspn(line, "\n")] = '\0';
		if (strlen(line) < 2)
			continue;
		size = decode(line + 2);
		if (line[0] == '>' && !wait_for(line + 2, size)) {
			printf("\npty: never shown: %s\n", line + 2);
			return 98;
		}
		if (line[0] == '=' && !wait_raw()) {
			printf("\npty: keys are never read\n");
			return 98;
		}
		if (line[0] == '<' && write(term.fd, line + 2, size) != (ssize_t)size)
			return 99;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct winsize size = {.ws_row = 24, .ws_col = 200};
	int status = 0, failed;
	pid_t pid;

	if (argc < 2) {
		fprintf(stderr, "usage: pty COMMAND [ARGUMENT...] <STEPS\n");
		return 99;
	}
	pid = forkpty(&term.fd, NULL, NULL, &size);
	if (pid < 0) {
		perror("forkpty");
		return 99;
	}
	if (pid == 0) {
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(99);
	}
	failed = steps_do();
	for (time_t end = time(NULL) + SECONDS; !failed && !term.ended && time(NULL) < end;)
		more(100);
	if (!term.ended)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(term.fd);
	return failed ? failed : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
