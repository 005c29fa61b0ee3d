#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The speed of guest code: loops of cpu.S with known instruction counts, in millions of instructions a second
(strings: MiB/s; faults: thousands a second). Medians; mote's interpreter, its translator and QEMU take turns."""

import re
import subprocess
import tempfile
import time

import common

# name -> (units of the run, what a unit is)
COUNTS = {
    "arithmetic": (20.0, "M instructions/s"),
    "memory": (16.0, "M instructions/s"),
    "branches": (17.0, "M instructions/s"),
    "calls": (16.0, "M instructions/s"),
    "sse": (8.0, "M instructions/s"),
    "strings": (200.0, "MiB/s"),
    "faults": (100.0, "thousand/s"),
}


def run(command, elf):
    """name -> TSC ticks, and the wall seconds of the whole."""
    start = time.monotonic()
    done = subprocess.run(command + ["-M", "microvm", "-cpu", "max", "-m", "64", "-nodefaults", "-nographic",
                                     "-no-reboot", "-serial", "stdio", *common.DEBUG_EXIT, "-kernel", elf],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    values = dict(re.findall(r"val (\w+) ([0-9a-f]+)", done.stdout.decode()))
    if set(values) != set(COUNTS):
        raise SystemExit(f"{command}: {done.stdout.decode()}")
    return {name: int(value, 16) for name, value in values.items()}, time.monotonic() - start


def main():
    args = common.arguments(__doc__, runs=5).parse_args()
    engines = common.engines(args)
    hertz = common.tsc_khz() * 1000
    results = {name: [] for name in engines}
    walls = {name: [] for name in engines}
    with tempfile.TemporaryDirectory() as folder:
        elf = common.assemble(common.ROOT / "bench/cpu.S", folder)
        for _ in range(args.runs):
            for name, command in engines.items():
                ticks, wall = run(command, elf)
                results[name].append(ticks)
                walls[name].append(wall)
    rows = {}
    for loop, (units, unit) in COUNTS.items():
        rows[f"{loop}, {unit}"] = [units / (common.median([r[loop] for r in results[name]]) / hertz)
                                   for name in engines]
    rows["whole run, s"] = [common.median(walls[name]) for name in engines]
    common.table(f"Speed of guest code, median of {args.runs}", rows, engines)


if __name__ == "__main__":
    main()
