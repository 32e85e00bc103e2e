# shellcheck shell=bash
# docs/operations.md, from nothing, chapter after chapter.

readonly OPERATIONS=docs/operations.md

follow_operations() {
    installing
    deploying
    monitored
    enforcing
    upgrading
    the_journal
    keys
    callers
    hosts
    moving
    resting
}

installing() {
    after "$OPERATIONS#Install: systemctl edit raysweep" the_unit_is_changed
    after "$OPERATIONS#Install: apt remove raysweep" the_settings_stay
    after "$OPERATIONS#Install: userdel *" once_more
    follow "$OPERATIONS" Install
}

the_unit_is_changed() {
    holds 'systemd finds nothing wrong with the unit' systemd-analyze verify raysweep.service
    is 'it is given the web configuration in each place' 2 \
        "$(systemctl cat raysweep | grep -c -- '--web.config.file /etc/raysweep/web.yml')"
    systemctl revert raysweep 2>"$ERR"
}

the_settings_stay() {
    holds 'the settings stay' test -s /etc/raysweep/raysweep.yml
    holds 'and the key' test -s /etc/raysweep/id_ed25519
}

# Without the package, away again, and with it for all that follows.
once_more() {
    nothing_is_left_here
    useradd -r raysweep-responder
    without_the_package "$OPERATIONS"
    cp "$CHECKOUT/target/release/raysweep" "$CHECKOUT/raysweep"
    follow "$OPERATIONS" Upgrade 'install -m 755 raysweep *'
    away_by_hand
    follow "$OPERATIONS" Install '@(apt install *|editor *|ssh-keygen *|chown *|raysweep check-config)'
}

deploying() {
    local chapter="$OPERATIONS#Deploy the hosts"
    before "$chapter: deploy/install-host.sh *" the_key_is_brought
    after "$chapter: deploy/install-host.sh *" the_host_is_left_by_hand
    after "$chapter: raysweep undeploy ray-80" deployed_again
    follow "$OPERATIONS" 'Deploy the hosts'
}

the_key_is_brought() {
    ssh -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR 10.0.0.82 \
        'cat >/run/responder.pub' </etc/raysweep/id_ed25519.pub
}

# `deploy/uninstall-host.sh` is its way back.
the_host_is_left_by_hand() {
    holds 'its sweep.yml is right' on_host ray-82 'raysweep check-config --sweep /etc/raysweep/sweep.yml'
    holds 'it is taken away again' on_host ray-82 /usr/local/src/raysweep/deploy/uninstall-host.sh
    nothing_is_left_on ray-82
}

deployed_again() {
    nothing_is_left_on ray-80
    follow "$OPERATIONS" 'Deploy the hosts' 'raysweep deploy ray-80'
    mode_is ray-80 observe
}

monitored() {
    local chapter="$OPERATIONS#Rules, route, dashboard"
    before "$chapter: raysweep doctor --send-test-alert" all_is_measured
    after "$chapter: systemctl disable --now raysweep" started_again
    follow "$OPERATIONS" 'Rules, route, dashboard'
}

all_is_measured() {
    measured ray-80 ray-81
}

started_again() {
    systemctl enable --now raysweep 2>"$ERR"
    serves
}

enforcing() {
    local chapter="$OPERATIONS#From observe to enforce"
    before "$chapter: raysweep history --outcome would_free *" it_would_free
    after "$chapter: raysweep history --outcome would_free *" it_has_seen_that
    after "$chapter: raysweep sweep --dry-run --trigger alert" nothing_was_deleted
    before "$chapter: raysweep check-config" told_to_enforce
    after "$chapter: raysweep deploy ray-80 --check" one_line_differs
    after "$chapter: raysweep run ray-80" what_was_left_is_gone
    after "$chapter: raysweep deploy ray-80 --mode enforce" it_enforces
    after "$chapter: raysweep deploy ray-80 --mode observe" it_observes_again
    after "$chapter: raysweep hold ray-80" a_hold_is_over
    follow "$OPERATIONS" 'From observe to enforce'
}

it_would_free() {
    a_little_is_left
    is 'it would free' would_free "$(outcome_by_hand ray-80)"
}

it_has_seen_that() {
    said ray-80
}

told_to_enforce() {
    sed -i '/name: ray-80/,/sweep:/s/mode: observe/mode: enforce/' /etc/raysweep/raysweep.yml
}

one_line_differs() {
    said 'mode.*enforce'
}

it_enforces() {
    mode_is ray-80 enforce
}

it_observes_again() {
    mode_is ray-80 observe
}

a_hold_is_over() {
    is_held
    raysweep release ray-80 >"$OUT"
    raysweep deploy ray-80 >"$OUT"
}

upgrading() {
    local chapter="$OPERATIONS#Upgrade"
    after "$chapter: apt install ./dist/*" it_is_the_newer_one
    after "$chapter: apt install --allow-downgrades *" it_is_the_older_one
    follow "$OPERATIONS" Upgrade
    serves
    # "with the older program"
    follow "$OPERATIONS" Upgrade 'raysweep deploy --all'
}

it_is_the_newer_one() {
    is 'the newer one is there' "raysweep $(newer)" "$(raysweep --version)"
    is 'and runs' active "$(systemctl is-active raysweep)"
    # What it was started as is what is deployed.
    serves
}

it_is_the_older_one() {
    is 'the older one is there' "raysweep $(older)" "$(raysweep --version)"
}

the_journal() {
    local chapter="$OPERATIONS#The journal"
    after "$chapter: sqlite3 /var/backups/*" the_backup_is_whole
    after "$chapter: raysweep status" it_is_as_it_was
    after "$chapter: systemctl start raysweep" serves
    follow "$OPERATIONS" 'The journal'
}

attempts() {
    sqlite3 "$1" 'SELECT count(*) FROM attempts'
}

the_backup_is_whole() {
    is 'it says' ok "$(cat "$OUT")"
    BACKED_UP=$(attempts /var/backups/raysweep/journal.db)
    ((BACKED_UP > 0)) || not_ok 'there is nothing in the backup'
    # What has happened after it is forgotten by a restore.
    outcome_by_hand ray-81 >"$OUT"
    is 'the responder goes on' $((BACKED_UP + 1)) "$(api 'attempts?limit=1000&reports=false' | jq '.attempts | length')"
}

it_is_as_it_was() {
    is 'the journal is the one of the backup' "$BACKED_UP" "$(api 'attempts?limit=1000&reports=false' | jq '.attempts | length')"
}

keys() {
    local responder="$OPERATIONS#The responder's SSH key" host="$OPERATIONS#A host's SSH key"
    after "$responder: systemctl stop raysweep" started_again
    before "$responder: raysweep doctor" all_is_measured
    before "$host: ssh-keygen -lf *" another_host_key
    after "$host: ssh-keygen -lf *" the_fingerprint_is_seen
    after "$host: raysweep doctor ray-80" the_responder_gets_in
    after "$responder: ssh-keygen *" the_key_in_use_is_there
    # Twice: what the second time finds is what the first has left.
    follow "$OPERATIONS" "The responder's SSH key"
    follow "$OPERATIONS" "The responder's SSH key" '!(systemctl stop *|pkill *)'
    is 'one key is left, and it is the one in use' "$(identity_file) $(identity_file).pub" \
        "$(echo /etc/raysweep/id_ed25519*)"
    follow "$OPERATIONS" "A host's SSH key"
}

identity_file() {
    sed -n 's/^  identity_file: //p' /etc/raysweep/raysweep.yml
}

the_key_in_use_is_there() {
    is 'beside the key in use there is a new one' 4 "$(find /etc/raysweep -name 'id_ed25519*' | wc -l)"
}

another_host_key() {
    on_host ray-80 new-host-key
    wait_for 20 'the host to show it' on_host ray-80 true
}

the_fingerprint_is_seen() {
    # shellcheck disable=SC2034 # table.sh fills it in
    FINGERPRINT=$(grep -o 'SHA256:[^ ]*' "$OUT")
}

# As its own account, and not as root, who can read everything.
the_responder_gets_in() {
    holds 'the responder may read what it knows' runuser -u raysweep-responder -- cat /etc/raysweep/known_hosts
    a_little_is_left
    is 'and gets in' freed "$(outcome_by_hand ray-80)"
}
