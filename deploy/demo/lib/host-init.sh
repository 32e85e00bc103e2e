#!/usr/bin/env bash
# Makes a host within a world, in mount and UTS namespaces of its own, and holds it.
# Usage: host-init.sh NAME FOLDER
set -euo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=deploy/demo/lib/mounts.sh
source "$here/mounts.sh"

# Whatever the machine has of raysweep, and its cron jobs: a host starts as a fresh one.
forget_the_machine() {
    rm -rf /etc/raysweep /var/log/raysweep /var/lib/raysweep /usr/local/bin/raysweep \
        /etc/sudoers.d/raysweep /var/spool/cron/crontabs/*
    find /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly \
        -type f -delete 2>/dev/null || true
    : >/etc/crontab
}

main() {
    local name=$1 folder=$2
    hostname "$name"
    private_tree "$folder/state"
    # sudo looks its own host up.
    echo "127.0.1.1 $name" >>/etc/hosts
    echo "$name" >/etc/hostname
    forget_the_machine
    ln -s "$WORLD_DIR/docker.sock" /run/docker.sock
    touch "$folder/ready"
    exec sleep infinity
}

main "$@"
