#!/usr/bin/env bash
# Measures what the responder accepts, on disk before it answers, beside adnanh/webhook (Debian's
# package, unpacked into a folder of its own, not installed), and its memory for a large fleet, on a
# machine that does nothing else. A run of the whole plan is kept in docs/performance-responder.md.
# Each of these makes it smaller:
#   SECONDS_EACH=10   how long each contender is measured each time; SECONDS_EACH=1 ROUNDS=1 HOSTS=1000 takes a minute
#   ROUNDS=3          rounds, of which the median counts
#   CONNECTIONS="1 8 64"
#   HOSTS=10000       hosts whose responder's memory is measured
#   PARTS="accepting memory"
#   KEEP=yes          keep the figures of less than the whole plan too
#   TMPDIR=/var/tmp   where the journal lies; no file system in memory
#   PROFILE=bench     cargo's; `dev` is built sooner, for a run that only shows that it runs
#   LIMIT=1h          after so long it ends whatever is left
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

tools=${RAYSWEEP_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/raysweep/tools}
WEBHOOK=$tools/webhook/usr/bin/webhook
export WEBHOOK TMPDIR=${TMPDIR:-/var/tmp}

if [[ ! -x $WEBHOOK ]]; then
    mkdir -p "$tools"
    (
        cd "$tools"
        apt-get download -qq webhook || { apt-get update -qq && apt-get download -qq webhook; }
        dpkg-deb --extract webhook_*.deb webhook
        rm webhook_*.deb
    )
fi

PROFILE=${PROFILE:-bench}
cargo bench --locked --profile "$PROFILE" --no-run --bench responder
# In the foreground, so that Ctrl-C reaches all of it.
timeout --foreground --kill-after=60 "${LIMIT:-1h}" cargo bench --locked --profile "$PROFILE" --quiet --bench responder
