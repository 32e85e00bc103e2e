#!/usr/bin/env bash
# Runs the integration and the end-to-end tests ROUNDS times and writes the result to
# docs/soak.md. A round that fails is counted and its log is kept; the rounds go on.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

rounds=${ROUNDS:-10}
logs=$(mktemp -d)
good=0 bad=0 started=$SECONDS

for ((round = 1; round <= rounds; round++)); do
    if STEPS="build integration e2e" tests/all.sh >"$logs/$round.log" 2>&1; then
        good=$((good + 1))
        rm "$logs/$round.log"
    else
        bad=$((bad + 1))
    fi
    echo "round $round of $rounds: $good good, $bad bad"
done

mkdir -p docs
cat >docs/soak.md <<RESULT
# The last soak
$(date -u +%F), commit $(git rev-parse --short HEAD), $(nproc) cores: $rounds rounds of the integration and the
end-to-end tests in $((SECONDS - started)) s, $good good, $bad bad.
RESULT
cat docs/soak.md
((bad == 0)) || { echo "logs: $logs" >&2; exit 1; }
rm -rf "$logs"
