#!/usr/bin/env bash
# Makes the root file system of a Ray node as a tar for `docker import` and prints
# its path. No image registry is needed: Debian by debootstrap, Ray by pip.
# Usage: ray-image.sh [VERSION]
#        ray-image.sh --cached [VERSION]   fails where the tar is not made yet
# The tar is cached under ${XDG_CACHE_HOME:-~/.cache}/raysweep, by version and by a
# hash of this script, so that a changed recipe is never served from the cache.
set -euo pipefail

export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

readonly SUITE=bookworm
readonly PYTHON=3.11
# The newest glibc that the suite has: wheels up to it fit.
readonly GLIBC_MINOR=36
readonly SELF=${BASH_SOURCE[0]}

cache_dir() {
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/raysweep"
}

tar_path() {
    local version=$1 hash
    hash=$(sha256sum "$SELF" | cut -c1-12)
    echo "$(cache_dir)/ray-$version-$(uname -m)-$hash.tar"
}

# The mirror that apt uses on this machine; empty leaves debootstrap its own default.
# shellcheck disable=SC2016 # apt-get fills these in, not the shell
apt_mirror() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 2>/dev/null |
        awk -v suite="$SUITE" '$2 == suite && $3 == "main" && !seen++ { print $1 }' || true
}

make_root() {
    local root=$1 mirror
    mirror=$(apt_mirror)
    debootstrap --variant=minbase --include=python3,python3-pip \
        "$SUITE" "$root" ${mirror:+"$mirror"}
}

# Downloaded on the machine, whose pip knows the way to an index, for the Python inside.
download_ray() {
    local version=$1 wheels=$2 minor platforms=()
    for ((minor = GLIBC_MINOR; minor >= 5; minor--)); do
        platforms+=(--platform "manylinux_2_${minor}_$(uname -m)")
    done
    platforms+=(--platform "manylinux2014_$(uname -m)")
    pip3 download -q --only-binary=:all: --implementation cp \
        --python-version "$PYTHON" "${platforms[@]}" -d "$wheels" "ray==$version"
}

# PIP_* of the machine point at places that do not exist inside.
install_ray() {
    local version=$1 root=$2
    env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 chroot "$root" \
        pip3 install -q --no-index --find-links /wheels --no-cache-dir \
        --break-system-packages --root-user-action=ignore "ray==$version"
    [[ $(chroot "$root" python3 -c 'import ray; print(ray.__version__)') == "$version" ]]
}

trim_root() {
    local root=$1
    rm -rf "$root"/wheels "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* \
        "$root"/var/log/* "$root"/usr/share/{doc,man,info,locale,lintian} \
        "$root"/tmp/* "$root"/etc/{resolv.conf,hostname}
}

# Runs in a mount and PID namespace of its own: what debootstrap mounts and starts
# goes with it, however the build ends.
build_inside() {
    local version=$1 work=$2 root=$2/root
    mkdir -p "$work/wheels"
    download_ray "$version" "$work/wheels"
    make_root "$root"
    mv "$work/wheels" "$root/wheels"
    install_ray "$version" "$root"
    trim_root "$root"
    tar --one-file-system --numeric-owner -C "$root" -cf "$work/image.tar" .
}

build() {
    local version=$1 tar=$2 work
    # What a killed build left: the lock is ours, so nobody is at work in there.
    rm -rf "$(cache_dir)"/building.*
    work=$(mktemp -d "$(cache_dir)/building.XXXXXX")
    chmod 755 "$work"
    if ! setpriv --pdeathsig KILL unshare -m -p --fork --kill-child --mount-proc \
        nice "$SELF" --inside "$version" "$work" >"$work/log" 2>&1; then
        tail -n 40 "$work/log" >&2
        echo "ray-image.sh: the build of Ray $version failed" >&2
        rm -rf "$work"
        return 1
    fi
    sync "$work/image.tar"
    rm -f "$(cache_dir)/ray-$version-$(uname -m)"-*.tar
    # A rename is atomic: a half-made tar never carries the final name.
    mv "$work/image.tar" "$tar"
    rm -rf "$work"
}

main() {
    if [[ ${1:-} == --inside ]]; then
        build_inside "$2" "$3"
        return
    fi
    local only_cached='' version tar
    if [[ ${1:-} == --cached ]]; then
        only_cached=yes
        shift
    fi
    version=${1:-2.40.0}
    tar=$(tar_path "$version")
    if [[ ! -s $tar && -n $only_cached ]]; then
        echo "ray-image.sh: no image of Ray $version yet: run ray-image.sh $version first" >&2
        return 1
    fi
    if [[ ! -s $tar ]]; then
        mkdir -p "$(cache_dir)"
        # The lock is on the folder itself, so that no lock file is left in it.
        exec 9<"$(cache_dir)"
        flock -w 1800 9 || {
            echo "ray-image.sh: another build has had the lock on $(cache_dir) for 30 minutes: see lslocks" >&2
            return 1
        }
        [[ -s $tar ]] || build "$version" "$tar"
    fi
    echo "$tar"
}

main "$@"
