# shellcheck shell=bash
# Builds raysweep. The result is $RAYSWEEP, the binary's path.

REPOSITORY=$(realpath "$HERE/../..")
readonly REPOSITORY

# Under sudo the toolchain is the user's own, and so must be what it writes.
as_user() {
    local user=${SUDO_USER:-root} home
    home=$(getent passwd "$user" | cut -d: -f6)
    local path=$PATH:$home/.cargo/bin
    if [[ $user == root ]]; then
        PATH=$path "$@"
    else
        sudo -H -u "$user" env PATH="$path" "$@"
    fi
}

toolchain_found() {
    local needed found
    needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$REPOSITORY/Cargo.toml")
    found=$(cd "$REPOSITORY" && as_user rustc --version 2>/dev/null | cut -d' ' -f2) && [[ -n $found ]] &&
        printf '%s\n%s\n' "$needed" "$found" | sort -V -C &&
        as_user cargo --version >/dev/null 2>&1 && command -v cc >/dev/null
}

# Debian's `cargo` is years old; `cargo-web` is the one that it keeps new for its browsers.
toolchain_install() {
    toolchain_found && return
    local packages=(gcc libc6-dev)
    as_user rustup --version >/dev/null 2>&1 || packages+=(cargo-web)
    toolchain_packages "${packages[@]}" || {
        apt-get update -qq -o DPkg::Lock::Timeout=300
        toolchain_packages "${packages[@]}"
    }
    toolchain_found || {
        echo "no Rust that is new enough for Cargo.toml's rust-version: see https://rustup.rs"
        return 1
    }
}

# --no-remove: better to fail than to take away something that the machine has.
toolchain_packages() {
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=300 "$@"
}

build_raysweep() {
    local target
    cd "$REPOSITORY" || return
    as_user cargo build --locked --bin raysweep || return
    target=$(as_user cargo metadata --locked --no-deps --format-version 1 | jq -r .target_directory) || return
    RAYSWEEP=$target/debug/raysweep
    "$RAYSWEEP" --version
}
