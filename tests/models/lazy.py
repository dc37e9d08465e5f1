#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""lazy.py - every power cut and process death around commits that wait for a sync.

The store has a few pages, each with a base and a slot, and a superblock of two words: ROOT, a page,
and AUX. Transaction T puts the value T: by a word into the slot of the root page, or by a page of
its own, which takes the root's place. A record of the file's one ring place names both words of the
superblock, or the word of a slot.

A durable commit outside of an interval stores its record, a fence, then its word. A lazy one opens
an interval at S, the newest commit that the file knows. In the interval nothing that S reaches is
changed, and the newest superblock is a shadow in the share. A sync is a fence, a record that makes
the superblock the shadow, a fence, and then the words; S is the newest commit from there on. The
share outlives processes; after a power cut it may be there still, and is not to be believed.

A stored cell may become durable at any moment, each by itself, until a fence makes it so. What is
checked at each power cut: the file alone shows S, whole, or the newest commit while a sync runs. At
each process death: who opens the store next finds the newest commit, and so does a power cut after
it has synced that.
"""
import itertools
import sys

import rules

RULES = {
    "L1-WORD": "no word is stored in a page that S reaches",
    "L1-SUPER": "no word of the file's superblock is stored in an interval",
    "L3-REUSE": "a page that S reaches is not taken before a sync made a state without it durable",
    "L3-RECORD": "nor before the fence of that sync's record has returned",
    "L4-PAGES": "the pages are fenced before the record that makes them reachable",
    "L4-RECORD": "the record is fenced before its words are stored",
    "L5-BOOT": "a share of another start of the machine is not believed",
    "L5-FAILED": "after a failed fence the lazy state is not believed",
    "L6-DURABLE": "a durable commit in an interval syncs",
}
PAGES = 4
ROOT, AUX, RECORD = "root", "aux", "record"


class Broken(Exception):
    """A promise does not hold."""


class Media:
    """What the cache has of each cell, and which values may be on the medium."""

    def __init__(self, now, durable=None):
        self.now = dict(now)
        self.durable = durable or {cell: {value} for cell, value in now.items()}

    def copy(self):
        return Media(self.now, {cell: set(values) for cell, values in self.durable.items()})

    def store(self, cell, value):
        self.now[cell] = value
        self.durable[cell] = self.durable[cell] | {value}
        if cell == RECORD:
            self.durable[cell].add("torn")

    def fence(self):
        self.durable = {cell: {value} for cell, value in self.now.items()}

    def cuts(self):
        cells = sorted(self.durable, key=str)
        for values in itertools.product(*[sorted(self.durable[c], key=str) for c in cells]):
            yield dict(zip(cells, values))


def value_of(cells, root, aux):
    """What a store shows: the slot's value, or the base's; and AUX, which must agree."""
    birth, base = cells["head", root]
    slot = cells["slot", root]
    return (slot[1] if slot and slot[0] == birth else base), aux


def recovered(cells):
    """The file alone: its record's words, if it is whole, and then its superblock."""
    cells = dict(cells)
    if cells[RECORD] not in (None, "torn"):
        cells.update(cells[RECORD][1])
    return cells, value_of(cells, cells[ROOT], cells[AUX])


class Run:
    """One history. share: None, or (S's value, the newest value, shadow root, shadow aux)."""

    def __init__(self, without):
        self.without = set(without)
        cells = {("head", p): (0, 0) for p in range(PAGES)}
        cells.update({("slot", p): None for p in range(PAGES)})
        cells.update({ROOT: 0, AUX: 0, RECORD: None})
        self.m, self.share, self.txn, self.synced = Media(cells), None, 0, 0
        self.kept, self.used, self.trace, self.images = {0}, {0}, [], 0

    def on(self, rule):
        return rule not in self.without

    def fail(self, what):
        raise Broken("%s\n    %s" % (what, "\n    ".join(self.trace)))

    def look(self, what, *allowed):
        """A power cut here: the file shows one of these values, and AUX agrees."""
        self.trace.append(what)
        for cells in self.m.cuts():
            self.images += 1
            after, got = recovered(cells)
            if self.share and not self.on("L5-BOOT"):
                got = value_of(after, self.share[2], self.share[3])
            if got not in [(v, v) for v in allowed]:
                self.fail("a power cut leaves %s, allowed: %s" % (got, allowed))

    def free_page(self):
        taken = self.used | (self.kept if self.on("L3-REUSE") else set())
        return next((p for p in range(PAGES) if p not in taken), None)

    def superblock(self):
        return (self.share[2], self.share[3]) if self.share else (self.m.now[ROOT], self.m.now[AUX])

    def commit(self, lazy, by_word):
        old, txn = self.txn, self.txn + 1
        root, _ = self.superblock()
        inside = lazy or self.share
        word = by_word and (not inside or root not in self.kept or not self.on("L1-WORD"))
        if not inside:
            self.durable(txn, root, word)
            return
        if not self.share:
            self.m.fence()  # the words of S are durable before an interval begins
            self.m.store(RECORD, None)
            self.m.fence()
            self.share = (old, old, root, self.m.now[AUX])
        page = root if word else self.free_page()
        if page is None:
            return
        self.fill(page, txn, word)
        self.look("lazy %d: page %d" % (txn, page), self.synced)
        self.share = (self.synced, txn, page, txn)
        self.used, self.txn = {page}, txn
        if not self.on("L1-SUPER"):
            self.m.store(ROOT, page)
            self.m.store(AUX, txn)
        self.look("lazy %d" % txn, self.synced)
        if not lazy and self.on("L6-DURABLE"):
            self.sync()
        elif not lazy:
            self.look("durable %d returned" % txn, txn)

    def fill(self, page, txn, word):
        if word:
            self.m.store(("slot", page), (self.m.now["head", page][0], txn))
        else:
            self.m.store(("head", page), (txn, txn))
            self.m.store(("slot", page), None)

    def durable(self, txn, root, word):
        """Outside of an interval: as commit.py explores it, with a fence more."""
        old, page = self.txn, root if word else self.free_page()
        if word:
            slot = (self.m.now["head", page][0], txn)
            words = ((("slot", page), slot), (AUX, txn))
        else:
            self.fill(page, txn, False)
            words = ((ROOT, page), (AUX, txn))
        self.m.fence()
        self.m.store(RECORD, (txn, words))
        self.look("durable %d: record" % txn, old, txn)
        self.m.fence()
        for cell, value in words:
            self.m.store(cell, value)
        self.txn = self.synced = txn
        self.kept = self.used = {page}
        self.look("durable %d" % txn, txn)
        self.m.fence()

    def sync(self):
        if not self.share:
            return
        _, newest, root, aux = self.share
        if self.on("L4-PAGES"):
            self.m.fence()
        self.look("sync: pages", self.synced)
        self.m.store(RECORD, (newest, ((ROOT, root), (AUX, aux))))
        self.look("sync: record", self.synced, newest)
        if not self.on("L3-RECORD"):  # a page of S is written by the next commit already
            for page in self.kept - self.used:
                self.fill(page, newest + 1, False)
            self.look("sync: a page of S", self.synced, newest)
        if self.on("L4-RECORD"):
            self.m.fence()
        self.m.store(ROOT, root)
        self.m.store(AUX, aux)
        self.share, self.synced, self.kept = None, newest, {root}
        self.look("sync: done", newest)

    def death(self):
        """All processes die: the next one finds the share, and syncs what it says."""
        if self.share:
            _, newest, root, aux = self.share
            self.trace.append("death")
            if value_of(self.m.now, root, aux) != (newest, newest):
                self.fail("after a death %s is found, not %d" % (value_of(self.m.now, root, aux),
                        newest))
            self.sync()

    def failed(self):
        """The first fence of a sync fails: the cache calls all clean, the medium may have any of it.
        Who opens the store next goes back to S."""
        if not self.share:
            return
        stuck = self.m.copy()
        if self.on("L5-FAILED"):
            self.share, self.txn = None, self.synced
            self.m = stuck
            self.used = set(self.kept)
            self.look("a fence failed", self.synced)
            return
        _, newest, root, aux = self.share
        self.trace.append("a fence failed, and the share was believed")
        for cell, value in (RECORD, (newest, ((ROOT, root), (AUX, aux)))), (ROOT, root), (AUX, aux):
            stuck.durable[cell] = {value}
        self.m, self.share, self.synced = stuck, None, newest
        self.look("its sync returned", newest)


STEPS = {
    "lazy, word": lambda run: run.commit(True, True),
    "lazy, page": lambda run: run.commit(True, False),
    "durable, word": lambda run: run.commit(False, True),
    "durable, page": lambda run: run.commit(False, False),
    "sync": lambda run: run.sync(),
    "death": lambda run: run.death(),
    "failed": lambda run: run.failed(),
}


def check(without, steps, quiet):
    images = 0
    for history in itertools.product(STEPS, repeat=steps):
        run = Run(without)
        try:
            for step in history:
                STEPS[step](run)
                if step == "failed":
                    break
        except Broken as broken:
            label = "without " + ", ".join(without) if without else "all rules"
            text = broken.args[0].split("\n")
            print("lazy: %s: BROKEN: %s" % (label, text[0] if quiet else "\n".join(text)))
            return False
        images += run.images
    print("lazy: %s: holds (%d images)" % ("without " + ", ".join(without) if without else
            "all rules", images))
    return True


def main():
    parser = rules.arguments("Explore commits that wait for a sync.", RULES)
    parser.add_argument("--steps", type=int, default=4, help="of a history (default 4)")
    args = parser.parse_args()
    return rules.run(args, RULES, lambda without, quiet: check(without, args.steps, quiet))


if __name__ == "__main__":
    sys.exit(main())
