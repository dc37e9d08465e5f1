/* SPDX-License-Identifier: BSD-3-Clause */
/* medium.c - see medium.h. What the handler calls may be called in a signal handler: no stdio, no
 * memory. */
#include "medium.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct line {
	char bytes[1024];
	size_t size;
};

static const struct call *watched;

static void add_text(struct line *line, const char *text)
{
	for (; *text != '\0' && line->size < sizeof line->bytes - 1; text++) {
		unsigned char byte = (unsigned char)*text;

		line->bytes[line->size++] = byte < 0x20 || byte == 0x7f ? '?' : (char)byte;
	}
}

static void add_hex(struct line *line, uint64_t number)
{
	char digits[17];
	size_t at = sizeof digits - 1;

	digits[at] = '\0';
	do
		digits[--at] = "0123456789abcdef"[number & 15];
	while ((number >>= 4) != 0);
	add_text(line, "0x");
	add_text(line, digits + at);
}

/* hex_read - the number at *p, and the byte behind it skipped. */
static uint64_t hex_read(const char **p)
{
	uint64_t number = 0;

	for (;; (*p)++) {
		char c = **p;

		if (c >= '0' && c <= '9')
			number = number << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			number = number << 4 | (uint64_t)(c - 'a' + 10);
		else
			break;
	}
	if (**p != '\0')
		(*p)++;
	return number;
}

/* line_next - the next line of a file, cut to what fits; false at the end. */
static bool line_next(int fd, char *line, size_t size)
{
	size_t n = 0;
	char c;

	while (read(fd, &c, 1) == 1) {
		if (c == '\n') {
			line[n] = '\0';
			return true;
		}
		if (n + 1 < size)
			line[n++] = c;
	}
	return false;
}

/* file_offset - where in its file the mapped byte lies: a line of maps is "start-end perms offset
 * device inode path". */
static bool file_offset(uint64_t address, uint64_t *off)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char line[256];
	bool found = false;

	while (fd >= 0 && !found && line_next(fd, line, sizeof line)) {
		const char *p = line;
		uint64_t start = hex_read(&p), end = hex_read(&p);

		while (*p != '\0' && *p != ' ')
			p++; /* the permissions */
		if (*p == ' ')
			p++;
		*off = address - start + hex_read(&p);
		found = address >= start && address < end && strchr(p, '/') != NULL;
	}
	if (fd >= 0)
		close(fd);
	return found;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	uint64_t address = (uint64_t)(uintptr_t)info->si_addr, off = 0, size = 1;
	struct line line = {.size = 0};

	(void)context;
	if (!file_offset(address, &off)) { /* a fault of this program */
		signal(number, SIG_DFL);
		raise(number);
		return;
	}
	/* The kernel gives up the whole page that was mapped, which may be of 2 MiB. */
	if (info->si_code == BUS_MCEERR_AR || info->si_code == BUS_MCEERR_AO)
		size = (uint64_t)1 << (info->si_addr_lsb & 63);
	add_text(&line, "kv ");
	add_text(&line, watched->command->name);
	add_text(&line, ": ");
	add_text(&line, watched->file != NULL ? watched->file : "the store");
	add_text(&line, ": the medium cannot be read or written at byte ");
	add_hex(&line, off & ~(size - 1));
	if (size > 1) {
		add_text(&line, ", for ");
		add_hex(&line, size);
		add_text(&line, " bytes (poisoned memory)");
	} else {
		add_text(&line, " (a bad block, or the file was cut off)");
	}
	line.bytes[line.size++] = '\n';
	if (write(STDERR_FILENO, line.bytes, line.size) < 0)
		_exit(EXIT_SYSTEM);
	_exit(EXIT_SYSTEM);
}

void medium_watch(const struct call *call)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	watched = call;
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL); /* fails for signals that do not exist only */
}
