#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mote and QEMU on this host's KVM: how long a guest takes to start and to end, and what the monitor costs.

Milliseconds from exec to: the guest's first instruction (a byte on the debug console), its first byte on the serial
port, the end of a guest that triple-faults at once. KiB of peak resident memory and threads with the guest asleep.
Medians; the two take turns. Where KVM only emulates, firmware counts more than it would on a CPU.

    bench/kvm.py --runs 20
"""

import os
import signal
import subprocess
import tempfile
import time

import common

GUEST = common.ROOT / "bench/kvm.S"
BASE = ["-m", "64", "-nodefaults", "-nographic", "-no-reboot"]
CONSOLE = ["-chardev", "stdio,id=c,signal=off", "-device", "isa-debugcon,iobase=0xe9,chardev=c"]
SERIAL = ["-serial", "stdio"]


def assemble(folder, what):
    elf = f"{folder}/{what.lower()}.elf"
    subprocess.run(["gcc", "-nostdlib", "-static", "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments",
                    "-Wl,--build-id=none", f"-DGUEST_{what}", "-T", str(common.ROOT / "tests/guest/lib/guest.ld"),
                    "-o", elf, str(GUEST)], check=True)
    return elf


def command(binary, elf, *options):
    accel = "kvm" if "qemu" in os.path.basename(binary) else "kvm,emulated=on"
    return [binary, "-M", "microvm", "-accel", accel, "-cpu", "max", *BASE, "-kernel", elf, *options]


def first_byte(binary, elf, *options):
    """Milliseconds to the first byte on standard output."""
    start = time.monotonic()
    process = subprocess.Popen(command(binary, elf, *options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    byte = os.read(process.stdout.fileno(), 1)
    end = time.monotonic()
    process.kill()
    process.wait()
    if not byte:
        raise SystemExit(f"{binary} {elf}: the guest printed nothing")
    return (end - start) * 1000


def to_exit(binary, elf):
    start = time.monotonic()
    status = subprocess.run(command(binary, elf), stdin=subprocess.DEVNULL, check=False).returncode
    if status:
        raise SystemExit(f"{binary} {elf}: status {status}")
    return (time.monotonic() - start) * 1000


def cost(binary, elf):
    """Peak resident KiB, and threads, of a monitor whose guest sleeps."""
    process = subprocess.Popen(command(binary, elf, *SERIAL), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    os.read(process.stdout.fileno(), 1)
    fields = dict(line.split(":", 1) for line in open(f"/proc/{process.pid}/status", encoding="utf-8"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    return int(fields["VmHWM"].split()[0]), int(fields["Threads"])


def help_time(binary, *options):
    start = time.monotonic()
    subprocess.run([binary, *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return (time.monotonic() - start) * 1000


def measure(binary, elfs):
    kib, threads = cost(binary, elfs["SLEEP"])
    return (first_byte(binary, elfs["CONSOLE"], *CONSOLE), first_byte(binary, elfs["SERIAL"], *SERIAL),
            to_exit(binary, elfs["TRIPLE"]), kib, threads)


def main():
    args = common.arguments(__doc__, runs=20).parse_args()
    binaries = {name: path for name, path in (("mote", args.mote), ("QEMU", args.reference)) if path}
    results = {name: [] for name in binaries}
    probe = []
    with tempfile.TemporaryDirectory() as folder:
        elfs = {what: assemble(folder, what) for what in ("CONSOLE", "SERIAL", "TRIPLE", "SLEEP")}
        for _ in range(args.runs):
            for name, path in binaries.items():
                results[name].append(measure(path, elfs))
            probe.append((help_time(args.mote, "-accel", "help"), help_time(args.mote, "-version")))
    labels = ("exec to first instruction, ms", "exec to first serial byte, ms", "exec to exit, triple fault, ms",
              "peak resident memory, KiB", "threads")
    rows = {label: [common.median([result[i] for result in results[name]]) for name in binaries]
            for i, label in enumerate(labels)}
    common.table(f"KVM, median of {args.runs}", rows, binaries)
    least = [min(times) for times in zip(*probe)]
    print(f"\nmote's probe of KVM: {least[0] - least[1]:.2f} ms (-accel help less -version, the least of each)")


if __name__ == "__main__":
    main()
