#!/usr/bin/env bash
# Makes what is shipped, in dist/: the program for every x86_64 Linux with glibc 2.17 or newer, in an
# archive and in a Debian package, and the sums of both. The same commit makes the same files.
# Usage: release.sh   As root, where Debian packages are missing.
#   DIST=dist         the folder; what an earlier release left there is replaced
#   PROFILE=release   cargo's; `dev` is built sooner, to try all this and not to be shipped
set -euo pipefail
umask 022
export LC_ALL=C.UTF-8

HERE=$(dirname "$(realpath "$0")")/demo
# shellcheck source=deploy/demo/show/build.sh
source "$HERE/show/build.sh"
cd "$REPOSITORY"

# What RHEL 7 has, and everything since.
readonly GLIBC=2.17

# archive BINARY NAME FOLDER: with all that a host or a responder takes from a copy of the repository.
archive() {
    local binary=$1 name=$2 folder=$3 work
    work=$(mktemp -d)
    mkdir "$work/$name"
    install -m 755 "$binary" "$work/$name/raysweep"
    "$work/$name/raysweep" pages "$work/$name/pages"
    cp -r README.md CHANGELOG.md ARCHITECTURE.md LICENSE docs rules alertmanager "$work/$name/"
    mkdir "$work/$name/deploy"
    for part in deploy/*; do
        # Those make packages and worlds from the sources.
        case ${part#deploy/} in debian | demo | release | *.sh) continue ;; esac
        cp -r "$part" "$work/$name/deploy/"
    done
    cp deploy/install-host.sh deploy/uninstall-host.sh "$work/$name/deploy/"
    chmod -R u=rwX,go=rX "$work/$name"
    tar --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        -C "$work" -c "$name" | gzip -n9 >"$folder/$name.tar.gz"
    rm -rf "$work"
}

main() {
    local binary newest version folder
    folder=$(realpath -m "${DIST:-dist}")
    deploy/release/install.sh
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(as_user git log -1 --format=%ct)}
    export SOURCE_DATE_EPOCH
    binary=$(as_user env SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" PROFILE="${PROFILE:-release}" deploy/release/build.sh "$GLIBC")
    newest=$(deploy/release/glibc.sh "$binary" "$GLIBC")
    mkdir -p "$folder"
    # Somebody's folder may hold more than an earlier release.
    rm -f "$folder"/raysweep[-_]*.{tar.gz,deb} "$folder/SHA256SUMS"
    archive "$binary" "raysweep-$version-x86_64-linux" "$folder"
    deploy/package.sh "$binary" "$folder" >/dev/null
    (cd "$folder" && sha256sum -- *.tar.gz *.deb >SHA256SUMS)
    [[ -z ${SUDO_USER:-} ]] || chown -R "$SUDO_USER:" "$folder"
    echo "$("$binary" --version), of glibc it asks for $newest at most, in ${DIST:-dist}/:"
    (cd "$folder" && wc -c -- *.tar.gz *.deb SHA256SUMS | sed '$d')
}

main "$@"
