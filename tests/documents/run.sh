#!/usr/bin/env bash
# Follows the documents: what each of them has its reader type is typed, as it stands there, on a Debian that
# systemd has booted for nothing else, with three hosts, Docker, Prometheus and Alertmanager. As root.
# Usage: run.sh [BINARY]
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# What a reader's machine has beside what the package needs.
readonly PACKAGES=prometheus,prometheus-alertmanager,sqlite3,apache2-utils,openssl,curl,jq,procps
readonly DOCUMENTS=(README.md docs/*.md rules/README.md alertmanager/README.md)

# newer PACKAGE: the same program, as if it were of a later version, which is as long and fits into its place.
newer() {
    local tree old new
    old=$(dpkg-deb --field "$1" Version)
    old=${old%-*} new=${old%-*}
    new=${new%?}9
    tree=$(mktemp -d "${1%/*}/tree.XXXXXX")
    dpkg-deb --raw-extract "$1" "$tree"
    sed -i "s/^Version: .*/Version: $new-1/" "$tree/DEBIAN/control"
    LC_ALL=C sed -i "s/${old//./\\.}/$new/g" "$tree/usr/bin/raysweep"
    dpkg-deb --root-owner-group -Znone --build "$tree" "${1/_$old-/_$new-}" >/dev/null
    rm -rf "$tree"
}

# The repository as somebody has it who has built it.
checkout() {
    local folder=$1/checkout
    mkdir -p "$folder/target/release" "$folder/dist"
    git ls-files -z README.md Makefile docs rules alertmanager deploy | tar --null -T - -c | tar -x -C "$folder"
    strip --strip-debug -o "$folder/target/release/raysweep" "$2"
    RAYSWEEP_DEB_COMPRESSION='gzip -z1' deploy/package.sh "$folder/target/release/raysweep" "$folder/dist" >&2
    newer "$folder"/dist/raysweep_*.deb
}

main() {
    local base folder binary
    ((EUID == 0)) || {
        echo "run.sh: needs root, for namespaces and mounts" >&2
        return 77
    }
    binary=$(realpath "${1:-target/debug/raysweep}")
    deploy/demo/install.sh >&2
    deploy/release/install.sh >&2
    base=$(tests/package/base.sh documents "$PACKAGES")
    folder=$(mktemp -d /var/tmp/raysweep-documents.XXXXXX)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$folder'" EXIT
    awk -f tests/documents/commands.awk "${DOCUMENTS[@]}" >"$folder/commands"
    tests/documents/listed.sh "$folder/commands"
    checkout "$folder" "$binary"
    cp -r tests/documents/inside/. tests/documents/listed.txt deploy/demo/lib/wait.sh "$folder/"
    WORLD_DISK_SIZE=1G deploy/demo/world.sh tests/documents/stage.sh "$base" "$folder"
}

main "$@"
