#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same program (bench/guest) natively, in mote by its interpreter and by its translator, and in QEMU's TCG.

Guests are Debian's stock cloud kernel with the program as their /init. All engines take turns for a number of
rounds; a figure is the best of all rounds, so that other work on the host does the least harm. Nanoseconds for each
operation, and two ratios: to native and to TCG (below 1: faster than TCG). The checksums of what the program
computed must be the same everywhere. "-": the CPU cannot, or the engine did not run.

    bench/suite.py                                  everything, about two minutes
    bench/suite.py --only memory/ --rounds 1 --ms 10
    bench/suite.py --engines native,translator --markdown
"""

import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import common

LINE = re.compile(r"bench (\S+) (\S+) (\S+) (\d+)")
ENGINES = ("native", "interpreter", "translator", "tcg")


def build(folder):
    """The program, made for any x86-64 CPU; a test that needs more asks for it."""
    binary = pathlib.Path(folder) / "init"
    sources = sorted(str(path) for path in (common.ROOT / "bench/guest").glob("*.c"))
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-fno-tree-vectorize", "-fno-strict-aliasing",
                    "-static", "-pthread", "-Wall", "-Wextra", "-Werror", "-s", "-o", str(binary), *sources],
                   check=True)
    return binary


def cpio_entry(name, mode, data=b""):
    """One file of a "newc" archive (Linux: Documentation/driver-api/early-userspace/buffer-format.rst)."""
    fields = [1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def initrd(binary):
    path = binary.with_suffix(".cpio")
    path.write_bytes(cpio_entry("init", 0o100755, binary.read_bytes()) + cpio_entry("TRAILER!!!", 0))
    return path


def guest_command(engine, args, kernel, ramdisk, settings):
    append = " ".join(["console=ttyS0", "quiet", "panic=-1", "reboot=t", "tsc=reliable",
                       *settings, args.append])
    accel = {"interpreter": args.interpreter, "translator": args.translator, "tcg": "tcg"}[engine]
    binary = args.reference if engine == "tcg" else args.mote
    machine = "microvm" + (args.reference_machine if engine == "tcg" else args.machine)
    return [binary, "-M", machine, "-accel", accel, "-cpu", "max", "-m", f"{args.mem}m", "-smp", str(args.smp),
            "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio", "-kernel", str(kernel),
            "-initrd", str(ramdisk), "-append", append]


def parse(text):
    """group/name -> (ns, checksum, bytes)"""
    found = {}
    for name, ns, checksum, size in LINE.findall(text):
        found[name] = (None if ns == "-" else float(ns), checksum, int(size))
    return found


def run(command, environment, folder, timeout):
    """The figures, and how it went: "" or what was wrong."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout, cwd=folder, env={**os.environ, **environment}, check=False)
        text, why = done.stdout.decode(errors="replace"), ""
    except subprocess.TimeoutExpired as late:
        text, why = (late.stdout or b"").decode(errors="replace"), f"not done in {timeout} s"
    ended = re.search(r"bench-end (\S+)", text)
    if not ended:
        failed = re.search(r"bench-failed.*", text)
        why = why or (failed.group(0) if failed else "no end: " + text[-400:])
    elif abs(float(ended.group(1)) - 1) > 0.02:
        why = f"its clock runs {ended.group(1)} times too slow"
    return parse(text), why


def native_khz(binary, folder):
    done = subprocess.run([str(binary)], env={"BENCH_ONLY": "nothing"}, stdout=subprocess.PIPE, check=True, cwd=folder)
    return re.search(r"bench-begin (\d+)", done.stdout.decode()).group(1)


class Results:
    """The best figure of each test and engine, over the rounds."""

    def __init__(self, engines):
        self.engines = engines
        self.best = {}  # test -> engine -> ns
        self.sums = {}  # test -> engine -> checksum
        self.notes = []

    def add(self, engine, figures):
        for test, (ns, checksum, _) in figures.items():
            if ns is None:
                continue
            old = self.best.setdefault(test, {}).get(engine)
            self.best[test][engine] = ns if old is None else min(old, ns)
            self.sums.setdefault(test, {})[engine] = checksum

    def ratio(self, test, engine, base):
        mine, theirs = self.best[test].get(engine), self.best[test].get(base)
        return mine / theirs if mine and theirs else None

    def mean(self, tests, engine, base):
        ratios = [r for r in (self.ratio(test, engine, base) for test in tests) if r]
        return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None

    def mismatches(self):
        """Checksums that are not the native run's, or, without one, not the same everywhere."""
        for test, sums in self.sums.items():
            right = sums.get("native", next(iter(sums.values())))
            for engine, checksum in sums.items():
                if checksum != right:
                    yield f"{test}: {engine} computed {checksum}, not {right}"


def columns(engines):
    """(head, engine, base): base None is the figure itself."""
    shown = [(f"{engine} ns", engine, None) for engine in engines]
    for engine in ("interpreter", "translator", "tcg"):
        if engine in engines and "native" in engines:
            shown.append((f"{engine[:6]}/native", engine, "native"))
    for engine in ("interpreter", "translator"):
        if engine in engines and "tcg" in engines:
            shown.append((f"{engine[:6]}/tcg", engine, "tcg"))
    return shown


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def rows(results):
    """Rows of cells: tests, after each group its means, at the end those over all."""
    shown = columns(results.engines)
    groups = {}
    for test in results.best:
        groups.setdefault(test.split("/")[0], []).append(test)
    yield ["", *(head for head, _, _ in shown)]

    def means(name, tests):
        return [name, *("" if not base else number(results.mean(tests, engine, base)) for _, engine, base in shown)]

    for group, tests in groups.items():
        for test in tests:
            yield [test, *(number(results.ratio(test, engine, base) if base else results.best[test].get(engine))
                           for _, engine, base in shown)]
        yield means(f"{group}: geometric mean", tests)
    yield means("all: geometric mean", [test for tests in groups.values() for test in tests])


def show(results, markdown):
    lines = list(rows(results))
    if markdown:
        for index, line in enumerate(lines):
            print("| " + " | ".join(line) + " |")
            if not index:
                print("|---|" + "---:|" * (len(line) - 1))
        return
    for line in lines:
        print(f"{line[0]:<26}" + "".join(f"{cell:>16}" for cell in line[1:]))


def main():
    parser = common.arguments(__doc__, runs=3)
    parser.add_argument("--rounds", type=int, dest="runs", help="the same as --runs")
    parser.add_argument("--engines", default=",".join(ENGINES), help="which: " + ",".join(ENGINES))
    parser.add_argument("--only", default="", help="tests whose group/name holds this text")
    parser.add_argument("--ms", type=int, default=30, help="milliseconds for each test")
    parser.add_argument("--smp", type=int, default=2)
    parser.add_argument("--mem", type=int, default=512, help="MiB")
    parser.add_argument("--machine", default=",acpi=auto", help="mote's machine properties")
    parser.add_argument("--reference-machine", default=",acpi=on", help="QEMU's")
    parser.add_argument("--interpreter", default="soft,translate=0", help="-accel of the interpreter's runs")
    parser.add_argument("--translator", default="soft,translate=16", help="-accel of the translator's runs")
    parser.add_argument("--append", default="", help="more for the kernel command line")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one run")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    engines = [engine for engine in args.engines.split(",") if engine != "tcg" or args.reference]
    args.mote = os.path.abspath(args.mote)
    kernel = common.script("fetch-kernel.sh") + "/vmlinuz"
    results = Results(engines)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        binary = build(folder)
        ramdisk = initrd(binary)
        settings = {"BENCH_MS": str(args.ms), "BENCH_TSC_KHZ": native_khz(binary, folder)}
        if args.only:
            settings["BENCH_ONLY"] = args.only
        # Without being told the rate, QEMU 7.2's guests fail to calibrate the TSC (this machine has no port 0x61), use
        # the timer tick as their clock, and with ACPI hang in every third boot.
        words = [f"tsc_early_khz={settings['BENCH_TSC_KHZ']}", *(f"{k}={v}" for k, v in settings.items())]
        for number_of_round in range(args.runs):
            for engine in engines:
                command = [str(binary)] if engine == "native" else guest_command(engine, args, kernel, ramdisk, words)
                figures, why = run(command, settings if engine == "native" else {}, folder, args.timeout)
                results.add(engine, figures)
                if why:
                    results.notes.append(f"{engine}, round {number_of_round + 1}: {why}")
    show(results, args.markdown)
    wrong = list(results.mismatches())
    for line in results.notes + wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
