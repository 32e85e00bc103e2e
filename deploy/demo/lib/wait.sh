# shellcheck shell=bash
# Waiting for a condition, always with a bound.

# wait_for SECONDS DESCRIPTION CMD…: until CMD succeeds; its output is dropped.
wait_for() {
    local seconds=$1 description=$2 deadline=$((SECONDS + $1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS > deadline)); then
            echo "gave up after ${seconds}s: $description" >&2
            return 1
        fi
        sleep 0.1
    done
}

# in_parallel CMD…: runs each argument as a command line side by side, and fails
# when one of them does.
in_parallel() {
    local line pids=() failed=0 pid
    for line in "$@"; do
        eval "$line" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=1
    done
    return "$failed"
}
