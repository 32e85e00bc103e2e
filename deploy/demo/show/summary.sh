# shellcheck shell=bash
# The end: figures, checks, and on failure what the parts said last.

summary() {
    local failed=0
    headline "Seconds from firing to"
    summary_times
    headline "Bytes"
    summary_bytes
    headline "Checks"
    check "ray-worker-1: the leftovers are gone" leftovers_gone
    check "ray-worker-3: the dead session's data is gone" dead_session_gone
    check "ray-worker-3: its live session stands, and Ray says that it is alive" live_session_stands
    check "ray-worker-2: the busy task's file still stood" task_file_stands
    check "ray-worker-2: its task returned what it had written" task_returns
    check "the disk has the space again" disk_is_free_again
    check "the alert resolved" no_alert_firing
    check "the incident closed" incident_closed
    hosts_undeploy
    check "$HOST_NAME: no path and no account of raysweep is left" nothing_left_on_host
    echo
    ((failed == 0)) || return 1
    printf '%sok: %s freed of %s planted, %s s from firing to resolved; ray-worker-2, at work, was not touched%s\n' \
        "$BOLD$GREEN" "$(bytes "$(freed_bytes)")" "$(bytes "$(planted_bytes)")" "$(since_fired resolved)" "$PLAIN"
}

# check DESCRIPTION CMD…: `failed` is summary's.
check() {
    local description=$1
    shift
    if "$@" >/dev/null 2>"$WORLD_DIR/log/check.log"; then
        printf '  %sok%s    %s\n' "$GREEN" "$PLAIN" "$description"
    else
        printf '  %sFAIL%s  %s\n' "$RED" "$PLAIN" "$description"
        sed 's/^/          /' "$WORLD_DIR/log/check.log"
        failed=1
    fi
}

summary_times() {
    local name
    for name in notified accepted connected swept metric resolved closed; do
        printf '  %-14s %10s\n' "$name" "$(since_fired "$name")"
    done
}

since_fired() {
    printf '%.1f' "$(seconds_between "${AT[fired]}" "${AT[$1]}")"
}

summary_bytes() {
    local class
    printf '  %s%-14s %10s %10s%s\n' "$DIM" class planted freed "$PLAIN"
    for class in ray_tmp pip tmp dead_session; do
        printf '  %-14s %10s %10s\n' "$class" "$(bytes "${PLANTED[$class]:-0}")" "$(bytes "$(freed_bytes "$class")")"
    done
    printf '  %-14s %10s %10s\n' all "$(bytes "$(planted_bytes)")" "$(bytes "$(freed_bytes)")"
}

planted_bytes() {
    local class sum=0
    for class in "${!PLANTED[@]}"; do
        ((sum += PLANTED["$class"]))
    done
    echo "$sum"
}

# freed_bytes [CLASS]: by the host's reports.
freed_bytes() {
    responder_api attempts "[.[].report.workers[]?.removed[] | select(\"${1:-}\" == \"\" or .class == \"${1:-}\") | .bytes] | add // 0"
}

# Set on EXIT: the world goes with this script, and its logs with it.
logs_on_failure() {
    local code=$? name
    ((code == 0 || code == 130 || code == 143)) && return
    headline "It failed ($code). What the parts said last:"
    for name in responder alertmanager prometheus "sshd-$HOST_NAME" measure dockerd; do
        [[ -s $WORLD_DIR/log/$name.log ]] || continue
        printf '%s--- %s%s\n' "$BOLD" "$name" "$PLAIN"
        # What is said each second would hide the rest.
        grep -v -e level=info -e msg=flushing "$WORLD_DIR/log/$name.log" | tail -n 15 | cut -c1-300
    done
    responder_api attempts '.[0]' 2>/dev/null | head -c 6000
}
