# shellcheck shell=bash
# What must be true in the end. Each check asks the thing itself and not the report.

leftovers_gone() {
    local path
    for path in "${PLANTED_PATHS[@]}"; do
        docker exec ray-worker-1 test ! -e "$path" || return
    done
    # Nor may anything stand under the name that a sweep gives to what it detaches.
    [[ -z $(docker exec ray-worker-1 find /tmp -name '.raysweep-*') ]]
}

dead_session_gone() {
    [[ -z $(docker exec ray-worker-3 find "$DEAD_SESSION" -mindepth 1 -type f -not -path "$DEAD_SESSION/logs/*") ]]
}

live_session_stands() {
    docker exec ray-worker-3 test -S /tmp/ray/session_latest/sockets/raylet &&
        ray_node_ready ray-head-b ray-worker-3
}

task_file_stands() {
    [[ $(docker exec ray-worker-2 cat "$TASK_FOLDER/checkpoint") == "state of $TASK_ID" ]]
}

# Only now may the task go on: it reads its file again and returns what it says.
task_returns() {
    ray_job_release ray-worker-2 "$TASK_ID"
    TASK_RESULT=$(ray_job_result ray-head-b "$TASK_ID" 60) && [[ $TASK_RESULT == "state of $TASK_ID" ]]
}

incident_closed() {
    [[ $(incident_field state) == closed && $(incident_field close_reason) == resolved ]]
}

disk_is_free_again() {
    local gained
    gained=$(responder_api attempts '.[0].report.disks | map(.avail_after_bytes - .avail_before_bytes) | max') &&
        ((gained * 100 >= $(planted_bytes) * 95))
}
