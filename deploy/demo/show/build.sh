# shellcheck shell=bash
# Builds raysweep. The result is $RAYSWEEP, the binary's path.

REPOSITORY=$(realpath "$HERE/../..")
readonly REPOSITORY

# Where `sudo` has hidden the user's own toolchain.
toolchain_path() {
    local home
    home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
    export PATH=$PATH:$home/.cargo/bin
}

# Under sudo the toolchain is the user's own, and so must be what it writes.
as_user() (
    toolchain_path
    if [[ ${SUDO_USER:-root} == root ]]; then
        "$@"
    else
        sudo -H -u "$SUDO_USER" env PATH="$PATH" "$@"
    fi
)

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
