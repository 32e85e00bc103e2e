#!/usr/bin/env bash
# Runs in a world of its own: run.sh starts it there.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
# shellcheck source=deploy/demo/lib.sh
source "$here/../../deploy/demo/lib.sh"
# shellcheck source=tests/fleet/lib.sh
source "$here/../fleet/lib.sh"
# shellcheck source=tests/backstop/stage.sh
source "$here/stage.sh"

# The disk that the worker's temp root lies on stays below this share of it: where the critical alert fires
# by default, nobody is left to hear it.
readonly LINE_PERCENT=80
# What is left behind each time, in MiB, and how often.
readonly LEFTOVER_MIB=200 EVERY_SECONDS=5
# More than the disk holds, in at least so many sweeps: on a busy machine it takes longer, and never this long.
readonly SWEEPS=3 FILL_BOUND_SECONDS=900

# What cron takes is taken, what it refuses is refused, and so is what it would read as something else.
schedules() {
    local kind schedule by_cron by_us
    while IFS=$'\t' read -r kind schedule; do
        [[ -n $schedule ]] || continue
        by_cron=taken by_us=taken
        printf '%s true\n' "$schedule" >"$WORK/crontab"
        crontab -n "$WORK/crontab" >/dev/null 2>&1 || by_cron=refused
        printf "schedule: '%s'\n" "$schedule" >"$WORK/schedule.yml"
        "$RAYSWEEP" check-config --sweep "$WORK/schedule.yml" >/dev/null 2>&1 || by_us=refused
        case $kind in
            misread) [[ $by_cron/$by_us == taken/refused ]] ;;
            *) [[ $by_cron/$by_us == "$kind/$kind" ]] ;;
        esac || not_ok "$kind: '$schedule' is $by_cron by cron and $by_us by us"
    done <"$here/schedules.txt"
    ok 'schedules are read as the real cron reads them'
}

deployed() {
    is 'deploy has written the schedule of the settings' '* * * * * root nice raysweep sweep --trigger cron --jitter' \
        "$(on "$HOST" grep -o '^.*--jitter' /etc/cron.d/raysweep)"
}

# A wait that somebody ends, and settings that change in it.
waiting() {
    local pid code=0
    settings 'jitter: 1h' 'schedule: "@hourly"'
    start_on "$WORK/waited" raysweep sweep --trigger cron --jitter --json
    pid=$STARTED
    wait_for 20 'the sweep to wait' is_asleep "$pid"
    ! is_locked || not_ok 'a sweep that waits holds the lock'
    kill -TERM "$pid"
    wait "$pid" || code=$?
    is 'a sweep that waits ends at once when it is told to' 143 "$code"
    says 'and says nothing' '' cat "$WORK/waited"
    says 'and leaves nothing' '' on "$HOST" find /var/log/raysweep -type f
    settings 'jitter: 10s'
    start_on "$WORK/waited" raysweep sweep --trigger cron --jitter --json
    pid=$STARTED
    wait_for 20 'the sweep to wait' is_asleep "$pid"
    settings 'mode: observe'
    wait "$pid"
    is 'what root has changed meanwhile counts' observe "$(jq -r .mode "$WORK/waited")"
}

# An attempt that the responder has begun is at work when cron comes.
beside_an_attempt() {
    local ssh code=0
    settings 'activity: {sampling_window: 80s}'
    request >"$WORK/request"
    as_responder "$ADDRESS" -- sweep <"$WORK/request" >"$WORK/report" 2>"$WORK/err" &
    ssh=$!
    wait_for 20 'the attempt to take the lock' is_locked
    cron_up "$HOST"
    wait_for 90 'cron to come while it is at work' has_been_busy
    kill -0 "$ssh" || not_ok 'the attempt had ended already'
    settings
    ok 'cron has come while an attempt over SSH was at work, and said busy'
    on "$HOST" raysweep measure >"$WORK/metrics"
    grep -qx 'raysweep_last_sweep_outcome{trigger="cron",outcome="busy"} 1' "$WORK/metrics" ||
        not_ok "no such run in: $(cat "$WORK/metrics")"
    ok 'which is a run that Prometheus is told of'
    wait "$ssh" || code=$?
    is 'the attempt has come to its end' '0 alert' "$code $(jq -r .trigger "$WORK/report")"
    is 'and tells of the run that found it at work' 'busy 60' \
        "$(jq -r '.backstop | "\(.last.outcome) \(.interval_secs)"' "$WORK/report")"
    # While everything is still there: the textfile, node_exporter, Prometheus.
    wait_for 130 'Prometheus to know of a run by cron' prometheus_says 'time() - raysweep_last_sweep_timestamp_seconds{trigger="cron"} < 120'
    wait_for 20 'Prometheus to know the interval' prometheus_says 'raysweep_backstop_interval_seconds == 60'
    ok 'Prometheus has the last run and the interval by the textfile'
    # Without a bound on the age the rule finds it at once.
    wait_for 20 'the rule' prometheus_says "$(rule_of RaySweepBackstopMissing | sed 's/> 2 \*.*/>= 0/')"
    ok 'and the rule finds this host by them'
    says 'the textfile is as promtool wants it' '' promtool_of_textfile
}

promtool_of_textfile() {
    on "$HOST" cat /run/raysweep/raysweep.prom | promtool check metrics 2>&1
}

# No two sweeps that did anything overlap.
one_at_a_time() {
    says 'no sweep was beside another' 0 overlaps
}

overlaps() {
    on "$HOST" cat /var/log/raysweep/sweeps.jsonl | jq -s '
        map(select(.outcome != "busy")) | sort_by(.started_at)
        | [.[:-1], .[1:]] | transpose | map(select(.[0].finished_at > .[1].started_at)) | length'
}

everything_down() {
    daemon_stop responder KILL
    daemon_stop prometheus KILL
    daemon_stop "node_exporter-$HOST" KILL
    daemon_stop "sshd-$HOST" KILL
    ip link set "v-$HOST" down
    on "$HOST" ip link set eth0 down
    on "$HOST" ip link set lo down
    ! curl -fs -m 2 http://127.0.0.1:9095/-/healthy || not_ok 'the responder answers'
    ! prometheus_says up || not_ok 'Prometheus answers'
    ! as_responder "$ADDRESS" -o ConnectTimeout=2 -- sweep <"$WORK/request" 2>/dev/null || not_ok 'the host is reached'
    says 'nothing but cron is left' '' on "$HOST" ip -o link show up
}

# What a job leaves behind, again and again, older than the settings ask when cron comes.
keeps_the_disk() {
    local swept_before swept=0 until=$((SECONDS + FILL_BOUND_SECONDS)) planted=0 highest=0 now disk
    swept_before=$(sweeps_that_freed)
    disk=$(df --output=size -k "$WORLD_DIR/disk" | tail -n 1)
    while ((planted * LEFTOVER_MIB * 1024 <= disk || swept < SWEEPS)); do
        ((SECONDS < until)) || not_ok "after $FILL_BOUND_SECONDS s $planted leftovers of $LEFTOVER_MIB MiB and $swept sweeps"
        leave_behind $((planted++))
        now=$(percent_used)
        ((now <= highest)) || highest=$now
        ((now < LINE_PERCENT)) || not_ok "after $planted leftovers the disk is at $now %"
        swept=$(($(sweeps_that_freed) - swept_before))
        sleep "$EVERY_SECONDS"
    done
    ok "$planted leftovers of $LEFTOVER_MIB MiB, more than the disk holds, and it was never over $highest %"
    ok "cron alone has freed it, in $swept sweeps"
    is 'and the worker is alive' true "$(docker inspect -f '{{.State.Running}}' ray-worker-1)"
    wait_for 130 'the textfile to tell of it' on "$HOST" grep -qx \
        'raysweep_last_sweep_outcome{trigger="cron",outcome="freed"} 1' /run/raysweep/raysweep.prom
    ok 'the textfile tells of it'
}

# logrotate as Debian has it, while somebody follows.
rotated() {
    local follower code=0 lines at
    start_on "$WORK/followed" env --default-signal=INT raysweep history --local --follow --grep worker=ray-worker-1
    follower=$STARTED
    wait_for 20 'the past to be shown' has_more_lines "$WORK/followed" 0
    for at in first second; do
        lines=$(wc -l <"$WORK/followed")
        on "$HOST" logrotate -f -s /var/lib/logrotate.state /etc/logrotate.d/raysweep
        wait_for 90 "a sweep after the $at rotation" has_more_lines "$WORK/followed" "$lines"
    done
    ok 'who follows the log is told of the sweeps after each rotation'
    kill -INT "$follower"
    wait "$follower" || code=$?
    is 'and Ctrl-C ends it' 130 "$code"
    is 'one file is packed' /var/log/raysweep/sweeps.jsonl.2.gz "$(on "$HOST" sh -c 'ls /var/log/raysweep/sweeps.jsonl*.gz')"
    is 'who may read logs may read these' '640 adm' "$(on "$HOST" stat -c '%a %G' /var/log/raysweep/sweeps.log)"
}

times_out_of_order() {
    cut -d' ' -f1 "$WORK/history" | sort -c 2>&1
}

looked_up() {
    local all of_tmp
    on "$HOST" raysweep history --local --limit 1000 >"$WORK/history"
    all=$(on "$HOST" sh -c 'cd /var/log/raysweep && { zcat sweeps.log.2.gz && cat sweeps.log.1 sweeps.log; } | sort | sha256sum')
    is 'history --local shows what the logs hold, rotated and packed' "$all" "$(sort "$WORK/history" | sha256sum)"
    says 'in order' '' times_out_of_order
    is 'the sweep that found another at work' 'outcome=busy' \
        "$(local_history --outcome busy --limit 1 | grep -o 'outcome=[a-z]*')"
    is 'those of one worker that freed something, and why' 'worker=ray-worker-1 state=no_job verdict=cleaned' \
        "$(local_history --worker ray-worker-1 --outcome freed --limit 1 | grep -o 'worker=.*cleaned')"
    says 'nothing that is older' '' local_history --since 1s --outcome busy
    of_tmp=$(grep -c ' tmp' "$WORK/history")
    is 'by a text' "$of_tmp" "$(local_history --grep ' tmp' --limit 1000 | wc -l)"
    is 'for programs' '"cleaned"' "$(local_history --worker ray-worker-1 --outcome freed --limit 1 --json | jq .verdict)"
    local_history --limit 3 | sed 's/^/    /'
}

# A log that has no room stops no sweep and is whole again once there is.
full_log() {
    local code=0
    daemon_stop "cron-$HOST"
    wait_for 60 'the last sweep of cron to end' not is_locked
    on "$HOST" mount -t tmpfs -o size=64k,mode=750 full /var/log/raysweep
    on "$HOST" sh -c 'cd /var/log/raysweep && printf "{\"schema\":1,\"cut\":" >sweeps.jsonl && cat /dev/zero >rest 2>/dev/null; true'
    on "$HOST" raysweep sweep --trigger cron --json >"$WORK/out" 2>"$WORK/err" || code=$?
    is 'a sweep whose log has no room is one all the same' '0 cron' "$code $(jq -r .trigger "$WORK/out")"
    is 'and is the last run itself' "$(jq -r '"\(.finished_at) \(.outcome)"' "$WORK/out")" \
        "$(jq -r '.backstop.last | "\(.finished_at) \(.outcome)"' "$WORK/out")"
    on "$HOST" raysweep sweep --trigger alert --dry-run --json >"$WORK/looked"
    is 'which the next sweep tells too, though no log has it' "$(jq -c .backstop.last "$WORK/out")" \
        "$(jq -c .backstop.last "$WORK/looked")"
    grep -q 'No space left on device' "$WORK/err" || not_ok 'it does not say that it kept nothing'
    on "$HOST" rm /var/log/raysweep/rest
    on "$HOST" raysweep sweep --trigger cron --json >"$WORK/out" 2>"$WORK/err"
    is 'with room again its report is there' "$(jq -r .attempt "$WORK/out")" \
        "$(local_history --json --limit 1 2>/dev/null | jq -r .attempt)"
}

main() {
    RAYSWEEP=$1
    mkdir -p "$WORK"
    schedules
    stage_up
    deployed
    waiting
    beside_an_attempt
    one_at_a_time
    everything_down
    keeps_the_disk
    one_at_a_time
    rotated
    looked_up
    full_log
    echo "$passed passed, 0 failed"
}

main "$@"
