/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * partition.c - cutting a database into parts. See daxkv.h and tree_partition.c
 *
 * The keys are separators of the snapshot's pages, so they need not be keys of entries. They point
 * into the mapping, and are the caller's for as long as the transaction runs.
 */
#include "base/err.h"
#include "txn/dbi.h"
#include "txn/entry.h"
#include "txn/store.h"
#include "txn/txn_check.h"

#include <errno.h>
#include <stdlib.h>

#define PARTS_MAX 65536u

/* Fewer parts than were asked for when the database is small. */
int daxkv_db_partition(struct daxkv_txn *txn, daxkv_db db, size_t parts, struct daxkv_val *key,
                       size_t *n)
{
	struct dbstate *s;
	struct sep *seps;
	uint32_t got = 0;
	int rc = txn_check(txn, false);

	if (rc)
		return rc;
	if (!parts || parts > PARTS_MAX || !n || (parts > 1 && !key))
		rc = err_set(EINVAL,
		             "a split needs 1 to %u parts, and room for the keys between them",
		             PARTS_MAX);
	if (rc)
		return rc;
	seps = malloc(parts * sizeof *seps);
	if (!seps)
		return err_set(ENOMEM, "no memory to cut a database into %zu parts", parts);
	rc = dbi_state(txn, db, &s);
	if (!rc)
		rc = tree_partition(&s->tree, (uint32_t)parts, seps, &got);
	rc = txn_done(txn, rc);
	for (uint32_t i = 0; i < got && !rc; i++)
		rc = entry_value(txn_view(txn),
		                 &(struct item){.val = seps[i].key, .vlen = seps[i].klen}, &key[i]);
	free(seps);
	if (rc)
		return rc;
	*n = got;
	return 0;
}
