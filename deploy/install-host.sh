#!/bin/sh
# Puts a host's part of raysweep in place, and can be run again at any time.
#
# Usage: install-host.sh --binary FILE --key PUBKEYFILE --from CIDR[,CIDR…]
#   --binary FILE        the raysweep that goes to /usr/local/bin
#   --key PUBKEYFILE     the responder's public key
#   --from CIDR          where the responder may come from
#   --settings FILE      becomes /etc/raysweep/sweep.yml; without it the shipped
#                        example does, and one that is there already stays
#   --docker-socket PATH the container runtime's socket, in the shipped example
#   --textfile-dir DIR   node_exporter's textfile folder (/var/lib/prometheus/node-exporter)
set -eu
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
here=$(dirname "$(realpath "$0")")

account=raysweep
account_home=/var/lib/raysweep-account
program=/usr/local/bin/raysweep
settings_file=/etc/raysweep/sweep.yml

fail() {
    echo "install-host.sh: $*" >&2
    exit 1
}

usage() {
    sed -n '4,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}

parse() {
    binary='' key='' from='' settings='' socket='' textfile_dir=''
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || usage
        case $1 in
            --binary) binary=$2 ;;
            --key) key=$2 ;;
            --from) from=$2 ;;
            --settings) settings=$2 ;;
            --docker-socket) socket=$2 ;;
            --textfile-dir) textfile_dir=$2 ;;
            *) usage ;;
        esac
        shift 2
    done
    if [ -z "$binary" ] || [ -z "$key" ] || [ -z "$from" ]; then
        usage
    fi
}

# Everything that could go wrong is asked before anything is changed.
check() {
    [ "$(id -u)" = 0 ] || fail "needs root"
    kernel_is_new_enough "$(uname -r)" || fail "needs Linux 5.8 or newer, this is $(uname -r)"
    for needed in visudo useradd ssh-keygen flock logger; do
        command -v "$needed" >/dev/null || fail "$needed is missing: install sudo, passwd, openssh-client, util-linux, bsdutils"
    done
    [ -d /etc/cron.d ] || fail "/etc/cron.d is missing: install cron"
    [ -f "$binary" ] || fail "--binary $binary: no such file"
    # A bare name would be looked for in PATH, where there is none yet, or an older one.
    binary=$(realpath "$binary")
    "$binary" --version >/dev/null || fail "$binary does not run here"
    [ "$(grep -c . "$key")" = 1 ] || fail "$key must hold one public key"
    ssh-keygen -l -f "$key" >/dev/null || fail "$key is no public key"
    # It lands between quotes in authorized_keys.
    case $from in *[!0-9A-Za-z.:/,*?_-]*) fail "--from $from: addresses, networks and names only" ;; esac
    case $socket in *[!0-9A-Za-z._/-]*) fail "--docker-socket $socket: a plain path only" ;; esac
    [ -z "$settings" ] || check_settings "$settings"
}

kernel_is_new_enough() {
    major=${1%%.*} minor=${1#*.}
    minor=${minor%%[!0-9]*}
    [ "$major" -gt 5 ] || { [ "$major" -eq 5 ] && [ "$minor" -ge 8 ]; }
}

check_settings() {
    staged=$(mktemp)
    install -m 644 "$1" "$staged"
    if ! "$binary" check-config --sweep "$staged" >/dev/null; then
        rm -f "$staged"
        fail "$1 is not usable"
    fi
    rm -f "$staged"
}

# put MODE SOURCE TARGET: by a rename, so that nobody ever sees half a file, and not at
# all where nothing would change.
put() {
    if [ -f "$3" ] && [ ! -L "$3" ] && cmp -s "$2" "$3" && [ "$(stat -c %a%u%g "$3")" = "${1}00" ]; then
        return
    fi
    install -D -m "$1" -o root -g root "$2" "$3.raysweep-new"
    mv -f "$3.raysweep-new" "$3"
    echo "$3"
}

put_account() {
    if ! getent passwd "$account" >/dev/null; then
        # Not `!`: an sshd without PAM takes that for a locked account and refuses the key.
        useradd --system --home-dir "$account_home" --no-create-home --shell /bin/sh \
            --password '*' "$account"
        echo "account $account"
    fi
    # Root's, not the account's: whoever holds the key cannot give himself another one.
    install -d -m 755 -o root -g root "$account_home" "$account_home/.ssh"
    line=$(mktemp)
    printf 'restrict,from="%s",command="%s gate" %s\n' "$from" "$program" "$(grep . "$key")" >"$line"
    put 644 "$line" "$account_home/.ssh/authorized_keys"
    rm -f "$line"
}

put_settings() {
    install -d -m 755 -o root -g root /etc/raysweep
    if [ -n "$settings" ]; then
        put 644 "$settings" "$settings_file"
    elif [ ! -e "$settings_file" ]; then
        shipped=$(mktemp)
        sed "s|^  socket: .*|  socket: ${socket:-/var/run/docker.sock}|" "$here/examples/sweep.yml" >"$shipped"
        put 644 "$shipped" "$settings_file"
        rm -f "$shipped"
    fi
    "$program" check-config --sweep "$settings_file" >/dev/null || fail "$settings_file is not usable"
}

put_sudoers() {
    # A broken file there would lock everybody out of sudo.
    visudo -q -c -f "$here/sudoers.d/raysweep" >/dev/null || fail "sudo does not take sudoers.d/raysweep"
    put 440 "$here/sudoers.d/raysweep" /etc/sudoers.d/raysweep
}

# A folder that stands is left as it is: /run/raysweep may be root's mount.
put_folders() {
    install -d -m 755 -o root -g root /run/raysweep
    install -d -m 700 -o root -g root /run/raysweep/lock
    install -d -m 750 -o root -g adm /var/log/raysweep
    [ ! -d /etc/tmpfiles.d ] || put 644 "$here/tmpfiles.d/raysweep.conf" /etc/tmpfiles.d/raysweep.conf
    if [ -d /etc/logrotate.d ]; then
        log_dir=$(setting log_dir) made=$(mktemp)
        sed "s|^/var/log/raysweep/sweeps.log /var/log/raysweep/|${log_dir:=/var/log/raysweep}/sweeps.log $log_dir/|" \
            "$here/logrotate.d/raysweep" >"$made"
        put 644 "$made" /etc/logrotate.d/raysweep
        rm -f "$made"
    fi
}

# setting KEY: what the settings say. That is no YAML in full: it has to stand on a line of its own, as in the
# example.
setting() {
    sed -n "s/^$1:[[:space:]]*//p" "$settings_file" | sed "s/[[:space:]]*#.*//; s/^[\"']//; s/[\"']\$//"
}

# The shipped file, with the schedule of the settings.
put_cron() {
    schedule=$(setting schedule)
    made=$(mktemp)
    sed "s|^7 \* \* \* \* root|${schedule:-7 * * * *} root|" "$here/cron.d/raysweep" >"$made"
    put 644 "$made" /etc/cron.d/raysweep
    rm -f "$made"
}

# The first figures come before the link: node_exporter would complain of a dangling one.
put_metrics() {
    timeout 60 "$program" measure --textfile /run/raysweep/raysweep.prom --log.level error ||
        echo "install-host.sh: the first measurement failed; cron tries again each minute" >&2
    if [ -z "$textfile_dir" ]; then
        textfile_dir=/var/lib/prometheus/node-exporter
        if [ ! -d "$textfile_dir" ]; then
            echo "install-host.sh: no $textfile_dir: the alerts need --textfile-dir" >&2
            return
        fi
    fi
    install -d -m 755 "$textfile_dir"
    if [ "$(readlink "$textfile_dir/raysweep.prom" || true)" != /run/raysweep/raysweep.prom ]; then
        ln -sfn /run/raysweep/raysweep.prom "$textfile_dir/raysweep.prom"
        echo "$textfile_dir/raysweep.prom"
    fi
}

main() {
    parse "$@"
    check
    put 755 "$binary" "$program"
    put_settings
    put_folders
    put_metrics
    put_cron
    # Last what opens the host: sudo, then the account that may use it.
    put_sudoers
    put_account
}

main "$@"
