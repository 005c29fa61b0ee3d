#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the command lines of a table and compare what they print; compare texts with files."""

import shlex
import subprocess
import sys


def read_cases(path):
    """Pairs of (line number, arguments, expected status, expected line)."""
    arguments = None
    with open(path, encoding='utf-8') as table:
        for number, line in enumerate(table, 1):
            line = line.rstrip('\n')
            if line.startswith('$'):
                arguments = shlex.split(line[1:])
            elif line and not line.startswith('#'):
                status, _, text = line.partition(' ')
                yield number, arguments, int(status), text


def matches(expected, actual):
    if expected.endswith('...') and actual.startswith(expected[:-3]):
        return True
    return expected == actual


def check_case(program, arguments, status, text):
    """The complaint about one case, or None."""
    run = subprocess.run([program] + arguments, stdin=subprocess.DEVNULL, capture_output=True,
                         text=True, timeout=20, check=False)
    if run.returncode != status:
        return f'status {run.returncode}, not {status}: {run.stderr}'
    if status and (run.stdout or run.stderr.count('\n') != 1):
        return f'an error is one line on stderr, not {run.stdout!r} and {run.stderr!r}'
    printed = run.stderr if status else run.stdout
    if not matches(text, printed.split('\n')[0]):
        return f'printed   {printed.strip()}\n  expected  {text}'
    return None


def run_table(program, path):
    count = failures = 0
    for number, arguments, status, text in read_cases(path):
        count += 1
        complaint = check_case(program, arguments, status, text)
        if complaint:
            failures += 1
            print(f'{path}:{number}: {shlex.join(arguments)}\n  {complaint}')
    print(f'{count} command lines, {failures} failures')
    return failures or not count


def compare(program, option, path):
    made = subprocess.run([program, option], capture_output=True, text=True, timeout=20,
                          check=True).stdout
    with open(path, encoding='utf-8') as kept:
        if kept.read() == made:
            return 0
    print(f'{path} is out of step with the table of options; make it anew by\n'
          f'  {program} {option} > {path}')
    return 1


def main():
    if len(sys.argv) == 3:
        return bool(run_table(sys.argv[1], sys.argv[2]))
    return compare(*sys.argv[1:4])


if __name__ == '__main__':
    sys.exit(main())
