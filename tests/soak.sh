#!/usr/bin/env bash
# The long siege (100,000 swaps against sweeps, 200 kills, a million files in one folder), the
# responder's faults at full length (500 kills under load, 10,000 hosts), then the integration and the
# end-to-end tests ROUNDS times; writes the figures to docs/soak.md.
# What fails is counted and its log is kept; the rest goes on.
#   ROUNDS   repetitions of the tests (10); 0 for the siege alone
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

rounds=${ROUNDS:-10}
logs=$(mktemp -d)
good=0 bad=0 started=$SECONDS siege=passed

SIEGE=long tests/siege/run.sh 2>&1 | tee "$logs/siege.log" || siege=failed
siege_took=$((SECONDS - started))
echo "siege: $siege after $siege_took s"

started=$SECONDS faults=passed
RAYSWEEP_FAULTS=long cargo test --locked --test it -- --nocapture --test-threads 1 \
    responder::kills responder::disk responder::storm responder::clocks 2>&1 |
    tee "$logs/faults.log" || faults=failed
faults_took=$((SECONDS - started))
echo "faults: $faults after $faults_took s"

started=$SECONDS
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
{
    cat <<RESULT
# The last soak
$(date -u +%F), commit $(git rev-parse --short HEAD), $(nproc) cores. \`make soak\` made it.

## The siege
Somebody in a container plays against sweeps (\`tests/siege\`), as long as it takes: $siege, $siege_took s.

RESULT
    sed -n 's/^.*figure: /- /p' "$logs/siege.log"
    cat <<RESULT

## The responder's faults
Kills under load, full disks, storms and set clocks (\`tests/it/responder\`) at full length: $faults, $faults_took s.

RESULT
    sed -n 's/^.*figure: /- /p' "$logs/faults.log"
    cat <<RESULT

## Repetition
$rounds rounds of the integration and the end-to-end tests in $((SECONDS - started)) s: $good good, $bad bad.
RESULT
} >docs/soak.md
cat docs/soak.md
if [[ $siege == failed || $faults == failed ]] || ((bad)); then
    echo "logs: $logs" >&2
    exit 1
fi
rm -rf "$logs"
