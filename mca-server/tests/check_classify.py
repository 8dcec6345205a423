# SPDX-License-Identifier: BSD-2-Clause
"""Runs mca-classify over every combination of the deciding bits and compares with sdm_table.py.

usage: check_classify.py MCA-CLASSIFY
"""
import itertools
import subprocess
import sys

from sdm_table import STATUS, expected

INTEL_CODES = (0x0000, 0x0134, 0x1134, 0x0150, 0x00C0, 0x10CF, 0x017A, 0x0136)
INTEL_BITS = ("OVER", "UC", "EN", "PCC", "S", "AR", "ADDRV", "MISCV")
AMD_BITS = ("OVER", "UC", "EN", "PCC", "DEFERRED", "POISON", "ADDRV", "S")
SER_P, OTHER_CAPS = 1 << 24, 0x10A
PHYSICAL_64, PHYSICAL_4K, LINEAR = 0x86, 0x8C, 0x4C
CONTEXTS, PATHS = ("user", "kernel"), ("mce", "cmc")


def words(names):
    """Every STATUS with VAL set and any subset of `names`."""
    masks = [1 << STATUS[name] for name in names]
    for chosen in itertools.product((0, 1), repeat=len(masks)):
        yield 1 << STATUS["VAL"] | sum(m for m, c in zip(masks, chosen) if c)


def intel():
    for status, cap, code in itertools.product(words(INTEL_BITS), (OTHER_CAPS, OTHER_CAPS | SER_P), INTEL_CODES):
        miscs = (PHYSICAL_4K, LINEAR) if status >> STATUS["MISCV"] & 1 else (PHYSICAL_64,)
        for misc, mcg, context, path in itertools.product(miscs, range(8), CONTEXTS, PATHS):
            yield "intel", cap, mcg, status | code, misc, context, path


def amd():
    for status, vendor, cap in itertools.product(words(AMD_BITS), ("amd", "amd-succor"),
                                                 (OTHER_CAPS, OTHER_CAPS | SER_P)):
        for mcg, context, path in itertools.product(range(8), CONTEXTS, PATHS):
            yield vendor, cap, mcg, status | 0x0811, 0, context, path


def addresses():
    """Every address mode and every LSB, of an SRAR and of an SRAO."""
    for status, misc in itertools.product((0xBD80000000000134, 0xBD000000000000C0), range(512)):
        yield "intel", OTHER_CAPS | SER_P, 7, status, misc | 0xABC << 9, "user", "mce"


def codes():
    """Every architectural code, of an SRAR, an SRAO and one that CMCI reports."""
    for status, code in itertools.product((0xBD80000000000000, 0xBD00000000000000, 0xBC00000000000000),
                                          range(0x10000)):
        yield "intel", OTHER_CAPS | SER_P, 7, status | code, PHYSICAL_64, "user", "mce" if status >> 56 & 1 else "cmc"


def invalid():
    """VAL=0: nothing, whatever else is set."""
    for vendor, mcg, context, path in itertools.product(("intel", "amd", "amd-succor"), range(8), CONTEXTS, PATHS):
        yield vendor, OTHER_CAPS | SER_P, mcg, 0x7FFFFFFFFFFFFFFF, PHYSICAL_4K, context, path
        yield vendor, 0, mcg, 0, 0, context, path


def main():
    cases = list(itertools.chain(intel(), amd(), addresses(), codes(), invalid()))
    text = "".join("%s %x %x %x %x %s %s\n" % case for case in cases)
    run = subprocess.run([sys.argv[1]], input=text, capture_output=True, text=True)
    answers = run.stdout.splitlines()
    if run.returncode != 0 or len(answers) != len(cases):
        sys.exit(f"mca-classify: status {run.returncode}, {len(answers)} answers to {len(cases)} lines: {run.stderr}")
    wrong = 0
    seen = set()
    for case, answer in zip(cases, answers):
        want = " ".join(expected(*case))
        seen.add(want)
        if answer != want:
            wrong += 1
            if wrong <= 20:
                print("%s %x %x %x %x %s %s" % case, "is", answer, "and must be", want)
    print(f"{len(cases)} records, {wrong} wrong, {len(seen)} different answers: {', '.join(sorted(seen))}")
    classes = {answer.split()[0] for answer in seen}
    missing = {"NONE", "CE", "SPURIOUS", "LOGONLY", "UCNA", "SRAO", "SRAR", "DEFERRED", "ILLEGAL", "FATAL"} - classes
    if missing:
        sys.exit(f"no case was of class {', '.join(sorted(missing))}")
    sys.exit(1 if wrong else 0)


main()
