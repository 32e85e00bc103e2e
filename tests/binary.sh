#!/usr/bin/env bash
# Builds the program and one of the test binaries that run inside a world, with what the world stands
# on, and prints the binary's path. As root. Usage: binary.sh NAME
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

name=$1
# Fails where it cannot be run: a test that is not run has not passed.
if ((EUID != 0)); then
    echo "binary.sh: $name needs root, for namespaces, mounts and Docker" >&2
    exit 77
fi
deploy/demo/install.sh >&2
cargo build --locked >&2
binary=$(cargo test --locked --no-run --test "$name" --message-format=json-render-diagnostics |
    jq -r --arg name "$name" 'select(.executable != null and .target.name == $name).executable')
[[ -x $binary ]] || {
    echo "binary.sh: cargo names no binary of $name" >&2
    exit 1
}
echo "$binary"
