# shellcheck shell=bash
# Prometheus, Alertmanager and node_exporter on the world's loopback, at their own ports.

readonly NODE_EXPORTER_PORT=9100
readonly PROMETHEUS_PORT=9090
readonly ALERTMANAGER_PORT=9093
readonly CADVISOR_PORT=8080
readonly TEXTFILE_FOLDER=/var/lib/prometheus/node-exporter

# node_exporter_up [HOST [PORT [ARG…]]]: in the world itself, or as one of its hosts,
# whose textfile folder is then read.
node_exporter_up() {
    local host=${1:-} port=${2:-$NODE_EXPORTER_PORT} name=node_exporter${1:+-$1} enter
    shift $(($# < 2 ? $# : 2))
    mapfile -t enter < <(host_entry "$host")
    "${enter[@]}" mkdir -p "$TEXTFILE_FOLDER"
    daemon_start "$name" "${enter[@]}" prometheus-node-exporter \
        --web.listen-address="127.0.0.1:$port" \
        --collector.textfile.directory="$TEXTFILE_FOLDER" "$@"
    daemon_ready "$name" 30 curl -fs -o /dev/null "http://127.0.0.1:$port/metrics"
}

# cadvisor_up PROGRAM [ARG…]: of the world's Docker. It looks every second, as everything here does.
cadvisor_up() {
    local program=$1
    shift
    daemon_start cadvisor "$program" -logtostderr -housekeeping_interval=1s \
        -docker "unix://$WORLD_DIR/docker.sock" -docker_root "$WORLD_DIR/disk/docker" \
        -listen_ip 127.0.0.1 -port "$CADVISOR_PORT" "$@"
    daemon_ready cadvisor 60 curl -fs -o /dev/null "http://127.0.0.1:$CADVISOR_PORT/healthz"
}

# prometheus_up CONFIG [ARG…]: `curl -X POST …/-/reload` works, as systemd's reload would.
prometheus_up() {
    local config=$1
    shift
    daemon_start prometheus prometheus --config.file="$config" \
        --storage.tsdb.path="$WORLD_DIR/prometheus" --web.enable-lifecycle \
        --web.listen-address="127.0.0.1:$PROMETHEUS_PORT" "$@"
    daemon_ready prometheus 60 curl -fs "http://127.0.0.1:$PROMETHEUS_PORT/-/ready"
}

# alertmanager_up CONFIG [ARG…]: without a cluster address; it would look for a private
# network to gossip on and end where there is loopback alone.
alertmanager_up() {
    local config=$1
    shift
    daemon_start alertmanager prometheus-alertmanager --config.file="$config" \
        --storage.path="$WORLD_DIR/alertmanager" --cluster.listen-address= \
        --web.listen-address="127.0.0.1:$ALERTMANAGER_PORT" "$@"
    daemon_ready alertmanager 60 curl -fs "http://127.0.0.1:$ALERTMANAGER_PORT/-/ready"
}
