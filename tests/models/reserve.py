#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""reserve.py - a store that cannot grow can be emptied, whatever it is full of.

The store has a fixed number of pages. A leaf is a page of up to CAP entries, of which SLOTS at most
were put or removed since it was written. Such a change is made in place; one more rewrites the leaf
on another page, as two leaves when it leaves no room for the next SLOTS. A leaf without an entry
goes. A commit may write a page of its own, as a descriptor that moves.

What a transaction gives up that a commit made is held: it is free after the next commit, or after a
checkpoint, but not for that transaction itself. Nobody reads.

All stores are tried that transactions of one put or one removal lead to, in any order. In each of
them every removal must succeed, alone and together with its commit; and so must a transaction that
removes everything, in every order.
"""
import itertools
import sys

import rules

RULES = {
    "RESERVE": "a put leaves pages that it does not take",
    "COMMIT": "a removal, and the commit of a transaction without a put, may take them",
    "CHECKPOINT": "before a page is missing, what the last commits gave up becomes free",
    "SCARCE": "where pages are scarce a removal splits no leaf",
    "OWN": "a page that the transaction took itself is free when it gives it up",
    "MEMORY": "a removal that finds no page takes one in memory",
}
CAP, SLOTS = 4, 2
RESERVE = 2
COMMITTED, OWN, MEMORY = range(3)


class Full(Exception):
    """No page is left for what is to be done."""


class Store:
    """leaves: (entries, slots used, whose). limbo: pages given up by the last commit."""

    def __init__(self, off, pages, leaves, limbo):
        self.off, self.pages = off, pages
        self.leaves, self.limbo = list(leaves), limbo
        self.held = 0  # given up by the running transaction
        self.puts = False

    def free(self):
        in_file = sum(whose != MEMORY for _, _, whose in self.leaves)
        return self.pages - in_file - self.limbo - self.held

    def kept(self, removal):
        if "RESERVE" in self.off or (removal and "COMMIT" not in self.off):
            return 0
        return RESERVE

    def find(self, pages, kept):
        if self.free() >= pages + kept:
            return True
        if "CHECKPOINT" not in self.off:
            self.limbo = 0
        return self.free() >= pages + kept

    def give(self, whose):
        if whose == COMMITTED or (whose == OWN and "OWN" in self.off):
            self.held += 1

    def rewrite(self, i, entries, removal):
        """Leaf i has so many entries now: on other pages, unless its own is the transaction's."""
        _, _, whose = self.leaves[i]
        parts = 1
        if entries > CAP - SLOTS:
            scarce = self.free() < 2 * RESERVE and entries <= CAP
            parts = 1 if removal and scarce and "SCARCE" not in self.off else 2
        kept = self.kept(removal)
        del self.leaves[i]
        others = len(self.leaves)
        if whose == COMMITTED:
            self.held += 1
        else:
            self.leaves.append((0, 0, whose))  # it stays where it is
        while len(self.leaves) < others + parts:
            if self.find(1, kept):
                self.leaves.append((0, 0, OWN))
            elif removal and "MEMORY" not in self.off:
                self.leaves.append((0, 0, MEMORY))
            else:
                raise Full
        for part in range(parts):
            owner = self.leaves[others + part][2]
            self.leaves[others + part] = ((entries + 1 - part) // parts, 0, owner)

    def put(self, i):
        self.puts = True
        if i == len(self.leaves):
            if not self.find(1, self.kept(False)):
                raise Full
            self.leaves.append((1, 0, OWN))
            return
        entries, slots, whose = self.leaves[i]
        if slots < SLOTS and entries < CAP:
            self.leaves[i] = (entries + 1, slots + 1, whose)
        else:
            self.rewrite(i, entries + 1, False)

    def remove(self, i):
        entries, slots, whose = self.leaves[i]
        if entries == 1:
            del self.leaves[i]
            self.give(whose)
        elif slots < SLOTS:
            self.leaves[i] = (entries - 1, slots + 1, whose)
        else:
            self.rewrite(i, entries - 1, True)

    def commit(self, moves):
        """Pages in memory get places, and with moves the descriptor does. What is held is limbo."""
        more = sum(whose == MEMORY for _, _, whose in self.leaves) + moves
        if more and not self.find(more, self.kept(not self.puts) // (2 if self.puts else 1)):
            raise Full
        leaves = tuple(sorted((n, s, COMMITTED) for n, s, _ in self.leaves))
        return leaves, self.held + moves

    def key(self):
        return tuple(sorted(self.leaves)), self.limbo, self.held, self.puts


def one(off, pages, state, removal, i, moves):
    """The state after a transaction of one change, or None: it is full."""
    store = Store(off, pages, *state)
    try:
        (store.remove if removal else store.put)(i)
        return store.commit(moves)
    except Full:
        return None


def emptied(off, pages, state, done):
    """A transaction that removes everything: a trail that ends in Full, or None."""
    first = Store(off, pages, *state)
    todo = [(first, ())]
    while todo:
        store, trail = todo.pop()
        if store.key() in done:
            continue
        done.add(store.key())
        if not store.leaves:
            try:
                store.commit(1)
            except Full:
                return trail + ("commit",)
        for i, leaf in enumerate(store.leaves):
            if leaf in store.leaves[:i]:
                continue
            after = Store(off, pages, store.leaves, store.limbo)
            after.held = store.held
            step = "remove one of %d, %d slots used" % leaf[:2]
            try:
                after.remove(i)
            except Full:
                return trail + (step,)
            todo.append((after, trail + (step,)))
    return None


def show(state):
    leaves, limbo = state
    text = " ".join("%d/%d" % leaf[:2] for leaf in leaves) or "empty"
    return "leaves (entries/slots used) %s, %d in the limbo" % (text, limbo)


def check(off, pages, quiet=False):
    label = "without " + ", ".join(off) if off else "all rules"
    usable = pages - 1  # one is the descriptor
    start = ((), 0)
    before = {start: None}
    todo, done, full = [start], set(), 0
    broken = None
    while todo and not broken:
        state = todo.pop()
        broken = emptied(off, usable, state, done)
        leaves = state[0]
        refused = 0
        for i in range(len(leaves) + 1):
            if i and i < len(leaves) and leaves[i] == leaves[i - 1]:
                continue
            for removal, moves in itertools.product((False, True), (0, 1)):
                if i == len(leaves) and (removal or leaves):
                    continue
                after = one(off, usable, state, removal, i, moves)
                if removal and after is None:
                    broken = ("remove one of %d, %d slots used, and commit" % leaves[i][:2],)
                refused += after is None
                if after is not None and after not in before:
                    before[after] = state
                    todo.append(after)
        full += refused > 0
    if not broken:
        print("reserve: %s: holds (%d stores, %d of them full for a put)" % (label, len(before),
                full))
        return full > 0
    print("reserve: %s: BROKEN: a removal is FULL" % label)
    trail = []
    while state and not quiet:
        trail.append(state)
        state = before[state]
    for state in reversed(trail):
        print("    " + show(state))
    for step in broken if not quiet else ():
        print("    " + step)
    return False


def main():
    parser = rules.arguments("Check that a full store can be emptied.", RULES)
    parser.add_argument("--pages", type=int, default=8, help="of the file (default 8)")
    args = parser.parse_args()
    return rules.run(args, RULES, lambda without, quiet: check(without, args.pages, quiet))


if __name__ == "__main__":
    sys.exit(main())
