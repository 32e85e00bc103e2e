# shellcheck shell=bash
# One host in a network of its own with a real Ray worker, the responder and Prometheus; and words for what is
# asked of them.

readonly HOST=ray-80 ADDRESS=10.99.0.80

stage_up() {
    mkdir -p "$WORK/bin"
    # A debug build's tables of lines are of no use on a host.
    strip -s "$RAYSWEEP" -o "$WORK/bin/raysweep"
    dockerd_up
    ray_image_load
    ray_head ray-worker-1
    TEMP_ROOT=/proc/$(docker inspect -f '{{.State.Pid}}' ray-worker-1)/root/tmp
    network_up
    fleet_host "$HOST" "$ADDRESS"
    fleet_sshd "$HOST" "$ADDRESS" 22
    operator
    host_deploy
    node_exporter_of_host
    daemon_start responder "$RAYSWEEP" serve --config.file "$CONFIG/raysweep.yml" --storage.path "$WORLD_DIR/journal"
    daemon_ready responder 30 curl -fs http://127.0.0.1:9095/-/ready
    prometheus_of_fleet
}

operator() {
    desk_up "$CONFIG/id_ed25519" /home/desk/.ssh/desk
    login "$HOST" op /home/desk/.ssh/desk free
    printf 'Host *\n    User op\n    IdentityFile ~/.ssh/desk\n' >/home/desk/.ssh/config
    host_key "$HOST" >/home/desk/.ssh/known_hosts
    chown -R desk: /home/desk
}

# Cron comes each minute, and each time this host's part of 10 s later, which is 8 s.
host_deploy() {
    cat >"$CONFIG/raysweep.yml" <<YAML
ssh: {identity_file: $CONFIG/id_ed25519, known_hosts_file: $CONFIG/known_hosts}
deploy: {from: [10.99.0.254], sweep: {schedule: '* * * * *', jitter: 10s}}
hosts: [{name: $HOST, address: $ADDRESS}]
YAML
    as_operator raysweep deploy "$HOST" --config.file "$CONFIG/raysweep.yml" --accept-host-key "$(fingerprint "$HOST")" >"$WORK/out"
}

node_exporter_of_host() {
    host_daemon "node_exporter-$HOST" "$HOST" prometheus-node-exporter --web.listen-address="$ADDRESS:9100" \
        --collector.textfile.directory="$TEXTFILE_FOLDER"
    daemon_ready "node_exporter-$HOST" 30 curl -fs -o /dev/null "http://$ADDRESS:9100/metrics"
}

prometheus_of_fleet() {
    cat >"$WORK/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["$(realpath "$DEMO_DIR/../../rules")/*.rules.yml"]
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["$ADDRESS:9100"], labels: {host: "$HOST"}}]
  - job_name: raysweep
    static_configs: [{targets: ["127.0.0.1:9095"]}]
YAML
    prometheus_up "$WORK/prometheus.yml"
}

# prometheus_says QUERY: the answer holds a series.
prometheus_says() {
    curl -fs -m 5 --data-urlencode "query=$1" "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/query" |
        jq -e '.data.result | length > 0'
}

# rule_of ALERT: its expression, as Prometheus has loaded it.
rule_of() {
    curl -fs "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/rules" |
        jq -r --arg name "$1" '.data.groups[].rules[] | select(.name == $name).query'
}

# settings [LINE…]: the host's, with these lines instead of those of the same keys.
settings() {
    local line key
    declare -A lines=(
        [mode]='mode: enforce' [min_tmp_size]='min_tmp_size: 1MB'
        [schedule]='schedule: "* * * * *"' [jitter]='jitter: 10s' [activity]='activity: {sampling_window: 1s}'
        [ages]='ages: {no_job: 5s, in_job: 1h, job_start_margin: 1s, dead_session: 5s}'
    )
    for line in "$@"; do
        key=${line%%:*}
        lines[$key]=$line
    done
    printf '%s\n' "${lines[@]}" >"$WORK/sweep.yml"
    # As a whole or not at all: cron may come at any time.
    on "$HOST" install -m 644 /dev/stdin /etc/raysweep/sweep.yml.new <"$WORK/sweep.yml"
    on "$HOST" mv /etc/raysweep/sweep.yml.new /etc/raysweep/sweep.yml
}

# start_on FILE CMD…: on the host, in the background, its output in the file. STARTED is its pid.
start_on() {
    local file=$1 enter
    shift
    mapfile -t enter < <(host_entry "$HOST")
    "${enter[@]}" "$@" >"$file" 2>"$file.err" </dev/null &
    # shellcheck disable=SC2034 # for whoever called
    STARTED=$!
}

request() {
    echo '{"schema":1,"attempt":"01890000-0000-7000-8000-000000000000","trigger":"alert"}'
}

# By what the kernel lists: whoever tries the lock has it for a moment.
is_locked() {
    local inode
    inode=$(on "$HOST" stat -c %i /run/raysweep/lock) && grep -q "FLOCK .*:$inode 0 EOF" /proc/locks
}

not() {
    ! "$@"
}

# A process that waits for time to pass, and for nothing else.
is_asleep() {
    [[ $(cat "/proc/$1/comm") == raysweep && $(cat "/proc/$1/wchan") == *nanosleep* ]]
}

has_been_busy() {
    on "$HOST" grep -q 'trigger=cron outcome=busy' /var/log/raysweep/sweeps.log
}

has_more_lines() {
    (($(wc -l <"$1") > $2))
}

local_history() {
    on "$HOST" raysweep history --local "$@"
}

# sweeps_that_freed: how many by cron there have been.
sweeps_that_freed() {
    local_history --outcome freed --grep 'trigger=cron' --worker ray-worker-1 --limit 1000 | wc -l
}

percent_used() {
    df --output=pcent "$WORLD_DIR/disk" | tail -n 1 | tr -dc 0-9
}

# leave_behind NUMBER: from outside, because a process in the worker would be work.
leave_behind() {
    local kinds=(ray_tmp_ pip- tmp) folder
    folder=$TEMP_ROOT/${kinds[$1 % 3]}left$1
    mkdir "$folder"
    fallocate -l "${LEFTOVER_MIB}M" "$folder/data"
}
