/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dump_words.h - the words that stand for a database's flags in the text format of mdb_dump: for kv
 * dump and kv load, and for mdb_dump and mdb_load. The flags are LMDB's, whose numbers daxkv.h has,
 * too.
 */
#ifndef DAXKV_ABI_DUMP_WORDS_H
#define DAXKV_ABI_DUMP_WORDS_H

#include "lmdb_abi.h"

#include <string.h>

/* In the order in which a header has them. The first is said beside dupsort. */
static const struct dump_word {
	const char *word;
	unsigned int flag;
} dump_words[] = {{"duplicates", MDB_DUPSORT},   {"reversekey", MDB_REVERSEKEY},
                  {"dupsort", MDB_DUPSORT},      {"integerkey", MDB_INTEGERKEY},
                  {"dupfixed", MDB_DUPFIXED},    {"integerdup", MDB_INTEGERDUP},
                  {"reversedup", MDB_REVERSEDUP}};
#define DUMP_WORDS (sizeof dump_words / sizeof dump_words[0])

/* dump_word_flag - what a word stands for; 0: it is none. */
static inline unsigned int dump_word_flag(const char *word)
{
	for (size_t i = 0; i < DUMP_WORDS; i++)
		if (strcmp(word, dump_words[i].word) == 0)
			return dump_words[i].flag;
	return 0;
}

#endif
