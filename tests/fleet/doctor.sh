#!/usr/bin/env bash
# The whole chain on real parts, and each of its links broken, one after the other: doctor has to find that
# one, no other one, and say what to do. As root. Usage: doctor.sh [BINARY]
set -euo pipefail
here=$(dirname "$(realpath "$0")")
if [[ -z ${WORLD_DIR:-} ]]; then
    cd "$here/../.."
    binary=$(realpath "${1:-target/debug/raysweep}")
    deploy/demo/install.sh >&2
    exec deploy/demo/world.sh "$here/doctor.sh" "$binary"
fi
SHIPPED=$here/../..
# shellcheck source=tests/fleet/lib.sh
source "$here/lib.sh"
# shellcheck source=deploy/demo/lib/docker.sh
source "$DEMO_DIR/lib/docker.sh"
# shellcheck source=deploy/demo/lib/monitoring.sh
source "$DEMO_DIR/lib/monitoring.sh"
# shellcheck source=tests/fleet/links.sh
source "$here/links.sh"

readonly HOST=ray-80 ADDRESS=10.99.0.80

operator() {
    desk_up "$CONFIG/id_ed25519" "$CONFIG/other" /home/desk/.ssh/desk
    printf '%s\n' 'Host *' '    User op' '    IdentityFile ~/.ssh/desk' | as_operator tee /home/desk/.ssh/config >/dev/null
    install -m 600 -o desk /dev/stdin "$CONFIG/token" <<<'a token'
    cp -p "$CONFIG/token" "$CONFIG/shown"
}

host_here() {
    local name=$1 address=$2
    fleet_host "$name" "$address"
    on "$name" mkdir -p /etc/tmpfiles.d
    fleet_sshd "$name" "$address" 22
    login "$name" op /home/desk/.ssh/desk free
    cron_up "$name"
    exporter_up "$name" "$address" "$TEXTFILE_FOLDER"
}

# exporter_up NAME ADDRESS TEXTFILE-FOLDER
exporter_up() {
    local name=$1 address=$2 folder=$3
    on "$name" mkdir -p "$folder"
    host_daemon "node_exporter-$name" "$name" \
        prometheus-node-exporter --web.listen-address="$address:9100" --collector.textfile.directory="$folder"
    daemon_ready "node_exporter-$name" 30 curl -fs -o /dev/null "http://$address:9100/metrics"
}

# Half an hour from now: no run of cron's own falls into this test.
schedule() {
    local minute
    minute=$(date +%-M)
    echo "$(((minute + 30) % 60)) * * * *"
}

configs() {
    { host_key ray-80 && host_key ray-81; } >/home/desk/.ssh/known_hosts
    cat >"$CONFIG/raysweep.yml" <<YAML
ssh: {identity_file: $CONFIG/id_ed25519, known_hosts_file: $CONFIG/known_hosts, connect_timeout: 3s}
prometheus: {url: http://127.0.0.1:$PROMETHEUS_PORT}
alertmanager: {url: http://127.0.0.1:$ALERTMANAGER_PORT}
deploy:
  from: [10.99.0.254]
  public_key_file: $CONFIG/id_ed25519.pub
  sweep: {schedule: "$(schedule)", mode: enforce, deadline: 5s, activity: {sampling_window: 1s, ray_timeout: 1s}}
hosts:
  - {name: ray-80, address: 10.99.0.80}
  - {name: ray-81, address: 10.99.0.81}
YAML
    # Whoever asks has a token of his own, so that the responder's can be taken away.
    { cat "$CONFIG/raysweep.yml" && echo "web: {bearer_token_file: $CONFIG/token}"; } >"$CONFIG/serve.yml"
    mkdir "$WORK/rules"
    cp "$SHIPPED"/rules/*.rules.yml "$WORK/rules/"
    cat >"$WORK/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["$WORK/rules/*.rules.yml"]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:$ALERTMANAGER_PORT"]}]}]}
scrape_configs:
  - job_name: node
    static_configs:
      - {targets: ["10.99.0.80:9100"], labels: {host: ray-80, ray: "true"}}
      - {targets: ["10.99.0.81:9100"], labels: {host: ray-81, ray: "true"}}
  - job_name: raysweep
    static_configs: [{targets: ["127.0.0.1:9095"]}]
YAML
    sed "s|credentials_file: .*|credentials_file: $CONFIG/token|" "$SHIPPED/alertmanager/raysweep.yml" >"$WORK/alertmanager.yml"
    for file in prometheus.yml alertmanager.yml; do
        cp "$WORK/$file" "$WORK/$file.right"
    done
}

# responder_up [VARIABLE=VALUE…]
responder_up() {
    daemon_start responder setpriv --reuid desk --regid desk --init-groups --reset-env -- env "$@" \
        "$WORK/bin/raysweep" serve --config.file "$CONFIG/serve.yml" --storage.path "${JOURNAL:-$WORK/journal}"
    daemon_ready responder 30 curl -fs http://127.0.0.1:9095/-/ready
}

# A process that will take the lock of sweeps, and will have been running for long by then.
holder_up() {
    mkfifo "$WORK/go"
    # shellcheck disable=SC2016 # for the shell inside
    host_daemon holder "$HOST" sh -c 'read -r go <"$1"; exec flock -o /run/raysweep/lock sleep infinity' sh "$WORK/go"
    HOLDER_SINCE=$SECONDS
}

stage() {
    mkdir -p "$WORK/bin"
    # A debug build's tables of lines are of no use on a host.
    strip -s "$1" -o "$WORK/bin/raysweep"
    operator
    network_up
    dockerd_up
    # Docker lets nobody through but its own, and one host is gone to by way of the other.
    iptables -I FORWARD -i fleet -o fleet -j ACCEPT
    worker_up
    host_here ray-80 10.99.0.80
    host_here ray-81 10.99.0.81
    configs
    chown -R desk: /home/desk
    raysweep deploy --all --config.file "$CONFIG/raysweep.yml" \
        --accept-host-key "$(fingerprint ray-80)" --accept-host-key "$(fingerprint ray-81)" >&2
    holder_up
    responder_up
    alertmanager_up "$WORK/alertmanager.yml"
    prometheus_up "$WORK/prometheus.yml"
}

# doctor [FLAG…]: what it says of one host and the control side, into $WORK/out.
doctor() {
    code=0
    raysweep doctor "$HOST" --json --bearer-token-file "$CONFIG/shown" --config.file "${ASKED:-$CONFIG/raysweep.yml}" \
        "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || code=$?
    jq -e . "$WORK/out" >/dev/null
}

# alarms: every link that is broken or not as it should be, as LINK=STATE.
alarms() {
    jq -r '[.[] | select(.state == "broken" or .state == "warn") | "\(.check)=\(.state)"] | join(" ")' "$WORK/out"
}

alarms_are() {
    local expected=$1
    shift
    doctor "$@" && [[ $(alarms) == "$expected" ]]
}

# of LINK FIELD: what the last word on a link was.
of() {
    jq -r --arg link "$1" --arg field "$2" '.[] | select(.check == $link) | .[$field] // ""' "$WORK/out"
}

# found LINK STATE WORDS [FLAG…]
found() {
    local link=$1 state=$2 words=$3
    shift 3
    alarms_are "$link=$state" "$@" && [[ $(of "$link" advice) == *"$words"* ]]
}

# finds LINK STATE WORDS [FLAG…]: that link, no other one, and these words in the advice. Prometheus takes
# its time to scrape what was changed, so it is waited for.
finds() {
    local link=$1 state=$2 expected=1
    wait_for 40 "$link to be $state" found "$@" || {
        jq -r '.[] | select(.state != "ok") | "    \(.check) \(.state): \(.seen) -> \(.advice)"' "$WORK/out" >&2
        not_ok "$link was not found, or not alone, or without the words '$3': $(alarms)"
    }
    [[ $state == broken ]] || expected=0
    [[ $code == "$expected" ]] || not_ok "$link is $state: exit code $code"
    ok "$link is $state: $(of "$link" seen) -> $(of "$link" advice)"
    row "$link" "$state" "$(of "$link" seen)" "$(of "$link" advice)"
}

# row LINK STATE SEEN ADVICE: a row of the table in docs/doctor.md; what is another one each time is not in it.
row() {
    # shellcheck disable=SC2016 # Markdown's.
    printf '| `%s` | %s | %s | %s |\n' "$@" |
        sed -E -e 's/SHA256:[A-Za-z0-9+/]+/SHA256:…/g' -e 's/\[\{.*\}\]/…/' -e "s|$CONFIG|/etc/raysweep|g" >>"$WORK/table"
}

skipped() {
    local link
    for link in "$@"; do
        wait_for 40 "$link to be skipped" is_skipped "$link" || not_ok "$link is $(of "$link" state): $(of "$link" seen)"
        ok "  $link raises no alarm of its own"
    done
}

is_skipped() {
    [[ $(of "$1" state) == skipped ]] || { doctor && [[ $(of "$1" state) == skipped ]]; }
}

all_green() {
    wait_for 60 'the whole chain to hold' alarms_are '' --send-test-alert || {
        jq -r '.[] | select(.state != "ok") | "    \(.check) \(.state): \(.seen)"' "$WORK/out" >&2
        not_ok 'the chain does not hold'
    }
    says "$1" '' jq -r '.[] | select(.state != "ok") | "\(.check) \(.state)"' "$WORK/out"
    is 'with exit code 0' 0 "$code"
}

main() {
    stage "$1"
    all_green 'every link holds, a test alert too'
    control_side
    monitoring_side
    ways_to_a_host
    inside_a_host
    clocks
    all_green 'put right again, every link holds'
    a_host_that_hangs
    raysweep doctor "$HOST" --bearer-token-file "$CONFIG/shown" --config.file "$CONFIG/raysweep.yml" | sed 's/^/    /'
    # For docs/doctor.md, where somebody wants it.
    [[ -z ${DOCTOR_TABLE:-} ]] || cp "$WORK/table" "$DOCTOR_TABLE"
    echo "$passed passed, 0 failed"
}

main "$@"
