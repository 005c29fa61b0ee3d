#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The matrix of boots: every way to a kernel with every kind of kernel, compared with QEMU (firmware.py).

    tests/e2e/firmware_matrix.py                        the cells of the end-to-end tests
    tests/e2e/firmware_matrix.py --all                  all of them: an hour or two
    tests/e2e/firmware_matrix.py --all 'seabios-*4g'    some of all
    tests/e2e/firmware_matrix.py --all --markdown FILE  with a table for docs/firmware.md

The output is TAP. Exit status 0: all well, 1: failures, 77: the guest kernels cannot be had.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import os
import shutil
import sys
import time

import checks
import firmware
from e2e import SKIPPED, Bench
from vm import Failure


def run(bench, cell):
    """(result, text, seconds)"""
    start = time.monotonic()
    try:
        return "ok", firmware.run_cell(bench, cell), time.monotonic() - start
    except checks.Skip as reason:
        return "skip", str(reason), time.monotonic() - start
    except Failure as failure:
        return "not ok", str(failure), time.monotonic() - start


def report(number, cell, outcome):
    result, text, seconds = outcome
    if result == "not ok":
        print(f"not ok {number} {cell.name} ({seconds:.1f} s)")
        for line in text.splitlines():
            print(f"# {line}")
    else:
        print(f"ok {number} {cell.name}{' # SKIP' if result == 'skip' else ','} {text} ({seconds:.1f} s)")
    sys.stdout.flush()


def markdown(outcomes):
    """A line for each way, kernel, ACPI and option ROMs; the other axes are counted."""
    rows = collections.defaultdict(list)
    for cell, (result, text, _) in outcomes:
        rows[cell.boot, cell.kernel, cell.acpi, cell.roms].append(text if result == "ok" else result)
    yield "| Boot | Kernel | acpi | x-option-roms | Cells | Outcome |"
    yield "|---|---|---|---|---|---|"
    for key, texts in rows.items():
        counts = collections.Counter(texts)
        yield f"| {' | '.join(key)} | {len(texts)} | {', '.join(f'{n} {t}' for t, n in counts.items())} |"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="names of cells, with * and ?")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--markdown", metavar="FILE")
    parser.add_argument("--mote", default=os.environ.get("MOTE", "build/mote"))
    parser.add_argument("--reference", default=shutil.which("qemu-system-x86_64"))
    return parser.parse_args()


def main():
    args = arguments()
    cells = firmware.ALL_CELLS if args.all else firmware.SOME_CELLS
    cells = [c for c in cells if not args.patterns or any(fnmatch.fnmatch(c.name, p) for p in args.patterns)]
    if args.list:
        print("\n".join(c.name for c in cells))
        return 0
    bench = Bench(os.path.abspath(args.mote), args.reference)
    if not bench.fetch():
        print("1..0 # SKIP the guest kernels cannot be had")
        return SKIPPED
    print(f"1..{len(cells)}", flush=True)
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for number, (cell, outcome) in enumerate(zip(cells, pool.map(lambda c: run(bench, c), cells)), 1):
            report(number, cell, outcome)
            outcomes.append((cell, outcome))
    if args.markdown:
        with open(args.markdown, "w", encoding="utf-8") as out:
            out.write("\n".join(markdown(outcomes)) + "\n")
    failed = sum(outcome[0] == "not ok" for _, outcome in outcomes)
    print(f"# {len(outcomes) - failed} of {len(outcomes)} well")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
