# SPDX-License-Identifier: MIT
"""The two command lines by which QEMU's manual introduces microvm, word for word but for the program's name: a disk as
the root, a tap network, the console on the serial port or on virtio. Each runs in a network namespace of its own."""

import subprocess
import time

from checks import PROMPT, Skip
from vm import Failure, Vm

ALL_DEVICES = """-M microvm
 -enable-kvm -cpu host -m 512m -smp 2
 -kernel vmlinux -append "earlyprintk=ttyS0 console=ttyS0 root=/dev/vda"
 -nodefaults -no-user-config -nographic
 -serial stdio
 -drive id=test,file=test.img,format=raw,if=none
 -device virtio-blk-device,drive=test
 -netdev tap,id=tap0,script=no,downscript=no
 -device virtio-net-device,netdev=tap0"""

FEWEST_DEVICES = """
 -M microvm,x-option-roms=off,pit=off,pic=off,isa-serial=off,rtc=off
 -enable-kvm -cpu host -m 512m -smp 2
 -kernel vmlinux -append "console=hvc0 root=/dev/vda"
 -nodefaults -no-user-config -nographic
 -chardev stdio,id=virtiocon0
 -device virtio-serial-device
 -device virtconsole,chardev=virtiocon0
 -drive id=test,file=test.img,format=raw,if=none
 -device virtio-blk-device,drive=test
 -netdev tap,id=tap0,script=no,downscript=no
 -device virtio-net-device,netdev=tap0"""

TAP_SECONDS = 60


def namespaces():
    """Whether this process may make network namespaces and taps in them."""
    probe = "ip tuntap add dev probe0 mode tap"
    return subprocess.run(["unshare", "-n", "sh", "-c", probe], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def _host_address(vm):
    """Gives the host's end of the tap an address, once the machine made it."""
    command = "ip addr add 10.9.8.1/24 dev tap0 && ip link set tap0 up"
    deadline = time.monotonic() + TAP_SECONDS
    while subprocess.run(["nsenter", "-t", str(vm.process.pid), "-n", "sh", "-c", command], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, check=False).returncode:
        if time.monotonic() > deadline or vm.process.poll() is not None:
            raise Failure("no tap0 appeared: " + vm.stderr().strip())
        time.sleep(0.2)


def _command(vm, command, pattern):
    vm.send(command + "\n")
    vm.expect(pattern)
    vm.expect(PROMPT)


def _run(bench, line, console, more=("", "")):
    """`more`: words after the kernel's command line, and options after all others."""
    if not namespaces():
        raise Skip("no right to make a network namespace with a tap")
    line = line.replace("root=/dev/vda", "root=/dev/vda" + more[0]).replace("\n", " ") + more[1]
    line = line.replace("vmlinux", bench.small("vmlinux")).replace("test.img", bench.disk())
    # exec: the process to look at, and to signal, is the machine's.
    with Vm(["unshare", "-n", "sh", "-c", f"exec {bench.binary} {line}"]) as vm:
        _host_address(vm)
        vm.expect(PROMPT)
        _command(vm, "mount", r"/dev/root on / type ext4")
        _command(vm, "cat /proc/consoles", console)
        _command(vm, "nproc", r"\n2\r*\n")
        vm.send("ip addr add 10.9.8.2/24 dev eth0; ip link set eth0 up; ping -c 3 10.9.8.1\n")
        vm.expect(r"3 packets transmitted, 3 packets received")
        vm.expect(PROMPT)
        _command(vm, "mount -o remount,rw /; echo kept >/root/word; sync", r"\n?")
        vm.send("reboot -f\n")
        if more[1]:
            vm.wait(status=0)
        else:
            vm.expect(PROMPT)  # booted again
            _command(vm, "cat /root/word", r"\nkept")


def all_devices(bench, _):
    _run(bench, ALL_DEVICES, r"ttyS0 +-W-")


def all_devices_end(bench, _):
    _run(bench, ALL_DEVICES, r"ttyS0 +-W-", (" reboot=t", " -no-reboot"))


def fewest_devices(bench, _):
    _run(bench, FEWEST_DEVICES, r"hvc0 +-W-")


def fewest_devices_end(bench, _):
    _run(bench, FEWEST_DEVICES, r"hvc0 +-W-", (" reboot=t", " -no-reboot"))
