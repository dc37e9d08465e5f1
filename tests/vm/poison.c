/* SPDX-License-Identifier: BSD-3-Clause */
/* poison.c - "poison FILE OFFSET": tell the kernel that the memory behind that byte of a file on a
 * DAX filesystem has failed. Needs root. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif

/* on_sigbus - whoever has the page mapped is told, this process first: it worked. */
static void on_sigbus(int number)
{
	(void)number;
	_exit(0);
}

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[1], O_RDWR) : -1;
	char *page = MAP_FAILED;

	signal(SIGBUS, on_sigbus);
	if (fd >= 0)
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		            (off_t)(strtoull(argv[2], NULL, 0) & ~(unsigned long long)4095));
	if (page != MAP_FAILED)
		(void)*(volatile char *)page; /* madvise poisons pages that are there */
	if (page == MAP_FAILED || madvise(page, 4096, MADV_HWPOISON) != 0) {
		perror("poison");
		return 1;
	}
	return 0;
}
