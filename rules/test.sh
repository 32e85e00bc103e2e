#!/bin/sh
# Checks the rules' syntax and runs their unit tests. Takes no arguments.
set -eu
cd "$(dirname "$0")"
promtool check rules ./*.rules.yml
promtool test rules tests/*.test.yml
