/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c - kv load: see load.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "load.h"
#include "store.h"

#define BATCH_RECORDS 1000u
#define BATCH_BYTES   (16u << 20)
#define SHOW_SECONDS  0.2

/* ---- lines ---------------------------------------------------------------------------------------------------------------- */

int load_line(const struct load *load, struct load_input *input)
{
	ssize_t n;

	if (input->again) {
		input->again = false;
		return 1;
	}
	errno = 0;
	n = getline(&input->line, &input->room, input->file);
	if (n < 0 && (ferror(input->file) || errno == ENOMEM)) {
		call_fail_sys(load->call, errno, "cannot read '%s'", input->path);
		return -1;
	}
	if (n < 0)
		return 0;
	input->number++;
	input->size = (size_t)n;
	if (input->line[input->size - 1] == '\n')
		input->line[--input->size] = '\0';
	return 1;
}

int load_bad_line(const struct load *load, const struct load_input *input, const char *what)
{
	return call_fail_as(load->call, EXIT_USAGE, "%s: line %" PRIu64 ": %s (%" PRIu64 " records of it are durable)", input->path,
	                    input->number, what, load->durable);
}

/* ---- batches -------------------------------------------------------------------------------------------------------------- */

static double seconds_since(const struct timespec *then, struct timespec *now)
{
	clock_gettime(CLOCK_MONOTONIC, now);
	return (double)(now->tv_sec - then->tv_sec) + (double)(now->tv_nsec - then->tv_nsec) / 1e9;
}

/* show_progress - one line, overwritten again and again; last: it stays. */
static void show_progress(struct load *load, bool last)
{
	struct timespec now;
	double seconds;

	if (!load->progress || (!last && seconds_since(&load->shown, &now) < SHOW_SECONDS))
		return;
	seconds = seconds_since(&load->start, &now);
	load->shown = now;
	fprintf(stderr, "\r%" PRIu64 " records, %.1f MiB, %.0f records/s  %s", load->durable, (double)load->durable_bytes / (1 << 20),
	        seconds > 0 ? (double)load->durable / seconds : 0.0, last ? "\n" : "");
}

/* commit - make the batch durable and say so. */
static int commit(struct load *load)
{
	bool any = load->records > 0;
	int status = store_commit(load->call);

	if (status != EXIT_OK)
		return status;
	load->durable += load->records;
	load->durable_bytes += load->bytes;
	load->records = load->bytes = 0;
	show_progress(load, false);
	if (!load->call->opt.ack || !any)
		return EXIT_OK;
	printf("%" PRIu64 "\n", load->durable);
	return call_output(load->call, true);
}

int load_room(struct load *load, uint64_t size)
{
	int status;

	if (load->records == 0 ||
	    (load->records < load->batch_records && load->bytes <= load->batch_bytes && size <= load->batch_bytes - load->bytes))
		return EXIT_OK;
	status = commit(load);
	return status != EXIT_OK ? status : store_begin(load->call, 0);
}

int load_added(struct load *load, uint64_t size)
{
	int status;

	load->records++;
	load->bytes += size;
	if (load->records < load->batch_records && load->bytes < load->batch_bytes)
		return EXIT_OK;
	status = commit(load);
	return status != EXIT_OK ? status : store_begin(load->call, 0);
}

int load_put(struct load *load, const struct daxkv_val *key, struct daxkv_val *value)
{
	uint64_t size = key->size + value->size;
	char text[80], what[128];
	int err, status = load_room(load, size);

	if (status != EXIT_OK)
		return status;
	err = daxkv_put(load->call->txn, load->call->db, key, value, 0);
	if (err == 0)
		return load_added(load, size);
	snprintf(what, sizeof what, "cannot put '%s'; %" PRIu64 " records are durable", bytes_text(key, text, sizeof text), load->durable);
	return call_fail(load->call, err, what);
}

int load_database(struct load *load, const struct daxkv_val *name, unsigned int flags)
{
	struct call *call = load->call;
	int status;

	if (name == NULL && call->opt.has_db)
		name = &call->opt.db;
	if (call->db != DAXKV_MAIN) { /* a handle is closed while no transaction uses it */
		status = commit(load);
		if (status != EXIT_OK)
			return status;
		daxkv_db_close(call->kv, call->db);
		status = store_begin(call, 0);
		if (status != EXIT_OK)
			return status;
	}
	return store_select(call, name, name != NULL || flags != 0 ? flags | DAXKV_CREATE : 0);
}

/* ---- the command ---------------------------------------------------------------------------------------------------------- */

enum load_format { FORMAT_UNKNOWN, FORMAT_TSV, FORMAT_MDB, FORMAT_DIR };

/* input_open - INPUT: a directory, or lines. */
static int input_open(const struct load *load, struct load_input *input, enum load_format *format)
{
	const struct call *call = load->call;
	const char *path = call->n_operands == 1 ? call->operands[0] : "-", *wanted = call->opt.format;
	struct stat st;

	*format = wanted == NULL ? FORMAT_UNKNOWN : *wanted == 't' ? FORMAT_TSV : *wanted == 'm' ? FORMAT_MDB : FORMAT_DIR;
	*input = (struct load_input){.path = path};
	if (strcmp(path, "-") == 0) {
		input->path = "standard input";
		input->file = stdin;
		return *format == FORMAT_DIR ? call_fail_as(call, EXIT_USAGE, "--format dir needs a directory") : EXIT_OK;
	}
	if (stat(path, &st) != 0)
		return call_fail_sys(call, errno, "cannot read '%s'", path);
	if (*format == FORMAT_UNKNOWN && S_ISDIR(st.st_mode))
		*format = FORMAT_DIR;
	if (*format == FORMAT_DIR)
		return S_ISDIR(st.st_mode) ? EXIT_OK : call_fail_sys(call, ENOTDIR, "cannot read '%s'", path);
	if (S_ISDIR(st.st_mode))
		return call_fail_sys(call, EISDIR, "cannot read '%s'", path);
	input->file = fopen(path, "re");
	return input->file != NULL ? EXIT_OK : call_fail_sys(call, errno, "cannot read '%s'", path);
}

/* input_guess - a dump begins with its version. */
static int input_guess(const struct load *load, struct load_input *input, enum load_format *format)
{
	int got;

	if (*format != FORMAT_UNKNOWN)
		return EXIT_OK;
	got = load_line(load, input);
	if (got < 0)
		return EXIT_SYSTEM;
	*format =
	    got > 0 && strncmp(input->line, "VERSION=", 8) == 0 && memchr(input->line, '\t', input->size) == NULL ? FORMAT_MDB : FORMAT_TSV;
	input->again = got > 0;
	return EXIT_OK;
}

/* load_all - open the store and read the input into it. */
static int load_all(struct load *load, struct load_input *input, enum load_format format)
{
	struct call *call = load->call;
	int status = store_open(call, DAXKV_CREATE, NULL);

	if (status == EXIT_OK)
		status = store_begin(call, 0);
	if (status == EXIT_OK && format != FORMAT_MDB) /* a dump names its databases */
		status = load_database(load, NULL, call->opt.db_flags);
	if (status != EXIT_OK)
		return status;
	clock_gettime(CLOCK_MONOTONIC, &load->start);
	if (format == FORMAT_DIR)
		status = load_dir(load, call->operands[0]);
	else if (format == FORMAT_MDB)
		status = load_mdb(load, input);
	else
		status = load_tsv(load, input);
	if (status == EXIT_OK)
		status = commit(load);
	show_progress(load, true);
	return status;
}

int run_load(struct call *call)
{
	struct load load = {
	    .call = call,
	    .batch_records = call->opt.batch != 0 ? call->opt.batch : BATCH_RECORDS,
	    .batch_bytes = call->opt.batch != 0 ? UINT64_MAX : BATCH_BYTES,
	    .progress = isatty(STDERR_FILENO) == 1,
	};
	struct load_input input;
	enum load_format format;
	int status = input_open(&load, &input, &format);

	if (status == EXIT_OK && input.file != NULL)
		status = input_guess(&load, &input, &format);
	if (status == EXIT_OK)
		status = load_all(&load, &input, format);
	free(input.line);
	if (input.file != NULL && input.file != stdin)
		fclose(input.file);
	return status;
}
