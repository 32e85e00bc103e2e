#!/usr/bin/env bash
# Installs the Debian packages that a release is made with. Quick and silent when nothing is missing.
set -euo pipefail
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive

readonly NEEDS=("dh debhelper" "lintian lintian" "readelf binutils" "jq jq" "git git")

missing() {
    local need
    for need in "${NEEDS[@]}"; do
        command -v "${need%% *}" >/dev/null || echo "${need##* }"
    done
    # Debian's Python cannot make a venv by itself.
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
}

install() {
    apt-get install -qq -y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300 "$@" >/dev/null
}

mapfile -t packages < <(missing)
((${#packages[@]})) || exit 0
((EUID == 0)) || {
    echo "install.sh: needs root to install: ${packages[*]}" >&2
    exit 1
}
install "${packages[@]}" || { apt-get update -qq && install "${packages[@]}"; }
