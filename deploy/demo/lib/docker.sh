# shellcheck shell=bash
# A Docker daemon of the world's own, on the world's small disk.

RAY_VERSION=${RAY_VERSION:-2.40.0}
RAY_IMAGE=raysweep-demo/ray:$RAY_VERSION

# cgroupfs and an own parent: so the reaper knows what to take away, under cgroup v1
# and v2 alike. An own config file: the machine's daemon.json is not for this one.
dockerd_up() {
    echo '{}' >"$WORLD_DIR/daemon.json"
    daemon_start dockerd dockerd \
        --config-file "$WORLD_DIR/daemon.json" \
        --host "$DOCKER_HOST" \
        --data-root "$WORLD_DIR/disk/docker" \
        --exec-root /run/docker \
        --pidfile /run/docker.pid \
        --storage-driver overlay2 \
        --exec-opt native.cgroupdriver=cgroupfs \
        --cgroup-parent "/$WORLD_ID" \
        --userland-proxy=false
    daemon_ready dockerd 60 docker version || return
    # Where every program looks for it that was told nothing.
    ln -sfn "$WORLD_DIR/docker.sock" /run/docker.sock
}

# The tar comes from the cache: a world has no way to an index, so it is made before.
ray_image_load() {
    local tar
    tar=$("$DEMO_DIR/ray-image.sh" --cached "$RAY_VERSION") || return
    docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV LANG=C.UTF-8' --change 'ENV PYTHONUNBUFFERED=1' \
        --change 'ENV RAY_USAGE_STATS_ENABLED=0' \
        --change 'WORKDIR /root' --change 'CMD ["/bin/bash"]' \
        "$tar" "$RAY_IMAGE" >/dev/null
}

container_ip() {
    docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"
}
