# SPDX-License-Identifier: MIT
"""Checks of folders that guest and host share (9p), and of the memory balloon. The small kernel."""

import hashlib
import os
import re
import shutil
import subprocess
import time

from checks import PROMPT, Skip
from vm import SCALE, Failure

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20
ROOT = "root=share rootfstype=9p rootflags=trans=virtio,version=9p2000.L rw init=/sharecheck reboot=t"


# ---- Folders ----

def _unpack_root(bench):
    """The guest's files in a folder, with something outside of it that the guest must not find."""
    parent = bench.folder()
    root = os.path.join(parent, "root")
    busybox = os.path.join(os.path.dirname(bench.kernel), "busybox")
    os.mkdir(root)
    with open(bench.initrd, "rb") as archive:
        done = subprocess.run([busybox, "cpio", "-idm"], cwd=root, stdin=archive, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise Skip(f"the initramfs cannot be unpacked: {done.stderr.decode().strip()}")
    shutil.copy(os.path.join(HERE, "sharecheck"), root)
    with open(os.path.join(parent, "outside"), "w", encoding="ascii") as outside:
        outside.write("outside\n")
    return root


def _share(folder, model, tag="share", more=""):
    return ("-virtfs", f"local,path={folder},mount_tag={tag},security_model={model}{more}")


def _has_attributes(folder):
    try:
        os.setxattr(folder, "user.probe", b"x")
        os.removexattr(folder, "user.probe")
    except OSError:
        return False
    return True


def _check_host_side(root, model, text):
    """What the guest made, as the host sees it."""
    work = os.path.join(root, "work")
    with open(os.path.join(work, "big"), "rb") as big:
        digest = hashlib.sha256(big.read()).hexdigest()
    if f"big {digest} " not in text:
        raise Failure("the host reads other bytes than the guest wrote")
    link = os.path.join(work, "l")
    if model == "mapped-xattr":
        kinds = {name: os.getxattr(os.path.join(work, name), "user.virtfs.mode")[1] & 0xF0 for name in ("l", "f", "n")}
        if os.path.islink(link) or kinds != {"l": 0xA0, "f": 0x10, "n": 0x20}:
            raise Failure(f"mapped files are not as QEMU keeps them: {kinds}")
    elif os.readlink(link) != "d/c":
        raise Failure("the link is none on the host")


def _root(model):
    def check(bench, case):
        root = _unpack_root(bench)
        if model == "passthrough" and os.getuid():
            raise Skip("only root may give files to others")
        if model == "mapped-xattr" and not _has_attributes(root):
            raise Skip("the file system of the temporary folder has no extended attributes")
        if os.getuid() and model == "none":
            raise Skip("the guest's devices and owners need root; mapped-xattr is tested")
        with bench.start(case, append=ROOT, args=_share(root, model), initrd=False) as vm:
            vm.wait(status=0)
            text = vm.text()
        found = re.search(r"sharecheck: (\d+) checks, (\d+) bad", text)
        if not found or int(found.group(1)) < 20 or found.group(2) != "0":
            raise Failure("; ".join(re.findall(r"BAD [^\r\n]*", text)) or "the guest gave no verdict")
        _check_host_side(root, model, text)
    return check


root_none = _root("none")
root_mapped = _root("mapped-xattr")
root_passthrough = _root("passthrough")


def read_only(bench, case):
    """A folder that is mounted beside the guest's own root: read, not written, and changed by the host meanwhile."""
    folder = bench.folder()
    path = os.path.join(folder, "file")
    with open(path, "w", encoding="ascii") as file:
        file.write("first\n")
    with bench.start(case, args=_share(folder, "none", "docs", ",readonly=on")) as vm:
        vm.expect(PROMPT)
        vm.send("mount -t 9p -o trans=virtio,version=9p2000.L docs /mnt && cat /mnt/file\n")
        vm.expect(r"\nfirst")
        vm.send("echo x >/mnt/file; echo x >/mnt/new; rm /mnt/file; echo re''fused\n")
        vm.expect(r"Read-only.*\n[^\n]*Read-only.*\n[^\n]*Read-only(.|\n)*\nrefused")
        with open(path, "a", encoding="ascii") as file:
            file.write("second\n")
        vm.send("cat /mnt/file; echo $(ls /mnt) is a''ll\n")
        vm.expect(r"\nfirst\r*\nsecond\r*\nfile is all")
        vm.send("umount /mnt; poweroff\n")
        vm.wait(status=0)


# ---- The balloon ----

def _memory_taken(vm):
    """Bytes that the guest's memory takes of the host's."""
    folder = f"/proc/{vm.process.pid}/fd"
    for name in os.listdir(folder):
        if "memfd:mote-ram" in os.readlink(f"{folder}/{name}"):
            return os.stat(f"{folder}/{name}").st_blocks * 512
    raise Failure("no guest memory found among the open files")


def _wait_below(vm, limit):
    """Time for the guest to give memory back."""
    end = time.monotonic() + 90 * SCALE
    while _memory_taken(vm) >= limit:
        if time.monotonic() > end:
            raise Failure(f"the guest has {_memory_taken(vm) // MIB} MiB still, should be below {limit // MIB}")
        time.sleep(0.2)


def free_pages_are_given_back(bench, case):
    with bench.start(case, args=("-device", "virtio-balloon-device,free-page-reporting=on")) as vm:
        vm.expect(PROMPT)
        vm.send("mount -t tmpfs -o size=300m big /mnt; dd if=/dev/zero of=/mnt/x bs=1M count=120; echo fi''lled\n")
        vm.expect(r"\nfilled")
        full = _memory_taken(vm)
        if full < 120 * MIB:
            raise Failure(f"only {full // MIB} MiB are taken")
        vm.send("rm /mnt/x; echo re''moved\n")
        vm.expect(r"\nremoved")
        _wait_below(vm, full - 90 * MIB)
        vm.send("dd if=/dev/zero of=/mnt/y bs=1M count=16 && cmp -n 16777216 /mnt/y /dev/zero && echo sa''me\n")
        vm.expect(r"\nsame")
        vm.send("poweroff\n")
        vm.wait(status=0)


def the_target_is_reached(bench, case):
    with bench.start(case, args=("-device", "virtio-balloon-device,target=200M")) as vm:
        vm.expect(PROMPT)
        vm.send("until [ $(sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo) -lt 204800 ]; do sleep 0.2; done;"
                " echo in''flated\n")
        vm.expect(r"\ninflated")
        vm.send("poweroff\n")
        vm.wait(status=0)


def out_of_memory_deflates(bench, case):
    with bench.start(case, args=("-device", "virtio-balloon-device,target=128M,deflate-on-oom=on")) as vm:
        vm.expect(PROMPT)
        vm.send("mount -t tmpfs -o size=400m big /mnt; dd if=/dev/zero of=/mnt/x bs=1M count=220 && echo fi''tted\n")
        vm.expect(r"\nfitted")
        vm.send("poweroff\n")
        vm.wait(status=0)
