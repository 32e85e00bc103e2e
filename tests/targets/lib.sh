# shellcheck shell=bash
# What the test of the targets stands on: a target that is made, and a word for each thing that it has to print.

TARGETS_DIR=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
passed=0 failed=0 making='' said=''
scratch=$(mktemp -d /var/tmp/raysweep-targets.XXXXXX)

ok() {
    passed=$((passed + 1))
    echo "ok: $*"
}

not_ok() {
    failed=$((failed + 1))
    echo "not ok: $*" >&2
}

# What is being made ends with this test, in whatever way that ends. TERM to `timeout` goes to all below it.
cleanup() {
    [[ -z $making ]] || { kill "$making" && wait "$making"; } || true
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# made TARGET LIMIT [VARIABLE=VALUE…]: it is made with these, within so many seconds. What it printed is in $said.
made() {
    local target=$1 limit=$2 code=0 begun=$EPOCHSECONDS
    shift 2
    said=$scratch/$target.said
    timeout --kill-after=20 "$limit" env "$@" make --no-print-directory "$target" >"$said" 2>&1 </dev/null &
    making=$!
    wait "$making" || code=$?
    making=''
    if ((code)); then
        not_ok "make $target ends with $code after $((EPOCHSECONDS - begun)) s, and at its end:"
        tail -n 40 "$said" | sed 's/^/    /' >&2
        return 1
    fi
    ok "make $target takes $((EPOCHSECONDS - begun)) s with: $*"
}

# prints DESCRIPTION PATTERN [LINES]: so many lines that look like this, of the last one that was made.
prints() {
    local found
    found=$(grep -cE -- "$2" "$said") || true
    if [[ $found == "${3:-1}" ]]; then
        ok "$1"
    else
        not_ok "$1: of /$2/ ${3:-1} wanted, $found found"
    fi
}

# tells DESCRIPTION HEADER ROWS: a table with this header, so many rows, and figures in them.
tells() {
    local wrong
    if wrong=$(awk -v header="$2" -v rows="$3" -f "$TARGETS_DIR/table.awk" "$said"); then
        ok "$1"
    else
        not_ok "$1: $wrong"
    fi
}

# refuses DESCRIPTION HEADER ROWS: `tells` would not take it.
refuses() {
    if awk -v header="$2" -v rows="$3" -f "$TARGETS_DIR/table.awk" "$said" >/dev/null; then
        not_ok "$1"
    else
        ok "$1"
    fi
}

# is DESCRIPTION EXPECTED FOUND
is() {
    if [[ -n $2 && $2 == "$3" ]]; then
        ok "$1"
    else
        not_ok "$1: expected '$2', found '$3'"
    fi
}

# Every file that a reader is shown or that an earlier run left, and what git sees of all others.
kept() {
    git status --porcelain
    find docs README.md CHANGELOG.md dist mutants.out -type f -exec sha256sum {} + 2>/dev/null | sort -k 2 || true
}
