/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside a leaf: bases built and searched, tails appended to and followed by their ranks, what a
 * snapshot sees of them, and damage. */
#include "leaf_image.h"

static bool get(const struct mem *m, const struct order *o, const char *key, const char *value)
{
	struct item it;
	bool found = true;
	uint32_t len = (uint32_t)strlen(key);
	OK(leaf_get(&m->view, m->leaf.page, m->leaf.off, o, (const uint8_t *)key, len,
	            order_fp((const uint8_t *)key, len), &it, &found));
	if (!value)
		return !found;
	return found && it.vlen == strlen(value) && memcmp(it.val, value, it.vlen) == 0;
}

static uint32_t place(const struct leaf *l, const struct order *o, const char *key, bool *exact)
{
	struct probe p = {.key = (const uint8_t *)key, .klen = (uint32_t)strlen(key)};
	uint32_t rank = 9999, eoff = 9999;
	OK(leaf_place(l, o, &p, &rank, &eoff));
	*exact = eoff != 0;
	return rank;
}

static void build_of_nothing(void **state)
{
	struct order o;
	struct mem m;
	bool exact;
	(void)state;
	order_init(&o, 0);
	assert_int_equal(leaf_build(page, PSIZE, &o, NULL, 0, 3, 0), FMT_LEAF_BASE);
	mem_open(&m);
	assert_int_equal(leaf_count(&m.leaf), 0);
	assert_true(get(&m, &o, "a", NULL));
	assert_int_equal(place(&m.leaf, &o, "a", &exact), 0);
	assert_false(exact);
	uint32_t eoff;
	assert_int_equal(leaf_at(&m.leaf, 0, &eoff), DAXKV_CORRUPT);
}

/* Prefixes of 7, 8, 9 and more bytes: shorter than 8 none is taken; keys before, inside and behind,
 * and ones shorter than the prefix. */
static void build_with_common_prefixes(void **state)
{
	static const char full[] = "prefixprefixprefix";
	struct order o;
	(void)state;
	order_init(&o, 0);
	for (uint32_t plen = 0; plen <= 17; plen++) {
		char keys[6][32], value[6][2], probe[32];
		struct item items[6];
		struct mem m;
		bool exact;
		for (int i = 0; i < 6; i++) {
			snprintf(keys[i], 32, "%.*s%c%s", (int)plen, full, 'b' + 2 * i,
			         i % 2 ? "tail of it" : "");
			snprintf(value[i], 2, "%d", i);
			items[i] = item_of(keys[i], value[i]);
		}
		leaf_build(page, PSIZE, &o, items, 6, 3, 0);
		mem_open(&m);
		assert_int_equal(m.leaf.page->plen, plen < 8 ? 0 : plen);
		for (uint32_t i = 0; i < 6; i++) {
			assert_true(get(&m, &o, keys[i], value[i]));
			assert_int_equal(place(&m.leaf, &o, keys[i], &exact), i);
			assert_true(exact);
			snprintf(probe, 32, "%.*s%c", (int)plen, full, (char)('a' + 2 * i));
			assert_true(get(&m, &o, probe, NULL));
			assert_int_equal(place(&m.leaf, &o, probe, &exact), i);
			assert_false(exact);
		}
		snprintf(probe, 32, "%.*s%c", (int)plen, full, 'z');
		assert_int_equal(place(&m.leaf, &o, probe, &exact), 6);
		if (plen > 1) {
			snprintf(probe, 32, "%.*s", (int)plen - 1,
			         full); /* shorter than the prefix, and a part of it */
			assert_int_equal(place(&m.leaf, &o, probe, &exact), 0);
			snprintf(probe, 32, "%.*s~", (int)plen - 1, full);
			assert_int_equal(place(&m.leaf, &o, probe, &exact), 6);
			assert_true(get(&m, &o, probe, NULL));
		}
		assert_int_equal(place(&m.leaf, &o, "a", &exact), 0);
		assert_int_equal(place(&m.leaf, &o, "\x7f", &exact), 6);
	}
}

static void key_that_is_the_prefix(void **state)
{
	struct order o;
	struct mem m;
	bool exact;
	struct item items[3] = {item_of("12345678", "a"), item_of("123456780", "b"),
	                        item_of("12345678\x01", "c")};
	struct item t = items[1];
	(void)state;
	items[1] = items[2];
	items[2] = t;
	order_init(&o, 0);
	leaf_build(page, PSIZE, &o, items, 3, 3, 0);
	mem_open(&m);
	assert_int_equal(m.leaf.page->plen, 8);
	assert_true(get(&m, &o, "12345678", "a") && get(&m, &o, "123456780", "b") &&
	            get(&m, &o, "12345678\x01", "c"));
	assert_true(get(&m, &o, "1234567", NULL) && get(&m, &o, "123456781", NULL));
	assert_int_equal(place(&m.leaf, &o, "12345678\x02", &exact), 2);
}

/* Keys with equal heads: the full comparison decides. */
static void heads_that_are_equal(void **state)
{
	struct order o;
	struct mem m;
	struct item items[40];
	char keys[40][16], probe[16];
	bool exact;
	(void)state;
	order_init(&o, 0);
	items[0] = item_of("a", "first");
	for (int i = 1; i < 40; i++) {
		snprintf(keys[i], 16, "samehead%02d", i);
		items[i] = item_of(keys[i], keys[i]);
	}
	leaf_build(page, PSIZE, &o, items, 40, 3, 0);
	mem_open(&m);
	assert_int_equal(m.leaf.page->plen, 0);
	for (uint32_t i = 1; i < 40; i++) {
		assert_true(get(&m, &o, keys[i], keys[i]));
		snprintf(probe, 16, "samehead%02u~", i);
		assert_int_equal(place(&m.leaf, &o, probe, &exact), i + 1);
		assert_false(exact);
	}
	assert_int_equal(place(&m.leaf, &o, "samehead", &exact), 1);
}

static void heads_of_all_ones(void **state)
{
	struct order o;
	struct mem m;
	const uint64_t keys[3] = {1, UINT64_MAX - 1, UINT64_MAX};
	struct item items[3];
	(void)state;
	order_init(&o, DAXKV_INTEGER_KEY);
	for (int i = 0; i < 3; i++)
		items[i] = (struct item){.key = (const uint8_t *)&keys[i],
		                         .klen = 8,
		                         .val = (const uint8_t *)"v",
		                         .vlen = 1};
	leaf_build(page, PSIZE, &o, items, 3, 3, 0);
	mem_open(&m);
	for (uint32_t i = 0; i < 3; i++) {
		struct probe p = {.key = (const uint8_t *)&keys[i], .klen = 8};
		uint32_t rank, eoff;
		OK(leaf_place(&m.leaf, &o, &p, &rank, &eoff));
		assert_true(rank == i && eoff);
	}
}

/* Integers lie at their own alignment, in the base and in the tail, for all lengths that may stand
 * before them. */
static void integers_are_aligned(void **state)
{
	static const uint32_t flags[] = {DAXKV_INTEGER_KEY, DAXKV_INTEGER_KEY | DAXKV_DUP_SORT,
	                                 DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP,
	                                 DAXKV_INTEGER_KEY | DAXKV_DUP_SORT | DAXKV_DUP_FIXED |
	                                     DAXKV_INTEGER_DUP};
	(void)state;
	for (size_t f = 0; f < 4; f++)
		for (uint32_t klen = 1; klen <= 24; klen++) {
			struct order o;
			struct mem m;
			uint64_t keys[10][3] = {{0}}, values[12] = {0};
			struct item items[10];
			order_init(&o, flags[f]);
			if ((flags[f] & DAXKV_INTEGER_KEY) && klen != 4 && klen != 8)
				continue;
			for (uint64_t i = 0; i < 10; i++) {
				memset(keys[i], (int)i, sizeof keys[i]);
				values[i] = i;
				items[i] = (struct item){
				    .key = (const uint8_t *)keys[i],
				    .klen = klen,
				    .val = (const uint8_t *)&values[i],
				    .vlen = flags[f] & DAXKV_INTEGER_DUP ? 8 : (uint32_t)i};
			}
			leaf_build(page, PSIZE, &o, items, 10, 3, 0);
			mem_open(&m);
			for (uint32_t i = 0; i < 10; i++) {
				uint32_t eoff;
				struct item it;
				OK(leaf_at(&m.leaf, i, &eoff));
				OK(leaf_item(&m.leaf, eoff, &it));
				assert_int_equal(eoff % 4, 0);
				if (flags[f] & DAXKV_INTEGER_DUP && klen % 4 == 0)
					assert_int_equal((uintptr_t)it.val % 8, 0);
				else if (flags[f] & DAXKV_INTEGER_KEY)
					assert_int_equal((uintptr_t)it.key % 8, 0);
				assert_memory_equal(it.key, keys[i], klen);
			}
		}
}

/* A base of entries of one size, as long as that aligns integers and none has flags: no offsets, no
 * lengths. */
static void uniform_bases(void **state)
{
	static const struct {
		uint32_t flags, klen, vlen, each;
	} cases[] = {{0, 5, 3, 8 + 8},
	             {0, 5, 4, 8 + 12},
	             {0, 1, 0, 8 + 4},
	             {0, 16, 100, 8 + 116},
	             {DAXKV_DUP_SORT, 2, 1, 8 + 4},
	             {DAXKV_INTEGER_KEY, 8, 8, 8 + 16},
	             {DAXKV_INTEGER_KEY, 8, 0, 8 + 8},
	             {DAXKV_INTEGER_KEY, 8, 4, 0},
	             {DAXKV_INTEGER_KEY, 4, 4, 0},
	             {DAXKV_DUP_SORT | DAXKV_INTEGER_DUP, 8, 8, 8 + 16},
	             {DAXKV_DUP_SORT | DAXKV_INTEGER_DUP, 5, 8, 0}};
	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		const uint32_t n = 7, klen = cases[c].klen, vlen = cases[c].vlen,
		               each = cases[c].each;
		static uint8_t key[7][128], value[7][128];
		struct item items[7], it;
		struct order o;
		struct mem m;
		order_init(&o, cases[c].flags);
		for (uint32_t i = 0; i < n; i++) {
			memset(key[i], 0, sizeof key[i]);
			memset(value[i], (int)(100 + i), sizeof value[i]);
			key[i][0] = (uint8_t)(i + 1);
			items[i] = (struct item){
			    .key = key[i], .klen = klen, .val = value[i], .vlen = vlen};
		}
		memset(page, 0xff, PSIZE);
		uint32_t end = leaf_build(page, PSIZE, &o, items, n, 3, 0);
		assert_int_equal(leaf_costs(&o, items, n), each);
		if (each)
			assert_int_equal(end, FMT_LEAF_BASE + n * each);
		mem_open(&m);
		assert_int_equal(m.leaf.page->heads, each ? FMT_UNIFORM | klen : FMT_LEAF_BASE);
		assert_true(page_sound(m.leaf.page, 0, PSIZE));
		for (uint32_t i = 0; i < n; i++) {
			uint32_t eoff;
			OK(leaf_at(&m.leaf, i, &eoff));
			OK(leaf_item(&m.leaf, eoff, &it));
			assert_true(it.klen == klen && it.vlen == vlen && it.flags == 0);
			assert_memory_equal(it.key, key[i], klen);
			assert_memory_equal(it.val, value[i], vlen);
			assert_ptr_equal(leaf_value(m.leaf.page, i), it.val);
			if (each)
				for (uint32_t b = klen + vlen; b % 4; b++)
					assert_int_equal(it.key[b], 0);
		}
		items[3].flags = FMT_ENTRY_BLOB;
		assert_int_equal(leaf_costs(&o, items, n), 0);
		items[3].flags = 0;
		items[6].vlen++;
		assert_int_equal(leaf_costs(&o, items, n), 0);
		items[6].vlen--;
		items[0].klen++;
		assert_int_equal(leaf_costs(&o, items, n), 0);
	}
}

/* What is between heads and end decides whether a uniform leaf is one. */
static void uniform_header_damaged(void **state)
{
	struct item items[2] = {item_of("a", "1"), item_of("b", "2")};
	struct fmt_page *p = (void *)page;
	struct order o;
	(void)state;
	order_init(&o, 0);
	leaf_build(page, PSIZE, &o, items, 2, 3, 0);
	assert_true(page_sound(p, 0, PSIZE));
	p->n = 0;
	assert_false(page_sound(p, 0, PSIZE));
	p->n = 3;
	assert_false(page_sound(p, 0, PSIZE));
	p->n = 2;
	p->offs = 0xffff;
	assert_false(page_sound(p, 0, PSIZE));
	p->offs = 2;
	p->heads = FMT_UNIFORM; /* no key, which would let entries take no room at all */
	assert_false(page_sound(p, 0, PSIZE));
	p->heads = FMT_UNIFORM | 1;
	p->offs = 1;
	p->end += 4;
	assert_false(page_sound(p, 0, PSIZE));
	p->end -= 4;
	p->type = FMT_INNER;
	assert_false(page_sound(p, 0, PSIZE));
	p->type = FMT_LEAF;
	assert_true(page_sound(p, 0, PSIZE));
}

/* A pack of entries of one size, and then of any: the same leaf, entry by entry, whenever the first
 * one of another size comes. */
static void packs_of_any_sizes(void **state)
{
	static uint8_t room[2 * PSIZE] __attribute__((aligned(8)));
	static uint16_t off[LEAF_PACK_MAX(PSIZE)];
	static const uint32_t flags[] = {0, DAXKV_INTEGER_KEY, DAXKV_DUP_SORT | DAXKV_INTEGER_DUP};
	(void)state;
	for (size_t f = 0; f < 3; f++)
		for (uint32_t odd = 0; odd < 80; odd++) {
			struct leaf_pack p = {.page = room,
			                      .off = off,
			                      .psize = PSIZE,
			                      .limit = FMT_LEAF_BASE + leaf_usable(PSIZE)};
			static uint64_t key[400], value[400][4];
			struct leaf l = {.page = (const void *)room,
			                 .slots = (const void *)(room + FMT_LEAF_SLOTS),
			                 .psize = PSIZE};
			struct order o;
			struct item it;
			uint32_t n = 0;
			order_init(&o, flags[f]);
			memset(room, 0xff, sizeof room);
			for (; n < 400; n++) {
				key[n] = o.key == ORDER_INTEGER ? n : __builtin_bswap64(n);
				memset(value[n], (int)n, sizeof value[n]);
				it = (struct item){.key = (const uint8_t *)&key[n],
				                   .klen = 8,
				                   .val = (const uint8_t *)value[n],
				                   .vlen = n == odd && f < 2 ? 13 : 8};
				if (n == odd && f == 2)
					it.flags = FMT_ENTRY_BLOB; /* in no such database, but all
					                              the same to a pack */
				assert_true(!n || leaf_pack_ascends(&p, &o, &it, true));
				if (!leaf_pack_add(&p, &o, &it))
					break;
				it = leaf_pack_item(&p, n / 2);
				assert_int_equal(get64(it.key), key[n / 2]);
			}
			uint32_t end = leaf_pack_build(&p, &o, 9, 0),
			         fit = (PSIZE - FMT_LEAF_BASE) / (8 + 16);
			assert_true(end <= p.limit && n > 25 && n <= fit);
			assert_true(page_sound(l.page, 0, PSIZE));
			assert_int_equal(l.page->crc, leaf_crc(room, end));
			assert_int_equal((l.page->heads & FMT_UNIFORM) != 0, odd >= n);
			for (uint32_t i = 0; i < n; i++) {
				struct probe probe = {.key = (const uint8_t *)&key[i],
				                      .klen = 8,
				                      .dup = (const uint8_t *)value[i],
				                      .dlen = i == odd && f < 2 ? 13 : 8};
				uint32_t rank, eoff;
				OK(leaf_place(&l, &o, &probe, &rank, &eoff));
				assert_true(rank == i && eoff);
				OK(leaf_item(&l, eoff, &it));
				assert_int_equal(it.vlen, probe.dlen);
				assert_memory_equal(it.val, value[i], it.vlen);
				if (flags[f])
					assert_int_equal((uintptr_t)it.key % 8, 0);
			}
		}
}

/* What leaf_cost says an entry takes is never less than what it takes. */
static void cost_is_an_upper_bound(void **state)
{
	static const uint32_t flags[] = {0, DAXKV_INTEGER_KEY,
	                                 DAXKV_DUP_SORT | DAXKV_DUP_FIXED | DAXKV_INTEGER_DUP};
	uint64_t x = 99;
	(void)state;
	for (int round = 0; round < 300; round++) {
		static uint8_t key[300];
		struct order o;
		struct item items[40];
		uint32_t cost = 0, n = 0;
		order_init(&o, flags[round % 3]);
		while (n < 40) {
			items[n] = (struct item){.key = key,
			                         .val = key,
			                         .klen = 1 + (uint32_t)(random_next(&x) % 100),
			                         .vlen = (uint32_t)(random_next(&x) % 150)};
			if (o.key == ORDER_INTEGER)
				items[n].klen = n % 2 ? 4 : 8;
			uint32_t more = leaf_cost(&o, items[n].klen, items[n].vlen);
			if (cost + more > leaf_usable(PSIZE))
				break;
			cost += more;
			n++;
		}
		assert_true(leaf_build(page, PSIZE, &o, items, n, 1, 0) <=
		            round_up(FMT_LEAF_BASE + cost, 4));
	}
}

/* ---- the tail -------------------------------------------------------------------------------- */

struct model { /* the leaf's entries, in order */
	uint32_t n, key[64], version[64];
};

static void model_matches(struct daxkv_store *store, const struct leaf *l, const struct order *o,
                          const struct model *m)
{
	static uint16_t offsets[LEAF_MAX(FMT_PAGE_MAX)];
	struct item it;
	uint32_t n = 0, eoff;
	assert_int_equal(leaf_count(l), m->n);
	OK(leaf_offsets(l, offsets, &n));
	assert_int_equal(n, m->n);
	for (uint32_t i = 0; i < n; i++) {
		char key[16];
		bool found;
		int len = snprintf(key, sizeof key, "key%05u", m->key[i]);
		OK(leaf_at(l, i, &eoff));
		assert_int_equal(eoff, offsets[i]);
		OK(leaf_item(l, eoff, &it));
		assert_true(it.klen == (uint32_t)len && memcmp(it.key, key, it.klen) == 0);
		assert_int_equal(get32(it.val), m->version[i]);
		OK(leaf_get(&store->writer_view, l->page, l->off, o, (const uint8_t *)key,
		            (uint32_t)len, order_fp((const uint8_t *)key, (uint32_t)len), &it,
		            &found));
		assert_true(found && get32(it.val) == m->version[i]);
		struct probe p = {.key = (const uint8_t *)key, .klen = (uint32_t)len};
		uint32_t rank;
		OK(leaf_place(l, o, &p, &rank, &eoff));
		assert_true(rank == i && eoff == offsets[i]);
	}
}

/* model_step - a random insertion, replacement or removal, in the leaf and in the model. */
static bool model_step(struct daxkv_store *store, const struct leaf *l, const struct order *o,
                       struct model *m, uint64_t *x, uint32_t version)
{
	char key[16];
	uint32_t k = (uint32_t)(random_next(x) % 40), at = 0, eoff, rank;
	bool there, done;
	const uint8_t *value;
	snprintf(key, sizeof key, "key%05u", k);
	while (at < m->n && m->key[at] < k)
		at++;
	there = at < m->n && m->key[at] == k;
	struct probe p = {.key = (const uint8_t *)key, .klen = 8};
	OK(leaf_place(l, o, &p, &rank, &eoff));
	assert_int_equal(rank, at);
	assert_int_equal(eoff != 0, there);
	struct leaf_change c = {.item = {.key = (const uint8_t *)key,
	                                 .klen = 8,
	                                 .val = (const uint8_t *)&version,
	                                 .vlen = 4},
	                        .rank = rank,
	                        .kind = there ? FMT_SLOT_REPLACE : FMT_SLOT_INSERT};
	if (there && random_next(x) % 2) {
		c.kind = FMT_SLOT_REMOVE;
		c.item.vlen = 0;
	}
	OK(leaf_append(&store->wset, o, l, &c, &done, &value));
	if (!done)
		return false;
	if (c.kind == FMT_SLOT_INSERT) {
		memmove(m->key + at + 1, m->key + at, (m->n - at) * 4);
		memmove(m->version + at + 1, m->version + at, (m->n - at) * 4);
		m->n++;
	} else if (c.kind == FMT_SLOT_REMOVE) {
		m->n--;
		memmove(m->key + at, m->key + at + 1, (m->n - at) * 4);
		memmove(m->version + at, m->version + at + 1, (m->n - at) * 4);
		return true;
	}
	m->key[at] = k;
	m->version[at] = version;
	return true;
}

/* The tail is searched by fingerprints: keys of one fingerprint are told apart, in any slot, and 0
 * is a fingerprint like others though unused slots have it. */
static void fingerprints_that_are_equal(void **state)
{
	static const uint32_t fps[] = {0, 1, 0x7fff, 0x8000, 0xffff};
	struct daxkv_store *store = store_new("l", 4096);
	(void)state;
	for (uint32_t f = 0; f < 5; f++) {
		struct daxkv_txn *txn = begin(store);
		struct wset *w = &store->wset;
		uint32_t key[FMT_TAIL_SLOTS + 1], n = 0;
		struct order o;
		struct wpage *wp;
		struct leaf l;
		struct item it;
		bool found, done;
		order_init(&o, 0);
		for (uint32_t i = 0; n <= FMT_TAIL_SLOTS; i++)
			if (order_fp((const uint8_t *)&i, 4) == fps[f])
				key[n++] = i;
		OK(wset_new_page(w, &wp));
		wset_install(w, wp, w->image, leaf_build(w->image, 4096, &o, NULL, 0, w->txn, 0));
		for (n = 0; n <= FMT_TAIL_SLOTS; n++) {
			leaf_open(&store->writer_view, (const void *)(store->map.base + wp->off),
			          wp->off, &l);
			for (uint32_t i = 0; i <= FMT_TAIL_SLOTS; i++) {
				OK(leaf_get(&store->writer_view, l.page, l.off, &o,
				            (const uint8_t *)&key[i], 4, fps[f], &it, &found));
				assert_int_equal(found, i < n);
				assert_true(!found || (it.vlen == 4 && get32(it.val) == i));
			}
			struct probe p = {.key = (const uint8_t *)&key[n], .klen = 4};
			struct leaf_change c = {.item = {.key = p.key,
			                                 .klen = 4,
			                                 .val = (const uint8_t *)&n,
			                                 .vlen = 4},
			                        .kind = FMT_SLOT_INSERT};
			const uint8_t *value;
			uint32_t eoff;
			OK(leaf_place(&l, &o, &p, &c.rank, &eoff));
			OK(leaf_append(w, &o, &l, &c, &done, &value));
			assert_int_equal(done, n < FMT_TAIL_SLOTS);
		}
		daxkv_txn_abort(txn);
	}
	store_done(store);
}

/* A leaf with some base, then random changes until the tail is full: after each the order, by rank
 * and by search, is the model's. On a private page, and on one that is treated like a committed
 * page (at a deeper level). */
static void ranks_follow_random_changes(void **state)
{
	struct daxkv_store *store = store_new("l", 512);
	uint64_t x = 4242;
	(void)state;
	for (int round = 0; round < 300; round++) {
		struct daxkv_txn *txn = begin(store);
		struct wset *w = &store->wset;
		struct order o;
		struct model m = {.n = (uint32_t)(round % 7)};
		struct item items[8];
		struct wpage *wp;
		struct leaf l;
		char keys[8][16];
		uint32_t zero = 0;
		order_init(&o, 0);
		for (uint32_t i = 0; i < m.n; i++) {
			m.key[i] = i * 6 + 1;
			snprintf(keys[i], 16, "key%05u", m.key[i]);
			items[i] = (struct item){.key = (const uint8_t *)keys[i],
			                         .klen = 8,
			                         .val = (const uint8_t *)&zero,
			                         .vlen = 4};
		}
		OK(wset_new_page(w, &wp));
		wset_install(w, wp, w->image, leaf_build(w->image, 512, &o, items, m.n, w->txn, 0));
		struct wset_mark mark;
		if (round % 2)
			wset_enter(w, &mark);
		uint32_t appended = 0;
		for (uint32_t version = 1;; version++) {
			leaf_open(&store->writer_view, (const void *)(store->map.base + wp->off),
			          wp->off, &l);
			model_matches(store, &l, &o, &m);
			if (!model_step(store, &l, &o, &m, &x, version))
				break;
			appended++;
		}
		assert_true(appended <= FMT_TAIL_SLOTS && appended >= 6);
		assert_true(appended == FMT_TAIL_SLOTS ||
		            FMT_SLOT_END(l.slots[l.nslots - 1]) + 28 > 512); /* why it ended */
		if (round % 2) {
			assert_int_equal(
			    load_word((const uint64_t *)(const void *)(store->map.base + wp->off +
			                                               FMT_LEAF_SLOTS)),
			    0); /* held back */
			wset_undo(w, &mark);
		}
		daxkv_txn_abort(txn);
	}
	store_done(store);
}

/* A reader sees the first slots, those of its transaction and older; a get, a walk by rank and a
 * search agree. */
static void snapshot_sees_the_first_slots(void **state)
{
	struct daxkv_store *store = store_new("l", 4096);
	struct daxkv_txn *reader[12], *first = begin_reading(store);
	(void)state;
	put_one(store, "m", "base");
	for (int i = 0; i < 12; i++) {
		char key[3] = {(char)(i % 2 ? 'a' + i : 'z' - i), 0},
		     value[3] = {(char)('0' + i), 0};
		put_one(store, i % 3 == 2 ? "m" : key, value);
		OK(daxkv_txn_begin(store, NULL, DAXKV_TXN_READ_ONLY, &reader[i]));
	}
	assert_true(has(first, DAXKV_MAIN, "m", NULL));
	for (int s = 0; s < 12; s++) {
		struct daxkv_db_stat stat;
		uint64_t n = 1;
		const char *m = "base";
		char buf[12][3];
		for (int i = 0; i < 12; i++) {
			char key[3] = {(char)(i % 2 ? 'a' + i : 'z' - i), 0};
			snprintf(buf[i], 3, "%c", '0' + i);
			if (i % 3 == 2) {
				m = i <= s ? buf[i] : m;
				continue;
			}
			assert_true(has(reader[s], DAXKV_MAIN, key, i <= s ? buf[i] : NULL));
			n += i <= s;
		}
		assert_true(has(reader[s], DAXKV_MAIN, "m", m));
		OK(daxkv_db_stat(reader[s], DAXKV_MAIN, &stat));
		assert_int_equal(stat.entries, n);
		struct daxkv_cursor *c;
		struct daxkv_val k;
		OK(daxkv_cursor_open(reader[s], DAXKV_MAIN, &c));
		while (daxkv_cursor_get(c, &k, NULL, DAXKV_NEXT) == 0)
			n--;
		assert_int_equal(n, 0);
		daxkv_cursor_close(c);
	}
	for (int i = 0; i < 12; i++)
		daxkv_txn_abort(reader[i]);
	daxkv_txn_abort(first);
	assert_int_equal(counters(store).compactions, 0);
	store_done(store);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void entry_outside_the_page(void **state)
{
	struct order o;
	struct mem m;
	struct item items[2] = {item_of("a", "1"), item_of("b", "2")}, it;
	(void)state;
	order_init(&o, 0);
	leaf_build(page, PSIZE, &o, items, 2, 3, 0);
	mem_open(&m);
	const uint32_t bad[] = {0, 8, FMT_LEAF_BASE - 1, PSIZE - 3, PSIZE, 60000};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(leaf_item(&m.leaf, bad[i], &it), DAXKV_CORRUPT);
	const uint16_t off = get16(page + m.leaf.page->offs), big = PSIZE;
	memcpy(page + off + 2, &big, 2); /* a value longer than the page */
	assert_int_equal(leaf_item(&m.leaf, off, &it), DAXKV_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(build_of_nothing),
	    TEST(build_with_common_prefixes),
	    TEST(key_that_is_the_prefix),
	    TEST(heads_that_are_equal),
	    TEST(heads_of_all_ones),
	    TEST(integers_are_aligned),
	    TEST(uniform_bases),
	    TEST(uniform_header_damaged),
	    TEST(packs_of_any_sizes),
	    TEST(cost_is_an_upper_bound),
	    TEST(fingerprints_that_are_equal),
	    TEST(ranks_follow_random_changes),
	    TEST(snapshot_sees_the_first_slots),
	    TEST(entry_outside_the_page),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
