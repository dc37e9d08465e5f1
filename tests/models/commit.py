#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""commit.py - every crash of a tiny store: commit, ring, recovery, clean close, growth and cutting
of the file.

The store has one leaf (a base, one tail slot), a handful of pages, an allocation word for each, a
ring of three records and the superblock's H. Transaction T puts the value T: into the leaf's free
slot when there is one, else it writes a new leaf and frees the old one. It also sets the word AUX
to the number of crashes so far, so that a transaction tried again after a crash differs from its
first try although its fresh bytes are the same. A transaction may be small (record names its fresh
bytes, one fence), fenced (record names none, two fences) or spilled (word list in a page from free
space, two fences).

In some searches the file has an end that moves: the last page lies behind it at first, with an
allocation word of an older life. A transaction may grow the file; and one may give the last page
up, as at a close or when the store is compacted. It may do so beside a reader, but not while the
page waits for that reader. The file itself is cut when nobody reads: at once or later. In one of
these searches the leaf is in the last page at first, and is only rewritten, while the file is cut
and grown.

In others commits may be logged: the record has the fresh bytes as words, or its spill page has them,
and the fence makes the record durable, or first the spill page, and nothing else. The ring has four
records then, of which two may be logged ones that wait for a full fence.

Media: memory is a few cells. A stored cell may become durable at any moment, each by itself, in any
order; it must be durable once it was flushed after the store and a fence followed. A record is one
cell that can also be torn. At every step the process may die (the cache stays, cells not yet
durable stay so), and power may fail (any combination of durable values is what is left). A fence
may also fail as fdatasync does: what it should have written counts as clean from then on, and
flushing it again does nothing. Power cuts need to be looked at only before each fence and when
nothing runs: between two fences the set of possible images only grows.

What is checked: the recovered value and AUX are those of the last transaction whose commit
returned, or of the one that was running; a live reader sees its snapshot after every single step,
also while another process recovers; no step finds the ring broken. The search is depth-first over
all states, remembering the states that it has seen.
"""
import itertools
import sys
import time

import rules

RULES = {
    "R1": "the named ranges hold no unused space",
    "R2": "a ring index is reused only when its words are durable under a fence that returned (else: a ring of two)",
    "R3-readers": "a freed page waits for readers older than its freeing",
    "R3-durable": "a freed page waits until its freeing lies at or below durable_upto of a fenced record",
    "R4": "recovery flushes what its decision rests on before it stores a word",
    "R4-H": "recovery flushes H before it relies on it",
    "R5": "recovery stores again what a failed fdatasync may have left behind",
    "CHECKFRESH": "the newest record counts only when its fresh bytes check out",
    "ERASE": "recovery erases an invalid record that follows the newest valid one",
    "ERASE-CLEAN": "it does so also when H says that nothing is to be replayed",
    "ERASE-AGAIN": "it clears an empty place again, since a failed fdatasync may have left an old record beneath",
    "H-LATE": "recovery stores H only after the words are durable",
    "H-CLOSE": "a clean close stores H only after the words are durable",
    "MARK-RING": "a clean store does not need its ring: H counts also when it is above all records",
    "MARK-SUM": "a damaged H is not believed",
    "SPILL-FENCE": "fresh bytes and spill page are fenced before a spilled record is written [I6]",
    "SPILL-REUSE": "a spill page waits until its transaction lies at or below durable_upto of a fenced record",
    "FENCED-FENCE": "fresh bytes that a record does not name are fenced before it is written",
    "WORD-FLUSH": "a transaction flushes the words of the one before it",
    "EMPTY-FENCE": "a transaction that changed nothing fences the words before it calls them durable",
    "GROW-SYNC": "the file's new length is durable before a word says so",
    "GROW-ZERO": "allocation words of new space are zeroed",
    "GROW-FENCE": "they are zero durably before the record that brings them in is written",
    "CUT-FENCE": "the file is cut only when the smaller size is durable",
    "CUT-LIMBO": "before the file's end is given up the last commits have had a checkpoint, so that nothing there is held back",
    "CUT-HELD": "the end that is given up has no page that waits in the limbo for a reader",
    "LOG-DURABLE": "the fence of a logged commit makes nothing durable in place: durable_upto stays",
    "LOG-RING": "a commit is logged only while the ring has room for the records that wait",
    "LOG-WORDS": "a logged record has its fresh bytes as words, and does not name them",
    "LOG-SPILL": "the spill page of a logged record is fenced before it",
    "LOG-EDGE": "no byte of a logged record's words is in a later transaction's fresh bytes",
    "TAKEOVER-STORE": "a takeover beside live readers stores only words of the record after the published one",
    "TAKEOVER-LIMBO": "a takeover puts the pages freed by that record into the limbo",
}

TAIL_RULES = ("GROW-SYNC", "GROW-ZERO", "GROW-FENCE", "CUT-FENCE", "CUT-LIMBO")
HELD_RULES = ("CUT-HELD",)
TORN = "torn"
LOG_RULES = ("LOG-DURABLE", "LOG-RING", "LOG-WORDS", "LOG-SPILL", "LOG-EDGE")
KINDS = {
    "plain": ("small", "rewriting", "fenced", "spilled"),
    "tail": ("small", "rewriting", "fenced", "spilled", "growing", "cutting"),
    "held": ("rewriting", "growing", "cutting"),
    "logged": ("small", "logged", "log-spilled"),
    "ring": ("small", "logged"),
}
TAIL_MODES = ("tail", "held")
LOG_MODES = ("logged", "ring")
# Rules that only some searches are about, and these searches.
HOMES = ((TAIL_RULES, ("tail",)), (HELD_RULES, ("held",)), (LOG_RULES, LOG_MODES))
LOG_LAG = 2  # of the ring of four
# Transactions and crashes of a run, and its kind: what seconds suffice for.
DEPTHS = ((1, 4, "plain"), (2, 3, "plain"), (3, 2, "plain"), (5, 1, "plain"), (2, 2, "tail"),
          (3, 1, "tail"), (4, 1, "held"), (3, 1, "logged"), (2, 3, "logged"), (5, 1, "ring"))
FOREVER = 1 << 30


class Broken(Exception):
    """A promise does not hold."""


class Layout:
    """Which cell is what."""

    def __init__(self, pages, ring):
        self.pages, self.ring = pages, ring
        self.H, self.ROOT, self.AUX, self.SIZE, self.LENGTH = range(5)
        self.BIT = 5
        self.HEAD = self.BIT + pages
        self.SLOT = self.HEAD + pages
        self.ENTRY = self.SLOT + pages
        self.RING = self.ENTRY + pages
        self.cells = self.RING + ring
        self.names = [self.describe(cell) for cell in range(self.cells)]

    def bit(self, page):
        return self.BIT + page

    def head(self, page):  # of a leaf: (birth, prev, value); of a spill page: ("spill", T)
        return self.HEAD + page

    def slot(self, page):  # 0, or T; of a spill page: the word list
        return self.SLOT + page

    def entry(self, page):
        return self.ENTRY + page

    def record(self, txn):
        return self.RING + txn % self.ring

    def describe(self, cell):
        for base, text in ((self.RING, "ring"), (self.ENTRY, "entry"), (self.SLOT, "slot"),
                           (self.HEAD, "head"), (self.BIT, "bit")):
            if cell >= base:
                return "%s[%d]" % (text, cell - base)
        return ("H", "root", "aux", "size", "file length")[cell]

    def page_of(self, cell):
        """The page that a cell lies in, or None: bitmap, ring and superblock lie elsewhere."""
        return (cell - self.HEAD) % self.pages if self.HEAD <= cell < self.RING else None


class Media:
    """Cells: what the cache shows, what may be durable, what was flushed since the last fence."""

    def __init__(self, now, durable, stale=frozenset()):
        self.now, self.durable, self.stale = list(now), list(durable), set(stale)
        self.flushed = {}

    def store(self, cell, value):
        self.now[cell] = value
        self.durable[cell] = self.durable[cell] | {value}
        if cell in self.flushed:
            self.flushed[cell] = self.flushed[cell] | {value}
        self.stale.discard(cell)

    def flush(self, cells):
        for cell in cells:
            if cell not in self.stale:
                self.flushed[cell] = frozenset((self.now[cell],))

    def fence(self):
        for cell, values in self.flushed.items():
            self.durable[cell] = values
        self.flushed = {}

    def failed_fence_stale(self):
        """The cells that a failing fence leaves clean in the cache and old on the medium."""
        return frozenset(self.stale.union(c for c in self.flushed if len(self.durable[c]) > 1))

    def image(self):
        return tuple(self.now), tuple(self.durable), frozenset(self.stale)


# A record: (T, durable_upto, spill page or None, words or None, fresh bytes named); words and fresh
# are tuples of (cell, value).


class Store:
    """The protocol. Steps of a procedure are a generator that yields (what happened, is a fence next)."""

    def __init__(self, without, pages, limit, mode="plain"):
        self.off = frozenset(without)
        self.at = Layout(pages, 2 if "R2" in self.off else 4 if mode in LOG_MODES else 3)
        self.limit, self.tail = limit, mode in TAIL_MODES
        self.held = mode == "held"
        self.kinds = KINDS[mode]

    def on(self, rule):
        return rule not in self.off

    def fresh_media(self):
        at, last = self.at, self.at.pages - 1
        now = [0] * at.cells
        now[at.ROOT] = last if self.held else 0
        now[at.bit(now[at.ROOT])] = 1
        now[at.head(now[at.ROOT])] = (0, None, 0)
        now[at.SIZE] = now[at.LENGTH] = last if self.tail and not self.held else at.pages
        if self.tail:
            now[at.bit(last)] = 1
        return tuple(now)

    # ---- reading

    def read(self, now, snapshot):
        """The value at a snapshot; anything else than a snapshot's number is a broken promise that the caller reports."""
        at, page = self.at, now[self.at.ROOT]
        for _ in range(at.pages + 1):
            if page >= now[at.LENGTH]:
                return "page %d behind the file's end" % page
            head = now[at.head(page)]
            if not isinstance(head, tuple) or len(head) != 3:
                return "no leaf in page %d" % page
            birth, prev, value = head
            if birth <= snapshot:
                break
            if prev is None:
                return "no older leaf than page %d" % page
            page = prev
        else:
            return "prev loop"
        if now[at.slot(page)] and now[at.entry(page)] <= snapshot:
            value = now[at.entry(page)]
        return value

    def words_of(self, now, record):
        """A record's words, or None when its spill page does not hold them."""
        txn, _, spill, words, _ = record
        if spill is None:
            return words
        if spill >= now[self.at.LENGTH] or now[self.at.head(spill)] != ("spill", txn):
            return None
        return now[self.at.slot(spill)] if isinstance(now[self.at.slot(spill)], tuple) else None

    # ---- committing

    def take_page(self, now, limbo, fenced, oldest, taken):
        held = set()
        for txn, page, is_spill in limbo:
            ready = txn <= fenced
            if is_spill:
                ready = ready or (not self.on("SPILL-REUSE") and txn <= fenced + 1)
            else:
                ready = ready or not self.on("R3-durable")
                ready = ready and (txn <= oldest or not self.on("R3-readers"))
            if not ready:
                held.add(page)
        pages = range(now[self.at.SIZE])
        for page in reversed(pages) if self.tail else pages:  # with a moving end, soon the last one
            if page not in held and page not in taken and not now[self.at.bit(page)]:
                return page
        return None

    def plan_end(self, kind, now, txn, aux, page):
        """The file gets its last page, or gives it up: a new leaf, in page, and a new size."""
        at, leaf, last = self.at, now[self.at.ROOT], self.at.pages - 1
        if page in (None, last) or leaf == last or (now[at.SIZE] == at.pages) == (kind ==
                "growing"):
            return None
        fresh = [(at.head(page), (txn, leaf, txn)), (at.slot(page), 0)]
        words = [(at.ROOT, page), (at.bit(page), 1), (at.bit(leaf), 0), (at.SIZE,
                at.pages if kind == "growing" else last), aux]
        return fresh, words, list(fresh), leaf, None

    def plan_cutting(self, now, txn, aux, limbo, oldest):
        """Nobody uses the last page. A checkpoint releases what the limbo holds for no reader."""
        at, leaf, last = self.at, now[self.at.ROOT], self.at.pages - 1
        waits = any(page == last for _, page, _ in self.still_held(limbo, oldest))
        if now[at.bit(last)] or (waits and self.on("CUT-HELD")):
            return None
        return self.plan_end("cutting", now, txn, aux, self.take_page(now, limbo, FOREVER, oldest,
                {leaf, last}))

    def still_held(self, limbo, oldest):
        """What a checkpoint leaves in the limbo."""
        return tuple(x for x in limbo if not x[2] and x[0] > oldest)

    def plan(self, now, txn, epoch, limbo, fenced, oldest, kind):
        """What transaction txn writes: (fresh bytes, words, named bytes, freed page, spill page), or None when it cannot be."""
        at, leaf = self.at, now[self.at.ROOT]
        aux, freed, spill = (at.AUX, epoch), None, None
        if kind == "growing":
            return self.plan_end(kind, now, txn, aux, self.take_page(now, limbo, fenced, oldest,
                    {leaf}))
        if kind == "cutting":
            return self.plan_cutting(now, txn, aux, limbo, oldest)
        taken = {leaf}
        full = bool(now[at.slot(leaf)])
        if kind == "rewriting" and full:
            return None  # the small transaction does the same
        if not full and kind not in ("rewriting", "fenced"):
            fresh = [(at.entry(leaf), txn)]
            words = [(at.slot(leaf), txn), aux]
            named = list(fresh)
        else:
            page = self.take_page(now, limbo, fenced, oldest, taken)
            if page is None:
                return None
            taken.add(page)
            fresh = [(at.head(page), (txn, leaf, txn)), (at.slot(page), 0)]
            named = list(fresh)
            if not self.on("R1"):
                named.append((at.entry(page), now[at.entry(page)]))
            words = [(at.ROOT, page), (at.bit(page), 1), (at.bit(leaf), 0), aux]
            freed = leaf
            if kind.startswith("log") and not self.on("LOG-EDGE"):
                words.append((at.entry(page), now[at.entry(page)]))
        if kind in ("spilled", "log-spilled"):
            if freed is not None and not self.on("R3-durable"):
                taken.discard(freed)
                now = list(now)
                now[at.bit(freed)] = 0
            spill = self.take_page(now, limbo, fenced, oldest, taken)
            if spill is None:
                return None
        return fresh, words, [] if kind == "fenced" else named, freed, spill

    def grow(self, m):
        """Steps ahead of the commit that brings the last page in."""
        at = self.at
        m.store(at.LENGTH, at.pages)
        yield "grow: longer file", False
        if self.on("GROW-SYNC"):
            m.flush((at.LENGTH,))
            yield "grow: fsync", True
            m.fence()
        if self.on("GROW-ZERO"):
            m.store(at.bit(at.pages - 1), 0)
            m.flush((at.bit(at.pages - 1),))
            yield "grow: zeroed", self.on("GROW-FENCE")
            if self.on("GROW-FENCE"):
                m.fence()

    def commit(self, m, txn, durable, before, plan, backwards, kind):
        """Steps of commit txn; before has the records whose words are not flushed yet. plan is what self.plan gave."""
        at = self.at
        fresh, words, named, _, spill = plan
        logged = kind.startswith("log")
        if kind == "growing":
            yield from self.grow(m)
        if self.on("WORD-FLUSH") and not logged:
            self.flush_words(m, before)
        for cell, value in fresh:
            m.store(cell, value)
            yield "fresh " + at.names[cell], False
        if logged and self.on("LOG-WORDS"):
            words, named = list(words) + list(fresh), ()
        if not logged:
            m.flush(c for c, _ in fresh)
        if kind == "fenced" and self.on("FENCED-FENCE"):
            yield "fresh bytes flushed", True
            m.fence()
        record = (txn, durable, None, tuple(words), tuple(named))
        if spill is not None:
            m.store(at.head(spill), ("spill", txn))
            m.store(at.slot(spill), tuple(words))
            m.flush((at.head(spill), at.slot(spill)))
            fence = self.on("LOG-SPILL" if logged else "SPILL-FENCE")
            yield "spill page %d" % spill, fence
            if fence:
                m.fence()
                yield "fence of fresh bytes", False
            record = (txn, durable, spill, None, ())
        m.store(at.record(txn), TORN)
        yield "half the record", False
        m.store(at.record(txn), record)
        m.flush((at.record(txn),))
        yield "record", True
        m.fence()
        yield "durable", False
        for cell, value in reversed(words) if backwards else words:
            m.store(cell, value)
            yield "word " + at.names[cell], False

    def flush_words(self, m, records):
        for record in records:
            m.flush(c for c, _ in self.words_of(m.now, record))

    def empty(self, m, before):
        """Steps of a transaction that is aborted, or changed nothing: its begin flushed the words before it."""
        self.flush_words(m, before)
        yield "empty: words", self.on("EMPTY-FENCE")
        if self.on("EMPTY-FENCE"):
            m.fence()
        yield "empty: durable", False

    def give_up(self, m, txn, durable, before, plan, backwards, shorten):
        """Steps that commit the smaller size: settle, commit. shorten: the file is cut as well."""
        if self.on("CUT-LIMBO"):
            yield from self.close(m, txn - 1, before)
            durable, before = txn - 1, ()
        for step in self.commit(m, txn, durable, before, plan, backwards, "cutting"):
            if step[0] == "record" and shorten and not self.on("CUT-FENCE"):
                m.store(self.at.LENGTH, self.at.pages - 1)
            yield step

    def settle(self, m, txn, plan, shorten):
        """Steps that follow these: settle, cut."""
        yield from self.close(m, txn, ((txn, txn - 1, None, tuple(plan[1]), ()),))
        if shorten:
            yield from self.cut(m)

    def cut(self, m):
        m.store(self.at.LENGTH, m.now[self.at.SIZE])
        yield "cut", False

    def close(self, m, txn, before):
        self.flush_words(m, before)
        if self.on("H-CLOSE"):
            yield "close: words", True
            m.fence()
        m.store(self.at.H, txn)
        m.flush((self.at.H,))
        yield "close: H", True
        m.fence()
        yield "closed", False

    # ---- recovering

    def find_newest(self, now, published):
        """The records by number, the newest transaction, and what is durable in place."""
        at = self.at
        records = {}
        for cell in now[at.RING:]:
            if isinstance(cell, tuple):
                records[cell[0]] = cell
        newest = max(records, default=0)
        damaged = isinstance(now[at.H], tuple)
        clean = now[at.H] if not damaged else 0 if self.on("MARK-SUM") else now[at.H][1]
        if newest and self.on("CHECKFRESH") and any(now[c] != v for c, v in records[newest][4]):
            if damaged:
                raise Broken("H is damaged, and record %d is cut short" % newest)
            newest -= 1
        if newest > clean and newest not in records:
            raise Broken("record %d is missing below an invalid newest one" % newest)
        if published is not None and newest < published:
            raise Broken("recovered %d, but %d was published" % (newest, published))
        if clean > newest:
            if not self.on("MARK-RING"):
                raise Broken("H is %d, the newest record %d" % (clean, newest))
            newest = clean
        durable = max(clean, records[newest][1] if newest in records else 0)
        for txn in range(durable + 1, newest + 1):
            if txn not in records:
                raise Broken("record %d is missing between %d and %d" % (txn, durable, newest))
            words = self.words_of(now, records[txn])
            if words is None:
                raise Broken("the spill page of record %d was overwritten, or is gone" % txn)
            if any((at.page_of(cell) or 0) >= now[at.LENGTH] for cell, _ in words):
                raise Broken("a word of record %d lies behind the file's end" % txn)
        return records, newest, durable

    def recover(self, m, published, found):
        """Steps of recovery; published is None unless live readers remain. found is what find_newest gave."""
        at = self.at
        records, newest, durable = found
        rests_on = [at.H] if self.on("R4-H") else []
        if newest in records and self.on("R4"):
            rests_on += [at.record(newest)] + [c for c, _ in records[newest][4]]
        if self.on("R5"):
            for cell in rests_on:
                m.store(cell, m.now[cell])
        m.flush(rests_on)
        yield "recovery: flushed what it rests on", True
        m.fence()
        replay = [records[n] for n in range(durable + 1, newest + 1)]
        cells = {}
        for record in replay:
            for cell, value in self.words_of(m.now, record):
                if published is None or record[0] > published:
                    cells[cell] = value
                else:
                    cells.setdefault(cell, m.now[cell])
        if published is not None and not self.on("TAKEOVER-STORE"):
            for record in replay:
                for cell, value in self.words_of(m.now, record):
                    m.store(cell, value)
                    yield "recovery: word %s again" % at.names[cell], False
        for cell, value in cells.items():
            if value != m.now[cell] or self.on("R5"):
                m.store(cell, value)
                yield "recovery: word " + at.names[cell], False
        m.flush(cells)
        if not self.on("H-LATE") and m.now[at.H] != newest:
            m.store(at.H, newest)
            m.flush((at.H,))
        if cells:
            yield "recovery: words", True
            m.fence()
        follower = m.now[at.record(newest + 1)]
        if follower == 0:
            erase = self.on("ERASE-AGAIN")
        else:
            erase = (follower == TORN or follower[0] > newest) and (self.on("ERASE-CLEAN") or
                    m.now[at.H] != newest)
        if erase and self.on("ERASE"):
            m.store(at.record(newest + 1), 0)
            m.flush((at.record(newest + 1),))
            yield "recovery: erased record %d" % (newest + 1), True
            m.fence()
        if m.now[at.H] != newest:
            m.store(at.H, newest)
            m.flush((at.H,))
            yield "recovery: H", True
            m.fence()
        yield "recovery: done", False


class Search:
    """All runs of the store, up to a number of transactions and of crashes."""

    def __init__(self, store, crashes, orders, deadline):
        self.store, self.crashes, self.orders, self.deadline = store, crashes, orders, deadline
        self.seen, self.work = set(), []
        self.counts = {"states": 0, "recoveries": 0, "images": 0}

    # A state at rest: (now, durable sets, stale cells, acked (T, aux), limbo, words durable up to,
    # durable_upto of a fenced record, the reader's snapshot or None, crashes so far). Trace: linked
    # pairs.

    def rest(self, state, trace):
        if state[8] >= self.crashes:
            # No crash can follow: what is durable no longer matters.
            state = (state[0], tuple(frozenset((v,)) for v in state[0]), frozenset(), *state[3:])
        if state not in self.seen:
            self.seen.add(state)
            self.work.append((self.explore, state, trace))

    def power_cut(self, m, allowed, epoch, trace):
        if epoch >= self.crashes:
            return
        open_cells = [i for i, values in enumerate(m.durable) if len(values) > 1]
        base = [next(iter(values)) for values in m.durable]
        for values in itertools.product(*[m.durable[i] for i in open_cells]):
            for cell, value in zip(open_cells, values):
                base[cell] = value
            now = tuple(base)
            key = (now, allowed, epoch)
            self.counts["images"] += 1
            if key not in self.seen:
                self.seen.add(key)
                state = (now, None, frozenset(), allowed, (), None, None, epoch + 1)
                self.work.append((self.explore_recovery, state, ("power cut", trace)))

    def death(self, image, allowed, limbo, published, reader, epoch, trace):
        if epoch >= self.crashes:
            return
        if reader is None:
            limbo, published = (), None
        state = (*image, allowed, limbo, published, reader, epoch + 1)
        if state not in self.seen:
            self.seen.add(state)
            self.work.append((self.explore_recovery, state, ("process death", trace)))

    def run_steps(self, steps, m, allowed, durable_now, limbo, published, reader, epoch, trace):
        """Run a procedure, with a crash of each kind at each step. durable_now: what is allowed from the step named durable on."""
        for what, fence_next in steps:
            trace = (what, trace)
            if what == "durable":
                allowed = durable_now
            if reader is not None:
                got = self.store.read(m.now, reader)
                if got != reader:
                    raise Broken("a reader at snapshot %d sees %s" % (reader, got), trace)
            if epoch >= self.crashes:
                continue
            image = m.image()
            self.death(image, allowed, limbo, published, reader, epoch, trace)
            if fence_next:
                self.power_cut(m, allowed, epoch, trace)
                stale = m.failed_fence_stale()
                if stale:  # writing stops; the next opener finds no live process
                    self.death((image[0], image[1], stale), allowed, (), None, None, epoch,
                               ("fdatasync failed", trace))
        return trace

    def explore(self, state, trace):
        now, durable_sets, stale, acked, limbo, durable, fenced, reader, epoch = state
        store, at = self.store, self.store.at
        self.counts["states"] += 1
        txn = acked[0]
        if (store.read(now, FOREVER), now[at.AUX]) != acked:
            raise Broken("the store shows %s, committed was %s" % ((store.read(now, FOREVER),
                    now[at.AUX]), acked), trace)
        if now[at.SIZE] > now[at.LENGTH]:
            raise Broken("the file has %d pages, its size word says %d" % (now[at.LENGTH],
                    now[at.SIZE]), trace)
        used = [page for page in range(now[at.SIZE]) if now[at.bit(page)]]
        if used != [now[at.ROOT]]:
            raise Broken("allocated pages %s, in use %d" % (used, now[at.ROOT]), trace)
        self.power_cut(Media(now, durable_sets, stale), (acked,), epoch, trace)
        self.death((now, durable_sets, stale), (acked,), limbo, txn, reader, epoch, trace)
        if reader is None and epoch >= self.crashes and epoch > 0:
            return  # a store at rest without readers and crashes to come: as good as a new one
        if reader is None:
            self.rest((*state[:7], txn, epoch), ("reader at %d" % txn, trace))
        else:
            self.rest((*state[:7], None, epoch), ("reader ends", trace))
        before = [now[at.record(t)] for t in range(durable + 1, txn + 1)]
        if reader is None and durable < txn:
            m = Media(now, durable_sets, stale)
            end = self.run_steps(store.close(m, txn, before), m, (acked,), (acked,), (), None, None,
                                 epoch, trace)
            self.rest((*m.image(), acked, (), txn, txn, None, epoch), end)
        if reader is None and durable == txn and now[at.SIZE] < now[at.LENGTH]:
            m = Media(now, durable_sets, stale)
            end = self.run_steps(store.cut(m), m, (acked,), (acked,), (), None, None, epoch, trace)
            self.rest((*m.image(), *state[3:]), end)
        if txn == store.limit:
            return
        if durable < txn:
            m = Media(now, durable_sets, stale)
            end = self.run_steps(store.empty(m, before), m, (acked,), (acked,), limbo, txn, reader,
                                 epoch, trace)
            self.rest((*m.image(), acked, limbo, txn, fenced, reader, epoch), end)
        for kind, backwards in itertools.product(store.kinds, range(self.orders)):
            self.explore_commit(state, before, kind, backwards, trace)

    def explore_commit(self, state, before, kind, backwards, trace):
        now, durable_sets, stale, acked, limbo, durable, fenced, reader, epoch = state
        txn, store = acked[0] + 1, self.store
        oldest = reader if reader is not None else FOREVER
        plan = store.plan(now, txn, epoch, limbo, fenced, oldest, kind)
        if plan is None:
            return
        _, _, _, freed, spill = plan
        logged = kind.startswith("log")
        if logged and txn - durable > LOG_LAG and store.on("LOG-RING"):
            return
        m = Media(now, durable_sets, stale)
        new = (txn, epoch)
        trace = ("commit %d, %s%s" % (txn, kind,
                                      " to page %d" % spill if spill is not None else ""), trace)
        held = limbo + (((txn, spill, True),) if spill is not None else ())
        if kind == "cutting":
            shorten = reader is None
            end = self.run_steps(store.give_up(m, txn, durable, before, plan, backwards, shorten),
                                 m, (acked, new), (new,), limbo, acked[0], reader, epoch, trace)
            held = store.still_held((*limbo, (txn, freed, False)), oldest)
            if not store.on("CUT-HELD"):
                held = tuple(x for x in held if x[1] < m.now[store.at.SIZE])
            end = self.run_steps(store.settle(m, txn, plan, shorten), m, (new,), (new,), held, txn,
                                 reader, epoch, end)
            self.rest((*m.image(), new, held, txn, txn, reader, epoch), end)
            return
        steps = store.commit(m, txn, durable, before, plan, backwards, kind)
        end = self.run_steps(steps, m, (acked, new), (new,), held, acked[0], reader, epoch, trace)
        if freed is not None:
            held += ((txn, freed, False),)
        # The fence covered the words of txn - 1; record txn, now fenced, says durable.
        held = tuple(x for x in held if x[0] > durable or (not x[2] and x[0] > oldest))
        if not (logged and store.on("LOG-DURABLE")):
            durable_now = txn - 1
        else:
            durable_now = durable
        self.rest((*m.image(), new, held, durable_now, durable, reader, epoch), end)

    def media_fault(self, now, found, trace):
        """One cell of the ring, or H, goes bad: what is not needed is not missed, and what is needed is."""
        store, at = self.store, self.store.at
        records, newest, durable = found
        for cell in [at.record(txn) for txn in records] + [at.H]:
            lost = now[cell][0] if cell != at.H else None
            image = list(now)
            image[cell] = TORN if lost else ("damaged", newest + 1)
            try:
                got = store.find_newest(tuple(image), None)[1]
            except Broken as broken:
                if (now[at.H] == newest and lost) or (lost and lost <= durable):
                    raise Broken("%s, which was not needed, went bad: %s" % (at.names[cell],
                            broken.args[0]), trace)
                continue
            if durable < (lost or 0) < newest or (got != newest and (lost is None or
                    now[at.H] == newest)):
                raise Broken("%s went bad, and transaction %d is found for %d" % (at.names[cell],
                        got, newest), trace)

    def explore_recovery(self, state, trace):
        now, durable_sets, stale, allowed, limbo, published, reader, epoch = state
        store = self.store
        self.counts["recoveries"] += 1
        if durable_sets is None:
            durable_sets = [frozenset((v,)) for v in now]
        m = Media(now, durable_sets, stale)
        try:
            found = store.find_newest(now, published)
        except Broken as broken:
            raise Broken(broken.args[0], trace)
        newest = found[1]
        if published is None and epoch == 1:
            self.media_fault(now, found, trace)
        if published is not None and newest > published and store.on("TAKEOVER-LIMBO"):
            for cell, value in store.words_of(now, found[0][newest]):
                if store.at.BIT <= cell < store.at.HEAD and value == 0:
                    limbo += ((newest, cell - store.at.BIT, False),)
        end = self.run_steps(store.recover(m, published, found), m, allowed, allowed, limbo,
                             published, reader, epoch, trace)
        got = (store.read(m.now, FOREVER), m.now[store.at.AUX])
        if got not in allowed or got[0] != newest:
            raise Broken("recovered %s as transaction %d; allowed: %s" % (got, newest, allowed),
                         end)
        limbo = tuple(x for x in limbo if not x[2] and reader is not None and x[0] > reader)
        self.rest((*m.image(), got, limbo, newest, newest, reader, epoch), end)

    def run(self):
        """None, or the broken promise and its trace. Raises TimeoutError at the deadline."""
        now = self.store.fresh_media()
        durable = tuple(frozenset((v,)) for v in now)
        self.rest((now, durable, frozenset(), (0, 0), (), 0, 0, None, 0), None)
        n = 0
        while self.work:
            function, state, trace = self.work.pop()
            try:
                function(state, trace)
            except Broken as broken:
                return broken.args[0], broken.args[1]
            n += 1
            if n % 256 == 0 and time.monotonic() > self.deadline:
                raise TimeoutError
        return None


def print_trace(trace):
    lines = []
    while trace is not None:
        lines.append(trace[0])
        trace = trace[1]
    for line in reversed(lines):
        print("    " + line)


def check(without, args, quiet=False):
    """True when every search ended and no promise was broken, False when one was, None when time ran out. Prints what it found."""
    label = "without " + ", ".join(without) if without else "all rules"
    start = time.monotonic()
    total = {}
    homes = [mode for names, modes in HOMES if set(names) & set(without) for mode in modes]
    for txns, crashes, mode in args.depths:
        if homes and mode not in homes:
            continue  # nothing there that the rule is about
        search = Search(Store(without, args.pages, txns, mode), crashes, args.orders,
                        start + args.seconds)
        try:
            broken = search.run()
        except TimeoutError:
            print("commit: %s: not finished after %d s: %s" % (label, args.seconds, search.counts))
            return None
        for name, count in search.counts.items():
            total[name] = total.get(name, 0) + count
        if broken:
            print("commit: %s: BROKEN: %s (%d transactions, %d crashes%s)" % (label, broken[0],
                    txns, crashes, "" if mode == "plain" else ", " + mode))
            if not quiet:
                print_trace(broken[1])
            return False
    counts = ", ".join("%d %s" % (n, k) for k, n in total.items())
    print("commit: %s: holds (%s, %.1f s)" % (label, counts, time.monotonic() - start))
    return True


def main():
    parser = rules.arguments("Explore commit and recovery of a tiny store.", RULES)
    parser.add_argument("--txns", type=int, help="transactions in a run")
    parser.add_argument("--crashes", type=int, help="crashes in a run")
    parser.add_argument("--mode", default="plain", choices=sorted(KINDS),
                        help="with --txns or --crashes: tail, held: the file's end moves; logged, ring: commits may be logged")
    parser.add_argument("--pages", type=int, default=4, help="pages of the store (default 4)")
    parser.add_argument("--orders", type=int, default=1, choices=(1, 2),
                        help="2: words are stored in both orders")
    parser.add_argument("--seconds", type=int, default=3600,
                        help="give up, with exit status 2, after so long")
    args = parser.parse_args()
    args.depths = DEPTHS
    if args.txns is not None or args.crashes is not None:
        args.depths = ((args.txns or 4, 2 if args.crashes is None else args.crashes, args.mode),)
    return rules.run(args, RULES, lambda without, quiet: check(without, args, quiet))


if __name__ == "__main__":
    sys.exit(main())
