#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""mutate.py - break the engine in one place at a time and see whether the tests notice.

usage: mutate.py [--build BUILD] [--jobs N] [--only PATTERN,...] [--list] [--no-baseline] [--kinds
                 crash,unit,model]

Two kinds of mutants:
  sites     made from the source: every call that flushes, fences, streams or re-dirties is switched
            off; every flush of more than a word covers its first byte's line only; every stream is
            a plain store. New calls are included by themselves.
  written   tests/crash/mutants/*.mut: a broken rule of the protocol, as old and new lines.

Each is built from one changed file and the objects in BUILD, and meets, until one fails: short runs
of the explorer, the unit tests, long runs of the explorer; or, where its file says "run: model",
the model test; with "run: lazy", the explorer with lazy commits and the unit tests of these; with
"run: unit NAME", that unit test alone, for what the explorer does not run. The list ends with the score; the exit status is 0 when every survivor is named in
tests/crash/mutants/survivors, with its reason.
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import glob
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUTANTS = os.path.join(ROOT, "tests/crash/mutants")
CALL = re.compile(r"(?<![\w.>])(pm_flush|pm_fence|pm_fence_range|pm_stream|commit_fence|commit_record_fence|record_fence|recover_fence|redirty|commit_flush_words|flush_private)\(")
OFF = "#define mutant_off(...) 0\n#define mutant_line(pm, p, n) pm_flush(pm, p, (n) > 0)\n"
# What a mutant has to pass, in this order. Seeds stand for different stores, see crash.c.
def crash_runs(ops, seeds, granules, lazy=0):
    more = f" --lazy {lazy}" if lazy else ""
    return [f"--seed {seed} --granule {granule} --ops {ops}{more}" for granule in granules for
            seed in seeds]


CRASH_SHORT = crash_runs(800, (1, 4, 2), (64,)) + crash_runs(800, (1, 2), (4096,
        512)) + crash_runs(2000, (5, 3), (64,)) + crash_runs(1200, (6, 14), (64,))
CRASH_LONG = crash_runs(2500, (10, 5, 13), (64,)) + crash_runs(2500, (5, 13), (4096, 512))
CRASH_LONG += crash_runs(5000, (8, 9, 11, 16, 20), (64,)) + crash_runs(4000, (8, 9), (4096, 512))
LAZY_SHORT = crash_runs(800, (1, 5), (4096, 512), 60)
LAZY_LONG = crash_runs(2000, (9, 12, 13, 21), (4096, 512), 50)
LAZY_UNITS = ("lazy", "lazy_share", "lazy_space")
MODEL_RUNS = [f"--no-lmdb --ops 60000 --page-size 512 --seed {seed}" for seed in (1, 2, 3, 4)]
# The unit tests that look at what is stored and when; the likeliest first.
UNIT_FIRST = ("rules", "recover", "ring", "commit", "space", "leaf", "wset", "store", "share")
CPU_SECONDS = 120  # of processor time, for a run that does not end
TIMEOUT = 1800  # for one that waits for ever


class Mutant:
    def __init__(self, name, what, path, text, run="crash"):
        self.name, self.what, self.path, self.text, self.run = name, what, path, text, run


def is_definition(text, at):
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return bool(re.match(r"(static |int |void |extern )", line)) or line.lstrip().startswith(("*",
            "/*", "//"))


def in_comment(text, at):
    return text.rfind("/*", 0, at) > text.rfind("*/", 0, at)


def argument_of(text, at):
    depth, end = 0, at
    while True:
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
        if depth == 0:
            return text[at + 1 : end - 1]


def engine_sources(src):
    """The engine's files: those of the folders that src/LAYERS names."""
    with open(os.path.join(src, "LAYERS")) as f:
        folders = {line.split()[0].rstrip(":") for line in f if line.strip() and
                   not line.startswith("#")}
    return sorted(path for folder in folders for path in glob.glob(os.path.join(src, folder,
            "*.c")))


def site_mutants():
    for path in engine_sources(os.path.join(ROOT, "src")):
        text = open(path).read()
        base = os.path.basename(path)
        if base.startswith("pm"):
            continue
        for match in CALL.finditer(text):
            if is_definition(text, match.start()) or in_comment(text, match.start()):
                continue
            line = text.count("\n", 0, match.start()) + 1
            call, args = match.group(1), " ".join(argument_of(text, match.end(1)).split())

            def replaced(by):
                return OFF + "#line 1\n" + text[: match.start()] + by + text[match.end(1) :]

            where = f"{base}:{line}"
            if call == "pm_stream":
                yield Mutant(f"stream-{where}", f"plain store: {call}({args})", path,
                             replaced("pm_write"))
                continue
            yield Mutant(f"off-{where}", f"switched off: {call}({args})", path,
                         replaced("mutant_off"))
            if call == "pm_flush" and args.rsplit(",", 1)[1].strip() != "FMT_WORD":
                yield Mutant(f"line-{where}", f"first line only: {call}({args})", path,
                             replaced("mutant_line"))


OUTDATED = "#error its old lines"


def written_mutants():
    for name in sorted(glob.glob(os.path.join(MUTANTS, "*.mut"))):
        head, *blocks = open(name).read().split("\n<<<<\n")
        fields = dict(line.split(": ",
                                 1) for line in head.splitlines() if ": " in line and not line.startswith("#"))
        path = os.path.join(ROOT, fields["file"])
        text = open(path).read()
        for block in blocks:
            old, new = block.split("\n====\n")
            new = new[: new.rindex("\n>>>>")] if "\n>>>>" in new else new[: new.index(">>>>")]
            if text.count(old) != 1:  # a broken one: it has to be rewritten
                text = f"{OUTDATED} are {text.count(old)} times in {fields['file']}, not once"
                break
            text = text.replace(old, new)
        yield Mutant(os.path.basename(name)[:-4], fields["what"], path, text, fields.get("run",
                "crash"))


def compile_one(cc, flags, source, obj):
    command = cc + flags + ["-include", os.path.join(ROOT, "src/base/export.h"), "-c", "-o", obj,
                            source]
    return subprocess.run(command, capture_output=True, text=True)


class Build:
    """The mutant's objects: its source directory is a copy, and a changed header rebuilds every file. Programs are linked when they are run."""

    def __init__(self, mutant, args, work):
        self.args, self.work, self.objects, self.why = args, work, [], ""
        src = os.path.join(work, "src")
        shutil.copytree(os.path.join(ROOT, "src"), src, ignore=shutil.ignore_patterns("cli",
                "lmdb"))
        changed = os.path.join(src, os.path.relpath(mutant.path, os.path.join(ROOT, "src")))
        with open(changed, "w") as f:
            f.write(mutant.text)
        flags = shlex.split(os.environ["MUTATE_CFLAGS"]) + ["-w", "-I" + src,
                "-I" + os.path.join(ROOT, "include")]
        self.cc = shlex.split(os.environ["MUTATE_CC"])
        for source in [changed] if changed.endswith(".c") else engine_sources(src):
            self.objects.append(source[:-2] + ".o")
            result = compile_one(self.cc, flags, source, self.objects[-1])
            if result.returncode:
                self.why = result.stderr.strip() or "?"
                return

    def program(self, name, flags, objects):
        """The path of a program, or None: it does not link, and why says what is wrong."""
        path = os.path.join(self.work, name)
        if os.path.exists(path):
            return path
        libraries = [os.path.join(self.args.build, "tests/lib.a"), os.path.join(self.args.build,
                "tests/engine.a")]
        link = self.cc + flags + ["-o", path] + self.objects + objects + libraries + ["-ldl",
                "-llmdb", "-lcmocka", "-pthread"]
        result = subprocess.run(link, capture_output=True, text=True)
        self.why = result.stderr.strip()
        return path if result.returncode == 0 else None


def unit_tests():
    names = [os.path.basename(path)[5:-2] for path in glob.glob(os.path.join(ROOT,
            "tests/unit/*/test_*.c"))]
    return [name for name in UNIT_FIRST if name in names] + sorted(name for name in names if
            name not in UNIT_FIRST)


def steps_of(mutant, build):
    """Pairs: the kind of run, and its command, made when its turn comes."""
    root = lambda objects: [os.path.join(ROOT, name) for name in shlex.split(objects)]
    crash = lambda: build.program("crash", shlex.split(os.environ["MUTATE_LDFLAGS_CRASH"]),
                                  root(os.environ["MUTATE_CRASH"]))
    model = lambda: build.program("model", [], root(os.environ["MUTATE_MODEL"]))
    unit = lambda name: build.program("test_" + name, [], glob.glob(os.path.join(build.args.build,
            "obj/tests/unit/*", f"test_{name}.o")))
    if mutant.run == "model":
        return [("model", model, run) for run in MODEL_RUNS]
    if mutant.run.startswith("unit "):
        return [("unit", lambda: unit(mutant.run[5:]), "")]
    units = [("unit", lambda name=name: unit(name), "") for name in unit_tests()]
    short, long, lazy_short, lazy_long = ([("crash", crash, run) for run in runs] for runs in
            (CRASH_SHORT, CRASH_LONG, LAZY_SHORT, LAZY_LONG))
    if mutant.run == "lazy":
        lazy_units = [("unit", lambda name=name: unit(name), "") for name in LAZY_UNITS]
        return lazy_short + lazy_units + lazy_long
    return short + lazy_short + units + long + lazy_long


def limit_time():
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))


def last_words(result, run):
    """What a failing test says, in one line."""
    lines = (result.stdout + result.stderr).splitlines()
    said = [line for line in lines if line.startswith(("FAILED",
            "a signal")) or "FAILED  ]" in line or "FAIL" in line] + lines[:1] + ["?"]
    return f"{run}: {said[0]}"


def judge(mutant, args):
    """(state, kind, by, seconds): killed, survived or broken."""
    start = time.time()
    with tempfile.TemporaryDirectory(prefix="mutant-") as work:
        build = Build(mutant, args, work)
        if build.why:
            return "broken", "", build.why.splitlines()[0], 0
        env = dict(os.environ, TMPDIR=work)
        os.chmod(work, 0o755)
        for kind, program, run in steps_of(mutant, build):
            if kind not in args.kinds.split(","):
                continue
            path = program()
            if not path:
                return "broken", "", build.why.splitlines()[0], 0
            command = [path] + run.split() + (["--dir", work] if kind != "unit" else [])
            run = run or os.path.basename(path)
            try:
                result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT,
                                        errors="replace", env=env, cwd=ROOT, preexec_fn=limit_time)
            except subprocess.TimeoutExpired:
                return "killed", kind, f"{run}: no end", time.time() - start
            if result.returncode:
                return "killed", kind, last_words(result, run), time.time() - start
    return "survived", "", "", time.time() - start


def baseline_fails(args, pool):
    """The unchanged engine has to pass every run, or a mutant's failure means nothing."""
    path = os.path.join(ROOT, "src/redo/ring.c")
    baselines = [Mutant("baseline", "", path, open(path).read(), run) for run in ("crash", "lazy", "model")]
    failed = False
    for state, _, by, seconds in pool.map(lambda m: judge(m, args), baselines):
        print(f"the engine as it is: {'passes every run' if state == 'survived' else state + ': ' + by} ({seconds:.0f} s)", flush=True)
        failed |= state != "survived"
    return failed


def survivors_known():
    known = []
    with open(os.path.join(MUTANTS, "survivors")) as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, source, _ = line.split("\t", 2)
                known.append((name, source.strip()))
    return known


def is_known(mutant, known):
    """Lines move, so a generated mutant is known by its file and the text of its call."""
    return any(fnmatch.fnmatch(mutant.name,
                               name) and (source == "-" or
                                          source in mutant.what) for name, source in known)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="*")
    parser.add_argument("--kinds", default="crash,unit,model", help="kinds of run to use")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--no-baseline", dest="baseline", action="store_false",
                        help="take for granted that the engine as it is passes")
    args = parser.parse_args()
    args.build = os.path.join(ROOT, args.build)
    mutants = [m for m in list(site_mutants()) + list(written_mutants()) if
               any(fnmatch.fnmatch(m.name, one) for one in args.only.split(","))]
    if args.list:
        outdated = [m for m in mutants if m.text.startswith(OUTDATED)]
        for m in mutants:
            print(f"{m.name}\t{m.what}")
        for m in outdated:
            print(f"tests/crash/mutants/{m.name}.mut: {m.text[len('#error '):]}", file=sys.stderr)
        return len(outdated) > 0
    known, counts, kinds, open_ends = survivors_known(), collections.Counter(), collections.Counter(), 0
    os.environ.setdefault("TMPDIR", "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp")
    start = time.time()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        if args.baseline and baseline_fails(args, pool):
            return 1
        futures = {pool.submit(judge, mutant, args): mutant for mutant in mutants}
        for future in concurrent.futures.as_completed(futures):
            mutant, (state, kind, by, seconds) = futures[future], future.result()
            counts[state] += 1
            kinds[kind] += state == "killed"
            if state == "survived" and is_known(mutant, known):
                by = "known: harmless, see tests/crash/mutants/survivors"
            elif state != "killed":
                open_ends += 1
            print(f"{state:9}{seconds:6.1f} s  {mutant.name:24} {mutant.what}\n                   {kind}{': ' if kind else ''}{by}", flush=True)
    print(
        f"{counts['killed']} of {len(mutants)} mutants killed ({kinds['crash']} by the explorer, {kinds['unit']} by unit tests, {kinds['model']} by the model test), "
        f"{counts['survived']} survived, {counts['broken']} do not build; {open_ends} not accounted for; {time.time() - start:.0f} s"
    )
    return open_ends > 0


if __name__ == "__main__":
    sys.exit(main())
