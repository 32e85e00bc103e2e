#!/usr/bin/env bash
# Makes a Debian package of a program that is built already, with man pages and completions that this very
# program writes. The same program and commit make the same package, byte by byte.
# Usage: package.sh BINARY FOLDER [VERSION]
#   VERSION   instead of the one in Cargo.toml
#   SOURCE_DATE_EPOCH          the time of everything in it (the last commit's)
#   RAYSWEEP_DEB_COMPRESSION   what dpkg-deb's -Z takes (xz)
set -euo pipefail
umask 022
export LC_ALL=C.UTF-8

repository=$(dirname "$(dirname "$(realpath "$0")")")

# What the package holds, from where the files are in the repository.
stage() {
    local binary=$1
    install -m 755 "$binary" raysweep
    cp -rL "$repository"/{README.md,ARCHITECTURE.md,CHANGELOG.md,docs,rules,alertmanager,deploy} .
    mv deploy/debian .
    without_hosts deploy/examples/raysweep.yml >raysweep.yml
    service deploy/raysweep.service >debian/raysweep.service
    cp deploy/sysusers.d/raysweep.conf debian/raysweep.sysusers
    libraries raysweep >needed
    ./raysweep pages "$PWD/pages"
    install -D -m 644 -t man pages/*.1
    install -D -m 644 pages/raysweep.bash completions/bash/raysweep
    install -D -m 644 pages/_raysweep completions/zsh/_raysweep
    install -D -m 644 pages/raysweep.fish completions/fish/raysweep.fish
    if [[ -d deploy/grafana ]]; then
        echo 'deploy/grafana usr/share/raysweep' >>debian/raysweep.install
    fi
}

# The packages with the libraries that the program needs, glibc in the version that it asks for.
libraries() {
    local newest
    newest=$("$repository/deploy/release/glibc.sh" "$1" 999)
    printf 'libc6 (>= %s)' "$newest"
    # What is built for this machine alone has its unwinder from there.
    if readelf --dynamic "$1" | grep -q 'NEEDED.*libgcc_s'; then
        printf ', libgcc-s1'
    fi
}

# The example names hosts that nobody has: whoever forgets that would send sweeps there.
without_hosts() {
    awk '/^hosts:/ { print "# Without the brackets, and with yours in the form of those below."; print "hosts: []"; below = 1; next }
         below && !/^ *#/ { print "#" $0; next }
         { print }' "$1"
}

# A package's program is in /usr/bin, and its man pages are there.
service() {
    sed -e '1s/.*/# The responder./' -e 's|/usr/local/bin/|/usr/bin/|' \
        -e 's|^Documentation=.*|Documentation=man:raysweep-serve(1) file:/usr/share/doc/raysweep/README.Debian|' "$1"
}

changelog() {
    printf 'raysweep (%s) unstable; urgency=medium\n\n' "$1"
    printf '  * raysweep %s. What is new stands in changelog.gz.\n\n' "${1%-*}"
    printf ' -- %s  %s\n' "$(sed -n 's/^Maintainer: //p' debian/control)" "$(date -uR -d "@$SOURCE_DATE_EPOCH")"
}

main() {
    if (($# < 2)); then
        sed -n '2,/^set/{/^#/s/^# \?//p}' "$0" >&2
        return 64
    fi
    local binary folder version work log
    binary=$(realpath "$1") folder=$(realpath "$2")
    version=${3:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$repository/Cargo.toml")}-1
    export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$repository" log -1 --format=%ct)}
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$work'" EXIT
    log=$work/log
    mkdir "$work/raysweep"
    cd "$work/raysweep"
    stage "$binary"
    changelog "$version" >debian/changelog
    # Copies keep the time of their file, which is that of somebody's checkout.
    find . -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    debian/rules binary >"$log" 2>&1 || {
        tail -n 40 "$log" >&2
        return 1
    }
    mv "$work"/raysweep_*.deb "$folder/"
    basename -a "$folder"/raysweep_"$version"_*.deb
}

main "$@"
