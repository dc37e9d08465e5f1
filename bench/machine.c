/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

static void cpu_describe(char *buf, size_t size)
{
	char line[512];
	FILE *f = fopen("/proc/cpuinfo", "r");

	(void)snprintf(buf, size, "unknown");
	if (!f)
		return;
	while (fgets(line, sizeof line, f)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) == 0 && colon) {
			line[strcspn(line, "\n")] = 0;
			(void)snprintf(buf, size, "%.*s", (int)size - 1, colon + 2);
			break;
		}
	}
	(void)fclose(f);
}

static void filesystem_describe(const char *dir, char *buf, size_t size)
{
	static const struct {
		unsigned long type;
		const char *name;
	} known[] = {
	    {0x01021994, "tmpfs"}, {0xef53, "ext4"},          {0x58465342, "xfs"},
	    {0x9123683e, "btrfs"}, {0x794c7630, "overlayfs"},
	};
	struct statfs fs;

	if (statfs(dir, &fs)) {
		(void)snprintf(buf, size, "unknown");
		return;
	}
	(void)snprintf(buf, size, "type 0x%lx", (unsigned long)fs.f_type);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (known[i].type == (unsigned long)fs.f_type)
			(void)snprintf(buf, size, "%s", known[i].name);
}

void machine_describe(const char *dir, struct machine *m)
{
	time_t now = time(NULL);
	struct utsname u;
	double load[3];
	struct tm tm;

	cpu_describe(m->cpu, sizeof m->cpu);
	filesystem_describe(dir, m->filesystem, sizeof m->filesystem);
	m->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (!gmtime_r(&now, &tm) || !strftime(m->date, sizeof m->date, "%Y-%m-%d %H:%M UTC", &tm))
		(void)snprintf(m->date, sizeof m->date, "unknown");
	if (uname(&u) == 0)
		(void)snprintf(m->kernel, sizeof m->kernel, "%s %s %s", u.sysname, u.release,
		               u.machine);
	else
		(void)snprintf(m->kernel, sizeof m->kernel, "unknown");
	(void)snprintf(m->compiler, sizeof m->compiler, "%s", __VERSION__);
	if (getloadavg(load, 3) == 3)
		(void)snprintf(m->load, sizeof m->load, "%.2f %.2f %.2f", load[0], load[1],
		               load[2]);
	else
		(void)snprintf(m->load, sizeof m->load, "unknown");
}
