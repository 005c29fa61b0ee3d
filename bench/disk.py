#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Disk transfers on virtio-blk: the program of bench/disk in the small guest kernel (guest/build-kernel.sh), mote's CPU
against QEMU's TCG, in turns. More is better; the ratio is mote's figure by QEMU's.

    bench/disk.py                        a raw image in the page cache, cache=writeback
    bench/disk.py --drive cache=none     straight to the disk under the folder given by --folder
    bench/disk.py --format qcow2
"""

import pathlib
import re
import subprocess
import sys
import tempfile

import common
from suite import initrd

LINE = re.compile(r"disk (\S+) (\d+) (\S+)")


def build(folder):
    binary = pathlib.Path(folder) / "init"
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-static", "-Wall", "-Wextra", "-Werror", "-s", "-o",
                    str(binary), str(common.ROOT / "bench/disk/init.c")], check=True)
    return binary


def run(command, args, kernel, ramdisk, disk, khz):
    append = f"console=ttyS0 quiet panic=-1 reboot=t tsc=reliable tsc_early_khz={khz} {args.append}"
    drive = f"id=d,if=none,file={disk},format={args.format},{args.drive}"
    done = subprocess.run([*command, "-M", "microvm,acpi=off", "-cpu", "max", "-m", "512m",
                           "-smp", str(args.smp), "-nodefaults",
                           "-nographic", "-no-reboot", "-serial", "stdio", "-kernel", kernel, "-initrd", str(ramdisk),
                           "-append", append, "-drive", drive, "-device", "virtio-blk-device,drive=d"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=args.timeout, check=False)
    text = done.stdout.decode(errors="replace")
    if "disk-end" not in text:
        sys.exit(f"{command[0]}: no end: {text[-500:]}")
    return {f"{name} {unit}": float(value) for name, value, unit in LINE.findall(text)}


def main():
    parser = common.arguments(__doc__, runs=3)
    parser.add_argument("--format", default="raw", choices=["raw", "qcow2"])
    parser.add_argument("--drive", default="cache=writeback", help="more properties of the -drive")
    parser.add_argument("--size", type=int, default=256, help="MiB of the image")
    parser.add_argument("--folder", default=None, help="where the image lies")
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--append", default="", help="more for the kernel command line")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for one run")
    args = parser.parse_args()
    kernel = subprocess.run([str(common.ROOT / "guest/build-kernel.sh")], stdout=subprocess.PIPE, check=True,
                            text=True).stdout.strip() + "/vmlinux"
    khz = common.tsc_khz()
    engines = common.engines(args)
    results = {name: [] for name in engines}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        ramdisk = initrd(build(folder))
        disk = f"{folder}/disk"
        for _ in range(args.runs):
            for name, command in engines.items():
                subprocess.run(["qemu-img", "create", "-q", "-f", args.format, disk, f"{args.size}M"], check=True)
                if args.format == "raw":
                    with open(disk, "r+b") as image:  # blocks that are there, as in a disk that is in use
                        for _ in range(args.size):
                            image.write(bytes(1 << 20))
                results[name].append(run(command, args, kernel, ramdisk, disk, khz))
    first = next(iter(results.values()))[0]
    rows = {what: [common.median([run[what] for run in results[name]]) for name in engines] for what in first}
    title = f"virtio-blk, {args.format}, {args.drive}, {args.smp} CPU, median of {args.runs} (more is better)"
    common.table(title, rows, engines)


if __name__ == "__main__":
    main()
