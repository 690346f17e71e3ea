#!/usr/bin/env bash
# Run a command as one worker of several.
#
#     worker.sh INDEX HOST:PORT HOST:PORT ... -- COMMAND ...
#
# The same line on every machine, with INDEX 0 on the first of the hosts, 1 on the second ...
set -euo pipefail
index=$1
shift
addresses=()
while [ "$1" != -- ]; do
  addresses+=("\"$1\"")
  shift
done
shift
joined=$(IFS=, && echo "${addresses[*]}")
task="{\"type\": \"worker\", \"index\": $index}"
export TF_CONFIG="{\"cluster\": {\"worker\": [$joined]}, \"task\": $task}"
exec "$@"
