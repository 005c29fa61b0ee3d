# SPDX-License-Identifier: MIT
# Shared by the scripts of this folder: progress lines, packages, the cache folder. Sourced with bash, not run.
# shellcheck shell=bash disable=SC2034

CACHE=${MOTE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mote}
BUILD_PACKAGES=(gcc libc6-dev meson ninja-build pkg-config python3
  zlib1g-dev libzstd-dev liblz4-dev liblzma-dev liburing-dev libslirp-dev libcmocka-dev)

say() {
  printf '>> %s\n' "$*" >&2
}

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# quietly TITLE COMMAND...: shows only the title, and the end of the output when the command fails.
quietly() {
  local title=$1 log status=0
  shift
  say "$title"
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" != 0 ]; then
    tail -n 40 "$log" >&2
    printf 'error: %s: failed with status %s: %s\n' "$title" "$status" "$*" >&2
  fi
  rm -f "$log"
  return "$status"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root, and there is no sudo: $*"
  fi
}

# Ask for the sudo password where it can be read: `quietly` hides the prompt.
root_prepare() {
  [ "$(id -u)" = 0 ] || as_root true
}

packages_missing() {
  local package
  for package in "$@"; do
    # A line for each architecture that has it.
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      printf '%s\n' "$package"
  done
}

apt_update() {
  root_prepare
  quietly "updating the package lists" as_root apt-get update -q
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# packages_install PACKAGE...: only what is missing; nothing at all where there is no apt-get.
packages_install() {
  local -a missing
  if ! command -v apt-get >/dev/null; then
    say "no apt-get here: taking it that these are installed: $*"
    return
  fi
  mapfile -t missing < <(packages_missing "$@")
  [ "${#missing[@]}" != 0 ] || return 0
  root_prepare
  quietly "installing ${missing[*]}" apt_install "${missing[@]}" && return
  apt_update
  quietly "installing ${missing[*]}, second try" apt_install "${missing[@]}"
}

# architecture_add NAME: packages of another architecture can be installed. Fails where there is no dpkg.
architecture_add() {
  command -v dpkg >/dev/null && command -v apt-get >/dev/null || return 1
  [[ " $(dpkg --print-foreign-architectures | tr '\n' ' ') " != *" $1 "* ]] || return 0
  as_root dpkg --add-architecture "$1" && apt_update
}

# build_mote FOLDER [MESON OPTION...]: configure once, then build what changed, without the tests.
build_mote() {
  local folder=$1
  shift
  [ -f "$folder/build.ninja" ] || quietly "configuring $folder" meson setup "$folder" "$@"
  quietly "building $folder" ninja -C "$folder" mote
}
