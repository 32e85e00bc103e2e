#!/usr/bin/env bash
# Inside a world: unpacks the fresh Debian and boots its systemd, which runs cycle.sh and ends.
# Usage: boot.sh BASE.tar FOLDER   FOLDER holds cycle.sh and what that needs, and is /cycle in there
#   BOUND   after how many seconds it has not come to an end (240)
set -euo pipefail

SELF=$(realpath "${BASH_SOURCE[0]}")
readonly SELF
# Everything in there has bounds of its own; this is for a systemd that hangs.
readonly BOUND=${BOUND:-240}

# A cgroup of the world's own, v2 as on most machines; the world takes it away.
enter_cgroup() {
    local hierarchy=/sys/fs/cgroup
    [[ $(stat -f -c %T "$hierarchy") == cgroup2fs ]] || hierarchy+=/unified
    # Below the one that Docker has there too, where it runs.
    mkdir -p "$hierarchy/$WORLD_ID/booted"
    echo $$ >"$hierarchy/$WORLD_ID/booted/cgroup.procs"
}

# What a machine's kernel and its first programs would have made. As the first process of the namespaces.
stage() {
    local root=$1 device
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in null zero full random urandom tty; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    cd "$root"
    mkdir -p outside
    pivot_root . outside
    exec chroot . /bin/sh -c 'umount --lazy /outside && rmdir /outside && exec "$@"' sh \
        env -i container=raysweep PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --unit=cycle.service --log-level=warning --log-target=console
}

unit() {
    cat <<EOF
[Unit]
Description=What is tested
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/cycle/cycle.sh
StandardOutput=truncate:/cycle/out
StandardError=inherit
TimeoutStartSec=$((BOUND - 30))
EOF
}

main() {
    if [[ $1 == --stage ]]; then
        stage "$2"
        return
    fi
    local base=$1 folder=$2 root=$WORLD_DIR/root
    mkdir "$root"
    tar -xf "$base" -C "$root"
    echo raysweep-package >"$root/etc/hostname"
    cp -r --no-preserve=ownership "$folder" "$root/cycle"
    chmod 755 "$root/cycle"
    unit >"$root/etc/systemd/system/cycle.service"
    enter_cgroup
    timeout --kill-after=10 "$BOUND" unshare --mount --propagation private --pid --uts --ipc --cgroup --fork \
        --kill-child -- "$SELF" --stage "$root" >"$root/cycle/console" 2>&1 || true
    # Where systemd never came to the unit there is no such file, and only the console can say why.
    cat "$root/cycle/out" || true
    if ! tail -n 1 "$root/cycle/out" 2>/dev/null | grep -qx '[0-9]* passed, 0 failed'; then
        tail -n 30 "$root/cycle/console" >&2
        return 1
    fi
}

main "$@"
