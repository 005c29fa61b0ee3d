#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs one assembly guest on mote and, where there is one, on QEMU's microvm, and compares what the two print.

    tests/guest/run.py --mote build/mote --source tests/guest/except.S build/tests/guest/except.elf

A comment in the source may say how it is run:  options: -smp 2 | status: 0 | alone (no comparison). Several lines of
options add up; @ELF@ in them is the guest's own file.
What QEMU does otherwise than the manuals is listed in qemu-differs.txt. The output is TAP.

With --irqchip MODE the guest runs on mote's KVM accelerator with kernel-irqchip=MODE and on its software CPU, and the
two must print the same. What KVM does otherwise is in kvm-differs.txt.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

SCALE = float(os.environ.get("MOTE_TEST_SCALE", "1"))
TIMEOUT = 60
TIMEOUT_KVM = 240  # a KVM that only emulates is slow
STATUS_GOOD = 33  # isa-debug-exit with 0x10
HERE = pathlib.Path(__file__).resolve().parent
DIFFERS = HERE / "qemu-differs.txt"
KVM_DIFFERS = HERE / "kvm-differs.txt"
KVM = "/dev/kvm"
STOPS = "stops"  # in kvm-differs.txt: KVM cannot go on here
STATUS_STOPPED = 1


class Guest:
    """How the source wants to be run."""

    def __init__(self, source):
        text = source.read_text()
        self.name = source.stem
        self.options = " ".join(re.findall(r"options: (.*?)\s*(?:\*/|$)", text, re.MULTILINE)).split()
        self.status = int(self._find(text, r"status: (\d+)", STATUS_GOOD))
        self.alone = bool(re.search(r"\balone\b", text.split("#include")[0]))

    @staticmethod
    def _find(text, pattern, default):
        match = re.search(pattern, text, re.MULTILINE)
        return match.group(1) if match else default


def differences(name, path=DIFFERS):
    """What is known to be otherwise there: names of checks, with * at the end for several."""
    lines = [line.split("\t")[0] for line in path.read_text().splitlines() if not line.startswith("#")]
    return [line.split(": ", 1)[1] for line in lines if line.startswith(name + ": ")]


def known(check, names):
    return any(check == n or (n.endswith("*") and check.startswith(n[:-1])) for n in names)


def run(binary, guest, elf, accel=(), timeout=TIMEOUT):
    """(lines, status, error)"""
    argv = [binary, "-M", "microvm,rtc=on", "-cpu", "max", "-m", "64", "-nodefaults", "-nographic", "-serial", "stdio",
            "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", elf, *accel,
            *(word.replace("@ELF@", elf) for word in guest.options)]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout * SCALE, check=False)
    except subprocess.TimeoutExpired as late:
        text = (late.stdout or b"").decode("ascii", "replace")
        return text.splitlines(), None, f"timeout after {timeout * SCALE:.0f} s"
    return done.stdout.decode("ascii", "replace").splitlines(), done.returncode, done.stderr.decode(errors="replace")


def parse(lines):
    """check -> (verdict, line); verdict is ok, FAIL, skip or the value. The same name again gets a number."""
    checks = {}
    for line in lines:
        match = re.match(r"(ok|FAIL|skip|val) (.*)", line.strip())
        if not match:
            continue
        verdict, name = match.groups()
        if verdict == "FAIL":
            name = name.split(" got ")[0]
        if verdict == "val":
            name, verdict = name.rsplit(" ", 1)
        base, again = name, 2
        while name in checks:
            name, again = f"{base} ({again})", again + 1
        checks[name] = verdict, line.strip()
    return checks


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def point(self, good, name, notes=(), skip=False):
        self.count += 1
        self.failed += not good
        clean = name.replace("#", "number ")
        print(f"{'ok' if good else 'not ok'} {self.count} {clean}{' # SKIP' if skip else ''}")
        for note in notes:
            print(f"# {note}")


def judge(tap, guest, outcome, excused):
    lines, status, error = outcome
    for name, (verdict, line) in parse(lines).items():
        good = verdict != "FAIL" or known(name, excused)
        tap.point(good, name, [] if good else [line], skip=verdict == "skip")
    good = status == guest.status or (excused and status == STATUS_GOOD + 2)
    tap.point(good, f"exit status {guest.status}",
              [] if good else [f"got {status}", *error.splitlines(), *lines[-5:]])


def compare(tap, ours, reference, excused, other="QEMU"):
    """Both must have made the same checks and printed the same values; what either skipped does not count."""
    for name, (verdict, line) in reference.items():
        if verdict == "FAIL" and not known(name, excused):
            tap.point(False, f"{other} agrees: {name}", [f"{other}: {line}"])
    skipped = any(verdict == "skip" for checks in (ours, reference) for verdict, _ in checks.values())
    only = [name for name in sorted(set(ours) ^ set(reference)) if not known(name, excused)]
    if only and not skipped:
        notes = [f"only {'mote' if name in ours else other}: {name}" for name in only[:10]]
        tap.point(False, "both make the same checks", notes)
    for name in set(ours) & set(reference):
        values = {ours[name][0], reference[name][0]} - {"ok", "FAIL", "skip"}
        if len(values) > 1 and not known(name, excused):
            tap.point(False, f"same value: {name}", [f"mote: {ours[name][1]}", f"{other}: {reference[name][1]}"])


def run_kvm(tap, binary, guest, args):
    """The guest on KVM and on the software CPU."""
    if not os.access(KVM, os.R_OK | os.W_OK):
        print(f"1..0 # SKIP {KVM} cannot be opened")
        sys.exit(0)
    help_text = subprocess.run([binary, "-accel", "help"], stdout=subprocess.PIPE, check=True, text=True).stdout
    excused = differences(guest.name, KVM_DIFFERS) + differences(f"{guest.name}@{args.irqchip}", KVM_DIFFERS)
    if "only emulates" in help_text:
        excused += differences(f"{guest.name}@emulated", KVM_DIFFERS)
    accel = ["-accel", f"kvm,emulated=on,kernel-irqchip={args.irqchip}"]
    lines, status, error = run(binary, guest, args.elf, accel, TIMEOUT_KVM)
    stopped = STOPS in excused and status == STATUS_STOPPED and "KVM cannot emulate" in error
    if stopped:
        status = guest.status
    judge(tap, guest, (lines, status, error), excused)
    ours, reference = parse(lines), parse(run(binary, guest, args.elf, ["-accel", "soft"])[0])
    if stopped:
        reference = {name: reference[name] for name in reference if name in ours}
    compare(tap, ours, reference, excused, "soft")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("elf")
    parser.add_argument("--mote", default="build/mote")
    parser.add_argument("--accel", help="mote's, with its properties")
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--irqchip", choices=["on", "off", "split"])
    parser.add_argument("--reference", default=shutil.which("qemu-system-x86_64"))
    args = parser.parse_args()
    binary = os.environ.get("MOTE", args.mote)
    guest, tap = Guest(args.source), Tap()
    if args.irqchip:
        run_kvm(tap, binary, guest, args)
        print(f"1..{tap.count}")
        return 1 if tap.failed else 0
    excused = differences(guest.name)
    accel = args.accel or "soft"
    outcome = run(binary, guest, args.elf, [] if "qemu" in binary else ["-accel", accel])
    judge(tap, guest, outcome, excused if "qemu" in binary else [])
    if args.reference and not guest.alone and "qemu" not in binary:
        reference = run(args.reference, guest, args.elf)
        compare(tap, parse(outcome[0]), parse(reference[0]), excused)
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
