#!/bin/sh
# Takes a host's part of raysweep away: everything that install-host.sh put in place, with
# settings and logs. A sweep that runs ends by itself.
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
sweeping=
if [ -d /run/raysweep ] && ! flock -n /run/raysweep true; then
    # Nothing starts one any more. Its folder is its lock: with another one in place, a second sweep would not see
    # the first.
    echo "uninstall-host.sh: a sweep is at work: /run/raysweep stays, and a second run takes it" >&2
    sweeping=1
elif mountpoint -q /run/raysweep; then
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
[ -z "$sweeping" ]
