# shellcheck shell=bash
# The self-test's first half: every part of the library, once, for real.

run_parts() {
    local trace code=0
    trace=$(mktemp)
    "$HERE/world.sh" "$SELF" --inside-parts "$trace" || code=$?
    ((code == 0)) || fail "the parts ended with $code"
    assert_nothing_left "$trace"
    rm -f "$trace"
    echo "ok: the parts work, and nothing of them is left"
}

# timed CMD…: its output goes where it went, its duration is printed.
timed() {
    local start=$EPOCHREALTIME
    "$@" || fail "$*"
    awk -v a="$start" -v b="$EPOCHREALTIME" -v what="$*" \
        'BEGIN { printf "  %5.1f s  %.70s\n", b - a, what }' >&2
}

disk_used() {
    df --output=used,pcent -m "$WORLD_DIR/disk" | awk 'NR == 2 { print $1 " MiB, " $2 }'
}

containers_memory() {
    docker stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.CPUPerc}}'
}

inside_parts() {
    # shellcheck source=deploy/demo/lib.sh
    source "$HERE/lib.sh"
    note_world "$1"
    local start=$EPOCHREALTIME
    timed dockerd_up
    timed ray_image_load
    echo "disk with the image: $(disk_used)"
    timed ray_head head
    timed in_parallel 'ray_worker w1 head' 'ray_worker w2 head' 'ray_worker w3 head'
    awk -v a="$start" -v b="$EPOCHREALTIME" \
        'BEGIN { printf "head and three workers up: %.1f s\n", b - a }'
    containers_memory
    check_jobs
    check_leftovers
    check_monitoring
    check_hosts
}

check_jobs() {
    local id path out
    read -r id path < <(ray_job_sleeping head w2)
    docker exec w2 test -s "$path/checkpoint" || fail "no checkpoint in $path"
    echo "while its task sleeps: $(containers_memory | grep '^w2 ')"
    ray_job_release w2 "$id"
    out=$(timed ray_job_result head "$id") || fail "the job did not return: $out"
    [[ $out == "state of $id" ]] || fail "the job returned: $out"
    # The counter-example: the same job whose folder goes must not look healthy.
    read -r id path < <(ray_job_sleeping head w2)
    docker exec w2 rm -r "$path"
    ray_job_release w2 "$id"
    ! out=$(ray_job_result head "$id") || fail "the job survived the loss of $path"
    [[ $out == *FileNotFoundError* ]] || fail "the job ended otherwise: $out"
}

check_leftovers() {
    local session bytes=104857600 spilled
    session=$(timed ray_dead_session w3 "$bytes")
    spilled=$(docker exec w3 du -s -B1 "/tmp/ray/$session" | cut -f1)
    ((spilled >= bytes)) || fail "$session holds $spilled bytes"
    docker exec w3 sh -c "test -s /tmp/ray/$session/logs/gcs_server.out" || fail "no log of a real Ray in $session"
    # The brackets keep the search from finding itself.
    ! docker exec w3 sh -c "cat /proc/[0-9]*/cmdline | grep -q '[s]${session#s}'" || fail "$session is alive"
    docker exec w3 sh -c 'ls -d /tmp/ray/session_latest/sockets/raylet' >/dev/null ||
        fail "session_latest is not the live one"
    timed plant w1 'ray_tmp_*' 1200000000 3 >/dev/null
    timed plant w1 'pip-*' 600000000 2 >/dev/null
    timed plant w1 'tmp*' 400000000 >/dev/null
    [[ $(docker exec w1 sh -c 'ls -d /tmp/ray_tmp_* /tmp/pip-* /tmp/tmp*' | wc -l) == 6 ]] ||
        fail "not six leftovers"
    echo "disk with the leftovers: $(disk_used)"
}

check_monitoring() {
    cat >"$WORLD_DIR/prometheus.yml" <<CONFIG
global: {scrape_interval: 1s, evaluation_interval: 1s}
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:9093"]}]}]}
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["127.0.0.1:9100"]}]
CONFIG
    printf 'route: {receiver: nobody}\nreceivers: [{name: nobody}]\n' >"$WORLD_DIR/alertmanager.yml"
    timed node_exporter_up
    timed alertmanager_up "$WORLD_DIR/alertmanager.yml"
    timed prometheus_up "$WORLD_DIR/prometheus.yml"
    timed wait_for 30 "the disk's metric in Prometheus" disk_metric
}

disk_metric() {
    curl -fs --data-urlencode "query=node_filesystem_avail_bytes{mountpoint=\"$WORLD_DIR/disk\"}" \
        http://127.0.0.1:9090/api/v1/query | jq -e '.data.result | length == 1'
}

check_hosts() {
    echo 'mode: observe' >"$WORLD_DIR/sweep.yml"
    timed host_up alpha 2201 "$WORLD_DIR/sweep.yml"
    timed host_up beta 2202
    on_host alpha grep -q observe /etc/raysweep/sweep.yml
    ! on_host beta test -e /etc/raysweep || fail "beta sees the settings of alpha"
    give_account alpha
    [[ $(ssh_to 2201 'hostname; sudo -n /usr/bin/id -u' | tr '\n' ' ') == "alpha 0 " ]] ||
        fail "ssh, sudo on alpha"
    ! ssh_to 2202 true 2>/dev/null || fail "beta let the account of alpha in"
    on_host alpha docker -H unix:///var/run/docker.sock inspect w1 >/dev/null || fail "no Docker on alpha"
    host_key_change alpha
    ! ssh_to 2201 true 2>/dev/null || fail "ssh took a changed host key"
    on_host alpha sh -c 'echo "@reboot root hostname >/var/log/by-cron" >/etc/cron.d/probe'
    timed cron_up alpha
    timed wait_for 20 "a job of cron on alpha" on_host alpha grep -q alpha /var/log/by-cron
    timed daemon_stop sshd-alpha
    ! ssh_to 2201 true 2>/dev/null || fail "alpha still answers"
    timed host_down alpha
    timed host_up alpha 2201
    ! on_host alpha getent passwd selftest >/dev/null || fail "alpha is not a fresh host"
}

give_account() {
    local name=$1
    ssh-keygen -q -t ed25519 -N '' -f "$WORLD_DIR/key"
    on_host "$name" useradd -m -s /bin/sh -p '*' selftest
    on_host "$name" install -D -m 644 /dev/stdin /etc/ssh/authorized_keys.d/selftest <"$WORLD_DIR/key.pub"
    on_host "$name" install -m 440 /dev/stdin /etc/sudoers.d/selftest \
        <<<'selftest ALL=(root) NOPASSWD: /usr/bin/id -u'
    { host_key alpha && host_key beta; } >"$WORLD_DIR/known_hosts"
}

ssh_to() {
    local port=$1
    shift
    ssh -n -F none -i "$WORLD_DIR/key" -o UserKnownHostsFile="$WORLD_DIR/known_hosts" \
        -o StrictHostKeyChecking=yes -o BatchMode=yes -p "$port" selftest@127.0.0.1 "$@"
}
