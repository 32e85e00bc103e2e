#!/usr/bin/env bash
# Takes rules out of the code that decides (`.cargo/mutants.toml`), one at a time, and runs the unit
# tests without each: whatever no test misses is listed, and is in mutants.out/missed.txt. Some hours
# for all of it; tests/mutants.sh FILE… does some files only.
#   TESTS=domain::     only the tests with this in their names: sooner, and what others notice is listed too
#   NAMED=Standing::   only the mutants with this in their names, a regular expression
#   OUT=.              the folder that mutants.out is made in
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

readonly MUTANTS_VERSION=27.1.0
readonly TOOLS=${RAYSWEEP_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/raysweep/tools}
export PATH="$TOOLS/bin:$PATH"

if [[ $(cargo mutants --version 2>/dev/null) != "cargo-mutants $MUTANTS_VERSION" ]]; then
    cargo install --quiet --locked --root "$TOOLS" "cargo-mutants@$MUTANTS_VERSION"
fi
options=(--output "${OUT:-.}")
[[ -z ${NAMED:-} ]] || options+=(--re "$NAMED")
# A file that is named comes beside those of the configuration, not instead of them.
if (($#)); then
    config=$(mktemp)
    trap 'rm -f "$config"' EXIT
    sed '/^examine_globs = \[$/,/^\]$/d' .cargo/mutants.toml >"$config"
    options+=(--config "$config")
fi
for file in "$@"; do
    options+=(--file "$file")
done
cargo mutants --no-shuffle --caught "${options[@]}" -- ${TESTS:+"$TESTS"}
