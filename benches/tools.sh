#!/usr/bin/env bash
# Installs what raysweep is measured against, into a folder that is kept between runs, and
# strace, which counts. Quick and silent when nothing is missing.
# Usage: tools.sh FOLDER
set -euo pipefail

readonly TOOLS=$1
# CRATE VERSION PROGRAM
readonly PEERS=(
    "rmz 3.2.1 rmz"
    "diskus 0.9.0 diskus"
    "parallel-disk-usage 0.24.0 pdu"
)

for peer in "${PEERS[@]}"; do
    read -r crate version program <<<"$peer"
    if [[ ! -x $TOOLS/bin/$program ]] || ! grep -qF "\"$crate $version " "$TOOLS/.crates.toml"; then
        cargo install --quiet --locked --root "$TOOLS" "$crate@$version"
    fi
done
if ! command -v strace >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    options=(-qq -y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300)
    apt-get install "${options[@]}" strace >/dev/null ||
        { apt-get update -qq && apt-get install "${options[@]}" strace >/dev/null; }
fi
