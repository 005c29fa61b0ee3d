#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How long a boot of Debian's cloud kernel takes, and how much memory the monitor needs beside the guest's.

Seconds from exec to: the first byte of guest output; the first line of the guest's init; the end of the process.
Memory: resident KiB at the guest's init, without the pages of guest RAM. Medians; mote and QEMU take turns.

    bench/boot.py --runs 9 --smp 1 --mem 512 --machine ,acpi=off
"""

import os
import re
import subprocess
import time

import common

MARK = b"mote-guest: init"


def guest_ram(name, size_kib, wanted_kib):
    """Whether a mapping is guest RAM: mote's memfd, or the one that is exactly as large as the guest."""
    return "memfd:" in name or size_kib == wanted_kib


def overhead_kib(pid, ram_kib):
    """Resident pages that are not the guest's."""
    total, name, size = 0, "", 0
    for line in open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace"):
        head = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)", line)
        if head:
            name = head.group(1)
        elif line.startswith("Size:"):
            size = int(line.split()[1])
        elif line.startswith("Rss:") and not guest_ram(name, size, ram_kib):
            total += int(line.split()[1])
    return total


def boot(binary, args, files):
    """(first byte, init, exit, CPU seconds, overhead in KiB)"""
    append = f"console=ttyS0 quiet panic=-1 reboot=t run=off {args.append}"
    argv = [binary, "-M", "microvm" + args.machine, "-cpu", "max", "-m", f"{args.mem}m", "-smp", str(args.smp),
            "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio", "-kernel", files[0], "-initrd", files[1],
            "-append", append]
    start = time.monotonic()
    before = os.times()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    first = init = memory = None
    text = b""
    while True:
        data = os.read(process.stdout.fileno(), 65536)
        now = time.monotonic() - start
        if not data:
            break
        first = first or now
        text += data
        if init is None and MARK in text:
            init = now
            memory = overhead_kib(process.pid, args.mem * 1024)
    process.wait()
    end, after = time.monotonic() - start, os.times()
    if init is None or process.returncode != 0:
        tail = text.decode(errors="replace")[-2000:]
        raise SystemExit(f"{binary} did not boot (status {process.returncode}):\n{tail}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return first, init, end, cpu, memory


def main():
    parser = common.arguments(__doc__, runs=9)
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--mem", type=int, default=512, help="MiB")
    parser.add_argument("--machine", default="", help="machine properties, with the comma before them")
    parser.add_argument("--append", default="", help="more for the kernel command line")
    parser.add_argument("--initrd", default="", help="another root file system")
    args = parser.parse_args()
    binaries = common.binaries(args)
    files = common.script("fetch-kernel.sh") + "/vmlinuz", args.initrd or common.script("make-initrd.sh")
    results = {name: [] for name in binaries}
    for _ in range(args.runs):
        for name, path in binaries.items():
            results[name].append(boot(path, args, files))
    rows = {}
    for index, what in enumerate(("first byte, s", "init, s", "exit, s", "CPU time, s", "memory beside RAM, KiB")):
        rows[what] = [common.median([run[index] for run in results[name]]) for name in binaries]
    common.table(f"Boot of the cloud kernel, {args.smp} CPU, {args.mem} MiB{args.machine}, median of {args.runs}", rows,
                 binaries)
    for name in binaries:
        ends = sorted(run[2] for run in results[name])
        print(f"{name}: exit from {ends[0]:.3f} to {ends[-1]:.3f} s")


if __name__ == "__main__":
    main()
