# shellcheck shell=bash
# shellcheck disable=SC2016 # filled in when the line is typed
# All in which typing a command differs from typing it as it stands, on the reader's machine, and seeing it
# succeed. What runs before and after them is registered where the documents are followed.

the_table() {
    placeholders
    places
    exit_codes
    questions
    edits
}

# What a placeholder stands for.
placeholders() {
    stands '[HOST…]' 'ray-80'
    stands ' HOST' ' ray-80'
    stands ADDRESS 10.0.0.82
    stands '--incident ID' '--incident $(newest_incident)'
    stands 'close INCIDENT' 'close $(newest_incident)'
    stands 'replay ID' 'replay $(newest_notification)'
    stands 'grep ATTEMPT' 'grep $(newest_freed)'
    stands ATTEMPT '$(newest_attempt)'
    stands ' PATH ' " $SESSION "
    stands _NEW_ '_$(newer)-1_'
    stands ./raysweep_OLD_ './dist/raysweep_$(older)-1_'
    stands 'SHA256:…' '$FINGERPRINT'
    stands IDENTITY_FILE '$(identity_file)'
    stands 'ssh root@OLD tar -C ' 'tar -C $OLD_MACHINE'
    stands 'check-config …' 'check-config --web.config.file /etc/raysweep/web.yml /etc/raysweep/raysweep.yml'
    stands '--worker …' '--worker ray-worker-1'
    stands 'deploy/install-host.sh' '/usr/local/src/raysweep/deploy/install-host.sh'
    stands '--binary FILE' '--binary /usr/local/src/program'
    stands PUBKEYFILE /run/responder.pub
    stands CIDR 10.0.0.254/32
    stands 'jq . FILE' 'jq . payloads/firing-single.json'
}

# Where it is typed, if not on the reader's own machine in the repository.
places() {
    on '*: raysweep sweep *' ray-80
    on '*: raysweep history --local*' ray-80
    on '*: touch /etc/raysweep/hold' ray-80
    on '*: pkill -KILL -u raysweep' ray-80
    on '*: ssh-keygen -lf *' ray-80
    on '*: grep * /var/log/raysweep/*' ray-80
    on '*: deploy/install-host.sh *' ray-82
    within '*: amtool *' /etc/prometheus
    cut_off '*: raysweep history --local --follow' 3
}

exit_codes() {
    exits '*: raysweep @(deploy|undeploy) * --check' 10
    # The program of the hosts is an older one, until they are deployed.
    exits 'docs/operations.md#Upgrade: raysweep doctor' '0 1'
    # Nobody serves there yet.
    exits 'docs/operations.md#Move the responder: raysweep doctor' 1
    # 1: nobody was logged in.
    exits '*: pkill *' '0 1'
}

# What is asked at the terminal, and the reader's answer.
questions() {
    asks '*: raysweep deploy @(--all|ray-80|ray-82)' 'Shall it know them? [y/N]' y
    asks '*: ssh @(10.0.0.80|ADDRESS) true' '(yes/no/[fingerprint])?' yes
    asks '*: htpasswd *' 'New password:' "$PASSWORD" 'Re-type new password:' "$PASSWORD"
    # Only at a terminal, and nothing is asked.
    asks '*: systemctl edit raysweep'
}

# What the reader does to a file in the editor, as the text says.
edits() {
    edit '*#Install: editor *' 'cp /cycle/raysweep.yml "$1"'
    edit '*: systemctl edit raysweep' 'awk "/^\`\`\`ini/ { on = 1; next } /^\`\`\`/ { on = 0 } on" docs/operations.md >"$1"'
    edit "*#The responder's SSH key: editor *" \
        'sed -i "s|^  identity_file: .*|  identity_file: $(ls -t /etc/raysweep/id_ed25519-*[0-9] | head -n 1)|" "$1"'
    # First the new address beside the old one, then that one out.
    edit '*#Move the responder: editor *' \
        "sed -i -e 's/from: \\[$OLD_ADDRESS\\]/from: [$OLD_ADDRESS, 10.0.0.254]/; t' -e 's/$OLD_ADDRESS, //' \"\$1\""
    edit '*#Users: editor *' 'printf "  %s\n" "$(sed "s/:/: /" /run/new-user)" >>"$1"'
    edit '*#TLS certificates: editor *' 'sed -i -E "s/raysweep(\.crt|\.key)/raysweep-2\1/" "$1"'
}
