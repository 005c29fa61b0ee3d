# SPDX-License-Identifier: MIT
"""Guest kernel messages as something two machines can be compared by."""

import re

LEVEL_WARNING = 4

# What differs from run to run, in order: addresses and numbers keep their place and lose their value.
NORMAL = [
    (re.compile(r"^\[[^]]*\] ?"), ""),
    (re.compile(r"\b0x[0-9a-f]+\b"), "0xX"),
    (re.compile(r"\b[0-9a-f]{8,}\b"), "X"),
    (re.compile(r"\d+(\.\d+)*"), "N"),
    (re.compile(r"\s+"), " "),
]

# Lines that mote's guests may print although QEMU's do not: pattern, reason.
ALLOWED = []


def normalise(line):
    for pattern, replacement in NORMAL:
        line = pattern.sub(replacement, line)
    return line.strip()


def raw_lines(text):
    """(level, line) of each line of `dmesg -r` between the guest's marks."""
    body = text.split("mote-guest: dmesg begin", 1)[-1].split("mote-guest: dmesg end", 1)[0]
    for line in body.splitlines():
        match = re.match(r"<(\d+)>(.*)", line.strip())
        if match:
            yield int(match.group(1)) & 7, match.group(2)


def warnings(text):
    """Normalised line -> the line as printed, for warnings and worse."""
    return {normalise(line): line for level, line in raw_lines(text) if level <= LEVEL_WARNING}


def unexpected(ours, reference):
    """The warnings of `ours` that `reference` does not have and nobody allowed."""
    known = warnings(reference)
    return [line for key, line in warnings(ours).items()
            if key not in known and not any(re.search(pattern, line) for pattern, _ in ALLOWED)]
