#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where the time of a boot goes: directly, by qboot and by SeaBIOS, beside QEMU's.

Stages, in milliseconds, medians, all ways taking turns:
  exec      from the start of the process to the first instruction of the guest, and the process's end
  firmware  until a kernel of a few bytes runs
  loader    what the real kernel and initrd take more, until the kernel's first instruction
  kernel    until the first line of init
  init      until the process ends

The first three come from guests that end the machine at once: a firmware image, a kernel of a few bytes, and the real
kernel with its first instruction replaced. The kernel is the small one (guest/), entered by PVH; acpi=off.

    bench/firmware.py --runs 9
"""

import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

import common

IMAGES = {"qboot": ("/usr/share/qemu/qboot.rom",), "SeaBIOS": ("/usr/share/seabios/bios-microvm.bin",)}
END = bytes([0xB0, 0x10, 0xE6, 0xF4, 0xF4])  # mov $0x10, %al; out %al, $0xF4; hlt: the same in 16 and 32 bits
END_STATUS = 2 * 0x10 + 1
STAGES = ("exec", "firmware", "loader", "kernel", "init", "all")
INIT = b"mote-guest: init"
NOTE = struct.pack("<III4s", 4, 4, 18, b"Xen\0")
BASE = 0x200000


def first_firmware(folder):
    """An image that ends the machine at the reset vector."""
    path = folder / "first.rom"
    path.write_bytes(bytes(0x10000 - 16) + END.ljust(16, b"\0"))
    return path


def first_kernel(folder):
    """An ELF file with a PVH note whose entry ends the machine."""
    code, note = 0x1000, 0x1100
    header = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, BASE + code, 52, 0, 0, 52, 32, 2, 0, 0, 0)
    load = struct.pack("<8I", 1, 0, BASE, BASE, 0x2000, 0x2000, 5, 0x1000)
    notes = struct.pack("<8I", 4, note, BASE + note, BASE + note, 20, 20, 4, 4)
    image = bytearray(0x2000)
    image[:116] = header + load + notes
    image[code:code + len(END)] = END
    image[note:note + 20] = NOTE + struct.pack("<I", BASE + code)
    path = folder / "first.elf"
    path.write_bytes(image)
    return path


def stopped_kernel(vmlinux, folder):
    """The kernel, but its PVH entry ends the machine."""
    image = bytearray(pathlib.Path(vmlinux).read_bytes())
    at = image.find(struct.pack("<II", 4, 8) + NOTE[8:])
    entry, = struct.unpack_from("<Q", image, at + 16)
    table, = struct.unpack_from("<Q", image, 32)
    for n in range(struct.unpack_from("<H", image, 56)[0]):
        kind, _, offset, _, base, size, _, _ = struct.unpack_from("<IIQQQQQQ", image, table + n * 56)
        if kind == 1 and base <= entry < base + size:
            start = offset + entry - base
            image[start:start + len(END)] = END
    path = folder / "stopped.elf"
    path.write_bytes(image)
    return path


def run(argv, status):
    """(seconds to init or None, seconds to the end)"""
    start = time.monotonic()
    init, text = None, b""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        while True:
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                break
            text += data
            if init is None and INIT in text:
                init = time.monotonic() - start
        process.wait(60)
    end = time.monotonic() - start
    if process.returncode != status:
        sys.exit(f"{' '.join(map(str, argv))}: status {process.returncode}\n{text.decode(errors='replace')[-1000:]}")
    return init, end


class Way:
    """One way to boot on one binary."""

    def __init__(self, name, command, image, guests):
        self.name = name
        self.command = command
        self.bios = ["-bios", image] if image else []
        self.guests = guests
        self.samples = {stage: [] for stage in STAGES}

    def _argv(self, *args):
        return [*self.command, "-M", "microvm,acpi=off", "-cpu", "max", "-m", "256m", "-nodefaults", "-nographic",
                "-no-reboot", "-serial", "stdio", *common.DEBUG_EXIT, *map(str, args)]

    def sample(self):
        guests = self.guests
        initrd = ["-initrd", guests["initrd"]]
        first = ["-bios", guests["rom"]] if self.bios else ["-kernel", guests["first"]]
        _, begin = run(self._argv(*first), END_STATUS)
        _, tiny = run(self._argv(*self.bios, "-kernel", guests["first"]), END_STATUS)
        _, stopped = run(self._argv(*self.bios, "-kernel", guests["stopped"], *initrd), END_STATUS)
        init, end = run(self._argv(*self.bios, "-kernel", guests["kernel"], *initrd, "-append", guests["append"]), 0)
        ends = (begin, tiny, stopped, init, end)
        for stage, before, now in zip(STAGES, (0, *ends), ends):
            self.samples[stage].append(now - before)
        self.samples["all"].append(end)

    def medians(self):
        return {stage: 1e3 * common.median(values) for stage, values in self.samples.items()}


def make_ways(args, guests):
    ways = []
    for binary, name in ((args.mote, "mote"), (args.reference, "QEMU")):
        command = [binary, "-accel", "soft" if name == "mote" else "tcg"]
        for way, (image,) in ([("direct", (None,))] if name == "mote" else []) + list(IMAGES.items()):
            if binary and (not image or os.path.exists(image)):
                ways.append(Way(f"{name} {way}", command, image, guests))
    return ways


def main():
    args = common.arguments(__doc__, runs=5).parse_args()
    vmlinux = common.script("../guest/build-kernel.sh") + "/vmlinux"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        guests = {"rom": first_firmware(folder), "first": first_kernel(folder), "kernel": vmlinux,
                  "stopped": stopped_kernel(vmlinux, folder), "initrd": common.script("make-initrd.sh"),
                  "append": "console=ttyS0 quiet panic=-1 reboot=t run=off end=reboot "
                            f"tsc_early_khz={common.tsc_khz()}"}
        ways = make_ways(args, guests)
        for _ in range(args.runs):
            for way in ways:
                way.sample()
    print(f"| Milliseconds, median of {args.runs} | " + " | ".join(STAGES) + " |")
    print("|---|" + "--:|" * len(STAGES))
    for way in ways:
        medians = way.medians()
        print(f"| {way.name} | " + " | ".join(f"{medians[stage]:.0f}" for stage in STAGES) + " |")


if __name__ == "__main__":
    main()
