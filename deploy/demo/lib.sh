# shellcheck shell=bash
# The parts that the demo and the end-to-end tests put into a world (world.sh).
# To be sourced inside one. Each `…_up` returns when its part is ready, or fails within
# a bound; what a function prints is its result, errors go to standard error. All state
# lies below $WORLD_DIR, so that several shells can work on one world.
#
#   wait.sh        wait_for, in_parallel
#   daemons.sh     daemon_start, daemon_ready, daemon_stop, daemon_log, daemon_pid
#   docker.sh      dockerd_up, ray_image_load, container_ip
#   podman.sh      podman_up, podman_here, podman_run, podman_import_ray
#   ray.sh         ray_head, ray_worker, ray_driver…, ray_job_sleeping, …_release, …_result
#   leftovers.sh   ray_dead_session, plant
#   monitoring.sh  node_exporter_up, cadvisor_up, prometheus_up, alertmanager_up
#   hosts.sh       host_up, host_down, on_host, host_daemon, sshd_up, host_key, host_key_change, cron_up

: "${WORLD_DIR:?lib.sh is for the inside of a world: world.sh CMD}"
: "${WORLD_ID:?lib.sh is for the inside of a world: world.sh CMD}"

DEMO_DIR=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
readonly DEMO_DIR

# shellcheck source=deploy/demo/lib/wait.sh
source "$DEMO_DIR/lib/wait.sh"
# shellcheck source=deploy/demo/lib/daemons.sh
source "$DEMO_DIR/lib/daemons.sh"
# shellcheck source=deploy/demo/lib/docker.sh
source "$DEMO_DIR/lib/docker.sh"
# shellcheck source=deploy/demo/lib/ray.sh
source "$DEMO_DIR/lib/ray.sh"
# shellcheck source=deploy/demo/lib/leftovers.sh
source "$DEMO_DIR/lib/leftovers.sh"
# shellcheck source=deploy/demo/lib/monitoring.sh
source "$DEMO_DIR/lib/monitoring.sh"
# shellcheck source=deploy/demo/lib/hosts.sh
source "$DEMO_DIR/lib/hosts.sh"
# shellcheck source=deploy/demo/lib/podman.sh
source "$DEMO_DIR/lib/podman.sh"
