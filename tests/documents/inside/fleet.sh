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
