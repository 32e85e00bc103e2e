# shellcheck shell=bash
# Types the commands of the documents, one after the other, as they stand there, and remembers which. What
# differs from typing it here and seeing it succeed is a rule of table.sh; a rule that fits nothing any more is
# a failure, and so is a command that nobody typed.

readonly OUT=/run/documents-out ERR=/run/documents-err DONE=/run/documents-done EDIT=/run/documents-edit
readonly CHECKOUT=/root/raysweep
KINDS=() PATTERNS=() VALUES=()
declare -A FITTED TYPED LISTED
passed=0

ok() {
    passed=$((passed + 1))
    echo "ok: $*"
}

not_ok() {
    echo "not ok: $*"
    sed 's/^/    /' "$OUT" "$ERR"
    echo "$passed passed, 1 failed"
    exit 1
}

# is DESCRIPTION EXPECTED FOUND: nothing is never expected here, since what fails has nothing to say: `quiet`.
is() {
    [[ -n $2 ]] || not_ok "$1: nothing is expected"
    [[ $2 == "$3" ]] || not_ok "$1: expected '$2', found '$3'"
    ok "  $1"
}

# quiet DESCRIPTION CMD…: it succeeds and has nothing to say.
quiet() {
    local described=$1 said
    shift
    said=$("$@") || not_ok "$described: $said"
    [[ -z $said ]] || not_ok "$described: $said"
    ok "  $described"
}

# holds DESCRIPTION CMD…
holds() {
    local described=$1
    shift
    "$@" >"$OUT" 2>"$ERR" || not_ok "$described"
    ok "  $described"
}

# The rules. A pattern is one of the shell's, over `DOCUMENT#HEADING: COMMAND`; the first that fits counts.
rule() {
    KINDS+=("$1") PATTERNS+=("$2") VALUES+=("$3")
}

on() { rule on "$1" "$2"; }         # not here but on that host, as root
within() { rule within "$1" "$2"; } # in that folder
exits() { rule exits "$1" "$2"; }   # with one of these exit codes
cut_off() { rule cut_off "$1" "$2"; } # it goes on for ever: ended after so many seconds
edit() { rule edit "$1" "$2"; }     # what the reader does to the file $1 in the editor
apart() { rule apart "$1" ''; }     # only where follow is told of it
before() { rule before "$1" "$2"; } # what the text around it has the reader do first
after() { rule after "$1" "$2"; }   # what has to be so then
stands() { rule stands "$1" "$2"; } # for what a placeholder stands

# asks PATTERN [QUESTION ANSWER]…: at a terminal, where somebody answers what is asked.
asks() {
    local pattern=$1
    shift
    rule asks "$pattern" "$(printf '%s\x1f' "$@")"
}

# fits KIND KEY: the value of the first rule that does, in REPLY.
fits() {
    local index
    for index in "${!KINDS[@]}"; do
        # shellcheck disable=SC2053 # it is a pattern
        [[ ${KINDS[index]} == "$1" && $2 == ${PATTERNS[index]} ]] || continue
        FITTED[$index]=1 REPLY=${VALUES[index]}
        return 0
    done
    return 1
}

# filled_in COMMAND: with what stands for its placeholders, in REPLY.
filled_in() {
    local index line=$1 value
    for index in "${!KINDS[@]}"; do
        [[ ${KINDS[index]} == stands && $line == *"${PATTERNS[index]}"* ]] || continue
        FITTED[$index]=1
        eval "value=\"${VALUES[index]}\"" || not_ok "$line: there is nothing that ${PATTERNS[index]} could stand for"
        line=${line//"${PATTERNS[index]}"/"$value"}
    done
    REPLY=$line
}

# answers QUESTION ANSWER…: each once it is asked; then whoever sits there waits for the end.
answers() {
    while (($#)); do
        until grep -qF -- "$1" "$OUT" || [[ -e $DONE ]]; do sleep 0.1; done
        printf '%s\n' "$2"
        shift 2
    done
    until [[ -e $DONE ]]; do sleep 0.1; done
}

# at_terminal LINE [QUESTION ANSWER]…
at_terminal() {
    local line=$1
    shift
    rm -f "$DONE"
    answers "$@" 2>/dev/null | {
        local code=0
        script -qec "$line" /dev/null >"$OUT" 2>"$ERR" || code=$?
        : >"$DONE"
        return "$code"
    }
}

on_host() {
    ssh -n -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR "10.0.0.${1#ray-}" "$2"
}

# performed KEY LINE: its exit code.
performed() {
    local key=$1 line=$2 said
    rm -f "$EDIT"
    if fits edit "$key"; then printf 'set -eu\n%s\n' "$REPLY" >"$EDIT"; fi
    if fits on "$key"; then
        on_host "$REPLY" "$line" >"$OUT" 2>"$ERR"
    elif fits asks "$key"; then
        mapfile -d $'\x1f' -t said < <(printf %s "$REPLY")
        [[ ${said[0]:-} ]] || said=()
        at_terminal "$line" "${said[@]}"
    else
        # What a line leaves behind, such as an umask, the next one finds.
        eval "$line" >"$OUT" 2>"$ERR" </dev/null
    fi
}

folder_of() {
    case $1 in
        rules/* | alertmanager/*) echo "$CHECKOUT/${1%%/*}" ;;
        *) echo "$CHECKOUT" ;;
    esac
}

# type_line DOCUMENT LINE HEADING COMMAND
type_line() {
    local key="$1#$3: $4" line code=0 wanted=0 begun
    TYPED[$4]=1
    if fits before "$key"; then "$REPLY"; fi
    filled_in "$4"
    line=$REPLY
    if fits exits "$key"; then wanted=$REPLY; fi
    if fits cut_off "$key"; then line="timeout $REPLY $line" wanted=124; fi
    if fits within "$key"; then cd "$REPLY" || exit; else cd "$(folder_of "$1")" || exit; fi
    : >"$OUT"
    : >"$ERR"
    begun=$SECONDS
    performed "$key" "$line" || code=$?
    [[ " $wanted " == *" $code "* ]] || not_ok "$1:$2: $4: exit code $code, not $wanted"
    ok "$1:$2: $4 ($((SECONDS - begun)) s, at $SECONDS s)"
    if fits after "$key"; then "$REPLY"; fi
}

# follow DOCUMENT HEADING [PATTERN]: what stands under it, from the first line to the last, or those that fit.
follow() {
    local rows row document number heading command met=0
    umask 022
    mapfile -t rows < <(awk -F'\t' -v doc="$1" -v heading="$2" '$1 == doc && $3 == heading' /cycle/commands)
    for row in "${rows[@]}"; do
        IFS=$'\t' read -r document number heading command _ <<<"$row"
        # shellcheck disable=SC2053 # it is a pattern
        if [[ -n ${3:-} ]]; then
            [[ $command == $3 ]] || continue
        elif fits apart "$document#$heading: $command"; then
            continue
        fi
        met=1
        [[ -n ${LISTED[$command]:-} ]] || type_line "$document" "$number" "$heading" "$command"
    done
    ((met)) || not_ok "$1 has nothing to type under '$2'${3:+ that is like $3}"
}

# rest DOCUMENT…: what nobody has typed yet.
rest() {
    local rows row document number heading command
    umask 022
    for document in "$@"; do
        mapfile -t rows < <(awk -F'\t' -v doc="$document" '$1 == doc' /cycle/commands)
        for row in "${rows[@]}"; do
            IFS=$'\t' read -r document number heading command _ <<<"$row"
            [[ -n ${TYPED[$command]:-}${LISTED[$command]:-} ]] || type_line "$document" "$number" "$heading" "$command"
        done
    done
}

# everything_was: each command was typed or is listed, each rule was needed.
everything_was() {
    local document number heading command index failed=0
    while IFS=$'\t' read -r document number heading command _; do
        [[ -z ${TYPED[$command]:-}${LISTED[$command]:-} ]] || continue
        echo "not ok: $document:$number: neither typed nor in listed.txt: $command"
        failed=$((failed + 1))
    done </cycle/commands
    for index in "${!KINDS[@]}"; do
        [[ -z ${FITTED[$index]:-} ]] || continue
        echo "not ok: table.sh: ${KINDS[index]}: no command is like '${PATTERNS[index]}' any more"
        failed=$((failed + 1))
    done
    echo "$passed passed, $failed failed"
    ((failed == 0))
}
