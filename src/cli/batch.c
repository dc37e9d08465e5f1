/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * batch.c - kv batch: lines of commands as one transaction.
 *
 * The whole script is read before the transaction begins: writers do not wait for what is still to
 * come.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call_store.h"
#include "progress.h"
#include "session.h"
#include "value.h"

/* script_open - SCRIPT, or the standard input. */
static int script_open(struct call *call, struct value_source *source)
{
	if (call->n_operands == 0 || strcmp(call->operands[0], "-") == 0)
		return value_stdin(call, source);
	return value_open(call, call->operands[0], true, source);
}

static int script_read(struct call *call, struct daxkv_val *script)
{
	struct value_source source;
	int status = script_open(call, &source);

	if (status == EXIT_OK) {
		status = value_gather(call, &source, script);
		value_close(&source);
	}
	return status;
}

/* lines_run - each line of the script, up to the first that fails. */
static int lines_run(struct session *session, const struct daxkv_val *script)
{
	char *p = script->data, *end = p + script->size;
	const char *word;
	int status = EXIT_OK;

	progress_total(script->size);
	while (p < end && status == EXIT_OK) {
		size_t size = (size_t)(end - p);
		char *line_end = memchr(p, '\n', size), *line;

		size = line_end != NULL ? (size_t)(line_end - p) : size;
		line = malloc(size + 1); /* of the last one there may be no room for its end */
		session->line++;
		progress_is((uint64_t)(p - (char *)script->data));
		if (line == NULL)
			return call_fail_sys(session->call, ENOMEM, "cannot read the script");
		memcpy(line, p, size);
		status = session_line(session, line, size, &word);
		free(line);
		p += size + 1;
	}
	return status;
}

int run_batch(struct call *call)
{
	bool begun = false;
	struct session session = {.call = call, .all_or_nothing = true, .told = true};
	struct daxkv_val script = {0, NULL};
	int status = script_read(call, &script);

	if (status == EXIT_OK)
		status = store_open(call, 0, NULL);
	if (status == EXIT_OK)
		status = store_begin(call, 0);
	if (status == EXIT_OK) {
		session.store = call->store;
		session.txn = call->txn;
		begun = progress_begin_beside_output(call, "bytes of the script");
		status = lines_run(&session, &script);
		call->reader_gone = session.reader_gone;
	}
	if (status == EXIT_OK)
		status = store_commit(call);
	progress_end(begun);
	free(script.data);
	return status;
}
