# SPDX-License-Identifier: MIT
"""Shared by the benches: the binaries under test, medians, tables."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEBUG_EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]


def arguments(description, runs):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mote", default=os.environ.get("MOTE", "build-release/mote"))
    parser.add_argument("--reference", default=shutil.which("qemu-system-x86_64"), help="QEMU, or '' for none")
    parser.add_argument("--runs", type=int, default=runs)
    return parser


def binaries(args):
    """name -> path, mote first."""
    found = {}
    for name, path in (("mote", args.mote), ("QEMU TCG", args.reference)):
        if path:
            found[name] = shutil.which(path) or sys.exit(f"no such binary: {path}")
    return found


def is_qemu(binary):
    return "qemu" in os.path.basename(binary)


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def script(name):
    """The output of a script of scripts/."""
    return subprocess.run([str(ROOT / "scripts" / name)], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def assemble(source, folder):
    """A guest of tests/guest or bench as an ELF file."""
    lib = ROOT / "tests/guest/lib"
    elf = pathlib.Path(folder) / (pathlib.Path(source).stem + ".elf")
    subprocess.run(["gcc", "-nostdlib", "-static", "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments",
                    "-Wl,--build-id=none", "-I", str(ROOT / "tests/guest"), "-T", str(lib / "guest.ld"),
                    "-o", str(elf), str(source), *map(str, sorted(lib.glob("*.S")))], check=True)
    return str(elf)


def table(title, rows, columns):
    """rows: name -> list of numbers in the order of columns; the last column is mote over QEMU if both are there."""
    print(f"\n{title}\n")
    names = list(columns)
    both = len(names) == 2
    heads = names + (["mote / QEMU"] if both else [])
    width = max(len(name) for name in rows) + 2
    print(" " * width + "".join(f"{head:>14}" for head in heads))
    for name, values in rows.items():
        cells = [f"{value:>14.3f}" if value is not None else f"{'-':>14}" for value in values]
        if both and None not in values and values[1]:
            cells.append(f"{values[0] / values[1]:>14.2f}")
        print(f"{name:<{width}}" + "".join(cells))
