#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From exec to the first guest instructions: a guest whose first act is to end the machine. Milliseconds, medians."""

import subprocess
import tempfile
import time

import common

STATUS = 33


def run(binary, elf, mem):
    start = time.monotonic()
    status = subprocess.run([binary, "-M", "microvm", "-m", mem, "-nodefaults", "-nographic", "-no-reboot",
                             *common.DEBUG_EXIT, "-kernel", elf], stdin=subprocess.DEVNULL, check=False).returncode
    if status != STATUS:
        raise SystemExit(f"{binary}: status {status}, should be {STATUS}")
    return (time.monotonic() - start) * 1000


def main():
    args = common.arguments(__doc__, runs=30).parse_args()
    binaries = common.binaries(args)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        elf = common.assemble(common.ROOT / "bench/start.S", folder)
        for mem in ("64m", "512m", "6g"):
            times = {name: [] for name in binaries}
            for _ in range(args.runs):
                for name, path in binaries.items():
                    times[name].append(run(path, elf, mem))
            rows[f"-m {mem}"] = [common.median(times[name]) for name in binaries]
    common.table(f"exec to exit of a guest that does nothing, ms, median of {args.runs}", rows, binaries)


if __name__ == "__main__":
    main()
