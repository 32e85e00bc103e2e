#!/usr/bin/env bash
# Outlives a world by a moment and takes away what does not go with its processes: the
# cgroups, the scratch folder, and a loop device that a kill caught half made.
# Standard input ends when the last process of the world has.
set -euo pipefail

readonly BOUND=30

# Signals are for the world; who ends it expects this to be done.
trap '' INT TERM HUP
exec >&2

processes_gone() {
    local ns
    ns=$(cat "$WORLD_DIR/pidns" 2>/dev/null) || return 0
    [[ -z $(find /proc/[0-9]*/ns/pid -maxdepth 0 -lname "$ns" 2>/dev/null) ]]
}

loop_devices_gone() {
    local file left=0
    for file in /sys/block/loop*/loop/backing_file; do
        [[ $(cat "$file" 2>/dev/null) == "$WORLD_DIR"/* ]] || continue
        left=1
        file=${file#/sys/block/}
        losetup -d "/dev/${file%%/*}" 2>/dev/null || true
    done
    ((left == 0))
}

# Docker made them below a parent of the world's own name, under each hierarchy.
cgroups_gone() {
    local parent left=0
    for parent in "/sys/fs/cgroup/$WORLD_ID" /sys/fs/cgroup/*/"$WORLD_ID"; do
        [[ -d $parent ]] || continue
        find "$parent" -depth -type d -exec rmdir {} + 2>/dev/null || left=1
    done
    ((left == 0))
}

# --one-file-system: should a mount be left, its contents are not ours to delete.
scratch_gone() {
    rm -rf --one-file-system "$WORLD_DIR" 2>/dev/null
}

await() {
    local what=$1 deadline=$((SECONDS + BOUND))
    until "$what"; do
        if ((SECONDS > deadline)); then
            echo "world-reap.sh: not ${what/_/ } after ${BOUND}s: $WORLD_DIR"
            return 1
        fi
        sleep 0.05
    done
}

main() {
    local code=0
    cat >/dev/null
    for what in processes_gone loop_devices_gone cgroups_gone scratch_gone; do
        await "$what" || code=1
    done
    return "$code"
}

main
