# shellcheck shell=bash
# Daemons without a service manager: a pid file and a log by name below $WORLD_DIR.

# daemon_start NAME CMD…: CMD must stay in the foreground.
daemon_start() {
    local name=$1
    shift
    setsid "$@" </dev/null >>"$(daemon_log "$name")" 2>&1 &
    echo $! >"$WORLD_DIR/pid/$name"
    # Else the shell reports a kill that was asked for.
    disown
}

daemon_log() {
    echo "$WORLD_DIR/log/$1.log"
}

daemon_pid() {
    cat "$WORLD_DIR/pid/$1"
}

# A zombie answers kill -0 too, so its state is read: the word after the name, which is
# in brackets and may hold anything.
daemon_alive() {
    local pid stat
    pid=$(daemon_pid "$1" 2>/dev/null) &&
        stat=$(cat "/proc/$pid/stat" 2>/dev/null) &&
        [[ ${stat##*) } != [ZX]* ]]
}

# daemon_ready NAME SECONDS CMD…: until CMD succeeds; a daemon that has died is not
# waited for, and the end of its log says why.
daemon_ready() {
    local name=$1 seconds=$2 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! daemon_alive "$name" || ((SECONDS > deadline)); then
            echo "$name is not ready after at most ${seconds}s; its log ends:" >&2
            tail -n 20 "$(daemon_log "$name")" >&2
            return 1
        fi
        sleep 0.1
    done
    daemon_alive "$name"
}

# daemon_stop NAME [SIGNAL]: returns when the process is gone.
daemon_stop() {
    local name=$1 pid
    pid=$(daemon_pid "$name") || return 1
    kill -s "${2:-TERM}" "$pid" 2>/dev/null || true
    wait_for 20 "$name to end" daemon_gone "$name"
}

daemon_gone() {
    ! daemon_alive "$1"
}
