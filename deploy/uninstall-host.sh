#!/bin/sh
# Takes a host's part of raysweep away: everything that install-host.sh put in place, with
# settings and logs. While a sweep runs it takes nothing, and ends with 4: run it again.
#
# Usage: uninstall-host.sh [--textfile-dir DIR]
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

textfile_dir=/var/lib/prometheus/node-exporter
if [ $# -eq 2 ] && [ "$1" = --textfile-dir ]; then
    textfile_dir=$2
elif [ $# -ne 0 ]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
if [ "$(id -u)" != 0 ]; then
    echo "uninstall-host.sh: needs root" >&2
    exit 1
fi

# The sweeps' own lock, kept to the end. It is on their folder: taken away from under a sweep, the next one would
# lock a new folder of that name, and sweep beside it.
if [ -d /run/raysweep/lock ]; then
    exec 9</run/raysweep/lock
    if ! flock -n 9; then
        echo "uninstall-host.sh: a sweep is at work here: run it again" >&2
        exit 4
    fi
fi

# First what starts something: the key, the account's right, cron.
rm -rf /var/lib/raysweep-account
rm -f /etc/sudoers.d/raysweep /etc/cron.d/raysweep

# The link only if it is ours: somebody may have put a file there.
if [ "$(readlink "$textfile_dir/raysweep.prom" || true)" = /run/raysweep/raysweep.prom ]; then
    rm -f "$textfile_dir/raysweep.prom"
fi
rm -f /etc/logrotate.d/raysweep /etc/tmpfiles.d/raysweep.conf
# A responder on this host has the program and the folder in common with it.
[ -e /etc/systemd/system/raysweep.service ] || rm -f /usr/local/bin/raysweep
rm -f /etc/raysweep/sweep.yml /etc/raysweep/hold
rmdir /etc/raysweep 2>/dev/null || true
rm -rf /var/log/raysweep
if mountpoint -q /run/raysweep; then
    # Root's own mount: it is emptied, and stays.
    find /run/raysweep -xdev -mindepth 1 -delete
else
    rm -rf /run/raysweep
fi

# Last, because it is refused while the responder's connection still stands: then all else is gone,
# and a second run takes the account.
if getent passwd raysweep >/dev/null; then
    userdel raysweep
fi
