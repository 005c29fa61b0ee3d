#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Everything that must hold before a change is done: builds with gcc and clang, warnings as errors; all tests on the
# release build, and on a debug build with AddressSanitizer and UndefinedBehaviorSanitizer; the interpreter in plain C
# on this host, and on Debian its unit tests for arm64. Installs what is missing.
# The last line is "N passed, N failed", over all tests of all builds.
#
#   scripts/check.sh            all; up to 40 minutes on two slow cores
#   scripts/check.sh --quick    without the end-to-end tests and without clang-tidy
#
# The builds are under build-check/; what a failed test printed is in build-check/*/meson-logs/testlog.txt.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
cd "$here/.."
unset MOTE # each build tests its own binary

CHECK_PACKAGES=(clang clang-format clang-tidy cppcheck e2fsprogs iproute2 qemu-system-x86 qemu-utils nasm)
CROSS_PACKAGES=(gcc-aarch64-linux-gnu qemu-user libc6-dev:arm64 zlib1g-dev:arm64 libzstd-dev:arm64 liblz4-dev:arm64
  liblzma-dev:arm64 liburing-dev:arm64 libslirp-dev:arm64 libcmocka-dev:arm64)
quick=
[ "${1:-}" != --quick ] || quick=yes
failures=0
built=()

# step TITLE COMMAND...: counts a failed step, and goes on.
step() {
  quietly "$@" || failures=$((failures + 1))
}

# build FOLDER COMPILER MESON OPTION...
build() {
  local folder=build-check/$1 compiler=$2
  shift 2
  if [ ! -f "$folder/build.ninja" ]; then
    CC=$compiler step "configuring $folder" meson setup "$folder" -Dwerror=true "$@"
  fi
  if quietly "building $folder" ninja -C "$folder"; then
    built+=("$folder")
  else
    failures=$((failures + 1))
  fi
}

# tests FOLDER MESON OPTION...: what failed is told by tools/sum-tests at the end.
tests() {
  local folder=build-check/$1 log
  shift
  [[ " ${built[*]} " == *" $folder "* ]] || return 0
  say "testing $folder"
  rm -f "$folder"/meson-logs/testlog*.json
  log=$(mktemp)
  meson test -C "$folder" --no-rebuild "$@" >"$log" 2>&1 </dev/null ||
    grep -E '^ *[0-9]+/[0-9]+ .*(FAIL|ERROR|TIMEOUT)' "$log" >&2 || true
  rm -f "$log"
  [ -f "$folder/meson-logs/testlog.json" ] || failures=$((failures + 1))
}

packages_install "${BUILD_PACKAGES[@]}" "${CHECK_PACKAGES[@]}"

build gcc gcc --buildtype=release
build clang clang --buildtype=release
build asan gcc --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
build portable gcc --buildtype=release -Dportable=true
if [ -z "$quick" ] && architecture_add arm64; then
  packages_install "${CROSS_PACKAGES[@]}"
  build aarch64 gcc --buildtype=release --cross-file cross/aarch64.ini
fi

# Before the tests that need it, since it takes minutes; the cache keeps it.
[ -n "$quick" ] || step "making the guest kernel" guest/build-kernel.sh

# The sanitizers slow a guest down some ten times.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
if [ -n "$quick" ]; then
  tests gcc --no-suite e2e --no-suite style
else
  tests gcc
fi
tests clang --suite unit --suite golden
tests portable --suite unit --suite insn --suite guest
tests aarch64 --suite unit --timeout-multiplier 4
MOTE_TEST_SCALE=${MOTE_TEST_SCALE:-4} tests asan --timeout-multiplier 4 --no-suite style

exec tools/sum-tests --failed "$failures" "${built[@]}"
