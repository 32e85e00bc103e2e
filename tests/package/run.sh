#!/usr/bin/env bash
# Installs, upgrades, removes and purges the package in a fresh Debian that systemd has booted. As root.
# Usage: run.sh BINARY    a package is made of this program first
#        run.sh FILE.deb  this one
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# make_package BINARY FOLDER: without what a debugger reads, which would only cost time, and hardly packed.
make_package() {
    local folder=$2
    strip --strip-debug -o "$folder/raysweep" "$1"
    RAYSWEEP_DEB_COMPRESSION='gzip -z1' deploy/package.sh "$folder/raysweep" "$folder" >&2
}

# older PACKAGE OLD: the same, as if it had come before, with other settings.
older() {
    local tree
    tree=$(mktemp -d "${2%/*}/tree.XXXXXX")
    dpkg-deb --raw-extract "$1" "$tree"
    sed -i 's/^Version: .*/Version: 0.0.9-1/' "$tree/DEBIAN/control"
    echo '# The older settings.' >>"$tree/etc/raysweep/raysweep.yml"
    dpkg-deb --root-owner-group -Znone --build "$tree" "$2" >/dev/null
    rm -rf "$tree"
}

# It has to go in wherever its program runs, and nowhere else.
asks_for_what_it_needs() {
    local newest
    dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/bin/raysweep >"${1%/*}/program"
    newest=$(deploy/release/glibc.sh "${1%/*}/program" 999)
    [[ ", $(dpkg-deb --field "$1" Depends)," == *", libc6 (>= $newest),"* ]] || {
        echo "run.sh: the program asks for glibc $newest, and the package for: $(dpkg-deb --field "$1" Depends)" >&2
        return 1
    }
}

main() {
    local base folder new
    ((EUID == 0)) || {
        echo "run.sh: needs root, for namespaces and mounts" >&2
        return 77
    }
    deploy/demo/install.sh >&2
    deploy/release/install.sh >&2
    base=$(tests/package/base.sh)
    folder=$(mktemp -d /var/tmp/raysweep-package.XXXXXX)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$folder'" EXIT
    case $1 in
        *.deb) cp "$1" "$folder/new.deb" ;;
        *) make_package "$1" "$folder" && mv "$folder"/*.deb "$folder/new.deb" ;;
    esac
    new=$folder/new.deb
    lintian --allow-root --fail-on error,warning "$new"
    asks_for_what_it_needs "$new"
    older "$new" "$folder/old.deb"
    cp tests/package/cycle.sh "$folder/"
    WORLD_DISK_SIZE=64M deploy/demo/world.sh tests/package/boot.sh "$base" "$folder"
}

main "$@"
