#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""group.py - threads that share a commit: every interleaving of a few of them.

A thread has a short program of write transactions, each of which puts a value of its own and then
commits, aborts, or ends with its thread; a begin may have a time limit, and a checkpoint is a
transaction that takes part in no group. The turn, the queue, the group and what wakes whom are
those of src/txn/group.c, one step for each thing that another thread can come between: a mutex's
section, a store that somebody waits for, a fence. Whether a group goes on, whether the turn is
offered to threads that may come, and when a time limit is over, are tried both ways at every point;
one fence may fail.

What is checked: at most one thread has the turn; what a commit acknowledged is durable at that
moment, so a power cut may come at any time; what was aborted, or left by its thread, never is;
after a failed fence no member is told of success; a checkpoint finds no open group; and when
nothing can go on every thread has finished. The search is depth-first over all states.
"""
import itertools
import sys
import time

import rules

RULES = {
    "TELL-AFTER": "members are told of their commit when the group's fence has returned [G1]",
    "ONE-RESULT": "a fence that failed is the result of every member [G1]",
    "LEVEL": "a member that aborts undoes its own changes only [G2]",
    "YIELD": "where nobody waits for a turn behind a member that is gone, a member that waits closes the group [G2]",
    "KEEP": "a member that is gone is not waited for, and not told [G2]",
    "ORPHAN-YIELD": "a thread that ends inside a member's transaction hands the turn to a member [G5]",
    "ORPHAN-UNDO": "who closes undoes the transaction that a thread left [G5]",
    "NAME": "a thread that gave the turn up is not taken for the writer when it ends [G5]",
    "ALONE": "a checkpoint is no member [G6]",
    "OFFER-ONCE": "who comes takes the offer away",
    "QUIT-LATE": "a thread whose time is over has the turn if it was given that already",
    "LEAVE-WAKES": "the turn that is given up goes to the first in the queue",
    "SAYS": "a thread in the queue says that it sleeps before it does",
    "WAKES": "who gives the turn to a thread that says so wakes it",
}
ENDS = ("commit", "abort", "dies", "timed", "checkpoint")
WAITS, SLEEPS, ALONE, JOINS, CLOSES, DONE = "waits", "sleeps", "alone", "joins", "closes", "done"
HAS_TURN = ("puts", "ends", "passes", "gone", "grants", "closes", "fences", "cuts", "leaves",
            "checks")


class Broken(Exception):
    """A promise does not hold."""


class State:
    """Everything there is; copied for each step."""

    FIELDS = ("programs", "pc", "wait", "result", "taken", "queue", "offerer", "root", "members",
              "orphan", "name")
    FIELDS += ("ended", "group", "level", "durable", "acked", "failed", "panic")

    def __init__(self, programs):
        n = len(programs)
        self.programs, self.pc = tuple(programs), ("idle",) * n
        self.wait, self.result = (WAITS,) * n, (None,) * n
        self.taken, self.queue, self.offerer, self.root, self.members = False, (), None, False, ()
        self.orphan, self.name, self.ended = False, None, ()
        self.group, self.level, self.durable, self.acked = frozenset(), frozenset(), frozenset(), frozenset()
        self.failed, self.panic = False, False

    def key(self):
        return tuple(getattr(self, field) for field in self.FIELDS)

    def copy(self):
        other = State.__new__(State)
        other.__dict__.update(self.__dict__)
        return other

    def set(self, field, thread, value):
        values = getattr(self, field)
        setattr(self, field, values[:thread] + (value,) + values[thread + 1 :])


class Model:
    def __init__(self, without):
        self.off = set(without)

    def on(self, rule):
        return rule not in self.off

    # ---- steps: each yields (what, state) for every way to go on

    def steps(self, s, t):
        pc = s.pc[t]
        name = pc if isinstance(pc, str) else pc[0]
        return getattr(self, "do_" + name)(s, t) if name not in ("over",) else ()

    def go(self, s, t, pc):
        n = s.copy()
        n.set("pc", t, pc)
        return n

    def finish(self, s, t, acked=False, value=None):
        """The transaction is over: on to the next one of the program."""
        n = self.go(s, t, "idle")
        n.set("programs", t, s.programs[t][1:])
        n.set("wait", t, WAITS)
        n.set("result", t, None)
        if acked:
            n.acked = n.acked | {value}
        return n

    def value(self, s, t):
        return (t, len(s.programs[t]))

    def kind(self, s, t):
        return s.programs[t][0]

    def may_join(self, s, t):
        return self.kind(s, t) != "checkpoint" or not self.on("ALONE")

    def do_idle(self, s, t):
        if not s.programs[t]:
            if s.name != t:
                return [("ends", self.go(s, t, "over"))]
            return [("ends, and has the writer's name", self.left(s, t))]
        if s.panic:
            return [("is refused", self.finish(s, t))]
        n = self.go(s, t, "puts" if not s.taken else "comes")
        n.taken = True
        return [("begins" if not s.taken else "finds the turn taken", self.begun(n, s, t, False))]

    def begun(self, n, s, t, joined):
        if n.pc[t] == "puts":
            n.name = t
            if not joined and s.root:
                raise Broken("thread %d begins alone, and a group is open" % t)
            if joined and not s.root:
                raise Broken("thread %d joins a group that is not there" % t)
        return n

    def do_comes(self, s, t):  # the mutex
        if s.offerer is not None and self.may_join(s, t):
            n = self.go(s, t, "puts")
            if self.on("OFFER-ONCE"):
                n.offerer = None
            return [("takes the offer", self.begun(n, s, t, True))]
        n = self.go(s, t, "queued" if s.taken else "leaves" if s.panic else "puts")
        if s.taken:
            n.queue = s.queue + (t,)
        n.taken = True
        return [("queues" if s.taken else "has the turn after all", self.begun(n, s, t, False))]

    def do_queued(self, s, t):  # awake
        if s.wait[t] not in (WAITS, SLEEPS):
            if s.panic and s.wait[t] == ALONE:
                return [("has the turn, and is refused", self.go(s, t, "leaves"))]
            return [("has the turn", self.begun(self.go(s, t, "puts"), s, t, s.wait[t] == JOINS))]
        n = self.go(s, t, "drowsy")
        if self.on("SAYS"):
            n.set("wait", t, SLEEPS)
        return [("says that it sleeps", n)]

    def do_drowsy(self, s, t):
        said = s.wait[t] == (SLEEPS if self.on("SAYS") else WAITS)
        ways = [("sleeps" if said else "is not let sleep", self.go(s, t, "asleep" if said else "queued"))]
        if self.kind(s, t) == "timed" and (t in s.queue or not self.on("QUIT-LATE")):
            n = self.finish(s, t)
            n.queue = tuple(x for x in s.queue if x != t)
            ways.append(("has waited long enough", n))
        return ways

    def do_asleep(self, s, t):
        return [("has slept long enough", self.go(s, t, "queued"))] if self.kind(s, t) == "timed" else []

    def granted(self, n, to, state):
        wakes = n.wait[to] == SLEEPS and n.pc[to] == "asleep" and self.on("WAKES")
        n.set("wait", to, state)
        if wakes:
            n.set("pc", to, "queued")
        return n

    def do_puts(self, s, t):
        if self.kind(s, t) == "checkpoint":
            return [("makes a checkpoint", self.go(s, t, "checks"))]
        n = self.go(s, t, "ends")
        if s.root and self.on("LEVEL"):
            n.level = s.level | {self.value(s, t)}
        else:
            n.group = s.group | {self.value(s, t)}
        return [("puts", n)]

    def do_checks(self, s, t):
        if s.root:
            raise Broken("a checkpoint inside an open group: it marks what is not durable")
        return [("is done", self.go(s, t, "leaves"))]

    def undone(self, n, s):
        if s.root and self.on("LEVEL"):
            n.level = frozenset()
        else:
            n.group = frozenset()
        return n

    def do_ends(self, s, t):
        kind = self.kind(s, t)
        if kind == "dies":
            return [("ends inside its transaction", self.left(s, t))]
        if kind == "abort":
            n = self.undone(self.go(s, t, "gone" if s.root else "leaves"), s)
            if s.root and not self.on("KEEP"):
                n.members = s.members + (t,)
            if s.root and self.on("NAME"):
                n.name = None
            return [("aborts", n)]
        ways = [("commits, and closes", self.go(s, t, "closes")), ("commits, and goes on",
                self.go(s, t, "passes"))]
        for _, n in ways:
            n.root = True
            n.group, n.level = s.group | s.level, frozenset()
        return ways

    def left(self, s, t):
        """The destructor of a thread that is the writer."""
        n = self.go(s, t, "over")
        n.set("programs", t, ())
        n.name = None
        if s.root and self.on("ORPHAN-YIELD"):
            if not s.members:
                raise Broken("a group without members is to be closed")
            n.orphan = True
            return self.yielded(n, s)
        # The lock is abandoned: whoever has the turn next recovers.
        n.group = n.level = frozenset()
        n.set("pc", t, "leaves_over")
        return n

    def yielded(self, n, s):
        member = s.members[0]
        n.members = s.members[1:]
        n.set("wait", member, CLOSES)
        return n

    def do_passes(self, s, t):  # the mutex
        ways = []
        if s.queue and self.may_join(s, s.queue[0]):
            n = self.go(s, t, ("grants", s.queue[0], JOINS, "member"))
            n.queue, n.members = s.queue[1:], (t,) + s.members
            ways.append(("passes the turn to thread %d" % s.queue[0], n))
        elif not s.queue:
            n = self.go(s, t, "member")
            n.offerer, n.members = t, (t,) + s.members
            ways.append(("offers the turn", n))
        return ways or [("closes", self.go(s, t, "closes"))]

    def do_grants(self, s, t):
        _, to, state, then = s.pc[t]
        n = self.finish(s, t) if then == "idle" else self.go(s, t, then)
        return [("gives the turn to thread %d" % to, self.granted(n, to, state))]

    def do_member(self, s, t):
        if s.wait[t] == DONE:
            ok = s.result[t]
            return [("returns", self.finish(s, t, ok, self.value(s, t)))]
        if s.wait[t] == CLOSES:
            return [("is to close", self.go(s, t, "closes"))]
        if s.offerer == t:
            n = self.go(s, t, "closes")
            n.offerer, n.members = None, tuple(x for x in s.members if x != t)
            return [("takes the offer back", n)]
        return []

    def do_gone(self, s, t):
        ways = []
        if s.queue and self.may_join(s, s.queue[0]):
            n = self.go(s, t, ("grants", s.queue[0], JOINS, "idle"))
            n.queue = s.queue[1:]
            ways.append(("passes the turn to thread %d" % s.queue[0], n))
        n = self.finish(s, t)
        if self.on("YIELD"):
            n = self.yielded(n, s)
        return ways + [("lets a member close", n)]

    def do_closes(self, s, t):
        n = self.go(s, t, "fences")
        if s.orphan and self.on("ORPHAN-UNDO"):
            n.level = frozenset()
        n.group, n.level, n.orphan = n.group | n.level, frozenset(), False
        n.name = t
        if self.on("TELL-AFTER"):
            return [("closes", n)]
        return [("tells the members, and closes", self.told(n, True))]

    def told(self, n, ok):
        for member in n.members:
            n.set("result", member, ok or not self.on("ONE-RESULT"))
            n.set("wait", member, DONE)
        n.members, n.root = (), False
        return n

    def do_fences(self, s, t):
        ways = []
        n = self.go(s, t, "cuts")
        n.durable = s.durable | s.group
        n.set("result", t, True)
        ways.append(("fences", n))
        if not s.failed:
            n = self.go(s, t, "cuts")
            n.failed = n.panic = True
            n.set("result", t, False)
            ways.append(("fences in vain", n))
        return ways

    def do_cuts(self, s, t):
        """The group is over; its members are told when the turn is away."""
        n = self.go(s, t, "leaves")
        n.group, n.ended = frozenset(), s.members
        n.members, n.root = (), False
        for member in s.members:
            n.set("result", member, s.result[t] or not self.on("ONE-RESULT"))
        return [("ends the group", n)]

    def do_leaves(self, s, t):
        if not s.ended:
            n = self.finish(s, t, s.result[t] is True, self.value(s, t))
            return self.leave(n, s, t)
        n = self.go(s, t, ("tells", s.ended))
        n.ended = ()
        return self.leave(n, s, t)

    def do_tells(self, s, t):
        n = self.finish(s, t, s.result[t] is True, self.value(s, t))
        for member in s.pc[t][1]:
            n.set("wait", member, DONE)
        return [("tells the members", n)]

    def do_leaves_over(self, s, t):
        return self.leave(self.go(s, t, "over"), s, t)

    def leave(self, n, s, t):
        n.name = None
        if not s.queue:
            n.taken = False
            return [("gives the turn up", n)]
        if not self.on("LEAVE-WAKES"):
            n.taken = False
            return [("gives the turn up, and wakes nobody", n)]
        n.queue = s.queue[1:]
        self.granted(n, s.queue[0], ALONE)
        return [("gives the turn to thread %d" % s.queue[0], n)]

    # ---- the promises

    def check(self, s):
        having = [t for t, pc in enumerate(s.pc) if (pc if isinstance(pc,
                str) else pc[0]) in HAS_TURN]
        # One that grants the turn, or tells its members, has given it up when others run.
        having = [t for t in having if isinstance(s.pc[t], str)]
        if len(having) > 1:
            raise Broken("threads %s have the turn at once" % having)
        if not s.acked <= s.durable:
            raise Broken("%s was acknowledged, and is not durable" % sorted(s.acked - s.durable))

    def check_end(self, s, programs):
        if any(pc != "over" for pc in s.pc):
            raise Broken("nothing goes on: %s" % (s.pc,))
        for thread, program in enumerate(programs):
            for i, kind in enumerate(program):
                if kind in ("abort", "dies") and (thread, len(program) - i) in s.durable:
                    raise Broken("what thread %d never committed is durable" % thread)
                if kind == "commit" and not s.failed and "dies" not in program[:i] and (thread,
                        len(program) - i) not in s.acked:
                    raise Broken("thread %d committed, and was not told so" % thread)


def explore(model, programs, counts):
    """None, or the broken promise and its trace."""
    first = State(programs)
    seen, work = {first.key()}, [(first, None)]
    while work:
        s, trace = work.pop()
        counts["states"] += 1
        try:
            model.check(s)
            stuck = True
            for t in range(len(programs)):
                for what, n in model.steps(s, t):
                    stuck = False
                    key = n.key()
                    if key not in seen:
                        seen.add(key)
                        work.append((n, ("thread %d %s" % (t, what), trace)))
            if stuck:
                model.check_end(s, programs)
        except Broken as broken:
            return broken.args[0], trace
    return None


def all_programs():
    """Three threads of one transaction each, and two of which one has two."""
    for kinds in itertools.combinations_with_replacement(ENDS, 3):
        yield tuple((kind,) for kind in kinds)
    for one, first, second in itertools.product(ENDS, ENDS, ENDS):
        if first != "dies":
            yield ((one,), (first, second))
    for kinds in itertools.combinations_with_replacement(("commit", "abort", "dies"), 3):
        yield tuple((kind,) for kind in kinds) + (("commit",),)


def print_trace(trace):
    lines = []
    while trace is not None:
        lines.append(trace[0])
        trace = trace[1]
    for line in reversed(lines):
        print("    " + line)


def check(without, quiet=False):
    """True when no promise was broken. Prints what it found."""
    label = "without " + ", ".join(without) if without else "all rules"
    start, counts, runs = time.monotonic(), {"states": 0}, 0
    for programs in all_programs():
        runs += 1
        broken = explore(Model(without), programs, counts)
        if broken:
            print("group: %s: BROKEN: %s (%s)" % (label, broken[0],
                                                  ", ".join(" ".join(p) for p in programs)))
            if not quiet:
                print_trace(broken[1])
            return False
    print("group: %s: holds (%d programs, %d states, %.1f s)" % (label, runs, counts["states"],
            time.monotonic() - start))
    return True


def main():
    parser = rules.arguments("Explore threads that share commits.", RULES)
    args = parser.parse_args()
    return rules.run(args, RULES, lambda without, quiet: check(without, quiet))


if __name__ == "__main__":
    sys.exit(main())
