#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""mutate.py - break the engine in one place at a time and see whether the tests notice.

usage: mutate.py [--build BUILD] [--jobs N] [--only PATTERN,...] [--list]

Two kinds of mutants:
  sites     made from the source: every call that flushes, fences, streams or re-dirties is switched off; every flush of more than a word
            covers its first byte's line only; every stream is a plain store. New calls are included by themselves.
  written   tests/crash/mutants/*.mut: a broken rule of the protocol, as old and new lines.

Each is built from one changed file and the objects in BUILD, and run against the crash explorer (or the model test, where the file says so) until
a run fails. The list ends with the score; the exit status is 0 when every survivor is named in tests/crash/mutants/survivors, with its reason.
"""
import argparse
import concurrent.futures
import fnmatch
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUTANTS = os.path.join(ROOT, "tests/crash/mutants")
CALL = re.compile(r"(?<![\w.>])(pm_flush|pm_fence|pm_stream|fence|recover_fence|redirty|commit_flush_words|flush_private)\(")
OFF = "#define mutant_off(...) 0\n#define mutant_line(pm, p, n) pm_flush(pm, p, (n) > 0)\n"
# What a mutant has to pass: the explorer, cheap runs first. Seeds stand for different stores, see crash.c.
CRASH_RUNS = [
    f"--seed {seed} --granule {granule} --ops {ops}"
    for ops, seeds in ((800, (1, 4, 2)), (2500, (10, 5, 13)), (5000, (8, 9, 11, 20, 21, 22, 23)))
    for granule in (64, 4096)
    for seed in seeds
]
MODEL_RUNS = [f"--no-lmdb --ops 60000 --page-size 512 --seed {seed}" for seed in (1, 2, 3, 4)]
TIMEOUT = 300


class Mutant:
    def __init__(self, name, what, path, text, run="crash"):
        self.name, self.what, self.path, self.text, self.run = name, what, path, text, run


def is_definition(text, at):
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return bool(re.match(r"(static |int |void |extern )", line)) or line.lstrip().startswith(("*", "/*", "//"))


def in_comment(text, at):
    return text.rfind("/*", 0, at) > text.rfind("*/", 0, at)


def argument_of(text, at):
    depth, end = 0, at
    while True:
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
        if depth == 0:
            return text[at + 1 : end - 1]


def site_mutants():
    for path in sorted(glob.glob(os.path.join(ROOT, "src/*.c"))):
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
                yield Mutant(f"stream-{where}", f"plain store: {call}({args})", path, replaced("pm_write"))
                continue
            yield Mutant(f"off-{where}", f"switched off: {call}({args})", path, replaced("mutant_off"))
            if call == "pm_flush" and args.rsplit(",", 1)[1].strip() != "FMT_WORD":
                yield Mutant(f"line-{where}", f"first line only: {call}({args})", path, replaced("mutant_line"))


def written_mutants():
    for name in sorted(glob.glob(os.path.join(MUTANTS, "*.mut"))):
        head, *blocks = open(name).read().split("\n<<<<\n")
        fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line and not line.startswith("#"))
        path = os.path.join(ROOT, fields["file"])
        text = open(path).read()
        for block in blocks:
            old, new = block.split("\n====\n")
            new = new[: new.rindex("\n>>>>")] if "\n>>>>" in new else new[: new.index(">>>>")]
            if text.count(old) != 1:  # a broken one: to be written anew
                text = f"#error its old lines are {text.count(old)} times in {fields['file']}, not once"
                break
            text = text.replace(old, new)
        yield Mutant(os.path.basename(name)[:-4], fields["what"], path, text, fields.get("run", "crash"))


def compile_one(cc, flags, source, obj):
    command = cc + flags + ["-include", os.path.join(os.path.dirname(source), "export.h"), "-c", "-o", obj, source]
    return subprocess.run(command, capture_output=True, text=True)


def build(mutant, args, work):
    """The program with the mutant in it: its source directory is a copy, and a changed header rebuilds every file."""
    src, program = os.path.join(work, "src"), os.path.join(work, "program")
    shutil.copytree(os.path.join(ROOT, "src"), src, ignore=shutil.ignore_patterns("cli", "lmdb"))
    changed = os.path.join(src, os.path.basename(mutant.path))
    with open(changed, "w") as f:
        f.write(mutant.text)
    flags = shlex.split(os.environ["MUTATE_CFLAGS"]) + ["-w", "-I" + src, "-I" + os.path.join(ROOT, "include")]
    cc = shlex.split(os.environ["MUTATE_CC"])
    objects = []
    for source in [changed] if changed.endswith(".c") else sorted(glob.glob(os.path.join(src, "*.c"))):
        objects.append(source[:-2] + ".o")
        result = compile_one(cc, flags, source, objects[-1])
        if result.returncode:
            return None, result.stderr
    link = cc + shlex.split(os.environ["MUTATE_LDFLAGS_" + mutant.run.upper()]) + ["-o", program] + objects
    link += [os.path.join(ROOT, name) for name in shlex.split(os.environ["MUTATE_" + mutant.run.upper()])]
    link += [os.path.join(args.build, "tests/lib.a"), os.path.join(args.build, "tests/engine.a"), "-lpmem", "-llmdb", "-pthread"]
    result = subprocess.run(link, capture_output=True, text=True)
    return (program, "") if result.returncode == 0 else (None, result.stderr)


def judge(mutant, args):
    """(state, by, seconds): killed, survived or broken."""
    start = time.time()
    with tempfile.TemporaryDirectory(prefix="mutant-") as work:
        program, why = build(mutant, args, work)
        if not program:
            return "broken", why.strip().splitlines()[0] if why else "?", 0
        os.environ.setdefault("TMPDIR", "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp")
        for run in CRASH_RUNS if mutant.run == "crash" else MODEL_RUNS:
            try:
                result = subprocess.run([program] + run.split() + ["--dir", work], capture_output=True, text=True, timeout=TIMEOUT, errors="replace")
            except subprocess.TimeoutExpired:
                return "killed", f"{run}: no end", time.time() - start
            if result.returncode:
                lines = result.stdout.splitlines()
                said = [line for line in lines if line.startswith(("FAILED", "a signal"))] + lines[:1] + ["?"]
                return "killed", f"{run}: {said[0]}", time.time() - start
    return "survived", "", time.time() - start


def baseline_fails(args):
    """The unchanged engine has to pass every run, or a mutant's failure means nothing."""
    program = Mutant("baseline", "", os.path.join(ROOT, "src/ring.c"), open(os.path.join(ROOT, "src/ring.c")).read())
    model = Mutant("baseline", "", program.path, program.text, "model")
    failed = False
    for mutant in (program, model):
        state, by, _ = judge(mutant, args)
        if state != "survived":
            print(f"the engine as it is: {state}: {by}")
            failed = True
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
    return any(fnmatch.fnmatch(mutant.name, name) and (source == "-" or source in mutant.what) for name, source in known)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="*")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    args.build = os.path.join(ROOT, args.build)
    mutants = [m for m in list(site_mutants()) + list(written_mutants()) if any(fnmatch.fnmatch(m.name, one) for one in args.only.split(","))]
    if args.list:
        for m in mutants:
            print(f"{m.name}\t{m.what}")
        return 0
    if baseline_fails(args):
        return 1
    known, counts, open_ends = survivors_known(), {"killed": 0, "survived": 0, "broken": 0}, 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for mutant, (state, by, seconds) in zip(mutants, pool.map(lambda m: judge(m, args), mutants)):
            counts[state] += 1
            if state == "survived" and is_known(mutant, known):
                by = "known: harmless, see tests/crash/mutants/survivors"
            elif state != "killed":
                open_ends += 1
            print(f"{state:9}{seconds:6.1f} s  {mutant.name:24} {mutant.what}\n                   {by}", flush=True)
    print(f"{counts['killed']} of {len(mutants)} mutants killed, {counts['survived']} survived, {counts['broken']} do not build; {open_ends} not accounted for")
    return open_ends > 0


if __name__ == "__main__":
    sys.exit(main())
