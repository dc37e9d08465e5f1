/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * editline.c - see editline.h. What is declared here of libedit is its binary interface, which has
 * been the same since its first release that had a number; tests/cli/shell.sh uses all of it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "editline.h"

#define LINES_KEPT      1000
#define CANDIDATES_MAX  1000u
#define SHOW_WITHOUT_NL 100u

typedef struct el EditLine;
typedef struct history History;
typedef struct {
	const char *buffer, *cursor, *lastchar;
} LineInfo;
typedef struct {
	int num;
	const char *str;
} HistEvent;

enum {
	EL_PROMPT = 0,
	EL_EDITOR = 2,
	EL_BIND = 4,
	EL_SETTY = 8,
	EL_ADDFN = 9,
	EL_HIST = 10,
	EL_CLIENTDATA = 14
};
enum { H_SETSIZE = 1, H_ENTER = 10, H_LOAD = 17, H_SAVE = 18, H_SETUNIQUE = 20 };
enum { CC_NORM = 0, CC_NEWLINE = 1, CC_REFRESH = 4, CC_ERROR = 6, CC_REDISPLAY = 8 };

struct libedit {
	void *handle;
	EditLine *(*el_init)(const char *, FILE *, FILE *, FILE *);
	void (*el_end)(EditLine *);
	int (*el_set)(EditLine *, int, ...);
	int (*el_get)(EditLine *, int, ...);
	const char *(*el_gets)(EditLine *, int *);
	const LineInfo *(*el_line)(EditLine *);
	int (*el_insertstr)(EditLine *, const char *);
	History *(*history_init)(void);
	void (*history_end)(History *);
	int (*history)(History *, HistEvent *, int, ...);
};

struct editline {
	struct libedit lib;
	EditLine *el; /* NULL: lines are read as they come */
	History *lines;
	const char *history, *prompt;
	editline_complete *complete;
	void *arg;
	char *line;
	size_t room;
	bool terminal, interrupted;
	volatile sig_atomic_t reading; /* the library reads keys */
};

/* Functions that libedit calls have nothing but its handle, and that has no place for more in all
 * versions: there is one at a time. */
static struct editline *open_one;

/* ---- the library ----------------------------------------------------------------------------- */

static bool load(struct libedit *lib)
{
	static const char *const names[] = {"libedit.so.2", "libedit.so.0", "libedit.so"};
	const struct {
		const char *name;
		void *to;
	} symbols[] = {{"el_init", &lib->el_init},
	               {"el_end", &lib->el_end},
	               {"el_set", &lib->el_set},
	               {"el_get", &lib->el_get},
	               {"el_gets", &lib->el_gets},
	               {"el_line", &lib->el_line},
	               {"el_insertstr", &lib->el_insertstr},
	               {"history_init", &lib->history_init},
	               {"history_end", &lib->history_end},
	               {"history", &lib->history}};
	bool all = true;

	for (size_t i = 0; i < sizeof names / sizeof names[0] && lib->handle == NULL; i++)
		lib->handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (lib->handle == NULL)
		return false;
	for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
		void *symbol = dlsym(lib->handle, symbols[i].name);

		all = all && symbol != NULL;
		memcpy(symbols[i].to, &symbol, sizeof symbol);
	}
	return all;
}

/* ---- completion ------------------------------------------------------------------------------ */

struct candidates {
	const char *word; /* what there is of it */
	size_t size;
	char *name[CANDIDATES_MAX];
	size_t n, common; /* common: bytes that all of them begin with */
};

static void candidate_add(void *to, const char *candidate)
{
	struct candidates *c = to;
	size_t same = 0;

	if (strncmp(candidate, c->word, c->size) != 0 || c->n == CANDIDATES_MAX)
		return;
	c->name[c->n] = strdup(candidate);
	if (c->name[c->n] == NULL)
		return;
	if (c->n++ == 0) {
		c->common = strlen(candidate);
		return;
	}
	while (same < c->common && candidate[same] == c->name[0][same])
		same++;
	c->common = same;
}

static void show(const struct candidates *c)
{
	size_t column = 0;

	putchar('\n');
	for (size_t i = 0; i < c->n; i++) {
		size_t size = strlen(c->name[i]) + 2;

		if (column > 0 && column + size > SHOW_WITHOUT_NL) {
			putchar('\n');
			column = 0;
		}
		printf("%s  ", c->name[i]);
		column += size;
	}
	putchar('\n');
	fflush(stdout);
}

/* insert - what all candidates go on with; a blank behind the only one. */
static unsigned char insert(struct editline *e, const struct candidates *c)
{
	char *more;
	bool one = c->n == 1;
	int rc;

	if (c->n == 0)
		return CC_ERROR;
	if (c->common == c->size && !one) {
		show(c);
		return CC_REDISPLAY;
	}
	more = malloc(c->common - c->size + 2);
	if (more == NULL)
		return CC_ERROR;
	memcpy(more, c->name[0] + c->size, c->common - c->size);
	strcpy(more + c->common - c->size, one ? " " : "");
	rc = e->lib.el_insertstr(e->el, more);
	free(more);
	return rc == 0 ? CC_REFRESH : CC_ERROR;
}

static unsigned char complete(EditLine *el, int key)
{
	struct editline *e = open_one;
	const LineInfo *info = e->lib.el_line(el);
	size_t size = (size_t)(info->cursor - info->buffer), at = size;
	char *line = strndup(info->buffer, size);
	struct candidates *c = calloc(1, sizeof *c);
	unsigned char result = CC_ERROR;

	(void)key;
	if (line != NULL && c != NULL) {
		while (at > 0 && line[at - 1] != ' ' && line[at - 1] != '\t')
			at--;
		c->word = line + at;
		c->size = size - at;
		e->complete(e->arg, line, at, candidate_add, c);
		result = insert(e, c);
		for (size_t i = 0; i < c->n; i++)
			free(c->name[i]);
	}
	free(c);
	free(line);
	return result;
}

static unsigned char interrupt(EditLine *el, int key)
{
	(void)el;
	(void)key;
	open_one->interrupted = true;
	fputs("^C\r\n", stdout);
	fflush(stdout);
	return CC_NEWLINE;
}

static const char *prompt(EditLine *el)
{
	(void)el;
	return open_one->prompt;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void set_up(struct editline *e)
{
	const struct libedit *lib = &e->lib;
	HistEvent event;

	lib->el_set(e->el, EL_PROMPT, prompt);
	lib->el_set(e->el, EL_EDITOR, "emacs");
	lib->el_set(e->el, EL_ADDFN, "kv-complete", "complete the word", complete);
	lib->el_set(e->el, EL_BIND, "^I", "kv-complete", NULL);
	/* The terminal's own interrupt would come in the middle of the library's work. */
	lib->el_set(e->el, EL_ADDFN, "kv-interrupt", "give the line up", interrupt);
	lib->el_set(e->el, EL_SETTY, "-d", "-isig", NULL);
	lib->el_set(e->el, EL_BIND, "^C", "kv-interrupt", NULL);
	lib->el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
	e->lines = lib->history_init();
	if (e->lines == NULL)
		return;
	lib->history(e->lines, &event, H_SETSIZE, LINES_KEPT);
	lib->history(e->lines, &event, H_SETUNIQUE, 1);
	lib->el_set(e->el, EL_HIST, lib->history, e->lines);
	if (e->history != NULL)
		lib->history(e->lines, &event, H_LOAD, e->history);
}

struct editline *editline_open(const char *history, editline_complete *complete_fn, void *arg)
{
	struct editline *e = calloc(1, sizeof *e);
	const char *terminal_name = getenv("TERM");

	if (e == NULL)
		return NULL;
	e->terminal = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
	e->history = history;
	e->complete = complete_fn;
	e->arg = arg;
	open_one = e;
	if (e->terminal && terminal_name != NULL && strcmp(terminal_name, "dumb") != 0 &&
	    load(&e->lib))
		e->el = e->lib.el_init("kv", stdin, stdout, stderr);
	if (e->el != NULL)
		set_up(e);
	return e;
}

void editline_close(struct editline *e)
{
	HistEvent event;

	if (e == NULL)
		return;
	if (e->lines != NULL && e->history != NULL)
		e->lib.history(e->lines, &event, H_SAVE, e->history);
	if (e->lines != NULL)
		e->lib.history_end(e->lines);
	if (e->el != NULL)
		e->lib.el_end(e->el); /* gives the terminal back as it was */
	/* The library stays loaded: it, and those that it needs, keep memory of their own. */
	open_one = NULL;
	free(e->line);
	free(e);
}

void editline_interrupt(void)
{
	const struct editline *e = open_one;
	const char *text;

	if (e == NULL || !e->reading)
		return;
	text = e->prompt;
	(void)!write(STDOUT_FILENO, "\n", 1);
	(void)!write(STDOUT_FILENO, text, strlen(text));
}

bool editline_edits(const struct editline *e)
{
	return e->terminal;
}

/* keep - a copy of the line that the library has. */
static bool keep(struct editline *e, const char *line, size_t size)
{
	char *more = size < e->room ? e->line : realloc(e->line, size + 1);

	if (more == NULL)
		return false;
	e->line = more;
	e->room = size < e->room ? e->room : size + 1;
	memcpy(e->line, line, size);
	e->line[size] = '\0';
	return true;
}

static enum editline_result edited(struct editline *e, size_t *size)
{
	HistEvent event;
	int n = 0;
	const char *line;

	e->interrupted = false;
	e->reading = 1;
	line = e->lib.el_gets(e->el, &n);
	e->reading = 0;
	if (e->interrupted)
		return EDITLINE_INTERRUPTED;
	if (line == NULL || n <= 0) {
		errno = n < 0 ? errno : 0;
		return EDITLINE_END;
	}
	*size = (size_t)n;
	if (!keep(e, line, *size)) {
		errno = ENOMEM;
		return EDITLINE_END;
	}
	if (e->lines != NULL && strspn(line, " \t\r\n") < *size)
		e->lib.history(e->lines, &event, H_ENTER, line);
	return EDITLINE_LINE;
}

/* typed - show the prompt, and wait until there is something to read. False: control-C was typed.
 * No signal gets lost between the prompt and the waiting. */
static bool typed(const char *prompt_text)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	sigset_t interrupts, before;
	bool came;

	sigemptyset(&interrupts);
	sigaddset(&interrupts, SIGINT);
	sigprocmask(SIG_BLOCK, &interrupts, &before);
	fputs(prompt_text, stdout);
	fflush(stdout);
	came = ppoll(&input, 1, NULL, &before) >= 0 || errno != EINTR;
	/* While a terminal throws its input away for control-C, it can look as if there was some:
	 * then the signal is still to come. */
	sigpending(&interrupts);
	came = came && sigismember(&interrupts, SIGINT) == 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (!came)
		errno = EINTR;
	return came;
}

/* plain - a line as the terminal or a pipe gives it. */
static enum editline_result plain(struct editline *e, const char *prompt_text, size_t *size)
{
	ssize_t n = -1;

	fflush(stdout);
	errno = 0;
	if (!e->terminal || typed(prompt_text))
		n = getline(&e->line, &e->room, stdin);
	*size = n < 0 ? 0 : (size_t)n;
	if (n >= 0)
		return EDITLINE_LINE;
	if (errno != EINTR)
		return EDITLINE_END;
	clearerr(stdin);
	/* The terminal sends the signal first, and then throws away what is on its way out. */
	(void)nanosleep(&(struct timespec){.tv_nsec = 30 * 1000 * 1000}, NULL);
	putchar('\n');
	return EDITLINE_INTERRUPTED;
}

enum editline_result editline_read(struct editline *e, const char *prompt_text, char **line,
                                   size_t *size)
{
	enum editline_result result;

	e->prompt = prompt_text;
	if (e->el != NULL)
		result = edited(e, size);
	else
		result = plain(e, prompt_text, size);
	if (result == EDITLINE_LINE && *size > 0 && e->line[*size - 1] == '\n')
		e->line[--*size] = '\0';
	*line = e->line;
	return result;
}
