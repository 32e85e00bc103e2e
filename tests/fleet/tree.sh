#!/bin/sh
# Prints what a host's file tree is, for a comparison; lib.sh runs it on the host.
set -eu

of_content() {
    find /etc /var/spool -xdev -type f ! -path '/etc/*-' ! -name .pwd.lock "$@"
}

of_content -exec sha256sum {} +
of_content -printf '%p %m %U %G\n'
find /etc /var/spool -xdev ! -type f -printf '%p %y %m %U %G %l\n'
# What any login writes, and the operator's own home, is no part of it.
find /usr/local /var/lib /var/log /run /home -xdev \
    ! -path '/run/sudo*' ! -path '/var/lib/sudo*' ! -path '/run/lock*' ! -path '/run/motd*' ! -path /run/utmp \
    ! -path '/var/log/*log' ! -path '/var/log/?tmp*' ! -path '/var/lib/systemd*' ! -path '/home/desk*' \
    \( -type d -printf '%p d %m %U %G\n' -o -printf '%p %y %m %U %G %s %T@ %l\n' \)
