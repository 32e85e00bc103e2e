# shellcheck shell=bash
# What the deployed key may do on a host, through its own sshd: one thing.

# least_privilege NAME ADDRESS
least_privilege() {
    local name=$1 address=$2
    one_sweep "$address"
    no_other_way_in "$name" "$address"
    no_other_command "$address"
    one_command_of_root "$name"
}

one_sweep() {
    local request='{"schema":1,"attempt":"01890000-0000-7000-8000-000000000000","trigger":"alert","dry_run":true}'
    echo "$request" | as_responder "$1" -- sweep >"$WORK/out" 2>"$WORK/err" || true
    is 'the key gets a report of one sweep' 01890000-0000-7000-8000-000000000000 "$(jq -r .attempt "$WORK/out")"
}

no_other_way_in() {
    local name=$1 address=$2
    ends 'no shell' 6 as_responder "$address" --
    ends 'no terminal' 255 as_responder "$address" -tt --
    [[ $(cat "$WORK/err") == *'PTY allocation request failed'* ]] || not_ok 'a terminal was given'
    ends 'no sftp' 255 as_operator sftp -q -b /dev/null -F none -o BatchMode=yes -o IdentitiesOnly=yes \
        -o UserKnownHostsFile="$CONFIG/known_hosts" -i "$CONFIG/id_ed25519" "raysweep@$address"
    ends 'no scp' 255 as_operator scp -q -F none -o BatchMode=yes -o IdentitiesOnly=yes \
        -o UserKnownHostsFile="$CONFIG/known_hosts" -i "$CONFIG/id_ed25519" "raysweep@$address:/etc/passwd" "$WORK/"
    ends 'no way through: -W' 255 as_responder "$address" -W 127.0.0.1:22 --
    ends 'no port towards the responder' 255 as_responder "$address" -o ExitOnForwardFailure=yes -N -R 0:127.0.0.1:22 --
    no_port_from_the_responder "$address"
    # sshd logs what it was asked for, and the agent's socket would lie in /tmp.
    echo '{}' | as_responder "$address" -A -X -- sweep >"$WORK/out" 2>"$WORK/err" || true
    says 'no agent' '' on "$name" find /tmp -maxdepth 1 -name 'ssh-*' -user raysweep
    ends 'no environment opens anything' 6 as_responder "$address" -o SetEnv="LC_ALL=x BASH_ENV=/tmp/x RAYSWEEP__X=1" -- 'id'
    ends 'nor what the gate itself reads' 6 as_responder "$address" -o SetEnv=SSH_ORIGINAL_COMMAND=sweep -- id
    on "$name" install -m 755 /dev/stdin /var/lib/raysweep-account/.ssh/rc <<<"touch /tmp/raysweep-fleet-rc"
    ends 'no rc file of the account' 6 as_responder "$address" -- id
    on "$name" rm /var/lib/raysweep-account/.ssh/rc
    [[ ! -e /tmp/raysweep-fleet-rc ]] || not_ok 'the rc file was run'
    ends 'from nowhere else' 255 on ray-81 ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no \
        -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -i "$CONFIG/id_ed25519" "raysweep@$address" sweep
    [[ $(cat "$WORK/err") == *'Permission denied'* ]] || not_ok 'it was not for the address'
}

# The listening end is the client's own; it is the host that refuses what comes by it.
no_port_from_the_responder() {
    local address=$1 socket=$WORK/port.sock
    as_responder "$address" -M -N -f -S "$socket" -o ControlPersist=no -L 127.0.0.1:4711:127.0.0.1:22 --
    says 'no port from the responder' '' timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/4711; head -c 3 <&3'
    as_operator ssh -F none -S "$socket" -O exit -- "$address" 2>/dev/null
}

# Each of the corpus over one connection, session after session: a session's answer is the gate's.
no_other_command() {
    local address=$1 line command code refused=0 socket=$WORK/hostile.sock
    as_responder "$address" -M -N -f -S "$socket" -o ControlPersist=no --
    while IFS= read -r line; do
        printf -v command '%b' "$line"
        code=0
        as_responder "$address" -S "$socket" -- "$command" >"$WORK/out" 2>"$WORK/err" </dev/null || code=$?
        [[ $code == 6 && ! -s $WORK/out ]] || not_ok "taken, or not refused by the gate ($code): $line"
        grep -q '^raysweep: refused: ' "$WORK/err" || not_ok "refused without a word: $line"
        refused=$((refused + 1))
    done <"$FLEET_DIR/hostile.txt"
    as_operator ssh -F none -S "$socket" -O exit -- "$address" 2>/dev/null
    ((refused >= 200)) || not_ok "only $refused commands"
    ok "$refused hostile commands are refused"
}

# one_command_of_root NAME: what sudo gives the account, by sudo's own word and by trying.
one_command_of_root() {
    local name=$1 arguments
    is 'sudo allows one command' '(root) NOPASSWD: /usr/local/bin/raysweep sweep --request -' \
        "$(on "$name" sudo -l -U raysweep | sed -n '/may run/,$p' | tail -n +2 | sed 's/^ *//')"
    for arguments in 'sweep' 'sweep --request' 'sweep --request -x' 'sweep --request - --config.file /tmp/x' \
        'sweep  --request - -' 'sweep --request=-' 'sweep --request * -' 'gate' 'host-part' '--version' ''; do
        # The words are to be split, and a star is a star.
        # shellcheck disable=SC2086
        (set -f && ends "sudo refuses: raysweep $arguments" 1 \
            on "$name" setpriv --reuid raysweep --regid raysweep --init-groups --reset-env -- \
            sudo -n /usr/local/bin/raysweep $arguments) || exit 1
        passed=$((passed + 1))
    done
    ends 'sudo takes no variable along' 1 on "$name" setpriv --reuid raysweep --regid raysweep --init-groups \
        --reset-env -- sudo -n RAYSWEEP__X=1 /usr/local/bin/raysweep sweep --request -
    ends 'sudo runs as nobody else' 1 on "$name" setpriv --reuid raysweep --regid raysweep --init-groups \
        --reset-env -- sudo -n -u nobody /usr/local/bin/raysweep sweep --request -
    ends 'sudo edits nothing' 1 on "$name" setpriv --reuid raysweep --regid raysweep --init-groups \
        --reset-env -- sudo -n -e /etc/raysweep/sweep.yml
    says 'nothing of the program or the settings is the account'"'"'s to write' '' \
        on "$name" find /usr/local/bin/raysweep /etc/raysweep /etc/sudoers.d /etc/cron.d /var/lib/raysweep-account /run/raysweep \
        \( -user raysweep -o -group raysweep -o -perm /022 ! -type l \)
}
