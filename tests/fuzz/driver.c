/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * driver.c - a fuzz target without libFuzzer: the same inputs every time.
 *
 *   fuzz-NAME [--cases N] [--seed S] [--jobs N] inputs S to S + N - 1 (1000, 0): the first are
 *     sound, the others mutations of these
 *   fuzz-NAME --corpus DIR                           write the sound inputs to DIR
 *   fuzz-NAME FILE... try these inputs, such as those that libFuzzer found
 */
#include "fuzz.h"
#include "jobs.h"
#include "rng.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SEEDS_MAX 64u
#define DEPTH     6u /* mutations, one upon the other */

static struct {
	uint8_t *bytes;
	size_t size;
} seeds[SEEDS_MAX];
static unsigned int seeds_count;

static bool try_one(uint64_t number, uint64_t counters[JOBS_COUNTERS], void *arg)
{
	uint8_t *data = malloc(FUZZ_INPUT_MAX);
	unsigned int seed = (unsigned int)(number % seeds_count);
	size_t size = seeds[seed].size;

	(void)arg;
	if (!data)
		return false;
	memcpy(data, seeds[seed].bytes, size);
	for (uint64_t n = number < seeds_count
	                      ? 0
	                      : 1 + rng_mix(number) % (1 + rng_mix(number + 1) % DEPTH),
	              i = 0;
	     i < n; i++)
		size = fuzz_mutate(data, size, FUZZ_INPUT_MAX, rng_mix(number * DEPTH + i));
	uint8_t *exact = malloc(size ? size : 1); /* a sanitizer sees what is read behind its end */

	if (!exact)
		return false;
	memcpy(exact, data, size);
	free(data);
	counters[0]++;
	(void)LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return true;
}

static int file_try(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(FUZZ_INPUT_MAX);

	if (!f || !data) {
		perror(path);
		return 1;
	}
	size_t size = fread(data, 1, FUZZ_INPUT_MAX, f);

	fclose(f);
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
	printf("%s: tried\n", path);
	return 0;
}

static int corpus_write(const char *dir)
{
	char path[4096];

	if (mkdir(dir, 0777) != 0 && errno != EEXIST) {
		perror(dir);
		return 1;
	}
	for (unsigned int i = 0; i < seeds_count; i++) {
		snprintf(path, sizeof path, "%s/sound-%u", dir, i);
		FILE *f = fopen(path, "wb");

		if (!f || fwrite(seeds[i].bytes, 1, seeds[i].size, f) != seeds[i].size ||
		    fclose(f) != 0) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"cases", 1, NULL, 'c'},
	                                        {"jobs", 1, NULL, 'j'},
	                                        {"seed", 1, NULL, 's'},
	                                        {"corpus", 1, NULL, 'o'},
	                                        {0}};
	uint64_t counters[JOBS_COUNTERS] = {0}, cases = 1000, first = 0;
	unsigned int jobs = jobs_processors();
	const char *corpus = NULL;
	char replay[128];
	int c, status = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t number = optarg ? strtoul(optarg, NULL, 10) : 0;

		if (c == 'c' && number)
			cases = number;
		else if (c == 'j' && number)
			jobs = (unsigned int)number;
		else if (c == 's')
			first = number;
		else if (c == 'o')
			corpus = optarg;
		else
			return fprintf(stderr,
			               "usage: fuzz-%s [--cases N] [--seed S] [--jobs N] | "
			               "--corpus DIR | FILE...\n",
			               fuzz_name),
			       2;
	}
	for (; optind < argc; optind++) {
		status |= file_try(argv[optind]);
		if (optind + 1 == argc)
			return status;
	}
	while (seeds_count < SEEDS_MAX &&
	       (seeds[seeds_count].size = fuzz_seed(seeds_count, &seeds[seeds_count].bytes)) > 0)
		seeds_count++;
	if (corpus) {
		status = corpus_write(corpus);
	} else {
		snprintf(replay, sizeof replay, "build/tests/fuzz-%s --cases 1 --seed %%lu",
		         fuzz_name);
		status = jobs_run(jobs, first, first + cases, 1, try_one, NULL, replay, counters)
		             ? 0
		             : 1;
		printf("fuzz-%s: %lu inputs\n", fuzz_name, (unsigned long)counters[0]);
	}
	for (unsigned int i = 0; i < seeds_count; i++)
		free(seeds[i].bytes);
	return status;
}
