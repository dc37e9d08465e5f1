/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_load.c - what kv load reads as input: lines of key TAB value, the text format of mdb_dump,
 * in kv's own variant too.
 *
 * The first byte chooses options, the rest is the file. Whatever the input, the command ends by
 * itself with an exit status of its own, and leaves a store that the checker passes. And what was
 * loaded, dumped and loaded again gives the same dump: the format keeps everything.
 */
#include "command.h"
#include "fuzz.h"
#include "rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char fuzz_name[] = "load";

static const char *const seeds[] = {
    "\1apple\tred\npear\tgreen\nq\\x00\\\\\t\\x0a\nkey without value\t\n",
    "\2VERSION=3\nformat=bytevalue\ntype=btree\nmapsize=1048576\nmaxreaders=126\nHEADER=END\n "
    "6b6579\n 76616c7565\n 00\n \n ff00\n "
    "aa\nDATA=END\n",
    "\0VERSION=3\nformat=print\ndatabase=fruits\ntype=btree\nHEADER=END\n apple\n red\\0agreen\n "
    "b\\\\c\n \\00\nDATA=END\n",
    "\0VERSION=3\nformat=bytevalue\ndatabase=dups\ntype=btree\nduplicates=1\ndupsort=1\nHEADER="
    "END\n 6b\n 01\n 6b\n 02\n 6c\n "
    "01\nDATA=END\n"
    "VERSION=3\nformat=bytevalue\ndatabase=ints\ntype=btree\nintegerkey=1\nHEADER=END\n 01000000\n "
    "61\n 0200000000000000\n 62\nDATA=END\n",
    "\0VERSION=3\nformat=print\ndatabase=a\\0ab\\5c\nname_escaped=1\ntype=btree\nreversekey="
    "1\nHEADER=END\n xyz\n 1\nDATA=END\n",
    "\0VERSION=3\nformat=bytevalue\ndatabase=fixed\ntype=btree\ndupsort=1\ndupfixed=1\nintegerdup="
    "1\nreversedup=0\nHEADER=END\n 6b\n "
    "01000000\n 6b\n "
    "02000000\nDATA=END\nVERSION=3\nformat=print\ntype=btree\nHEADER=END\n main\n 1\nDATA=END\n",
    "\3k\tv\nk\tw\nlonger key with blanks\tand a value\n",
};

/* What the formats' readers look for. */
static const char *const words[] = {"VERSION=3\n",
                                    "HEADER=END\n",
                                    "DATA=END\n",
                                    "format=bytevalue\n",
                                    "format=print\n",
                                    "type=btree\n",
                                    "database=",
                                    "database=x\n",
                                    "dupsort=1\n",
                                    "duplicates=1\n",
                                    "dupfixed=1\n",
                                    "integerkey=1\n",
                                    "integerdup=1\n",
                                    "reversekey=1\n",
                                    "reversedup=1\n",
                                    "name_escaped=1\n",
                                    "mapsize=",
                                    "db_pagesize=4096\n",
                                    " ",
                                    "\n",
                                    "\t",
                                    "\\",
                                    "\\x",
                                    "\\00",
                                    "\\5c",
                                    "\\x00",
                                    "00",
                                    "=",
                                    "\r\n",
                                    " 6b6579\n",
                                    " 01000000\n",
                                    " 0100000000000000\n"};

size_t fuzz_seed(unsigned int i, uint8_t **bytes)
{
	/* The first byte may be zero: the text begins behind it. */
	size_t n = i < sizeof seeds / sizeof *seeds ? 1 + strlen(seeds[i] + 1) : 0;

	if (!n)
		return 0;
	*bytes = malloc(n);
	if (!*bytes)
		abort();
	memcpy(*bytes, seeds[i], n);
	return n;
}

/* ---- mutation -------------------------------------------------------------------------------- */

/* insert - n bytes at off; the new size. What does not fit is left out. */
static size_t insert(uint8_t *data, size_t size, size_t max, size_t off, const uint8_t *bytes,
                     size_t n)
{
	if (n > max - size)
		return size;
	memmove(data + off + n, data + off, size - off);
	memcpy(data + off, bytes, n);
	return size + n;
}

/* line_at - the line that off lies in: its first byte, and how many with its end. */
static size_t line_at(const uint8_t *data, size_t size, size_t off, size_t *n)
{
	size_t from = off, to = off;

	while (from > 0 && data[from - 1] != '\n')
		from--;
	while (to < size && data[to] != '\n')
		to++;
	*n = to - from + (to < size);
	return from;
}

static size_t lines_mutate(struct rng *rng, uint8_t *data, size_t size, size_t max)
{
	size_t n, from = line_at(data, size, rng_below(rng, size), &n), at;
	uint8_t copy[4096];

	n = n < sizeof copy ? n : sizeof copy;
	memcpy(copy, data + from, n);
	switch (rng_below(rng, 3)) {
	case 0:
		memmove(data + from, data + from + n, size - from - n);
		return size - n;
	case 1:
		return insert(data, size, max, from, copy, n);
	default: /* to another place */
		memmove(data + from, data + from + n, size - from - n);
		size -= n;
		at = size ? line_at(data, size, rng_below(rng, size), &(size_t){0}) : 0;
		return insert(data, size, max, at, copy, n);
	}
}

static size_t bytes_mutate(struct rng *rng, uint8_t *data, size_t size, size_t max)
{
	uint8_t run[2000];
	size_t at = rng_below(rng, size), n = 1 + rng_below(rng, 8);

	switch (rng_below(rng, 4)) {
	case 0:
		data[at] = (uint8_t)rng_next(rng);
		return size;
	case 1:
		data[at] ^= (uint8_t)(1u << rng_below(rng, 8));
		return size;
	case 2:
		n = n < size - at ? n : size - at;
		memmove(data + at, data + at + n, size - at - n);
		return size - n;
	default: /* long keys and values */
		n = rng_percent(rng, 50) ? n : rng_below(rng, sizeof run);
		memset(run, rng_percent(rng, 50) ? '0' : data[at], n);
		return insert(data, size, max, at, run, n);
	}
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t seed)
{
	struct rng rng;
	const char *word;

	rng_seed(&rng, seed);
	for (uint64_t n = 1 + rng_below(&rng, 2); n > 0 && size > 1; n--)
		switch (rng_below(&rng, 3)) {
		case 0:
			word = words[rng_below(&rng, sizeof words / sizeof *words)];
			size = insert(data, size, max, rng_below(&rng, size), (const uint8_t *)word,
			              strlen(word));
			break;
		case 1:
			size = lines_mutate(&rng, data, size, max);
			break;
		default:
			size = bytes_mutate(&rng, data, size, max);
			break;
		}
	return size;
}

/* ---- the target ------------------------------------------------------------------------------ */

static void wrong(const char *what, int status)
{
	fprintf(stderr, "fuzz-load: %s: status %d\n", what, status);
	abort();
}

/* load - kv load into a new store; its status. options: bits of the input's first byte. */
static int load(const struct memfile *store, const struct memfile *input, unsigned int options)
{
	static const char *const formats[] = {NULL, "tsv", "mdb", NULL};
	const char *arguments[16] = {"--pmem",    "force",      "load", store->path,
	                             input->path, "--max-size", "1M"};
	unsigned int n = 7;

	if (formats[options & 3]) {
		arguments[n++] = "--format";
		arguments[n++] = formats[options & 3];
	}
	if (options & 4) {
		arguments[n++] = "--batch";
		arguments[n++] = "2";
	}
	if (options & 8)
		arguments[n++] = "--dup-sort";
	if (options & 16)
		arguments[n++] = "--integer-key";
	memfile_set(store, "", 0, 0);
	return command_run(arguments, NULL);
}

/* dump - kv dump into output; its bytes. */
static size_t dump(const struct memfile *store, const struct memfile *output, bool print,
                   uint8_t **bytes)
{
	memfile_set(output, "", 0, 0);
	lseek(output->fd, 0, SEEK_SET);
	int status = command_run(
	    (const char *const[]){"dump", store->path, print ? "-p" : NULL, NULL}, output);

	if (status != 0)
		wrong("dump", status);
	return memfile_get(output, bytes);
}

/* check - the store is in order. When nothing was loaded there may be none: an empty file. */
static bool check(const struct memfile *store)
{
	uint8_t *bytes;
	size_t size = memfile_get(store, &bytes);

	free(bytes);
	if (!size)
		return false;
	int status = command_run((const char *const[]){"check", store->path, NULL}, NULL);

	if (status != 0)
		wrong("check", status);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memfile store, input, text;
	static bool made;
	uint8_t *first, *second;

	if (size < 1)
		return 0;
	if (!made) {
		memfile_open_named(&store);
		memfile_open(&input);
		memfile_open(&text);
	}
	made = true;
	memfile_set(&input, data + 1, size - 1, size - 1);
	int status = load(&store, &input, data[0]);

	if (status < 0 || status > 3)
		wrong("load", status);
	if (!check(&store) || status != 0)
		return 0;
	bool print = data[0] & 32;
	size_t n = dump(&store, &text, print, &first);

	status = load(&store, &text, 2);
	if (status != 0)
		wrong("loading the dump", status);
	(void)check(&store);
	if (dump(&store, &text, print, &second) != n || memcmp(first, second, n) != 0)
		wrong("the dump of what was loaded from a dump differs", 0);
	free(first);
	free(second);
	return 0;
}
