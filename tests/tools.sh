#!/usr/bin/env bash
# Installs what the tests need beside Rust: Debian packages, and cargo-deny into a folder
# that is kept between runs. Quick when nothing is missing.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

readonly DENY_VERSION=0.20.2
tools=$1

if ! command -v cargo >/dev/null; then
    echo "tools.sh: cargo is missing: install Rust (https://rustup.rs) with clippy and rustfmt" >&2
    exit 1
fi

missing=()
for need in "shellcheck shellcheck" "systemd-analyze systemd" "cc gcc" "column bsdextrautils"; do
    command -v "${need%% *}" >/dev/null || missing+=("${need##* }")
done
if ((${#missing[@]})); then
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq -y --no-install-recommends --no-remove "${missing[@]}" >/dev/null ||
        { apt-get update -qq && apt-get install -qq -y --no-install-recommends --no-remove "${missing[@]}"; }
fi
deploy/demo/install.sh

if [[ $("$tools/bin/cargo-deny" --version 2>/dev/null) != "cargo-deny $DENY_VERSION" ]]; then
    cargo install --quiet --locked --root "$tools" "cargo-deny@$DENY_VERSION"
fi
