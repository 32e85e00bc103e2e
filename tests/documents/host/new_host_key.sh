#!/bin/sh
# On a host: its sshd shows another key from now on.
set -eu
# shellcheck source=/dev/null
. /etc/default/documents
rm "$SSHD/host_key" "$SSHD/host_key.pub"
ssh-keygen -q -t ed25519 -N '' -f "$SSHD/host_key"
install -m 644 "$SSHD/host_key.pub" /etc/ssh/ssh_host_ed25519_key.pub
kill -HUP "$(cat "$SSHD/pid")"
