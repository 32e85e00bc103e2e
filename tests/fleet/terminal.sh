# shellcheck shell=bash
# What happens at a terminal: a question that is broken off, and questions that nobody may be asked.

# at_terminal LINE: the operator's shell runs LINE at a terminal at which nobody types anything.
at_terminal() {
    as_operator timeout 60 script -qec "$1" /dev/null
}

# broken_off SIGNAL: the question for the password ends by Ctrl-C (INT) or by a signal from elsewhere, and
# the terminal is as it was.
broken_off() {
    local signal=$1 line
    rm -f "$WORK/stty-before" "$WORK/stty-after" "$WORK/code"
    line="stty -g >$WORK/stty-before; raysweep deploy ray-89 --ask-sudo-pass --config.file $CONFIG/raysweep.yml"
    line+="; echo \$? >$WORK/code; stty -g >$WORK/stty-after"
    # What is written there is waited for, at both ends of the pipe.
    # shellcheck disable=SC2094
    { wait_for 20 'the question' grep -q 'sudo password: ' "$WORK/out" && wait_for 20 'no echo' no_echo &&
        break_off "$signal"; } | at_terminal "$line" >"$WORK/out" 2>"$WORK/err" || true
    is "the question for a password ends by SIG$signal" 1 "$(cat "$WORK/code")"
    is 'and the terminal is as it was' "$(cat "$WORK/stty-before")" "$(cat "$WORK/stty-after")"
}

# The question stands before the terminal's echo is off.
no_echo() {
    local pid
    pid=$(pgrep -u desk -x raysweep) && stty -a -F "$(readlink "/proc/$pid/fd/0")" | grep -q -- '-echo '
}

break_off() {
    if [[ $1 == INT ]]; then
        printf '\003'
    else
        kill -s "$1" "$(pgrep -u desk -x raysweep)"
        # The terminal stays until the shell at it has ended.
        wait_for 20 'the end' test -s "$WORK/stty-after"
    fi
}

# A jump host that the operator's ssh does not know, by the inventory and by the operator's own
# configuration: no question, and a word.
unknown_jump_hosts() {
    local own=/home/desk/.ssh command="raysweep deploy --json --config.file $CONFIG/raysweep.yml"
    cp -p "$own/known_hosts" "$WORK/known_hosts"
    sed -i '/^10.99.0.81 /d' "$own/known_hosts"
    ends 'a jump host that nobody knows is not asked about' 6 at_terminal "$command ray-83 2>/dev/null"
    is 'and named' 'your ssh does not know the jump host 10.99.0.81: connect to that once by hand, and compare the fingerprint' \
        "$(said ray-83)"
    cp -p "$own/config" "$WORK/ssh-config"
    { printf 'Host 10.99.0.84\n    ProxyCommand ssh -o StrictHostKeyChecking=ask -W %%h:%%p 10.99.0.81\n' && cat "$WORK/ssh-config"; } >"$own/config"
    ends 'nor is anything that the operator goes through' 6 at_terminal "$command ray-84 2>/dev/null"
    [[ $(said ray-84) == 'your ssh does not know the jump host '* ]] || not_ok "$(said ray-84)"
    cp -p "$WORK/ssh-config" "$own/config"
    cp -p "$WORK/known_hosts" "$own/known_hosts"
}
