#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the guest's initramfs (guest/tree.sh) as a cpio. Not compressed: that was measured to change nothing.
# Prints its path in the cache; its name says its content, so it is made once.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
. "$here/../guest/tree.sh"

busybox=$("$here/fetch-kernel.sh")/busybox

initrd_pack() {
  (cd "$1" && find . | LC_ALL=C sort | "$busybox" cpio -o -H newc -R 0:0 2>/dev/null)
}

initrd=$CACHE/initrd-$(guest_tree_key "$busybox" "$here/make-initrd.sh").cpio
if [ ! -f "$initrd" ]; then
  work=$(mktemp -d "$CACHE/.initrd.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  guest_tree "$busybox" "$work/root"
  initrd_pack "$work/root" >"$work/initrd.cpio"
  mv "$work/initrd.cpio" "$initrd"
fi
printf '%s\n' "$initrd"
