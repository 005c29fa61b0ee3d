# SPDX-License-Identifier: MIT
"""Networks: addresses by DHCP, files both ways with their sums compared, forwarded ports, IPv6, taps, and machines that
talk to each other."""

import contextlib
import functools
import hashlib
import http.server
import ipaddress
import os
import random
import socket
import subprocess
import threading
import time
import urllib.request

from checks import PROMPT, Skip
from seed import namespaces
from vm import SCALE, Failure, Vm

BYTES = 12 << 20
WAIT = 60 * SCALE

# What busybox's udhcpc runs with what it got.
DHCP_SCRIPT = r"""cat >/tmp/dhcp <<'.'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface; ip route add default via $router
echo "dhcp gave $ip by $router, names by $dns, host $hostname"
.
chmod +x /tmp/dhcp"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class _Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


@contextlib.contextmanager
def _serve(folder, address):
    """An HTTP server on the host; its port."""
    kind = _Server6 if ":" in address else http.server.ThreadingHTTPServer
    server = kind((address, 0), functools.partial(_Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _file(folder):
    """A file of random content and its sum."""
    data = random.Random(1).randbytes(BYTES)
    with open(os.path.join(folder, "file"), "wb") as file:
        file.write(data)
    return hashlib.md5(data).hexdigest()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def _command(vm, command, pattern):
    vm.send(command + "\n")
    match = vm.expect(pattern)
    vm.expect(PROMPT)
    return match


def _get(vm, url, md5):
    _command(vm, f"echo sum $(wget -q -O - {url} | md5sum)", rf"sum {md5}")


def _fetch(port, path):
    """From the guest's server through a forwarded port, once it answers."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=WAIT) as answer:
                return answer.read()
        except OSError as reason:
            if time.monotonic() > deadline:
                raise Failure(f"no answer at the forwarded port: {reason}") from reason
            time.sleep(0.2)


def _up(vm):
    vm.expect(PROMPT)
    for line in DHCP_SCRIPT.split("\n"):
        vm.send(line + "\n")
    _command(vm, "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad; ip link set lo up; ip link set eth0 up; echo is up",
             r"\nis up")


def _serve_in_guest(vm):
    """A file of the guest's own, and its sum."""
    _command(vm, "mkdir /tmp/www; dd if=/dev/urandom of=/tmp/www/big bs=64k count=128 2>/dev/null; "
                 "httpd -p 80 -h /tmp/www; echo serves $?", r"\nserves 0")
    return _command(vm, "md5sum </tmp/www/big", r"\n([0-9a-f]{32}) ").group(1).decode()


def _check_user(vm, folder, forwarded):
    md5 = _file(folder)
    _command(vm, "udhcpc -q -n -i eth0 -s /tmp/dhcp", r"dhcp gave 10\.0\.2\.15 by 10\.0\.2\.2, names by 10\.0\.2\.3")
    with _serve(folder, "127.0.0.1") as port:
        _get(vm, f"http://10.0.2.2:{port}/file", md5)
    if _has_ipv6():
        _command(vm, "while ! ip addr show dev eth0 | grep -q 'inet6 fec0:'; do sleep 1; done; echo has 6",
                 r"\nhas 6")
        with _serve(folder, "::1") as port:
            _get(vm, f"http://[fec0::2]:{port}/file", md5)
    md5 = _serve_in_guest(vm)
    if hashlib.md5(_fetch(forwarded, "big")).hexdigest() != md5:
        raise Failure("a file from the guest was damaged")


def user(bench, case):
    folder, port = bench.folder(), _free_port()
    backend = ("-netdev", f"user,id=n,hostname=guesty,hostfwd=tcp:127.0.0.1:{port}-:80")
    args = () if "virtio-net-device" in " ".join(case.args) else ("-device", "virtio-net-device,netdev=n")
    with bench.start(case, args=backend + args) as vm:
        _up(vm)
        _check_user(vm, folder, port)


def restricted(bench, case):
    """Nothing of the host can be reached, and what is forwarded can."""
    port = _free_port()
    options = ("user,restrict=on,net=192.168.77.0/24,"
               f"hostfwd=tcp:127.0.0.1:{port}-:80,guestfwd=tcp:192.168.77.9:7-cmd:cat")
    with bench.start(case, args=("-nic", options)) as vm, _serve(bench.folder(), "127.0.0.1") as server:
        _up(vm)
        _command(vm, "udhcpc -q -n -i eth0 -s /tmp/dhcp", r"dhcp gave 192\.168\.77\.15")
        _command(vm, f"wget -q -T 3 -O - http://192.168.77.2:{server}/; echo ended $?", r"\nended 1")
        _command(vm, "(echo hello cat; sleep 2) | nc -w 5 192.168.77.9 7 | sed 's/hello/back from/'", r"back from cat")
        md5 = _serve_in_guest(vm)
        if hashlib.md5(_fetch(port, "big")).hexdigest() != md5:
            raise Failure("a file from the guest was damaged")


# ---- Taps ----


def _inside(vm, command):
    """A command of the host in the machine's network namespace."""
    return ["nsenter", "-t", str(vm.process.pid), "-n", "sh", "-c", command]


def _wait_for_tap(vm):
    command = "ip addr add 10.9.8.1/24 dev mote0 && ip addr add fd09::1/64 dev mote0 nodad && ip link set mote0 up"
    deadline = time.monotonic() + WAIT
    while subprocess.run(_inside(vm, command), capture_output=True, check=False).returncode:
        if time.monotonic() > deadline or vm.process.poll() is not None:
            raise Failure("no tap appeared: " + vm.stderr().strip())
        time.sleep(0.2)


@contextlib.contextmanager
def _serve_inside(vm, folder):
    """An HTTP server at port 8000, IPv4 and IPv6."""
    with subprocess.Popen(_inside(vm, f"cd {folder} && exec python3 -m http.server --bind :: 8000"),
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield
        finally:
            server.kill()


def tap(bench, case):
    if not namespaces():
        raise Skip("no right to make a network namespace with a tap")
    folder = bench.folder()
    md5 = _file(folder)
    argv = bench.arguments(case)
    with Vm(["unshare", "-n", "sh", "-c", 'exec "$@"', "sh", *argv]) as vm:
        _wait_for_tap(vm)
        _up(vm)
        _command(vm, "ip addr add 10.9.8.2/24 dev eth0; ip addr add fd09::2/64 dev eth0; ping -c 3 10.9.8.1",
                 r"3 packets transmitted, 3 packets received")
        _command(vm, "ping -c 2 fd09::1", r"2 packets transmitted, 2 packets received")
        _command(vm, "ping -c 2 -s 20000 10.9.8.1", r"2 packets transmitted, 2 packets received")
        with _serve_inside(vm, folder):
            _command(vm, "while ! wget -q -O /dev/null http://10.9.8.1:8000/; do sleep 1; done; echo it listens",
                     r"\nit listens")
            for address in (ipaddress.ip_address("10.9.8.1"), ipaddress.ip_address("fd09::1")):
                host = f"[{address}]" if address.version == 6 else str(address)
                _get(vm, f"http://{host}:8000/file", md5)
        md5 = _serve_in_guest(vm)
        got = subprocess.run(_inside(vm, "python3 -c 'import urllib.request as u, sys; "
                                         'sys.stdout.buffer.write(u.urlopen("http://10.9.8.2/big").read())\''),
                             stdout=subprocess.PIPE, check=False)
        if hashlib.md5(got.stdout).hexdigest() != md5:
            raise Failure("a file from the guest was damaged")


# ---- Machines among themselves ----


def _talk(bench, case, first, second):
    """Two machines on one wire; the first is the one that listens."""
    first, second = (("-netdev", f"{options},id=n", "-device", f"virtio-net-device,netdev=n,mac=52:54:00:00:00:0{i}")
                     for i, options in ((1, first), (2, second)))
    with bench.start(case, args=first) as one:
        _up(one)
        with bench.start(case, args=second) as two:
            _up(two)
            _command(one, "ip addr add 10.7.0.1/24 dev eth0; echo has $?", r"\nhas 0")
            _command(two, "ip addr add 10.7.0.2/24 dev eth0; echo has $?", r"\nhas 0")
            _command(two, "ping -c 3 10.7.0.1", r"3 packets transmitted, 3 packets received")
            md5 = _serve_in_guest(one)
            _get(two, "http://10.7.0.1/big", md5)
            two.signal(15)
            two.wait(status=0)
        if "stream" in first[1]:
            _command(one, "while [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do sleep 1; done; echo cable is out",
                     r"\ncable is out")


def stream(bench, case):
    path = os.path.join(bench.folder(), "wire")
    _talk(bench, case, f"stream,server=on,addr.type=unix,addr.path={path}",
          f"stream,addr.type=unix,addr.path={path},reconnect=1")


def dgram(bench, case):
    folder = bench.folder()
    ends = [os.path.join(folder, name) for name in ("a", "b")]
    options = "dgram,local.type=unix,local.path={},remote.type=unix,remote.path={}"
    _talk(bench, case, options.format(*ends), options.format(*reversed(ends)))
