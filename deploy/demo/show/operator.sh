# shellcheck shell=bash
# The operator: whoever has a login on the hosts, gives them their part of raysweep, and takes it away.
# shellcheck disable=SC2034 # for the files that are sourced beside this one

# operator_up BINARY: an account with a key, an ssh that knows the host, and raysweep.
operator_up() {
    local binary=$1 folder
    useradd --create-home --shell /bin/bash "$OPERATOR" || return
    folder=$(getent passwd "$OPERATOR" | cut -d: -f6)/.ssh
    as_operator mkdir -m 700 "$folder" && as_operator ssh-keygen -q -t ed25519 -N '' -f "$folder/id_ed25519" &&
        on_host "$HOST_NAME" install -m 644 /dev/stdin "/etc/ssh/authorized_keys.d/$OPERATOR" <"$folder/id_ed25519.pub" &&
        host_key "$HOST_NAME" | as_operator tee "$folder/known_hosts" || return
    # The lines of a debug build's table are of no use on a host.
    mkdir "$WORLD_DIR/bin" && strip -s "$binary" -o "$WORLD_DIR/bin/raysweep" || return
    # The responder's key and the keys that it knows are the operator's to read and to write.
    chown -R "$OPERATOR:" "$WORLD_DIR/responder"
}

as_operator() {
    setpriv --reuid "$OPERATOR" --regid "$OPERATOR" --init-groups --reset-env -- \
        env PATH="$WORLD_DIR/bin:$PATH" LC_ALL="$LC_ALL" "$@"
}

# shown COMMAND…: says what is run, and shows what it prints.
shown() {
    printf '  %s$ %s%s\n' "$DIM" "$*" "$PLAIN"
    as_operator "$@" --config.file "$WORLD_DIR/raysweep.yml" 2>&1 | sed 's/^/  /'
}

# Every path where something of raysweep could be, and every account. What any login writes is no part of it.
host_tree() {
    on_host "$HOST_NAME" find /etc /home /usr/local /var/lib /var/log /var/spool /run -xdev \
        ! -path '/var/lib/sudo*' ! -path '/run/sudo*' ! -path '/var/lib/systemd*' ! -path '/run/motd*' \
        ! -path '/var/log/lastlog' ! -path '/var/log/?tmp' ! -path /run/utmp ! -path '/etc/*-' ! -name .pwd.lock \
        -printf '%p %y %m %U:%G %l\n' | sort && on_host "$HOST_NAME" getent passwd
}

# An operator looks first: at what would be put where, and at the key that the responder is to know.
hosts_deploy() {
    local folder
    HOST_TREE=$(host_tree)
    headline "The operator gives the host its part, over ssh and sudo"
    # The responder is told of no key that nobody has seen.
    shown raysweep deploy --all || true
    echo
    folder=$(sshd_folder "$HOST_NAME")
    shown raysweep deploy --all --accept-host-key "$(ssh-keygen -l -f "$folder/host_key.pub" | cut -d' ' -f2)"
}

nobody_measures() {
    ! pgrep -f 'raysweep measure'
}

hosts_undeploy() {
    # What the demo itself runs there would only find its program gone.
    daemon_stop measure && wait_for 20 "the last measurement to end" nobody_measures
    headline "The operator takes it away again"
    shown raysweep undeploy --all && echo
}
