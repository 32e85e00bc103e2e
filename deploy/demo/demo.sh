#!/usr/bin/env bash
# One alert, end to end, on real parts: a Ray worker's leftovers fill a disk until
# Prometheus fires by itself, and everything up to the closed incident is shown as it
# happens. Asks nothing; exit 0 only if every check at the end says ok.
# Needs root and Debian 12, for packages, namespaces and mounts; all of it runs in a
# world of its own (world.sh), of which nothing is left afterwards, Ctrl-C included.
# Slow only the first time: the build, and the image of a Ray node (about 3 minutes).
set -euo pipefail

SELF=$(realpath "${BASH_SOURCE[0]}")
HERE=$(dirname "$SELF")
readonly SELF HERE
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# Figures are read and written with a point, whatever the user's language.
export LC_ALL=C.UTF-8

# shellcheck source=deploy/demo/show/print.sh
source "$HERE/show/print.sh"

prepare() {
    # shellcheck source=deploy/demo/show/build.sh
    source "$HERE/show/build.sh"
    SCRATCH=$(mktemp -d)
    trap 'rm -rf "$SCRATCH"' EXIT
    headline "Preparing"
    step "Debian packages" "$HERE/install.sh"
    step "a Rust toolchain" toolchain_install
    step "raysweep (cargo build)" build_raysweep
    step "the image of a Ray node" "$HERE/ray-image.sh"
    rm -rf "$SCRATCH"
}

# What happens in the world; its end, in whatever way, is the end of all that it started.
inside() {
    local part
    # shellcheck source=deploy/demo/lib.sh
    source "$HERE/lib.sh"
    for part in config stage operator fill ask timeline checks summary; do
        # shellcheck source=/dev/null
        source "$HERE/show/$part.sh"
    done
    SCRATCH=$WORLD_DIR
    trap logs_on_failure EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    stage_up "$1"
    hosts_deploy
    stage_watch "$1"
    fill_until_pending
    timeline_watch
    summary
}

main() {
    if [[ ${1:-} == --inside ]]; then
        inside "$2"
        return
    fi
    if (($#)); then
        sed -n '2,/^set/{/^#/s/^# \?//p}' "$SELF" >&2
        return 64
    fi
    if ((EUID != 0)); then
        echo "demo.sh: needs root, for packages, namespaces and mounts: sudo make demo" >&2
        return 77
    fi
    prepare
    # Sparse, and what fills it is allocated and never written: it takes under 1 GiB.
    # exec, so that whoever ends this process ends the world.
    export WORLD_DISK_SIZE=16G
    exec "$HERE/world.sh" "$SELF" --inside "$RAYSWEEP"
}

main "$@"
