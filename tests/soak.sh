#!/usr/bin/env bash
# The long siege (100,000 swaps against sweeps, 200 kills, a million files in one folder), the
# responder's faults at full length (500 kills under load, 10,000 hosts), then the integration and the
# end-to-end tests ROUNDS times; writes the figures to docs/soak.md.
# What fails is counted and its log is kept; the rest goes on. Each of these makes it another:
#   LENGTH=long     `short` is as long as in `make test`
#   PLAYS=          plays of the siege, by what is in their names; all of them
#   FAULTS="kills disk storm clocks"
#   ROUNDS=10       repetitions of the tests; 0 for none
#   REPEATED="build integration e2e"   the steps of tests/all.sh that are repeated
#   FIGURES=docs/soak.md
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

rounds=${ROUNDS:-10} length=${LENGTH:-long} figures=${FIGURES:-docs/soak.md}
read -ra plays <<<"${PLAYS:-}"
read -ra faults_of <<<"${FAULTS:-kills disk storm clocks}"
logs=$(mktemp -d)
good=0 bad=0 started=$SECONDS siege=passed

SIEGE=$length tests/siege/run.sh "${plays[@]}" 2>&1 | tee "$logs/siege.log" || siege=failed
siege_took=$((SECONDS - started))
echo "siege: $siege after $siege_took s"

started=$SECONDS faults=passed
RAYSWEEP_FAULTS=$length cargo test --locked --test it -- --nocapture --test-threads 1 \
    "${faults_of[@]/#/responder::}" 2>&1 |
    tee "$logs/faults.log" || faults=failed
faults_took=$((SECONDS - started))
echo "faults: $faults after $faults_took s"

started=$SECONDS
for ((round = 1; round <= rounds; round++)); do
    if STEPS="${REPEATED:-build integration e2e}" tests/all.sh >"$logs/$round.log" 2>&1; then
        good=$((good + 1))
        rm "$logs/$round.log"
    else
        bad=$((bad + 1))
    fi
    echo "round $round of $rounds: $good good, $bad bad"
done

{
    cat <<RESULT
# The last soak
$(date -u +%F), commit $(git rev-parse --short HEAD), $(nproc) cores, $length plays and faults. \`make soak\` made it.

## The siege
Somebody in a container plays against sweeps (\`tests/siege\`): $siege, $siege_took s.

RESULT
    sed -n 's/^.*figure: /- /p' "$logs/siege.log"
    cat <<RESULT

## The responder's faults
Kills under load, full disks, storms and set clocks (\`tests/it/responder\`): $faults, $faults_took s.

RESULT
    sed -n 's/^.*figure: /- /p' "$logs/faults.log"
    cat <<RESULT

## Repetition
$rounds rounds of ${REPEATED:-build integration e2e} in $((SECONDS - started)) s: $good good, $bad bad.
RESULT
} >"$figures"
cat "$figures"
if [[ $siege == failed || $faults == failed ]] || ((bad)); then
    echo "logs: $logs" >&2
    exit 1
fi
rm -rf "$logs"
