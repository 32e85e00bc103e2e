#!/usr/bin/env bash
# Runs a command in a world whose only cgroups are v2, as on most hosts: the machine's own v2
# hierarchy takes the place of whatever it has mounted, for this world alone.
set -euo pipefail

if [[ $(stat -f -c %T /sys/fs/cgroup) != cgroup2fs ]]; then
    umount --recursive /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
export RUNTIMES_CGROUP=2
exec "$@"
