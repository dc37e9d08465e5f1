#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ranks.py - the order of a leaf from its slots' ranks, for every prefix of the slots.

A leaf is a sorted base and a tail of slots in order of appending. A slot says insert, replace or
remove, and a rank: the place in the leaf's order at the time of appending. Applying the ranks one
by one gives the order without comparing keys. A snapshot sees a prefix of the slots, and every
prefix that ends a transaction must give that transaction's entries, in key order.

A transaction may change its own slots before it commits. It may point a slot of its own at a newer
entry for the same key; it must append a remove slot to take an entry away. All bases of up to three
keys and all sequences of puts and deletes up to a length are tried, with a commit or none after
each operation.
"""
import bisect
import itertools
import sys

import rules

RULES = {
    "R6": "a transaction removes an own entry by appending a remove slot, not by dropping its slot",
    "R6-ORDER": "a transaction points its own slot at a newer entry in place, it does not move the slot to the end",
    "RANK-THEN": "a rank counts what the leaf holds at the time of appending, earlier slots of the tail included [I9]",
}
KEYS = (0, 1, 2, 3)
INSERT, REPLACE, REMOVE = "insert", "replace", "remove"


def order_of(base, slots):
    """The entries in the leaf's order, by ranks alone."""
    order = [(key, 0) for key in base]
    for kind, rank, key, version in slots:
        if kind == INSERT:
            order.insert(rank, (key, version))
        elif rank >= len(order):
            return None
        elif kind == REPLACE:
            order[rank] = (key, version)
        else:
            del order[rank]
    return order


class Leaf:
    def __init__(self, base, off):
        self.base, self.off = base, off
        self.slots, self.first_own = [], 0
        self.expected = dict.fromkeys(base, 0)
        self.snapshots = []

    def own_slot(self, key):
        """The newest slot of the running transaction for key, or None."""
        for i in range(len(self.slots) - 1, self.first_own - 1, -1):
            if self.slots[i][2] == key:
                return i
        return None

    def rank_of(self, key):
        keys = sorted(self.expected) if "RANK-THEN" not in self.off else list(self.base)
        return bisect.bisect_left(keys, key)

    def put(self, key, version):
        own = self.own_slot(key)
        if own is not None and self.slots[own][0] != REMOVE:
            kind, rank, _, _ = self.slots[own]
            self.slots[own] = (kind, rank, key, version)
            if "R6-ORDER" in self.off:
                self.slots.append(self.slots.pop(own))
        else:
            self.slots.append((REPLACE if key in self.expected else INSERT, self.rank_of(key), key,
                               version))
        self.expected[key] = version

    def delete(self, key):
        if key not in self.expected:
            return
        own = self.own_slot(key)
        if "R6" in self.off and own is not None and self.slots[own][0] == INSERT:
            del self.slots[own]
        else:
            self.slots.append((REMOVE, self.rank_of(key), key, 0))
        del self.expected[key]

    def commit(self):
        self.snapshots.append((len(self.slots), dict(self.expected)))
        self.first_own = len(self.slots)

    def wrong(self):
        """A snapshot that does not read as it was committed, or None."""
        for seen, expected in self.snapshots:
            order = order_of(self.base, self.slots[:seen])
            if order != sorted(expected.items()):
                return seen, expected, order
        return None


def sequences(length):
    for base_size in range(4):
        for base in itertools.combinations(KEYS, base_size):
            for n in range(1, length + 1):
                # Five operations and more only on three keys and small bases: enough for each slot
                # to have neighbours.
                if n >= 5 and base_size > 1:
                    break
                keys = KEYS if n < 5 else KEYS[:3]
                for ops in itertools.product(itertools.product(("put", "delete"), keys, (False,
                        True)), repeat=n):
                    yield base, ops


def check(off, length, quiet=False):
    label = "without " + ", ".join(off) if off else "all rules"
    runs = prefixes = 0
    for base, ops in sequences(length):
        leaf = Leaf(base, off)
        for version, (op, key, commit) in enumerate(ops, 1):
            if op == "put":
                leaf.put(key, version)
            else:
                leaf.delete(key)
            if commit:
                leaf.commit()
        runs += 1
        prefixes += len(leaf.snapshots)
        wrong = leaf.wrong()
        if wrong is None:
            continue
        print("ranks: %s: BROKEN: the first %d slots give %s, committed was %s" % (label, wrong[0],
                wrong[2], sorted(wrong[1].items())))
        if not quiet:
            print("    base keys %s" % (base,))
            for version, (op, key, commit) in enumerate(ops, 1):
                print("    %s %d%s%s" % (op, key, " = %d" % version if op == "put" else "",
                                         ", commit" if commit else ""))
            for slot in leaf.slots:
                print("    slot: %s at rank %d: key %d = %d" % slot)
        return False
    print("ranks: %s: holds (%d sequences, %d prefixes)" % (label, runs, prefixes))
    return True


def main():
    parser = rules.arguments("Check the order that ranks give.", RULES)
    parser.add_argument("--length", type=int, default=5,
                        help="operations in a sequence (default 5)")
    args = parser.parse_args()
    return rules.run(args, RULES, lambda without, quiet: check(without, args.length, quiet))


if __name__ == "__main__":
    sys.exit(main())
