#!/usr/bin/env bash
# Installs what the tests need beside Rust: Debian packages, and cargo-deny into a folder
# that is kept between runs. Quick when nothing is missing.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

readonly DENY_VERSION=0.20.2
tools=$1

install() {
    export DEBIAN_FRONTEND=noninteractive
    local options=(-qq -y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300)
    apt-get install "${options[@]}" "$@" >/dev/null ||
        { apt-get update -qq && apt-get install "${options[@]}" "$@" >/dev/null; }
}

lints_and_formats() {
    cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1
}

# The demo's own way to a toolchain.
HERE=$PWD/deploy/demo
# shellcheck source=deploy/demo/show/build.sh
source "$HERE/show/build.sh"
toolchain_install
if ! lints_and_formats && dpkg -s cargo-web >/dev/null 2>&1; then
    install rust-web-clippy rustfmt-web
fi
if ! lints_and_formats; then
    echo "tools.sh: clippy or rustfmt is missing: rustup component add clippy rustfmt" >&2
    exit 1
fi

missing=()
for need in "shellcheck shellcheck" "systemd-analyze systemd" "cc gcc" "column bsdextrautils"; do
    command -v "${need%% *}" >/dev/null || missing+=("${need##* }")
done
if ((${#missing[@]})); then
    install "${missing[@]}"
fi
deploy/demo/install.sh

if [[ $("$tools/bin/cargo-deny" --version 2>/dev/null) != "cargo-deny $DENY_VERSION" ]]; then
    cargo install --quiet --locked --root "$tools" "cargo-deny@$DENY_VERSION"
fi
# It looks at all that Cargo.lock names, for other systems too, and asks nobody.
cargo fetch --quiet --locked
