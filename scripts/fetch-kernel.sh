#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Gets the guest's parts without installing them: Debian's cloud kernel and a static busybox, unpacked into the
# cache. Prints the folder, which then holds `vmlinuz`, `config` and `busybox`.
#
#   scripts/fetch-kernel.sh             what the cache has, else the newest of the package lists
#   scripts/fetch-kernel.sh --refresh   the newest of the package lists
#
# MOTE_KERNEL and MOTE_BUSYBOX name files to take instead of downloading.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

GUEST_META=linux-image-cloud-amd64

# package_candidate PACKAGE: the version that would be installed, empty when the lists do not have it.
package_candidate() {
  apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

kernel_package() {
  apt-cache depends --no-recommends --no-suggests "$GUEST_META" 2>/dev/null |
    awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }'
}

# package_unpack PACKAGE FOLDER: download and unpack without installing.
package_unpack() {
  local package=$1 folder=$2
  mkdir -p "$folder/deb"
  if ! (cd "$folder/deb" && quietly "downloading $package" apt-get download -q "$package"); then
    apt_update
    (cd "$folder/deb" && quietly "downloading $package, second try" apt-get download -q "$package")
  fi
  dpkg-deb -x "$folder"/deb/*.deb "$folder"
  rm -r "$folder/deb"
}

# guest_unpack FOLDER: fill it; the last step of a download is a rename, so a broken one leaves nothing behind.
guest_unpack() {
  local folder=$1
  work=$(mktemp -d "$CACHE/.fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/out"
  package_unpack "$(kernel_package)" "$work/kernel"
  package_unpack busybox-static "$work/busybox"
  cp "$work"/kernel/boot/vmlinuz-* "$work/out/vmlinuz"
  cp "$work"/kernel/boot/config-* "$work/out/config"
  cp "$(find "$work/busybox" -type f -path '*bin/busybox')" "$work/out/busybox"
  mv -T "$work/out" "$folder" 2>/dev/null || [ -f "$folder/vmlinuz" ]
}

guest_from_lists() {
  local kernel version folder
  command -v apt-get >/dev/null || die "no apt-get: set MOTE_KERNEL and MOTE_BUSYBOX to files of your own"
  [ -n "$(package_candidate "$GUEST_META")" ] || apt_update
  version=$(package_candidate "$GUEST_META")
  [ -n "$version" ] || die "the package lists have no $GUEST_META: set MOTE_KERNEL and MOTE_BUSYBOX"
  kernel=$(kernel_package)
  folder=$CACHE/${kernel}_${version//[^A-Za-z0-9.+-]/_}
  [ -f "$folder/vmlinuz" ] || guest_unpack "$folder"
  touch "$folder"
  printf '%s\n' "$folder"
}

# guest_own: the user's own files under one folder, linked, so that the callers need no second way.
guest_own() {
  local folder
  [ -f "$MOTE_KERNEL" ] || die "MOTE_KERNEL: no such file: $MOTE_KERNEL"
  [ -f "${MOTE_BUSYBOX:-}" ] || MOTE_BUSYBOX=$(command -v busybox) ||
    die "MOTE_KERNEL without MOTE_BUSYBOX, and no busybox in the PATH"
  folder=$CACHE/own-$(printf '%s' "$MOTE_KERNEL:$MOTE_BUSYBOX" | sha256sum | cut -c1-16)
  mkdir -p "$folder"
  ln -sfn "$(realpath "$MOTE_KERNEL")" "$folder/vmlinuz"
  ln -sfn "$(realpath "$MOTE_BUSYBOX")" "$folder/busybox"
  printf '%s\n' "$folder"
}

guest_cached() {
  local folder newest=
  for folder in "$CACHE"/linux-image-*; do
    [ -f "$folder/vmlinuz" ] && { [ -z "$newest" ] || [ "$folder" -nt "$newest" ]; } && newest=$folder
  done
  [ -n "$newest" ] && printf '%s\n' "$newest"
}

mkdir -p "$CACHE"
if [ -n "${MOTE_KERNEL:-}" ]; then
  guest_own
elif [ "${1:-}" = --refresh ]; then
  guest_from_lists
else
  guest_cached || guest_from_lists
fi
