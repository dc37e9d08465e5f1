/* SPDX-License-Identifier: BSD-3-Clause */
/* cover.c - see cover.h. The linker leads the engine's calls through here. */
#include "cover.h"

#include "cover_tree.h"
#include "members.h"
#include "run.h"
#include "zones.h"

#include <stdio.h>

static struct cover {
	uint64_t records, ranges_named, fenced_records, spilled, most_spilled_words, limbo_pages,
	    retired, newest, most_lag;
	uint64_t commits, aborts, nested_commits, nested_aborts, puts, large, reserved, dup_puts,
	    dels, cursor_changes, creates, drops, empties, renames;
	uint64_t reopens, syncs, compacts, moved, compact_cuts, readers, most_mapped;
	uint64_t splits, merges, compactions, grows, checkpoints;
	enum op_kind now;
} cover;

int __wrap_commit_checkpoint(struct daxkv_store *store)
{
	struct daxkv_counters before, behind;

	daxkv_counters(store, &before);
	int rc = __real_commit_checkpoint(store);

	daxkv_counters(store, &behind);
	if (cover.now != OP_SYNC && cover.now != OP_REOPEN && cover.now != OP_COMPACT)
		cover.checkpoints += behind.fences > before.fences;
	return rc;
}

void __wrap_ring_write(struct ring *ring, uint64_t txn, uint64_t durable_upto,
                       const struct ring_range *ranges, size_t nranges,
                       const struct ring_word *words, size_t nwords)
{
	cover.records++;
	cover.most_lag = max_u64(cover.most_lag, txn - durable_upto);
	cover.ranges_named += nranges;
	cover.fenced_records += nranges == 0;
	cover.newest = txn > cover.newest ? txn : cover.newest;
	__real_ring_write(ring, txn, durable_upto, ranges, nranges, words, nwords);
}

void __wrap_ring_write_spilled(struct ring *ring, uint64_t txn, uint64_t durable_upto,
                               uint64_t spill_off, uint64_t nwords, uint32_t crc)
{
	cover.records++;
	cover.most_lag = max_u64(cover.most_lag, txn - durable_upto);
	cover.spilled++;
	cover.newest = txn > cover.newest ? txn : cover.newest;
	cover.most_spilled_words =
	    nwords > cover.most_spilled_words ? nwords : cover.most_spilled_words;
	__real_ring_write_spilled(ring, txn, durable_upto, spill_off, nwords, crc);
}

bool __wrap_limbo_take(struct limbo *limbo, uint64_t upto, struct limbo_item *item)
{
	bool taken = __real_limbo_take(limbo, upto, item);

	cover.limbo_pages += taken ? item->pages : 0;
	return taken;
}

int __wrap_wset_retire(struct wset *w, uint64_t off)
{
	cover.retired++;
	cover.most_mapped = w->map->size > cover.most_mapped ? w->map->size : cover.most_mapped;
	return __real_wset_retire(w, off);
}

uint64_t cover_spilled(void)
{
	return cover.spilled;
}

void cover_next(const struct op *op)
{
	cover.now = op->kind;
}

static void cover_put(const struct op *op, const struct oracle_before *before)
{
	cover.puts++;
	cover.large += op->value.size > 512;
	cover.reserved += (op->flags & DAXKV_RESERVE) != 0;
	cover.dup_puts += (before->db.flags & DAXKV_DUP_SORT) != 0;
	cover.cursor_changes += op->kind == OP_CURSOR_PUT;
}

void cover_op(const struct op *op, const struct oracle_before *before, const struct outcome *want)
{
	uint64_t *counter[OP_KINDS] = {
	    [OP_DEL] = &cover.dels,
	    [OP_CURSOR_DEL] = &cover.cursor_changes,
	    [OP_DB_CREATE] = &cover.creates,
	    [OP_DB_DROP] = &cover.drops,
	    [OP_DB_EMPTY] = &cover.empties,
	    [OP_DB_RENAME] = &cover.renames,
	    [OP_REOPEN] = &cover.reopens,
	    [OP_SYNC] = &cover.syncs,
	    [OP_COMPACT] = &cover.compacts,
	    [OP_READER_BEGIN] = &cover.readers,
	    [OP_COMMIT] = before->depth > 1 ? &cover.nested_commits : &cover.commits,
	    [OP_ABORT] = before->depth > 1 ? &cover.nested_aborts : &cover.aborts};

	if (want->rc)
		return;
	if (op->kind == OP_PUT || op->kind == OP_CURSOR_PUT)
		cover_put(op, before);
	else if (counter[op->kind])
		++*counter[op->kind];
}

void cover_drive(const struct drive *drive)
{
	struct daxkv_counters sum;

	drive_counters(drive, &sum);
	cover.splits += sum.splits;
	cover.merges += sum.merges;
	cover.compactions += sum.compactions;
	cover.grows += sum.grows;
	cover.moved += drive->moved;
	cover.compact_cuts += drive->compact_cuts;
}

void cover_show(const char *name, uint64_t n)
{
	printf(" %s %lu", name, (unsigned long)n);
}

void cover_print(void)
{
	printf("covered:");
	cover_show("records", cover.records);
	cover_show("fresh ranges named", cover.ranges_named);
	cover_show("records without", cover.fenced_records);
	cover_show("spilled", cover.spilled);
	cover_show("words of the longest spill", cover.most_spilled_words);
	cover_show("ring rounds", cover.newest / FMT_RING_RECORDS);
	cover_show("longest lag", cover.most_lag);
	cover_show("splits", cover.splits);
	cover_show("merges", cover.merges);
	cover_show("joins", cover_tree.joins);
	cover_show("lists found long", cover_tree.noted);
	cover_show("tallies changed", cover_tree.owed);
	cover_show("compactions", cover.compactions);
	cover_show("pages retired", cover.retired);
	cover_show("taken from limbo", cover.limbo_pages);
	cover_show("checkpoints for space", cover.checkpoints);
	cover_show("grows", cover.grows);
	cover_show("trims", cover_tree.trims);
	cover_show("trims to the first size", cover_tree.trims_to_floor);
	cover_show("trims while pages wait", cover_tree.trims_held);
	cover_show("pages in memory", cover_tree.memory);
	cover_show("given places in the file", cover_tree.memory_out);
	if (run.granule == 512)
		cover_show("given places in sectors", cover_tree.memory_out);
	cover_show("longest file", cover.most_mapped);
	printf("\ncovered:");
	cover_show("commits", cover.commits);
	cover_show("aborts", cover.aborts);
	cover_show("nested commits", cover.nested_commits);
	cover_show("nested aborts", cover.nested_aborts);
	cover_show("puts", cover.puts);
	cover_show("large values", cover.large);
	cover_show("reserved", cover.reserved);
	cover_show("duplicates", cover.dup_puts);
	cover_show("deletions", cover.dels);
	cover_show("cursor changes", cover.cursor_changes);
	cover_show("own large values freed", cover_tree.own_large);
	cover_show("databases made", cover.creates);
	cover_show("found without a page", cover_tree.empty);
	cover_show("found as a leaf", cover_tree.leaf);
	cover_show("given a descriptor", cover_tree.described);
	cover_show("dropped", cover.drops);
	cover_show("emptied", cover.empties);
	cover_show("renamed", cover.renames);
	cover_show("reopened", cover.reopens);
	cover_show("synced", cover.syncs);
	cover_show("compacted", cover.compacts);
	cover_show("pages moved by it", cover.moved);
	cover_show("files cut by it", cover.compact_cuts);
	cover_show("bitmaps moved by it", zone_counts.moved);
	cover_show("bitmaps put elsewhere", zone_counts.put_elsewhere);
	cover_show("snapshots", cover.readers);
	cover_show("groups", member_counts.groups);
	cover_show("members", member_counts.kept);
	cover_show("members undone", member_counts.undone);
	cover_show("groups given up", member_counts.given_up);
	printf("\n");
}
