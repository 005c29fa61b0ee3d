# SPDX-License-Identifier: MIT
"""Boots by firmware: the cells of a matrix, each compared with QEMU, and guests that speak to firmware alone.

A cell boots to a shell, and what the guest sees there must be what it sees on QEMU's microvm: memory map, command
line, interrupts, devices, ACPI tables. A direct boot, which QEMU does not have, is compared with QEMU's qboot boot,
without the memory map. firmware_matrix.py runs the whole matrix; cases.py a part.
"""

import dataclasses
import itertools
import os
import re
import subprocess
import tempfile
import threading

import checks
from vm import Failure, Vm

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = ("/usr/share/seabios", "/usr/share/qemu")
FILES = {"qboot": "qboot.rom", "seabios": "bios-microvm.bin"}
NOTHING_TO_BOOT = "No bootable device"

AXES = {
    "boot": ("direct", "qboot", "seabios"),
    "kernel": ("bzImage", "vmlinux"),
    "acpi": ("on", "off"),
    "roms": ("on", "off"),
    "smp": (1, 2, 4),
    "root": ("initrd", "blk"),
    "mem": ("128m", "4g"),
}


@dataclasses.dataclass(frozen=True)
class Cell:
    boot: str
    kernel: str
    acpi: str
    roms: str
    smp: int
    root: str
    mem: str

    @property
    def name(self):
        return (f"{self.boot}-{self.kernel}-acpi-{self.acpi}-roms-{self.roms}-smp{self.smp}-{self.root}-{self.mem}")

    @property
    def boots(self):
        """SeaBIOS has no other way to a kernel than an option ROM."""
        return self.boot != "seabios" or self.roms == "on"

    def reference(self):
        """What QEMU runs to compare with: it has no direct boot, and qboot does not look at option ROMs."""
        boot = "qboot" if self.boot == "direct" else self.boot
        return dataclasses.replace(self, boot=boot, roms="on" if boot == "qboot" else self.roms)


ALL_CELLS = [Cell(*values) for values in itertools.product(*AXES.values())]

# Each value of each axis, and what is known to go wrong together.
SOME_CELLS = [
    Cell("direct", "bzImage", "on", "on", 2, "blk", "4g"),
    Cell("direct", "vmlinux", "off", "on", 4, "blk", "128m"),
    Cell("qboot", "bzImage", "on", "on", 4, "initrd", "4g"),
    Cell("qboot", "bzImage", "off", "off", 2, "blk", "128m"),
    Cell("qboot", "vmlinux", "on", "off", 1, "blk", "128m"),
    Cell("qboot", "vmlinux", "off", "on", 4, "initrd", "4g"),
    Cell("seabios", "bzImage", "on", "on", 2, "blk", "128m"),
    Cell("seabios", "bzImage", "off", "on", 4, "initrd", "4g"),
    Cell("seabios", "bzImage", "on", "off", 1, "blk", "128m"),
    Cell("seabios", "vmlinux", "on", "on", 4, "initrd", "4g"),
    Cell("seabios", "vmlinux", "off", "on", 1, "blk", "128m"),
    Cell("seabios", "vmlinux", "off", "off", 1, "initrd", "128m"),
]


def find(name):
    """The path of a firmware image, which QEMU needs: on Debian its own folder has qboot under SeaBIOS's name."""
    for folder in FOLDERS:
        path = os.path.join(folder, FILES[name])
        if os.path.exists(path):
            return os.path.realpath(path)
    raise checks.Skip(f"no {FILES[name]} on this host")


# ---- A cell ----

# With ACPI, Debian's kernel, which finds devices by it; without, the small one, which has them on its command line.
def _kernel(bench, cell):
    if cell.acpi == "off":
        return bench.small(cell.kernel)
    return bench.kernel if cell.kernel == "bzImage" else bench.vmlinux()


def _storage(bench, cell):
    if cell.root == "initrd":
        return ["-initrd", bench.initrd]
    disk = ["-drive", f"id=root,if=none,format=raw,file={bench.disk()}", "-device", "virtio-blk-device,drive=root"]
    return disk + (["-initrd", bench.root_initrd()] if cell.acpi == "on" else [])


def _argv(bench, cell, binary):
    append = ["console=ttyS0", "panic=-1", "reboot=t", "mitigations=off"]
    if cell.root == "blk":
        append.append("root=/dev/vda rw")
    if bench.is_qemu(binary):
        append.append(f"tsc_early_khz={bench.tsc_khz()}")
    argv = [binary, "-M", f"microvm,acpi={cell.acpi},x-option-roms={cell.roms}", "-cpu", "max", "-m", cell.mem,
            "-smp", str(cell.smp), "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio",
            "-kernel", _kernel(bench, cell), *_storage(bench, cell), "-append", " ".join(append)]
    return argv + (["-bios", find(cell.boot)] if cell.boot != "direct" else [])


# What is asked for in the guest; each answer ends with a line of its own.
QUESTIONS = {
    "command line": "cat /proc/cmdline",
    "processors": "grep -c ^processor /proc/cpuinfo",
    "interrupts": "cat /proc/interrupts",
    "memory map": "dmesg | grep -o 'BIOS-e820: .*'",
    "devices": "ls /sys/bus/platform/devices /sys/bus/virtio/devices /sys/class/block /sys/class/tty",
    "iomem": "cat /proc/iomem",
    "ioports": "cat /proc/ioports",
    "acpi tables": "for t in /sys/firmware/acpi/tables/[A-Z]*; do [ ! -f $t ] || od -v -tx1 $t; done",
    "acpi addresses": "dmesg | grep -o 'ACPI: [A-Z]* 0x.*'",
}


def _ask(vm, question):
    vm.send(f"{question}; printf '\\nen''d-of-answer\\n'\n")
    start = vm.seen
    end = vm.expect(r"\nend-of-answer\r").start()
    text = vm.output[start:end].decode("utf-8", "replace").replace("\r", "")
    return text.replace(checks.PROMPT, "").strip("\n")


def _answers(bench, cell, binary):
    """question -> answer, or None when nothing is booted."""
    with Vm(_argv(bench, cell, binary), timeout=bench.TIMEOUT) as vm:
        if not cell.boots:
            vm.expect(NOTHING_TO_BOOT)
            return None
        vm.expect(checks.PROMPT)
        answers = {}
        vm.send("stty -echo; dmesg -n 1\n")
        vm.expect(checks.PROMPT)
        for name, question in QUESTIONS.items():
            answers[name] = _ask(vm, question)
        return answers


# ---- What of the answers is the machine's ----

def _interrupts(text):
    """Line, controller, pin and trigger, who: without the counts, and without lines that only count. The i8254's line
    is used by a kernel that has no better timer: mote's CPU has TSC deadlines, QEMU's has not."""
    lines = set()
    for line in text.splitlines():
        match = re.match(r"\s*(\d+):[\s\d]*(\S.*)", line)
        if match and not match.group(2).endswith(" timer"):
            lines.add(f"{match.group(1)} " + " ".join(match.group(2).split()))
    return sorted(lines)


def _words(text, dropped=()):
    return [w for w in text.split() if not w.startswith(dropped)]


# Names that come from the drivers of a CPU's features, or of what only one of the two offers.
DROPPED_DEVICES = ("QEMU", "intel_", "kvm", "microcode", "Fixed", "alarmtimer", "regulatory")


def _regions(text):
    """Of /proc/iomem and /proc/ioports: what is not the kernel's image; of option ROMs only that they are there. The
    CGA ports come from a video mode that only the kernel's real-mode code asks for."""
    lines = [re.sub("-.*Video ROM", " : Video ROM", line.strip()) for line in text.splitlines()]
    return [line for line in lines if "Kernel" not in line and not line.endswith(": cga")]


def _acpi_addresses(text):
    """Where the tables are; of the RSDP only that it is there: qboot puts it behind a copy of fw_cfg's directory."""
    return [re.sub(r"0x[0-9A-F]{16}", "", l) if "RSDP" in l else l for l in text.splitlines()]


VIEWS = {
    "command line": lambda t: _words(t, "tsc_early_khz="),
    "processors": str.split,
    "interrupts": _interrupts,
    "memory map": str.splitlines,
    "devices": lambda t: _words(t, DROPPED_DEVICES),
    "iomem": _regions,
    "ioports": _regions,
    "acpi tables": str.splitlines,
    "acpi addresses": _acpi_addresses,
}

# Loaders differ in what they reserve and where they put tables.
NOT_OF_DIRECT_BOOTS = ("memory map", "iomem", "acpi tables", "acpi addresses")


def _difference(name, ours, theirs):
    missing = [line for line in theirs if line not in ours]
    extra = [line for line in ours if line not in theirs]
    return f"{name}: QEMU alone has {missing[:6]}, mote alone has {extra[:6]}"


def compare(cell, ours, theirs):
    """The differences, as lines."""
    found = []
    for name, view in VIEWS.items():
        if cell.boot == "direct" and name in NOT_OF_DIRECT_BOOTS:
            continue
        left, right = view(ours[name]), view(theirs[name])
        if left != right:
            found.append(_difference(name, left, right))
    return found


class References:
    """QEMU's answers, each asked for once. On a busy host its guests miss timer interrupts: it gets three tries."""

    TRIES = 3

    def __init__(self):
        self._answers = {}
        self._lock = threading.Lock()

    def get(self, bench, cell):
        cell = cell.reference()
        with self._lock:
            lock, _ = self._answers.setdefault(cell, [threading.Lock(), None])
        with lock:
            if not self._answers[cell][1]:
                self._answers[cell][1] = self._ask(bench, cell)
            return self._answers[cell][1]

    def _ask(self, bench, cell):
        for _ in range(self.TRIES):
            try:
                return _answers(bench, cell, bench.reference)
            except Failure as failure:
                reason = failure
        raise checks.Skip(f"QEMU does not boot it: {str(reason).splitlines()[0]}")


REFERENCES = References()


def run_cell(bench, cell):
    """Raises Failure; otherwise a word on what was seen."""
    ours = _answers(bench, cell, bench.binary)
    if not bench.reference:
        return "booted, nothing to compare with"
    theirs = REFERENCES.get(bench, cell)
    if ours is None:
        return "boots nothing, as QEMU"
    found = compare(cell, ours, theirs)
    if found:
        raise Failure("the guest sees another machine than on QEMU:\n  " + "\n  ".join(found))
    return "as QEMU"


def cell_check(cell):
    def check(bench, _case):
        run_cell(bench, cell)
    return check


# ---- Guests made for firmware ----

def assemble(source, folder, address):
    """A flat binary of an assembly file of this folder."""
    obj, out = (os.path.join(folder, source + suffix) for suffix in (".o", ".bin"))
    subprocess.run(["as", "--32", os.path.join(HERE, source + ".S"), "-o", obj], check=True)
    subprocess.run(["ld", "-m", "elf_i386", f"-Ttext={address:#x}", "--oformat", "binary", obj, "-o", out], check=True)
    return out


def disk_boots(bench, case):
    """SeaBIOS reads our boot sector from a virtio disk, which reads two more sectors by its calls."""
    with tempfile.TemporaryDirectory(prefix="mote-disk-") as folder:
        disk = assemble("bootsector", folder, 0x7C00)
        os.truncate(disk, 1 << 20)
        argv = [bench.binary, "-M", "microvm" + case.machine, "-bios", find("seabios"), "-nodefaults", "-nographic",
                "-serial", "stdio", "-drive", f"id=d,if=none,format=raw,file={disk}",
                "-device", "virtio-blk-device,drive=d", *bench.DEBUG_EXIT, *case.args]
        with Vm(argv, timeout=bench.TIMEOUT) as vm:
            for sector in ("boot", "second", "third"):
                vm.expect(f"mote-guest: {sector} sector")
            vm.wait(status=checks.DEBUG_EXIT_GOOD)


# What fwcfg.S shows.
KEYS = [*range(0x40), *range(0x8000, 0x8008)]
SHOWN = 4096
DIRECTORY = 0x19
NOT_COMPARED = ("etc/fdt", "genroms/")  # a device tree, which mote does not offer; and the ROMs are our own


def _fw_cfg(binary, image, folder, args):
    """(item -> bytes, file -> (size, bytes))"""
    out = os.path.join(folder, "shown")
    argv = [binary, "-bios", image, "-nodefaults", "-nographic", "-no-reboot", "-chardev", f"file,id=d,path={out}",
            "-device", "isa-debugcon,iobase=0x402,chardev=d", *args]
    with Vm(argv, timeout=60) as vm:
        vm.wait(status=0)
    with open(out, "rb") as file:
        shown = file.read()
    if len(shown) != SHOWN * len(KEYS):
        raise Failure(f"{len(shown)} bytes instead of {SHOWN * len(KEYS)} from {binary}")
    items = {key: shown[i * SHOWN:(i + 1) * SHOWN] for i, key in enumerate(KEYS)}
    return {k: v for k, v in items.items() if k < DIRECTORY or k >= 0x8000}, dict(_files(items))


def _files(items):
    directory = items[DIRECTORY]
    for at in range(4, 4 + 64 * int.from_bytes(directory[:4], "big"), 64):
        size, key = int.from_bytes(directory[at:at + 4], "big"), int.from_bytes(directory[at + 4:at + 6], "big")
        name = directory[at + 8:at + 64].rstrip(b"\0").decode()
        yield name, (size, items[key][:min(size, SHOWN)])


def fw_cfg_like_reference(bench, case):
    """Every item and file that firmware finds, byte for byte."""
    if not bench.reference:
        raise checks.Skip("no qemu-system-x86_64 to compare with")
    with tempfile.TemporaryDirectory(prefix="mote-fwcfg-") as folder:
        names = {"disk": bench.disk(), "kernel": bench.kernel, "initrd": bench.initrd, "vmlinux": bench.vmlinux()}
        args = ["-M", "microvm" + case.machine, "-m", f"{case.mem}m", "-smp", str(case.smp),
                *(arg.format(**names) for arg in case.args)]
        image = assemble("fwcfg", folder, 0)
        ours, theirs = (_fw_cfg(binary, image, folder, args) for binary in (bench.binary, bench.reference))
    wrong = [f"item {key:#x}" for key in ours[0] if ours[0][key] != theirs[0][key]]
    wrong += [f"file {name}" for name in sorted(set(ours[1]) | set(theirs[1]))
              if ours[1].get(name) != theirs[1].get(name) and not name.startswith(NOT_COMPARED)]
    if wrong:
        raise Failure("not as QEMU's: " + ", ".join(wrong))


def debug_messages(bench, case):
    """SeaBIOS finds the debug port where -global puts it, and says there what it does."""
    with tempfile.TemporaryDirectory(prefix="mote-debugcon-") as folder:
        out = os.path.join(folder, "log")
        argv = [bench.binary, "-M", "microvm", "-bios", find("seabios"), "-nodefaults", "-nographic",
                "-serial", "stdio", "-debugcon", f"file:{out}", "-global", "isa-debugcon.iobase=0x402"]
        with Vm(argv, timeout=bench.TIMEOUT) as vm:
            vm.expect(NOTHING_TO_BOOT)
        with open(out, encoding="utf-8", errors="replace") as file:
            text = file.read()
    if "SeaBIOS (version" not in text or "Scan for option roms" not in text:
        raise Failure(f"not what SeaBIOS prints: {text[:200]}")


# ---- Other people's guests, from Debian's packages ----

GUESTS = {"memtest64": ("memtest86+", "boot/memtest86+x64.bin"), "memtest32": ("memtest86+", "boot/memtest86+ia32.bin"),
          "ipxe": ("ipxe", "boot/ipxe.lkrn"), "memdisk": ("syslinux-common", "usr/lib/syslinux/memdisk")}


def _guest(bench, name):
    package, path = GUESTS[name]
    return os.path.join(bench.package(package), path)


def _start_guest(bench, case, name, *args):
    argv = [bench.binary, "-M", "microvm" + case.machine, "-m", f"{case.mem}m", "-smp", str(case.smp), "-nodefaults",
            "-nographic", "-serial", "stdio", "-no-reboot", "-kernel", _guest(bench, name), *case.args, *args]
    return Vm(argv, timeout=2 * bench.TIMEOUT)


def memtest(name):
    """memtest86+ shows its screen on the serial port, and its first test goes from its first pattern to the second. It
    measures the TSC by port 0x61, which this machine does not have, and so knows no time: a key must end the wait for
    keys before the tests, and the screen is not drawn again until something happens."""
    def check(bench, case):
        with _start_guest(bench, case, name, "-append", "console=ttyS0,115200") as vm:
            vm.expect(r"\x1b\[2J")
            while not vm.sees(r"Memtest86", 1):
                vm.send("\n")
            vm.expect(r"#0 *\[Address test")
            vm.expect("ern: 0x0+ ")
            vm.expect("ern: 0xf+ ")
            vm.expect("Errors: 0 ")
    return check


def ipxe(bench, case):
    """To the prompt of its shell, by its command line: neither firmware gives it keys from the serial port, on QEMU's
    microvm just as here. It has no driver for virtio-mmio, and so no network."""
    with _start_guest(bench, case, "ipxe", "-append", "echo mote-guest && shell") as vm:
        vm.expect("Features:")
        vm.expect("mote-guest")
        vm.expect("iPXE> ")


def memdisk(bench, case):
    """A disk in memory, by syslinux's memdisk, boots as one on virtio does."""
    with tempfile.TemporaryDirectory(prefix="mote-memdisk-") as folder:
        disk = assemble("bootsector", folder, 0x7C00)
        os.truncate(disk, 1 << 20)
        with _start_guest(bench, case, "memdisk", "-initrd", disk, "-append", "harddisk raw c=2 h=16 s=63",
                          *bench.DEBUG_EXIT) as vm:
            for sector in ("boot", "second", "third"):
                vm.expect(f"mote-guest: {sector} sector")
            vm.wait(status=checks.DEBUG_EXIT_GOOD)


def nothing_to_boot(bench, case):
    """Without kernel and disk: SeaBIOS says so and waits."""
    with bench.start_bare(["-M", "microvm" + case.machine, "-bios", find("seabios"), "-nodefaults", "-nographic",
                           "-serial", "stdio"]) as vm:
        vm.expect(NOTHING_TO_BOOT)
        vm.stays(1)
