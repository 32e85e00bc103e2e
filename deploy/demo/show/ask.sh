# shellcheck shell=bash
# What the parts know, asked of each by its own interface. Each function prints one value,
# or nothing and fails where there is none yet. Times are seconds since 1970.

# prometheus_query QUERY FILTER: the filter gets the list of results.
prometheus_query() {
    curl -fs --data-urlencode "query=$1" "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/query" |
        jq -er ".data.result | $2"
}

prometheus_value() {
    prometheus_query "$1" '.[0].value[1] // empty'
}

# The time of the evaluation that made it fire, not of our looking.
alert_fired_at() {
    prometheus_query 'ALERTS{alertstate="firing",alertname=~"RayWorker.+"}[10m]' '[.[].values[0][0]] | min // empty'
}

alert_names() {
    prometheus_query 'ALERTS{alertname=~"RayWorker.+"}' '[.[].metric.alertname] | unique | join(", ")'
}

no_alert_firing() {
    prometheus_query 'ALERTS{alertstate="firing",alertname=~"RayWorker.+"}' 'length == 0' >/dev/null
}

# worker_used_share WORKER: of the disk under its temp root, as the rules see it.
worker_used_share() {
    prometheus_value "host_worker:ray_worker_tmp_used:ratio{worker=\"$1\"}"
}

# The first scrape after TIME that shows WORKER below the line.
metric_down_at() {
    local limit
    limit=$(prometheus_value "ray_worker_tmp_limit_bytes{worker=\"$1\"}") &&
        prometheus_query "ray_worker_tmp_used_bytes{worker=\"$1\"}[10m]" \
            "[.[].values[] | select(.[0] > $2 and (.[1] | tonumber) < $limit / 2) | .[0]] | min // empty"
}

# Alertmanager's own log says when it sent the group to raysweep: to people goes another
# group, of which RaySweep alerts are a part.
notified_at() {
    local line
    line=$(grep -F msg=flushing "$(daemon_log alertmanager)" | grep -m1 -vF RaySweep) &&
        line=${line#*ts=} && epoch "${line%% *}"
}

# responder_api KIND FILTER: incidents or attempts, the newest first.
responder_api() {
    curl -fs -H "Authorization: Bearer $(<"$WORLD_DIR/token")" "http://127.0.0.1:9095/api/v1/$1" | jq -er ".$1 | $2"
}

# The one incident and the one attempt of this demo: the newest.
incident_field() {
    responder_api incidents ".[0].$1 // empty"
}

attempt_field() {
    responder_api attempts ".[0].$1 // empty"
}

incident_time() {
    local at
    at=$(incident_field "$1") && epoch "$at"
}

attempt_time() {
    local at
    at=$(attempt_field "$1") && epoch "$at"
}

incident_alert_time() {
    local at
    at=$(responder_api incidents ".[0].alerts | map(.$1) | if all then max else empty end") && epoch "$at"
}
