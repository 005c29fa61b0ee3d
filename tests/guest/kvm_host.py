#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""KVM on hosts that lack it, forbid it or only emulate it; and how often guests leave it. The output is TAP.

    tests/guest/kvm_host.py --mote build/mote --guests build/tests/guest
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SCALE = float(os.environ.get("MOTE_TEST_SCALE", "1"))
TIMEOUT = 120
KVM = "/dev/kvm"
NOBODY = 65534
SHARED_GROUP, SHARED_GID = "daemon", 1
GOOD = "ok the guest runs"  # triple.S
DOORBELLS = ("0xfeb00e50", "0xfeb00c50")  # of slots 7 and 6


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def point(self, good, name, *notes):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} {name}")
        for note in () if good else notes:
            for line in str(note).splitlines():
                print(f"#   {line}")

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} {name} # SKIP {why}")


def run(binary, elf, *options, user=None):
    argv = [binary, "-m", "64", "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot", "-device",
            "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", elf, *options]
    more = {"user": user, "group": user, "extra_groups": []} if user else {}
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=TIMEOUT * SCALE, cwd="/", **more)


def refused(tap, name, done, pattern):
    """-accel kvm: one line that says why, and nothing ran."""
    good = done.returncode == 1 and re.fullmatch(rf"mote: -accel kvm: {pattern}\n", done.stderr) and not done.stdout
    tap.point(bool(good), f"{name}: -accel kvm says why, in one line", done)


def fell_back(tap, name, done, pattern):
    """The same line as a warning, and the software CPU ran the guest."""
    line = rf"mote: warning: no KVM: {pattern}; running on mote's own CPU\n"
    good = done.returncode == 0 and re.fullmatch(line, done.stderr) and GOOD in done.stdout
    tap.point(bool(good), f"{name}: the software CPU runs it", done)


FALLBACKS = (("-accel kvm:soft", ["-accel", "kvm:soft"]), ("-enable-kvm", ["-enable-kvm", "-cpu", "host"]),
             ("no choice", []))


def missing(tap, mote, triple, folder):
    pattern = r"there is no \S+[,;] .*(modprobe kvm_|neither VMX nor SVM).*"
    device = f"device={folder}/none"
    refused(tap, "no device", run(mote, triple, "-accel", f"kvm,{device}"), pattern)
    fell_back(tap, "no device", run(mote, triple, "-accel", f"kvm:soft,{device}"), pattern)


def forbidden(tap, mote, triple, folder):
    """As an unprivileged user, at a file that stands for the device, and at the real one."""
    if os.geteuid() != 0:
        tap.skip("no permission", "needs root, to become somebody else")
        return
    device = folder / "kvm"
    device.touch()
    device.chmod(0o660)
    os.chown(device, 0, SHARED_GID)
    group = rf"no permission to open \S+: it is for the group '{SHARED_GROUP}', which '\S+' is not in \(usermod .*"
    refused(tap, "a group's device", run(mote, triple, "-accel", f"kvm,device={device}", user=NOBODY), group)
    fell_back(tap, "a group's device", run(mote, triple, "-accel", f"kvm:soft,device={device}", user=NOBODY), group)
    device.chmod(0o600)
    owner = r"no permission to open \S+: it is for the user 'root' alone, and this is '\S+'"
    refused(tap, "root's device", run(mote, triple, "-accel", f"kvm,device={device}", user=NOBODY), owner)
    if not os.path.exists(KVM) or os.stat(KVM).st_mode & 0o006:
        tap.skip("the real device", f"{KVM} is not there, or open to all")
        return
    for name, options in FALLBACKS:
        fell_back(tap, f"{name}, not permitted", run(mote, triple, *options, user=NOBODY), "no permission to open .*")


def emulating(tap, mote, triple):
    pattern = r"KVM only emulates here, at about \d+ million instructions a second: .*"
    refused(tap, "emulated", run(mote, triple, "-accel", "kvm"), pattern)
    for name, options in FALLBACKS:
        fell_back(tap, f"{name}, emulated", run(mote, triple, *options), pattern)


def usable(tap, mote, triple):
    for name, options in (("-accel kvm", ["-accel", "kvm"]), *FALLBACKS):
        done = run(mote, triple, *options)
        tap.point(done.returncode == 0 and GOOD in done.stdout and not done.stderr, f"{name} runs on KVM", done)


def stopped(tap, mote, guests):
    """An instruction that such a KVM does not know: told with registers and bytes, INT3 marked."""
    done = run(mote, guests / "except.elf", "-accel", "kvm,emulated=on")
    good = (done.returncode == 1 and "KVM cannot emulate an instruction" in done.stderr and "RIP=" in done.stderr
            and re.search(r"^Code=.* <cc> ", done.stderr, re.MULTILINE))
    tap.point(bool(good), "where KVM gives up, the registers and the instruction's bytes are told", done)


def exits(tap, mote, guests, name, machine, irqchip):
    """16 requests each to an entropy device and a disk: no doorbell and no interrupt takes the CPU out of KVM."""
    elf = guests / f"{name}.elf"
    done = run(mote, elf, "-M", machine, "-accel", f"kvm,emulated=on,kernel-irqchip={irqchip}", "-d", "exits", "-object",
               "rng-builtin,id=r", "-device", "virtio-rng-device,rng=r", "-drive",
               f"if=none,id=d,format=raw,readonly=on,file={elf}", "-device", "virtio-blk-device,drive=d")
    summary = re.search(r"^cpu 0: exits: (.*) kicks (\d+)$", done.stderr, re.MULTILINE)
    what = f"{name}, kernel-irqchip={irqchip}"
    tap.point(bool(summary) and "FAIL" not in done.stdout, f"{what}: exits are counted", done)
    if not summary:
        return
    print(f"# {what}: {summary.group(0)}")
    tap.point(not any(bell in done.stderr for bell in DOORBELLS), f"{what}: no exit for a doorbell", done.stderr)
    # The last kick ends the machine; one more may come early.
    quiet = int(summary.group(2)) <= 2 and "irq-window" not in summary.group(1) and "intr" not in summary.group(1)
    tap.point(quiet, f"{what}: no exit for an interrupt", summary.group(0))


def on_this_host(tap, mote, guests):
    if not os.access(KVM, os.R_OK | os.W_OK):
        tap.skip("this host's KVM", f"{KVM} cannot be opened")
        return
    help_text = subprocess.run([mote, "-accel", "help"], stdout=subprocess.PIPE, check=True, text=True).stdout
    if "only emulates" in help_text:
        emulating(tap, mote, guests / "triple.elf")
        stopped(tap, mote, guests)
    else:
        tap.point("usable on this host" in help_text.split("kvm")[-1], "-accel help: KVM is usable", help_text)
        usable(tap, mote, guests / "triple.elf")
    for irqchip in ("split", "on"):
        exits(tap, mote, guests, "virtio", "acpi=off", irqchip)
        exits(tap, mote, guests, "virtio_level", "acpi=on,ioapic2=off", irqchip)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mote", type=pathlib.Path, required=True)
    parser.add_argument("--guests", type=pathlib.Path, required=True)
    args = parser.parse_args()
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="mote-kvm-") as name:
        # Where an unprivileged user can read them.
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        mote, triple = folder / "mote", folder / "triple.elf"
        shutil.copy(args.mote, mote)
        shutil.copy(args.guests / "triple.elf", triple)
        mote.chmod(0o755)
        triple.chmod(0o644)
        missing(tap, mote, triple, folder)
        forbidden(tap, mote, triple, folder)
        on_this_host(tap, mote, args.guests.resolve())
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
