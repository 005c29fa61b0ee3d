#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From exec to the first guest instructions: a guest whose first act is to write a byte and to end the machine.
Milliseconds, medians. For Debian's kernel, a bzImage: until mote has unpacked and placed it (its -d boot says when)."""

import os
import subprocess
import tempfile
import time

import common

STATUS = 33


def run(command, elf, mem):
    """ms until the byte, and until the exit."""
    argv = command + ["-M", "microvm", "-m", mem, "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio",
                      *common.DEBUG_EXIT, "-kernel", elf]
    ours, guests = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, guests, 1), (os.POSIX_SPAWN_CLOSE, ours), (os.POSIX_SPAWN_CLOSE, guests),
               (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
    start = time.monotonic()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    os.close(guests)
    os.read(ours, 1)
    byte = time.monotonic()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    end = time.monotonic()
    os.close(ours)
    if status != STATUS:
        raise SystemExit(f"{argv}: status {status}, should be {STATUS}")
    return (byte - start) * 1000, (end - start) * 1000


def kernel_placed(command, kernel):
    """ms until Debian's kernel is in guest memory."""
    argv = command + ["-M", "microvm", "-m", "512m", "-nodefaults", "-nographic", "-d", "boot", "-kernel", kernel]
    start = time.monotonic()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        for line in process.stderr:
            if line.startswith(b"boot: loaded"):
                break
        took = (time.monotonic() - start) * 1000
        process.kill()
    return took


def main():
    args = common.arguments(__doc__, runs=30).parse_args()
    engines = common.engines(args)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        elf = common.assemble(common.ROOT / "bench/start.S", folder)
        for mem in ("64m", "512m", "6g"):
            times = {name: [] for name in engines}
            for _ in range(args.runs):
                for name, command in engines.items():
                    times[name].append(run(command, elf, mem))
            for index, what in enumerate(("first instructions", "exit")):
                rows[f"{what}, -m {mem}"] = [common.median([t[index] for t in times[name]]) for name in engines]
    kernel = common.script("fetch-kernel.sh") + "/vmlinuz"
    rows["Debian's bzImage placed"] = [None if common.is_qemu(command) else common.median(
        [kernel_placed(command, kernel) for _ in range(5)]) for command in engines.values()]
    common.table(f"exec to a guest's first instructions, and to its exit; ms, median of {args.runs}", rows, engines)


if __name__ == "__main__":
    main()
