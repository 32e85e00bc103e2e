# shellcheck shell=bash
# Brings everything up, in the order in which one part needs another.
# shellcheck disable=SC2034 # for the files that are sourced beside this one

stage_up() {
    local binary=$1
    headline "Setting the stage: own processes, network and 16 GiB disk"
    step "configuration: the shipped rules and route, short times" config_write
    step "dockerd on the disk of its own" dockerd_up
    step "Ray $RAY_VERSION as an image" ray_image_load
    step "two Ray clusters: 2 heads, 3 workers" clusters_up
    step "ray-worker-2: a task holds a folder by its name, and sleeps" sleeping_task_up
    step "ray-worker-3: a dead session beside the live one" dead_session_plant
    step "host $HOST_NAME: an sshd, and a login with sudo for the operator" demo_host_up
    step "the operator's desk: a key, and the host's key known to ssh" operator_up "$binary"
}

# What needs a host that has its part.
stage_watch() {
    local binary=$1
    headline "Those who watch it, and who is called"
    step "node_exporter, and measure every 2 seconds" measuring_up
    step "the responder" responder_up "$binary"
    step "Alertmanager and Prometheus" monitoring_up
}

# Two clusters, because a job that is alive counts for every worker of its cluster: the
# next step of a job may read what its last one left anywhere.
clusters_up() {
    in_parallel 'ray_head ray-head-a' 'ray_head ray-head-b' || return
    in_parallel 'ray_worker ray-worker-1 ray-head-a' \
        'ray_worker ray-worker-2 ray-head-b' 'ray_worker ray-worker-3 ray-head-b'
}

sleeping_task_up() {
    read -r TASK_ID TASK_FOLDER < <(ray_job_sleeping ray-head-b ray-worker-2)
    [[ -n $TASK_FOLDER ]]
}

# What may go of a dead session is its data: the newest one's logs stay for whoever wants
# to know what it died of.
dead_session_plant() {
    local session whole logs
    session=$(ray_dead_session ray-worker-3 300000000) || return
    DEAD_SESSION=/tmp/ray/$session
    whole=$(size_of ray-worker-3 "$DEAD_SESSION") && logs=$(size_of ray-worker-3 "$DEAD_SESSION/logs") || return
    PLANTED["dead_session"]=$((whole - logs))
}

# size_of CONTAINER PATH: bytes on disk.
size_of() {
    docker exec "$1" du -s -B1 "$2" | cut -f1
}

# As a host is before anybody has thought of raysweep: monitored, and with an administrator.
demo_host_up() {
    host_up "$HOST_NAME" "$HOST_PORT" || return
    on_host "$HOST_NAME" mkdir -p "$TEXTFILE_FOLDER" /etc/ssh/authorized_keys.d || return
    on_host "$HOST_NAME" useradd --create-home --shell /bin/bash "$OPERATOR" || return
    on_host "$HOST_NAME" install -m 440 /dev/stdin "/etc/sudoers.d/$OPERATOR" <<<"$OPERATOR ALL=(ALL) NOPASSWD: ALL"
}

# As the shipped cron line does it, but every 2 seconds. cron itself stays away: its hourly
# sweep might be the one that frees the disk, and the alert would have nothing to do.
measuring_up() {
    local enter
    mapfile -t enter < <(host_entry "$HOST_NAME")
    # shellcheck disable=SC2016 # for the shell inside
    daemon_start measure "${enter[@]}" sh -c \
        'while sleep 2; do nice raysweep measure --textfile /run/raysweep/raysweep.prom --log.level warn; done'
    node_exporter_up "$HOST_NAME" &&
        wait_for 30 "the metrics of three workers" all_workers_measured
}

all_workers_measured() {
    (($(curl -fs "http://127.0.0.1:$NODE_EXPORTER_PORT/metrics" |
        grep -c '^ray_worker_tmp_used_bytes{worker="ray-worker-[123]"}') == 3))
}

responder_up() {
    daemon_start responder "$1" serve --config.file "$WORLD_DIR/raysweep.yml" --storage.path "$WORLD_DIR/journal"
    daemon_ready responder 30 curl -fs http://127.0.0.1:9095/-/ready
}

# Alertmanager says only at this level when it notifies.
monitoring_up() {
    alertmanager_up "$WORLD_DIR/alertmanager.yml" --log.level=debug &&
        prometheus_up "$WORLD_DIR/prometheus.yml" &&
        wait_for 30 "all targets to be scraped" all_targets_up &&
        wait_for 30 "the rules to know ray-worker-1" worker_used_share ray-worker-1
}

all_targets_up() {
    [[ $(prometheus_value 'sum(up)') == 2 ]]
}
