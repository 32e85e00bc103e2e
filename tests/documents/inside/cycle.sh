#!/usr/bin/env bash
# A reader with the repository, three hosts that his ssh knows two of, Prometheus and Alertmanager follows the
# documents: README.md from nothing to a remediated alert and back to nothing, once more without the package,
# then docs/operations.md, then whatever else is to be typed. Run by boot.sh; the last line counts.
set -euo pipefail
# Programs come and go here: no place of one is remembered.
set +h
shopt -s extglob
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root SHELL=/bin/bash TERM=dumb EDITOR=editor
# What he does not need to be told again.
here=$(dirname "$(realpath "$0")")
# shellcheck source=deploy/demo/lib/wait.sh
source "$here/wait.sh"
# shellcheck source=tests/documents/inside/lines.sh
source "$here/lines.sh"
# shellcheck source=tests/documents/inside/table.sh
source "$here/table.sh"
# shellcheck source=tests/documents/inside/checks.sh
source "$here/checks.sh"
# shellcheck source=tests/documents/inside/readme.sh
source "$here/readme.sh"
# shellcheck source=tests/documents/inside/operations.sh
source "$here/operations.sh"
# shellcheck source=tests/documents/inside/callers.sh
source "$here/callers.sh"
# shellcheck source=tests/documents/inside/fleet.sh
source "$here/fleet.sh"

# The one question of apt is answered, and the editor does what the table says that the reader does.
the_readers_machine() {
    local row
    ln -s /cycle/checkout "$CHECKOUT"
    printf '%s\n' 'APT::Get::Assume-Yes "true";' 'Dpkg::Use-Pty "0";' >/etc/apt/apt.conf.d/documents
    install -m 755 "$here/editor.sh" /usr/local/bin/editor
    install -d -m 700 ~/.ssh
    install -m 600 "$here/desk" ~/.ssh/desk
    head -n 2 "$here/known_hosts" >~/.ssh/known_hosts
    printf '%s\n' 'Host *' '    IdentityFile ~/.ssh/desk' >~/.ssh/config
    # Half an hour from now: no run of cron's own falls into this test.
    sed -i "s/@SCHEDULE@/$((($(date +%-M) + 30) % 60)) * * * */" "$here/raysweep.yml"
    while IFS= read -r row; do
        LISTED[${row%% | *}]=1
    done < <(grep -v '^#' "$here/listed.txt")
    : >"$OUT"
    : >"$ERR"
}

main() {
    local documents
    the_readers_machine
    the_table
    follow_readme
    follow_operations
    mapfile -t documents < <(cut -f 1 "$here/commands" | sort -u)
    rest "${documents[@]}"
    everything_was
}

main
