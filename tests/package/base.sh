#!/usr/bin/env bash
# Makes a fresh Debian with what the package needs and what shows its pages and completions, as a tar, and
# prints its path. Usage: base.sh [NAME PACKAGE,…]   with these packages as well
# The tar is cached under ${XDG_CACHE_HOME:-~/.cache}/raysweep, by a hash of this script and its arguments, so
# that a changed recipe is never served from the cache.
set -euo pipefail

export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

readonly SUITE=bookworm
# The package's dependencies, so that installing it takes no network, and the shells and pagers of a reader.
readonly PACKAGES=systemd,openssh-client,man-db,bash-completion,zsh,fish
readonly SELF=${BASH_SOURCE[0]}
name=${1:-package} more=${2:-}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/raysweep

# The mirror that apt uses on this machine; empty leaves debootstrap its own default.
# shellcheck disable=SC2016 # apt-get fills these in, not the shell
apt_mirror() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 2>/dev/null |
        awk -v suite="$SUITE" '$2 == suite && $3 == "main" && !seen++ { print $1 }' || true
}

# Runs in a mount and PID namespace of its own: what debootstrap mounts and starts goes with it.
build_inside() {
    local work=$1 mirror
    mirror=$(apt_mirror)
    debootstrap --variant=minbase --include="$PACKAGES${more:+,$more}" "$SUITE" "$work/root" ${mirror:+"$mirror"}
    rm -rf "$work"/root/var/lib/apt/lists/* "$work"/root/var/cache/apt/* "$work"/root/etc/{resolv.conf,hostname}
    tar --one-file-system --numeric-owner -C "$work/root" -cf "$work/root.tar" .
}

build() {
    local tar=$1 work
    work=$(mktemp -d "$cache/$name-root.XXXXXX")
    chmod 755 "$work"
    if ! setpriv --pdeathsig KILL unshare -m -p --fork --kill-child --mount-proc \
        "$SELF" "$name" "$more" --inside "$work" >"$work/log" 2>&1; then
        tail -n 40 "$work/log" >&2
        echo "base.sh: no fresh Debian could be made" >&2
        rm -rf "$work"
        return 1
    fi
    # A rename is atomic: a half-made tar never carries the final name.
    mv "$work/root.tar" "$tar"
    rm -rf "$work"
}

main() {
    if [[ ${3:-} == --inside ]]; then
        build_inside "$4"
        return
    fi
    local tar
    tar=$cache/$name-root-$({ cat "$SELF" && echo "$more"; } | sha256sum | cut -c1-12).tar
    if [[ ! -s $tar ]]; then
        mkdir -p "$cache"
        # The lock is on the folder itself, so that no lock file is left in it.
        exec 9<"$cache"
        flock -w 1800 9 || {
            echo "base.sh: another build has had the lock on $cache for 30 minutes: see lslocks" >&2
            return 1
        }
        if [[ ! -s $tar ]]; then
            # What a killed build left, and what an older recipe made: the lock is ours.
            rm -rf "$cache/$name"-root[.-]*
            build "$tar"
        fi
    fi
    echo "$tar"
}

main "$@"
