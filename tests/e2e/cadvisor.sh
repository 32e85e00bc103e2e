#!/usr/bin/env bash
# Prints the path of a cAdvisor, which is fetched where it is not at hand. Debian 11 was the last to
# have it; its one library is everywhere, so the program runs on newer ones too. As root.
set -euo pipefail

readonly SUITE=bullseye
readonly VERSION=0.38.7

kept() {
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/raysweep/cadvisor-$VERSION-$(dpkg --print-architecture)"
}

# The mirror that apt uses on this machine.
# shellcheck disable=SC2016 # apt-get fills these in, not the shell
apt_mirror() {
    apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(COMPONENT) $(SUITE)' 'ORIGIN: Debian' |
        awk '$3 == "main" && $4 !~ /security|updates/ && !seen++ { print $1 }'
}

# apt with lists of its own: nothing on the machine learns of the other suite. It checks the signature.
apt_there() {
    local work=$1
    shift
    apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}

fetch() {
    local work=$1 mirror
    mirror=$(apt_mirror)
    [[ -n $mirror ]] || {
        echo "cadvisor.sh: apt names no mirror of Debian's main here: see apt-get indextargets" >&2
        return 1
    }
    mkdir -p "$work"/{lists,cache/archives}/partial "$work/root"
    echo "deb $mirror $SUITE main" >"$work/sources.list"
    apt_there "$work" update
    (cd "$work" && apt_there "$work" download cadvisor)
    dpkg-deb --fsys-tarfile "$work"/cadvisor_*.deb | tar -xf - -C "$work/root" ./usr/bin/cadvisor
    "$work/root/usr/bin/cadvisor" --version 2>&1 | grep -qF "version $VERSION"
}

main() {
    local program work
    program=$(kept)
    if [[ ! -x $program ]]; then
        mkdir -p "${program%/*}"
        work=$(mktemp -d "${program%/*}/fetching.XXXXXX")
        # shellcheck disable=SC2064 # the folder of now
        trap "rm -rf '$work'" EXIT
        if ! fetch "$work" >"$work/log" 2>&1; then
            cat "$work/log" >&2
            echo "cadvisor.sh: cAdvisor $VERSION could not be had from Debian's $SUITE" >&2
            return 1
        fi
        # A rename is atomic: a half-made program never carries the final name.
        mv "$work/root/usr/bin/cadvisor" "$program"
    fi
    echo "$program"
}

main
