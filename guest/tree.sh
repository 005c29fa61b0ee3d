# SPDX-License-Identifier: MIT
# The files of the test guest, for an initramfs or a disk: busybox, the scripts of tests/e2e/guest and, where a
# compiler is at hand, the small programs there. Sourced with bash, after scripts/lib.sh, not run.
# shellcheck shell=bash

guest_scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../tests/e2e/guest" && pwd)

# guest_tree BUSYBOX FOLDER: fill the folder.
guest_tree() {
  local busybox=$1 root=$2 program
  mkdir -p "$root"/{bin,dev,etc,mnt,proc,root,sys,tmp}
  for program in $("$busybox" --list); do
    ln -s busybox "$root/bin/$program"
  done
  install -m 755 "$busybox" "$guest_scripts"/{selfcheck,poweroff} "$root/bin"
  ln -sf poweroff "$root/bin/reboot"
  ln -s bin "$root/sbin"
  install -m 755 "$guest_scripts/init" "$root/init"
  ln -sf ../init "$root/bin/init"
  install -m 644 "$guest_scripts/shrc" "$root/etc/shrc"
  for program in "$guest_scripts"/*.S; do
    cc -nostdlib -static -o "$root/bin/$(basename "$program" .S)" "$program"
  done
  for program in "$guest_scripts"/*.c; do
    [ ! -f "$program" ] || cc -O2 -static -pthread -o "$root/bin/$(basename "$program" .c)" "$program"
  done
}

# guest_tree_key BUSYBOX FILE...: a name for the content, made also of the scripts that use it.
guest_tree_key() {
  find "$guest_scripts" -type f -print0 | LC_ALL=C sort -z | xargs -0 cat "${BASH_SOURCE[0]}" "$@" |
    sha256sum | cut -c1-16
}
