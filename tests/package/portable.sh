#!/usr/bin/env bash
# Whether the check of a portable build can fail, on programs of this machine's. Usage: portable.sh BINARY
# BINARY is one that was built for this machine, whose glibc is newer than what is allowed.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

binary=$1
passed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# answers DESCRIPTION PATTERN CODE CMD…
answers() {
    local described=$1 pattern=$2 wanted=$3 code=0 said
    shift 3
    said=$("$@" 2>&1) || code=$?
    if [[ $code != "$wanted" || ! $said =~ $pattern ]]; then
        printf 'not ok: %s: exit %d, %s\n%d passed, 1 failed\n' "$described" "$code" "$said" "$passed"
        exit 1
    fi
    passed=$((passed + 1))
    echo "ok: $described: $said"
}

program() {
    local name=$1
    shift
    cc "$@" -x c - -o "$work/$name"
}

answers 'what asks for a newer glibc is refused' 'asks for glibc 2\.[0-9]+, and 2\.17 is the newest' 1 \
    deploy/release/glibc.sh "$binary" 2.17
answers 'the same is taken where so much is allowed' '^2\.[0-9]+$' 0 deploy/release/glibc.sh "$binary" 2.99
answers 'versions are compared as numbers, not as text' 'asks for glibc 2\.[0-9]+, and 2\.4 ' 1 \
    deploy/release/glibc.sh "$binary" 2.4
program static -static <<<'int main(void) { return 0; }'
answers 'a program without symbols to look for is none' 'asks for no version of glibc' 1 \
    deploy/release/glibc.sh "$work/static" 2.17
program relr -Wl,-z,pack-relative-relocs <<<'int main(void) { return 0; } void *keeps[] = { main };'
answers 'a name that hides how new it is, is refused' 'asks for GLIBC_ABI_DT_RELR' 1 \
    deploy/release/glibc.sh "$work/relr" 2.99
program library -Wl,--no-as-needed -lcrypt <<<'int main(void) { return 0; }'
answers 'a library that not every system has is refused' 'needs libcrypt' 1 \
    deploy/release/glibc.sh "$work/library" 2.99
answers 'what is no program is refused' '' 1 deploy/release/glibc.sh README.md 2.17
echo "$passed passed, 0 failed"
