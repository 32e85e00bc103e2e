#!/usr/bin/env bash
# Ten hosts, each a network namespace with users, keys and an sshd of its own, deployed to, used and
# left as they were. As root. Usage: run.sh [BINARY [SCRIPT]]
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

binary=$(realpath "${1:-target/debug/raysweep}")
deploy/demo/install.sh >&2
exec deploy/demo/world.sh "tests/fleet/${2:-test}.sh" "$binary"
