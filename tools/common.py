# SPDX-License-Identifier: MIT
"""Shared by the checks of this folder: the tree's files, and how findings are told."""

import fnmatch
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHECK_FAILED = 1


def tracked(*patterns):
    """Files that git knows, or would add; without git, all but build folders. Paths relative to ROOT."""
    try:
        listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", *patterns], cwd=ROOT,
                                 check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        names = [pathlib.Path(name) for name in listing.splitlines()]
    except (OSError, subprocess.CalledProcessError):
        names = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
        names = [n for n in names if not n.parts[0].startswith((".git", "build"))]
        if patterns:
            names = [n for n in names if any(fnmatch.fnmatch(str(n), p) for p in patterns)]
    return sorted(n for n in names if (ROOT / n).is_file())


def c_files():
    return tracked("*.c", "*.h")


def need_tool(name):
    """The path of a program; a check that cannot run is a failed check."""
    path = shutil.which(name)
    if not path:
        sys.exit(f"{name} is not installed: scripts/check.sh installs it")
    return path


def finish(findings):
    """Prints the findings and ends with the status that goes with them."""
    for finding in findings:
        print(finding)
    print(f"{len(findings)} finding{'' if len(findings) == 1 else 's'}")
    sys.exit(CHECK_FAILED if findings else 0)
