#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the small guest kernel: Debian's kernel source with the options of kernel.config. Some minutes the first time;
# then it is taken from the cache, by the version of the source and the content of the configuration.
# Prints the folder, which then holds `vmlinux` (with the PVH entry), `bzImage` and `config`.
#
#   guest/build-kernel.sh            make it where the cache does not have it
#   guest/build-kernel.sh --cached   only what the cache has; status 1 where it has none
set -euo pipefail
guest=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$guest/../scripts/lib.sh"

KERNEL_PACKAGES=(gcc libc6-dev make flex bison bc libelf-dev xz-utils lz4 perl)
SOURCE_META=linux-source

source_package() {
  apt-cache depends --no-recommends --no-suggests "$SOURCE_META" 2>/dev/null |
    awk '$1 == "Depends:" && $2 ~ /^linux-source-/ { print $2; exit }'
}

source_version() {
  apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# source_unpack PACKAGE FOLDER
source_unpack() {
  (cd "$2" && quietly "downloading $1 (140 MB)" apt-get download -q "$1")
  dpkg-deb --fsys-tarfile "$2"/*.deb | tar -x -C "$2" --wildcards './usr/src/*.tar.xz'
  quietly "unpacking $1" tar -x -J -C "$2" -f "$(find "$2/usr/src" -name '*.tar.xz')"
}

# kernel_make FOLDER TITLE MAKE ARGUMENT...
kernel_make() {
  local folder=$1 title=$2
  shift 2
  quietly "$title" env KBUILD_BUILD_USER=mote KBUILD_BUILD_HOST=guest \
    KCONFIG_ALLCONFIG="$guest/kernel.config" make -C "$folder" -j "$(nproc)" "$@"
}

# kernel_check CONFIG: every option asked for is there; a new source may have renamed one.
kernel_check() {
  local option
  grep -E '^CONFIG_[A-Z0-9_]+=y' "$guest/kernel.config" | while read -r option; do
    grep -qx "$option" "$1" || die "the kernel's configuration lacks $option"
  done
}

kernel_build() {
  local package=$1 folder=$2 source
  packages_install "${KERNEL_PACKAGES[@]}"
  work=$(mktemp -d "$CACHE/.kernel.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  source_unpack "$package" "$work"
  source=$(find "$work" -maxdepth 1 -type d -name 'linux-source-*')
  kernel_make "$source" "configuring the guest kernel" allnoconfig
  kernel_check "$source/.config"
  kernel_make "$source" "building the guest kernel (some minutes)" vmlinux bzImage
  mkdir "$work/out"
  cp "$source/.config" "$work/out/config"
  cp "$source/arch/x86/boot/bzImage" "$work/out/"
  strip -o "$work/out/vmlinux" "$source/vmlinux"
  mv -T "$work/out" "$folder" 2>/dev/null || [ -f "$folder/vmlinux" ]
}

mkdir -p "$CACHE"
config=$(sha256sum <"$guest/kernel.config" | cut -c1-12)
if [ "${1:-}" = --cached ] || ! command -v apt-get >/dev/null; then
  newest=$(find "$CACHE" -maxdepth 1 -type d -name "kernel-*-$config" | sort | tail -n 1)
  [ -n "$newest" ] || die "the cache has no guest kernel: run guest/build-kernel.sh"
  printf '%s\n' "$newest"
  exit
fi
package=$(source_package)
if [ -z "$package" ]; then
  apt_update
  package=$(source_package)
fi
[ -n "$package" ] || die "the package lists have no $SOURCE_META"
folder=$CACHE/kernel-$(source_version "$package" | tr -c 'A-Za-z0-9.+\n-' _)-$config
[ -f "$folder/vmlinux" ] || kernel_build "$package" "$folder"
printf '%s\n' "$folder"
