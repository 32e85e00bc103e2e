#!/usr/bin/env bash
# Makes each target that takes hours or a quiet machine with the smallest plan that goes all its way, and looks
# at what it prints: every row, every figure, what it promises. Its figures are worth nothing, and none is kept.
# As root. Usage: run.sh [TARGET…]
# shellcheck disable=SC2016 # the backticks are of Markdown
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# shellcheck source=tests/targets/lib.sh
source tests/targets/lib.sh

# No plan but those below, whatever the one who starts this has set for another.
unset KEEP LIMIT MAKEFLAGS MFLAGS MAKEOVERRIDES STEPS
# By name it makes fuzz, mutants and release too.
readonly TARGETS=(screenshots bench-page bench-responder bench-measure bench-sweep soak)
# What is not optimised is built soon, and most of it has been.
readonly QUICK=(PROFILE=dev)

# Whether the eye for tables is one, on tables that are not as they should be.
looks() {
    said=$scratch/tables
    local header='| who | s | times as fast |' wrong
    tables() { printf '%s\n|---|---|---|\n' "$header" && printf '%s\n' "$@" '' 'Something else.'; } >"$said"
    tables '| `rm -rf` | 0.004 | 1.00× |' '| raysweep | 12 | – |'
    tells 'a table with its figures is taken' "$header" 2
    for wrong in '| raysweep | NaN | 1.00× |' '| raysweep | 1.0 | inf× |' '| raysweep |  | 1.00× |' '| raysweep | 1.0 |' \
        '| raysweep | 0.000 | 1.00× |' '| raysweep | – | – |' ''; do
        tables '| `rm -rf` | 0.004 | 1.00× |' "$wrong"
        refuses "a table with the row '$wrong' is not" "$header" 2
    done
    refuses 'nor one that is not there' '| what | s |' 2
}

screenshots() {
    local folder=$scratch/page picture found=0
    made screenshots 300 KEEP="$folder" || return 0
    prints 'its test has passed' '^test result: ok\. 1 passed; 0 failed;'
    for picture in docs/page/*.png; do
        [[ ! -s $folder/${picture##*/} ]] || found=$((found + 1))
    done
    is 'every picture that is shown was made' "$(find docs/page -name '*.png' | wc -l)" "$found"
}

fuzz() {
    local target found=0
    made fuzz 1800 "${QUICK[@]}" SECONDS=2 CORPUS="$scratch/corpus" || return 0
    for target in fuzz/fuzz_targets/*.rs; do
        target=$(basename "$target" .rs) found=$((found + 1))
        prints "$target ran on inputs of its own" "^$target: .*Done [1-9][0-9]+ runs in [0-9]+ second"
    done
    prints 'no target found anything' "^$found passed, 0 failed$"
}

bench_sweep() {
    made bench-sweep 600 "${QUICK[@]}" FILES=2000 ROUNDS=1 DISKS=overlay LAYOUTS=tree WORKERS='1 2' \
        PARTS='removal usage verdicts memory calls' CONTENDERS='rm -rf,docker exec rm -rf,find -delete,rmz,raysweep' ||
        return 0
    # raysweep has a row more, without the time that it waits.
    tells 'removal: everybody' '| `/tmp` on | layout | who | median s |' 6
    tells 'usage: everybody' '| `/tmp` on | layout | who | cold, median s |' 4
    tells 'verdicts: for one worker and for two' '| workers | raysweep, median s |' 2
    tells 'memory: of a session and of leftovers' '| what is swept | processes |' 2
    tells 'calls: everybody who is one process' '| layout | who | calls |' 4
    tells 'all of them at a glance' '| what | raysweep | beside it | times as good |' 7
    prints 'nothing is kept' '^kept in' 0
}

bench_measure() {
    made bench-measure 300 RAYSWEEP=target/debug/raysweep WORKERS=2 FILES=2000 MINUTES=1 || return 0
    prints 'each worker has a figure' '^run  1: .* 2 of 2 workers have a figure$'
    tells 'what a minute costs' '| workers | files | minutes | CPU s |' 1
}

bench_page() {
    made bench-page 600 "${QUICK[@]}" HOSTS=1000 ATTEMPTS=1000 ROUNDS=1 REQUESTS=3 || return 0
    tells 'every page, before and after' '| page | empty: first byte ms' 5
    prints 'nothing is kept' '^kept in' 0
}

bench_responder() {
    made bench-responder 600 "${QUICK[@]}" SECONDS_EACH=1 ROUNDS=1 HOSTS=200 CONNECTIONS='1 8' PARTS='accepting memory' ||
        return 0
    tells 'accepting: both, over one connection and over eight' '| connections | who | answers a second' 4
    tells 'memory: accepted, swept and scraped' '| when | after s | peak MiB |' 3
    prints 'nothing is kept' '^kept in' 0
}

soak() {
    local figures=$scratch/soak.md
    made soak 900 LENGTH=short PLAYS=an_ancestor_that_becomes_a_symlink FAULTS=kills ROUNDS=1 REPEATED='build rules' \
        FIGURES="$figures" || return 0
    said=$figures
    prints 'the siege was passed' '^Somebody in a container .*: passed, [1-9][0-9]* s\.$'
    prints 'with its figure' '^- ancestor swapped .*: [1-9][0-9]* swaps .*; 0 files outside touched$'
    prints 'the faults were passed' '^Kills under load, .*: passed, [1-9][0-9]* s\.$'
    prints 'with theirs' '^- [1-9][0-9]* × kill -9: [1-9][0-9]* alerts acknowledged, 0 lost'
    prints 'the repetition was good' '^1 rounds of build rules in [1-9][0-9]* s: 1 good, 0 bad\.$'
}

mutants() {
    made mutants 1200 FILES=src/domain/standing.rs NAMED='Standing::(finish|lane)' TESTS=domain::standing \
        OUT="$scratch" TMPDIR="$scratch" || return 0
    prints 'nothing that was taken out went unnoticed' '^2 mutants tested in .*: 1 caught, 1 unviable$'
}

release() {
    local folder=$scratch/dist
    made release 1500 "${QUICK[@]}" DIST="$folder" RAYSWEEP_DEB_COMPRESSION='gzip -z1' || return 0
    prints 'it asks for a glibc that every system has' '^raysweep .*, of glibc it asks for 2\.(1[0-7]|[0-9]) at most'
    prints 'the package goes in, up and out again' '^[1-9][0-9]* passed, 0 failed$'
    said=$scratch/sums
    (cd "$folder" && sha256sum --check --strict SHA256SUMS) >"$said" 2>&1 || true
    prints 'archive and package have their sums' '^raysweep[-_].*\.(tar\.gz|deb): OK$' 2
}

main() {
    local before target
    ((EUID == 0)) || {
        echo "run.sh: needs root, for namespaces, mounts and Docker" >&2
        return 77
    }
    (($#)) || set -- looks "${TARGETS[@]}"
    cargo build --locked
    before=$(kept)
    for target in "$@"; do
        "${target//-/_}"
    done
    if [[ $(kept) == "$before" ]]; then
        ok 'nothing of the repository has changed'
    else
        not_ok "the repository has changed: $(diff <(echo "$before") <(kept))"
    fi
    echo "$passed passed, $failed failed"
    ((failed == 0))
}

main "$@"
