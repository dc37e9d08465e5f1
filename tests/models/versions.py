#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""versions.py - many snapshots in one tree: births and prev, splits, removal, nesting, reuse of
pages.

A small B+tree: leaves have a base of two keys and a tail of two slots; two neighbours that fit one
are merged; inner nodes two separators. A node's base, separators, birth and prev are written once;
child pointers, slots and the root are words. A write transaction holds its word changes back
(pending) except in pages of its own, and stores them in any order at commit. A reader at snapshot S
goes through the same tree, and where a node's birth lies above S it follows prev. Freed pages come
back through the limbo and are overwritten.

Random histories with nested transactions, aborts, several readers that come and go, phases of
growing and of shrinking. After each operation and between the stores of a commit every live
snapshot is read in full and compared with what was committed; after a commit every page must be in
the tree, free, or in the limbo, and in one place only.

Births: a word swap installs a node born in that transaction whose prev is what the word held
before; births fall along prev.
"""
import random
import sys

import rules

RULES = {
    "BIRTH": "a reader follows prev while a node's birth lies above its snapshot",
    "PREV": "a replacing node's prev is the node that the word held before",
    "INHERIT": "a node that replaces one born in the same transaction takes over that one's prev",
    "ROOT-COLLAPSE": "when the tree loses a level the new root is born in that transaction",
    "ROOT-EMPTY": "an emptied tree keeps a node, born in that transaction",
    "PARENT": "a split replaces the parent as well [I8]",
    "MERGE-PARENT": "so does a merge of two leaves",
    "R3-READERS": "a freed page waits for readers older than its freeing",
    "R7": "a superseded or freed node's pending words leave the set",
    "R8": "a nested transaction does not edit its parent's pages in place",
    "R8-FREE": "a nested transaction does not hand its parent's pages to be used again at once",
    "R8-MERGE": "when it commits, only what its parent made is free, not what the levels around that one made",
    "SKIP-READERS": "a node's prev skips its successor only when no reader needs that one",
}

BASE_KEYS, SEPARATORS, TAIL = 2, 2, 2
KEYS = 6
MAX_DEPTH = 12
ROOT = ("root",)


class Broken(Exception):
    """A promise does not hold."""


class Store:
    """What is committed: nodes (page -> dict), words, free pages, limbo, live readers, and the expected content of each snapshot."""

    def __init__(self, off):
        self.off = off
        self.nodes, self.words = {}, {ROOT: None}
        self.newest, self.free, self.limbo, self.next_page = 0, [], [], 0
        self.readers, self.history = [], {0: {}}

    def on(self, rule):
        return rule not in self.off

    # ---- a reader

    def node_at(self, page, snapshot):
        birth = None
        while page is not None and self.on("BIRTH") and self.nodes[page]["birth"] > snapshot:
            if birth is not None and self.nodes[page]["birth"] >= birth:
                raise Broken("births do not fall along prev")
            birth = self.nodes[page]["birth"]
            page = self.nodes[page]["prev"]
        return page

    def read(self, snapshot):
        content = {}
        pending = [(self.words[ROOT], -1, KEYS, 0)]
        while pending:
            page, low, high, depth = pending.pop()
            if depth > MAX_DEPTH:
                raise Broken("the tree has a loop")
            page = self.node_at(page, snapshot)
            if page is None:
                continue
            node = self.nodes[page]
            if "separators" in node:
                bounds = [low, *node["separators"], high]
                for i in range(len(bounds) - 1):
                    pending.append((self.words.get((page, i)), bounds[i], bounds[i + 1], depth + 1))
                continue
            leaf = dict(node["base"])
            for i in range(TAIL):
                slot = self.words.get((page, i))
                if slot is None or slot[2] > snapshot:
                    break
                apply(leaf, slot)
            for key in leaf:
                if not low <= key < high:
                    raise Broken("key %d outside of %d..%d" % (key, low, high))
            content.update(leaf)
        return content

    def check_readers(self):
        for snapshot in {*self.readers, self.newest}:
            content = self.read(snapshot)
            if content != self.history[snapshot]:
                raise Broken("snapshot %d reads %s, committed was %s" % (snapshot, content,
                        self.history[snapshot]))

    def check_pages(self):
        used, pending = set(), [self.words[ROOT]]
        while pending:
            page = pending.pop()
            if page is None:
                continue
            if page in used:
                raise Broken("page %d twice in the tree" % page)
            used.add(page)
            if "separators" in self.nodes[page]:
                pending += [self.words.get((page,
                                            i)) for i in range(len(self.nodes[page]["separators"]) +
                                                               1)]
        idle = self.free + [page for _, page in self.limbo]
        if len(idle) != len(set(idle)) or used & set(idle):
            raise Broken("a page is free twice, or free and in the tree")
        if used | set(idle) != set(range(self.next_page)):
            raise Broken("a page is lost")


def apply(leaf, slot):
    key, value, _ = slot
    if value is None:
        leaf.pop(key, None)
    else:
        leaf[key] = value


class Txn:
    """The running write transaction. level counts nesting; own maps pages it made to the level that made them."""

    def __init__(self, store):
        self.store, self.number, self.level = store, store.newest + 1, 0
        self.oldest = min([store.newest,
                           *store.readers]) if store.on("R3-READERS") else store.newest
        self.pending, self.own, self.freed = {}, {}, []
        self.free, self.limbo, self.next_page = list(store.free), list(store.limbo), store.next_page

    # ---- nesting

    def begin_nested(self):
        self.level += 1
        return dict(self.pending), dict(self.own), list(self.freed), list(self.free), list(self.limbo), self.next_page

    def abort_nested(self, saved):
        self.level -= 1
        self.pending, self.own, self.freed, self.free, self.limbo, self.next_page = saved

    def commit_nested(self):
        self.level -= 1
        for page, level in self.own.items():
            self.own[page] = min(level, self.level)
        own = [p for p in self.freed if p in self.own and (self.own[p] == self.level or
                not self.store.on("R8-MERGE"))]
        for page in own:
            self.freed.remove(page)
            del self.own[page]
            self.free.append(page)

    # ---- words and pages

    def word(self, word):
        return self.pending[word] if word in self.pending else self.store.words.get(word)

    def set_word(self, word, value):
        level = self.own.get(word[0])
        if word not in self.pending and level is not None and (level == self.level or
                not self.store.on("R8")):
            self.store.words[word] = value  # nobody else can see the page
        else:
            self.pending[word] = value

    def drop_pending(self, page):
        if self.store.on("R7"):
            for word in [word for word in self.pending if word[0] == page]:
                del self.pending[word]

    def make(self, node, prev, words=()):
        """A node of this transaction in a page taken from free space, its words being fresh bytes."""
        if self.free:
            page = self.free.pop(0)
        elif self.limbo and self.limbo[0][0] <= self.oldest:
            page = self.limbo.pop(0)[1]
        else:
            page, self.next_page = self.next_page, self.next_page + 1
        self.drop_pending(page)
        for word in [word for word in self.store.words if word[0] == page]:
            del self.store.words[word]
        self.store.nodes[page] = dict(node, birth=self.number, prev=prev)
        for i, value in enumerate(words):
            if value is not None:
                self.store.words[(page, i)] = value
        self.own[page] = self.level
        return page

    def discard(self, page):
        self.drop_pending(page)
        if page in self.own and (self.own[page] == self.level or not self.store.on("R8-FREE")):
            del self.own[page]
            self.free.append(page)
        else:
            self.freed.append(page)

    def prev_for(self, page):
        """The prev of a node that takes page's place."""
        if page in self.own and self.store.on("INHERIT"):
            return self.store.nodes[page]["prev"]
        return page if self.store.on("PREV") else None

    def replace(self, word, page, node, words=()):
        self.set_word(word, self.make(node, self.prev_for(page), words))
        self.discard(page)

    # ---- the tree

    def children(self, page):
        return [self.word((page, i)) for i in range(len(self.store.nodes[page]["separators"]) + 1)]

    def content_of(self, page):
        leaf = dict(self.store.nodes[page]["base"])
        for i in range(TAIL):
            slot = self.word((page, i))
            if slot is None:
                break
            apply(leaf, slot)
        return leaf

    def descend(self, key):
        """The way to key's leaf: inner nodes as (word, page, child), then the leaf's word and page."""
        path, word = [], ROOT
        page = self.word(word)
        while page is not None and "separators" in self.store.nodes[page]:
            child = sum(key >= s for s in self.store.nodes[page]["separators"])
            path.append((word, page, child))
            word = (page, child)
            page = self.word(word)
        return path, word, page

    def put(self, key, value):
        """Set key, or with value None delete it."""
        path, word, page = self.descend(key)
        if page is None:
            if value is not None:
                self.set_word(word, self.make({"base": {key: value}}, None))
            return
        leaf = self.content_of(page)
        if value is None and key not in leaf:
            return
        apply(leaf, (key, value, 0))
        for i in range(TAIL):
            if self.word((page, i)) is None and leaf:
                self.set_word((page, i), (key, value, self.number))
                return
        self.rewrite(path, word, page, leaf)

    def rewrite(self, path, word, page, leaf):
        keys = sorted(leaf)
        if not keys and path:
            self.remove_child(path, page)
        elif not keys and not self.store.on("ROOT-EMPTY"):
            self.set_word(word, None)
            self.discard(page)
        elif len(keys) <= BASE_KEYS and not self.merge(path, page, leaf):
            self.replace(word, page, {"base": leaf})
        elif len(keys) <= BASE_KEYS:
            pass
        else:
            half = len(keys) // 2
            parts = [self.make({"base": {k: leaf[k] for k in part}},
                               self.prev_for(page)) for part in (keys[:half], keys[half:])]
            self.split(path, page, parts, keys[half])
            self.discard(page)

    def merge(self, path, page, leaf):
        """One leaf in the place of this one and a neighbour, when both fit; false when they do not."""
        if not path or len(leaf) * 2 > BASE_KEYS:
            return False
        word, parent, child = path[-1]
        children, separators = self.children(parent), list(self.store.nodes[parent]["separators"])
        left = child if child + 1 < len(children) else child - 1
        beside = children[left + 1 if left == child else left] if left >= 0 else None
        if beside is None or len(leaf) + len(self.content_of(beside)) > BASE_KEYS:
            return False
        both = self.make({"base": {**leaf, **self.content_of(beside)}},
                         self.prev_for(children[left]))
        children[left:left + 2] = [both]
        del separators[left]
        if not self.store.on("MERGE-PARENT"):
            for i in range(len(children) + 1):
                self.set_word((parent, i), children[i] if i < len(children) else None)
            self.store.nodes[parent]["separators"] = tuple(separators)
        elif len(children) == 1 and word == ROOT:
            self.collapse(parent, both)
        else:
            self.replace(word, parent, {"separators": tuple(separators)}, children)
        self.discard(page)
        self.discard(beside)
        return True

    def split(self, path, page, parts, separator):
        """Put two nodes in page's place, in a new parent."""
        if not path:
            self.set_word(ROOT, self.make({"separators": (separator,)}, self.prev_for(page), parts))
            return
        word, parent, child = path[-1]
        children, separators = self.children(parent), list(self.store.nodes[parent]["separators"])
        children[child:child + 1] = parts
        separators.insert(child, separator)
        if not self.store.on("PARENT"):
            for i, page in enumerate(children):
                self.set_word((parent, i), page)
            self.store.nodes[parent]["separators"] = tuple(separators)
        elif len(separators) <= SEPARATORS:
            self.replace(word, parent, {"separators": tuple(separators)}, children)
        else:
            half = len(children) // 2
            prev = self.prev_for(parent)
            halves = [
                self.make({"separators": tuple(separators[:half - 1])}, prev, children[:half]),
                self.make({"separators": tuple(separators[half:])}, prev, children[half:]),
            ]
            self.split(path[:-1], parent, halves, separators[half - 1])
            self.discard(parent)

    def remove_child(self, path, page):
        word, parent, child = path[-1]
        children, separators = self.children(parent), list(self.store.nodes[parent]["separators"])
        del children[child]
        if separators:
            del separators[max(child - 1, 0)]
        self.discard(page)
        if not children and len(path) > 1:
            self.remove_child(path[:-1], parent)
        elif not children:
            self.replace(word, parent, {"base": {}})
        elif len(children) == 1 and word == ROOT:
            self.collapse(parent, children[0])
        else:
            self.replace(word, parent, {"separators": tuple(separators)}, children)

    def collapse(self, parent, child):
        """The root has one child left: it becomes the root."""
        if not self.store.on("ROOT-COLLAPSE"):
            self.set_word(ROOT, child)
            self.discard(parent)
            return
        node = {k: v for k, v in self.store.nodes[child].items() if k in ("base", "separators")}
        words = self.children(child) if "separators" in node else [self.word((child,
                i)) for i in range(TAIL)]
        self.replace(ROOT, parent, node, words)
        self.discard(child)

    def content(self):
        content, pending = {}, [self.word(ROOT)]
        while pending:
            page = pending.pop()
            if page is None:
                continue
            if "separators" in self.store.nodes[page]:
                pending += self.children(page)
            else:
                content.update(self.content_of(page))
        return content

    # ---- commit

    def commit(self, content, rng):
        store = self.store
        words = list(self.pending.items())
        rng.shuffle(words)
        for word, value in words:
            store.words[word] = value
            if rng.random() < 0.3:
                store.check_readers()
        store.newest = self.number
        store.history[self.number] = content
        store.free, store.limbo, store.next_page = self.free, self.limbo, self.next_page
        for page in self.freed:
            self.skip_prev(page)
            store.limbo.append((self.number, page))

    def skip_prev(self, page):
        """Shorten the chain behind a replaced node: a prev that no reader needs is passed over."""
        store = self.store
        readers = [*store.readers, store.newest]
        node = store.nodes[page]
        while node["prev"] is not None and any(s < node["birth"] for s in readers):
            passed = store.nodes[node["prev"]]
            if passed["birth"] >= node["birth"]:
                raise Broken("births do not fall along prev")
            if store.on("SKIP-READERS") and any(passed["birth"] <= s < node["birth"] for
                                                s in readers):
                return
            node["prev"] = passed["prev"]


class History:
    """One random run."""

    def __init__(self, seed, steps, off):
        self.rng, self.steps = random.Random(seed), steps
        self.store, self.value, self.log = Store(off), 0, []
        self.growing = seed % 2

    def change(self, txn, content, put_share):
        key = self.rng.randrange(KEYS)
        self.value += 1
        value = self.value if self.rng.random() < put_share else None
        self.log.append("  delete %d" % key if value is None else "  put %d = %d" % (key, value))
        apply(content, (key, value, 0))
        txn.put(key, value)
        if txn.content() != content:
            raise Broken("the writer reads %s, expected %s" % (txn.content(), content))
        self.store.check_readers()

    def nested(self, txn, content, put_share):
        """A nested transaction; returns the content after it."""
        saved, inner = txn.begin_nested(), dict(content)
        self.log.append("  begin nested")
        for _ in range(self.rng.randint(1, 3)):
            if txn.level < 2 and self.rng.random() < 0.3:
                inner = self.nested(txn, inner, put_share)
            else:
                self.change(txn, inner, put_share)
        if self.rng.random() < 0.5:
            self.log.append("  abort nested")
            txn.abort_nested(saved)
        else:
            self.log.append("  commit nested")
            txn.commit_nested()
            content = inner
        if txn.content() != content:
            raise Broken("after the nested transaction the writer reads %s, expected %s" %
                         (txn.content(), content))
        return content

    def transaction(self, step, content):
        rng, store = self.rng, self.store
        txn, after = Txn(store), dict(content)
        put_share = 0.65 if (self.growing + step // 15) % 2 else 0.35
        self.log.append("begin %d" % txn.number)
        for _ in range(rng.randint(1, 12 if rng.random() < 0.2 else 3)):
            if rng.random() < 0.2:
                after = self.nested(txn, after, put_share)
            else:
                self.change(txn, after, put_share)
        if rng.random() < 0.15:
            self.log.append("abort")
            store.check_readers()
            return content
        self.log.append("commit")
        txn.commit(after, rng)
        store.check_readers()
        store.check_pages()
        return after

    def run(self):
        rng, readers, content = self.rng, self.store.readers, {}
        for step in range(self.steps):
            content = self.transaction(step, content)
            if rng.random() < 0.3:
                readers.append(self.store.newest)
                self.log.append("reader at %d" % self.store.newest)
            while readers and (len(readers) > 4 or rng.random() < 0.25):
                self.log.append("reader at %d ends" % readers.pop(rng.randrange(len(readers))))


def check(off, args, quiet=False):
    label = "without " + ", ".join(off) if off else "all rules"
    for seed in range(args.seed, args.seed + args.runs):
        history = History(seed, args.steps, off)
        try:
            history.run()
        except (Broken, KeyError) as broken:
            # Without a rule a reader or the writer may also end up in a page that holds another
            # kind of node.
            text = broken.args[0] if isinstance(broken, Broken) else "a page of the wrong kind"
            print("versions: %s: BROKEN: %s (seed %d)" % (label, text, seed))
            if not quiet:
                print("\n".join("    " + line for line in history.log))
            return False
    print("versions: %s: holds (%d runs of %d transactions)" % (label, args.runs, args.steps))
    return True


def main():
    parser = rules.arguments("Read every live snapshot all the time while a tree changes.", RULES)
    parser.add_argument("--runs", type=int, default=1500, help="histories (default 1500)")
    parser.add_argument("--steps", type=int, default=60,
                        help="transactions in a history (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the first history (default 1)")
    args = parser.parse_args()
    return rules.run(args, RULES, lambda without, quiet: check(without, args, quiet))


if __name__ == "__main__":
    sys.exit(main())
