#!/usr/bin/env bash
# A person sweeps ten hosts by hand, through the responder and around it, holds them and releases them.
# Runs in a world of its own: run.sh starts it there.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/fleet/lib.sh
source "$here/lib.sh"

readonly TEN=(h11 h12 h13 h14 h15 h16 h17 h18 h19 h20)
readonly SCRATCH=/dev/shm/scratch USER_ID=4242 LOOP='for each host in turn'
readonly DEAD=$SCRATCH/ray/session_2020-01-01_00-00-00_000001_7

address() {
    echo "10.99.0.${1#h}"
}

# Each with processes of its own, so that it has a first process, and what Ray left on it is its own.
machine() {
    local name=$1 address
    address=$(address "$name")
    fleet_host "$name" "$address" --pid --fork --kill-child --mount-proc
    fleet_sshd "$name" "$address" 22
    login "$name" op /home/desk/.ssh/desk free
}

operator() {
    desk_up "$CONFIG/id_ed25519" /home/desk/.ssh/desk
    printf '%s\n' 'Host *' '    User op' '    IdentityFile ~/.ssh/desk' '    BatchMode yes' >/home/desk/.ssh/config
}

# Ages so short that a test can wait for them; the sampling window is the one that hosts have by default.
inventory() {
    local name
    {
        cat <<YAML
ssh: {identity_file: $CONFIG/id_ed25519, known_hosts_file: $CONFIG/known_hosts, connect_timeout: 30s}
deploy:
  from: [10.99.0.254]
  sweep:
    mode: enforce
    min_tmp_size: 1MB
    ages: {no_job: 2s, in_job: 1h, job_start_margin: 1s, dead_session: 2s, logs: 24h}
    bare: {temp_root: $SCRATCH, user_id: $USER_ID}
hosts:
YAML
        for name in "${TEN[@]}"; do
            echo "  - {name: $name, address: $(address "$name")}"
        done
    } >"$CONFIG/raysweep.yml"
    { cat "$CONFIG/raysweep.yml" && echo '  - {name: gone, address: 10.99.0.199}'; } >"$CONFIG/eleven.yml"
    for name in "${TEN[@]}"; do
        host_key "$name"
    done >/home/desk/.ssh/known_hosts
}

# plant [NAME…]: a dead session of 4 MiB on each of these, and time enough for it to be old.
plant() {
    local name
    (($#)) || set -- "${TEN[@]}"
    for name in "$@"; do
        on "$name" mkdir -p "$DEAD/runtime_resources"
        on "$name" head -c 4194304 /dev/zero | on "$name" tee "$DEAD/runtime_resources/blob" >/dev/null
        on "$name" chown -R "$USER_ID:$USER_ID" "$SCRATCH"
    done
    wait_for 20 'what was planted to be old enough' is_old "$name"
}

is_old() {
    local changed now
    changed=$(on "$1" stat -c %Z "$DEAD/runtime_resources/blob") now=$(date +%s)
    ((now - changed > 3))
}

# window DURATION NAME…: how long a sweep looks at what is at work there, and so takes at least.
window() {
    local duration=$1 name
    shift
    for name in "$@"; do
        on "$name" sed -i -E "s/(sampling_window: ).*/\\1\"$duration\"/" /etc/raysweep/sweep.yml
        on "$name" grep -q "sampling_window: \"$duration\"" /etc/raysweep/sweep.yml || not_ok "$name: $duration"
    done
}

by_hand() {
    raysweep run --config.file "$CONFIG/raysweep.yml" --url "http://127.0.0.1:9095" "$@"
}

# ends_of: how it ended on each host, as HOST=OUTCOME, by the last --json.
ends_of() {
    jq -rs '[.[] | "\(.host)=\(.outcome)"] | join(" ")' "$WORK/out"
}

each_is() {
    local name all=()
    for name in "${TEN[@]}"; do
        all+=("$name=$1")
    done
    echo "${all[*]}"
}

responder_up() {
    daemon_start responder setpriv --reuid desk --regid desk --init-groups --reset-env -- \
        "$WORK/bin/raysweep" serve --config.file "$CONFIG/raysweep.yml" --storage.path "$WORK/storage"
    daemon_ready responder 30 curl -sf http://127.0.0.1:9095/-/ready
}

# settled: no ssh of the person's is left, no sweep runs anywhere, and every host's lock is free.
settled() {
    local name
    ! pgrep -u desk -x ssh >/dev/null || return 1
    for name in "$@"; do
        ! on "$name" pgrep -f 'raysweep (sweep|sweeping)' >/dev/null || return 1
        on "$name" flock -n /run/raysweep/lock true || return 1
    done
}

sweeping() {
    local name
    for name in "$@"; do
        on "$name" pgrep -f 'raysweep sweep --json' >/dev/null || return 1
    done
}

through_the_responder() {
    responder_up
    plant
    ends 'a run through the responder' 0 by_hand --all --json
    is 'frees each host' "$(each_is freed)" "$(ends_of)"
    is 'each by an attempt of its own, which history has' 10 "$(curl -s http://127.0.0.1:9095/api/v1/attempts |
        jq '[.attempts[] | select(.trigger == "manual" and .outcome == "freed" and .incident == null)] | length')"
    plant h11
    ends 'a dry run' 0 by_hand h11 --dry-run --json
    is 'says what would go' h11=would_free "$(ends_of)"
    on h11 test -e "$DEAD" || not_ok 'it was deleted'
    ends 'a host that is none' 6 by_hand h11 nobody --json
    is 'stops no other' 'h11=freed nobody=unknown_host' "$(ends_of)"
    interrupted_through_the_responder
    daemon_stop responder
}

interrupted_through_the_responder() {
    local job code=0 id
    plant h12
    window 15s h12
    by_hand h12 >"$WORK/out" 2>"$WORK/err" &
    job=$!
    wait_for 20 'the sweep on h12' on h12 pgrep -f 'raysweep sweep --request'
    kill -INT "$(pgrep -u desk -f 'raysweep run')"
    wait "$job" || code=$?
    is 'Ctrl-C ends the wait' 130 "$code"
    id=$(curl -s 'http://127.0.0.1:9095/api/v1/attempts?host=h12&limit=1' | jq -r '.attempts[0].id')
    grep -q "h12  $id" "$WORK/err" || not_ok 'it does not say what goes on'
    wait_for 90 'the attempt to end by itself' attempt_is "$id" freed
    window 5s h12
    ok 'and the attempt goes on at the responder, as it said'
}

attempt_is() {
    [[ $(curl -s "http://127.0.0.1:9095/api/v1/attempts/$1" | jq -r .outcome) == "$2" ]]
}

around_the_responder() {
    plant
    ends 'where the responder is down a run goes directly' 0 by_hand --all --json
    grep -q 'going directly' "$WORK/err" || not_ok 'it does not say so'
    is 'and frees each host' "$(each_is freed)" "$(ends_of)"
    is 'with the reports of manual sweeps' manual "$(jq -rs '[.[].report.trigger] | unique | join(" ")' "$WORK/out")"
    wait_for 20 'all to be settled' settled "${TEN[@]}"
    ends 'a host that is none' 3 by_hand h11 nobody
    plant h11
    ends 'one that does not answer' 8 raysweep run h11 gone --direct --json --config.file "$CONFIG/eleven.yml"
    is 'stops no other' 'h11=freed gone=unreachable' "$(ends_of)"
    with_logs h13
    ends 'for people it is a table' 0 by_hand h11 h12 h13 --direct
    sed 's/^/    /' "$WORK/out"
    grep -q 'logs (dead_session_logs, 2.1 MB): newest_dead_session' "$WORK/out" || not_ok 'it does not say why something was kept'
}

# The newest dead session's logs stay for the post-mortem.
with_logs() {
    on "$1" install -d "$DEAD/logs"
    on "$1" head -c 2097152 /dev/zero | on "$1" tee "$DEAD/logs/raylet.out" >/dev/null
    plant "$1"
}

# sudo that wants a password gets it, once, and the sweep gets the rest.
by_password() {
    plant h20
    on h20 install -m 440 /dev/stdin /etc/sudoers.d/op <<<'op ALL=(ALL) ALL'
    ends 'sudo that asks is told of' 6 by_hand h20 --direct --json
    [[ $(jq -r .reason "$WORK/out") == *--ask-sudo-pass* ]] || not_ok "$(cat "$WORK/out")"
    on h20 test -e "$DEAD" || not_ok 'something was deleted'
    ends 'with the password it goes' 0 typed 'sudo password: ' "$PASSWORD" \
        raysweep run h20 --direct --ask-sudo-pass --config.file "$CONFIG/raysweep.yml"
    on h20 test ! -e "$DEAD/runtime_resources" || not_ok 'nothing was deleted'
    [[ $(cat "$WORK/out") != *'correct horse'* ]] || not_ok 'the password was shown'
    ok 'which is shown nowhere'
    on h20 install -m 440 /dev/stdin /etc/sudoers.d/op <<<'op ALL=(ALL) NOPASSWD: ALL'
}

interrupted_directly() {
    local job code=0
    plant
    window 90s "${TEN[@]}"
    by_hand --all --direct --json >"$WORK/out" 2>"$WORK/err" &
    job=$!
    wait_for 60 'a sweep on each host' sweeping "${TEN[@]}"
    kill -INT "$(pgrep -u desk -f 'raysweep run')"
    wait "$job" || code=$?
    is 'Ctrl-C ends a run that goes directly' 130 "$code"
    is 'and says so of each host' "$(each_is interrupted)" "$(ends_of)"
    # At once, and not when the sweeps would have ended.
    settled "${TEN[@]}" || not_ok 'something is left of it'
    ok 'no ssh and no sweep is left, and each lock is free'
    says 'nothing is detached' '' detached_anywhere
    window 5s "${TEN[@]}"
    ends 'and the next run frees them' 0 by_hand --all --direct --json
    is 'all of them' "$(each_is freed)" "$(ends_of)"
}

detached_anywhere() {
    local name
    for name in "${TEN[@]}"; do
        detached_on "$name" || return
    done
}

detached_on() {
    on "$1" find "$SCRATCH" -name '.raysweep-*'
}

# While it deletes: what is half gone is not given back as if it were whole, the next sweep finishes it.
interrupted_while_it_deletes() {
    local tries=0 left
    # A delete may be over before anybody has looked.
    until broken_off_in_the_middle; do
        tries=$((tries + 1))
        ((tries < 3)) || not_ok 'no delete was seen in its middle'
    done
    ok 'Ctrl-C in the middle of a delete ends it'
    wait_for 20 'h14 to be settled' settled h14
    left=$(detached_on h14 | wc -l)
    echo "figure: half deleted, for the next sweep to finish: $left"
    ends 'the next sweep' 0 by_hand h14 --direct --json
    says 'leaves nothing detached' '' detached_on h14
    says 'and frees the rest' '' on h14 find "$SCRATCH" -type f -name '[0-9]*' -print -quit
}

broken_off_in_the_middle() {
    local job code=0 seen
    on h14 install -d "$DEAD/runtime_resources"
    on h14 sh -c "cd $DEAD/runtime_resources && seq 150000 | xargs -n 5000 touch"
    plant h14
    seen=/proc/$(pgrep -P "$(daemon_pid host-h14)")/root$SCRATCH
    by_hand h14 --direct --json >"$WORK/out" 2>"$WORK/err" &
    job=$!
    until detached "$seen" || ! kill -0 "$job" 2>/dev/null; do :; done
    kill -INT "$(pgrep -u desk -f 'raysweep run')" 2>/dev/null || true
    wait "$job" || code=$?
    [[ $code == 130 ]]
}

# detached FOLDER: something in it is on its way; looked at from outside, where a look takes no time.
detached() {
    [[ -n $(find "$1" -maxdepth 3 -name '.raysweep-*' -print -quit 2>/dev/null) ]]
}

# Whoever is killed, and says nothing to anybody: its end is the end of the sweeps' input.
killed() {
    local job
    plant h11 h12
    window 90s h11 h12
    by_hand h11 h12 --direct >/dev/null 2>&1 &
    job=$!
    wait_for 60 'the sweeps' sweeping h11 h12
    kill -KILL "$(pgrep -u desk -f 'raysweep run')"
    wait "$job" 2>/dev/null || true
    wait_for 20 'the sweeps to end' settled h11 h12
    window 5s h11 h12
    ok 'a run that is killed leaves no ssh, no sweep and no lock'
}

# A host that hangs: the second Ctrl-C waits for nothing.
twice_interrupted() {
    local job code=0 begun pid
    kill -STOP "$(pgrep -f "sshd.*$(sshd_folder h15)/sshd_config" | tail -n 1)"
    by_hand h15 --direct --json >"$WORK/out" 2>"$WORK/err" &
    job=$!
    wait_for 20 'ssh to be started' pgrep -u desk -x ssh
    pid=$(pgrep -u desk -f 'raysweep run')
    begun=$SECONDS
    kill -INT "$pid"
    # The first one has been heard once the host's end of the talk is closed.
    wait_for 5 'the first to be heard' hears_nothing_more "$pid"
    kill -INT "$pid"
    wait "$job" || code=$?
    kill -CONT "$(pgrep -f "sshd.*$(sshd_folder h15)/sshd_config" | tail -n 1)"
    is 'a second Ctrl-C' 130 "$code"
    ((SECONDS - begun < 8)) || not_ok "it took $((SECONDS - begun)) s"
    wait_for 5 'the ssh to be gone' settled h15
    ok 'waits for nothing, and leaves no ssh'
}

# The pipe to ssh's standard input is gone: three are left of what was spawned.
hears_nothing_more() {
    local ssh
    ssh=$(pgrep -u desk -x ssh) || return 0
    [[ $(as_operator readlink "/proc/$1/fd/"* | grep -c "$(as_operator readlink "/proc/$ssh/fd/0")") == 0 ]]
}

held() {
    local hosts=(--config.file "$CONFIG/raysweep.yml" --json)
    plant h16
    ends 'hosts are held' 0 raysweep hold h16 h17 --reason 'disk swap' "${hosts[@]}"
    is 'and that is a change' 'h16=changed h17=changed' "$(states)"
    ends 'a second time' 0 raysweep hold h16 h17 "${hosts[@]}"
    is 'there is nothing to do' 'h16=unchanged h17=unchanged' "$(states)"
    is 'everybody may read why' '644 root' "$(on h16 stat -c '%a %U' /etc/raysweep/hold)"
    ends 'a run ends as held' 5 by_hand h16 h17 --direct --json
    is 'on each of them' 'h16=held h17=held' "$(ends_of)"
    [[ $(jq -rs '.[0].reason' "$WORK/out") == *'disk swap (desk@'*' UTC)'* ]] || not_ok "$(cat "$WORK/out")"
    ok 'and says why, who and when'
    on h16 test -e "$DEAD" || not_ok 'something was deleted'
    ends 'they are released' 0 raysweep release h16 h17 "${hosts[@]}"
    is 'which is a change' 'h16=changed h17=changed' "$(states)"
    ends 'and once more' 0 raysweep release --all "${hosts[@]}"
    is 'which is none' "$(each_is unchanged)" "$(states)"
    ends 'then a run' 0 by_hand h16 --direct --json
    is 'frees again' h16=freed "$(ends_of)"
    told_of_a_sweep
}

# What a sweep does for as long as it runs, for as long as this test needs it.
told_of_a_sweep() {
    local notes
    host_daemon locked h18 flock /run/raysweep/lock sleep 600
    wait_for 20 'the lock to be held' locked h18
    ends 'a hold waits for no sweep' 0 raysweep hold h18 --json --config.file "$CONFIG/raysweep.yml"
    notes=$(jq -r '.[0].notes[]' "$WORK/out")
    [[ $notes == *'a sweep is at work there now'* ]] || not_ok "it does not say that one runs: $notes"
    ok 'and says that one runs'
    on h18 pkill -f '^sleep 600'
    wait_for 20 'the lock to be free' settled h18
    ends 'it is released' 0 raysweep release h18 --json --config.file "$CONFIG/raysweep.yml"
}

locked() {
    ! on "$1" flock -n /run/raysweep/lock true
}

# elapsed CMD…: how long it takes, in seconds.
elapsed() {
    local from
    from=$(date +%s.%N)
    "$@" || return
    echo "$(date +%s.%N) $from" | awk '{ printf "%.1f", $1 - $2 }'
}

in_turn() {
    local name
    for name in "${TEN[@]}"; do
        as_operator ssh "$(address "$name")" sudo raysweep sweep --json || return
    done >"$WORK/out" 2>"$WORK/err"
}

side_by_side() {
    by_hand --all --direct --json >"$WORK/out" 2>"$WORK/err"
}

measured() {
    local alone together
    plant
    alone=$(elapsed in_turn) || not_ok "$LOOP"
    is "$LOOP, ssh and sudo raysweep sweep" 10 "$(jq -s 'map(select(.outcome == "freed")) | length' "$WORK/out")"
    plant
    together=$(elapsed side_by_side) || not_ok 'run --all'
    is 'the same work by run --all --direct' "$(each_is freed)" "$(ends_of)"
    echo "figure: ten hosts: $LOOP $alone s, raysweep run --all --direct $together s, ratio $(
        echo "$alone $together" | awk '{ printf "%.1f", $1 / $2 }')"
    echo "$alone $together" | awk '{ exit !($1 > 3 * $2) }' || not_ok 'it is not much faster'
    ok 'run --all takes less than a third of the time'
}

# Its folder and with it its lock: then the next one, after another deploy, would be at work beside it.
from_under_a_sweep() {
    local code=0 accept=(--accept-host-key "$(fingerprint h18)")
    plant h18
    window 90s h18
    host_daemon working h18 /usr/local/bin/raysweep sweep --json
    wait_for 20 'the sweep on h18' locked h18
    raysweep undeploy h18 --json --config.file "$CONFIG/raysweep.yml" >"$WORK/undeployed" 2>"$WORK/err" || code=$?
    ends 'another deploy' 0 raysweep deploy h18 --overwrite-settings --json --config.file "$CONFIG/raysweep.yml" "${accept[@]}"
    ends 'no second sweep is at work beside the first' 4 on h18 /usr/local/bin/raysweep sweep --json
    is 'an undeploy says so' 'a sweep is at work there: run it again; the host is as it was' "$(jq -r '.[0].why' "$WORK/undeployed")"
    is 'and ends as failed' '1 failed' "$code $(jq -r '.[0].state' "$WORK/undeployed")"
    on h18 pkill -f 'raysweep sweep --json'
    wait_for 20 'that sweep to end' settled h18
}

# A hold is part of what a host is left without.
taken_away() {
    ends 'a host is held' 0 raysweep hold h18 --json --config.file "$CONFIG/raysweep.yml"
    ends 'undeploy, with a hold still there' 0 raysweep undeploy h18 h19 --json --config.file "$CONFIG/raysweep.yml"
    local name
    for name in h18 h19; do
        tree "$name" >"$WORK/tree"
        says "leaves $name as it was" '' diff "$WORK/before-$name" "$WORK/tree"
    done
    ends 'what is not there is not swept' 6 by_hand h19 --direct --json
    ends 'nor held' 1 raysweep hold h19 --json --config.file "$CONFIG/raysweep.yml"
    [[ $(said h19) == *'nothing sweeps this host'* ]] || not_ok "$(said h19)"
    tree h19 >"$WORK/tree"
    says 'and nothing of it stays there' '' diff "$WORK/before-h19" "$WORK/tree"
}

main() {
    local name accept=()
    mkdir -p "$WORK/bin"
    strip -s "$1" -o "$WORK/bin/raysweep"
    operator
    network_up
    for name in "${TEN[@]}"; do
        machine "$name"
        accept+=(--accept-host-key "$(fingerprint "$name")")
    done
    inventory
    chown -R desk: /home/desk
    for name in h18 h19; do
        tree "$name" >"$WORK/before-$name"
    done
    ends 'ten hosts are deployed to' 0 raysweep deploy --all --json --config.file "$CONFIG/raysweep.yml" "${accept[@]}"
    through_the_responder
    around_the_responder
    by_password
    interrupted_directly
    interrupted_while_it_deletes
    killed
    twice_interrupted
    held
    measured
    from_under_a_sweep
    taken_away
    echo "$passed passed, 0 failed"
}

main "$@"
