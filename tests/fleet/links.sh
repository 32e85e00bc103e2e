# shellcheck shell=bash
# Each link of the chain, broken on real parts and put right again. HOST, ADDRESS, WORK and CONFIG are
# doctor.sh's, and so is what finds them.

reload() {
    curl -fs -X POST "http://127.0.0.1:$1/-/reload"
}

# changed FILE SED…: a file of the control side is another one, and is read.
changed() {
    local file=$1
    shift
    sed "$@" "$WORK/$file.right" >"$WORK/$file"
    ! cmp -s "$WORK/$file.right" "$WORK/$file" || not_ok "$file is not another one: $*"
    reread "$file"
}

right() {
    cp "$WORK/$1.right" "$WORK/$1"
    reread "$1"
}

reread() {
    case $1 in
        prometheus.yml) reload "$PROMETHEUS_PORT" ;;
        *) reload "$ALERTMANAGER_PORT" ;;
    esac
}

# with_config SED…: the operator's configuration, changed, in a file of its own.
with_config() {
    sed "$@" "$CONFIG/raysweep.yml" >"$CONFIG/changed.yml"
    ! cmp -s "$CONFIG/raysweep.yml" "$CONFIG/changed.yml" || not_ok "the configuration is not another one: $*"
    echo "$CONFIG/changed.yml"
}

control_side() {
    local config
    config=$(with_config 's/connect_timeout: 3s/connect_timeout: 3/')
    raysweep doctor --json --config.file "$config" >"$WORK/out" && not_ok 'it took a wrong configuration' || code=$?
    is 'config is broken: exit code' 3 "$code"
    ok "config is $(of config state): $(of config seen) -> $(of config advice)"
    row config "$(of config state)" "$(of config seen)" "$(of config advice)"

    daemon_stop responder
    finds responder broken 'systemctl start raysweep'
    skipped responder_clock responder_target
    responder_up
    : >"$CONFIG/token"
    finds responder broken 'put right what it names'
    echo 'a token' >"$CONFIG/token"

    own_secrets

    daemon_stop alertmanager
    finds alertmanager broken 'start it where it runs'
    skipped route
    alertmanager_up "$WORK/alertmanager.yml"
    changed alertmanager.yml 's/RayWorkerDiskCritical"/RayWorkerOther"/'
    finds route broken 'alertmanager/raysweep.yml'
    changed alertmanager.yml 's|:9095/webhook|:9195/webhook|'
    finds route warn "the receiver's url"
    changed alertmanager.yml 's|alertname="RaySweepDoctorTest"|alertname="RaySweepOther"|'
    finds test_alert broken 'alertmanager/raysweep.yml' --send-test-alert
    # A pager beside raysweep: nobody is to be woken.
    changed alertmanager.yml 's|    webhook_configs:|&\n      - url: http://127.0.0.1:9196/pager|'
    finds test_alert broken 'alertmanager/raysweep.yml' --send-test-alert
    changed alertmanager.yml "s|credentials_file: .*|credentials_file: $CONFIG/other.pub|"
    finds test_alert broken "Alertmanager's log" --send-test-alert --timeout 8s
    right alertmanager.yml
    hidden_urls
}

# What the responder shows, and what it wants to be shown: by the operator's configuration, so that the one that runs
# goes on with its own.
own_secrets() {
    local config
    config=$(with_config "\$aweb: {bearer_token_file: $CONFIG/none}")
    ASKED=$config finds secrets broken "put the token into $CONFIG/none"
    install -m 640 -o desk /dev/null "$CONFIG/empty"
    config=$(with_config "\$aweb: {bearer_token_file: $CONFIG/empty}")
    ASKED=$config finds secrets broken "put the token into $CONFIG/empty"
    install -m 644 -o desk "$CONFIG/token" "$CONFIG/open"
    config=$(with_config "s|^alertmanager: {|&bearer_token_file: $CONFIG/open, |")
    ASKED=$config finds secrets broken "chmod o= $CONFIG/open"
    config=$(with_config "s|identity_file: [^,]*,|identity_file: $CONFIG/none,|")
    ASKED=$config finds secrets broken "put the private key into $CONFIG/none"
    ASKED=$config skipped responder_login
    install -m 640 -o desk "$CONFIG/id_ed25519" "$CONFIG/wide"
    config=$(with_config "s|identity_file: [^,]*,|identity_file: $CONFIG/wide,|")
    ASKED=$config finds secrets broken "chmod 600 $CONFIG/wide"
    ASKED=$config skipped responder_login
}

# Alertmanager from 0.26 on does not say where a webhook leads.
hidden_urls() {
    local hidden=http://127.0.0.1:9098
    daemon_start hidden_urls python3 "$FLEET_DIR/hidden_urls.py" 9098 "$ALERTMANAGER_PORT"
    daemon_ready hidden_urls 30 curl -fs -o /dev/null "$hidden/-/ready"
    finds route warn --send-test-alert --alertmanager.url "$hidden"
    wait_for 40 'a test alert to show it' alarms_are '' --send-test-alert --alertmanager.url "$hidden" ||
        not_ok "a test alert that has arrived does not show it: $(alarms)"
    ok "route is $(of route state) once a test alert has arrived: $(of route seen)"
    changed alertmanager.yml 's|alertname="RaySweepDoctorTest"|alertname="RaySweepOther"|; s|- name: people|&\n    webhook_configs: [{url: "http://127.0.0.1:9196/pager"}]|'
    doctor --send-test-alert --alertmanager.url "$hidden"
    is 'a pager behind a hidden address gets no test' broken "$(of test_alert state)"
    [[ $(of test_alert seen) == *'no route of its own'* ]] || not_ok "it says: $(of test_alert seen)"
    right alertmanager.yml
    daemon_stop hidden_urls
}

prometheus_has() {
    curl -fs --data-urlencode "query=$1" "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/query" |
        jq -e '.data.result | length > 0' >/dev/null
}

monitoring_side() {
    daemon_stop prometheus
    finds prometheus broken 'start it where it runs'
    skipped prometheus_clock rules responder_target alerting target metrics
    prometheus_up "$WORK/prometheus.yml"
    changed prometheus.yml '/^alerting/d'
    finds alerting broken 'alerting.alertmanagers'
    changed prometheus.yml 's/job_name: raysweep/job_name: other/'
    finds responder_target broken 'rules/README.md'
    changed prometheus.yml 's/127.0.0.1:9095/127.0.0.1:9195/'
    finds responder_target broken 'firewall'
    changed prometheus.yml 's/10.99.0.80:9100/10.99.0.80:9101/'
    finds target broken 'firewall'
    skipped metrics
    # Something of the user's own on the host is nobody's business here.
    changed prometheus.yml 's|^scrape_configs:|&\n  - {job_name: own, static_configs: [{targets: ["10.99.0.80:9102"], labels: {host: ray-80}}]}|'
    wait_for 40 'a target of the user to be down' prometheus_has 'up{job="own"} == 0'
    wait_for 40 'the chain to hold' alarms_are '' || not_ok "another job's target is an alarm: $(alarms)"
    ok "a target of another job is none of the chain's"
    changed prometheus.yml 's/host: ray-80, ray/host: ray-90, ray/'
    finds target broken 'with the label host: ray-80'
    changed prometheus.yml 's/job_name: node/&\n    metric_relabel_configs: [{source_labels: [__name__], regex: ray_worker_tmp_limit_bytes, action: drop}]/'
    finds metrics broken metric_relabel_configs
    right prometheus.yml
    rules_changed 's/for: 10m/for: 9m/'
    finds rules warn 'if that is not meant'
    rules_changed 's/ratio < 0.15/ratio < 0.16/'
    finds rules warn 'if that is not meant'
    # An expression of one's own that cannot be evaluated.
    rules_changed 's/ratio < 0.15/ratio < 0.15 or (up * on() up) < 0/'
    finds rules broken 'rules/README.md'
    rules_changed 's/alert: RayWorkerDiskCritical/alert: RayWorkerOther/'
    finds rules broken 'rule_files'
    cp "$SHIPPED/rules/ray-worker.rules.yml" "$WORK/rules/"
    reload "$PROMETHEUS_PORT"
}

rules_changed() {
    sed "$1" "$SHIPPED/rules/ray-worker.rules.yml" >"$WORK/rules/ray-worker.rules.yml"
    reload "$PROMETHEUS_PORT"
}

ways_to_a_host() {
    local config
    config=$(with_config 's/address: 10.99.0.80/address: ray-80.invalid/')
    ASKED=$config finds address broken DNS
    skipped ssh sudo program

    on "$HOST" mv /etc/ssh/authorized_keys.d/op /etc/ssh/authorized_keys.d/gone
    finds ssh broken 'connect once by hand'
    skipped sudo program cron
    on "$HOST" mv /etc/ssh/authorized_keys.d/gone /etc/ssh/authorized_keys.d/op

    another_host_key
    finds host_key broken 'if the host is a new one'
    skipped responder_login
    sed -i "/^$ADDRESS /d" "$CONFIG/known_hosts"
    finds host_key broken "raysweep deploy $HOST"
    host_key "$HOST" >>"$CONFIG/known_hosts"

    config=$(with_config "s|identity_file: [^,]*,|identity_file: $CONFIG/other,|")
    ASKED=$config finds responder_login broken deploy.from
    on "$HOST" sed -i 's/10\.99\.0\.254/10.99.0.253/' /var/lib/raysweep-account/.ssh/authorized_keys
    finds responder_login broken deploy.from
    on "$HOST" sed -i 's/10\.99\.0\.253/10.99.0.254/' /var/lib/raysweep-account/.ssh/authorized_keys

    # Through there the operator gets as himself, and the responder as nobody. Two logins have to be done in
    # the time of one.
    config=$(with_config -e "s/address: $ADDRESS}/address: $ADDRESS, jump: hop@10.99.0.81}/" \
        -e 's/connect_timeout: 3s/connect_timeout: 10s/')
    ASKED=$config finds responder_login broken 'put the responder'"'"'s key there'
    sed -i '/^10\.99\.0\.81 /d' "$CONFIG/known_hosts"
    ASKED=$config finds host_key broken 'look at the fingerprint of 10.99.0.81'
    skipped responder_login
    host_key ray-81 >>"$CONFIG/known_hosts"

    on "$HOST" mv /etc/sudoers.d/op /var/lib/aside-op
    finds sudo broken --ask-sudo-pass
    skipped program lock
    on "$HOST" mv /var/lib/aside-op /etc/sudoers.d/op
}

# The operator has seen the new key; the responder has not been told.
another_host_key() {
    daemon_stop "sshd-$HOST"
    rm "$(sshd_folder "$HOST")"/host_key*
    fleet_sshd "$HOST" "$ADDRESS" 22
    { host_key ray-80 && host_key ray-81; } >/home/desk/.ssh/known_hosts
}

inside_a_host() {
    program_and_settings
    backstop_and_lock
    workers
    figures
}

program_and_settings() {
    local config version
    version=$("$WORK/bin/raysweep" --version | cut -d' ' -f2)
    on "$HOST" cp -p /usr/local/bin/raysweep /usr/local/bin/raysweep.right
    LC_ALL=C sed "s/${version//./\\.}/0.0.9/g" "$WORK/bin/raysweep" >"$WORK/older"
    on "$HOST" install -m 755 "$WORK/older" /usr/local/bin/raysweep
    finds program broken 'brings the one that runs here'
    on "$HOST" mv /usr/local/bin/raysweep.right /usr/local/bin/raysweep

    on "$HOST" cp -p /etc/raysweep/sweep.yml /var/lib/aside-sweep.yml
    on "$HOST" sed -i 's/^min_tmp_size: .*/min_tmp_size: "4GB"/' /etc/raysweep/sweep.yml
    finds settings warn 'shows what differs'
    on "$HOST" sed -i 's/^min_tmp_size: .*/min_tmp_size: 4/' /etc/raysweep/sweep.yml
    finds settings broken 'writes them from the inventory'
    skipped mode
    on "$HOST" mv /var/lib/aside-sweep.yml /etc/raysweep/sweep.yml

    config=$(with_config 's/mode: enforce/mode: observe/')
    raysweep deploy "$HOST" --config.file "$config" >/dev/null
    ASKED=$config finds mode warn 'when the verdicts look right'
    raysweep deploy "$HOST" --config.file "$CONFIG/raysweep.yml" >/dev/null

    on "$HOST" tee /etc/raysweep/hold <<<'disk swap, back at noon' >/dev/null
    finds hold warn 'rm /etc/raysweep/hold'
    on "$HOST" rm /etc/raysweep/hold

    on "$HOST" mv /etc/sudoers.d/raysweep /var/lib/aside-sudoers
    finds sudoers broken "raysweep deploy $HOST"
    on "$HOST" mv /var/lib/aside-sudoers /etc/sudoers.d/raysweep

    on "$HOST" mv /etc/tmpfiles.d/raysweep.conf /var/lib/aside-tmpfiles
    finds files warn 'shows what differs'
    on "$HOST" mv /var/lib/aside-tmpfiles /etc/tmpfiles.d/raysweep.conf
}

backstop_and_lock() {
    on "$HOST" mv /etc/cron.d/raysweep /var/lib/aside-cron
    finds cron broken "raysweep deploy $HOST"
    skipped backstop
    on "$HOST" cp -p /var/lib/aside-cron /etc/cron.d/raysweep
    on "$HOST" sed -i 's/--jitter/--jitter --dry-run/' /etc/cron.d/raysweep
    finds cron warn 'shows what differs'
    on "$HOST" mv /var/lib/aside-cron /etc/cron.d/raysweep
    daemon_stop "cron-$HOST"
    finds cron broken 'systemctl enable --now cron'
    cron_up "$HOST"

    on "$HOST" tee /run/raysweep/last-cron.json >/dev/null \
        <<<"{\"trigger\":\"cron\",\"outcome\":\"freed\",\"finished_at\":\"$(date -u -d '-3 hours' +%FT%TZ)\",\"freed_bytes\":0}"
    finds backstop broken 'journalctl -t raysweep'
    on "$HOST" rm /run/raysweep/last-cron.json

    # Its deadline is 5 s, and for 30 s more it might still be a sweep.
    wait_for 60 'the holder to have been running for long' old_enough
    echo >"$WORK/go"
    finds lock broken "kill $(daemon_pid holder)"
    daemon_stop holder KILL
}

old_enough() {
    ((SECONDS - HOLDER_SINCE > 40))
}

workers() {
    on "$HOST" rm /run/docker.sock
    finds containers broken 'systemctl start docker'
    skipped temp_roots
    on "$HOST" ln -s "$WORLD_DIR/docker.sock" /run/docker.sock
    docker run -d --network none --name ray-worker-2 -e RAY_TMPDIR=/bin/sleep sleeper /bin/sleep infinity >/dev/null
    finds temp_roots broken 'a local folder that is there'
    docker rm -f ray-worker-2 >/dev/null
}

figures() {
    daemon_stop "node_exporter-$HOST"
    finds node_exporter broken 'prometheus-node-exporter'
    skipped target metrics
    exporter_up "$HOST" "$ADDRESS" /var/lib/elsewhere
    finds node_exporter broken 'deploy.textfile_dir: /var/lib/elsewhere'
    skipped metrics
    daemon_stop "node_exporter-$HOST"
    exporter_up "$HOST" "$ADDRESS" "$TEXTFILE_FOLDER"

    on "$HOST" mv "$TEXTFILE_FOLDER/raysweep.prom" /var/lib/aside-link
    finds textfile broken 'links them'
    on "$HOST" mv /var/lib/aside-link "$TEXTFILE_FOLDER/raysweep.prom"
    # What keeps `measure`: another one that hangs.
    # shellcheck disable=SC2016 # for the shell inside
    host_daemon measuring "$HOST" \
        flock -o /run/raysweep/lock/measure \
        sh -c 'touch -d "-1 hour" "$1" && exec sleep infinity' sh /run/raysweep/raysweep.prom
    finds textfile broken 'raysweep/lock/measure'
    daemon_stop measuring KILL
    on "$HOST" raysweep measure --textfile /run/raysweep/raysweep.prom
}

clocks() {
    local words='set the clocks right'
    cc -shared -fPIC -o "$WORK/skew.so" "$FLEET_DIR/skew.c"
    daemon_stop responder
    JOURNAL=$WORK/journal-fast responder_up LD_PRELOAD="$WORK/skew.so"
    finds responder_clock broken "$words"
    daemon_stop responder
    responder_up
    on "$HOST" install -m 755 "$WORK/skew.so" /usr/local/lib/skew.so
    on "$HOST" tee /etc/ld.so.preload <<</usr/local/lib/skew.so >/dev/null
    finds host_clock broken "$words"
    on "$HOST" rm /etc/ld.so.preload
    daemon_start slow_clock python3 "$FLEET_DIR/slow_clock.py" 9099 "$PROMETHEUS_PORT"
    finds prometheus_clock broken "$words" --prometheus.url http://127.0.0.1:9099
    daemon_stop slow_clock
}

a_host_that_hangs() {
    local begun=$SECONDS took code=0
    kill -STOP "$(daemon_pid sshd-ray-81)"
    raysweep doctor --json --timeout 5s --config.file "$CONFIG/raysweep.yml" >"$WORK/out" 2>"$WORK/err" || code=$?
    took=$((SECONDS - begun))
    kill -CONT "$(daemon_pid sshd-ray-81)"
    is 'a host that hangs: exit code' 1 "$code"
    is 'it is one alarm' 'ray-81 ssh' \
        "$(jq -r '[.[] | select(.state == "broken" or .state == "warn") | "\(.host) \(.check)"] | join(", ")' "$WORK/out")"
    is 'and no other host misses a link' 21 "$(jq '[.[] | select(.host == "ray-80" and .state == "ok")] | length' "$WORK/out")"
    ((took < 25)) || not_ok "it took $took s"
    ok "within $took s"
}
