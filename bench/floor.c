/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <libpmem.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINE         64u
#define LINES        3u /* that a get reads, that a commit writes */
#define READS        200000u
#define COMMITS      100000u
#define SLOW_COMMITS 200u /* where each waits for a disk */
#define STREAM_MAX   (64u << 20)

struct area { /* the file, mapped */
	int fd;
	unsigned char *base;
	size_t size;
};

/* area_map - the file with the size it had while the phases ran, with MAP_SYNC where the filesystem
 * has it. sync: did it. */
static int area_map(const char *path, size_t size, struct area *a, int *sync)
{
	void *base;
	int err;

	a->fd = open(path, O_RDWR | O_CLOEXEC);
	if (a->fd < 0)
		return errno;
	a->size = size;
	err = posix_fallocate(a->fd, 0,
	                      (off_t)size); /* closing the store gave free space at its end back */
	if (err) {
		(void)close(a->fd);
		return err;
	}
	base =
	    mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, a->fd, 0);
	*sync = base != MAP_FAILED;
	if (!*sync)
		base = mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	if (base == MAP_FAILED) {
		err = errno ? errno : EINVAL;
		(void)close(a->fd);
		return err;
	}
	a->base = base;
	(void)madvise(a->base, a->size, MADV_RANDOM);   /* on a disk: no large pages of the page
	                                                   cache, which would be written whole */
	for (size_t at = 0; at < a->size; at += 4096) { /* no page fault is part of a floor */
		volatile unsigned char *byte = a->base + at;

		*byte = *byte;
	}
	return 0;
}

static void area_unmap(struct area *a)
{
	(void)munmap(a->base, a->size);
	(void)close(a->fd);
}

static double reads_measure(const struct area *a, uint64_t *sum)
{
	uint64_t x = 1, lines = a->size / LINE;
	double start = clock_ns();

	for (uint64_t i = 0; i < READS; i++)
		for (unsigned int k = 0; k < LINES; k++) {
			uint64_t word;

			memcpy(&word, a->base + phase_mix(x) % lines * LINE, sizeof word);
			x = x * 6364136223846793005u + word + 1;
		}
	*sum += x;
	return (clock_ns() - start) / READS;
}

static int commits_measure(const struct area *a, int lines_only, double *ns)
{
	uint64_t lines = a->size / LINE, n = lines_only ? COMMITS : SLOW_COMMITS, random = 0;
	double start;

	if (!lines_only && fdatasync(a->fd)) /* of the pages that area_map has touched */
		return errno;
	start = clock_ns();
	for (uint64_t i = 0; i < n; i++) {
		for (unsigned int k = 0; k < LINES; k++) {
			unsigned char *line = a->base + phase_mix(++random) % lines * LINE;

			memcpy(line, &random, sizeof random);
			if (lines_only)
				pmem_flush(line, LINE);
		}
		if (lines_only)
			pmem_drain();
		else if (fdatasync(a->fd))
			return errno;
	}
	*ns = (clock_ns() - start) / (double)n;
	return 0;
}

static int stream_measure(const struct area *a, int lines_only, double *ns)
{
	unsigned char source[4096];
	size_t size = (a->size < STREAM_MAX ? a->size : STREAM_MAX) / sizeof source * sizeof source;
	double start;

	for (size_t i = 0; i < sizeof source;
	     i++) /* lines of zeros are written faster on some machines */
		source[i] = (unsigned char)(phase_mix(i) | 1);
	start = clock_ns();
	for (size_t at = 0; at < size; at += sizeof source)
		if (lines_only)
			pmem_memcpy(a->base + at, source, sizeof source,
			            PMEM_F_MEM_NONTEMPORAL | PMEM_F_MEM_NODRAIN);
		else
			memcpy(a->base + at, source, sizeof source);
	if (lines_only)
		pmem_drain();
	else if (fdatasync(a->fd))
		return errno;
	*ns = (clock_ns() - start) / (double)size;
	return 0;
}

int floor_measure(const struct bench_config *config, const char *path, struct floor *floor)
{
	struct area a = {-1, NULL, 0};
	uint64_t sum = 0;
	int sync = 0, err = area_map(path, config->file_size, &a, &sync);

	if (err)
		return err;
	floor->lines =
	    strcmp(config->pmem, "force") == 0 || (sync && strcmp(config->pmem, "file") != 0);
	floor->read_ns = reads_measure(&a, &sum);
	err = commits_measure(&a, floor->lines, &floor->commit_ns);
	if (!err)
		err = stream_measure(&a, floor->lines, &floor->stream_ns);
	/* Kept, so that no compiler drops the reads. */
	memcpy(a.base, &sum, sizeof sum);
	area_unmap(&a);
	return err;
}

double floor_of(const struct bench_config *config, const struct bench_phase *phase,
                const struct floor *floor)
{
	if (phase->floor_streams)
		return floor->stream_ns *
		       (double)(config->key_size + phase_value_size(config, phase->store));
	return phase->floor_reads * floor->read_ns + phase->floor_commits * floor->commit_ns;
}
