/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * suggest.h - what a mistyped word was meant to be.
 */
#ifndef DAXKV_CLI_SUGGEST_H
#define DAXKV_CLI_SUGGEST_H

/* suggest_begin - look for what word was meant to be. suggest_try - one that it may be. suggest_end
 * - the nearest of those tried, if any is near; else NULL. */
struct suggest {
	const char *word, *best;
	unsigned int distance; /* of best */
};
void suggest_begin(struct suggest *suggest, const char *word);
void suggest_try(struct suggest *suggest, const char *candidate);
const char *suggest_end(const struct suggest *suggest);

#endif
