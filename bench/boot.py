#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How long a boot of Debian's cloud kernel takes, and how much memory the monitor needs.

Seconds from exec to: the first byte of guest output; the first line of the guest's init; the end of the process.
Memory: resident KiB at the guest's init without the pages of guest RAM, and the most that was ever resident, with
them. Medians; mote's interpreter, its translator and QEMU take turns. A boot that does not end in time is left out and
told.

    bench/boot.py --runs 9 --smp 1 --mem 512
"""

import os
import re
import select
import subprocess
import time

import common

MARK = b"mote-guest: init"


class Late(Exception):
    """A boot that was not done in time."""


def guest_ram(name, size_kib, wanted_kib):
    """Whether a mapping is guest RAM: mote's memfd, or the one that is exactly as large as the guest."""
    return "memfd:mote-ram" in name or size_kib == wanted_kib


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


def read_until(fd, deadline):
    """What comes next; Late when nothing does."""
    if not select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]:
        raise Late
    return os.read(fd, 65536)


def watch(process, start, args):
    """(first byte, init, overhead in KiB, text) of a running machine, until it closes its output."""
    first = init = memory = None
    text = b""
    while True:
        data = read_until(process.stdout.fileno(), start + args.timeout)
        now = time.monotonic() - start
        if not data:
            return first, init, memory, text
        first = first or now
        text += data
        if init is None and MARK in text:
            init = now
            memory = overhead_kib(process.pid, args.mem * 1024)


def boot(command, args, files):
    """(first byte, init, exit, CPU seconds, overhead in KiB, peak in KiB)"""
    append = f"console=ttyS0 quiet panic=-1 reboot=t run=off tsc_early_khz={args.khz} {args.append}"
    argv = command + ["-M", "microvm" + args.machine, "-cpu", "max", "-m", f"{args.mem}m", "-smp", str(args.smp),
                      "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio", "-kernel", files[0],
                      "-initrd", files[1], "-append", append]
    start = time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        first, init, memory, text = watch(process, start, args)
    except Late:
        process.kill()
        process.wait()
        raise
    finally:
        process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    end = time.monotonic() - start
    if init is None or process.returncode != 0:
        tail = text.decode(errors="replace")[-2000:]
        raise SystemExit(f"{argv[0]} did not boot (status {process.returncode}):\n{tail}")
    return first, init, end, usage.ru_utime + usage.ru_stime, memory, usage.ru_maxrss


ROWS = ("first byte, s", "init, s", "power-off, s", "CPU time, s", "memory beside RAM, KiB", "peak memory, KiB")


def main():
    parser = common.arguments(__doc__, runs=5)
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--mem", type=int, default=512, help="MiB")
    parser.add_argument("--machine", default=",acpi=on", help="machine properties, with the comma before them")
    parser.add_argument("--append", default="", help="more for the kernel command line")
    parser.add_argument("--initrd", default="", help="another root file system")
    parser.add_argument("--timeout", type=float, default=20, help="seconds for one boot")
    args = parser.parse_args()
    # Untold, guests of QEMU 7.2 cannot calibrate the TSC: this machine has no port 0x61. They then run by the timer
    # tick, and with ACPI every third boot hangs. mote's guests find the rate by themselves, but get the same words.
    args.khz = common.tsc_khz()
    engines = common.engines(args)
    files = common.script("fetch-kernel.sh") + "/vmlinuz", args.initrd or common.script("make-initrd.sh")
    results = {name: [] for name in engines}
    late = {name: 0 for name in engines}
    for _ in range(args.runs):
        for name, command in engines.items():
            try:
                results[name].append(boot(command, args, files))
            except Late:
                late[name] += 1
    rows = {what: [common.median([run[index] for run in results[name]]) if results[name] else None for name in engines]
            for index, what in enumerate(ROWS)}
    common.table(f"Boot of the cloud kernel, {args.smp} CPU, {args.mem} MiB{args.machine}, median of {args.runs}", rows,
                 engines)
    for name, runs in results.items():
        ends = sorted(run[2] for run in runs)
        span = f"power-off after {ends[0]:.3f} to {ends[-1]:.3f} s" if ends else "no boot"
        print(f"{name}: {span}" + (f"; {late[name]} not done in {args.timeout:.0f} s" if late[name] else ""))


if __name__ == "__main__":
    main()
