#!/usr/bin/env bash
# Inside a world: three hosts on a network at the addresses that the documents name, a worker on the first of
# them, and beside them the machine of the reader, who follows the documents.
# Usage: stage.sh BASE.tar FOLDER   FOLDER is what the reader's machine has at /cycle
set -euo pipefail
here=$(dirname "$(realpath "$0")")
DEMO_DIR=$here/../../deploy/demo
WORK=$WORLD_DIR/documents
base=$1 folder=$2
for part in wait daemons docker hosts monitoring; do
    # shellcheck source=/dev/null
    source "$DEMO_DIR/lib/$part.sh"
done
# shellcheck source=tests/fleet/lib.sh
source "$here/../fleet/lib.sh"

host() {
    local name=$1 address=$2
    fleet_host "$name" "$address"
    on "$name" mkdir -p /etc/tmpfiles.d "$TEXTFILE_FOLDER"
    fleet_sshd "$name" "$address" 22
    login "$name" root "$folder/desk"
    cron_up "$name"
    daemon_start "node_exporter-$name" nsenter --target "$(daemon_pid "host-$name")" --mount --uts --net -- \
        prometheus-node-exporter --web.listen-address="$address:9100" --collector.textfile.directory="$TEXTFILE_FOLDER"
    daemon_ready "node_exporter-$name" 30 curl -fs -o /dev/null "http://$address:9100/metrics"
    # Its key where a host has it, and what the scripts by hand are started from.
    on "$name" install -m 644 "$(sshd_folder "$name")/host_key.pub" /etc/ssh/ssh_host_ed25519_key.pub
    on "$name" ln -s "$(realpath "$here/../..")" /usr/local/src/raysweep
    on "$name" ln -s "$folder/checkout/target/release/raysweep" /usr/local/src/program
    on "$name" install -m 755 "$here/host/plant.sh" /usr/local/sbin/plant
    on "$name" install -m 755 "$here/host/new_host_key.sh" /usr/local/sbin/new-host-key
    on "$name" tee /etc/default/documents <<<"SSHD=$(sshd_folder "$name")" >/dev/null
}

main() {
    mkdir -p "$WORK"
    ssh-keygen -q -t ed25519 -N '' -f "$folder/desk"
    DESK=10.0.0.254 network_up
    dockerd_up
    worker_up
    local number
    for number in 80 81 82; do
        host "ray-$number" "10.0.0.$number"
        host_key "ray-$number" >>"$folder/known_hosts"
    done
    sed -i "s|@WORLD@|$WORLD_DIR|g" "$folder/prometheus.yml"
    BOUND=780 "$here/../package/boot.sh" "$base" "$folder"
}

main
