/* SPDX-License-Identifier: BSD-3-Clause */
/* The writer's set: pages found again however many there are, private pages, and nesting undone and
 * merged. */
#include "small_store.h"

static uint64_t new_page(struct wset *w)
{
	struct wpage *wp = NULL;
	OK(wset_new_page(w, &wp));
	assert_true(wset_editable(w, wp) && !wp->dead);
	return wp->off;
}

static void find_in_an_empty_set(void **state)
{
	struct daxkv_store *store = store_new("w", 512);
	struct daxkv_txn *txn = begin(store);
	(void)state;
	assert_null(wset_find(&store->wset, 4096));
	assert_int_equal(store->wset.n, 0);
	assert_int_equal(store->wset.level, 1);
	assert_false(wset_editable(&store->wset, NULL));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* A table that has to grow, small sets after large ones: each wiped in its own way. */
static void find_among_many(void **state)
{
	struct daxkv_store *store = store_new("w", 512);
	const uint64_t counts[] = {3, 5000, 10, 700, 1, 20000, 2};
	(void)state;
	for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
		struct daxkv_txn *txn = begin(store);
		struct wset *w = &store->wset;
		for (uint64_t i = 0; i < counts[c]; i++) {
			struct wpage *wp;
			assert_null(wset_find(w, (i * 7 + 1) * 512));
			OK(wset_touch(w, (i * 7 + 1) * 512, &wp));
			assert_true(wp->off == (i * 7 + 1) * 512 && wp->owner == 0 &&
			            wp->npending == 0 && !wp->dead);
			wp->npending = (uint8_t)(i % 16);
		}
		assert_int_equal(w->n, counts[c]);
		for (uint64_t i = 0; i < counts[c]; i++) {
			struct wpage *wp = wset_find(w, (i * 7 + 1) * 512);
			assert_non_null(wp);
			assert_int_equal(wp->npending, i % 16);
			assert_null(wset_find(w, (i * 7 + 2) * 512));
			assert_ptr_equal(wset_at(w, i), wp);
		}
		daxkv_txn_abort(txn);
	}
	store_done(store);
}

static void touch_twice_is_the_same_entry(void **state)
{
	struct daxkv_store *store = store_new("w", 512);
	struct daxkv_txn *txn = begin(store);
	struct wpage *a, *b;
	(void)state;
	OK(wset_touch(&store->wset, 51200, &a));
	OK(wset_touch(&store->wset, 51200, &b));
	assert_ptr_equal(a, b);
	assert_int_equal(store->wset.n, 1);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void retire_frees_at_once_or_later(void **state)
{
	struct daxkv_store *store = store_new("w", 512);
	struct daxkv_txn *txn;
	struct wset *w = &store->wset;
	const struct fmt_super *super = (const void *)store->map.base;
	(void)state;
	txn = begin(store);
	uint64_t own = new_page(w), committed = load_word(&super->main_desc);
	OK(wset_retire(w, own));
	assert_true(wset_find(w, own)->dead);
	assert_int_equal(new_page(w), own); /* the same page, and its entry is alive again */
	assert_false(wset_find(w, own)->dead);
	OK(wset_retire(w, committed));
	assert_true(wset_find(w, committed)->dead);
	for (int i = 0; i < 1000; i++)
		assert_true(new_page(w) != committed);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void install_streams_only_first_changes(void **state)
{
	struct daxkv_store *store = store_new("w", 512);
	struct daxkv_txn *txn = begin(store);
	struct wset *w = &store->wset;
	struct wpage *wp;
	(void)state;
	memset(w->image, 0x77, 512);
	OK(wset_new_page(w, &wp));
	w->changes = 1;
	wset_install(w, wp, w->image, 100);
	assert_true(wp->streamed && wp->used == 100);
	assert_memory_equal(store->map.base + wp->off, w->image, 100);
	OK(wset_new_page(w, &wp));
	w->changes = 2;
	wset_install(w, wp, w->image, 512);
	assert_true(!wp->streamed && wp->used == 512);
	assert_memory_equal(store->map.base + wp->off, w->image, 512);
	daxkv_txn_abort(txn);
	store_done(store);
}

/* ---- nesting --------------------------------------------------------------------------------- */

static void undo_restores_entries(void **state)
{
	struct daxkv_store *store = store_new("w", 512);
	struct daxkv_txn *txn = begin(store);
	struct wset *w = &store->wset;
	struct wset_mark mark;
	struct wpage *wp;
	uint64_t own = new_page(w);
	int64_t before;
	(void)state;
	OK(wset_touch(w, 51200, &wp));
	wp->npending = 3;
	wp->val[2] = 33;
	before = w->space->gained;
	wset_enter(w, &mark);
	assert_int_equal(w->level, 2);
	assert_false(wset_editable(w, wset_find(w, own))); /* the parent's page */
	OK(wset_touch(w, 51200, &wp));
	wp->npending = 5;
	wp->val[2] = 44;
	OK(wset_touch(w, 61440, &wp));
	uint64_t fresh = new_page(w);
	OK(wset_retire(w, own)); /* held, not reusable: an abort brings it back */
	assert_true(wset_find(w, own)->dead);
	assert_true(new_page(w) != own);
	wset_undo(w, &mark);
	assert_int_equal(w->level, 1);
	assert_null(wset_find(w, 61440));
	assert_null(wset_find(w, fresh));
	wp = wset_find(w, 51200);
	assert_true(wp->npending == 3 && wp->val[2] == 33);
	assert_true(wset_editable(w, wset_find(w, own)) && !wset_find(w, own)->dead);
	assert_int_equal(w->space->gained, before);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void merge_gives_pages_to_the_parent(void **state)
{
	struct daxkv_store *store = store_new("w", 512);
	struct daxkv_txn *txn = begin(store);
	struct wset *w = &store->wset;
	struct wset_mark mark;
	struct wpage *wp;
	(void)state;
	OK(wset_touch(w, 51200, &wp));
	wp->npending = 3;
	wset_enter(w, &mark);
	uint64_t own = new_page(w);
	OK(wset_touch(w, 51200, &wp));
	wp->npending = 5;
	wset_merge(w, &mark);
	assert_int_equal(w->level, 1);
	assert_true(wset_editable(w, wset_find(w, own)));
	assert_int_equal(wset_find(w, 51200)->npending, 5);
	assert_int_equal(w->nundo, 0); /* the outermost level needs no way back */
	daxkv_txn_abort(txn);
	store_done(store);
}

/* A grandchild's change that was merged into the child is undone with the child. */
static void undo_after_an_inner_merge(void **state)
{
	struct daxkv_store *store = store_new("w", 512);
	struct daxkv_txn *txn = begin(store);
	struct wset *w = &store->wset;
	struct wset_mark outer, inner;
	struct wpage *wp;
	uint64_t a, b;
	(void)state;
	OK(wset_touch(w, 51200, &wp));
	wp->val[0] = 1;
	OK(wset_touch(w, 61440, &wp));
	wp->val[0] = 1;
	wset_enter(w, &outer);
	OK(wset_touch(w, 61440, &wp));
	wp->val[0] = 2;
	a = new_page(w);
	wset_enter(w, &inner);
	assert_false(wset_editable(w, wset_find(w, a)));
	OK(wset_touch(w, 51200, &wp));
	wp->val[0] = 3;
	OK(wset_touch(w, 61440, &wp));
	wp->val[0] = 3;
	b = new_page(w);
	wset_merge(w, &inner);
	assert_true(wset_editable(w, wset_find(w, a)) && wset_editable(w, wset_find(w, b)));
	OK(wset_touch(w, 51200, &wp)); /* saved already: the copy is the one of the grandchild */
	wp->val[0] = 4;
	wset_undo(w, &outer);
	assert_int_equal(wset_find(w, 51200)->val[0], 1);
	assert_int_equal(wset_find(w, 61440)->val[0], 1);
	assert_null(wset_find(w, a));
	assert_null(wset_find(w, b));
	daxkv_txn_abort(txn);
	store_done(store);
}

/* The parent's page freed by a merged child and taken again by a second child that is undone. */
static void undo_of_a_page_freed_and_taken(void **state)
{
	struct daxkv_store *store = store_new("w", 512);
	struct daxkv_txn *txn = begin(store);
	struct wset *w = &store->wset;
	struct wset_mark mark;
	uint64_t page = new_page(w);
	int64_t before;
	(void)state;
	before = w->space->gained;
	OK(wset_retire(w, page));
	wset_enter(w, &mark);
	assert_int_equal(new_page(w), page);
	assert_false(wset_find(w, page)->dead);
	assert_int_equal(wset_find(w, page)->owner, 2);
	wset_undo(w, &mark);
	assert_true(wset_find(w, page)->dead);
	assert_int_equal(new_page(w), page);
	assert_int_equal(w->space->gained, before);
	daxkv_txn_abort(txn);
	store_done(store);
}

static void undo_of_many_new_entries(void **state)
{
	struct daxkv_store *store = store_new("w", 512);
	struct daxkv_txn *txn = begin(store);
	struct wset *w = &store->wset;
	struct wset_mark mark;
	struct wpage *wp;
	(void)state;
	for (uint64_t i = 0; i < 300; i++)
		OK(wset_touch(w, 512 * (1 + 2 * i), &wp));
	wset_enter(w, &mark);
	for (uint64_t i = 0; i < 9000; i++) /* the table grows meanwhile */
		OK(wset_touch(w, 512 * (2 + 2 * i), &wp));
	wset_undo(w, &mark);
	assert_int_equal(w->n, 300);
	for (uint64_t i = 0; i < 300; i++)
		assert_non_null(wset_find(w, 512 * (1 + 2 * i)));
	for (uint64_t i = 0; i < 9000; i++)
		assert_null(wset_find(w, 512 * (2 + 2 * i)));
	daxkv_txn_abort(txn);
	store_done(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(find_in_an_empty_set),
	    TEST(find_among_many),
	    TEST(touch_twice_is_the_same_entry),
	    TEST(retire_frees_at_once_or_later),
	    TEST(install_streams_only_first_changes),
	    TEST(undo_restores_entries),
	    TEST(merge_gives_pages_to_the_parent),
	    TEST(undo_after_an_inner_merge),
	    TEST(undo_of_a_page_freed_and_taken),
	    TEST(undo_of_many_new_entries),
	};
	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
