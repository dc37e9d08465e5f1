/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue.c - a queue between processes. Any number of processes may push and pop at the same time.
 * An item is never lost, and never given to two of them.
 *
 * The main database has integer keys: an item's key is its number. One write transaction runs at a
 * time, over all processes, so that a process which looks for the last number and adds one to it is
 * alone with that number. daxkv_txn_begin waits for its turn. When a process dies inside a
 * transaction, the item stays where it was, and the next process does not have to wait.
 *
 * An item is printed when its removal is durable. A process that is killed between the two takes
 * the item with it. A program that must not lose an item does the item's work before the commit,
 * and then may do it twice.
 *
 * usage: queue STORE push TEXT    the status is 0 when the item is durable
 *        queue STORE pop          prints the oldest item; the status is 1 when there is none
 * build: cc queue.c $(pkg-config --cflags --libs daxkv)
 */
#include <daxkv.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int push(struct daxkv_txn *txn, char *text)
{
	struct daxkv_val key, value;
	struct daxkv_cursor *cursor;
	uint64_t number = 0;
	int err = daxkv_cursor_open(txn, DAXKV_MAIN, &cursor);

	if (err)
		return err;
	err = daxkv_cursor_get(cursor, &key, &value, DAXKV_LAST);
	if (!err) {
		memcpy(&number, key.data, sizeof number);
		number++;
	} else if (err == DAXKV_NOT_FOUND) {
		err = 0; /* the queue is empty: its numbers begin again */
	}
	if (!err) {
		key = (struct daxkv_val){sizeof number, &number};
		value = (struct daxkv_val){strlen(text), text};
		err = daxkv_cursor_put(cursor, &key, &value, DAXKV_APPEND);
	}
	daxkv_cursor_close(cursor);
	return err;
}

/* pop - take the oldest item out of the queue. *text is the caller's to free. */
static int pop(struct daxkv_txn *txn, char **text)
{
	struct daxkv_val key, value;
	struct daxkv_cursor *cursor;
	int err = daxkv_cursor_open(txn, DAXKV_MAIN, &cursor);

	if (err)
		return err;
	err = daxkv_cursor_get(cursor, &key, &value, DAXKV_FIRST);
	if (!err) {
		/* The value is valid until the next change, which is the deletion: copy it. */
		*text = malloc(value.size + 1);
		if (*text) {
			memcpy(*text, value.data, value.size);
			(*text)[value.size] = '\0';
			err = daxkv_cursor_del(cursor, 0);
		} else {
			err = ENOMEM;
		}
	}
	daxkv_cursor_close(cursor);
	return err;
}

/* run - one write transaction that pushes text, or with text NULL pops *out. */
static int run(struct daxkv_store *store, char *text, char **out)
{
	struct daxkv_txn *txn;
	daxkv_db items;
	int err = daxkv_txn_begin(store, NULL, 0, &txn);

	if (err)
		return err;
	/* The main database takes flags while it is empty; afterwards they must be the same. */
	err = daxkv_db_open(txn, NULL, DAXKV_CREATE | DAXKV_INTEGER_KEY, &items);
	if (!err)
		err = text ? push(txn, text) : pop(txn, out);
	if (!err)
		return daxkv_txn_commit(txn);
	daxkv_txn_abort(txn);
	return err;
}

int main(int argc, char **argv)
{
	const struct daxkv_options options = {.flags = DAXKV_CREATE};
	int pushes = argc == 4 && strcmp(argv[2], "push") == 0;
	int pops = argc == 3 && strcmp(argv[2], "pop") == 0;
	struct daxkv_store *store;
	char *out = NULL;

	if (!pushes && !pops) {
		fprintf(stderr, "usage: queue STORE push TEXT | queue STORE pop\n");
		return 2;
	}
	int err = daxkv_open(argv[1], &options, &store);
	if (!err) {
		err = run(store, pushes ? argv[3] : NULL, &out);
		int close_err = daxkv_close(store);
		if (!err)
			err = close_err;
	}
	if (out && !err)
		puts(out);
	free(out);
	if (pops && err == DAXKV_NOT_FOUND)
		return 1; /* the queue is empty */
	if (err)
		fprintf(stderr, "queue: %s: %s\n", argv[1], daxkv_strerror(err));
	return err ? 3 : 0;
}
