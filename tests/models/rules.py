# SPDX-License-Identifier: BSD-3-Clause
"""The rules of a model, and the arguments that switch them off.

A model is believed for two reasons: with all of its rules it finds nothing, and without any one of
them it finds what that rule is for. So each model takes the same three arguments, and --all-mutants
asks for both.
"""
import argparse


def arguments(description, rules):
    """A parser of the arguments that all models take. The model adds its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--without", metavar="RULE", action="append", default=[],
                        choices=sorted(rules), help="switch a rule off")
    parser.add_argument("--all-mutants", action="store_true",
                        help="all rules, then each one switched off")
    parser.add_argument("--list", action="store_true", help="list the rules")
    return parser


def run(args, rules, check):
    """Do what the arguments say; the exit status. check(without, quiet) tries the model without
    these rules. It returns True when all holds, False for a counterexample, None when it gave up."""
    if args.list:
        for rule, text in rules.items():
            print("%-15s %s" % (rule, text))
        return 0
    if not args.all_mutants:
        return {True: 0, False: 1, None: 2}[check(args.without, False)]
    good = check([], False) is True
    for rule in rules:
        good = check([rule], True) is False and good
    return 0 if good else 1
