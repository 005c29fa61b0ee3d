# SPDX-License-Identifier: MIT
"""Shared by the benches: the binaries under test, medians, tables."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEBUG_EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]


def arguments(description, runs):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mote", default=os.environ.get("MOTE", "build-release/mote"))
    parser.add_argument("--reference", default=shutil.which("qemu-system-x86_64"), help="QEMU, or '' for none")
    parser.add_argument("--runs", type=int, default=runs)
    return parser


def engines(args):
    """name -> command line up to the accelerator: mote's two ways to run, and QEMU's."""
    found = {}
    for name, path, accel in (("interpreter", args.mote, "soft,translate=0"),
                              ("translator", args.mote, "soft,translate=16"),
                              ("QEMU TCG", args.reference, "tcg")):
        if path:
            found[name] = [shutil.which(path) or sys.exit(f"no such binary: {path}"), "-accel", accel]
    return found


def tsc_khz():
    """The rate of the TSC, to 10 parts in a million: guests of QEMU have to be told (see bench/boot.py)."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = pathlib.Path(folder) / "tsc.c", pathlib.Path(folder) / "tsc"
        source.write_text("""
            #include <stdio.h>
            #include <time.h>
            #include <x86intrin.h>
            static double now(void)
            {
                struct timespec ts;
                clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
                return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
            }
            int main(void)
            {
                double begin = now(), end;
                unsigned long long tsc = __rdtsc();
                while ((end = now()) < begin + 20e6)
                    continue;
                printf("%.0f", (double)(__rdtsc() - tsc) / (end - begin) * 1e6);
            }
        """)
        subprocess.run(["gcc", "-O2", "-o", str(binary), str(source)], check=True)
        return int(subprocess.run([str(binary)], stdout=subprocess.PIPE, check=True, text=True).stdout)


def is_qemu(command):
    return "qemu" in os.path.basename(command[0])


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
    """rows: name -> list of numbers in the order of columns. When QEMU is the last column, the others' ratios to it."""
    print(f"\n{title}\n")
    names = list(columns)
    compared = names[:-1] if len(names) > 1 and "QEMU" in names[-1] else []
    heads = names + [f"{name}/QEMU" for name in compared]
    width = max(len(name) for name in rows) + 2
    print(" " * width + "".join(f"{head:>18}" for head in heads))
    for name, values in rows.items():
        cells = [f"{value:>18.3f}" if value is not None else f"{'-':>18}" for value in values]
        for index in range(len(compared)):
            both = values[index] is not None and values[-1]
            cells.append(f"{values[index] / values[-1]:>18.2f}" if both else f"{'-':>18}")
        print(f"{name:<{width}}" + "".join(cells))
