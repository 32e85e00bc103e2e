# shellcheck shell=bash
# docs/operations.md: hosts that come and go, and what is to rest.

hosts() {
    local add="$OPERATIONS#Add a host" remove="$OPERATIONS#Remove a host"
    before "$add: raysweep check-config" a_host_more
    before "$add: raysweep doctor ray-82" the_third_is_measured
    after "$remove: raysweep undeploy ray-82" the_third_is_left
    before "$remove: raysweep check-config" a_host_less
    after "$remove: ssh-keygen -R *" it_is_not_known
    follow "$OPERATIONS" 'Add a host'
    follow "$OPERATIONS" 'Remove a host'
}

a_host_more() {
    cp /etc/raysweep/raysweep.yml /run/two.yml
    cat /cycle/ray-82.yml >>/etc/raysweep/raysweep.yml
}

the_third_is_measured() {
    measured ray-82
}

the_third_is_left() {
    nothing_is_left_on ray-82
}

a_host_less() {
    cat /run/two.yml >/etc/raysweep/raysweep.yml
}

it_is_not_known() {
    ! grep -q 10.0.0.82 /etc/raysweep/known_hosts || not_ok 'the host is still known'
}

# The reader's machine plays both: what was the old one's lies below OLD_MACHINE once it is the new one. It comes from
# 10.0.0.254, which is the new one's address; the old one's is nobody's, and stands in the settings only.
readonly OLD_MACHINE=/var/old OLD_ADDRESS=10.0.0.253

moving() {
    local chapter="$OPERATIONS#Move the responder"
    before "$chapter: editor *" it_is_let_in_from_elsewhere
    after "$chapter: raysweep deploy --all" the_hosts_have_what_the_settings_have
    before "$chapter: apt install *" another_machine
    after "$chapter: raysweep doctor" it_is_let_in
    after "$chapter: systemctl enable --now raysweep" serves
    before "$chapter: raysweep doctor --send-test-alert" all_is_measured
    after "$chapter: raysweep doctor --send-test-alert" what_has_happened_is_known
    follow "$OPERATIONS" 'Move the responder'
    is 'the hosts let the key in from the new one alone' '  from: [10.0.0.254]' "$(grep '^  from: ' /etc/raysweep/raysweep.yml)"
    rm -r "$OLD_MACHINE"
}

# Before the first edit only: the machine that deployed had another address.
it_is_let_in_from_elsewhere() {
    [[ ! -e $OLD_MACHINE ]] || return 0
    sed -i "s/from: .*/from: [$OLD_ADDRESS]/" /etc/raysweep/raysweep.yml
    holds 'the hosts let the key in from the old one alone' raysweep deploy --all --no-verify
    the_logins_are broken
}

it_is_let_in() {
    the_logins_are ok
}

the_logins_are() {
    is 'the ways of the responder to the hosts are' "$1" "$(raysweep doctor --json 2>"$ERR" |
        jq -r '.[] | select(.check == "responder_login") | .state' | sort -u)"
}

the_hosts_have_what_the_settings_have() {
    local from host
    from=$(sed -n 's/^  from: \[\(.*\)\]$/\1/p' /etc/raysweep/raysweep.yml)
    for host in ray-80 ray-81; do
        is "$host lets the key in from there" "${from//, /,}" \
            "$(on_host "$host" 'cat /var/lib/raysweep-account/.ssh/authorized_keys' | sed 's/.*from="\([^"]*\)".*/\1/')"
    done
    it_is_let_in
}

another_machine() {
    KNOWN=$(newest_attempt)
    holds 'the old one has come to rest' systemctl disable --now raysweep
    install -d -m 755 "$OLD_MACHINE/etc" "$OLD_MACHINE/var/lib"
    cp -a /etc/raysweep "$OLD_MACHINE/etc/"
    cp -a /var/lib/raysweep "$OLD_MACHINE/var/lib/"
    holds 'the new one has no package' apt purge raysweep
    # And none of what the chapters above have put there.
    rm -rf /etc/raysweep
    nothing_is_left_here
}

what_has_happened_is_known() {
    is 'it knows what the old one has done' "$KNOWN" "$(api "attempts/$KNOWN" | jq -r .id)"
}

# All that keeps something from being done, and everything that is looked at.
resting() {
    local rest="$OPERATIONS#Maintenance" alone="$OPERATIONS#The backstop alone" ends="$OPERATIONS#When it does not start, or ends"
    local full="$OPERATIONS#A Ray host's disk is full" deleted="$OPERATIONS#Something was deleted that was needed"
    after "$rest: touch *" is_held
    after "$rest: systemctl stop raysweep" started_again
    after "$rest: raysweep hold --all" is_held
    after "$rest: raysweep release --all" is_not_held
    before "$alone: raysweep run --all" a_little_is_left
    after "$alone: raysweep run --all" freed_directly
    after "$alone: systemctl enable --now raysweep" serves
    after "$ends: systemctl start raysweep" serves
    before "$full: raysweep run ray-80" a_little_is_left
    after "$full: raysweep run ray-80" what_was_left_is_gone
    after "$deleted: raysweep hold --all *" is_held
    after "$deleted: grep *" names_what_was_deleted
    follow "$OPERATIONS" Maintenance
    follow "$OPERATIONS" 'The backstop alone'
    follow "$OPERATIONS" 'What to watch'
    follow "$OPERATIONS" 'When it does not start, or ends'
    follow "$OPERATIONS" "A Ray host's disk is full"
    follow "$OPERATIONS" 'Something was deleted that was needed'
}

freed_directly() {
    said 'going directly'
    what_was_left_is_gone
}

names_what_was_deleted() {
    said "$SESSION"
}
