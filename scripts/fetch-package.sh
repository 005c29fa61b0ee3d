#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Unpacks a Debian package into the cache, without installing it, and prints the folder.
#
#   scripts/fetch-package.sh memtest86+
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

package=$1
folder=$CACHE/package-$package

if [ ! -d "$folder" ]; then
  command -v apt-get >/dev/null || die "no apt-get to download $package with"
  mkdir -p "$CACHE"
  work=$(mktemp -d "$CACHE/.package.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && quietly "downloading $package" apt-get download -q "$package")
  dpkg-deb -x "$work"/*.deb "$work/out"
  mv -T "$work/out" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
printf '%s\n' "$folder"
