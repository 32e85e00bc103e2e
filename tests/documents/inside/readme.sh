# shellcheck shell=bash
# README.md, from nothing to a remediated alert and back to nothing; then its way without the package.

follow_readme() {
    local install='README.md#Install' help='README.md#When raysweep cannot help' end='README.md#Stop and roll back'
    by_hand_is_apart
    after "$install: raysweep check-config" the_settings_are_right
    after "$install: raysweep deploy --all" a_second_deploy_changes_nothing
    before "$install: raysweep sweep --dry-run" a_little_is_left
    after "$install: raysweep sweep --dry-run" nothing_was_deleted
    after "$install: systemctl enable --now raysweep" serves
    after "$install: systemctl reload raysweep" the_hosts_enforce
    after "$install: raysweep run --all --dry-run" nothing_was_deleted
    after "$install: raysweep run ray-80 ray-81" what_was_left_is_gone
    after "*: raysweep hold @(ray-80 --reason*|HOST)" is_held
    after "*: raysweep release ray-80" is_not_held
    before "$install: raysweep doctor --prometheus.url*" monitoring
    after "$install: raysweep doctor --prometheus.url*" an_alert_is_remediated
    after "$install: raysweep replay *" explains
    after "$help: raysweep history --since*" has_nothing_active
    after "$help: raysweep history ATTEMPT" shows_the_worker
    before '*: raysweep close INCIDENT' an_incident_is_open
    after '*: raysweep close INCIDENT' it_is_closed
    after "$help: raysweep history --local --@(follow|worker*)" shows_the_worker
    after "$end: touch *" is_held
    after "$end: raysweep deploy HOST --mode observe" it_observes
    after "$end: raysweep undeploy --all" nothing_is_left_on_the_hosts
    after "$end: apt purge raysweep" nothing_is_left_here

    follow README.md Install
    follow README.md 'When raysweep cannot help'
    # What there is a notification for.
    rest docs/api.md
    follow README.md 'Stop and roll back'
    without_the_package README.md
    away_by_hand
    userdel raysweep-responder
}

readonly BY_HAND='@(install -* [dt]*|systemd-sysusers|systemctl daemon-reload)'

# In place of the package: another beginning, which is followed after the first one.
by_hand_is_apart() {
    apart "@(README.md|docs/operations.md)#Install: $BY_HAND"
    apart 'docs/operations.md#Upgrade: install -m 755 raysweep *'
}

the_settings_are_right() {
    said '^/etc/raysweep/raysweep.yml: ok'
}

a_second_deploy_changes_nothing() {
    holds 'a second deploy would change nothing' raysweep deploy --all --check
    mode_is ray-80 observe
}

# As the text says: when the verdicts look right.
the_hosts_enforce() {
    sed -i 's/mode: observe/mode: enforce/' /etc/raysweep/raysweep.yml
    holds 'the hosts are deployed again' raysweep deploy --all
    mode_is ray-80 enforce
    systemctl reload raysweep
}

# As alertmanager/README.md and rules/README.md say, which are followed here; but for waiting times.
monitoring() {
    install -d /etc/prometheus/rules
    after 'rules/README.md#The alerts: sed *' the_rules_are_loaded
    before 'alertmanager/README.md#Put it in place: amtool check-config *' the_route_is_pasted
    follow rules/README.md 'The alerts'
    follow alertmanager/README.md 'Put it in place'
    install -m 644 /cycle/prometheus.yml /etc/prometheus/prometheus.yml
    holds 'Prometheus and Alertmanager start' systemctl restart prometheus prometheus-alertmanager
    wait_for 60 'Prometheus' curl -fs http://127.0.0.1:9090/-/ready
    wait_for 60 'Alertmanager' curl -fs http://127.0.0.1:9093/-/ready
    measured ray-80 ray-81
}

the_rules_are_loaded() {
    cp "$OUT" /etc/prometheus/rules/ray-worker.rules.yml
    cp raysweep.rules.yml /etc/prometheus/rules/
    grep -q 'for: 5s' "$OUT" || not_ok 'it waits as long as before'
}

the_route_is_pasted() {
    sed -E -e 's|^( +group_wait:) .*|\1 1s|' -e 's|^( +group_interval:) .*|\1 2s|' \
        "$CHECKOUT/alertmanager/raysweep.yml" >/etc/prometheus/alertmanager.yml
}

# More than half of the worker's disk, as Prometheus, Alertmanager and the responder find out by themselves.
an_alert_is_remediated() {
    on_host ray-80 'plant 600'
    measured ray-80
    # Nobody looks for it there meanwhile: a process that names a session keeps it.
    wait_for 90 'a sweep' an_alert_freed || not_ok "no alert has led to a sweep: $(api 'incidents?limit=1')"
    measured ray-80
    wait_for 90 'the incident to be closed' an_incident_is_resolved || not_ok "the incident: $(api 'incidents?limit=1')"
    is 'the attempt was made for the alert' 'alert freed' \
        "$(api "attempts/$(newest_attempt)" | jq -r '"\(.trigger) \(.outcome)"')"
    ok 'from nothing to a remediated alert'
}

an_alert_freed() {
    [[ $(api 'attempts?host=ray-80&trigger=alert&outcome=freed&limit=1' | jq '.attempts | length') == 1 ]]
}

an_incident_is_resolved() {
    [[ $(api 'incidents?limit=1' | jq -r '.incidents[0].close_reason') == resolved ]]
}

explains() {
    said ray-80
}

has_nothing_active() {
    ! grep -q active "$OUT" || not_ok 'a host was at work'
}

shows_the_worker() {
    said ray-worker-1
}

it_observes() {
    on_host ray-80 'rm /etc/raysweep/hold'
    mode_is ray-80 observe
}

nothing_is_left_on_the_hosts() {
    nothing_is_left_on ray-80 ray-81
}

nothing_is_left_here() {
    quiet 'nothing is left here' find /usr/bin /etc /var/lib -maxdepth 1 -name raysweep
}

# without_the_package DOCUMENT: its lines in place of the first two of the package, and the others.
without_the_package() {
    userdel raysweep-responder
    follow "$1" Install "$BY_HAND"
    follow "$1" Install '@(editor *|ssh-keygen *|chown *|raysweep check-config)'
    is 'it is the program that was put there' /usr/local/bin/raysweep "$(command -v raysweep)"
    holds 'systemd finds nothing wrong with the unit' systemd-analyze verify raysweep.service
    follow README.md Install 'systemctl enable --now raysweep'
    holds 'and it answers' raysweep status
}

# What that left: "the files of above".
away_by_hand() {
    systemctl disable --now raysweep 2>/dev/null
    rm -rf /usr/local/bin/raysweep /etc/sysusers.d/raysweep.conf /etc/raysweep /etc/systemd/system/raysweep.service* \
        /var/lib/raysweep
    systemctl daemon-reload
}
