/* SPDX-License-Identifier: BSD-3-Clause */
/* check_store.h - what opening shares with the checks of an open store. */
#ifndef DAXKV_CHECK_STORE_H
#define DAXKV_CHECK_STORE_H

#include "txn/store.h"

/* store_stamp - a checksum of the file's superblock and ring, which every commit changes. errno. */
int store_stamp(const struct daxkv_store *store, uint64_t *stamp);

#endif
