# shellcheck shell=bash
# The demo's copies of what is shipped. Only waiting times, addresses and paths differ.
# shellcheck disable=SC2034 # for the files that are sourced beside this one

readonly SHIPPED=$HERE/../..
readonly HOST_NAME=ray-80
readonly HOST_PORT=2280
# Who deploys: an account of its own, on the host and where deploy runs.
readonly OPERATOR=jo

# config_fill NAME: one of the demo's own configurations, with the world's paths in it.
config_fill() {
    sed "s|@WORLD@|$WORLD_DIR|g; s|@HOST@|$HOST_NAME|g; s|@PORT@|$HOST_PORT|g" \
        "$HERE/show/config/$1" >"$WORLD_DIR/$1"
}

# The four alerts wait minutes as they are shipped, so that what passes by itself does not
# count.
config_rules() {
    mkdir "$WORLD_DIR/rules"
    sed -E 's/^( +for:) .*/\1 3s/' "$SHIPPED/rules/ray-worker.rules.yml" >"$WORLD_DIR/rules/ray-worker.rules.yml"
    cp "$SHIPPED/rules/raysweep.rules.yml" "$WORLD_DIR/rules/"
    promtool check rules "$WORLD_DIR"/rules/*.rules.yml
}

config_alertmanager() {
    sed -E -e "s|^( +credentials_file:) .*|\1 $WORLD_DIR/token|" \
        -e 's|^( +group_wait:) .*|\1 1s|' -e 's|^( +group_interval:) .*|\1 2s|' \
        "$SHIPPED/alertmanager/raysweep.yml" >"$WORLD_DIR/alertmanager.yml"
    amtool check-config "$WORLD_DIR/alertmanager.yml"
}

config_secrets() {
    (umask 077 && head -c 24 /dev/urandom | base64 -w0 >"$WORLD_DIR/token")
    mkdir "$WORLD_DIR/responder" && ssh-keygen -q -t ed25519 -N '' -C raysweep -f "$WORLD_DIR/responder/id_ed25519"
}

config_write() {
    config_secrets && config_rules && config_alertmanager &&
        config_fill raysweep.yml && config_fill prometheus.yml
}
