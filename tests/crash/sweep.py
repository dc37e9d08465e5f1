#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sweep.py - the crash explorer over many seeds and all granules, and what the runs together did.

usage: sweep.py [--build BUILD] [--seeds 1-16] [--granules 64,512,4096] [--ops N] [--jobs N]
                [--images N]

A run that fails shows its output, with the line that repeats it. The summary adds up what the runs
counted; the sweep fails when a run failed, when fewer images than --images were tried, or when
something that the runs are to cover was covered by none of them.
"""
import argparse
import collections
import concurrent.futures
import os
import re
import resource
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COUNT = re.compile(r"([a-z][a-z ]*?) (\d+)")
LARGEST = ("most units in doubt", "words of the longest spill",
           "longest file")  # not added up: the largest counts
MAY_BE_ZERO = ("flushes in vain",)  # a hint, not a feature
TIMEOUT = 900


def seeds_of(text):
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def run_one(args, seed, granule, lazy):
    command = [os.path.join(args.build, "tests/crash"), "--seed", str(seed), "--granule",
               str(granule), "--ops", str(args.ops), "--lazy", str(lazy)]
    start = time.time()
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace",
                                timeout=TIMEOUT)
        return result.returncode, result.stdout + result.stderr, time.time() - start
    except subprocess.TimeoutExpired as e:
        return 1, (e.stdout or
                   b"").decode(errors="replace") + f"no end after {TIMEOUT} s\n", TIMEOUT


def counts_of(output):
    """{group: {name: number}} of the lines "group: name number name number ..."."""
    counts = collections.defaultdict(dict)
    for line in output.splitlines():
        group, colon, rest = line.partition(":")
        if colon and group in ("explored", "crashed", "covered", "lazy"):
            counts[group].update((name, int(number)) for name, number in COUNT.findall(rest))
    return counts


def add(total, counts):
    for group, names in counts.items():
        for name, number in names.items():
            before = total[group].get(name, 0)
            total[group][name] = max(before, number) if name in LARGEST else before + number


def show(total):
    """Print the summary; return the names of what was covered by no run."""
    explored = total["explored"]
    points, exhaustive = explored.get("points", 0), explored.get("points with every subset tried",
            0)
    print(f"images {explored.get('images', 0):,}, crash points {points:,}, with every subset tried {exhaustive:,} ({100 * exhaustive / max(points, 1):.0f} %)")
    for group in ("explored", "crashed", "covered", "lazy"):
        words = [f"{name} {number:,}" for name, number in total[group].items()]
        line = f"{group}:"
        for word in words:
            if len(line) + len(word) > 150:
                print(line + ",")
                line = "   "
            line += ("," if line.strip(" :") not in ("", group) else "") + " " + word
        print(line)
    return [name for group in ("explored", "crashed", "covered") for name,
            number in total[group].items() if number == 0 and name not in MAY_BE_ZERO]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--seeds", default="1-16")
    parser.add_argument("--granules", default="64,512,4096")
    parser.add_argument("--ops", type=int, default=3000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--images", type=int, default=0, help="fail when fewer were tried")
    args = parser.parse_args()
    args.build = os.path.join(ROOT, args.build)
    # The slowest first: large stores, whose images cost most.
    runs = [(seed, int(granule), 0) for seed in seeds_of(args.seeds) for
            granule in args.granules.split(",")]
    # Files once more, with some of the commits waiting for a sync.
    runs += [(seed, granule, 10 + 37 * seed % 90) for seed, granule, _ in runs if granule > 64]
    runs.sort(key=lambda run: run[0] % 6 != 4)
    total, failed, start = collections.defaultdict(dict), 0, time.time()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for (seed, granule, lazy), (status, output, seconds) in zip(runs,
                pool.map(lambda run: run_one(args, *run), runs)):
            counts = counts_of(output)
            print(f"{'FAIL' if status else 'ok  '}  seed {seed}, granule {granule}, lazy {lazy} %: {counts['explored'].get('images', 0):,} images, {seconds:.1f} s", flush=True)
            failed += status != 0
            if status:
                print(output)
            else:
                add(total, counts)
    missing = show(total)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{len(runs)} runs, {failed} failed, {time.time() - start:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processor time")
    if missing:
        print("FAIL: covered by no run: " + ", ".join(missing))
    if total["explored"].get("images", 0) < args.images:
        print(f"FAIL: fewer than {args.images:,} images")
        return 1
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
