# shellcheck shell=bash
# Podman of the world's own, on the world's small disk, with its API on a socket.

# What every call says: storage and cgroups of the world's own, and a runtime that starts where
# limits may not be raised. Docker's credentials are not for this one.
PODMAN=(env -u DOCKER_CONFIG podman
    --root "$WORLD_DIR/disk/podman" --runroot /run/podman-storage --tmpdir /run/libpod
    --storage-driver overlay --events-backend file
    --runtime runc --cgroup-manager cgroupfs)

podman_here() {
    "${PODMAN[@]}" "$@"
}

# podman_up: the API answers at $WORLD_DIR/podman.sock.
podman_up() {
    daemon_start podman "${PODMAN[@]}" system service --time 0 "unix://$WORLD_DIR/podman.sock"
    daemon_ready podman 60 \
        curl --silent --fail --max-time 5 --unix-socket "$WORLD_DIR/podman.sock" http://podman/_ping
}

# podman_run NAME [podman run args…]: a container without a network, with its cgroup where the
# reaper looks for them, and with limits that runc can set everywhere.
podman_run() {
    local name=$1
    shift
    podman_here run --detach --pull never --name "$name" --network none --cgroup-parent "/$WORLD_ID" \
        --pids-limit -1 --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 "$@" >/dev/null
}

# podman_import_ray NAME: Ray's image, from the cache as Docker's.
podman_import_ray() {
    local tar
    tar=$("$DEMO_DIR/ray-image.sh" --cached "$RAY_VERSION") || return
    podman_here import --quiet --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV LANG=C.UTF-8' "$tar" "$1" >/dev/null
}
