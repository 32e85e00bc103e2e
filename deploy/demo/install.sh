#!/usr/bin/env bash
# Installs the Debian packages that the demo and the end-to-end tests stand on.
# Quick and silent when nothing is missing; no service is started or enabled.
set -euo pipefail

# A user's root shell may lack the sbin folders; then everything would look missing.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export DEBIAN_FRONTEND=noninteractive

# Asked for by command, not by package: a machine with Docker's own docker-ce has
# its dockerd already, and docker.io would conflict with it.
readonly NEEDS=(
    "prometheus prometheus"
    "prometheus-alertmanager prometheus-alertmanager"
    "prometheus-node-exporter prometheus-node-exporter"
    "sshd openssh-server"
    "ssh openssh-client"
    "dockerd docker.io"
    "docker docker.io"
    "containerd containerd"
    "runc runc"
    "podman podman"
    "ip iproute2"
    "iptables iptables"
    "mkfs.ext4 e2fsprogs"
    "mkfs.xfs xfsprogs"
    "debootstrap debootstrap"
    "sudo sudo"
    "cron cron"
    "logrotate logrotate"
    "jq jq"
    "curl curl"
    "ps procps"
    "bindfs bindfs"
    "nsenter util-linux"
    "losetup mount"
    "pip3 python3-pip"
    "chromium chromium"
    "chromedriver chromium-driver"
)
# Those of the packages above that bring a daemon.
readonly DAEMONS=" prometheus prometheus-alertmanager prometheus-node-exporter openssh-server docker.io containerd cron podman "
readonly POLICY=/usr/sbin/policy-rc.d
readonly POLICY_MARK='# placed by raysweep for the length of one install'

missing_packages() {
    local need
    for need in "${NEEDS[@]}"; do
        command -v "${need%% *}" >/dev/null || echo "${need##* }"
    done | sort -u
}

is_policy_ours() {
    grep -qsF "$POLICY_MARK" "$POLICY"
}

# On Debian a package starts its service as it is installed, unless policy-rc.d forbids it.
forbid_service_starts() {
    # The machine has one of its own.
    [[ ! -e $POLICY ]] || return 0
    trap 'rm -f "$POLICY"' EXIT
    printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >"$POLICY"
    chmod 755 "$POLICY"
}

# --no-remove: better to fail than to take away something that the machine has.
apt_install() {
    apt-get install -qq -y --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

# The package lists are fetched only when the ones at hand do not do.
install_packages() {
    local log
    log=$(mktemp)
    if ! apt_install "$@" >"$log" 2>&1; then
        apt-get update -qq -o DPkg::Lock::Timeout=300 >"$log" 2>&1 || true
        apt_install "$@" >>"$log" 2>&1 || {
            cat "$log" >&2
            rm -f "$log"
            return 1
        }
    fi
    rm -f "$log"
}

# A daemon's package enables its units for the next boot; what we brought in must not
# run then.
disable_units() {
    command -v systemctl >/dev/null || return 0
    local package unit
    for package in "$@"; do
        [[ $DAEMONS == *" $package "* ]] || continue
        for unit in $(units_of "$package"); do
            systemctl disable -q "$unit" >/dev/null 2>&1 || true
        done
    done
}

units_of() {
    dpkg -L "$1" | sed -n 's#^\(/usr\)\?/lib/systemd/system/\([^/@]*\.\(service\|socket\|timer\)\)$#\2#p'
}

main() {
    local packages
    mapfile -t packages < <(missing_packages)
    if ((${#packages[@]} == 0)) && { ((EUID != 0)) || ! is_policy_ours; }; then
        return 0
    fi
    if ((EUID != 0)); then
        echo "install.sh: needs root to install: ${packages[*]}" >&2
        return 1
    fi
    # The lock is on this file itself, so that no lock file is left anywhere.
    exec 9<"${BASH_SOURCE[0]}"
    flock -w 900 9 || {
        echo "install.sh: another install has had the lock on ${BASH_SOURCE[0]} for 15 minutes: see lslocks" >&2
        return 1
    }
    # One that is marked is of an install that was killed, since the lock is ours: no package would start its
    # service any more.
    ! is_policy_ours || rm -f "$POLICY"
    mapfile -t packages < <(missing_packages)
    ((${#packages[@]})) || return 0
    echo "install.sh: installing ${packages[*]}" >&2
    forbid_service_starts
    install_packages "${packages[@]}"
    disable_units "${packages[@]}"
    mapfile -t packages < <(missing_packages)
    if ((${#packages[@]})); then
        echo "install.sh: still missing after the install: ${packages[*]}" >&2
        return 1
    fi
}

main
