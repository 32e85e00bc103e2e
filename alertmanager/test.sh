#!/bin/sh
# Checks the shipped configuration, who hears of which alert, and the example
# payloads. Takes no arguments; needs amtool and jq.
set -eu
cd "$(dirname "$0")"

config=raysweep.yml
amtool check-config "$config"

# goes_to RECEIVERS LABEL...: an alert with these labels reaches exactly these
# receivers, in this order. amtool's output is shown only where it disagrees: it
# warns at every call that a file beats the address of a server.
goes_to() {
    receivers=$1
    shift
    if ! said=$(amtool config routes test --config.file="$config" --verify.receivers="$receivers" "$@" 2>&1); then
        printf 'FAILED: %s should go to %s\n%s\n' "$*" "$receivers" "$said" >&2
        exit 1
    fi
    echo "$* -> $receivers"
}

# alerts_in FILE: the names of the alerts that a rules file can raise.
alerts_in() {
    sed -n 's/^ *- alert: *//p' "../rules/$1"
}

# The names are the shipped rules' own, so that a new alert needs a route too;
# the four are raysweep's contract, so none of them may go missing either.
four=$(alerts_in ray-worker.rules.yml | sort | paste -sd ' ')
if [ "$four" != 'RayWorkerCriticalTmpDirectory RayWorkerDiskCritical RayWorkerDiskUsageHigh RayWorkerLargeTmpDirectory' ]; then
    echo "FAILED: the shipped rules raise other alerts for raysweep than the four: $four" >&2
    exit 1
fi
for name in $four; do
    goes_to raysweep,people alertname="$name" host=ray-80 severity=critical
done
# An alert that has lost its host still reaches people, and raysweep records it.
goes_to raysweep,people alertname=RayWorkerDiskCritical severity=critical

# What `raysweep doctor` sends wakes nobody.
goes_to raysweep alertname=RaySweepDoctorTest doctor=1 severity=none

# raysweep's own, and one that no rule raises yet.
for name in $(alerts_in raysweep.rules.yml) RaySweepOfTomorrow; do
    goes_to people alertname="$name" host=ray-80 severity=warning
done

goes_to default alertname=HostOutOfMemory host=ray-80 severity=critical
# The whole name has to match.
goes_to default alertname=RayWorkerDiskCriticalToo host=ray-80
goes_to default alertname=NotRaySweepDown

# Inhibition among the four would orphan incidents.
if grep -Eq '^[[:space:]]*(inhibit_rules|active_time_intervals|mute_time_intervals):' "$config"; then
    echo "FAILED: $config inhibits or mutes" >&2
    exit 1
fi

payloads/check.sh
echo "alertmanager: all routes as expected"
