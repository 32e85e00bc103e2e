# shellcheck shell=bash
# What must be true in the end. Each check asks the thing itself and not the report.

leftovers_gone() {
    # Nor may anything stand under the name that a sweep gives to what it detaches.
    # shellcheck disable=SC2016 # for the shell inside
    docker exec ray-worker-1 sh -c \
        'for path; do ! ls -d "$path" 2>/dev/null || exit 1; done
         left=$(find /tmp -name ".raysweep-*") && test -z "$left"' \
        sh "${PLANTED_PATHS[@]}"
}

# Its logs stay: it is the newest dead session.
dead_session_gone() {
    [[ $(docker exec ray-worker-3 ls -A "$DEAD_SESSION") == logs ]]
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

# By every path that the host has, and by its accounts.
nothing_left_on_host() {
    local tree
    tree=$(host_tree) && diff <(echo "$HOST_TREE") <(echo "$tree")
}

disk_is_free_again() {
    local gained
    gained=$(responder_api attempts '.[0].report.disks | map(.avail_after_bytes - .avail_before_bytes) | max') &&
        ((gained * 100 >= $(planted_bytes) * 95))
}
