#!/usr/bin/env bash
# Reads from a program's symbols which glibc it asks for, prints the newest version, and fails where one is
# newer than what is allowed: the dynamic linker of an older system would not start the program.
# Usage: glibc.sh BINARY ALLOWED
set -euo pipefail
export LC_ALL=C

binary=$1 allowed=$2

fail() {
    echo "glibc.sh: $binary: $*" >&2
    exit 1
}

# The versions that the dynamic linker looks for, such as GLIBC_2.17, once each.
versions() {
    readelf --wide --version-info "$binary" |
        sed -n "/^Version needs section/,/^$/s/.*Name: \([^ ]*\) .*/\1/p" | sort -u
}

libraries() {
    readelf --wide --dynamic "$binary" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'
}

is_newer() {
    [[ $1 != "$2" && $(printf '%s\n' "$1" "$2" | sort -V | tail -n 1) == "$1" ]]
}

newest=0
needed=$(versions)
for version in $needed; do
    case $version in
        # The unwinder's: all of them are older than any glibc that is asked about here.
        GCC_[34].*) continue ;;
        GLIBC_[0-9]*) version=${version#GLIBC_} ;;
        # GLIBC_ABI_DT_RELR is as new as 2.36 and does not say so.
        *) fail "asks for $version, of which an older system knows nothing" ;;
    esac
    if is_newer "$version" "$newest"; then newest=$version; fi
done
[[ $newest != 0 ]] || fail "asks for no version of glibc: is it a dynamic program?"
for library in $(libraries); do
    case $library in
        libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | libutil.so.1 | libgcc_s.so.1 | ld-linux-x86-64.so.2) ;;
        *) fail "needs $library, which not every system has" ;;
    esac
done
if is_newer "$newest" "$allowed"; then
    fail "asks for glibc $newest, and $allowed is the newest that is allowed"
fi
echo "$newest"
