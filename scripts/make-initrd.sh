#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the guest's root file system: busybox, the scripts of tests/e2e/guest and, where a compiler is at hand, the
# small programs there, as a cpio. Not compressed: that was measured to change nothing.
# Prints its path in the cache; its name says its content, so it is made once.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

guest=$here/../tests/e2e/guest
parts=$("$here/fetch-kernel.sh")
busybox=$parts/busybox

initrd_fill() {
  local root=$1 program
  mkdir -p "$root"/{bin,dev,etc,proc,root,sys,tmp}
  for program in $("$busybox" --list); do
    ln -s busybox "$root/bin/$program"
  done
  install -m 755 "$busybox" "$guest"/{selfcheck,poweroff} "$root/bin"
  ln -sf poweroff "$root/bin/reboot"
  ln -s bin "$root/sbin"
  install -m 755 "$guest/init" "$root/init"
  install -m 644 "$guest/shrc" "$root/etc/shrc"
  for program in "$guest"/*.S; do
    cc -nostdlib -static -o "$root/bin/$(basename "$program" .S)" "$program"
  done
  for program in "$guest"/*.c; do
    cc -Os -static -s -o "$root/bin/$(basename "$program" .c)" "$program"
  done
}

initrd_pack() {
  (cd "$1" && find . | LC_ALL=C sort | "$busybox" cpio -o -H newc -R 0:0 2>/dev/null)
}

key=$(cat "$guest"/* "$here/make-initrd.sh" "$busybox" | sha256sum | cut -c1-16)
initrd=$CACHE/initrd-$key.cpio
if [ ! -f "$initrd" ]; then
  work=$(mktemp -d "$CACHE/.initrd.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  initrd_fill "$work/root"
  initrd_pack "$work/root" >"$work/initrd.cpio"
  mv "$work/initrd.cpio" "$initrd"
fi
printf '%s\n' "$initrd"
