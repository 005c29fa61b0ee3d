# SPDX-License-Identifier: MIT
"""A virtual machine process under test: its console, what to wait for, how it ends."""

import contextlib
import fcntl
import os
import pty
import re
import select
import subprocess
import tempfile
import termios
import time

# Slow hosts and slow builds stretch every timeout: MOTE_TEST_SCALE=4.
SCALE = float(os.environ.get("MOTE_TEST_SCALE", "1"))


TAIL_LINES = 12


class Failure(Exception):
    """What a case did not find. Its text is for the reader of the log."""


def _stdio_pipes():
    """stdin (guest's end, ours), stdout (guest's end, ours)."""
    in_guest, in_ours = os.pipe()
    out_ours, out_guest = os.pipe()
    return in_guest, in_ours, out_guest, out_ours


def _take_terminal():
    """In the child: stdin becomes the controlling terminal of a session of its own, as a user's is."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _stdio_pty():
    ours, guest = pty.openpty()
    return guest, ours, guest, ours


class Vm:
    """Runs `argv`; `terminal` gives it a pseudo-terminal for stdin and stdout instead of pipes."""

    def __init__(self, argv, terminal=False, timeout=120):
        self.argv = argv
        self.output = b""
        self.seen = 0  # how much of output expect() has used up
        self.deadline = time.monotonic() + timeout * SCALE
        self.errors = tempfile.TemporaryFile()
        stdin, self.input_fd, stdout, self.output_fd = _stdio_pty() if terminal else _stdio_pipes()
        # Kept open for a terminal, so that its attributes can be read after the process is gone.
        self.terminal_fd = stdin if terminal else None
        self.attributes = termios.tcgetattr(stdin) if terminal else None
        self.started = time.monotonic()
        self.process = subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=self.errors,
                                        preexec_fn=_take_terminal if terminal else None)
        if not terminal:
            os.close(stdin)
            os.close(stdout)

    def __enter__(self):
        return self

    def __exit__(self, kind, failure, _):
        if kind is Failure and self.output:
            tail = self.text().replace("\r", "").splitlines()[-TAIL_LINES:]
            failure.args = ("\n".join([failure.args[0], "the console's last lines:"] + ["  " + t for t in tail]),)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in {self.input_fd, self.output_fd, self.terminal_fd} - {None}:
            os.close(fd)
        self.errors.close()

    def _remaining(self, what):
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise Failure(f"timeout after {time.monotonic() - self.started:.0f} s, waiting for {what}")
        return remaining

    def _read(self, timeout):
        """Takes what is there; False at the end of the output."""
        ready, _, _ = select.select([self.output_fd], [], [], timeout)
        if not ready:
            return True
        try:
            data = os.read(self.output_fd, 65536)
        except OSError:  # a pseudo-terminal without its other end
            return False
        self.output += data
        return bool(data)

    def text(self):
        return self.output.decode("utf-8", "replace")

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")

    def expect(self, pattern):
        """Waits until the output after the last match holds `pattern`; gives the match."""
        wanted = re.compile(pattern.encode())
        while True:
            match = wanted.search(self.output, self.seen)
            if match:
                self.seen = match.end()
                return match
            more = self._read(min(1.0, self._remaining(f"'{pattern}'")))
            if not more or (self.process.poll() is not None and not self.drain()):
                if not wanted.search(self.output, self.seen):
                    raise Failure(f"ended with status {self.process.wait()} before '{pattern}': "
                                  + self.stderr().strip())

    def sees(self, pattern, seconds):
        """Does the output hold `pattern` within the time? It is not used up."""
        wanted = re.compile(pattern.encode())
        end = time.monotonic() + seconds * SCALE
        while not wanted.search(self.output, self.seen) and time.monotonic() < end:
            self._remaining(f"'{pattern}'")
            if not self._read(0.1) or self.process.poll() is not None:
                break
        return bool(wanted.search(self.output, self.seen))

    def drain(self):
        """After the process's end: whether anything was still to be read."""
        before = len(self.output)
        self._read(0)
        return len(self.output) > before

    def send(self, text):
        os.write(self.input_fd, text.encode())

    def close_input(self):
        os.close(self.input_fd)
        self.input_fd = None

    def signal(self, number):
        self.process.send_signal(number)

    def stays(self, seconds):
        """Fails if the process ends by itself within the time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read(0.05)
            if self.process.poll() is not None:
                raise Failure(f"ended with status {self.process.returncode}, should have stayed")

    def wait(self, status=None):
        """Reads to the end; checks the exit status when one is given."""
        while self.process.poll() is None:
            if not self._read(min(0.2, self._remaining("its end"))):
                # Output closed: only the status is missing.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout=0.2)
        while self.drain():
            pass
        if status is not None and self.process.returncode != status:
            raise Failure(f"exit status {self.process.returncode}, should be {status}: "
                          + self.stderr().strip())
        return self.process.returncode

    def check_terminal_restored(self):
        if termios.tcgetattr(self.terminal_fd) != self.attributes:
            raise Failure("the terminal's attributes were not restored")

