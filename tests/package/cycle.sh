#!/usr/bin/env bash
# The life of the package on a Debian that has booted for nothing else: installed, set up as its README says,
# upgraded, removed, installed again, purged. Run by boot.sh; the last line counts.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root

readonly OLD=/cycle/old.deb NEW=/cycle/new.deb SETTINGS=/etc/raysweep/raysweep.yml
passed=0

ok() {
    passed=$((passed + 1))
    echo "ok: $*"
}

not_ok() {
    echo "not ok: $*"
    echo "$passed passed, 1 failed"
    exit 1
}

# is DESCRIPTION EXPECTED FOUND: nothing is never expected here, since what fails has nothing to say: `quiet`.
is() {
    [[ -n $2 ]] || not_ok "$1: nothing is expected"
    [[ $2 == "$3" ]] || not_ok "$1: expected '$2', found '$3'"
    ok "$1"
}

# ok_if DESCRIPTION CMD…
ok_if() {
    local described=$1 said
    shift
    said=$("$@" 2>&1) || not_ok "$described: $said"
    ok "$described"
}

# quiet DESCRIPTION CMD…: it succeeds and has nothing to say.
quiet() {
    local described=$1 said
    shift
    said=$("$@" 2>&1) || not_ok "$described: $said"
    [[ -z $said ]] || not_ok "$described: $said"
    ok "$described"
}

apt() {
    apt-get -qq -y -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold "$@" 2>&1
}

property() {
    systemctl show --value --property "$1" raysweep
}

# Everything that is on the disk but for what dpkg, apt, mandb and the journals of the system keep for
# themselves; files of /etc with what is in them.
everything() {
    find / -xdev \( -path /cycle -o -path /tmp -o -path /var/tmp -o -path /var/cache -o -path /var/log \
        -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd/catalog \) -prune -o \
        \( -type f -printf '%p %m %u:%g %s\n' -o -type l -printf '%p -> %l\n' -o -printf '%p %m %u:%g\n' \) |
        grep -vE '^/etc/(passwd|group|shadow|gshadow)-? |^/etc/\.pwd\.lock |^/root ' | sort
    find /etc -type f ! -name 'passwd*' ! -name 'group*' ! -name 'shadow*' ! -name 'gshadow*' -exec md5sum {} + | sort -k 2
}

installing() {
    ok_if 'the package goes in' apt install "$OLD"
    is 'dpkg has it' 'install ok installed 0.0.9-1' "$(dpkg-query -W -f '${Status} ${Version}' raysweep)"
    quiet 'every file is there and whole' dpkg --verify raysweep
    is 'the program is the package'"'"'s' /usr/bin/raysweep "$(command -v raysweep)"
    ok_if 'and says its version' grep -qE '^raysweep [0-9]+\.[0-9]+\.[0-9]+$' <(raysweep --version)
    is 'the shipped settings are right' "$SETTINGS: ok" "$(raysweep check-config)"
    is 'and so is the example of a host'"'"'s' '/usr/share/doc/raysweep/examples/sweep.yml: ok' \
        "$(raysweep check-config --sweep /usr/share/doc/raysweep/examples/sweep.yml)"
    is 'nobody is in the inventory' 'hosts: []' "$(grep ^hosts "$SETTINGS")"
    ok_if 'the account is there, and nobody logs in as it' grep -q ':/var/lib/raysweep:/usr/sbin/nologin$' \
        <(getent passwd raysweep-responder)
    is 'it does not serve by itself' 'disabled inactive' \
        "$(systemctl is-enabled raysweep || true) $(systemctl is-active raysweep || true)"
    quiet 'systemd finds nothing wrong with the unit' systemd-analyze verify raysweep.service
}

reading() {
    local page pages=0
    while read -r page; do
        page=$(basename "$page" .1.gz)
        said=$(MAN_KEEP_FORMATTING='' man --warnings --encoding=UTF-8 "$page" 2>&1 >"/tmp/$page.txt" </dev/null) ||
            not_ok "man $page: $said"
        [[ -z $said ]] || not_ok "man $page: $said"
        [[ $(grep -cE '^(NAME|EXAMPLES)$' "/tmp/$page.txt") == 2 ]] || not_ok "man $page: $(cat "/tmp/$page.txt")"
        pages=$((pages + 1))
    done < <(dpkg -L raysweep | grep '/man1/.*\.gz$')
    is 'there is a page for the program and for each subcommand' \
        $((1 + $(raysweep --help | sed -n '/^Commands:/,/^$/p' | grep -c '^  [a-z]'))) "$pages"
    ok "$pages man pages are shown without a warning"
    ok_if 'the exit codes stand one on a line' grep -qE '^ +5 +held: the host is on hold$' /tmp/raysweep.txt
}

completing() {
    local said
    # As an interactive bash does on the first Tab.
    said=$(bash --norc -c '
        source /usr/share/bash-completion/bash_completion
        _completion_loader raysweep || true
        COMP_WORDS=(raysweep che) COMP_CWORD=1 COMP_LINE="raysweep che" COMP_POINT=12
        $(complete -p raysweep | sed "s/.*-F \([^ ]*\).*/\1/") raysweep che raysweep
        echo "${COMPREPLY[*]}"')
    is 'bash completes a subcommand' check-config "$said"
    said=$(zsh -f -c 'autoload -Uz compinit && compinit -u -D && echo $_comps[raysweep]')
    is 'zsh finds its completion' _raysweep "$said"
    quiet 'and can read it' zsh -n /usr/share/zsh/vendor-completions/_raysweep
    said=$(HOME=/tmp fish -c 'complete -C "raysweep che"' | cut -f 1)
    is 'fish completes a subcommand' check-config "$said"
}

# As README.Debian has it, but for the hosts, of which there are none here.
setting_up() {
    sed -i 's/^hosts: .*/hosts: [{ name: ray-80, address: 127.0.0.1 }]/' "$SETTINGS"
    ssh-keygen -q -t ed25519 -N '' -f /etc/raysweep/id_ed25519
    chown raysweep-responder /etc/raysweep/id_ed25519
    touch /etc/raysweep/known_hosts
    is 'the settings with a host are right' "$SETTINGS: ok" "$(raysweep check-config)"
    ok_if 'it is enabled and begins to serve' systemctl enable --now raysweep
    is 'as the package'"'"'s program' /usr/bin/raysweep "$(readlink "/proc/$(property MainPID)/exe")"
    is 'as its own account' raysweep-responder "$(stat -c %U "/proc/$(property MainPID)")"
    ok_if 'it answers' raysweep status --url http://127.0.0.1:9095
    is 'its journal is its own' '700 raysweep-responder' "$(stat -c '%a %U' /var/lib/raysweep)"
}

# No restart mends it: whoever starts it hears of it at once, and nothing flaps.
a_wrong_configuration() {
    cp -p "$SETTINGS" /tmp/right.yml
    echo 'hosts: nobody' >"$SETTINGS"
    systemctl restart raysweep 2>/dev/null && not_ok 'it starts with a wrong configuration'
    is 'a wrong configuration is left alone' 'failed exit-code 3 0' \
        "$(property ActiveState) $(property Result) $(property ExecMainStatus) $(property NRestarts)"
    cp -p /tmp/right.yml "$SETTINGS"
    rm /tmp/right.yml
    ok_if 'put right, it starts, and nothing has to be reset' systemctl start raysweep
}

upgrading() {
    local before after
    before=$(property MainPID)
    ok_if 'a newer one takes its place' apt install "$NEW"
    is 'dpkg has the newer one' "$(dpkg-deb -f "$NEW" Version)" "$(dpkg-query -W -f '${Version}' raysweep)"
    after=$(property MainPID)
    [[ $(property ActiveState) == active && $after != "$before" ]] || not_ok "what ran was not restarted: $before, $after"
    ok 'what ran was restarted'
    is 'by the newer program' /usr/bin/raysweep "$(readlink "/proc/$after/exe")"
    is 'what was set stays set' 'hosts: [{ name: ray-80, address: 127.0.0.1 }]' "$(grep ^hosts "$SETTINGS")"
    is 'and what is shipped lies beside it' 'hosts: []' "$(grep ^hosts "$SETTINGS.dpkg-dist")"
    systemctl stop raysweep
    ok_if 'the same once more' apt install --reinstall "$NEW"
    is 'what did not run was not started' inactive "$(systemctl is-active raysweep || true)"
    systemctl start raysweep
}

# The responder's key twice, as docs/operations.md has it: by names of its own, and with the old one still there.
rotating() {
    local day
    for day in 20260105-100000 20260106-100000; do
        ssh-keygen -q -t ed25519 -N '' -f "/etc/raysweep/id_ed25519-$day"
        chown raysweep-responder "/etc/raysweep/id_ed25519-$day"
        sed -i "s|^\( *identity_file:\) .*|\1 /etc/raysweep/id_ed25519-$day|" "$SETTINGS"
        is "with the key of $day the settings are right" "$SETTINGS: ok" "$(raysweep check-config)"
    done
    # What ssh-keygen leaves where a host's key is taken out.
    cp /etc/raysweep/known_hosts /etc/raysweep/known_hosts.old
}

removing() {
    local pid
    pid=$(property MainPID)
    ok_if 'it is removed' apt remove raysweep
    ok_if 'its service has ended' test ! -e "/proc/$pid"
    ok_if 'the program is gone' test ! -e /usr/bin/raysweep
    ok_if 'the settings stay' test -s "$SETTINGS"
    ok_if 'and the key' test -s /etc/raysweep/id_ed25519
    ok_if 'and the journal' test -s /var/lib/raysweep/journal.db
    ok_if 'it is installed again' apt install "$NEW"
    is 'with what was set' 'hosts: [{ name: ray-80, address: 127.0.0.1 }]' "$(grep ^hosts "$SETTINGS")"
    ok_if 'and serves with it' systemctl start raysweep
}

purging() {
    ok_if 'it is purged' apt purge raysweep
    everything >/cycle/after
    quiet 'nothing of it is left' diff /cycle/before /cycle/after
    is 'but the account' 'raysweep-responder' \
        "$(getent passwd | diff /cycle/accounts - | sed -n 's/^> \([^:]*\):.*/\1/p')"
    is 'to dpkg it is as if it had never been' 'dpkg-query: no packages found matching raysweep' \
        "$(dpkg-query -W -f '${Status}' raysweep 2>&1 || true)"
    is 'systemd knows no such unit' not-found "$(property LoadState)"
}

# Where the machine is one of the Ray hosts as well, its own part is not the package's to take.
of_a_ray_host() {
    local said
    ok_if 'on a Ray host it goes in' apt install "$NEW"
    touch /etc/raysweep/sweep.yml /etc/raysweep/hold
    said=$(apt purge raysweep) || not_ok "purge: $said"
    is 'purging it leaves the host its settings' 'hold sweep.yml' "$(cd /etc/raysweep && echo *)"
    ok_if 'and says so' grep -q 'what somebody else put into /etc/raysweep is still there' <<<"$said"
}

main() {
    local unit
    # What a fresh system does by itself in its first minutes is not the package's.
    for unit in $(systemctl list-units --type=timer --plain --no-legend | awk '{ print $1 }'); do systemctl stop "$unit"; done
    everything >/cycle/before
    getent passwd >/cycle/accounts
    installing
    reading
    completing
    setting_up
    a_wrong_configuration
    upgrading
    rotating
    removing
    purging
    of_a_ray_host
    echo "$passed passed, 0 failed"
}

main
