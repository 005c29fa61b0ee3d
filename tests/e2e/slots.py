# SPDX-License-Identifier: MIT
"""All of the machine's virtio slots in use at once, each by a device of another kind as far as there are kinds."""

import os

from checks import PROMPT
from vm import Failure

# Device ids of virtio 1.2, chapter 5, in the order of the slots from the top.
IDS = [2, 1, 3, 4, 5, 9, 19, 2]


def _devices(bench):
    folder = bench.folder()
    return ("-device", "virtio-blk-device,drive=a",
            "-device", "virtio-net-device,netdev=net0",
            "-device", "virtio-serial-device", "-device", "virtserialport,name=port",
            "-device", "virtio-rng-device",
            "-device", "virtio-balloon-device",
            "-virtfs", f"local,path={folder},mount_tag=share,security_model=none",
            "-device", f"virtio-vsock-device,guest-cid=3,path={os.path.join(folder, 'vsock')}",
            "-device", "virtio-blk-device,drive=b",
            "-drive", f"id=a,if=none,format=raw,file={bench.disk()}",
            "-drive", f"id=b,if=none,format=raw,file={bench.disk()}",
            "-netdev", "user,id=net0")


def all_used(bench, case):
    wanted = " ".join(f"0x{number:04x}" for number in IDS)
    with bench.start(case, args=_devices(bench)) as vm:
        vm.expect(PROMPT)
        vm.send("cd /sys/bus/virtio/devices; for n in 0 1 2 3 4 5 6 7; do cat virtio$n/device; "
                "[ -e virtio$n/driver ] || echo none; done | tr '\\n' ' '; echo li''sted\n")
        found = vm.expect(r"((?:0x[0-9a-f]{4} |none )+)listed").group(1).decode().split()
        if sorted(found) != sorted(wanted.split()):
            raise Failure(f"the guest has {' '.join(found)}, should have {wanted}")
        vm.send("poweroff\n")
        vm.wait(status=0)


def one_too_many(bench, case):
    with bench.start(case, args=(*_devices(bench), "-device", "virtio-rng-device")) as vm:
        vm.wait(status=1)
        if "No 'virtio-bus' bus found for device 'virtio-rng-device'" not in vm.stderr():
            raise Failure(vm.stderr())
