/* SPDX-License-Identifier: BSD-3-Clause */
/* probe_salvage.c - what can be had of a store that may be damaged. See probe.h */
#include "daxkv.h"
#include "probe.h"

struct taker {
	uint64_t entries, sum;
};

static void bytes_read(struct taker *t, const struct daxkv_val *v)
{
	const uint8_t *p = v->data;

	for (size_t i = 0; i < v->size; i++)
		t->sum += p[i];
}

static int on_store(unsigned int page_size, uint64_t user_version, void *arg)
{
	struct taker *t = arg;

	t->sum += page_size + user_version;
	return 0;
}

static int on_database(const struct daxkv_val *name, unsigned int flags, void *arg)
{
	struct taker *t = arg;

	t->sum += flags;
	if (name)
		bytes_read(t, name);
	return 0;
}

static int on_entry(const struct daxkv_val *key, const struct daxkv_val *value, void *arg)
{
	struct taker *t = arg;

	t->entries++;
	bytes_read(t, key);
	bytes_read(t, value);
	return 0;
}

static void on_lost(const char *what, void *arg)
{
	struct taker *t = arg;

	t->sum += (uint8_t)what[0];
}

uint64_t probe_salvage(const char *path, uint64_t *lost)
{
	struct taker t = {0};
	const struct daxkv_salvage to = {on_store, on_database, on_entry, on_lost, &t};

	*lost = 0;
	return daxkv_salvage(path, &to, lost) ? 0 : t.entries;
}
