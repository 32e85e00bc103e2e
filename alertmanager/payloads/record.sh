#!/bin/bash
# Records the example payloads anew: a real Alertmanager on loopback sends them
# to a receiver that stores each body as it came. Takes no arguments; needs
# prometheus-alertmanager, curl, jq and python3.
set -euo pipefail
cd "$(dirname "$0")"

work=$(mktemp -d)
pids=()
# Ends what was started here, and nothing else.
cleanup() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT

# within SECONDS COMMAND...: polls until the command succeeds, or fails.
within() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $until ]; then
            echo "gave up waiting for: $*" >&2
            cat "$work"/alertmanager*.log >&2 || true
            return 1
        fi
        sleep 0.1
    done
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

token=recorded
printf %s "$token" >"$work/token"
mkdir "$work/bodies"
python3 receiver.py "$work/bodies" "$token" &
pids+=($!)
within 10 test -e "$work/bodies/port"
url="http://127.0.0.1:$(cat "$work/bodies/port")/webhook"

# start CONFIG: sets `api` to a fresh Alertmanager's.
start() {
    local port
    port=$(free_port)
    api="http://127.0.0.1:$port"
    # Without a cluster address nothing listens but the web port, and nothing
    # waits for peers. The external URL keeps this machine's name out.
    prometheus-alertmanager --config.file="$1" --storage.path="$work/data-$port" \
        --web.listen-address="127.0.0.1:$port" --cluster.listen-address= \
        --web.external-url=http://alertmanager.example:9093 --web.route-prefix=/ \
        >"$work/alertmanager-$port.log" 2>&1 &
    pids+=($!)
    within 20 curl -fsS "$api/-/ready"
}

# alert LABEL=VALUE... SUMMARY DESCRIPTION EXPR: one alert as Prometheus posts it.
alert() {
    local labels=("${@:1:$#-3}")
    jq -n --arg summary "${@: -3:1}" --arg description "${@: -2:1}" --arg expr "${@: -1}" \
        --arg now "$(date -u +%FT%T.%3NZ)" '{
            labels: ($ARGS.positional | map(capture("^(?<key>[^=]+)=(?<value>.*)$")) | from_entries),
            annotations: {summary: $summary, description: $description},
            startsAt: $now,
            generatorURL: "http://prometheus.example:9090/graph?g0.expr=\($expr | @uri)&g0.tab=1"
        }' --args "${labels[@]}"
}

tmp_alert() { # NAME SEVERITY HOST WORKER PERCENT SIZE LIMIT FOR
    alert alertname="$1" severity="$2" host="$3" worker="$4" \
        "Ray worker $4 on $3 uses $5% of its disk for temporary files" \
        "The temporary files of $4 on $3 take $5% ($6) of the file system under its temp root, over $7% for $8 minutes." \
        "host_worker:ray_worker_tmp_used:ratio > 0.$7"
}

disk_alert() { # NAME SEVERITY HOST PERCENT SIZE LIMIT FOR
    alert alertname="$1" severity="$2" host="$3" device=/dev/sda1 mountpoint=/ \
        "Disk / of Ray host $3 has $4% free" \
        "/ (/dev/sda1) of $3 has $4% ($5) free, under $6% for $7 minutes." \
        "host_device_mountpoint:ray_host_disk_avail:ratio < 0.$6"
}

ended() { jq --arg now "$(date -u +%FT%T.%3NZ)" '.endsAt = $now'; }

# record FILE: posts the alerts on standard input and stores what is sent then.
record() {
    local next
    next=$(($(find "$work/bodies" -name '*.json' | wc -l) + 1))
    jq -s . | curl -fsS -H 'Content-Type: application/json' --data-binary @- "$api/api/v2/alerts"
    within 30 test -e "$work/bodies/$next.json"
    cp "$work/bodies/$next.json" "$1"
    echo "recorded $1"
}

# The shipped configuration, with only the address, the credentials' place and
# the waiting times changed.
sed -e "s|http://127.0.0.1:9095/webhook|$url|" \
    -e "s|/etc/prometheus/raysweep.token|$work/token|" \
    -e 's|group_wait: 5s|group_wait: 1s|' \
    -e 's|group_interval: 1m|group_interval: 2s|' \
    ../raysweep.yml >"$work/shipped.yml"
start "$work/shipped.yml"

warning=$(tmp_alert RayWorkerLargeTmpDirectory warning ray-80 ray-worker-1 64 118.4GiB 50 5)
record firing-single.json <<<"$warning"
ended <<<"$warning" | record resolved.json

warning=$(disk_alert RayWorkerDiskUsageHigh warning ray-84 11 51.2GiB 30 10)
critical=$(disk_alert RayWorkerDiskCritical critical ray-84 11 51.2GiB 15 2)
record warning-and-critical.json <<<"$warning$critical"
# The group as a whole goes on firing.
ended <<<"$critical" | record partly-resolved.json

# What other people's configurations send: groups over several hosts, a limit
# on the alerts of a notification, every alert to one receiver.
cat >"$work/foreign.yml" <<YML
route:
  receiver: raysweep
  group_by: [alertname]
  group_wait: 1s
  group_interval: 2s
  routes:
    - receiver: raysweep-limited
      matchers: [alertname="RayWorkerCriticalTmpDirectory"]
receivers:
  - name: raysweep
    webhook_configs:
      - url: $url
        http_config: &http {authorization: {credentials_file: $work/token}}
  - name: raysweep-limited
    webhook_configs:
      - url: $url
        max_alerts: 2
        http_config: *http
YML
start "$work/foreign.yml"

{
    tmp_alert RayWorkerLargeTmpDirectory warning ray-80 ray-worker-1 64 118.4GiB 50 5
    tmp_alert RayWorkerLargeTmpDirectory warning ray-81 ray-worker-1 71 131.3GiB 50 5
} | record firing-two-hosts.json

for n in 80 81 82 84; do
    tmp_alert RayWorkerCriticalTmpDirectory critical "ray-$n" ray-worker-1 91 168.3GiB 80 2
done | record truncated.json

alert alertname=HostOutOfMemory severity=critical host=ray-80 instance=10.0.0.80:9100 job=node \
    'Host ray-80 is out of memory' 'Less than 10% of memory is available.' \
    'node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 0.10' |
    record unknown-alert.json

# The four alerts by rules of the old kind, without the label `host`.
alert alertname=RayWorkerDiskCritical severity=critical instance=10.0.0.80:9100 job=node \
    device=/dev/sda1 fstype=ext4 mountpoint=/ \
    'Ray worker disk critical' 'Less than 15% of the disk is free.' \
    'node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.15' |
    record instance-only.json

./check.sh
