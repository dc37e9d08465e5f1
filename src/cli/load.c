/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c - kv load: see load.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "call_store.h"
#include "load.h"
#include "progress.h"

#define BATCH_ENTRIES 100000u
#define BATCH_BYTES   (16u << 20)
#define BATCH_MS      100
#define BATCH_STEP    1000u /* entries: so often it is looked whether the batch shall end */

/* durable - how many entries of those that were committed are, now. BUSY: in a transaction, where
 * all are. */
static uint64_t durable(const struct load *load)
{
	int err = 0;

	if (load->lazy && load->committed)
		err = daxkv_sync(load->call->store);
	return err == 0 || err == DAXKV_BUSY ? load->committed : 0;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* line_first - what the first line tells of the text: a byte order mark is no part of it. False,
 * printed: it is not in UTF-8 or bytes. */
static bool line_first(const struct load *load, struct load_input *input)
{
	const unsigned char *p = (const unsigned char *)input->line;

	if (input->size >= 2 &&
	    ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff))) {
		load_bad_line(load, input,
		              "the text begins as one in UTF-16: convert it to UTF-8, or write "
		              "these bytes as \\xHH");
		return false;
	}
	if (input->size >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		input->size -= 3;
		memmove(input->line, input->line + 3, input->size + 1);
	}
	return true;
}

/* line_end - take the line's end off: LF, or CR LF where the first line ends so. A CR that may be
 * data is never dropped, and one that may be a line's end is never data. False, printed. */
static bool line_end(const struct load *load, struct load_input *input)
{
	bool lf = input->size > 0 && input->line[input->size - 1] == '\n', cr;

	input->size -= lf;
	cr = input->size > 0 && input->line[input->size - 1] == '\r';
	if (input->number == 1)
		input->crlf = lf && cr;
	if (cr != input->crlf && (lf || cr)) {
		load_bad_line(load, input,
		              input->crlf ? "it does not end in CR LF, as the first line does"
		                          : "it ends in a carriage return: as data that is \\x0d, "
		                            "as a line's end the first line must have it too");
		return false;
	}
	input->size -= cr;
	input->line[input->size] = '\0';
	return true;
}

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
		return LOAD_FAILED;
	}
	if (n < 0)
		return 0;
	input->number++;
	input->size = (size_t)n;
	if (input->number == 1 && !line_first(load, input))
		return LOAD_REFUSED;
	if (input->size == 0) /* a byte order mark, and nothing else */
		return 0;
	return line_end(load, input) ? 1 : LOAD_REFUSED;
}

int load_bad_line(const struct load *load, const struct load_input *input, const char *what)
{
	return call_fail_as(load->call, EXIT_USAGE,
	                    "%s: line %" PRIu64 ": %s (%" PRIu64 " entries of it are durable)",
	                    input->path, input->number, what, durable(load));
}

/* ---- batches --------------------------------------------------------------------------------- */

/* database_select - open the database that the entries are for, in the running transaction. */
static int database_select(struct load *load)
{
	const struct daxkv_val name = {load->name_size, load->name};

	if (load->name == NULL)
		return store_select(load->call, NULL,
		                    load->db_flags != 0 ? load->db_flags | DAXKV_CREATE : 0);
	return store_select(load->call, &name, load->db_flags | DAXKV_CREATE);
}

/* begin - a transaction with the database. */
static int begin(struct load *load)
{
	int status = store_begin(load->call, 0);

	return status == EXIT_OK ? database_select(load) : status;
}

/* put_some - store the next n of what was gathered. An exit status; where smaller is not NULL and
 * there was no room for them, it is set instead. */
static int put_some(struct load *load, size_t n, bool *smaller)
{
	struct call *call = load->call;
	char text[80], line[32] = "", what[192];

	for (size_t end = load->put + n; load->put < end; load->put++) {
		const struct load_pair *r = &load->gathered[load->put];
		char *p = load->data + load->data_put;
		struct daxkv_val key = {r->key_size, p}, value = {r->value_size, p + r->key_size};
		int err = daxkv_put(call->txn, call->db, &key, &value, 0);

		if (smaller != NULL && (err == DAXKV_FULL || err == ENOSPC)) {
			*smaller = true;
			return EXIT_OK;
		}
		if (err != 0) {
			if (r->line != 0)
				snprintf(line, sizeof line, " of line %" PRIu64, r->line);
			snprintf(what, sizeof what,
			         "cannot put '%s'%s; %" PRIu64 " entries are durable",
			         bytes_text(&key, text, sizeof text), line, durable(load));
			return call_fail(call, err, what);
		}
		load->data_put += r->key_size + r->value_size;
	}
	return EXIT_OK;
}

static void gathered_forget(struct load *load)
{
	load->n_gathered = load->data_size = load->put = load->data_put = 0;
}

/* put_gathered - store what was gathered. */
static int put_gathered(struct load *load)
{
	int status = put_some(load, load->n_gathered, NULL);

	if (status == EXIT_OK)
		gathered_forget(load);
	return status;
}

/* store_gathered - in the transaction that is running then. */
static int store_gathered(struct load *load)
{
	int status = load->call->txn == NULL ? begin(load) : EXIT_OK;

	return status == EXIT_OK ? put_gathered(load) : status;
}

/* committed - n entries of so many bytes are: durable, when they are acknowledged. */
static int committed(struct load *load, uint64_t n, uint64_t bytes)
{
	load->committed += n;
	load->entries -= n;
	load->bytes -= bytes;
	progress_add(n);
	progress_add_bytes(bytes);
	if (!load->call->opt.ack || n == 0)
		return EXIT_OK;
	printf("%" PRIu64 "\n", load->committed);
	return call_output(load->call, true);
}

/* commit_by_steps - what was gathered, in smaller transactions: they need less room, and what fits
 * is kept. */
static int commit_by_steps(struct load *load)
{
	int status = EXIT_OK;

	daxkv_txn_abort(load->call->txn);
	load->call->txn = NULL;
	load->call->db = DAXKV_MAIN; /* a handle that the transaction made is gone */
	load->put = load->data_put = 0;
	while (status == EXIT_OK && load->put < load->n_gathered) {
		const size_t put = load->put, data = load->data_put;
		size_t n = load->n_gathered - put;

		if (n > BATCH_STEP)
			n = BATCH_STEP;
		status = begin(load);
		if (status == EXIT_OK)
			status = put_some(load, n, NULL);
		if (status == EXIT_OK)
			status = store_commit(load->call);
		if (status == EXIT_OK)
			status = committed(load, load->put - put, load->data_put - data);
	}
	if (status == EXIT_OK)
		gathered_forget(load);
	return status;
}

int load_commit(struct load *load)
{
	bool smaller = false;
	bool may = load->call->opt.batch == 0 && load->call->txn == NULL;
	int status = load->call->txn == NULL ? begin(load) : EXIT_OK;

	if (status == EXIT_OK)
		status = put_some(load, load->n_gathered, may ? &smaller : NULL);
	if (status == EXIT_OK && smaller)
		return commit_by_steps(load);
	if (status == EXIT_OK)
		status = store_commit(load->call);
	if (status != EXIT_OK)
		return status;
	gathered_forget(load);
	return committed(load, load->entries, load->bytes);
}

static bool overfull(const struct load *load, uint64_t size)
{
	return load->entries > 0 &&
	       (load->entries >= load->batch_entries || load->bytes > load->batch_bytes ||
	        size > load->batch_bytes - load->bytes);
}

int load_room(struct load *load, uint64_t size)
{
	int status = overfull(load, size) ? load_commit(load) : EXIT_OK;

	return status == EXIT_OK ? store_gathered(load) : status;
}

/* waits - whether the next entry has to be waited for. */
static bool waits(const struct load *load)
{
	struct pollfd input = {.fd = load->fd, .events = POLLIN};

	return load->fd >= 0 && poll(&input, 1, 0) == 0;
}

/* due - whether the batch ends here: it is full, or, where its size was not given, the entries in
 * it have waited, or would have to wait for more input. */
static bool due(struct load *load)
{
	if (load->entries >= load->batch_entries || load->bytes >= load->batch_bytes)
		return true;
	if (load->call->opt.batch != 0 || load->entries % BATCH_STEP != 0)
		return false;
	return store_now_ms() - load->began >= BATCH_MS || waits(load);
}

int load_added(struct load *load, uint64_t size)
{
	if (load->entries == 0)
		load->began = store_now_ms();
	load->entries++;
	load->bytes += size;
	if (!due(load))
		return EXIT_OK;
	const int status = load_commit(load);

	/* what was loaded is no less durable while an input is silent */
	return status == EXIT_OK && load->lazy && waits(load) ? store_sync(load->call) : status;
}

/* room_for - have *list hold want more elements of size bytes behind the n that are there. */
static bool room_for(void **list, size_t *room, size_t n, size_t want, size_t size)
{
	size_t more = *room != 0 ? *room : 1024;
	void *larger;

	if (want > SIZE_MAX / size - n)
		return false;
	if (*list != NULL && n + want <= *room)
		return true;
	while (more < n + want)
		more = more > SIZE_MAX / size / 2 ? n + want : 2 * more;
	larger = realloc(*list, more * size);
	if (larger == NULL)
		return false;
	*list = larger;
	*room = more;
	return true;
}

bool load_gathers(uint64_t size)
{
	return size <= BATCH_BYTES;
}

static bool gather(struct load *load, const struct daxkv_val *key, const struct daxkv_val *value)
{
	void *data = load->data, *gathered = load->gathered;
	bool room = room_for(&data, &load->data_room, load->data_size, key->size + value->size, 1);

	load->data = data;
	room = room && room_for(&gathered, &load->gathered_room, load->n_gathered, 1,
	                        sizeof *load->gathered);
	load->gathered = gathered;
	if (!room)
		return false;
	load->gathered[load->n_gathered++] = (struct load_pair){
	    key->size, value->size, load->input != NULL ? load->input->number : 0};
	memcpy(load->data + load->data_size, key->data, key->size);
	if (value->size > 0)
		memcpy(load->data + load->data_size + key->size, value->data, value->size);
	load->data_size += key->size + value->size;
	return true;
}

int load_put(struct load *load, const struct daxkv_val *key, const struct daxkv_val *value)
{
	uint64_t size = key->size + value->size;
	int status = overfull(load, size) ? load_commit(load) : EXIT_OK;

	if (status == EXIT_OK && load->data_size > 0 && load->by_parts &&
	    !load_gathers(load->data_size + size))
		status = store_gathered(load);
	if (status != EXIT_OK)
		return status;
	if (!gather(load, key, value))
		return call_fail_sys(load->call, ENOMEM,
		                     "cannot gather %" PRIu64 " entries for a transaction",
		                     load->entries + 1);
	return load_added(load, size);
}

int load_database(struct load *load, const struct daxkv_val *name, unsigned int flags)
{
	struct call *call = load->call;
	int status = load->started ? load_commit(load) : EXIT_OK;

	if (status != EXIT_OK)
		return status;
	if (call->db != DAXKV_MAIN) /* a handle is closed while no transaction uses it */
		daxkv_db_close(call->store, call->db);
	call->db = DAXKV_MAIN;
	load->started = true;
	if (name == NULL && call->opt.has_db)
		name = &call->opt.db;
	free(load->name);
	load->name = NULL;
	load->db_flags = flags;
	if (name == NULL)
		return EXIT_OK;
	load->name_size = name->size;
	load->name = malloc(name->size + 1);
	if (load->name == NULL)
		return call_fail_sys(call, ENOMEM, "cannot load");
	if (name->size > 0)
		memcpy(load->name, name->data, name->size);
	return EXIT_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

enum load_format { FORMAT_UNKNOWN, FORMAT_TSV, FORMAT_MDB, FORMAT_DIR };

/* input_open - INPUT: a directory, or lines. */
static int input_open(const struct load *load, struct load_input *input, enum load_format *format)
{
	const struct call *call = load->call;
	const char *path = call->n_operands == 1 ? call->operands[0] : "-",
	           *wanted = call->opt.format;
	struct stat st;

	*format = wanted == NULL   ? FORMAT_UNKNOWN
	          : *wanted == 't' ? FORMAT_TSV
	          : *wanted == 'm' ? FORMAT_MDB
	                           : FORMAT_DIR;
	*input = (struct load_input){.path = path};
	if (strcmp(path, "-") == 0) {
		input->path = "standard input";
		input->file = stdin;
		return *format == FORMAT_DIR
		           ? call_fail_as(call, EXIT_USAGE, "--format dir needs a directory")
		           : EXIT_OK;
	}
	if (stat(path, &st) != 0)
		return call_fail_sys(call, errno, "cannot read '%s'", path);
	if (*format == FORMAT_UNKNOWN && S_ISDIR(st.st_mode))
		*format = FORMAT_DIR;
	if (*format == FORMAT_DIR)
		return S_ISDIR(st.st_mode) ? EXIT_OK
		                           : call_fail_sys(call, ENOTDIR, "cannot read '%s'", path);
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
		return load_status(got);
	*format = got > 0 && strncmp(input->line, "VERSION=", 8) == 0 &&
	                  memchr(input->line, '\t', input->size) == NULL
	              ? FORMAT_MDB
	              : FORMAT_TSV;
	input->again = got > 0;
	return EXIT_OK;
}

/* load_all - open the store and read the input into it. */
static int load_all(struct load *load, struct load_input *input, enum load_format format)
{
	struct call *call = load->call;
	int status = store_open_or_make(call);
	bool begun;

	if (status == EXIT_OK && format != FORMAT_MDB) { /* a dump names its databases */
		status = load_database(load, NULL, call->opt.db_flags);
		if (status ==
		    EXIT_OK) { /* before input is waited for: what cannot be is told at once */
			status = begin(load);
			daxkv_txn_abort(call->txn);
			call->txn = NULL;
			call->db = DAXKV_MAIN;
		}
	}
	if (status != EXIT_OK)
		return status;
	load->lazy = !call->opt.ack && store_lazy(call);
	begun = call->opt.ack ? progress_begin_beside_output(call, "entries")
	                      : progress_begin(call, "entries", 0);
	if (format == FORMAT_DIR)
		status = load_dir(load, call->operands[0]);
	else if (format == FORMAT_MDB)
		status = load_mdb(load, input);
	else
		status = load_tsv(load, input);
	if (status == EXIT_OK)
		status = load_commit(load);
	if (status == EXIT_OK && load->lazy)
		status = store_sync(call);
	if (begun)
		progress_stays();
	progress_end(begun);
	return status;
}

int run_load(struct call *call)
{
	struct load load = {
	    .call = call,
	    .batch_entries = call->opt.batch != 0 ? call->opt.batch : BATCH_ENTRIES,
	    .batch_bytes = call->opt.batch != 0 ? UINT64_MAX : BATCH_BYTES,
	    .fd = -1,
	};
	struct load_input input;
	enum load_format format;
	int status = input_open(&load, &input, &format);

	if (status == EXIT_OK && input.file != NULL) {
		load.fd = fileno(input.file);
		load.input = &input;
		status = input_guess(&load, &input, &format);
	}
	if (status == EXIT_OK)
		status = load_all(&load, &input, format);
	free(input.line);
	free(load.data);
	free(load.gathered);
	free(load.name);
	if (input.file != NULL && input.file != stdin)
		fclose(input.file);
	return status;
}
