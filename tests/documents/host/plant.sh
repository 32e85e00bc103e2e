#!/bin/sh
# On a host: leaves so many megabytes of a Ray session that is dead under its worker's temp root.
# Usage: plant MEGABYTES
set -eu
pid=$(docker inspect -f '{{.State.Pid}}' ray-worker-1)
folder=/proc/$pid/root/tmp/ray/session_2020-01-01_00-00-00_000001_7/runtime_resources
mkdir -p "$folder"
fallocate -l "${1}M" "$folder/blob"
# It is old enough two seconds later.
until [ $(($(date +%s) - $(stat -c %Z "$folder/blob"))) -gt 3 ]; do sleep 0.2; done
