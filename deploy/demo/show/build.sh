# shellcheck shell=bash
# Builds raysweep. The result is $RAYSWEEP, the binary's path.

REPOSITORY=$(realpath "$HERE/../..")
readonly REPOSITORY

# Where `sudo` has hidden the user's own toolchain, it is still that one that counts.
toolchain_path() {
    local home
    home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
    export PATH="$PATH:$HOME/.cargo/bin:$home/.cargo/bin"
    if [[ -d $home/.rustup ]]; then
        export RUSTUP_HOME=${RUSTUP_HOME:-$home/.rustup}
    fi
}

toolchain_found() {
    local needed found
    needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$REPOSITORY/Cargo.toml")
    found=$(cd "$REPOSITORY" && rustc --version 2>/dev/null | cut -d' ' -f2) &&
        printf '%s\n%s\n' "$needed" "$found" | sort -V -C &&
        command -v cargo cc >/dev/null
}

# Debian's `cargo` is years old; `cargo-web` is the one that it keeps new for its browsers.
toolchain_install() {
    toolchain_path
    toolchain_found && return
    local packages=(gcc libc6-dev)
    command -v rustup >/dev/null || packages+=(cargo-web)
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=300 "${packages[@]}" || return
    toolchain_found || {
        echo "no Rust that is new enough for Cargo.toml's rust-version: see https://rustup.rs"
        return 1
    }
}

build_raysweep() {
    local target
    cd "$REPOSITORY" || return
    cargo build --locked --bin raysweep || return
    target=$(cargo metadata --locked --no-deps --format-version 1 | jq -r .target_directory) || return
    RAYSWEEP=$target/debug/raysweep
    "$RAYSWEEP" --version
}
