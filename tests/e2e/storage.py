# SPDX-License-Identifier: MIT
"""Disks that one would trust: what the guest synced is there after the machine was killed at any moment, and a host
that cannot write gives the guest an error and the user a message."""

import os
import random
import re
import shutil
import signal
import subprocess

from checks import PROMPT, Skip
from vm import Failure, Vm

ROUNDS = int(os.environ.get("MOTE_TEST_KILLS", "3"))

# Each record is on the disk before its number is told.
WRITER = "i={0}; while :; do i=$((i+1)); echo record $i >>/root/log; sync; echo synced $i; done"


def _run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True)
    return done.returncode, done.stdout


def _disk_options(path, form):
    return ("-drive", f"id=root,if=none,file={path},format={form}", "-device", "virtio-blk-device,drive=root")


def _write_and_kill(bench, case, path, form, first):
    """One life of the machine; the last record that the guest was told is on the disk."""
    with bench.start(case, append="root=/dev/vda rw", args=_disk_options(path, form), initrd=False) as vm:
        vm.expect(PROMPT)
        vm.send(WRITER.format(first) + "\n")
        for _ in range(random.randint(1, 60)):
            match = vm.expect(r"synced (\d+)\r*\n")
        vm.signal(signal.SIGKILL)
        vm.process.wait()
        vm.drain()
        told = re.findall(rb"synced (\d+)\r*\n", vm.output)
        return max(int(match.group(1)), int(told[-1]))


def _records(path, form, folder):
    """The records in the file after the file system's recovery, on a copy as it is for raw images."""
    raw = path
    if form != "raw":
        status, text = _run("qemu-img", "check", "-f", form, path)
        if status not in (0, 3):  # 3: leaked clusters, which cost space only
            raise Failure(f"qemu-img check: {text.strip()}")
        raw = path + ".raw"
        _run("qemu-img", "convert", "-f", form, "-O", "raw", path, raw)
    else:
        raw = shutil.copyfile(path, path + ".copy")
    # Replays the journal, and mends by itself only what a mount mends, too: the counts of the superblock.
    status, text = _run("e2fsck", "-f", "-p", raw)
    if status not in (0, 1):
        raise Failure(f"the file system was damaged: {text.strip()}")
    out = os.path.join(folder, "log")
    _run("debugfs", "-R", f"dump /root/log {out}", raw)
    if not os.path.exists(out):
        return []
    with open(out, encoding="ascii", errors="replace") as log:
        return log.read().split("\n")[:-1]


def _kill(form):
    def check(bench, case):
        if not shutil.which("qemu-img") or not shutil.which("debugfs"):
            raise Skip("no qemu-img and debugfs to look at the disk with")
        path = bench.disk(form)
        folder = path + ".d"
        os.mkdir(folder)
        last = 0
        for _ in range(ROUNDS):
            last = _write_and_kill(bench, case, path, form, last)
            records = _records(path, form, folder)
            wanted = [f"record {n}" for n in range(1, last + 1)]
            if records[:last] != wanted:
                raise Failure(f"{last} records were synced, the disk has {len(records)}")
            last = max(last, len(records))
    return check


kill_raw = _kill("raw")
kill_qcow2 = _kill("qcow2")


def _end(vm):
    vm.signal(signal.SIGTERM)
    vm.wait(status=0)


def _complaint(vm, pattern):
    """One message on stderr for the host's failure, not one for each request."""
    found = re.findall(pattern, vm.stderr())
    if len(found) != 1:
        raise Failure(f"{len(found)} messages like '{pattern}': {vm.stderr().strip()}")


def host_full(bench, case):
    """The image lies on a file system without room for what the guest writes."""
    if os.geteuid() != 0:
        raise Skip("no right to mount a small file system")
    script = ('mount -t tmpfs -o size=4m none "$1" && truncate -s 64M "$1/disk" || exit 99; disk=$1/disk; shift; '
              'exec "$@" -drive id=d,if=none,format=raw,file=$disk -device virtio-blk-device,drive=d')
    with Vm(["unshare", "-m", "sh", "-c", script, "sh", bench.folder(), *bench.arguments(case)]) as vm:
        vm.expect(PROMPT)
        vm.send("dd if=/dev/urandom of=/dev/vda bs=1M count=16 conv=fsync 2>&1; echo status $?\n")
        vm.expect(r"status 1\r*\n")
        vm.expect(PROMPT)
        vm.send("dd if=/dev/vda of=/dev/null bs=1M count=2 2>&1; echo status $?\n")
        vm.expect(r"status 0\r*\n")
        _end(vm)
        _complaint(vm, r"No space left on device")


def image_cut(bench, case):
    """Somebody cuts the image off while the guest has it."""
    path = bench.disk("raw")
    with bench.start(case, args=_disk_options(path, "raw")) as vm:
        vm.expect(PROMPT)
        os.truncate(path, 1 << 20)
        vm.send("dd if=/dev/vda of=/dev/null bs=1M skip=64 count=1 2>&1; echo status $?\n")
        vm.expect(r"status 1\r*\n")
        _end(vm)
        _complaint(vm, r"shorter than when it was opened")
