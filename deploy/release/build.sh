#!/usr/bin/env bash
# Builds the program so that it runs wherever there is the glibc that is asked for or a newer one, and
# prints its path. zig brings the linker and the old glibc's symbols. Usage: build.sh GLIBC
#   PROFILE=release   cargo's
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

readonly ZIGBUILD_VERSION=0.24.1 ZIG_VERSION=0.17.1
readonly TARGET=x86_64-unknown-linux-gnu
readonly PROFILE=${PROFILE:-release}

# In a place of their own: nothing else is to take this linker for the system's.
tools=${RAYSWEEP_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/raysweep/tools}/zig

have_tools() {
    local found
    found=$("$tools/bin/pip" list --format=freeze 2>/dev/null) || return
    grep -qx "cargo-zigbuild==$ZIGBUILD_VERSION" <<<"$found" && grep -qx "ziglang==$ZIG_VERSION" <<<"$found"
}

install_tools() {
    have_tools && return
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check \
        "cargo-zigbuild==$ZIGBUILD_VERSION" "ziglang==$ZIG_VERSION"
}

main() {
    local glibc=$1 target_directory binary
    install_tools >&2
    target_directory=$(cargo metadata --locked --no-deps --format-version 1 | jq -r .target_directory)
    export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
    # Where somebody's sources lie is nobody's business, and would make every machine's build another one.
    export RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates --remap-path-prefix=$PWD=raysweep"
    PATH="$tools/bin:$PATH" cargo zigbuild --locked --profile "$PROFILE" --bin raysweep --target "$TARGET.$glibc" >&2
    binary=$target_directory/$TARGET/${PROFILE/%dev/debug}/raysweep
    # Nothing is shipped that only a debugger reads; a release is built without.
    if [[ $PROFILE != release ]]; then
        strip --strip-debug -o "$binary.stripped" "$binary"
        binary+=.stripped
    fi
    echo "$binary"
}

main "$@"
