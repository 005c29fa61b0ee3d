#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""End-to-end tests: real kernels on the real binary. The cases are the table in cases.py.

    tests/e2e/e2e.py                      all cases on build/mote
    tests/e2e/e2e.py boot/smp2 'end/*'    some
    tests/e2e/e2e.py --list
    tests/e2e/e2e.py --stress 100         boots it 100 times and counts what hangs

MOTE=path names the binary; QEMU's is a binary like any other. MOTE_TEST_SCALE=4 stretches the timeouts.
The output is TAP. Exit status 0: all well, 1: failures, 77: the guest kernel cannot be had.
"""

import argparse
import concurrent.futures
import fnmatch
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import checks
import vmlinux
from cases import CASES
from vm import SCALE, Failure, Vm

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
SKIPPED = 77
TIMEOUT = 120  # seconds for one machine from start to end, before SCALE


def is_qemu(binary):
    return "qemu" in os.path.basename(binary)


def host_tsc_khz():
    for line in open("/proc/cpuinfo"):
        if line.startswith("cpu MHz"):
            return int(float(line.split(":")[1]) * 1000)
    return 0


def run_script(name, *args):
    done = subprocess.run([str(TOP / name), *args], stdout=subprocess.PIPE, check=False, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


class Bench:
    """The binaries, the guest's files, and how a case becomes a command line."""

    DEBUG_EXIT = ("-device", "isa-debug-exit,iobase=0xf4,iosize=4")
    TIMEOUT = TIMEOUT
    is_qemu = staticmethod(is_qemu)
    tsc_khz = staticmethod(host_tsc_khz)

    def __init__(self, binary, reference):
        self.binary = binary
        self.reference = reference
        self.kernel = None
        self.initrd = None
        self._vmlinux = None
        self._small = None
        self._root = None
        self._disks = 0
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="mote-e2e-")

    def fetch(self):
        folder = run_script("scripts/fetch-kernel.sh")
        self.kernel = folder and f"{folder}/vmlinuz"
        self.initrd = folder and run_script("scripts/make-initrd.sh")
        return self.kernel and self.initrd

    def vmlinux(self):
        with self._lock:
            if not self._vmlinux:
                path = os.path.join(self._folder.name, "vmlinux")
                vmlinux.extract(self.kernel, path)
                self._vmlinux = path
        return self._vmlinux

    def small(self, name):
        """A file of the small kernel: vmlinux or bzImage."""
        with self._lock:
            self._small = self._small or run_script("guest/build-kernel.sh")
        if not self._small:
            raise checks.Skip("the small guest kernel cannot be built")
        return f"{self._small}/{name}"

    def package(self, name):
        """The folder of a Debian package's files."""
        with self._lock:
            folder = run_script("scripts/fetch-package.sh", name)
        if not folder:
            raise checks.Skip(f"the package {name} cannot be had")
        return folder

    def root_initrd(self):
        """An initramfs by which the stock kernel gets to its root disk."""
        with self._lock:
            path = run_script("scripts/make-root-initrd.sh")
        if not path:
            raise checks.Skip("the stock kernel's modules cannot be had")
        return path

    def disk(self, form="raw"):
        """A copy of the root disk, for one guest to write to."""
        with self._lock:
            self._root = self._root or run_script("guest/make-root.sh")
            self._disks += 1
            path = os.path.join(self._folder.name, f"disk{self._disks}.{form}")
        if not self._root:
            raise checks.Skip("the root disk cannot be made")
        if form == "raw":
            subprocess.run(["cp", "--sparse=always", self._root, path], check=True)
        elif shutil.which("qemu-img"):
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, self._root, path], check=True)
        else:
            raise checks.Skip("no qemu-img to make the disk with")
        return path

    def _storage(self, case):
        """Options for the root file system."""
        if not case.disk:
            return ["-initrd", self.initrd]
        form = "qcow2" if "format=qcow2" in case.disk else "raw"
        return ["-drive", f"id=root,if=none,file={self.disk(form)},{case.disk}",
                "-device", "virtio-blk-device,drive=root"]

    @staticmethod
    def sha256(text):
        return hashlib.sha256(text.encode()).hexdigest()

    def _append(self, case, append, binary):
        words = ["panic=-1" if "panic" not in append else "", "root=/dev/vda rw" if case.disk else "", append]
        if case.serial:
            words.insert(0, "console=ttyS0")
        if is_qemu(binary):
            # Its TCG has no TSC frequency but by the PIT, which fails at times on a busy host.
            words.append(f"tsc_early_khz={host_tsc_khz()}")
        return " ".join(filter(None, words))

    def folder(self):
        """A new empty folder."""
        return tempfile.mkdtemp(dir=self._folder.name)

    def arguments(self, case, append="", no_reboot=True, kernel=None, args=(), binary=None, initrd=True):
        """The command line of a case; `initrd` is false where the caller's `args` give the root file system."""
        binary = binary or self.binary
        kernel = kernel or (self.small(case.kernel) if case.kernel else self.kernel)
        argv = [binary, "-M", "microvm" + case.machine, "-cpu", "max", "-m", f"{case.mem}m", "-smp", str(case.smp),
                "-nodefaults", "-nographic", "-kernel", kernel, *(self._storage(case) if initrd else ()),
                "-append", self._append(case, append, binary), *case.args, *args]
        if "-serial" not in case.args:
            argv += ["-serial", "mon:stdio"]
        if not case.serial:
            argv += self.DEBUG_EXIT
        if no_reboot:
            argv.append("-no-reboot")
        return argv

    def start(self, case, terminal=False, stdin_closed=False, **parts):
        vm = Vm(self.arguments(case, **parts), terminal=terminal, timeout=TIMEOUT)
        if stdin_closed:
            vm.close_input()
        return vm

    def start_bare(self, args):
        return Vm([self.binary, *args], timeout=TIMEOUT)


def run_case(bench, case):
    """(result, text, seconds)"""
    start = time.monotonic()
    try:
        case.check(bench, case)
        return "ok", "", time.monotonic() - start
    except checks.Skip as reason:
        return "skip", str(reason), time.monotonic() - start
    except Failure as failure:
        return "not ok", str(failure), time.monotonic() - start


def report(number, case, outcome):
    result, text, seconds = outcome
    if result == "skip":
        print(f"ok {number} {case.name} # SKIP {text}", flush=True)
        return
    print(f"{result} {number} {case.name} ({seconds:.1f} s)", flush=True)
    for line in text.splitlines():
        print(f"# {line}", flush=True)


def run_cases(bench, cases, jobs):
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    print(f"1..{len(cases)}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        outcomes = pool.map(lambda case: run_case(bench, case), cases)
        for number, (case, outcome) in enumerate(zip(cases, outcomes), 1):
            report(number, case, outcome)
            counts[outcome[0]] += 1
    print(f"# {counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped", flush=True)
    return 1 if counts["not ok"] else 0


def boot_once(bench, case):
    start = time.monotonic()
    try:
        with bench.start(case, append="quiet run=off") as vm:
            vm.wait(status=0)
            return time.monotonic() - start, None
    except Failure as failure:
        return time.monotonic() - start, str(failure)


def run_stress(bench, count, jobs, smp):
    """Many boots in a row: what hangs once in a hundred shows here."""
    case = next(c for c in CASES if c.name == f"boot/smp{smp}")
    times, bad = [], []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for seconds, failure in pool.map(lambda _: boot_once(bench, case), range(count)):
            (bad if failure else times).append(failure or seconds)
            print(f"# {len(times) + len(bad)}/{count} {failure or f'{seconds:.2f} s'}", flush=True)
    times.sort()
    if times:
        print(f"# boot to power-off: median {times[len(times) // 2]:.2f} s, worst {times[-1]:.2f} s")
    print(f"# {len(times)} passed, {len(bad)} failed ({sum('timeout' in b for b in bad)} hung)")
    return 1 if bad else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="names of cases, with * and ?")
    parser.add_argument("--mote", default=os.environ.get("MOTE", "build/mote"))
    parser.add_argument("--reference", default=shutil.which("qemu-system-x86_64"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--stress", type=int, metavar="N")
    parser.add_argument("--smp", type=int, default=1, help="CPUs of the stress boots (1, 2 or 4)")
    return parser.parse_args()


def main():
    args = arguments()
    cases = [c for c in CASES if not args.patterns or any(fnmatch.fnmatch(c.name, p) for p in args.patterns)]
    if args.list:
        print("\n".join(c.name for c in cases))
        return 0
    if not cases:
        print("no such case", file=sys.stderr)
        return 2
    binary = shutil.which(args.mote)
    if not binary:
        print(f"no such binary: {args.mote}", file=sys.stderr)
        return 2
    bench = Bench(os.path.abspath(binary), args.reference)
    needs_guest = args.stress or any(c.check is not checks.refused or "{kernel}" in c.args for c in cases)
    if needs_guest and not bench.fetch():
        print("1..0 # SKIP the guest kernel cannot be fetched")
        return SKIPPED
    print(f"# {binary}, timeouts times {SCALE:g}", flush=True)
    if args.stress:
        return run_stress(bench, args.stress, args.jobs, args.smp)
    return run_cases(bench, cases, args.jobs)


if __name__ == "__main__":
    sys.exit(main())
