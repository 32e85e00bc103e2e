#!/bin/sh
# Checks that each example payload is of the kind that its name says. Takes no
# arguments; needs jq.
set -eu
cd "$(dirname "$0")"

# is FILE CONDITION: the file satisfies it.
is() {
    if ! jq -e "$2" "$1" >/dev/null; then
        echo "FAILED: $1 is not as described: $2" >&2
        exit 1
    fi
}

for file in *.json; do
    case $file in handmade-*) continue ;; esac
    is "$file" '.version == "4" and .externalURL == "http://alertmanager.example:9093"'
    is "$file" 'all(.alerts[]; .fingerprint | test("^[0-9a-f]{16}$"))'
    is "$file" 'all(.alerts[] | select(.status == "firing"); .endsAt == "0001-01-01T00:00:00Z")'
    is "$file" 'all(.alerts[] | select(.status == "resolved"); .endsAt > .startsAt)'
done

is firing-single.json '.status == "firing" and (.alerts | length) == 1 and .groupLabels == {host: "ray-80"}'
is resolved.json '.status == "resolved" and [.alerts[].status] == ["resolved"]'
# The resolution is of the alert that fired.
fired=$(jq -er '.alerts[0].fingerprint + .alerts[0].startsAt' firing-single.json)
resolved=$(jq -er '.alerts[0].fingerprint + .alerts[0].startsAt' resolved.json)
[ "$fired" = "$resolved" ]
is warning-and-critical.json '[.alerts[].labels.severity] | sort == ["critical", "warning"]'
is warning-and-critical.json '.commonLabels.host == "ray-84"'
is partly-resolved.json '.status == "firing" and ([.alerts[].status] | sort) == ["firing", "resolved"]'
is firing-two-hosts.json '([.alerts[].labels.host] | sort) == ["ray-80", "ray-81"] and (.commonLabels | has("host") | not)'
is truncated.json '.truncatedAlerts == 2 and (.alerts | length) == 2'
is unknown-alert.json '.alerts[0].labels.alertname == "HostOutOfMemory"'
is instance-only.json '.alerts[0].labels | has("instance") and (has("host") | not)'
is handmade-grafana.json '.orgId == 1 and .version == "1" and (.alerts[0] | has("values"))'
echo "payloads: all as described"
