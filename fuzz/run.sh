#!/usr/bin/env bash
# Runs each fuzz target, one after the other, from its seeds and from what earlier runs found; the
# last line counts. fuzz/run.sh [SECONDS [TARGET…]]. A finding lies in fuzz/artifacts/TARGET.
#   PROFILE=release   cargo's; `dev` is built sooner, and tries less in the same time
#   CORPUS=fuzz/corpus   the folder with what earlier runs found
set -uo pipefail
cd "$(dirname "$(realpath "$0")")/.." || exit

readonly FUZZ_VERSION=0.13.2
readonly TOOLS=${RAYSWEEP_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/raysweep/tools}
export PATH="$TOOLS/bin:$PATH"
# The passes that tell the fuzzer how far it came are not stable; the toolchain is the one of the build.
export RUSTC_BOOTSTRAP=1

corpus=${CORPUS:-fuzz/corpus}
options=()
[[ ${PROFILE:-release} != dev ]] || options=(--dev)
seconds=${1:-600}
shift
targets=("$@")
if ((${#targets[@]} == 0)); then
    mapfile -t targets < <(sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"$|\1|p' fuzz/Cargo.toml)
fi

if [[ $(cargo-fuzz --version 2>/dev/null) != "cargo-fuzz $FUZZ_VERSION" ]]; then
    cargo install --quiet --locked --root "$TOOLS" "cargo-fuzz@$FUZZ_VERSION" || exit
fi
# `cargo fuzz` cannot be told so, and would write another one by the way.
cargo metadata --locked --manifest-path fuzz/Cargo.toml --format-version 1 >/dev/null || exit
cargo fuzz build "${options[@]}" || exit

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0
for target in "${targets[@]}"; do
    mkdir -p "$corpus/$target"
    if cargo fuzz run "${options[@]}" "$target" "$corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 >"$log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        tail -n 40 "$log"
    fi
    printf '%s: %s\n' "$target" "$(grep -E '^#[0-9]+\s+DONE|^Done [0-9]+ runs' "$log" | tr -s '\t ' ' ' | paste -sd';')"
done
printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
