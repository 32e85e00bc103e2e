# shellcheck shell=bash
# Lets ray-worker-1's disk fill, step by step, until the alert is on its way by itself.

# Bytes planted by class, and where.
declare -gA PLANTED=()
declare -ga PLANTED_PATHS=()

readonly FILL_BYTES=1500000000
readonly FILL_KINDS=(ray_tmp pip tmp)
# More would be a whole disk: then something other than the filling is wrong.
readonly FILL_STEPS=9

fill_until_pending() {
    local step kind
    headline "ray-worker-1 has no job, and its leftovers fill the disk"
    for ((step = 0; step < FILL_STEPS; step++)); do
        kind=${FILL_KINDS[step % ${#FILL_KINDS[@]}]}
        fill_step "$kind" || return
        wait_for 30 "Prometheus to see what was planted" share_is_above "$FILL_SHARE" || return
        fill_show "$kind"
        if (($(share_percent) >= 50)); then
            wait_for 20 "an alert on its way" alert_names
            return
        fi
    done
    echo "no alert although $FILL_STEPS leftovers were planted"
    return 1
}

# FILL_SHARE becomes what the disk's share must be at least, once it is measured again.
fill_step() {
    local kind=$1 path size before limit
    before=$(worker_used_share ray-worker-1) && path=$(plant ray-worker-1 "$kind" "$FILL_BYTES") &&
        size=$(size_of ray-worker-1 "$path") &&
        limit=$(prometheus_value 'ray_worker_tmp_limit_bytes{worker="ray-worker-1"}') || return
    PLANTED_PATHS+=("$path")
    PLANTED[$kind]=$((${PLANTED[$kind]:-0} + size))
    FILL_SHARE=$(awk -v before="$before" -v size="$size" -v limit="$limit" 'BEGIN { print before + 0.9 * size / limit }')
}

share_is_above() {
    awk -v share="$(worker_used_share ray-worker-1)" -v least="$1" 'BEGIN { exit !(share > least) }'
}

share_percent() {
    awk -v share="$(worker_used_share ray-worker-1)" 'BEGIN { printf "%d", share * 100 }'
}

fill_show() {
    local percent bar
    percent=$(share_percent)
    bar=$(printf '%*s' $((percent / 2)) '' | tr ' ' '#')
    printf '  %s  + %s in %-12s %s%-50s%s %3d %% of the disk\n' "$(date -u +%T)" "$(bytes "$FILL_BYTES")" \
        "$(basename "${PLANTED_PATHS[-1]}" | cut -c1-12)" "$YELLOW" "$bar" "$PLAIN" "$percent"
}
