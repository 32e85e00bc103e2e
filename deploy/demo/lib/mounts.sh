# shellcheck shell=bash
# A private view of the folders that programs write to, for a world or a host in it.

# What an install of raysweep, its cron jobs, users and daemons touch.
readonly PRIVATE_FOLDERS=(/etc /home /usr/local /var/lib /var/log /var/spool)

overlay_over() {
    local folder=$1 state=$2$1
    mkdir -p "$state/upper" "$state/work"
    mount -t overlay overlay \
        -o "lowerdir=$folder,upperdir=$state/upper,workdir=$state/work" "$folder"
}

# The checkout and what cargo writes stay the real ones, even below a private folder.
kept_folders() {
    local folder private
    for folder in "$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../..")" \
        "${CARGO_TARGET_DIR:-}" "${CARGO_HOME:-}" "${RUSTUP_HOME:-}"; do
        [[ -n $folder && -d $folder ]] || continue
        for private in "${PRIVATE_FOLDERS[@]}"; do
            [[ $folder != "$private"/* ]] || realpath "$folder"
        done
    done
}

# private_tree STATE: the upper layers lie on a tmpfs at STATE, which serves as an upper
# layer on every machine, and which goes with the namespace.
private_tree() {
    local state=$1 folder kept index
    mount -t tmpfs -o mode=755 raysweep-state "$state"
    mapfile -t kept < <(kept_folders)
    for index in "${!kept[@]}"; do
        mkdir -p "$state/kept/$index"
        mount --bind "${kept[index]}" "$state/kept/$index"
    done
    for folder in "${PRIVATE_FOLDERS[@]}"; do
        [[ ! -d $folder ]] || overlay_over "$folder" "$state"
    done
    for index in "${!kept[@]}"; do
        mount --bind "$state/kept/$index" "${kept[index]}"
    done
    mount -t tmpfs -o mode=755 raysweep-run /run
    mkdir -p /run/lock /run/sshd
    chmod 1777 /run/lock
    mount -t tmpfs -o mode=1777 raysweep-shm /dev/shm
}
