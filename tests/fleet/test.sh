#!/usr/bin/env bash
# Runs in a world of its own: run.sh starts it there.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/fleet/lib.sh
source "$here/lib.sh"
# shellcheck source=tests/fleet/privilege.sh
source "$here/privilege.sh"
# shellcheck source=tests/fleet/terminal.sh
source "$here/terminal.sh"
# shellcheck source=tests/fleet/settled.sh
source "$here/settled.sh"

GOOD=(ray-80 ray-81 ray-82 ray-83 ray-84 ray-88)
ALL=(ray-80 ray-81 ray-82 ray-83 ray-84 ray-86 ray-87 ray-88 ray-89)
# As the old manual has it.
# shellcheck disable=SC2016
OLD_LINE='0 * * * * /home/op88/cleanup_ray_workers_smart.sh $(hostname -I) >> /home/op88/logs/ray_cleanup.log 2>&1'

# A debug build's tables of lines are of no use on a host, and would go there ten times.
program() {
    mkdir -p "$WORK/bin"
    strip -s "$1" -o "$WORK/bin/raysweep"
}

operator() {
    desk_up "$CONFIG/id_ed25519" /home/desk/.ssh/desk /home/desk/.ssh/agents
    as_operator ssh-agent -a "$WORK/agent" >/dev/null
    as_operator ssh-add -q /home/desk/.ssh/agents
    rm /home/desk/.ssh/agents
    as_operator tee /home/desk/.ssh/config >/dev/null <<'SSH'
Host 10.99.0.80
    User root
Host 10.99.0.81
    User op81
Host 10.99.0.82
    User op82
Host 10.99.83.2
    User op83
Host 10.99.0.84
    User op84
Host *
    User op
    IdentityFile ~/.ssh/desk
SSH
}

hosts_up() {
    local desk=/home/desk/.ssh/desk agents=/home/desk/.ssh/agents at
    network_up
    for at in 80 81 82 84 86 87 88 89; do
        fleet_host "ray-$at" "10.99.0.$at"
        fleet_sshd "ray-$at" "10.99.0.$at" "$([[ $at == 84 ]] && echo 2222 || echo 22)"
    done
    # Behind another host, and on no other way.
    fleet_host ray-83 10.99.83.9
    ip link del v-ray-83
    ip link add eth1 netns "$(daemon_pid host-ray-81)" type veth peer name eth1 netns "$(daemon_pid host-ray-83)"
    on ray-81 ip addr add 10.99.83.1/24 dev eth1
    on ray-83 ip addr add 10.99.83.2/24 dev eth1
    on ray-81 ip link set eth1 up
    on ray-83 ip link set eth1 up
    fleet_sshd ray-83 10.99.83.2 22
    login ray-80 root "$desk"
    login ray-81 op81 "$desk" free
    # Through there the responder goes to another one; the account of its own lets nobody through.
    login ray-81 hop "$CONFIG/id_ed25519"
    login ray-82 op82 "$agents" free
    login ray-83 op83 "$desk" free
    login ray-84 op84 "$desk" free
    login ray-86 op "$desk" free
    login ray-87 op "$desk" none
    login ray-88 op "$desk" free
    login ray-89 op "$desk" password
    printf '%s\n' '# Ray worker /tmp cleanup - runs hourly' "$OLD_LINE" '1 2 * * * other' >"$WORK/crontab"
    on ray-88 install -D -m 600 -o op -g crontab /dev/stdin /var/spool/cron/crontabs/op <"$WORK/crontab"
}

inventory() {
    local at
    for at in 80 81 82 86 87 88 89; do
        host_key "ray-$at"
    done >/home/desk/.ssh/known_hosts
    host_key ray-83 >>/home/desk/.ssh/known_hosts
    host_key ray-84 >>/home/desk/.ssh/known_hosts
    cat >"$CONFIG/raysweep.yml" <<YAML
ssh: {identity_file: $CONFIG/id_ed25519, known_hosts_file: $CONFIG/known_hosts, connect_timeout: 10s}
deploy: {from: [10.99.0.254, 10.99.83.1], sweep: {activity: {sampling_window: 1s}}}
hosts:
  - {name: ray-80, address: 10.99.0.80}
  - {name: ray-81, address: 10.99.0.81, sweep: {mode: enforce, schedule: '@daily'}}
  - {name: ray-82, address: 10.99.0.82}
  - {name: ray-83, address: 10.99.83.2, jump: hop@10.99.0.81}
  - {name: ray-84, address: 10.99.0.84, port: 2222}
  - {name: ray-85, address: 10.99.0.85}
  - {name: ray-86, address: 10.99.0.86}
  - {name: ray-87, address: 10.99.0.87}
  - {name: ray-88, address: 10.99.0.88}
  - {name: ray-89, address: 10.99.0.89}
YAML
}

deploy() {
    raysweep deploy --config.file "$CONFIG/raysweep.yml" "$@"
}

# disk_left NAME KILOBYTES: all that is put on that host shares so much.
disk_left() {
    local state used
    state=$(host_folder "$1")/state
    used=$(on "$1" df -k --output=used "$state" | tail -n 1)
    on "$1" mount -o "remount,size=$((used + $2))k" "$state"
}

# the_same WHEN NAME…: these hosts are as they were at that time.
the_same() {
    local when=$1 name
    shift
    for name in "$@"; do
        tree "$name" >"$WORK/tree"
        says "$name is as it was $when" '' diff "$WORK/$when-$name" "$WORK/tree"
    done
}

remember() {
    local when=$1 name
    shift
    for name in "$@"; do
        tree "$name" >"$WORK/$when-$name"
    done
}

first_contact() {
    ends 'nobody has seen the host keys: nothing is done' 1 deploy --all --json
    is 'and each host that answers is refused for it' \
        'ray-80=refused ray-81=refused ray-82=refused ray-83=refused ray-84=refused ray-85=unreachable ray-86=refused ray-87=refused ray-88=refused ray-89=refused' "$(states)"
    is 'with the fingerprint that is to be looked at' \
        "the responder does not know its host key: look at it, then --accept-host-key $(fingerprint ray-83)" "$(said ray-83)"
    the_same before "${ALL[@]}"
    ends 'a check shows what would be changed' 10 deploy --check ray-81
    [[ $(cat "$WORK/out") == *'+raysweep ALL=(root) NOPASSWD: /usr/local/bin/raysweep sweep --request -'* ]] ||
        not_ok "no difference of sudoers: $(cat "$WORK/out")"
    ok 'with the lines'
    the_same before ray-81
    [[ ! -e $CONFIG/known_hosts ]] || not_ok 'a key was pinned'
}

whole_fleet() {
    local name accept=()
    for name in "${ALL[@]}"; do
        accept+=(--accept-host-key "$(fingerprint "$name")")
    done
    disk_left ray-86 100
    ends 'the whole fleet in one go' 1 deploy --all --json "${accept[@]}"
    is 'ends in the right table' \
        'ray-80=changed ray-81=changed ray-82=changed ray-83=changed ray-84=changed ray-85=unreachable ray-86=failed ray-87=refused ray-88=changed ray-89=refused' "$(states)"
    [[ $(said ray-86) == *'No space left on device; nothing was changed' ]] || not_ok "full disk: $(said ray-86)"
    [[ $(said ray-87) == *--ask-sudo-pass* ]] || not_ok "no sudo: $(said ray-87)"
    ok 'and says why'
    the_same before ray-86 ray-87 ray-89
    is 'the old line of cron is shown' "$OLD_LINE" \
        "$(jq -r '.[] | select(.host == "ray-88").old_cron[].line' "$WORK/out")"
    is 'a host observes' 'mode: "observe"' "$(on ray-80 grep ^mode /etc/raysweep/sweep.yml)"
    is 'unless the inventory says otherwise' 'mode: "enforce"' "$(on ray-81 grep ^mode /etc/raysweep/sweep.yml)"
    is 'cron has the schedule of the settings' '@daily root nice' "$(on ray-81 grep -o '^@daily root nice' /etc/cron.d/raysweep)"
    for name in "${GOOD[@]}"; do
        on "$name" raysweep check-config --sweep /etc/raysweep/sweep.yml >/dev/null || not_ok "$name: sweep.yml"
        on "$name" visudo -q -c >/dev/null || not_ok "$name: sudoers"
    done
    ok 'settings and sudoers are sound on each'
    is 'the keys of these hosts are pinned, and no others' "$(pins | sort)" "$(sort "$CONFIG/known_hosts")"
}

pins() {
    local at
    {
        for at in 80 81 82 88; do
            host_key "ray-$at"
        done
        host_key ray-83
        host_key ray-84
    } | sed 's/$/ raysweep-deploy/'
}

again() {
    local states='ray-80=unchanged ray-81=unchanged ray-82=unchanged ray-83=unchanged ray-84=unchanged ray-85=unreachable ray-86=failed ray-87=refused ray-88=unchanged ray-89=refused'
    remember deployed "${GOOD[@]}"
    cp "$CONFIG/known_hosts" "$WORK/pinned"
    ends 'a second time' 1 deploy --all --json --accept-host-key "$(fingerprint ray-86)"
    is 'there is nothing to do' "$states" "$(states)"
    is 'and the responder gets to whoever has its part' '[null,"yes"]' "$(jq -c '[.[].verified] | unique' "$WORK/out")"
    the_same deployed "${GOOD[@]}"
    says 'and no key is pinned twice' '' diff "$WORK/pinned" "$CONFIG/known_hosts"
    ends 'for people it is a table' 0 deploy "${GOOD[@]}"
    sed 's/^/    /' "$WORK/out"
    ends 'after too many failures no other host is begun' 1 deploy ray-85 ray-87 ray-88 --json --parallel 1 --max-failures 1
    is 'and the table says so' 'ray-85=unreachable ray-87=not_begun ray-88=not_begun' "$(states)"
}

full_in_the_middle() {
    local kilobytes
    kilobytes=$(du -k "$WORK/bin/raysweep" | cut -f1)
    # Room for the program that is brought along, and not for the one that is put in place.
    disk_left ray-86 $((kilobytes * 3 / 2))
    ends 'a disk that is full in the middle' 1 deploy ray-86 --json --accept-host-key "$(fingerprint ray-86)"
    [[ $(said ray-86) == *'No space left on device'*'the host is as it was' ]] || not_ok "$(said ray-86)"
    the_same before ray-86
    disk_left ray-86 $((kilobytes * 4))
    local command=(raysweep deploy ray-86 --config.file "$CONFIG/raysweep.yml")
    ends 'whoever does not know the key says no' 6 typed 'Shall it know' n "${command[@]}"
    the_same before ray-86
    ends 'with room again, and a yes, it goes' 0 typed 'Shall it know' y "${command[@]}"
    grep -q "$(fingerprint ray-86)" "$WORK/out" || not_ok 'the fingerprint was not shown'
    grep -q '^10.99.0.86 ' "$CONFIG/known_hosts" || not_ok 'it was not pinned'
}

passwords() {
    local command=(raysweep deploy ray-89 --ask-sudo-pass --config.file "$CONFIG/raysweep.yml"
        --accept-host-key "$(fingerprint ray-89)")
    ends 'a wrong password is refused' 6 typed 'sudo password: ' wrong "${command[@]}"
    the_same before ray-89
    ends 'the right one is asked for once' 0 typed 'sudo password: ' "$PASSWORD" "${command[@]}"
    [[ $(cat "$WORK/out") != *'correct horse'* ]] || not_ok 'the password was shown'
    ok 'and shown nowhere'
}

old_cron() {
    ends 'the old line of cron is taken over' 0 deploy ray-88 --replace-old-cron --json
    is 'and nothing else of that crontab is' '1 2 * * * other' "$(on ray-88 cat /var/spool/cron/crontabs/op)"
    is 'which is still its owner'"'"'s' 'op crontab 600' "$(on ray-88 stat -c '%U %G %a' /var/spool/cron/crontabs/op)"
}

# The CA that signs the hosts' keys: it is what the responder knows, and enough.
host_ca() {
    local folder
    folder=$(sshd_folder ray-84)
    ssh-keygen -q -t ed25519 -N '' -f "$WORK/ca"
    ssh-keygen -q -s "$WORK/ca" -I ray-84 -h -n 10.99.0.84 "$folder/host_key.pub"
    daemon_stop sshd-ray-84
    fleet_sshd ray-84 10.99.0.84 2222 "HostCertificate $folder/host_key-cert.pub"
    sed "s|known_hosts_file: [^,]*,|known_hosts_file: $CONFIG/by_ca,|; s|^deploy: {|&host_ca_file: $WORK/ca.pub, |" \
        "$CONFIG/raysweep.yml" >"$CONFIG/with_ca.yml"
    ends 'a CA needs no word for each key' 0 raysweep deploy ray-84 --json --config.file "$CONFIG/with_ca.yml"
    is 'it is what is pinned' "@cert-authority [10.99.0.84]:2222 $(cut -d' ' -f1,2 "$WORK/ca.pub") raysweep-deploy" "$(cat "$CONFIG/by_ca")"
    ends 'and by it the responder knows the host' 6 as_responder 10.99.0.84 -p 2222 \
        -o UserKnownHostsFile="$CONFIG/by_ca" -- id
}

# A host that hangs: Ctrl-C is heard at once.
interrupted() {
    local pid job code=0 begun=$SECONDS
    kill -STOP "$(daemon_pid sshd-ray-84)"
    deploy ray-84 --json >"$WORK/out" 2>"$WORK/err" &
    job=$!
    wait_for 20 'ssh to be started' pgrep -u desk -x ssh
    # By its place in the tree: the shell's child is the one that became raysweep.
    pid=$(pgrep -u desk -x raysweep)
    kill -INT "$pid"
    wait "$job" || code=$?
    kill -CONT "$(daemon_pid sshd-ray-84)"
    is 'Ctrl-C ends it' 1 "$code"
    is 'with a table' ray-84=interrupted "$(states)"
    ((SECONDS - begun < 15)) || not_ok 'it took too long'
    wait_for 10 'its ssh to end' no_ssh
    ok 'and no ssh of it is left'
}

no_ssh() {
    ! pgrep -u desk -x ssh
}

account_rests() {
    ! pgrep -u "$(on ray-82 id -u raysweep)"
}

back_again() {
    local name
    host_key ray-87 | as_operator tee -a "$CONFIG/known_hosts" >/dev/null
    ends 'a key that another host is reached by is to stay' 10 raysweep undeploy ray-81 --check --json --config.file "$CONFIG/raysweep.yml"
    [[ $(jq -r '.[0].notes[]' "$WORK/out") == *'stays in: ray-83 is reached by it' ]] || not_ok "$(cat "$WORK/out")"
    ends 'undeploy shows what it would take' 10 raysweep undeploy --check "${GOOD[@]}" --config.file "$CONFIG/raysweep.yml"
    the_same deployed ray-80
    as_responder 10.99.0.82 -M -N -f -S "$WORK/in-use.sock" -o ControlPersist=no --
    ends 'an account in use is named' 1 raysweep undeploy ray-82 --json --config.file "$CONFIG/raysweep.yml"
    [[ $(said ray-82) == *'another undeploy takes it' ]] || not_ok "$(said ray-82)"
    as_operator ssh -F none -S "$WORK/in-use.sock" -O exit -- 10.99.0.82 2>/dev/null
    # sshd's process ends a little later than its client.
    wait_for 20 'the account to be at rest' account_rests
    ends 'and takes it' 0 raysweep undeploy "${GOOD[@]}" ray-86 --json --config.file "$CONFIG/raysweep.yml"
    ends 'by a password too' 0 typed 'sudo password: ' "$PASSWORD" \
        raysweep undeploy ray-89 --ask-sudo-pass --config.file "$CONFIG/raysweep.yml"
    the_same before "${ALL[@]}"
    ok 'with the old line of cron where it was'
    is 'no key is pinned that deploy had pinned' "$(host_key ray-87)" "$(cat "$CONFIG/known_hosts")"
    ends 'a second time there is nothing to take' 0 raysweep undeploy "${GOOD[@]}" --json --config.file "$CONFIG/raysweep.yml"
    for name in "${GOOD[@]}"; do
        [[ $(state "$name") == unchanged ]] || not_ok "$name is $(state "$name")"
    done
    ok 'and says so'
    the_same before "${GOOD[@]}"
}

# A program of the system's that kills whoever runs it, where the deploy comes by it: first while all is
# prepared and nothing in its place, then when all is in its place.
killed_in_the_middle() {
    local accept
    accept=(--accept-host-key "$(fingerprint ray-80)")
    lethal ray-80 useradd
    ends 'a deploy that is killed before it changes names' 1 deploy ray-80 --json "${accept[@]}"
    on ray-80 test -e /var/lib/raysweep-deploy.begun || not_ok 'it was not in the middle'
    on ray-80 rm /usr/local/sbin/useradd
    ends 'is ended by the next one' 0 deploy ray-80 --json "${accept[@]}"
    [[ $(jq -r '.[0].notes[0]' "$WORK/out") == 'an earlier run was broken off: what it had changed was put back' ]] ||
        not_ok "$(cat "$WORK/out")"
    ends 'and that one is taken away' 0 raysweep undeploy ray-80 --config.file "$CONFIG/raysweep.yml"
    the_same before ray-80
    lethal ray-80 visudo '[ "$#" = 2 ]'
    ends 'a deploy that is killed when all has changed' 1 deploy ray-80 --json "${accept[@]}"
    on ray-80 test -e /etc/sudoers.d/raysweep || not_ok 'it had not come so far'
    on ray-80 rm /usr/local/sbin/visudo
    ends 'is put back by an undeploy too' 0 raysweep undeploy ray-80 --config.file "$CONFIG/raysweep.yml"
    the_same before ray-80
}

# lethal NAME PROGRAM [CONDITION]: where the condition holds.
lethal() {
    local name=$1 program=$2 condition=${3:-true}
    # By way of timeout, which runs it.
    on "$name" install -D -m 755 /dev/stdin "/usr/local/sbin/$program" <<SH
#!/bin/sh
if $condition; then
    kill -9 \$(ps -o ppid= -p \$PPID)
    exit 1
fi
exec /usr/sbin/$program "\$@"
SH
}

main() {
    mkdir -p "$WORK"
    program "$1"
    operator
    hosts_up
    inventory
    chown -R desk: /home/desk
    remember before "${ALL[@]}"
    first_contact
    whole_fleet
    the_responders_way
    sudo_reads_it
    again
    written_by_hand
    full_in_the_middle
    passwords
    broken_off INT
    broken_off TERM
    unknown_jump_hosts
    least_privilege ray-82 10.99.0.82
    host_ca
    interrupted
    old_cron
    back_again
    killed_in_the_middle
    installed_by_hand ray-80
    echo "$passed passed, 0 failed"
}

main "$@"
