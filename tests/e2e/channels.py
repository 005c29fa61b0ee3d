# SPDX-License-Identifier: MIT
"""Checks of the byte channels between guest and host: hvc0, virtio serial ports, vsock. The small kernel, no legacy
devices, and the console on hvc0."""

import fcntl
import os
import signal
import socket
import struct
import tempfile
import termios
import threading
import time

from checks import PROMPT
from vm import SCALE, Failure, Vm

TIMEOUT = 180  # seconds for one machine, before SCALE
BYTES = 10 << 20
CHUNK = 1 << 18
CID = 3


class Folder:
    """Where the sockets of one machine are."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="mote-ch-")

    def path(self, name):
        return os.path.join(self._folder.name, name)


def _start(bench, case, *args, end=("-no-reboot",)):
    return Vm([bench.binary, "-M", "microvm,x-option-roms=off,pit=off,pic=off,isa-serial=off,rtc=off",
               "-m", f"{case.mem}m", "-smp", str(case.smp), "-kernel", bench.small("vmlinux"),
               "-initrd", bench.initrd, "-append", f"console=hvc0 reboot=t panic=-1 {case.append}", *end,
               "-nodefaults", "-no-user-config", "-nographic", "-chardev", "stdio,id=virtiocon0",
               "-device", "virtio-serial-device", "-device", "virtconsole,chardev=virtiocon0", *args, *case.args],
              terminal=True, timeout=TIMEOUT)


def _leave(vm):
    vm.expect(PROMPT)
    vm.send("poweroff\n")
    vm.wait(status=0)
    vm.check_terminal_restored()


def _resize(vm, rows, cols):
    fcntl.ioctl(vm.input_fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def _wait_for_size(vm, rows, cols):
    vm.send(f"until [ \"$(stty size)\" = '{rows} {cols}' ]; do sleep 0.1; done; echo si''ze {rows} {cols}\n")
    vm.expect(rf"\nsize {rows} {cols}")
    vm.expect(PROMPT)


def hvc_session(bench, case):
    """The kernel's console: its own messages, a shell, much output, and a window that changes its size."""
    with _start(bench, case) as vm:
        vm.expect(r"Run /init as init process")
        vm.expect(PROMPT)
        vm.send("echo $((6 * 7)) answers\n")
        vm.expect(r"\n42 answers")
        vm.expect(PROMPT)
        for rows, cols in (33, 111), (24, 80), (50, 200):
            _resize(vm, rows, cols)
            _wait_for_size(vm, rows, cols)
        vm.send("stty -echo; echo be''gin; seq 1 20000; echo en''d\n")
        vm.expect(r"begin\r*\n")
        start = vm.seen
        vm.expect(r"\nend\r*\n")
        if vm.output[start:vm.seen].decode().split()[:-1] != [str(n) for n in range(1, 20001)]:
            raise Failure("console output is damaged")
        _leave(vm)


def hvc_reboot(bench, case):
    """After a reboot console and vsock are as new; what was open is closed."""
    folder = Folder()
    with _start(bench, case, "-device", f"virtio-vsock-device,guest-cid={CID},path={folder.path('v')}",
                end=()) as vm:
        for _ in range(2):
            vm.expect(PROMPT)
            vm.send("vsock listen 5000 &\n")
            vm.expect("vsock: listening")
            with _vsock_connect(folder, 5000, vm.deadline) as channel:
                channel.sendall(b"still there?")
                if channel.recv(99) != b"still there?":
                    raise Failure("no echo")
                vm.send("reboot\n")
                if channel.recv(1):
                    raise Failure("the connection outlived the reboot")
        vm.expect(PROMPT)
        vm.send("echo $((6 * 7)) answers\n")
        vm.expect(r"\n42 answers")
        vm.signal(signal.SIGTERM)
        vm.wait(status=0)


def _connect(path, deadline):
    while True:
        channel = socket.socket(socket.AF_UNIX)
        channel.settimeout(60 * SCALE)
        try:
            channel.connect(path)
            return channel
        except OSError:
            channel.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Sender(threading.Thread):
    """Sends from a thread, and counts."""

    def __init__(self, channel, data, end):
        super().__init__(daemon=True)
        self.channel, self.data, self.end = channel, data, end
        self.sent = 0
        self.start()

    def run(self):
        view = memoryview(self.data)
        while self.sent < len(view):
            self.sent += self.channel.send(view[self.sent:self.sent + CHUNK])
        if self.end:
            self.channel.shutdown(socket.SHUT_WR)

    def wait_until_stuck(self):
        """Everybody's buffers are full, for nobody reads."""
        before = -1
        while before != self.sent < len(self.data):
            before = self.sent
            time.sleep(0.5)


def _receive(channel, size):
    """`size` bytes, or all to the end for None."""
    got = bytearray()
    while size is None or len(got) < size:
        data = channel.recv(CHUNK)
        if not data:
            break
        got += data
    return bytes(got)


def _check_echo(what, data, got):
    if got != data:
        at = next((i for i, (a, b) in enumerate(zip(data, got)) if a != b), min(len(data), len(got)))
        raise Failure(f"{what}: {len(got)} of {len(data)} bytes came back, the first wrong one at {at}")


def _echo(channel, what, end, size=BYTES):
    data = os.urandom(size)
    sender = Sender(channel, data, end)
    sender.wait_until_stuck()
    got = _receive(channel, None if end else size)
    sender.join()
    _check_echo(what, data, got)


def port_echo(bench, case):
    """10 MiB to a port and back, with a host that does not read for a while; then another client."""
    folder = Folder()
    path = folder.path("port")
    with _start(bench, case, "-chardev", f"socket,id=port0,path={path},server=on,wait=off",
                "-device", "virtserialport,chardev=port0,name=org.mote.test") as vm:
        vm.expect(PROMPT)
        vm.send("cat /sys/class/virtio-ports/vport0p1/name\n")
        vm.expect(r"org\.mote\.test")
        for client in "first", "second":
            with _connect(path, vm.deadline) as channel:
                vm.expect(PROMPT)
                vm.send("echo re''ady; exec 3<>/dev/vport0p1; cat <&3 >&3; exec 3>&-; echo clo''sed\n")
                vm.expect("ready")
                _echo(channel, client, end=False)
            vm.expect("closed")
        _leave(vm)


def _vsock(bench, case, folder):
    return _start(bench, case, "-device", f"virtio-vsock-device,guest-cid={CID},path={folder.path('v')}")


def _vsock_connect(folder, port, deadline):
    channel = _connect(folder.path("v"), deadline)
    channel.sendall(b"CONNECT %d\n" % port)
    answer = b""
    while not answer.endswith(b"\n"):
        byte = channel.recv(1)
        if not byte:
            raise Failure(f"hung up on instead of 'OK PORT', after '{answer.decode()}'")
        answer += byte
    if not answer.startswith(b"OK "):
        raise Failure(f"'{answer.decode()}' instead of 'OK PORT'")
    return channel


def vsock_host_clients(bench, case):
    """Clients of the host, one after the other, then many at once; and one that nobody wants."""
    folder = Folder()
    with _vsock(bench, case, folder) as vm:
        vm.expect(PROMPT)
        vm.send("vsock listen 5000 22\n")
        vm.expect("vsock: listening")
        for client in "first", "second":
            with _vsock_connect(folder, 5000, vm.deadline) as channel:
                _echo(channel, client, end=True)
        channels = [_vsock_connect(folder, 5000, vm.deadline) for _ in range(20)]
        data = [os.urandom(300000 + i) for i in range(20)]
        senders = [Sender(c, d, True) for c, d in zip(channels, data)]
        for channel, sent in zip(channels, data):
            _check_echo("one of many", sent, _receive(channel, None))
            channel.close()
        for sender in senders:
            sender.join()
        vm.expect("vsock: 22 served, 0 badly")
        with _connect(folder.path("v"), vm.deadline) as channel:
            channel.sendall(b"CONNECT 5001\n")
            if channel.recv(1):
                raise Failure("somebody answered on a port without listener")
        _leave(vm)


def _echo_server(path):
    """Echoes to one client after the other, until the process ends."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)

    def serve():
        while True:
            channel, _ = listener.accept()
            with channel:
                while True:
                    data = channel.recv(CHUNK)
                    if not data:
                        break
                    channel.sendall(data)

    threading.Thread(target=serve, daemon=True).start()


def vsock_guest_clients(bench, case):
    """Clients of the guest: 10 MiB there and back, and a port where nobody listens."""
    folder = Folder()
    _echo_server(folder.path("v_77"))
    with _vsock(bench, case, folder) as vm:
        vm.expect(PROMPT)
        vm.send(f"dd if=/dev/urandom of=/tmp/r bs=65536 count={BYTES // 65536} 2>/dev/null; sha256sum </tmp/r\n")
        want = vm.expect(r"\n([0-9a-f]{64})  -").group(1)
        for _ in range(2):
            vm.expect(PROMPT)
            vm.send("vsock connect 77 </tmp/r | sha256sum\n")
            got = vm.expect(r"\n([0-9a-f]{64})  -").group(1)
            if got != want:
                raise Failure("what came back is not what was sent")
        vm.expect(PROMPT)
        vm.send("vsock connect 78 </dev/null; echo sta''tus $?\n")
        vm.expect("Connection reset by peer")
        vm.expect("status 1")
        _leave(vm)
