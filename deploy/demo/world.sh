#!/usr/bin/env bash
# Runs a command in a world of its own: own processes, mounts and network, own
# /etc, /run, /var/lib, /usr/local…, and a small disk of its own at $WORLD_DIR/disk.
# When it ends, in whatever way, nothing of it is left. The exit code is the command's.
# Usage: world.sh CMD [ARG…]
#   WORLD_DISK_SIZE   size of the disk (4G)
#   WORLD_BASE        where the scratch folder is made (/var/tmp: on a disk everywhere,
#                     while /tmp lies in memory on newer Debian)
set -euo pipefail

export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

main() {
    if (($# == 0)); then
        sed -n '2,/^set/{/^#/s/^# \?//p}' "${BASH_SOURCE[0]}" >&2
        return 64
    fi
    if ((EUID != 0)); then
        echo "world.sh: needs root, for namespaces and mounts" >&2
        return 77
    fi
    local here code=0 reaper
    here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
    # Short: paths of Unix sockets are made from it.
    WORLD_DIR=$(mktemp -d "${WORLD_BASE:-/var/tmp}/rsw.XXXXXX")
    chmod 755 "$WORLD_DIR"
    # Names everything that a kernel keeps by name rather than by process (cgroups).
    WORLD_ID=raysweep-${WORLD_DIR##*.}
    export WORLD_DIR WORLD_ID

    # Every process of the world inherits the write end; the reaper outside reads the
    # other one, so the end of file tells it that the world is over, whoever was killed.
    exec 8> >(exec setsid "$here/lib/world-reap.sh")
    reaper=$!
    # Slave mounts: what the machine unmounts meanwhile is not held back by us.
    # The death signals make a chain: this script, unshare, the world's first process,
    # and with that one the kernel ends all the others.
    setpriv --pdeathsig KILL -- \
        unshare --mount --propagation slave --net --pid --fork --kill-child --mount-proc -- \
        "$here/lib/world-init.sh" "$@" || code=$?
    exec 8>&-
    wait "$reaper" || {
        echo "world.sh: something of $WORLD_DIR is left" >&2
        ((code)) || code=70
    }
    return "$code"
}

main "$@"
