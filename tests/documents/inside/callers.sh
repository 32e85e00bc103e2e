# shellcheck shell=bash
# docs/operations.md: what callers show, and the certificates of the other side.

callers() {
    the_token
    the_users
    the_certificates
    # All that follows is asked for nothing again.
    systemctl revert raysweep 2>"$ERR"
    sed -i '/bearer_token_file/d' /etc/raysweep/raysweep.yml
    systemctl restart raysweep
    serves
}

# answers_with STATUS CURL…: what /api/v1/hosts does.
answers_with() {
    local wanted=$1
    shift
    is 'it answers' "$wanted" "$(curl -ks -o /dev/null -w '%{http_code}' "$@")"
}

the_token() {
    local chapter="$OPERATIONS#The bearer token"
    before "$chapter: umask *" a_token_is_asked_for
    after "$chapter: : >*" nobody_is_let_in
    after "$chapter: install -m 0400 -o raysweep-responder *" the_new_token_is_right
    before "$chapter: raysweep doctor *" all_is_measured
    follow "$OPERATIONS" 'The bearer token'
}

a_token_is_asked_for() {
    sed -i '/^web:/a\  bearer_token_file: /etc/raysweep/token' /etc/raysweep/raysweep.yml
    openssl rand -hex 32 >/run/token
    install -m 0400 -o raysweep-responder /run/token /etc/raysweep/token
    install -m 0400 -o prometheus /run/token /etc/prometheus/raysweep.token
    holds 'the responder asks for a token' systemctl reload raysweep
    wait_for 20 'that' asks_for_a_token
    # Prometheus reads the metrics without one: they ask for users only.
    answers_with 200 -H "Authorization: Bearer $(cat /run/token)" http://127.0.0.1:9095/api/v1/hosts
}

asks_for_a_token() {
    [[ $(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9095/api/v1/hosts) == 401 ]]
}

nobody_is_let_in() {
    answers_with 503 -H "Authorization: Bearer $(cat /run/token)" http://127.0.0.1:9095/api/v1/hosts
}

the_new_token_is_right() {
    answers_with 200 -H "Authorization: Bearer $(cat /etc/raysweep/token)" http://127.0.0.1:9095/api/v1/hosts
    answers_with 401 -H "Authorization: Bearer $(cat /run/token)" http://127.0.0.1:9095/api/v1/hosts
}

the_users() {
    local chapter="$OPERATIONS#Users"
    after "$chapter: htpasswd *" the_hash_is_noted
    after "$chapter: mv *" the_new_user_is_let_in
    install -m 644 /dev/stdin /etc/raysweep/web.yml <<<'basic_auth_users:'
    printf '  alertmanager: %s\n' "$(htpasswd -nbBC 4 '' old | tr -d ':\n')" >>/etc/raysweep/web.yml
    follow "$OPERATIONS" Install 'systemctl edit raysweep'
    # That took its change back again, once it was looked at.
    unit_with_web_configuration
    follow "$OPERATIONS" Users
}

unit_with_web_configuration() {
    local folder=/etc/systemd/system/raysweep.service.d
    install -d "$folder"
    awk '/^```ini/ { on = 1; next } /^```/ { on = 0 } on' "$CHECKOUT/$OPERATIONS" >"$folder/override.conf"
    systemctl daemon-reload
    holds 'it starts with the web configuration' systemctl restart raysweep
}

the_hash_is_noted() {
    tr -d '\r' <"$OUT" | grep '^alertmanager-2:' >/run/new-user
}

the_new_user_is_let_in() {
    answers_with 200 -u "alertmanager-2:$PASSWORD" http://127.0.0.1:9095/api/v1/hosts
    answers_with 200 -u alertmanager:old http://127.0.0.1:9095/api/v1/hosts
    answers_with 401 -u alertmanager-2:wrong http://127.0.0.1:9095/api/v1/hosts
}

# certificate NAME: NAME.crt and NAME.key in this folder.
certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
        -addext 'subjectAltName=IP:127.0.0.1' -keyout "$1.key" -out "$1.crt" 2>"$ERR"
}

the_certificates() {
    local chapter="$OPERATIONS#TLS certificates"
    after "$chapter: mv *" the_new_certificate_is_shown
    cd "$CHECKOUT" || exit
    certificate raysweep
    certificate new
    install -m 644 raysweep.crt /etc/raysweep/raysweep.crt
    install -m 640 -o root -g raysweep-responder raysweep.key /etc/raysweep/raysweep.key
    printf '%s\n' 'tls_server_config:' '  cert_file: raysweep.crt' '  key_file: raysweep.key' >>/etc/raysweep/web.yml
    systemctl restart raysweep
    follow "$OPERATIONS" 'TLS certificates'
}

the_new_certificate_is_shown() {
    answers_with 200 --cacert "$CHECKOUT/new.crt" -u "alertmanager-2:$PASSWORD" https://127.0.0.1:9095/api/v1/hosts
    is 'with the new certificate' 'subject=CN = new' \
        "$(openssl s_client -connect 127.0.0.1:9095 </dev/null 2>/dev/null | openssl x509 -noout -subject)"
}
