#!/usr/bin/env bash
# Measures how long the page's first byte takes over a long history, beside the same page over an empty
# journal. A run of the whole plan, some two minutes, is kept in docs/performance-page.md. Each of these
# makes it another:
#   HOSTS=1000 ATTEMPTS=100000   the inventory, and what the journal holds
#   ROUNDS=5 REQUESTS=50         rounds, of which the median counts, and requests a round
#   KEEP=yes          keep the figures of less than the whole plan too
#   TMPDIR=/var/tmp   where the journal lies; no file system in memory
#   PROFILE=bench     cargo's; `dev` is built sooner, for a run that only shows that it runs
#   LIMIT=30m         after so long it ends whatever is left
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

export TMPDIR=${TMPDIR:-/var/tmp}

PROFILE=${PROFILE:-bench}
cargo bench --locked --profile "$PROFILE" --no-run --bench page
# In the foreground, so that Ctrl-C reaches all of it.
timeout --foreground --kill-after=60 "${LIMIT:-30m}" cargo bench --locked --profile "$PROFILE" --quiet --bench page
