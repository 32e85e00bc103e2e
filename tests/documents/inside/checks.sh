# shellcheck shell=bash
# What has to be so after a command, and what the reader does that no command is.

readonly SESSION=session_2020-01-01_00-00-00_000001_7
# What the reader types where a password is asked for.
readonly PASSWORD='correct horse battery'

# The version of the repository, and the one that run.sh has made of it.
older() {
    "$CHECKOUT/target/release/raysweep" --version | cut -d ' ' -f 2
}

newer() {
    local version
    version=$(older)
    echo "${version%?}9"
}

api() {
    curl -fsS "http://127.0.0.1:9095/api/v1/$1"
}

newest_attempt() {
    api 'attempts?host=ray-80&limit=1' | jq -r '.attempts[0].id'
}

newest_freed() {
    api 'attempts?host=ray-80&outcome=freed&limit=1' | jq -r '.attempts[0].id'
}

newest_incident() {
    api 'incidents?limit=1' | jq -r '.incidents[0].id'
}

newest_notification() {
    api "incidents/$(newest_incident)" | jq -r '.notifications[-1]'
}

an_incident_is_open() {
    holds 'an alert is received' curl -fsS --data-binary "@$CHECKOUT/alertmanager/payloads/firing-single.json" \
        http://127.0.0.1:9095/webhook
    is 'its incident is open' null "$(api 'incidents?limit=1' | jq -r '.incidents[0].closed_at')"
}

# What had begun for it goes on to its end.
it_is_closed() {
    is 'the operator has closed it' operator "$(api 'incidents?limit=1' | jq -r '.incidents[0].close_reason')"
    wait_for 60 'the last attempt to end' nothing_is_under_way
}

nothing_is_under_way() {
    api 'attempts?limit=1' | jq -e '.attempts[0].finished_at != null' >"$OUT"
}

# outcome_by_hand HOST: what a sweep there comes to now.
outcome_by_hand() {
    raysweep run "$1" --json 2>"$ERR" | jq -r .outcome
}

said() {
    grep -qE -- "$1" "$OUT" "$ERR" || not_ok "it does not say '$1'"
    ok "  it says '$1'"
}

a_little_is_left() {
    on_host ray-80 'plant 4'
}

# planted TEST…: of what was left in the worker.
planted() {
    # shellcheck disable=SC2016 # for the shell there
    on_host ray-80 "test $*"' "/proc/$(docker inspect -f "{{.State.Pid}}" ray-worker-1)/root/tmp/ray/'$SESSION'/runtime_resources/blob"'
}

nothing_was_deleted() {
    holds 'what was left still lies there' planted -e
}

what_was_left_is_gone() {
    holds 'what was left is gone' planted ! -e
}

is_held() {
    is 'the host is held' held "$(outcome_by_hand ray-80)"
}

is_not_held() {
    [[ $(outcome_by_hand ray-80) != held ]] || not_ok 'it is still held'
    ok '  the host is held no longer'
}

# mode_is HOST MODE
mode_is() {
    is "$1's mode" "mode: $2" "$(on_host "$1" 'grep ^mode: /etc/raysweep/sweep.yml' | tr -d \")"
}

serves() {
    wait_for 30 'the responder to answer' curl -fs http://127.0.0.1:9095/-/ready || not_ok 'it does not serve'
    ok '  it serves'
}

# measured HOST…: as cron does each minute.
measured() {
    local host
    for host in "$@"; do
        on_host "$host" 'raysweep measure --textfile /run/raysweep/raysweep.prom'
    done
    for host in "$@"; do
        wait_for 20 "Prometheus to have what $host measured" has_figures "$host" || not_ok "Prometheus has no figures of $host"
    done
}

has_figures() {
    [[ $(curl -fsS --get http://127.0.0.1:9090/api/v1/query \
        --data-urlencode "query=time() - max(node_textfile_mtime_seconds{host=\"$1\"}) < 30" | jq '.data.result | length') == 1 ]]
}

nothing_is_left_on() {
    local host
    for host in "$@"; do
        quiet "nothing is left on $host" on_host "$host" 'ls -d /usr/local/bin/raysweep /etc/raysweep /var/lib/raysweep* \
            /etc/cron.d/raysweep /etc/sudoers.d/raysweep /run/raysweep 2>/dev/null; getent passwd raysweep || true'
    done
}
