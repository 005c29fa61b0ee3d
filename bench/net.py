#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Network transfers between the host and a guest (guest/build-kernel.sh's kernel): iperf3 over TCP, UDP and IPv6, and
ping; mote's CPU against QEMU's TCG, in turns, by tap and by libslirp. Mbit/s as the host counts them (a guest's clock
may run wrong); more is better, but for the round trip.

Needs root, for a network namespace of its own with taps, and iperf3 on the host, which goes into the guest with its
libraries.

    bench/net.py --seconds 5 --runs 3
    bench/net.py --seconds 60 --runs 1 --backends tap
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import common
from suite import cpio_entry

UP = """#!/bin/sh
ip addr add 10.0.2.2/24 dev $1 && ip addr add fec0::2/64 dev $1 nodad && ip link set $1 up
"""

INIT = """#!/bin/sh
export PATH=/bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmp /tmp
echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad
ip link set lo up; ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0; ip addr add fec0::15/64 dev eth0
ping -q -c 3 10.0.2.2
ping -q -c {pings} -A 10.0.2.2 || ping -q -c 10 10.0.2.2
{commands}
echo net-end
reboot -f
"""

# What the guest calls iperf3 with, in order; the server tells what came of it.
TESTS = {
    "TCP, guest to host": "-c 10.0.2.2",
    "TCP, host to guest": "-c 10.0.2.2 -R",
    "TCP over IPv6, guest to host": "-c fec0::2",
    "TCP over IPv6, host to guest": "-c fec0::2 -R",
    "UDP, guest to host": "-c 10.0.2.2 -u -b 400M -l 1400",
    "UDP, host to guest": "-c 10.0.2.2 -u -b 200M -l 1400 -R",
}
BACKENDS = {
    "tap": "tap,id=n,script={folder}/up,downscript=no",
    "user": "user,id=n",
}


def libraries(binary):
    listing = subprocess.run(["ldd", binary], stdout=subprocess.PIPE, check=True, text=True).stdout
    return sorted(set(re.findall(r"(/\S+)", listing)))


def initrd(folder, seconds, tests):
    busybox = common.script("fetch-kernel.sh") + "/busybox"
    iperf = shutil.which("iperf3") or sys.exit("no iperf3 here: apt-get install iperf3")
    commands = "\n".join(f"iperf3 {TESTS[test]} -t {seconds} >/tmp/out 2>&1 || tail -n 1 /tmp/out" for test in tests)
    init = INIT.format(commands=commands, pings=200)
    entries = [cpio_entry("init", 0o100755, init.encode())]
    files = {"bin/busybox": busybox, "bin/iperf3": iperf, **{path[1:]: path for path in libraries(iperf)}}
    folders = {str(parent) for name in files for parent in pathlib.PurePath(name).parents if str(parent) != "."}
    for name in sorted(folders | {"dev", "proc", "sys", "tmp"}):
        entries.append(cpio_entry(name, 0o40755))
    for name, path in files.items():
        entries.append(cpio_entry(name, 0o100755, pathlib.Path(path).read_bytes()))
    for name in subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split():
        if name != "busybox":
            entries.append(cpio_entry(f"bin/{name}", 0o120777, b"busybox"))
    path = pathlib.Path(folder) / "net.cpio"
    path.write_bytes(b"".join(entries) + cpio_entry("TRAILER!!!", 0))
    return path


def documents(text):
    """The JSON values of a text, one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at = len(text) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        yield value


def rate(result):
    """Mbit/s that were carried, as the host's iperf3 counted."""
    end = result.get("end", {})
    total = end.get("sum", {})
    kept = 1 - total.get("lost_percent", 0) / 100 if not total.get("sender", False) else 1
    for part in (end.get("sum_received", {}), end.get("sum_sent", {})):
        if part.get("bits_per_second"):
            return part["bits_per_second"] * kept / 1e6
    return 0.0


def guest(command, args, kernel, ramdisk, backend, folder, khz):
    append = f"console=ttyS0 quiet panic=-1 reboot=t tsc=reliable tsc_early_khz={khz} {args.append}"
    return [*command, "-M", "microvm,acpi=off", "-cpu", "max", "-m", "512m", "-smp", str(args.smp), "-nodefaults",
            "-nographic", "-no-reboot", "-serial", "stdio", "-kernel", kernel, "-initrd", str(ramdisk),
            "-append", append, "-netdev", BACKENDS[backend].format(folder=folder),
            "-device", f"virtio-net-device,netdev=n{args.device}"]


def run(command, tests, timeout):
    """test -> Mbit/s, and the round trip in ms."""
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(["iperf3", "-s", "-J"], stdout=log) as server:
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=timeout, check=False)
        finally:
            server.terminate()
            server.wait()
        log.seek(0)
        results = list(documents(log.read()))
    text = done.stdout.decode(errors="replace")
    if "net-end" not in text:
        sys.exit(f"{command[0]}: no end: {text[-800:]}")
    trips = re.findall(r"round-trip min/avg/max = [\d.]+/([\d.]+)/", text)
    found = {test: rate(result) for test, result in zip(tests, results)}
    if len(results) < len(tests):
        print(f"{command[0]}: {len(results)} of {len(tests)} tests: {text[-400:]}", file=sys.stderr)
    found["ping round trip, ms"] = float(trips[-1]) if trips else None
    return found


def main():
    parser = common.arguments(__doc__, runs=1)
    parser.add_argument("--seconds", type=int, default=5, help="of each test")
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--only", default="", help="tests with this in their name")
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--device", default="", help="properties of the card, with the comma before them")
    parser.add_argument("--append", default="", help="more for the kernel command line")
    args = parser.parse_args()
    if "MOTE_BENCH_NAMESPACE" not in os.environ:
        os.environ["MOTE_BENCH_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    kernel = subprocess.run([str(common.ROOT / "guest/build-kernel.sh")], stdout=subprocess.PIPE, check=True,
                            text=True).stdout.strip() + "/vmlinux"
    khz, engines = common.tsc_khz(), common.engines(args)
    tests = [test for test in TESTS if args.only in test]
    timeout = 60 + len(tests) * (args.seconds + 15)
    with tempfile.TemporaryDirectory() as folder:
        up = pathlib.Path(folder) / "up"
        up.write_text(UP)
        up.chmod(0o755)
        ramdisk = initrd(folder, args.seconds, tests)
        for backend in args.backends.split(","):
            results = {name: [] for name in engines}
            for _ in range(args.runs):
                for name, command in engines.items():
                    line = guest(command, args, kernel, ramdisk, backend, folder, khz)
                    results[name].append(run(line, tests, timeout))
            rows = {}
            for what in [*tests, "ping round trip, ms"]:
                values = [[r[what] for r in results[name] if r.get(what) is not None] for name in engines]
                rows[what] = [common.median(v) if v else None for v in values]
            common.table(f"virtio-net by {backend}, {args.smp} CPU, {args.seconds} s each, median of {args.runs}: "
                         "Mbit/s", rows, engines)


if __name__ == "__main__":
    main()
