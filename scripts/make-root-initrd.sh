#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes an initramfs that loads the stock kernel's drivers for virtio-mmio disks, and goes on to the root file
# system on /dev/vda: the stock kernel has these drivers as modules. Prints its path in the cache.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

# In the order in which they need each other.
MODULES="virtio_ring virtio virtio_mmio virtio_blk"

kernel=$("$here/fetch-kernel.sh")
name=$(basename "$kernel")
initrd=$CACHE/root-$name.cpio

# module_unpack FOLDER: the package's modules.
module_unpack() {
  local package=${name%%_*} version=${name#*_}
  mkdir -p "$1/deb"
  (cd "$1/deb" && quietly "downloading $package" apt-get download -q "$package=$version")
  dpkg-deb -x "$1"/deb/*.deb "$1"
}

if [ ! -f "$initrd" ]; then
  work=$(mktemp -d "$CACHE/.root.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  module_unpack "$work/package"
  mkdir -p "$work/root"/{bin,dev,root}
  cp "$kernel/busybox" "$work/root/bin"
  for program in sh insmod mount sleep switch_root; do
    ln -s busybox "$work/root/bin/$program"
  done
  for module in $MODULES; do
    find "$work/package" -name "$module.ko" -exec cp {} "$work/root" \;
  done
  cat >"$work/root/init" <<END
#!/bin/sh
export PATH=/bin
mount -t devtmpfs dev /dev
for module in $MODULES; do
  insmod /\$module.ko
done
while [ ! -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /root
exec switch_root /root /init
END
  chmod 755 "$work/root/init"
  (cd "$work/root" && find . | LC_ALL=C sort | "$kernel/busybox" cpio -o -H newc -R 0:0 2>/dev/null) \
    >"$work/initrd.cpio"
  mv "$work/initrd.cpio" "$initrd"
fi
printf '%s\n' "$initrd"
