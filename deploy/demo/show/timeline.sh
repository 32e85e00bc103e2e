# shellcheck shell=bash
# Follows the alert from part to part and shows each event as it happens, by the clock of
# the part that knows it.

# When each event was, in seconds since 1970.
declare -gA AT=()

# Waits so long for the next event, whichever it is.
readonly EVENT_SECONDS=120

timeline_watch() {
    local pending=(notified accepted connected swept freed metric resolved closed) last
    headline "The alert, from part to part"
    printf '  %s%-12s  %11s  %-10s  %s%s\n' "$DIM" UTC 'since fired' event 'what, and who says so' "$PLAIN"
    wait_for 60 "the alert to fire" alert_fired_at
    AT[fired]=$(alert_fired_at)
    event_show fired
    last=$SECONDS
    while ((${#pending[@]})); do
        if ((SECONDS - last > EVENT_SECONDS)) || login_failed; then
            printf '  %sFAIL  it ends here; still to come: %s%s\n' "$RED" "${pending[*]}" "$PLAIN"
            return 1
        fi
        timeline_look || sleep 0.2
    done
}

# Shows what has happened since the last look, in its own order; fails where nothing has.
# `pending` and `last` are timeline_watch's.
timeline_look() {
    local name at still=() happened=()
    for name in "${pending[@]}"; do
        if at=$(time_of "$name" 2>/dev/null) && [[ -n $at ]]; then
            AT[$name]=$at
            happened+=("$name")
        else
            still+=("$name")
        fi
    done
    ((${#happened[@]})) || return
    pending=("${still[@]}")
    last=$SECONDS
    while read -r _ name; do
        event_show "$name"
        [[ $name != swept ]] || verdicts_show
    done < <(for name in "${happened[@]}"; do echo "${AT[$name]} $name"; done | sort -s -n -k1,1)
}

# time_of EVENT: as the part tells it that knows; nothing before it has happened.
time_of() {
    case $1 in
        notified) notified_at ;;
        accepted) incident_time accepted_at ;;
        connected) attempt_time connected_at ;;
        swept | freed) attempt_time finished_at ;;
        metric) metric_down_at ray-worker-1 "${AT[fired]}" ;;
        resolved) incident_alert_time ends_at ;;
        closed) incident_time closed_at ;;
    esac
}

# An attempt that ended without a login: nothing more is to come soon.
login_failed() {
    [[ -z ${AT[connected]:-} ]] && attempt_field outcome >/dev/null 2>&1 && ! attempt_field connected_at >/dev/null 2>&1
}

event_show() {
    local name=$1
    printf '  %s  %9.1f s  %s%-10s%s  %s\n' "$(date -ud "@${AT[$name]}" +%T.%1N)  " \
        "$(since_fired "$name")" "$CYAN" "$name" "$PLAIN" "$("${name}_text")"
}

fired_text() {
    echo "$(alert_names): ray-worker-1 on $HOST_NAME holds $(share_percent) % of its disk (Prometheus)"
}

notified_text() {
    echo "the webhook is called, for the group host=$HOST_NAME (Alertmanager)"
}

accepted_text() {
    echo "incident $(incident_field id) is in the journal (responder)"
}

connected_text() {
    echo "ssh to $HOST_NAME, host key checked, forced command (responder)"
}

swept_text() {
    echo "a verdict for each of $(attempt_field 'report.workers | length') workers (the host's report)"
}

freed_text() {
    echo "$(bytes "$(attempt_field freed_bytes)"); the disk had $(disk_free before) available and has $(disk_free after)"
}

disk_free() {
    bytes "$(attempt_field "report.disks[0].avail_$1_bytes")"
}

metric_text() {
    echo "ray-worker-1 is below the line again: $(share_percent) % of its disk (node_exporter)"
}

resolved_text() {
    echo "the alert no longer fires (Prometheus)"
}

closed_text() {
    echo "incident closed: $(incident_field close_reason), after $(incident_field attempts) attempt (responder)"
}

# A line for each worker, then the signs that led to its state, and what a worker at work
# was left with.
verdicts_show() {
    local indent worker
    printf -v indent '%27s' ''
    attempt_field 'report.workers' | jq -c 'sort_by(.name)[]' | while read -r worker; do
        printf '%s%s%-13s%s %-8s %s\n' "$indent" "$BOLD" "$(jq -r .name <<<"$worker")" "$PLAIN" \
            "$(jq -r '.state // "-"' <<<"$worker")" "$(verdict_text "$worker")"
        verdict_reasons "$worker" | cut -c1-92 |
            sed "s/^/$indent  $DIM/; s/\$/$PLAIN/"
    done
}

verdict_text() {
    local freed
    freed=$(jq -r .freed_bytes <<<"$1")
    jq -j .verdict <<<"$1"
    ((freed == 0)) || echo -n ": $(bytes "$freed") in $(jq -r '[.removed[].class] | unique | join(", ")' <<<"$1")"
}

verdict_reasons() {
    # The shell in which the demo started its driver is a sign as well, and hardly readable.
    jq -r 'def words: gsub("[[:cntrl:]\uFFFD ]+"; " ");
        (.evidence | map(select(.kind != "foreign_process"))[:2][]
            | "\(.kind): \(.detail | words)\(if .pid then ", pid \(.pid)" else "" end)"),
        (.kept | map(select(.class == "tmp"))[:1][] | "keeps \(.path): \(.why)")' <<<"$1"
}
