# shellcheck shell=bash
# Hosts: each has a name, an /etc, /run, /usr/local, users and an sshd of its own, and
# sees the world's Docker, network and processes.

# host_up NAME [ADDRESS:]PORT [SETTINGS]: with an sshd there, on 127.0.0.1 unless an ADDRESS
# is given (an inventory wants one for each host: any of 127.0.0.0/8 will do); SETTINGS becomes
# /etc/raysweep/sweep.yml. raysweep itself is put there by whoever installs it.
host_up() {
    local name=$1 address=127.0.0.1 port=${2##*:} settings=${3:-}
    [[ $2 != *:* ]] || address=${2%:*}
    host_start "$name" || return
    if [[ -n $settings ]]; then
        on_host "$name" install -D -m 644 /dev/stdin /etc/raysweep/sweep.yml <"$settings" || return
    fi
    sshd_up "$name" "$address" "$port"
}

# host_start NAME [NAMESPACE…]: a host without an sshd, in namespaces of its own: those that every
# host has, and these, as unshare has them.
host_start() {
    local name=$1 folder
    shift
    folder=$(host_folder "$name")
    mkdir -p "$folder/state"
    daemon_start "host-$name" unshare --mount --uts "$@" -- "$DEMO_DIR/lib/host-init.sh" "$name" "$folder"
    daemon_ready "host-$name" 60 test -e "$folder/ready"
}

host_folder() {
    echo "$WORLD_DIR/host/$1"
}

# on_host NAME CMD…: as root, in the host's /.
on_host() {
    local name=$1 enter
    shift
    mapfile -t enter < <(host_entry "$name")
    "${enter[@]}" "$@"
}

# host_down NAME: the host is gone from the network, with all that ran on it by these
# functions. A host that is up but refuses is `daemon_stop sshd-NAME`.
host_down() {
    local name=$1 part
    for part in cron sshd node_exporter host; do
        [[ ! -e $WORLD_DIR/pid/$part-$name ]] || daemon_stop "$part-$name" KILL || return
    done
    rm -rf "$(host_folder "$name")" "$WORLD_DIR/pid/host-$name"
}

# host_entry NAME: the words that put a command into a host, a word a line; for an empty
# name, words that change nothing.
host_entry() {
    local pid
    if [[ -z ${1:-} ]]; then
        echo env
        return
    fi
    pid=$(daemon_pid "host-$1") || return
    printf '%s\n' nsenter --target "$pid" --mount --uts --net
    # Only where a host has processes of its own: nsenter then stands beside whatever it starts.
    [[ /proc/$pid/ns/pid_for_children -ef /proc/self/ns/pid ]] || echo "--pid=/proc/$pid/ns/pid_for_children"
    echo --
}

# host_daemon DAEMON HOST CMD…: a daemon in the host's /.
host_daemon() {
    local daemon=$1 host=$2 enter
    shift 2
    mapfile -t enter < <(host_entry "$host")
    daemon_start "$daemon" "${enter[@]}" "$@"
}

# sshd_up NAME ADDR PORT [SETTINGS]: the host NAME's own, or, where there is no such host, one in
# the world itself; SETTINGS are further lines of its configuration. Accounts take keys from
# ~/.ssh/authorized_keys or /etc/ssh/authorized_keys.d/.
sshd_up() {
    local name=$1 address=$2 port=$3 settings=${4:-} folder enter host=''
    folder=$(sshd_folder "$name")
    mkdir -p "$folder"
    echo "$address $port" >"$folder/listen"
    [[ -e $folder/host_key ]] || ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$folder/host_key"
    { sshd_settings "$folder" "$address" "$port" && echo "$settings"; } >"$folder/sshd_config"
    [[ ! -e $WORLD_DIR/pid/host-$name ]] || host=$name
    mapfile -t enter < <(host_entry "$host")
    # sshd re-executes itself for each connection and wants an absolute path for that.
    daemon_start "sshd-$name" "${enter[@]}" "$(command -v sshd)" -D -e -f "$folder/sshd_config"
    # Asked on the host itself: it may be on a network of its own.
    daemon_ready "sshd-$name" 60 "${enter[@]}" ssh-keyscan -T 2 -p "$port" -t ed25519 "$address"
}

sshd_folder() {
    echo "$WORLD_DIR/sshd/$1"
}

# As Debian's package has it, but for keys alone. VERBOSE logs the fingerprint of each
# key that was let in.
sshd_settings() {
    local folder=$1 address=$2 port=$3
    cat <<CONFIG
ListenAddress $address
Port $port
HostKey $folder/host_key
PidFile $folder/pid
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u
UsePAM yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
AcceptEnv LANG LC_*
MaxStartups 100
LogLevel VERBOSE
CONFIG
}

# host_key NAME: its line for a known_hosts file.
host_key() {
    local folder address port
    folder=$(sshd_folder "$1")
    read -r address port <"$folder/listen"
    ((port == 22)) || address="[$address]:$port"
    echo "$address $(cut -d' ' -f1,2 "$folder/host_key.pub")"
}

# host_key_change NAME: the same host answers with another key from now on.
host_key_change() {
    local name=$1 folder address port
    folder=$(sshd_folder "$name")
    read -r address port <"$folder/listen"
    daemon_stop "sshd-$name"
    rm "$folder"/host_key "$folder"/host_key.pub
    sshd_up "$name" "$address" "$port"
}

# cron_up NAME: runs what lies in the host's /etc/cron.d, and nothing of the machine's.
cron_up() {
    local name=$1
    host_daemon "cron-$name" "$name" cron -f
    daemon_ready "cron-$name" 20 on_host "$name" test -s /run/crond.pid
}
