# shellcheck shell=bash
# Follows the alert from part to part and shows each event as it happens, by the clock of
# the part that knows it.

# When each event was, in seconds since 1970.
declare -gA AT=()

timeline_watch() {
    headline "The alert, from part to part"
    printf '  %s%-12s  %11s  %-10s  %s%s\n' "$DIM" UTC 'since fired' event 'what, and who says so' "$PLAIN"
    event fired 60 alert_fired_at fired_text
    event notified 30 notified_at notified_text
    event accepted 30 "incident_time accepted_at" accepted_text
    event connected 60 "attempt_time connected_at" connected_text
    event swept 180 "attempt_time finished_at" swept_text
    verdicts_show
    event metric 60 metric_down_after_sweep metric_text
    event resolved 60 "incident_alert_time ends_at" resolved_text
    event closed 60 "incident_time closed_at" closed_text
}

# event NAME SECONDS TIME-CMD TEXT-CMD: waits for TIME-CMD to print a time.
event() {
    local name=$1 seconds=$2 deadline=$((SECONDS + $2)) at ask
    read -ra ask <<<"$3"
    until at=$("${ask[@]}" 2>/dev/null) && [[ -n $at ]]; do
        if ((SECONDS > deadline)) || [[ $name == connected && -n $(attempt_field outcome 2>/dev/null) ]]; then
            printf '  %sFAIL  %s did not happen within %s s%s\n' "$RED" "$name" "$seconds" "$PLAIN"
            return 1
        fi
        sleep 0.1
    done
    AT[$name]=$at
    event_show "$at" "$name" "$("$4")"
}

event_show() {
    local at=$1 name=$2 text=$3
    printf '  %s  %9.1f s  %s%-10s%s  %s\n' "$(date -ud "@$at" +%T.%1N)  " \
        "$(seconds_between "${AT[fired]}" "$at")" "$CYAN" "$name" "$PLAIN" "$text"
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
    echo "outcome $(attempt_field outcome): $(bytes "$(attempt_field freed_bytes)") freed (the host's report)"
}

metric_down_after_sweep() {
    metric_down_at ray-worker-1 "${AT[fired]}"
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

# A line for each worker, and one for each sign that led to its state.
verdicts_show() {
    local indent line
    printf -v indent '%41s' ''
    attempt_field 'report.workers' | jq -r '.[] | @json' | while read -r line; do
        printf '%s%s%-13s%s %-7s -> %s\n' "$indent" "$BOLD" "$(jq -r .name <<<"$line")" "$PLAIN" \
            "$(jq -r '.state // "-"' <<<"$line")" "$(verdict_text "$line")"
        jq -r '.evidence[:3][] | "  because \(.kind): \(.detail)\(if .pid then " (pid \(.pid))" else "" end)"' <<<"$line" |
            cut -c1-100 | sed "s/^/$indent$DIM/; s/\$/$PLAIN/"
    done
}

verdict_text() {
    local freed
    freed=$(jq -r .freed_bytes <<<"$1")
    jq -j '.verdict, (if .note then " (\(.note))" else "" end)' <<<"$1"
    ((freed == 0)) || echo -n ", $(bytes "$freed") freed"
    jq -r '[.removed[].class] | unique | if length > 0 then ": " + join(", ") else "" end' <<<"$1"
}
