#!/usr/bin/env bash
# A study on a cluster of several Ray nodes, all on this machine: a head that takes no work, and workers.
#
#   examples/several_nodes.sh studies/quickstart.yaml --store evolgrid-store
#
# Its first argument is the study, all others are those of `evolgrid run`. WORKERS (2) and CPUS (of each worker, 1) say
# how large the cluster is, PORT (26379) where its head listens. Every node has ports and processes of its own, as on
# machines of their own; all of them end with this script.
set -euo pipefail

study=$1
shift
port=${PORT:-26379}
cpus=${CPUS:-1}
folder=$(mktemp -d -t rXXXX) # sockets lie in it, and their names must be short
export RAY_AUTH_MODE=token PATH="${VENV:-.venv}/bin:$PATH"

nodes=()
end() {
  kill "${nodes[@]}" 2>/dev/null || true
  wait "${nodes[@]}" 2>/dev/null || true
  rm -rf "$folder"
}
trap end EXIT

node() { # the agents of nodes on one machine must not want the same port
  local log=$folder/node-${#nodes[@]}.log
  ray start --block --disable-usage-stats --object-store-memory=200000000 \
    --dashboard-agent-listen-port=$((port + 100 + ${#nodes[@]})) "$@" >"$log" 2>&1 &
  nodes+=($!)
  until grep -q "Ray runtime started" "$log"; do
    kill -0 $! 2>/dev/null || { cat "$log"; exit 1; }
    sleep 0.2
  done
}

[ -e ~/.ray/auth_token ] || [ -n "${RAY_AUTH_TOKEN:-}${RAY_AUTH_TOKEN_PATH:-}" ] ||
  (umask 077 && mkdir -p ~/.ray && ray get-auth-token --generate >/dev/null)

node --head --port="$port" --num-cpus=0 --temp-dir="$folder" --include-dashboard=false \
  --ray-client-server-port=$((port + 99))
for ((number = 1; number <= ${WORKERS:-2}; number++)); do
  node --address="127.0.0.1:$port" --num-cpus="$cpus"
done

evolgrid run "$study" --address "127.0.0.1:$port" "$@"
