# shellcheck shell=bash
# A real Ray cluster: a head and workers, each in a container of its own, and drivers
# that run on the head. A job is alive on every worker of its cluster: a worker without a
# job beside one with a job takes a head each.

readonly RAY_PORT=6379
readonly RAY_OBJECT_STORE_BYTES=83886080

# ray_container NAME MEMORY DOCKER-ARGS… -- RAY-START-ARGS…
ray_container() {
    local name=$1 memory=$2 docker_args=()
    shift 2
    while [[ $1 != -- ]]; do
        docker_args+=("$1")
        shift
    done
    shift
    docker run -d --pull never --name "$name" --hostname "$name" \
        --memory "$memory" --shm-size 128m \
        "${docker_args[@]}" "$RAY_IMAGE" \
        ray start --block --node-name "$name" --disable-usage-stats \
        --object-store-memory "$RAY_OBJECT_STORE_BYTES" "$@" >/dev/null
}

# ray_head NAME [docker run args…]: a head that runs no tasks itself.
ray_head() {
    local name=$1
    shift
    ray_container "$name" 1500m "$@" -- \
        --head --port "$RAY_PORT" --num-cpus 0 --include-dashboard=false || return
    ray_node_ready "$name" "$name"
}

# ray_worker NAME HEAD [docker run args…]
ray_worker() {
    local name=$1 head=$2
    shift 2
    ray_container "$name" 1500m "$@" -- \
        --address "$(container_ip "$head"):$RAY_PORT" --num-cpus 1 || return
    ray_node_ready "$head" "$name"
}

# ray_python CONTAINER SCRIPT [ARG…]: one of the scripts of lib/ray/, inside a container.
ray_python() {
    local container=$1 script=$2
    shift 2
    docker exec -i "$container" python3 - "$@" <"$DEMO_DIR/lib/ray/$script.py"
}

# The head's GCS is asked, not the container: a started process is no registered raylet.
ray_node_ready() {
    local head=$1 name=$2
    if ! ray_python "$head" node_ready "127.0.0.1:$RAY_PORT" "$name" 60 >"$WORLD_DIR/log/node-$name.log" 2>&1; then
        cat "$WORLD_DIR/log/node-$name.log" >&2
        docker logs --tail 20 "$name" >&2
        return 1
    fi
}

# ray_driver HEAD FILE.py [ARG…]: runs it on the head in the background; prints its id.
ray_driver() {
    local head=$1 file=$2 id
    shift 2
    id=$(basename "$file" .py)-$RANDOM$RANDOM
    docker exec -i "$head" sh -c "mkdir -p /root/drivers && cat >/root/drivers/$id.py" <"$file" || return
    # The exit code is written under another name first: what is there is complete.
    # shellcheck disable=SC2016 # for the shell inside
    docker exec -d -w /root/drivers "$head" sh -c \
        'id=$1; shift
         python3 "$id.py" "$@" >"$id.log" 2>&1; echo $? >"$id.code.new"; mv "$id.code.new" "$id.code"' \
        sh "$id" "$@" || return
    echo "$id"
}

ray_driver_log() {
    docker exec "$1" cat "/root/drivers/$2.log"
}

# ray_driver_wait HEAD ID SECONDS: returns the driver's exit code.
ray_driver_wait() {
    local head=$1 id=$2 seconds=$3
    wait_for "$seconds" "driver $id to end" docker exec "$head" test -e "/root/drivers/$id.code" || return 124
    return "$(docker exec "$head" cat "/root/drivers/$id.code")"
}

# ray_job_sleeping HEAD WORKER [NAME]: a job whose task on WORKER, called NAME, holds a folder of
# tempfile.mkdtemp() by nothing but its name. Returns when the task has written and
# closed its file; prints the driver's id and the folder's path.
ray_job_sleeping() {
    local head=$1 worker=$2 id
    shift
    id=$(ray_driver "$head" "$DEMO_DIR/lib/ray/sleeping_job.py" "127.0.0.1:$RAY_PORT" "$@") || return
    if ! wait_for 60 "the task of $id to write its file" \
        docker exec "$worker" test -e "/root/sleeping-$id"; then
        ray_driver_log "$head" "$id" >&2
        return 1
    fi
    echo "$id $(docker exec "$worker" cat "/root/sleeping-$id")"
}

# ray_job_release WORKER ID: lets the task go on.
ray_job_release() {
    docker exec "$1" touch "/root/release-$2"
}

# ray_job_result HEAD ID [SECONDS]: waits for the end; prints what the task read again,
# or the traceback. Returns 0 only if the task returned.
ray_job_result() {
    local head=$1 id=$2 code=0
    ray_driver_wait "$head" "$id" "${3:-60}" || code=$?
    ray_driver_log "$head" "$id"
    return "$code"
}
