#!/usr/bin/env bash
# Everything that can be checked, step after step, to the end whatever fails; the last line
# counts. Installs what is missing. STEPS="fmt unit" runs some steps only.
set -uo pipefail
cd "$(dirname "$(realpath "$0")")/.." || exit
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export CARGO_TERM_COLOR=never RUSTFLAGS="${RUSTFLAGS:-}"

readonly TOOLS=${RAYSWEEP_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/raysweep/tools}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 failures=()
started=$SECONDS

# step NAME LIMIT CMD…: a step that counts its own tests (cargo's lines, or a last line
# `N passed, N failed`) counts for so many; any other for one.
step() {
    local name=$1 limit=$2 begun=$SECONDS code=0 good bad
    shift 2
    [[ -z ${STEPS:-} || " $STEPS " == *" $name "* ]] || return 0
    printf '\n== %s\n' "$name"
    timeout --kill-after=30 "$limit" "$@" 2>&1 | tee "$log" || code=$?
    good=$(counted passed) bad=$(counted failed)
    ((good + bad)) || { ((code)) && bad=1 || good=1; }
    # It counted no failure and failed all the same: it did not get to the end.
    ((code == 0 || bad)) || bad=1
    passed=$((passed + good)) failed=$((failed + bad))
    ((bad == 0)) || failures+=("$name")
    printf -- '-- %s: %d passed, %d failed, %d s\n' "$name" "$good" "$bad" $((SECONDS - begun))
}

# counted passed|failed: the sum over the log of the last step.
counted() {
    sed -nE 's/^(test result: .*|[0-9]+ passed, [0-9]+ failed.*)$/\1/p' "$log" |
        grep -oE "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'
}

shell_scripts() {
    git ls-files -z --cached --others --exclude-standard |
        xargs -0 grep -lZE -m1 '^#!(/usr/bin/env bash|/bin/sh|/bin/bash)' | xargs -0 shellcheck -x
}

unit_file() {
    local folder code=0
    # The program that the unit names is looked for; here it lies elsewhere.
    folder=$(mktemp -d)
    sed "s|/usr/local/bin/raysweep|$PWD/target/debug/raysweep|" deploy/raysweep.service >"$folder/raysweep.service"
    systemd-analyze verify "$folder/raysweep.service" || code=$?
    rm -rf "$folder"
    return "$code"
}

export -f shell_scripts unit_file

# Where `sudo` has hidden the toolchain, or there was none.
HERE=$PWD/deploy/demo
# shellcheck source=deploy/demo/show/build.sh
source "$HERE/show/build.sh"
toolchain_path

step tools 1200 tests/tools.sh "$TOOLS"
step fmt 60 cargo fmt --check
step clippy 900 cargo clippy --locked --all-targets -- -D warnings
# Those that need more than this machine as it is are no targets of `cargo test`, so they have to be named.
step clippy-worlds 300 cargo clippy --locked --test e2e --test matrix --test runtimes --test siege \
    --test browser -- -D warnings
step doc 600 env RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
step deny 120 "$TOOLS/bin/cargo-deny" --offline check bans licenses sources
step build 900 cargo build --locked
step unit 900 cargo test --locked --lib --bins
step integration 900 cargo test --locked --test it
step rules 120 rules/test.sh
step alertmanager 120 alertmanager/test.sh
step shellcheck 120 bash -c shell_scripts
step systemd 60 bash -c unit_file
step portable 60 tests/package/portable.sh target/debug/raysweep
step package 900 tests/package/run.sh target/debug/raysweep
step documents 1200 tests/documents/run.sh target/debug/raysweep
step host 120 deploy/demo/world.sh deploy/test.sh target/debug/raysweep
step fleet 600 tests/fleet/run.sh target/debug/raysweep
step by-hand 900 tests/fleet/run.sh target/debug/raysweep by_hand
step doctor 900 tests/fleet/doctor.sh target/debug/raysweep
step backstop 900 tests/backstop/run.sh target/debug/raysweep
step world 300 deploy/demo/selftest.sh
step demo 1800 make demo
step browser 600 tests/browser/run.sh
step runtimes 900 tests/runtimes/run.sh
step e2e 1500 tests/e2e/run.sh
step siege 1500 tests/siege/run.sh
step targets 2400 tests/targets/run.sh
step matrix 2400 tests/matrix/run.sh

printf '\n%d s' $((SECONDS - started))
((failed == 0)) || printf ', not passed: %s' "${failures[*]}"
printf '\n%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
