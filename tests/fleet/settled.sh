# shellcheck shell=bash
# What is settled after a deploy: whether the responder gets there, and who writes the settings.

# verified HOST: what the last --json said of the responder's way.
verified() {
    jq -r --arg host "$1" '.[] | select(.host == $host).verified' "$WORK/out"
}

the_responders_way() {
    local name
    for name in "${GOOD[@]}"; do
        [[ $(verified "$name") == yes ]] || not_ok "$name is verified: $(verified "$name"): $(said "$name")"
    done
    ok 'the responder gets to each, through a jump host too'
    as_operator chmod 000 "$CONFIG/id_ed25519"
    ends 'a key that is not to be read is no failure' 0 deploy ray-80 --json
    is 'and nobody has tried it' key_not_here "$(verified ray-80)"
    as_operator chmod 600 "$CONFIG/id_ed25519"
    sed 's/10.99.0.254/192.0.2.1/' "$CONFIG/raysweep.yml" >"$CONFIG/elsewhere.yml"
    ends 'a responder that is not let in is a failure' 1 raysweep deploy ray-80 --json --config.file "$CONFIG/elsewhere.yml"
    is 'which the table tells' 'changed no' "$(state ray-80) $(verified ray-80)"
    [[ $(said ray-80) == *"does not let the responder's key in: "*'Permission denied'*deploy.from* ]] || not_ok "$(said ray-80)"
    ends 'unless nobody wants to know' 0 raysweep deploy ray-80 --no-verify --json --config.file "$CONFIG/elsewhere.yml"
    ends 'and mended it is none' 0 deploy ray-80 --json
    is 'as the table tells' 'changed yes' "$(state ray-80) $(verified ray-80)"
}

# A file of sudo's that sudo does not read: of that the gate's refusal says nothing.
sudo_reads_it() {
    on ray-80 cp -p /etc/sudoers /etc/sudoers.whole
    on ray-80 sed -i '/includedir/d' /etc/sudoers
    ends 'a sudoers file that sudo does not read is named' 0 deploy ray-80 --json
    [[ $(jq -r '.[0].notes[]' "$WORK/out") == *'sudo does not let raysweep sweep'*/etc/sudoers.d* ]] || not_ok "$(cat "$WORK/out")"
    on ray-80 mv /etc/sudoers.whole /etc/sudoers
    ends 'and else there is nothing to be said' 0 deploy ray-80 --json
    [[ $(cat "$WORK/out") != *'sudo does not'* ]] || not_ok "$(cat "$WORK/out")"
}

written_by_hand() {
    local settings=/etc/raysweep/sweep.yml written
    written=$(on ray-82 cat "$settings")
    on ray-82 sed -i 's/^mode: .*/mode: enforce/' "$settings"
    remember edited ray-82
    ends 'settings that were changed by hand stop a deploy' 6 deploy ray-82
    [[ $(cat "$WORK/out") == *'-mode: enforce'*'+mode: "observe"'*--overwrite-settings* ]] || not_ok "$(cat "$WORK/out")"
    ok 'which shows them'
    ends 'and a check' 6 deploy ray-82 --check --json
    is 'of which it says the same' refused "$(state ray-82)"
    the_same edited ray-82
    ends 'a check with the flag shows what it would do' 10 deploy ray-82 --check --overwrite-settings
    the_same edited ray-82
    ends 'with the flag they are the inventory'"'"'s again' 0 deploy ray-82 --overwrite-settings
    is 'to the byte' "$written" "$(on ray-82 cat "$settings")"
    ends 'and the next deploy has nothing to say' 0 deploy ray-82 --json
    is 'nor to do' unchanged "$(state ray-82)"
}

# installed_by_hand NAME: as deploy/install-host.sh leaves it, where the settings are concerned.
installed_by_hand() {
    local name=$1
    on "$name" install -D -m 644 /dev/stdin /etc/raysweep/sweep.yml <<<'mode: enforce'
    ends 'settings of an install by hand stop a deploy too' 6 deploy "$name" --json --accept-host-key "$(fingerprint "$name")"
    on "$name" rm -r /etc/raysweep
    the_same before "$name"
}
