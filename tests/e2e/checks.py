# SPDX-License-Identifier: MIT
"""What the cases look at. Each check takes (bench, case), starts the machine and raises Failure, or Skip."""

import re
import signal

import dmesg
from vm import Failure

# isa-debug-exit turns v into the status 2v + 1; the guest's init writes these.
DEBUG_EXIT_GOOD = 2 * 0x10 + 1
PROMPT = r"guest# "
INIT = r"mote-guest: init"


class Skip(Exception):
    """Why a case cannot be run here."""


def _verdict(text):
    match = re.search(r"selfcheck: (\d+) passed, (\d+) failed", text)
    if not match:
        raise Failure("the guest gave no verdict")
    if int(match.group(1)) < 20 or int(match.group(2)) != 0:
        raise Failure("; ".join(re.findall(r"FAIL [^\r\n]*", text)) or match.group(0))


def selfcheck(bench, case, **parts):
    append = f"run=check want_cpus={case.cpus or case.smp} want_mem={case.mem} {case.append}"
    if not case.serial:
        with bench.start(case, append=f"{append} end=port", **parts) as vm:
            vm.wait(status=DEBUG_EXIT_GOOD)
        return
    with bench.start(case, append=append, **parts) as vm:
        vm.wait(status=0)
        _verdict(vm.text())


def selfcheck_vmlinux(bench, case):
    """The same kernel as an ELF file, through its PVH entry."""
    selfcheck(bench, case, kernel=bench.vmlinux())


def earlyprintk(bench, case):
    with bench.start(case, append=f"run=off {case.append}") as vm:
        vm.expect(r"bootconsole \[earlyser0\] enabled")
        vm.expect(INIT)
        vm.wait(status=0)


def reaches_init(bench, case):
    with bench.start(case, append=case.append) as vm:
        vm.expect(r"Run /init as init process")


def _command(vm, command, pattern):
    vm.send(command + "\n")
    vm.expect(pattern)
    vm.expect(PROMPT)


def session(bench, case):
    """A person at the console: types, edits, stops a job, leaves with exit."""
    with bench.start(case, terminal=True) as vm:
        vm.expect(PROMPT)
        _command(vm, "echo $((6 * 7)) answers", r"\n42 answers")
        _command(vm, "echo wrong\b\b\b\b\bright", r"\nright")
        _command(vm, "nproc", rf"\n{case.smp}\r")
        _command(vm, "stty -a | grep -c isig", r"\n1\r")
        vm.send("sleep 1000\n")
        vm.expect(r"sleep 1000\r*\n")
        vm.stays(1)
        vm.send("\x1a")  # Ctrl-Z: job control works
        vm.expect("Stopped")
        vm.expect(PROMPT)
        # fg waits for the end of the job; wait does not wait for a stopped one.
        _command(vm, "kill -9 %1; fg; echo gone", r"\ngone")
        vm.send("exit\n")
        vm.wait(status=0)
        vm.check_terminal_restored()


def control_c(bench, case):
    with bench.start(case, terminal=True) as vm:
        vm.expect(PROMPT)
        vm.send("sleep 1000; echo status $?\n")
        vm.expect(r"sleep 1000; echo status \$\?\r*\n")
        vm.stays(0.5)
        vm.send("\x03")
        vm.expect(r"\^C")
        vm.expect(PROMPT)
        vm.send("poweroff\n")
        vm.wait(status=0)
        vm.check_terminal_restored()


def quit_key(bench, case):
    with bench.start(case, append=case.append, terminal=True) as vm:
        vm.expect("mote-guest: idle")
        vm.send("\x01x")
        vm.wait(status=0)
        vm.check_terminal_restored()


def much_output(bench, case):
    """200 KB through the UART, whole and in order."""
    with bench.start(case, terminal=True) as vm:
        vm.expect(PROMPT)
        vm.send("stty -echo; echo be''gin; seq 1 35000; echo en''d\n")
        vm.expect(r"begin\r*\n")
        start = vm.seen
        vm.expect(r"\nend\r*\n")
        numbers = vm.output[start:vm.seen].decode().split()[:-1]
        if numbers != [str(n) for n in range(1, 35001)]:
            wrong = next((i for i, n in enumerate(numbers) if n != str(i + 1)), len(numbers))
            raise Failure(f"console output is damaged at line {wrong + 1} of 35000")


def much_input(bench, case):
    """A paste of 40 lines arrives whole: nothing overruns the receiver."""
    line = "0123456789" * 7
    with bench.start(case, terminal=True) as vm:
        vm.expect(PROMPT)
        vm.send("stty -echo; sha256sum <<EN''D; stty echo\n")
        for _ in range(40):
            vm.send(line + "\n")
        vm.send("END\n")
        # sha256 of the 40 lines, by the host.
        vm.expect(bench.sha256((line + "\n") * 40))


def stdin_closed(bench, case):
    """The end of stdin only stops the input."""
    with bench.start(case, append="run=check want_cpus=1 want_mem=512", stdin_closed=True) as vm:
        vm.wait(status=0)
        _verdict(vm.text())


def ends_with_0(bench, case):
    with bench.start(case, append=case.append) as vm:
        vm.expect(INIT)
        vm.wait(status=0)


def acpi_off_poweroff(bench, case):
    """No power switch: Linux halts, and the machine stays until somebody ends it."""
    with bench.start(case, append=case.append) as vm:
        vm.expect(r"reboot: (Power down|System halted)")
        vm.stays(1)
        _end_by(vm, signal.SIGTERM)


def boots_again(bench, case):
    with bench.start(case, append=case.append, no_reboot=False) as vm:
        for _ in range(3):
            vm.expect(INIT)
        _end_by(vm, signal.SIGTERM)


def panic_ends(bench, case):
    with bench.start(case, append=case.append) as vm:
        vm.expect("Kernel panic - not syncing: sysrq triggered crash")
        vm.wait(status=0)


def panic_stays(bench, case):
    with bench.start(case, append=case.append) as vm:
        vm.expect("end Kernel panic")
        vm.stays(1)
        _end_by(vm, signal.SIGTERM)


def debug_exit(bench, case):
    with bench.start(case, append=case.append, args=bench.DEBUG_EXIT) as vm:
        vm.expect(INIT)
        vm.wait(status=DEBUG_EXIT_GOOD)


def no_shutdown(bench, case):
    with bench.start(case, append=case.append) as vm:
        vm.expect("reboot: Power down")
        vm.stays(1)
        _end_by(vm, signal.SIGTERM)


def _end_by(vm, number):
    vm.signal(number)
    vm.wait(status=0)
    if f"terminating on signal {int(number)}" not in vm.stderr():
        raise Failure(f"no word about signal {int(number)} on stderr: '{vm.stderr().strip()}'")


def _ended_by(number):
    def check(bench, case):
        with bench.start(case, append=case.append, terminal=True) as vm:
            vm.expect("mote-guest: idle")
            _end_by(vm, number)
            vm.check_terminal_restored()
    return check


sigterm = _ended_by(signal.SIGTERM)
sigint = _ended_by(signal.SIGINT)
sighup = _ended_by(signal.SIGHUP)


def refused(bench, case):
    with bench.start_bare([arg.format(kernel=bench.kernel) for arg in case.args]) as vm:
        vm.wait(status=1)
        if case.stderr not in vm.stderr():
            raise Failure(f"stderr lacks '{case.stderr}': {vm.stderr().strip()}")


def _dmesg(bench, case, binary):
    with bench.start(case, append=f"run=dmesg {case.append}", binary=binary) as vm:
        vm.expect("mote-guest: dmesg end")
        vm.wait(status=0)
        return vm.text()


def dmesg_like_reference(bench, case):
    if not bench.reference:
        raise Skip("no qemu-system-x86_64 to compare with")
    ours = _dmesg(bench, case, bench.binary)
    if not list(dmesg.raw_lines(ours)):
        raise Failure("the guest's messages did not arrive")
    lines = dmesg.unexpected(ours, _dmesg(bench, case, bench.reference))
    if lines:
        # A busy host makes the guest doubt its clocks, now and then: what counts comes twice.
        again = dmesg.warnings(_dmesg(bench, case, bench.binary))
        lines = [line for line in lines if dmesg.normalise(line) in again]
    if lines:
        raise Failure("guest warnings that QEMU's guest does not have:\n  " + "\n  ".join(lines))
