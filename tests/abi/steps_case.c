/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * steps_case.c - the cases: two cursors are placed, something is deleted in one of many ways, and
 * two or three operations follow. Each number is one choice of all of these.
 */
#include "steps.h"

#include <stddef.h>

#define LENGTH(a) (sizeof(a) / sizeof(a)[0])

const struct kind kinds[] = {
    {"plain", 0},
    {"dups", MDB_DUPSORT},
    {"fixed", MDB_DUPSORT | MDB_DUPFIXED},
    {"numbered", MDB_INTEGERKEY},
    {"integers", MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP},
    {"reverse", MDB_REVERSEKEY | MDB_DUPSORT | MDB_REVERSEDUP},
};
const unsigned int n_kinds = LENGTH(kinds);

const struct content contents[] = {
    {"small", 5, {3, 1, 2, 4}, 0},     {"pages", 40, {2, 1, 3, 5}, 180},
    {"deep", 4, {2, 300, 1, 3}, 0},    {"one key", 1, {2, 2, 2, 2}, 0},
    {"one entry", 1, {1, 1, 1, 1}, 0},
};
const unsigned int n_contents = LENGTH(contents);

static const struct step places[] = {
    {.what = GET, .op = MDB_FIRST},
    {.what = GET, .op = MDB_LAST},
    {.what = GET, .op = MDB_SET, .key = MIDDLE},
    {.what = GET, .op = MDB_SET, .key = OTHER},
    {.what = GET, .op = MDB_GET_BOTH, .key = MIDDLE, .value = MIDDLE},
    {.what = GET, .op = MDB_GET_BOTH, .key = MIDDLE, .value = LAST},
    {.what = GET, .op = MDB_SET, .key = ABSENT},
    {.what = GET, .op = MDB_SET_RANGE, .key = BEYOND},
    {.what = GET, .op = MDB_GET_BOTH, .key = MIDDLE, .value = ABSENT},
    {.what = GET, .op = MDB_GET_BOTH_RANGE, .key = MIDDLE, .value = BEYOND},
    {.what = COUNT}, /* unset */
};

static const struct step deletions[] = {
    {.what = DEL},
    {.what = DEL, .op = MDB_NODUPDATA},
    {.what = DEL, .cursor = 1},
    {.what = DEL, .cursor = 1, .op = MDB_NODUPDATA},
    {.what = TXN_DEL, .key = MIDDLE},
    {.what = TXN_DEL, .key = OTHER},
    {.what = TXN_DEL, .key = LAST},
    {.what = TXN_DEL_PAIR, .key = MIDDLE, .value = MIDDLE},
    {.what = TXN_DEL_PAIR, .key = MIDDLE, .value = LAST},
    {.what = TXN_DEL_PAIR, .key = MIDDLE, .value = FIRST},
    {.what = TXN_DROP},
    {.what = CHILD, .key = MIDDLE},
    {.what = CHILD, .op = CHILD_ABORTS, .key = MIDDLE},
    {.what = CHILD, .op = CHILD_PAIR, .key = MIDDLE, .value = MIDDLE},
    {.what = CHILD, .op = CHILD_PAIR | CHILD_ABORTS, .key = MIDDLE, .value = LAST},
    {.what = CHILD, .op = CHILD_PAIR | CHILD_CURSOR, .key = MIDDLE, .value = LAST},
    {.what = TXN_PUT, .key = ABSENT, .value = MIDDLE},
};

#define MOVE(o)                                                                                    \
	{                                                                                          \
		.what = GET, .op = (o)                                                             \
	}
#define BARE(o)                                                                                    \
	{                                                                                          \
		.what = GET, .op = (o), .no_data = true                                            \
	}
#define SEEK(o, k, v)                                                                              \
	{                                                                                          \
		.what = GET, .op = (o), .key = (k), .value = (v)                                   \
	}
#define ADD(f, k, v)                                                                               \
	{                                                                                          \
		.what = PUT, .op = (f), .key = (k), .value = (v)                                   \
	}
#define SECOND(o)                                                                                  \
	{                                                                                          \
		.what = GET, .op = (o), .cursor = 1                                                \
	}

static const struct step ops[] = {
    MOVE(MDB_NEXT),
    MOVE(MDB_NEXT_DUP),
    MOVE(MDB_NEXT_NODUP),
    MOVE(MDB_PREV),
    MOVE(MDB_PREV_DUP),
    MOVE(MDB_PREV_NODUP),
    MOVE(MDB_FIRST),
    MOVE(MDB_LAST),
    MOVE(MDB_FIRST_DUP),
    MOVE(MDB_LAST_DUP),
    MOVE(MDB_GET_CURRENT),
    MOVE(MDB_GET_MULTIPLE),
    MOVE(MDB_NEXT_MULTIPLE),
    MOVE(MDB_PREV_MULTIPLE),
    BARE(MDB_GET_CURRENT),
    BARE(MDB_NEXT),
    BARE(MDB_PREV),
    BARE(MDB_FIRST_DUP),
    BARE(MDB_NEXT_NODUP),
    BARE(MDB_NEXT_DUP),
    SEEK(MDB_SET, MIDDLE, 0),
    SEEK(MDB_SET, ABSENT, 0),
    SEEK(MDB_SET, BELOW, 0),
    SEEK(MDB_SET_KEY, OTHER, 0),
    SEEK(MDB_SET_KEY, BEYOND, 0),
    SEEK(MDB_SET_RANGE, ABSENT, 0),
    SEEK(MDB_SET_RANGE, MIDDLE, 0),
    SEEK(MDB_SET_RANGE, BEYOND, 0),
    SEEK(MDB_SET_RANGE, BELOW, 0),
    SEEK(MDB_GET_BOTH, MIDDLE, MIDDLE),
    SEEK(MDB_GET_BOTH, MIDDLE, ABSENT),
    SEEK(MDB_GET_BOTH, OTHER, FIRST),
    SEEK(MDB_GET_BOTH, ABSENT, FIRST),
    SEEK(MDB_GET_BOTH_RANGE, MIDDLE, ABSENT),
    SEEK(MDB_GET_BOTH_RANGE, MIDDLE, BEYOND),
    SEEK(MDB_GET_BOTH_RANGE, MIDDLE, BELOW),
    {.what = GET, .op = MDB_SET, .key = MIDDLE, .no_data = true},
    {.what = GET, .op = MDB_GET_BOTH, .key = MIDDLE, .no_data = true},
    ADD(0, MIDDLE, ABSENT),
    ADD(0, MIDDLE, MIDDLE),
    ADD(0, MIDDLE, BEYOND),
    ADD(0, ABSENT, FIRST),
    ADD(0, BEYOND, FIRST),
    ADD(MDB_NOOVERWRITE, MIDDLE, ABSENT),
    ADD(MDB_NOOVERWRITE, ABSENT, FIRST),
    ADD(MDB_NODUPDATA, MIDDLE, MIDDLE),
    ADD(MDB_NODUPDATA, MIDDLE, ABSENT),
    ADD(MDB_CURRENT, MIDDLE, ABSENT),
    ADD(MDB_CURRENT, MIDDLE, MIDDLE),
    ADD(MDB_CURRENT, MIDDLE, LAST),
    ADD(MDB_CURRENT, ABSENT, MIDDLE),
    ADD(MDB_APPEND, BEYOND, FIRST),
    ADD(MDB_APPEND, MIDDLE, BEYOND),
    ADD(MDB_APPENDDUP, MIDDLE, BEYOND),
    ADD(MDB_APPENDDUP, MIDDLE, MIDDLE),
    ADD(MDB_RESERVE, ABSENT, MIDDLE),
    ADD(MDB_RESERVE, MIDDLE, MIDDLE),
    ADD(MDB_MULTIPLE, MIDDLE, MIDDLE),
    ADD(MDB_MULTIPLE, ABSENT, FIRST),
    ADD(MDB_MULTIPLE | MDB_NODUPDATA, MIDDLE, FIRST),
    {.what = DEL},
    {.what = DEL, .op = MDB_NODUPDATA},
    {.what = COUNT},
    SECOND(MDB_NEXT),
    SECOND(MDB_GET_CURRENT),
    SECOND(MDB_PREV),
    SECOND(MDB_NEXT_DUP),
    SECOND(MDB_SET_KEY),
    {.what = DEL, .cursor = 1},
    {.what = COUNT, .cursor = 1},
    {.what = PUT, .cursor = 1, .key = MIDDLE, .value = ABSENT},
    {.what = PUT, .cursor = 1, .op = MDB_CURRENT, .key = MIDDLE, .value = ABSENT},
    {.what = TXN_PUT, .key = MIDDLE, .value = ABSENT},
    {.what = TXN_PUT, .key = MIDDLE, .value = BEYOND},
    {.what = TXN_PUT, .key = MIDDLE, .value = BELOW},
    {.what = TXN_PUT, .key = OTHER, .value = ABSENT},
    {.what = TXN_PUT, .key = ABSENT, .value = FIRST},
    {.what = TXN_PUT, .key = BEYOND, .value = FIRST},
    {.what = TXN_DEL, .key = OTHER},
    {.what = TXN_DEL, .key = MIDDLE},
    {.what = TXN_DEL_PAIR, .key = MIDDLE, .value = MIDDLE},
    {.what = TXN_DROP},
    {.what = CHILD, .op = CHILD_PAIR | CHILD_CURSOR, .key = MIDDLE, .value = MIDDLE},
};

/* take - one of n choices off the number. */
static unsigned int take(uint64_t *number, uint64_t n)
{
	unsigned int choice = (unsigned int)(*number % n);

	*number /= n;
	return choice;
}

uint64_t case_count(void)
{
	return (uint64_t)n_kinds * n_contents * 4 * 2 * LENGTH(places) * LENGTH(places) *
	       LENGTH(deletions) * LENGTH(ops) * LENGTH(ops) * (LENGTH(ops) + 1);
}

struct test_case case_of(uint64_t number)
{
	struct test_case t = {.n = 0};
	unsigned int third;

	t.kind = take(&number, n_kinds);
	t.content = take(&number, n_contents);
	t.step[t.n++] = places[take(&number, LENGTH(places))];
	t.step[t.n] = places[take(&number, LENGTH(places))];
	t.step[t.n++].cursor = 1;
	t.step[t.n++] = deletions[take(&number, LENGTH(deletions))];
	t.step[t.n++] = ops[take(&number, LENGTH(ops))];
	t.step[t.n++] = ops[take(&number, LENGTH(ops))];
	third = take(&number, LENGTH(ops) + 1);
	if (third)
		t.step[t.n++] = ops[third - 1];
	t.key = take(&number, 4);
	t.nested = take(&number, 2);
	return t;
}

void step_print(const struct test_case *t, const struct step *s)
{
	static const char *const whats[] = {"cursor_get",   "cursor_put", "cursor_del",
	                                    "cursor_count", "put",        "del",
	                                    "del pair",     "drop",       "in a child: del"};
	static const char *const whiches[] = {"below",  "first",  "middle", "last",
	                                      "beyond", "absent", "other"};
	static const char *const names[] = {
	    "FIRST",         "FIRST_DUP",  "GET_BOTH",  "GET_BOTH_RANGE", "GET_CURRENT",
	    "GET_MULTIPLE",  "LAST",       "LAST_DUP",  "NEXT",           "NEXT_DUP",
	    "NEXT_MULTIPLE", "NEXT_NODUP", "PREV",      "PREV_DUP",       "PREV_NODUP",
	    "SET",           "SET_KEY",    "SET_RANGE", "PREV_MULTIPLE"};

	(void)t;
	printf("cursor %u %s", s->cursor, whats[s->what]);
	if (s->what == GET)
		printf(" %s%s", names[s->op], s->no_data ? " without data" : "");
	else
		printf(" flags 0x%x", s->op);
	printf(", key %s, value %s", whiches[s->key], whiches[s->value]);
}
