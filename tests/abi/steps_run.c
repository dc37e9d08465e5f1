/* SPDX-License-Identifier: BSD-3-Clause */
/* steps_run.c - one case with one library. See steps.h */
#include "steps.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define DATABASES 64u
#define FNV_START 1469598103934665603u
#define FNV_PRIME 1099511628211u
#define VALUES    100000u /* integers that are values begin here */
#define ITEM      8u      /* bytes of a value, with DUPFIXED */
#define SHOWN     24u     /* values of the end that are printed */

#define CALLS(X)                                                                                   \
	X(env_create)                                                                              \
	X(env_set_maxdbs)                                                                          \
	X(env_set_mapsize)                                                                         \
	X(env_open)                                                                                \
	X(txn_begin)                                                                               \
	X(txn_commit)                                                                              \
	X(txn_abort)                                                                               \
	X(dbi_open)                                                                                \
	X(put)                                                                                     \
	X(del)                                                                                     \
	X(drop)                                                                                    \
	X(cursor_open) X(cursor_close) X(cursor_get) X(cursor_put) X(cursor_del) X(cursor_count)

struct library {
#define FIELD(name) __typeof__(&mdb_##name) name;
	CALLS(FIELD)
#undef FIELD
	MDB_env *env;
	MDB_dbi dbi[DATABASES];
	int wary; /* see library_open */
};

struct run { /* of a case */
	struct library *lib;
	const struct test_case *t;
	const struct kind *kind;
	const struct content *content;
	MDB_txn *outer, *txn;
	MDB_dbi dbi;
	MDB_cursor *cursor[2];
	int last;       /* what the last step returned */
	bool changed;   /* something was put or deleted */
	bool stale[2];  /* others changed the database since the cursor was placed */
	bool ends[2];   /* the cursor went to its key's first or last value */
	bool lost[2];   /* its last move found nothing */
	bool beyond[2]; /* and no key follows */
	bool behind[2]; /* it found nothing, and then others changed the database */
	bool shrunk;    /* a key had several values and has one */
	enum rule rule; /* why the step was not done */
	uint64_t hash;
	bool fault; /* the library gave what nobody stored */
	FILE *out;
};

static void must(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "steps: %s: %d\n", what, rc);
		exit(2);
	}
}

/* ---- keys and values ------------------------------------------------------------------------- */

static void turn(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		unsigned char c = p[i];

		p[i] = p[n - 1 - i];
		p[n - 1 - i] = c;
	}
}

/* key_make - key number n: the stored ones are even. */
static MDB_val key_make(const struct kind *kind, const struct content *content, unsigned int n,
                        unsigned char *room)
{
	size_t number = n, size;

	if (kind->flags & MDB_INTEGERKEY) {
		memcpy(room, &number, sizeof number);
		return (MDB_val){sizeof number, room};
	}
	size = (size_t)sprintf((char *)room, "k%03u", n);
	memset(room + size, '-', content->pad);
	size += content->pad;
	if (kind->flags & MDB_REVERSEKEY)
		turn(room, size);
	return (MDB_val){size, room};
}

/* value_make - value number n of that key: the stored ones are even; where sizes may differ, others
 * are longer. */
static MDB_val value_make(const struct kind *kind, unsigned int key, unsigned int n,
                          unsigned char *room)
{
	uint64_t number = VALUES + 1000 * key + n;
	size_t size;

	if (kind->flags & MDB_INTEGERDUP) {
		memcpy(room, &number, sizeof number);
		return (MDB_val){sizeof number, room};
	}
	size = (size_t)sprintf((char *)room, "v%03u.%03u", key, n);
	if (!(kind->flags & MDB_DUPFIXED) && n % 2)
		size += (size_t)sprintf((char *)room + size, "+++++");
	if (kind->flags & MDB_REVERSEDUP)
		turn(room, size);
	return (MDB_val){size, room};
}

/* number_of - the number in a key or a value; of a value, its key's is in the thousands. 0: these
 * bytes are neither. */
static uint64_t number_of(const MDB_val *v, bool integer, bool reverse, char letter)
{
	unsigned char text[ITEM + 1] = {0};
	unsigned int key, n = 0;
	uint64_t number = 0;

	if (integer) {
		if (v->mv_size == sizeof number)
			memcpy(&number, v->mv_data, sizeof number);
		return letter == 'k'                            ? number
		       : number > VALUES && number < 2 * VALUES ? number - VALUES
		                                                : 0;
	}
	for (size_t i = 0; i < v->mv_size && i < ITEM; i++)
		text[i] = ((unsigned char *)v->mv_data)[reverse ? v->mv_size - 1 - i : i];
	if (text[0] != letter || sscanf((char *)text + 1, "%3u.%3u", &key, &n) < 1)
		return 0;
	return letter == 'k' ? key : 1000 * key + n;
}

static uint64_t key_of(const struct kind *kind, const MDB_val *k)
{
	return number_of(k, kind->flags & MDB_INTEGERKEY, kind->flags & MDB_REVERSEKEY, 'k');
}

static uint64_t value_of(const struct kind *kind, const MDB_val *v)
{
	MDB_val first = {v->mv_size < ITEM || !(kind->flags & MDB_DUPFIXED) ? v->mv_size : ITEM,
	                 v->mv_data};

	return number_of(&first, kind->flags & MDB_INTEGERDUP, kind->flags & MDB_REVERSEDUP, 'v');
}

static unsigned int values_of(const struct run *r, unsigned int index)
{
	return r->kind->flags & MDB_DUPSORT ? r->content->values[index % 4] : 1;
}

/* key_number - of the case's key, or of one by where it lies. */
static unsigned int key_number(const struct run *r, enum which which)
{
	unsigned int n = r->content->keys, picks[] = {0, 1, n / 2, n - 1}, own = picks[r->t->key];

	own = own < n ? own : 0;
	switch (which) {
	case BELOW:
		return 1;
	case FIRST:
		return 2;
	case MIDDLE:
		return 2 * own + 2;
	case LAST:
		return 2 * n;
	case BEYOND:
		return 2 * n + 1;
	case ABSENT:
		return 2 * own + 3;
	case OTHER:
		break;
	}
	return own + 1 < n ? 2 * own + 4 : 2;
}

static unsigned int value_number(const struct run *r, unsigned int key, enum which which)
{
	unsigned int n = values_of(r, key / 2 - (key > 1)), middle = 2 * ((n + 1) / 2);

	switch (which) {
	case BELOW:
		return 1;
	case FIRST:
		return 2;
	case LAST:
		return 2 * n;
	case BEYOND:
		return 2 * n + 1;
	case ABSENT:
		return middle + 1;
	case MIDDLE:
	case OTHER:
		break;
	}
	return middle;
}

/* ---- results --------------------------------------------------------------------------------- */

static void add(struct run *r, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		r->hash = (r->hash ^ p[i]) * FNV_PRIME;
}

static void add_number(struct run *r, const char *what, long long n)
{
	add(r, &n, sizeof n);
	if (what[0] == '=')
		r->last = (int)n;
	if (r->out)
		fprintf(r->out, " %s %lld", what, n);
}

/* add_val - an output; room: where the input was, which is told from what the library gave. */
static void add_val(struct run *r, const char *what, const MDB_val *v, const void *room)
{
	bool given = v->mv_data != room;

	add(r, &given, sizeof given);
	if (given)
		add(r, v->mv_data, v->mv_size);
	if (!r->out)
		return;
	if (given)
		fprintf(r->out, " %s %lu(%zu)", what,
		        (unsigned long)(what[0] == 'k' ? key_of : value_of)(r->kind, v),
		        v->mv_size);
	else
		fprintf(r->out, " %s -", what);
}

/* all - what the database holds at the end, by a cursor of its own. It is a fault when that is not
 * in order. Unless it is the end, that alone is looked at. */
static void all(struct run *r, bool end)
{
	uint64_t before = 0, shown = 0;
	MDB_val k, v;
	MDB_cursor *c;
	int rc = r->lib->cursor_open(r->txn, r->dbi, &c);

	if (rc) { /* a step has broken the transaction, and should have said so */
		r->fault |= r->last == 0;
		add_number(r, "end", rc);
		return;
	}
	while ((rc = r->lib->cursor_get(c, &k, &v, MDB_NEXT)) == 0) {
		uint64_t key = key_of(r->kind, &k), value = value_of(r->kind, &v);
		uint64_t here = r->kind->flags & MDB_DUPSORT ? value : 1000 * key;

		r->fault |= !key || !value || here <= before;
		before = here;
		if (!end)
			continue;
		add(r, k.mv_data, k.mv_size);
		add(r, v.mv_data, v.mv_size);
		if (r->out && shown++ < SHOWN)
			fprintf(r->out, " %lu", (unsigned long)value);
	}
	r->lib->cursor_close(c);
	if (end)
		add_number(r, "end", rc);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* is_placing - of operations that look at the database anew. */
static bool is_placing(unsigned int op)
{
	return op == MDB_FIRST || op == MDB_LAST || op == MDB_SET || op == MDB_SET_KEY ||
	       op == MDB_SET_RANGE || op == MDB_GET_BOTH || op == MDB_GET_BOTH_RANGE;
}

static bool is_multiple(unsigned int op)
{
	return op == MDB_GET_MULTIPLE || op == MDB_NEXT_MULTIPLE || op == MDB_PREV_MULTIPLE;
}

/* is_elsewhere - whether the array is that of a key where the cursor was before. */
static bool is_elsewhere(struct run *r, const struct step *s, const MDB_val *v)
{
	MDB_val k;

	return r->lib->cursor_get(r->cursor[s->cursor], &k, NULL, MDB_GET_CURRENT) == 0 &&
	       key_of(r->kind, &k) != value_of(r->kind, v) / 1000;
}

/* change - the step is a change, through one of the cursors or none (2). */
static void change(struct run *r, unsigned int cursor)
{
	r->changed = true;
	for (unsigned int i = 0; i < 2; i++) {
		r->stale[i] |= i != cursor;
		r->behind[i] |= i != cursor && r->lost[i];
	}
}

/* look - whether a key had several values and has one: LMDB goes on to take it for one with
 * several, and the file does not tell. */
static void look(struct run *r, enum which which)
{
	unsigned char room[600];
	unsigned int key = key_number(r, which);
	MDB_val k = key_make(r->kind, r->content, key, room), v;
	size_t count = 0;
	MDB_cursor *c;

	if (!(r->kind->flags & MDB_DUPSORT) || r->lib->cursor_open(r->txn, r->dbi, &c))
		return;
	if (r->lib->cursor_get(c, &k, &v, MDB_SET) == 0 && r->lib->cursor_count(c, &count) == 0)
		r->shrunk |= count == 1 && values_of(r, key / 2 - 1) > 1;
	r->lib->cursor_close(c);
}

const char *const rules[] = {
    [RULE_NONE] = NULL,
    [RULE_BESIDE] = "beside a key that is not there, after changes by others",
    [RULE_COUNT] = "a change of a key whose values others have changed",
    [RULE_BEYOND] = "a step from where there is no key",
    [RULE_ROOT] = "FIRST_DUP and LAST_DUP from an older root",
    [RULE_ARRAY] = "arrays of values that fill pages",
    [RULE_RESERVE] = "MDB_RESERVE for one more value of a key, which may be given another's place",
    [RULE_SIBLING] = "0.9.27 and later: a step after a deletion by others",
    [RULE_CURRENT] = "one version alone: MDB_CURRENT among duplicates of several sizes",
    [RULE_SETUP] = "before 0.9.31: a cursor among duplicates that is not set up",
};

/* is_blind - whether LMDB's answer tells of its pages, or of what it has not noticed: with
 * duplicates,
 * - a cursor beside a key that is not there, when others have changed the page;
 * - a deletion or replacement by a cursor when others have changed the number of its key's values,
 *   which then is written back as it was;
 * - a step from where there is no key, with the cursor of another key's values, or beyond the page:
 *   it
 *   shows in the data, if asked for, and if nothing was deleted that still lies beyond the page;
 * - FIRST_DUP and LAST_DUP among values that fill several pages, when others have changed them: the
 *   cursor goes down from the root that it knows, which is an older page, and gives what is
 *     deleted;
 * - arrays of a key whose values fill several pages. */
static enum rule is_blind(const struct run *r, const struct step *s)
{
	bool ends = s->what == GET && (s->op == MDB_FIRST_DUP || s->op == MDB_LAST_DUP);
	bool replaces = s->what == DEL || (s->what == PUT && s->op & MDB_CURRENT);
	bool steps = s->what == GET && !is_placing(s->op), deep = r->content->values[1] > 100;

	if (!(r->kind->flags & MDB_DUPSORT))
		return RULE_NONE;
	if (r->behind[s->cursor] && (replaces || steps || s->what == COUNT))
		return RULE_BESIDE;
	if (r->stale[s->cursor] && replaces)
		return RULE_COUNT;
	if (r->lost[s->cursor] && steps && s->no_data && s->op != MDB_GET_CURRENT)
		return RULE_BEYOND;
	if (r->beyond[s->cursor] && steps && r->changed && s->op != MDB_GET_CURRENT)
		return RULE_BEYOND;
	if (deep && ends && r->stale[s->cursor])
		return RULE_ROOT;
	return deep && s->what == GET && is_multiple(s->op) ? RULE_ARRAY : RULE_NONE;
}

/* is_known_fault - whether this LMDB may go wrong here, as one of its versions does. MDB_CURRENT
 * among duplicates puts a value of another size over its neighbours, or breaks the transaction.
 * Before 0.9.31 FIRST_DUP and LAST_DUP leave a cursor that has met the end in doubt about where it
 * is, and its cursor among duplicates is not set up by a step without data, behind the last key, or
 * by a deletion that moves it to a key whose values fill several pages. From 0.9.27 on the deletion
 * of a key makes other cursors on the page stay for one step among their duplicates. */
static enum rule is_known_fault(const struct run *r, const struct step *s)
{
	bool deep = r->content->values[1] > 100, back = s->op == MDB_PREV || s->op == MDB_PREV_DUP;

	if (!r->lib->wary || !(r->kind->flags & MDB_DUPSORT))
		return RULE_NONE;
	if (r->lib->wary >= 927 && s->what == GET && r->stale[s->cursor] && !is_placing(s->op))
		return RULE_SIBLING;
	if (s->what == PUT && s->op & MDB_CURRENT && !(r->kind->flags & MDB_DUPFIXED))
		return RULE_CURRENT;
	if (r->lib->wary >= 931)
		return RULE_NONE;
	if (deep && r->changed && s->what != TXN_PUT && s->what != TXN_DEL)
		return RULE_SETUP;
	if (s->what != GET)
		return RULE_NONE;
	if (r->ends[s->cursor] && !is_placing(s->op))
		return RULE_SETUP;
	if (s->no_data && s->op != MDB_GET_CURRENT)
		return RULE_SETUP;
	return back && (r->changed || r->lost[s->cursor]) ? RULE_SETUP : RULE_NONE;
}

/* seek - what a search gives by a cursor that nothing has moved. */
static int seek(struct run *r, MDB_val k, MDB_cursor_op op)
{
	MDB_cursor *c;
	MDB_val v;
	int rc = r->lib->cursor_open(r->txn, r->dbi, &c);

	if (rc)
		return rc;
	rc = r->lib->cursor_get(c, &k, &v, op);
	r->lib->cursor_close(c);
	return rc;
}

/* on_record - whether there is something under the cursor: for where there is none LMDB looks
 * beyond its page. */
static bool on_record(struct run *r, const struct step *s)
{
	MDB_val k, v;

	return r->lib->cursor_get(r->cursor[s->cursor], &k, &v, MDB_GET_CURRENT) != MDB_NOTFOUND;
}

static void step_get(struct run *r, const struct step *s, MDB_val k, MDB_val v)
{
	void *kroom = k.mv_data, *vroom = v.mv_data;
	MDB_val sought = k;
	int rc = r->lib->cursor_get(r->cursor[s->cursor], &k, s->no_data ? NULL : &v,
	                            (MDB_cursor_op)s->op);

	add_number(r, "=", rc);
	r->stale[s->cursor] &= rc || !is_placing(s->op);
	r->lost[s->cursor] = rc != 0;
	r->ends[s->cursor] &= !is_placing(s->op);
	r->ends[s->cursor] |= s->op == MDB_FIRST_DUP || s->op == MDB_LAST_DUP;
	if (!rc)
		r->beyond[s->cursor] = false;
	else if (is_placing(s->op) && sought.mv_size)
		r->beyond[s->cursor] = seek(r, sought, MDB_SET_RANGE) == MDB_NOTFOUND;
	r->behind[s->cursor] &= rc != 0 && (rc != MDB_NOTFOUND || !is_placing(s->op));
	if (is_multiple(s->op) && v.mv_data != vroom && !rc)
		r->fault |= is_elsewhere(r, s, &v);
	if (rc == 0 && k.mv_data != kroom && !s->no_data && v.mv_data != vroom &&
	    key_of(r->kind, &k) != value_of(r->kind, &v) / 1000)
		r->fault = true;
	/* A key that once had several values: LMDB takes it for one that has them. */
	if (!r->changed || (s->op != MDB_FIRST_DUP && s->op != MDB_LAST_DUP))
		add_val(r, "key", &k, kroom);
	if (s->no_data)
		return;
	if (s->op == MDB_GET_MULTIPLE && v.mv_data != vroom && v.mv_size == ITEM)
		v.mv_data = vroom; /* of one value: LMDB gives none, unless the key once had more */
	add_val(r, "data", &v, vroom);
	if (v.mv_data != vroom && !value_of(r->kind, &v))
		r->fault = true;
}

static void step_put(struct run *r, const struct step *s, unsigned int key, MDB_val k, MDB_val v)
{
	unsigned char items[4 * ITEM], *vroom = v.mv_data;
	MDB_val data[2] = {v, {3, NULL}};
	int rc;

	if (s->op & MDB_MULTIPLE) {
		for (unsigned int i = 0; i < 3; i++) {
			MDB_val item = value_make(r->kind, key, 2 * i + 2, vroom);

			memcpy(items + i * ITEM, item.mv_data, ITEM);
		}
		data[0] = (MDB_val){ITEM, items};
	}
	if (s->what == TXN_PUT)
		rc = r->lib->put(r->txn, r->dbi, &k, data, s->op);
	else
		rc = r->lib->cursor_put(r->cursor[s->cursor], &k, data, s->op);
	add_number(r, "=", rc);
	r->fault |= rc == MDB_PAGE_FULL;
	if (!rc && s->op & MDB_RESERVE && data[0].mv_data != vroom)
		memcpy(data[0].mv_data, vroom, v.mv_size);
	if (s->op & MDB_MULTIPLE)
		add_number(r, "stored", (long long)data[1].mv_size);
	if (rc == MDB_KEYEXIST && s->op & MDB_NOOVERWRITE)
		add_val(r, "data", data, vroom);
}

/* step_child - a deletion in a child, which commits or aborts. */
static void step_child(struct run *r, const struct step *s, MDB_val k, MDB_val v)
{
	MDB_txn *child;
	MDB_cursor *c;
	int rc;

	rc = r->lib->txn_begin(r->lib->env, r->txn, 0, &child);
	if (rc) {
		add_number(r, "begin", rc);
		return;
	}
	if (s->op & CHILD_CURSOR && r->kind->flags & MDB_DUPSORT) {
		must(r->lib->cursor_open(child, r->dbi, &c), "cursor");
		rc = r->lib->cursor_get(c, &k, &v, MDB_GET_BOTH);
		if (!rc)
			rc = r->lib->cursor_del(c, 0);
		r->lib->cursor_close(c);
	} else {
		rc = r->lib->del(child, r->dbi, &k, s->op & CHILD_PAIR ? &v : NULL);
	}
	add_number(r, "=", rc);
	if (s->op & CHILD_ABORTS)
		r->lib->txn_abort(child);
	else
		add_number(r, "commit", r->lib->txn_commit(child));
}

static void step_run(struct run *r, const struct step *s)
{
	unsigned char kroom[600], vroom[600];
	unsigned int key = key_number(r, s->key);
	MDB_val k = key_make(r->kind, r->content, key, kroom);
	MDB_val v = value_make(r->kind, key, value_number(r, key, s->value), vroom);
	MDB_cursor *c = r->cursor[s->cursor];
	size_t count = 0;

	r->rule = is_blind(r, s);
	if (s->what == PUT && s->op & MDB_RESERVE && r->kind->flags & MDB_DUPSORT &&
	    seek(r, k, MDB_SET) == 0)
		r->rule = RULE_RESERVE;
	if (!r->rule)
		r->rule = is_known_fault(r, s);
	if (r->rule) /* of all libraries the same, and what follows is defined again */
		return;
	if (s->what != GET && s->what != COUNT)
		change(r, s->what == PUT || s->what == DEL ? s->cursor : 2);
	switch (s->what) {
	case GET:
		step_get(r, s, k, v);
		break;
	case PUT:
	case TXN_PUT:
		if (s->what == TXN_PUT || !(s->op & MDB_CURRENT) || on_record(r, s))
			step_put(r, s, key, k, v);
		if (s->op & MDB_CURRENT)
			all(r, false);
		break;
	case DEL:
		add_number(r, "=", r->lib->cursor_del(c, s->op));
		break;
	case COUNT:
		if (r->lost[s->cursor] && !on_record(r, s))
			break;
		add_number(r, "=", r->lib->cursor_count(c, &count));
		if (!r->stale[s->cursor]) /* LMDB's is older than others' changes */
			add_number(r, "count", (long long)count);
		break;
	case TXN_DEL:
	case TXN_DEL_PAIR:
		add_number(r, "=", r->lib->del(r->txn, r->dbi, &k, s->what == TXN_DEL ? NULL : &v));
		break;
	case TXN_DROP:
		add_number(r, "=", r->lib->drop(r->txn, r->dbi, 0));
		break;
	case CHILD:
		step_child(r, s, k, v);
		break;
	}
}

/* step_end - what came of it is part of the result, unless the library is at fault. */
static void step_end(struct run *r, struct result *result)
{
	uint32_t i = result->n;

	if (r->fault)
		return;
	result->hash[i] = (uint32_t)(r->hash ^ r->hash >> 32);
	result->rule[i] = (uint8_t)r->rule;
	result->shrunk[i] = r->shrunk;
	__atomic_store_n(&result->n, i + 1, __ATOMIC_RELEASE);
}

/* sound - a library that cannot begin has been spoilt by an earlier case: as after a crash, its
 * process begins anew. */
static void sound(int rc)
{
	if (rc)
		abort();
}

void case_run(struct library *lib, const struct test_case *t, struct result *result, FILE *out)
{
	struct run r = {.lib = lib,
	                .t = t,
	                .kind = &kinds[t->kind],
	                .content = &contents[t->content],
	                .dbi = lib->dbi[t->kind * n_contents + t->content],
	                .hash = FNV_START,
	                .lost = {true, true},
	                .out = out};

	sound(lib->txn_begin(lib->env, NULL, 0, &r.outer));
	r.txn = r.outer;
	if (t->nested)
		sound(lib->txn_begin(lib->env, r.outer, 0, &r.txn));
	for (unsigned int i = 0; i < 2; i++)
		sound(lib->cursor_open(r.txn, r.dbi, &r.cursor[i]));
	for (unsigned int i = 0; i < t->n && !r.fault; i++) {
		step_run(&r, &t->step[i]);
		for (enum which key = FIRST; key <= OTHER; key++)
			if (key != ABSENT && key != BEYOND)
				look(&r, key);
		step_end(&r, result);
		if (out)
			fprintf(out, "%s\n", r.rule ? " left out" : "");
	}
	r.rule = RULE_NONE;
	if (!r.fault) {
		all(&r, true);
		step_end(&r, result);
	}
	for (unsigned int i = 0; i < 2; i++)
		lib->cursor_close(r.cursor[i]);
	lib->txn_abort(r.outer);
}

/* ---- libraries ------------------------------------------------------------------------------- */

static void fill(struct library *lib, MDB_txn *txn, unsigned int kind, unsigned int content)
{
	struct test_case t = {.kind = kind, .content = content};
	struct run r = {.t = &t, .kind = &kinds[kind], .content = &contents[content]};
	MDB_dbi *dbi = &lib->dbi[kind * n_contents + content];
	unsigned char kroom[600], vroom[600];
	char name[60];

	snprintf(name, sizeof name, "%s, %s", r.kind->name, r.content->name);
	must(lib->dbi_open(txn, name, r.kind->flags | MDB_CREATE, dbi), "open");
	for (unsigned int i = 0; i < r.content->keys; i++) {
		MDB_val k = key_make(r.kind, r.content, 2 * i + 2, kroom);

		for (unsigned int n = 1; n <= values_of(&r, i); n++) {
			MDB_val v = value_make(r.kind, 2 * i + 2, 2 * n, vroom);

			must(lib->put(txn, *dbi, &k, &v, 0), "put");
		}
	}
}

int library_release(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	__typeof__(&mdb_version) version;
	int major, minor, patch;

	must(!handle, path);
	*(void **)&version = dlsym(handle, "mdb_version");
	must(!version, "version");
	version(&major, &minor, &patch);
	dlclose(handle);
	return major * 10000 + minor * 100 + patch;
}

struct library *library_open(const char *path, const char *dir, int wary)
{
	struct library *lib = calloc(1, sizeof *lib);
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	MDB_txn *txn;

	if (!lib || !handle) {
		fprintf(stderr, "steps: %s\n", handle ? "no memory" : dlerror());
		exit(2);
	}
#define LOAD(name)                                                                                 \
	*(void **)&lib->name = dlsym(handle, "mdb_" #name);                                        \
	must(!lib->name, #name);
	CALLS(LOAD)
#undef LOAD
	lib->wary = wary;
	must(lib->env_create(&lib->env), "create");
	must(lib->env_set_maxdbs(lib->env, DATABASES), "maxdbs");
	must(lib->env_set_mapsize(lib->env, (size_t)64 << 20), "mapsize");
	must(lib->env_open(lib->env, dir, MDB_NOSYNC, 0600), "open");
	must(lib->txn_begin(lib->env, NULL, 0, &txn), "begin");
	for (unsigned int kind = 0; kind < n_kinds; kind++)
		for (unsigned int content = 0; content < n_contents; content++)
			fill(lib, txn, kind, content);
	must(lib->txn_commit(txn), "commit");
	return lib;
}
