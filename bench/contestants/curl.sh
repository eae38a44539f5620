#!/bin/sh
# The floor: `curl -o /dev/null`. One process fetches everything over one connection, and prints the time of each
# request, the warm-ups first. The query, which the server ignores, makes many URLs from one.
set -eu
base=$1 token=$2 warm_org=$3 warm_ups=$4 org=$5 calls=$6
path=/api/partners/v2.0/org
set -- -sS --fail --proxy "" -H "Authorization: Bearer $token" -H "Accept: application/json" -w '%{time_total}\n'
curl "$@" "$base$path/$warm_org/users?n=[1-$warm_ups]" -o /dev/null "$base$path/$org/users?n=[1-$calls]" -o /dev/null |
  tail -n "$calls" | awk '{ sum += $1 } END { printf "seconds %.9f\n", sum / NR }'
