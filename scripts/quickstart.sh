#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From a fresh clone to the shell of a Debian kernel: installs what is missing, builds mote, fetches the guest,
# boots it. `exit` or `poweroff` in the guest ends it; Ctrl-A x ends it from outside.
# Without a terminal on stdin the guest checks itself instead, and the exit status says how that went.
#
#   scripts/quickstart.sh [MOTE OPTION...]     for example: scripts/quickstart.sh -m 1g -smp 4
#
# MOTE=path boots another binary (QEMU's qemu-system-x86_64 understands the same command line).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
cd "$here/.."

CHECK_SECONDS=${CHECK_SECONDS:-120}

boot() {
  "$MOTE" -M microvm -m 512m -smp 2 -nodefaults -nographic -no-reboot -serial mon:stdio \
    -kernel "$parts/vmlinuz" -initrd "$initrd" "$@"
}

# What -smp and -m will be after the user's options, for the guest's check; unknown forms are not checked.
expectations() {
  local cpus=2 mem=512
  while [ $# -gt 1 ]; do
    case $1 in
      -smp) cpus=${2%%,*} ;;
      -m) mem= ;;
    esac
    shift
  done
  printf 'want_cpus=%s%s' "${cpus#cpus=}" "${mem:+ want_mem=$mem}"
}

boot_checked() {
  local status=0
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  say "stdin is not a terminal: the guest checks itself"
  export MOTE parts initrd
  export -f boot
  # $@ is for the inner shell.
  # shellcheck disable=SC2016
  timeout "$CHECK_SECONDS" bash -c 'boot "$@"' boot \
    -append "console=ttyS0 quiet panic=-1 run=check $(expectations "$@")" "$@" </dev/null 2>&1 | tee "$log" || status=$?
  [ "$status" != 124 ] || die "the guest did not finish within $CHECK_SECONDS s"
  [ "$status" = 0 ] || die "$MOTE ended with status $status"
  grep -q '^selfcheck: [1-9][0-9]* passed, 0 failed' "$log" || die "the guest's check failed, see above"
  say "the guest works"
}

if [ -z "${MOTE:-}" ]; then
  packages_install "${BUILD_PACKAGES[@]}"
  build_mote build-release --buildtype=release
  MOTE=build-release/mote
fi
parts=$("$here/fetch-kernel.sh")
initrd=$("$here/make-initrd.sh")

if [ -t 0 ]; then
  say "booting; leave with 'exit' or 'poweroff', or with Ctrl-A x"
  boot -append "console=ttyS0 quiet panic=-1" "$@"
else
  boot_checked "$@"
fi
