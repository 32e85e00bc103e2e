#!/usr/bin/env bash
# The page in headless Chromium, over a running responder; as root, who installs what is missing.
# Usage: run.sh [ARG…]   arguments go to the test binary: a filter, --nocapture…
#   KEEP=folder   keep the pictures there
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

# Of a package that carries axe-core as it was published: contrast, labels, roles.
readonly AXE_PACKAGE=axe-playwright-python AXE_VERSION=0.1.8
readonly AXE_SHA256=84494fec757e4710dc751c8d7a636e457f4532f08f85c86dc9070133fbff53bc
tools=${RAYSWEEP_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/raysweep/tools}
AXE=$tools/axe-$AXE_VERSION/axe_playwright_python/axe.min.js
export AXE

binary=$(tests/binary.sh browser)
if ! sha256sum --check --status <<<"$AXE_SHA256  $AXE" 2>/dev/null; then
    mkdir -p "$tools/axe-$AXE_VERSION"
    (
        cd "$tools/axe-$AXE_VERSION"
        pip3 download --quiet --disable-pip-version-check --no-deps "$AXE_PACKAGE==$AXE_VERSION"
        python3 -m zipfile --extract "${AXE_PACKAGE//-/_}-$AXE_VERSION"-*.whl .
    )
    sha256sum --check --quiet <<<"$AXE_SHA256  $AXE"
fi
# Two browsers at once are as many as a small machine has room for.
exec "$binary" --test-threads=2 "$@"
