/* SPDX-License-Identifier: BSD-3-Clause */
/* synced.c - see synced.h */
#include "run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "cover_tree.h"
#include "synced.h"
#include "treap.h"

static struct synced {
	struct oracle_state state;
	uint64_t content;
	bool mode; /* of the transaction that runs, or ran last: it is lazy */
	uint64_t lazy, syncs, lost, found; /* commits left lazy, syncs, states that were lost, and
	                                      found again after a death */
} synced;

void state_release(struct oracle_state *state)
{
	for (size_t i = 0; i < OP_DBS; i++)
		treap_release(state->db[i].root);
	memset(state, 0, sizeof *state);
}

void state_keep(struct oracle_state *to, const struct oracle_state *from)
{
	*to = *from;
	for (size_t i = 0; i < OP_DBS; i++)
		(void)treap_retain(to->db[i].root);
}

void synced_start(void)
{
	state_keep(&synced.state, &run.oracle.committed);
	synced.content = content_of_oracle(&run.oracle.committed);
}

void synced_mode(void)
{
	if (!run.lazy)
		return;
	synced.mode = rng_percent(&run.rng, run.lazy);
	if (daxkv_set_durability(run.drive.store, synced.mode ? DAXKV_LAZY : DAXKV_DURABLE))
		explore.fail("the mode cannot be set");
}

bool synced_lazy(void)
{
	return synced.mode;
}

void synced_allow(void)
{
	explore_allow(synced.content, false, 0);
	explore_also(run.acked);
	if (run.in_flight)
		explore_also(content_of_oracle(&run.oracle.committed));
}

static void synced_now(void)
{
	state_release(&synced.state);
	state_keep(&synced.state, &run.oracle.committed);
	synced.content = run.acked;
}

void synced_look(bool must)
{
	if (image_lazy(run.drive.store)) {
		synced.lazy++;
		if (must)
			explore.fail("a sync, or a durable commit, returned and commits are lazy");
		return;
	}
	if (synced.content == run.acked)
		return;
	synced.syncs++;
	/* a transaction that runs may have synced: what was committed before it is durable */
	synced_now();
}

bool synced_is(uint64_t content)
{
	if (content != synced.content)
		return false;
	if (run.died && run.shared)
		explore.fail("a process died, and commits that it had made are gone");
	synced.lost++;
	state_release(&run.oracle.committed);
	state_keep(&run.oracle.committed, &synced.state);
	return true;
}

void synced_back(void)
{
	synced.found += run.died && synced.content != run.acked;
	synced_now();
}

void synced_cut(void)
{
	char lock[540];

	snprintf(lock, sizeof lock, "%s-lock", run.path);
	(void)unlink(lock);
}

void synced_show(void)
{
	if (!run.lazy)
		return;
	printf("lazy: operations in an interval %lu syncs %lu lost %lu found after a death %lu "
	       "pages in memory given places %lu\n",
	       (unsigned long)synced.lazy, (unsigned long)synced.syncs, (unsigned long)synced.lost,
	       (unsigned long)synced.found, (unsigned long)cover_tree.memory_lazy);
}
