#!/usr/bin/env bash
# Whether what stands in listed.txt is still said by a document, and what stands for it is there.
# Usage: listed.sh COMMANDS   the output of commands.awk
set -euo pipefail
here=$(dirname "$(realpath "$0")")
typed=$(cut -f 4 "$1")
cd "$here/../.."
failed=0

complain() {
    echo "not ok: listed.txt: $*" >&2
    failed=1
}

# The target is there, and so is each script that its recipe starts.
made() {
    local recipe script
    recipe=$(make --no-print-directory --dry-run "$1" 2>/dev/null) || return 1
    while read -r script; do
        [[ -x $script ]] || return 1
    done < <(grep -oE '(^| )[a-z-]+/[a-z/-]+\.sh' <<<"$recipe")
}

is_step() {
    grep -qE "^step $1 " tests/all.sh
}

# The step that makes targets makes this one.
is_made() {
    grep -qE "^readonly TARGETS=\\((.* )?$1[ )]" tests/targets/run.sh
}

while IFS= read -r row; do
    command=${row%% | *} stands=${row##* | }
    grep -qxF -- "$command" <<<"$typed" || complain "no document says any more: $command"
    [[ $command != make\ * ]] || made "${command#make }" || complain "cannot be made: $command"
    case $stands in
        'step targets') is_made "${command#make }" || complain "tests/targets/run.sh does not: $command" ;;&
        'step '*) is_step "${stands#step }" || complain "$command: tests/all.sh has no $stands" ;;
        make | 'spoken of') ;;
        *) complain "$command: what is '$stands'?" ;;
    esac
done < <(grep -v '^#' "$here/listed.txt")
((failed == 0))
