#!/bin/sh
# Puts a host's part in place for real, uses it as the responder's account would, and takes
# it away again. Run it in a world of its own: deploy/demo/world.sh deploy/test.sh BINARY
set -eu
here=$(dirname "$(realpath "$0")")
binary=$(realpath "$1")
work=$(mktemp -d)
passed=0

: "${WORLD_DIR:?run it inside deploy/demo/world.sh: it changes /etc}"

ok() {
    passed=$((passed + 1))
    echo "ok: $*"
}

not_ok() {
    echo "not ok: $*" >&2
    exit 1
}

# is DESCRIPTION EXPECTED FOUND: nothing is never expected here, since what fails has nothing to say: `quiet`.
is() {
    [ -n "$2" ] || not_ok "$1: nothing is expected"
    [ "$2" = "$3" ] || not_ok "$1: expected '$2', found '$3'"
    ok "$1"
}

# ok_if DESCRIPTION CMD…
ok_if() {
    described=$1
    shift
    "$@" || not_ok "$described"
    ok "$described"
}

# quiet DESCRIPTION CMD…: it succeeds and has nothing to say.
quiet() {
    described=$1
    shift
    said=$("$@" 2>&1) || not_ok "$described: $said"
    [ -z "$said" ] || not_ok "$described: $said"
    ok "$described"
}

# ends DESCRIPTION CODE CMD…: the command ends with that code.
ends() {
    described=$1 wanted=$2 code=0
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
    [ "$code" = "$wanted" ] || not_ok "$described: exit code $code, not $wanted: $(cat "$work/out" "$work/err")"
    ok "$described"
}

everything() {
    find /etc /usr/local /var/lib /var/log /run -xdev \( -type f -o -type l -o -type d \) \
        ! -path '*/__pycache__*' ! -path '/etc/*-' ! -path '/run/lock*' ! -path '/run/sudo*' ! -path '/var/lib/sudo*' \
        ! -path '/var/log/*log' ! -path '/etc/.pwd.lock' | sort
}

as_account() {
    # As sshd would: no login shell's profile, nothing of our environment.
    setpriv --reuid raysweep --regid raysweep --init-groups --reset-env -- "$@"
}

gate() {
    as_account env ${1+"SSH_ORIGINAL_COMMAND=$1"} /usr/local/bin/raysweep gate
}

# cron_line WORD: the command of the cron line with that word, as cron hands it to its shell.
cron_line() {
    grep "^[0-9*].* $1 " /etc/cron.d/raysweep | cut -d' ' -f7- | sed 's/\\%/%/g'
}

# as_cron COMMAND: with the environment that the file sets, and nothing else.
as_cron() {
    env -i HOME=/root LOGNAME=root "$(grep ^PATH= /etc/cron.d/raysweep)" /bin/sh -c "$1"
}

# From the program's own folder and by its bare name, as the CI job does it.
install_host() (
    cd "$work"
    "$here/install-host.sh" --binary raysweep --key "$work/key.pub" --from 127.0.0.1/32 \
        --textfile-dir "$work/textfile" "$@"
)

# A real cron, for as long as it takes to come round to the next minute.
cron_measures() {
    cron -f &
    cron=$!
    tries=0
    until [ -s /run/raysweep/raysweep.prom ] || [ "$tries" = 75 ]; do
        tries=$((tries + 1))
        sleep 1
    done
    kill "$cron"
    wait "$cron" || true
    rm -f /run/crond.pid /run/crond.reboot
    [ -s /run/raysweep/raysweep.prom ]
}

main() {
    # The machine's own jobs are not ours to run.
    rm -rf /etc/cron.d/* /var/spool/cron/crontabs/*
    everything >"$work/before"
    getent passwd >"$work/accounts-before"
    ssh-keygen -q -t ed25519 -N '' -f "$work/key"
    ln -s "$binary" "$work/raysweep"

    ends 'the host part goes in' 0 install_host --docker-socket "$work/docker.sock"
    quiet 'a second run changes nothing' install_host --docker-socket "$work/docker.sock"
    is 'the socket stands in the settings' "  socket: $work/docker.sock" "$(grep '^  socket' /etc/raysweep/sweep.yml)"
    is 'a new host observes' 'mode: observe' "$(grep ^mode /etc/raysweep/sweep.yml)"
    is 'the key is restricted' "restrict,from=\"127.0.0.1/32\",command=\"/usr/local/bin/raysweep gate\" $(cat "$work/key.pub")" \
        "$(cat /var/lib/raysweep-account/.ssh/authorized_keys)"
    quiet 'the account cannot give itself a key' find /var/lib/raysweep-account ! -user root
    is 'the password opens nothing, and is no lock' '*' "$(getent shadow raysweep | cut -d: -f2)"
    is 'the metrics are linked' /run/raysweep/raysweep.prom "$(readlink "$work/textfile/raysweep.prom")"

    visudo -q -c || not_ok 'sudoers as a whole'
    ok 'sudoers as a whole is sound'
    for arguments in 'sweep' 'sweep --request - --config.file /tmp/x' 'sweep  --request -x' 'gate' '--version'; do
        # The words are to be split.
        # shellcheck disable=SC2086
        ends "sudo refuses: $arguments" 1 as_account sudo -n /usr/local/bin/raysweep $arguments
    done
    ends 'sudo refuses a shell' 1 as_account sudo -n /bin/sh -c id

    ends 'the gate refuses a login' 6 gate
    ends 'the gate refuses another command' 6 gate 'sweep; id'
    ends 'the gate refuses a sweep without a request' 6 gate sweep
    request='{"schema":1,"attempt":"01890000-0000-7000-8000-000000000000","trigger":"alert","dry_run":true}'
    echo "$request" | gate sweep >"$work/out" || true
    is 'a report comes through the gate and sudo' 01890000-0000-7000-8000-000000000000 \
        "$(jq -r .attempt "$work/out")"

    rm -r /run/raysweep
    ends 'the measuring line of cron runs' 0 as_cron "$(cron_line measure)"
    ok_if 'and makes the metrics anew' grep -q '^raysweep_measure_timestamp_seconds ' /run/raysweep/raysweep.prom
    rm /run/raysweep/raysweep.prom
    ok_if 'cron takes the file and measures by itself' cron_measures
    ends 'the hourly line of cron runs' 0 as_cron "$(cron_line sweep | sed 's/ --jitter / /')"
    is 'and its sweep is in the log' cron "$(tail -n 1 /var/log/raysweep/sweeps.jsonl | jq -r .trigger)"
    is 'a worker a line, or the host where it has none' "host=$(uname -n) trigger=cron" \
        "$(tail -n 1 /var/log/raysweep/sweeps.log | cut -d' ' -f2,3)"
    sed -e 's|^schedule: .*|schedule: "*/30 2 * * mon-fri" # at night|' -e "s|^log_dir: .*|log_dir: '$work/log'|" \
        /etc/raysweep/sweep.yml >"$work/night.yml"
    ends 'other settings go in' 0 install_host --settings "$work/night.yml"
    is 'and their schedule is what cron has' '*/30 2 * * mon-fri root nice' "$(grep -o '^.* nice raysweep sweep' /etc/cron.d/raysweep | cut -d' ' -f1-7)"
    is 'and their log is what is rotated' "$work/log/sweeps.log $work/log/sweeps.jsonl {" "$(grep '{$' /etc/logrotate.d/raysweep)"
    ends 'logrotate takes it' 0 logrotate -d /etc/logrotate.d/raysweep

    echo 'mode: nonsense' >"$work/bad.yml"
    ends 'bad settings change nothing' 1 install_host --settings "$work/bad.yml"
    is 'the settings are the old ones' 'mode: observe' "$(grep ^mode /etc/raysweep/sweep.yml)"

    flock /run/raysweep/lock sleep 60 &
    sweep=$!
    until ! flock -n /run/raysweep/lock true; do kill -0 "$sweep"; done
    everything >"$work/deployed"
    ends 'while a sweep runs nothing is taken away' 4 "$here/uninstall-host.sh" --textfile-dir "$work/textfile"
    ok_if 'and it says why' grep -q 'a sweep is at work here: run it again' "$work/err"
    everything >"$work/still"
    quiet 'all is as it was' diff "$work/deployed" "$work/still"
    pkill -P "$sweep"
    wait "$sweep" || true

    # As a connection of the responder's does.
    setpriv --reuid raysweep --regid raysweep --init-groups --reset-env -- sleep 60 &
    user=$!
    until [ "$(ps -o user= -p "$user")" = raysweep ]; do kill -0 "$user"; done
    mount -t tmpfs own /run/raysweep
    mkdir /run/raysweep/folder
    ends 'an account in use stays' 8 "$here/uninstall-host.sh" --textfile-dir "$work/textfile"
    ok_if 'and nothing else does' test ! -e /usr/local/bin/raysweep
    ok_if 'a mount of root'"'"'s own stays' mountpoint -q /run/raysweep
    quiet 'and nothing is in it' ls -A /run/raysweep
    umount /run/raysweep
    kill "$user"
    wait "$user" || true
    ends 'it all goes away' 0 "$here/uninstall-host.sh" --textfile-dir "$work/textfile"
    everything >"$work/after"
    quiet 'nothing is left' diff "$work/before" "$work/after"
    getent passwd >"$work/accounts-after"
    quiet 'no account is left' diff "$work/accounts-before" "$work/accounts-after"
    rm -rf "$work"
    echo "$passed passed, 0 failed"
}

main
