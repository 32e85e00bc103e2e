# shellcheck shell=bash
# What the test of a fleet stands on: hosts in a network, an operator, and a word for each thing that holds.

FLEET_DIR=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
: "${DEMO_DIR:=$FLEET_DIR/../../deploy/demo}"
: "${WORLD_DIR:?it wants a world: run.sh makes one}"
WORK=$WORLD_DIR/fleet CONFIG=/home/desk/fleet
passed=0
for part in wait daemons hosts; do
    # shellcheck source=/dev/null
    source "$DEMO_DIR/lib/$part.sh"
done
# What a shell, sudo or printf could take for something else.
# shellcheck disable=SC2016
readonly PASSWORD='correct horse \ 1"$x%s'"'"

ok() {
    passed=$((passed + 1))
    echo "ok: $*"
}

not_ok() {
    echo "not ok: $*" >&2
    [[ ! -s $WORK/err ]] || sed 's/^/    /' "$WORK/err" >&2
    exit 1
}

# is DESCRIPTION EXPECTED FOUND: nothing is never expected here, since what fails has nothing to say: `says`.
is() {
    [[ -n $2 ]] || not_ok "$1: nothing is expected"
    [[ $2 == "$3" ]] || not_ok "$1: expected '$2', found '$3'"
    ok "$1"
}

# says DESCRIPTION EXPECTED CMD…: the command succeeds, and that is all that it says.
says() {
    local described=$1 expected=$2 found code=0
    shift 2
    found=$("$@") || code=$?
    [[ $code == 0 && $found == "$expected" ]] || not_ok "$described: expected '$expected', found '$found', exit code $code: $*"
    ok "$described"
}

# ends DESCRIPTION CODE CMD…: the command ends with that code.
ends() {
    local described=$1 wanted=$2 code=0
    shift 2
    "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || code=$?
    [[ $code == "$wanted" ]] || {
        sed 's/^/    /' "$WORK/out" >&2
        not_ok "$described: exit code $code, not $wanted"
    }
    ok "$described"
}

# desk_up KEYFILE…: the operator's account, and keys.
desk_up() {
    local key
    useradd -m -s /bin/bash desk
    install -d -o desk -g desk "$CONFIG" /home/desk/.ssh
    install -d -o desk "$WORK"
    for key in "$@"; do
        as_operator ssh-keygen -q -t ed25519 -N '' -f "$key"
    done
    chmod 700 /home/desk/.ssh
}

# A worker: a container that has what it needs to sleep, and a folder for temporary files.
worker_up() {
    local root=$WORK/image file
    mkdir -p "$root/tmp"
    for file in /bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*'); do
        install -D "$file" "$root$file"
    done
    tar -C "$root" -c . | docker import - sleeper >/dev/null
    docker run -d --network none --name ray-worker-1 sleeper /bin/sleep infinity >/dev/null
}

# With the address of whoever deploys.
network_up() {
    ip link add fleet type bridge
    ip addr add "${DESK:-10.99.0.254}/24" dev fleet
    ip link set fleet up
}

# fleet_host NAME ADDRESS [NAMESPACE…]: a host on the network, without an sshd; in further namespaces of its
# own, as unshare has them, where it is to have more than a network.
fleet_host() {
    local name=$1 address=$2
    shift 2
    host_start "$name" --net "$@"
    ip link add "v-$name" type veth peer name eth0 netns "$(daemon_pid "host-$name")"
    ip link set "v-$name" master fleet up
    on "$name" ip link set lo up
    on "$name" ip addr add "$address/24" dev eth0
    on "$name" ip link set eth0 up
    # The accounts of the machine are no business of a host's, and a home of its own is.
    on "$name" mkdir -p /etc/ssh/authorized_keys.d /var/lib/prometheus/node-exporter
    on "$name" rm -f /var/lib/prometheus/node-exporter/*
}

# on NAME CMD…: as root, in the host's namespaces.
on() {
    on_host "$@"
}

# fleet_sshd NAME ADDRESS PORT [SETTING]: as open as an administrator may have left it; what is not there would
# be no answer.
fleet_sshd() {
    local open=('AcceptEnv *' 'Subsystem sftp internal-sftp' 'X11Forwarding yes' 'PermitTunnel yes' 'GatewayPorts yes')
    sshd_up "$1" "$2" "$3" "$(printf '%s\n' "${open[@]}" "${4:-}")"
}

# login NAME USER KEYFILE [free|password|none]: an account that the key opens, and what sudo gives it.
login() {
    local name=$1 user=$2 key=$3 right=${4:-none}
    if [[ $user != root ]]; then
        on "$name" useradd -m -s /bin/bash "$user"
        on "$name" chpasswd <<<"$user:$PASSWORD"
    fi
    on "$name" install -m 644 /dev/stdin "/etc/ssh/authorized_keys.d/$user" <"$key.pub"
    local line="$user ALL=(ALL) NOPASSWD: ALL"
    case $right in
        password) line="$user ALL=(ALL) ALL" ;;
        none) return ;;
    esac
    on "$name" install -m 440 /dev/stdin "/etc/sudoers.d/$user" <<<"$line"
}

fingerprint() {
    ssh-keygen -l -f "$(sshd_folder "$1")/host_key.pub" | cut -d' ' -f2
}

# tree NAME: every path that a deploy could touch, with what makes it what it is. Accounts' files and
# crontabs by what is in them; the rest, which is much, by size and time.
tree() {
    on "$1" "$FLEET_DIR/tree.sh" | LC_ALL=C sort
}

# as_operator CMD…: from a desk, with an agent.
as_operator() {
    setpriv --reuid desk --regid desk --init-groups --reset-env -- \
        env SSH_AUTH_SOCK="$WORK/agent" PATH="$WORK/bin:$PATH" "$@"
}

raysweep() {
    as_operator raysweep "$@"
}

# state HOST: what the last --json said of it.
state() {
    jq -r --arg host "$1" '.[] | select(.host == $host).state' "$WORK/out"
}

# said HOST: why.
said() {
    jq -r --arg host "$1" '.[] | select(.host == $host) | .why // "" ' "$WORK/out"
}

# states: all of them, as HOST=STATE.
states() {
    jq -r '[.[] | "\(.host)=\(.state)"] | join(" ")' "$WORK/out"
}

# as_responder HOST-ADDRESS [OPTION…] -- CMD…: with the responder's key, as its ssh is configured.
as_responder() {
    local address=$1 options=()
    shift
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    shift
    as_operator ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes \
        "${options[@]}" -o UserKnownHostsFile="$CONFIG/known_hosts" -i "$CONFIG/id_ed25519" -o ConnectTimeout=10 -- "raysweep@$address" "$@"
}

# typed QUESTION ANSWER CMD…: CMD at a terminal, where somebody types that once he is asked.
typed() {
    local question=$1 answer=$2 line
    shift 2
    printf -v line '%q ' "$@"
    # Whoever types a password before being asked is shown what he types.
    { wait_for 20 'the question' grep -q "$question" "$WORK/out" && printf '%s\n' "$answer"; } |
        as_operator script -qec "$line" /dev/null
}
