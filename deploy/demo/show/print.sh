# shellcheck shell=bash
# How the demo looks: colours on a terminal only.
# shellcheck disable=SC2034 # for the files that are sourced beside this one

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    readonly BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' CYAN=$'\e[36m' PLAIN=$'\e[0m'
else
    readonly BOLD='' DIM='' RED='' GREEN='' YELLOW='' CYAN='' PLAIN=''
fi

headline() {
    printf '\n%s%s%s\n' "$BOLD" "$1" "$PLAIN"
}

# step DESCRIPTION CMD…: says what is done and how long it took; its output is shown only
# where it fails. $SCRATCH is a folder that goes when the demo does.
step() {
    local description=$1 start=$EPOCHREALTIME
    shift
    if ! "$@" >"$SCRATCH/step.log" 2>&1; then
        printf '  %sFAIL%s  %s; it said last:\n' "$RED" "$PLAIN" "$description"
        tail -n 30 "$SCRATCH/step.log"
        return 1
    fi
    printf '  %sok%s    %-62s %s%6.1f s%s\n' "$GREEN" "$PLAIN" "$description" \
        "$DIM" "$(seconds_between "$start" "$EPOCHREALTIME")" "$PLAIN"
}

# seconds_between FROM TO: both in seconds since 1970.
seconds_between() {
    awk -v from="$1" -v to="$2" 'BEGIN { printf "%.3f", to - from }'
}

# epoch TIME: RFC 3339 as seconds since 1970.
epoch() {
    date -ud "$1" +%s.%N
}

# bytes NUMBER: for people.
bytes() {
    numfmt --to=si --round=nearest --format=%.1f "$1" | sed -E 's/([kKMGT]?)$/ \1B/'
}
