#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# own_order.sh - databases that a program orders by its own comparator: kv reads them from end to
# end and refuses the rest in words.
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/lib.sh"

cat >make.c <<'END'
#include <daxkv.h>
#include <string.h>
static int backwards(const struct daxkv_val *a, const struct daxkv_val *b, void *arg)
{
	size_t n = a->size < b->size ? a->size : b->size;
	int c = memcmp(b->data, a->data, n);
	(void)arg;
	return c != 0 ? c : (b->size > a->size) - (b->size < a->size);
}
int main(void)
{
	static const char *const keys[] = {"b", "a", "c"};
	struct daxkv_options options = {.flags = DAXKV_CREATE, .pmem = DAXKV_PMEM_FILE};
	struct daxkv_val name = {3, "own"};
	struct daxkv_store *kv;
	struct daxkv_txn *txn;
	daxkv_db db;
	if (daxkv_open("own.kv", &options, &kv) != 0 || daxkv_txn_begin(kv, NULL, 0, &txn) != 0)
		return 1;
	if (daxkv_db_open(txn, &name, DAXKV_CREATE | DAXKV_OWN_COMPARE, &db) != 0 ||
	    daxkv_db_set_compare(txn, db, backwards, NULL) != 0)
		return 2;
	for (int i = 0; i < 3; i++) {
		struct daxkv_val key = {1, (void *)keys[i]}, value = {1, "v"};
		if (daxkv_put(txn, db, &key, &value, 0) != 0)
			return 3;
	}
	return daxkv_txn_commit(txn) != 0 || daxkv_close(kv) != 0;
}
END
lib=$(dirname "$KV")/libdaxkv.a
if [ ! -e "$lib" ] ||
	! ${CC:-cc} -I"$top/include" -o make make.c "$lib" -ldl -pthread >"$log/cc" 2>&1; then
	t "kv runs" exits 0 kv --version
	skip "databases with their own order" "a program with the library $lib cannot be built here"
	finish
fi
t "a program makes such a database" ./make
t "list names the flag" prints '(main)	0	-
own	3	own-compare' kv list own.kv
t "scan goes from end to end" prints 'c	v
b	v
a	v' kv scan own.kv --db own
t "also in reverse" prints 'a
b
c' kv scan own.kv --db own --reverse --keys
t "a prefix needs no order" prints 'b	v' kv scan own.kv --db own --prefix b
t "--from needs it" exits 3 kv scan own.kv --db own --from b
t "and says so" says 'own order'
t "get needs it" exits 3 kv get own.kv b --db own
t "and says so" says 'own order'
t "put needs it" unchanged own.kv exits 3 kv put own.kv b w --db own
t "del needs it" unchanged own.kv exits 3 kv del own.kv b --db own
t "stat" exits 0 kv stat own.kv
t "check" prints '0 faults' kv check own.kv
t "dump" exits 0 kv dump own.kv
t "tells that the order is not in the dump" says 'own order'
t "the dump is in the database's order" sh -c 'test "$(grep -c "^ 6[123]$" "$1")" -eq 3 &&
	grep -n "^ 63$" "$1" | grep -q "^9:"' sh "$log/out"
t "count needs no order" prints 3 kv count own.kv --db own
t "of a prefix neither" prints 1 kv count own.kv --db own --prefix b
t "of a range it does" exits 3 kv count own.kv --db own --from b
t "del of a prefix needs it" unchanged own.kv exits 3 kv del own.kv --db own --prefix b
t "copy needs it" unchanged own.kv exits 3 kv copy own.kv own other
t "and says so" says 'own order'
in_shell() { # a scan gives the shell no order, by which what follows would go
	status=0
	printf 'scan --db own\nput z 1 --db own\nget b --db own\nscan --db own --limit 1\n' |
		kv shell own.kv >"$log/out" 2>"$log/err" || status=$?
	[ "$status" -eq 3 ] && [ "$(wc -l <"$log/err")" -eq 2 ] &&
		says 'line 2: put: .*own order' && says 'line 3: get: .*own order' &&
		[ "$(wc -l <"$log/out")" -eq 4 ]
}
t "a shell knows it no more after a scan" in_shell
in_batch() { # nor within a transaction
	printf 'put k v\nscan --db own\nput z 1 --db own\n' |
		exits 3 kv batch own.kv && says 'line 3: put: .*own order'
}
t "nor a batch" in_batch
t "rename needs none" exits 0 kv rename own.kv own mine
t "drop needs none" prints "dropped the database 'mine', which had 3 entries" kv drop own.kv mine
t "all is sound" prints "0 faults" kv check own.kv
finish
