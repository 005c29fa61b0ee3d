#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the guest's root disk (guest/tree.sh): an ext4 file system of 128 MiB without partitions, sparse.
# Prints its path in the cache; copy it before a guest writes to it. Its name says its content, so it is made once.
set -euo pipefail
guest=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$guest/../scripts/lib.sh"
. "$guest/tree.sh"

busybox=$("$guest/../scripts/fetch-kernel.sh")/busybox
image=$CACHE/root-$(guest_tree_key "$busybox" "$guest/make-root.sh").ext4
if [ ! -f "$image" ]; then
  packages_install e2fsprogs
  work=$(mktemp -d "$CACHE/.root.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  guest_tree "$busybox" "$work/root"
  truncate -s 128M "$work/root.ext4"
  quietly "making the root disk" mke2fs -q -t ext4 -E root_owner=0:0 -d "$work/root" "$work/root.ext4"
  mv "$work/root.ext4" "$image"
fi
printf '%s\n' "$image"
