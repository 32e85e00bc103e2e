#!/usr/bin/env bash
# The first process of a world: sets the stage, then runs the command. Its end is the
# end of every process of the world, and of the mounts with them.
set -euo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=deploy/demo/lib/mounts.sh
source "$here/mounts.sh"

# Mounted by its path, so that the loop device detaches itself with the last mount of
# it; then unlinked, so that the space goes in the same moment.
make_disk() {
    local image=$WORLD_DIR/disk.img
    truncate -s "${WORLD_DISK_SIZE:-4G}" "$image"
    # Nothing kept back for root: the figures in the tests are then the true ones.
    mkfs.ext4 -q -m 0 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$image"
    mkdir "$WORLD_DIR/disk"
    mount -o loop "$image" "$WORLD_DIR/disk"
    rm "$image"
}

set_environment() {
    export DOCKER_HOST=unix://$WORLD_DIR/docker.sock
    # The user's own settings may name another context or a credential store.
    export DOCKER_CONFIG=$WORLD_DIR/docker-config
    unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION
    # Nothing in here reaches a proxy: traffic stays on loopback and the bridge.
    unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY
}

main() {
    # The reaper looks for this id to know which processes are ours.
    readlink /proc/self/ns/pid >"$WORLD_DIR/pidns"
    local code=0
    ip link set lo up
    mkdir "$WORLD_DIR"/{state,log,pid,docker-config}
    make_disk
    private_tree "$WORLD_DIR/state"
    set_environment
    # The working folder may have been covered by a mount.
    cd "$PWD"
    # Ctrl-C reaches the command as well: it decides, and its exit code is ours.
    trap : INT TERM
    "$@" || code=$?
    exit "$code"
}

main "$@"
