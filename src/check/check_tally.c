/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_tally.c - tallies against the values that the keys have. See check_walk.h
 *
 *   tallies    a: 40      d: 7          noted first, in the order of keys
 *   entries    a1 ... a40 b1 c1 d1 ... d7
 *                       ^ the run of a has ended: 40, as its tally says
 *
 * Both are in the order of the database's keys, so each entry of the one is met beside that of the
 * other. A key without a tally is no fault. A tally is one when the key has another number of
 * values, or none.
 */
#include "base/array.h"
#include "check/check_walk.h"
#include "daxkv.h"

#include <inttypes.h>
#include <stdlib.h>

/* key_item - a key alone, as check_compare takes it. */
static struct check_item key_item(const uint8_t *key, uint32_t klen)
{
	return (struct check_item){.key = key, .klen = klen};
}

/* tally_fault - the key has another number of values than its tally says. */
static void tally_fault(struct check *ck, const struct check_db *db,
                        const struct check_tally *tally, uint64_t found)
{
	check_fault(ck, db,
	            "tally at 0x%" PRIx64 ": says %" PRIu64
	            " values of its key, found are %" PRIu64,
	            (uint64_t)(tally->key - ck->base), tally->values, found);
}

/* A key with fewer than two values has none. ENOMEM ends the run. */
void check_tally_note(struct check *ck, struct check_db *db, const struct check_item *item)
{
	struct check_tally *tally;

	if (array_room(&db->tallies, db->tallies_count, &db->tallies_room, sizeof *db->tallies)) {
		ck->err = ENOMEM;
		return;
	}
	tally = &db->tallies[db->tallies_count++];
	*tally = (struct check_tally){
	    .key = item->key,
	    .klen = item->klen,
	    .values = get64(item->dup),
	};
	if (tally->values < 2)
		check_fault(ck, db, "tally at 0x%" PRIx64 ": of %" PRIu64 " values",
		            (uint64_t)(tally->key - ck->base), tally->values);
}

/* run_end - all entries of the run's key were met. Tallies of keys before it have none. */
static void run_end(struct check *ck, struct check_db *db)
{
	const uint32_t order = db->flags & (DAXKV_INTEGER_KEY | DAXKV_REVERSE_KEY);
	struct check_run *run = &db->run;
	const struct check_item key = key_item(run->key, run->klen);

	while (run->key && run->next < db->tallies_count) {
		const struct check_tally *tally = &db->tallies[run->next];
		const struct check_item its = key_item(tally->key, tally->klen);
		const enum check_order is = check_compare(order, &its, &key);

		if (is == CHECK_AFTER)
			return;
		run->next++;
		if (is == CHECK_SAME && tally->values == run->values)
			return;
		if (is == CHECK_SAME) {
			tally_fault(ck, db, tally, run->values);
			return;
		}
		tally_fault(ck, db, tally, 0);
	}
}

/* Two keys are one when their bytes are the same: only such orders have tallies. */
void check_tally_entry(struct check *ck, struct check_db *db, const struct check_item *item)
{
	struct check_run *run = &db->run;

	if (!db->tallies_count)
		return;
	if (run->key && run->klen == item->klen && memcmp(run->key, item->key, item->klen) == 0) {
		run->values++;
		return;
	}
	run_end(ck, db);
	run->key = item->key;
	run->klen = item->klen;
	run->values = 1;
}

void check_tally_end(struct check *ck, struct check_db *db)
{
	run_end(ck, db);
	for (; db->run.next < db->tallies_count; db->run.next++)
		tally_fault(ck, db, &db->tallies[db->run.next], 0);
	free(db->tallies);
	db->tallies = NULL;
}
