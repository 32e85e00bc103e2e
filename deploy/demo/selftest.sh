#!/usr/bin/env bash
# Shows that a world works and that nothing of it is left, however it ends.
# Usage: selftest.sh            everything: the parts, then the ends
#        selftest.sh parts      the parts once, with timings and sizes
#        selftest.sh ends       normal end, exit code, signals, kill -9, two at once
set -euo pipefail

SELF=$(realpath "${BASH_SOURCE[0]}")
HERE=$(dirname "$SELF")
readonly SELF HERE

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# shellcheck source=deploy/demo/lib/selftest-parts.sh
source "$HERE/lib/selftest-parts.sh"
# shellcheck source=deploy/demo/lib/selftest-ends.sh
source "$HERE/lib/selftest-ends.sh"

main() {
    case ${1:-all} in
        all) prepare && run_parts && run_ends ;;
        parts) prepare && run_parts ;;
        ends) prepare && run_ends ;;
        --inside-parts) inside_parts "$2" ;;
        --inside-ends) inside_ends "$2" "$3" ;;
        *) fail "unknown argument: $1" ;;
    esac
}

prepare() {
    "$HERE/install.sh"
    local tar
    tar=$("$HERE/ray-image.sh")
    echo "image tar: $(du -h --apparent-size "$tar" | cut -f1)"
}

main "$@"
