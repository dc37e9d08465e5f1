/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * suggest.c - see suggest.h. The distance is that of Damerau and Levenshtein, without changes of
 * what was exchanged: letters left out, added, replaced, or two that stand side by side exchanged.
 */
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "suggest.h"

#define LETTERS_MAX 32u

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static unsigned int distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned int d[LETTERS_MAX + 1][LETTERS_MAX + 1];

	if (n > LETTERS_MAX || m > LETTERS_MAX)
		return UINT_MAX;
	for (size_t i = 0; i <= n; i++)
		d[i][0] = (unsigned int)i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
			                d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[n][m];
}

void suggest_begin(struct suggest *s, const char *word)
{
	*s = (struct suggest){word, NULL, UINT_MAX};
}

void suggest_try(struct suggest *s, const char *candidate)
{
	size_t n = strlen(s->word);
	unsigned int d = distance(s->word, candidate);

	if (n > 1 && strncmp(candidate, s->word, n) == 0)
		d = 1; /* the word's begin */
	if (d < s->distance) {
		s->best = candidate;
		s->distance = d;
	}
}

const char *suggest_end(const struct suggest *s)
{
	/* A third of the letters may be wrong, and one in any case. */
	return s->distance <= 1 || s->distance * 3 <= strlen(s->word) ? s->best : NULL;
}
