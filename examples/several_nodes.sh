#!/usr/bin/env bash
# A study on a cluster of several Ray nodes, all on this machine: a head that takes no work, and workers.
#
#   examples/several_nodes.sh studies/quickstart.yaml --store evolgrid-store
#   sudo NETWORKS=1 examples/several_nodes.sh studies/quickstart.yaml --store evolgrid-store
#
# Its first argument is the study, all others are those of `evolgrid run`. WORKERS (2) and CPUS (of each worker, 1) say
# how large the cluster is, PORT (26379) where its head listens. Every node has ports and processes of its own, as on
# machines of their own; all of them end with this script.
#
# NETWORKS=1 (Linux, root) also gives each node a network of its own: a namespace with an address, joined to the head's by
# a cable of its own (veth). The machine's network stays as it is, and nothing outside of it can be reached: models that
# are asked over HTTP or fetched do not work.
set -euo pipefail

study=$1
shift
port=${PORT:-26379}
cpus=${CPUS:-1}
workers=${WORKERS:-2}
name=evolgrid-$$
address=127.0.0.1
folder=$(mktemp -d -t rXXXX) # sockets lie in it, and their names must be short
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0 # they end when all work is done
export RAY_AUTH_MODE=token PATH="${VENV:-.venv}/bin:$PATH"

nodes=()
networks=()
on=() # the words that have a command run on a node
end() {
  kill "${nodes[@]}" 2>/dev/null || true
  wait "${nodes[@]}" 2>/dev/null || true
  for network in "${networks[@]}"; do # what still runs there would keep it alive
    ip netns pids "$network" | xargs --no-run-if-empty kill -KILL || true
    ip netns delete "$network" || true
  done
  rm -rf "$folder"
}
trap end EXIT

network() { # of node $1; the head, 0, also holds the switch (bridge) that all cables end in
  local here=$name-$1
  ip netns add "$here"
  networks+=("$here")
  ip -n "$here" link set lo up
  if [ "$1" = 0 ]; then
    ip -n "$here" link add nodes type bridge
  else
    ip -n "$here" link add nodes type veth peer name "node-$1" netns "$name-0"
    ip -n "$name-0" link set "node-$1" master nodes up
  fi
  ip -n "$here" address add "10.0.0.$((1 + $1))/24" dev nodes
  ip -n "$here" link set nodes up
  ip -n "$here" route add default dev nodes # by this Ray finds a node's address
}

start() { # node $1; the agents of nodes on one network must not want the same port
  local log=$folder/node-$1.log last=$((SECONDS + 120))
  if [ -n "${NETWORKS:-}" ]; then
    network "$1"
    on=(ip netns exec "$name-$1")
    set -- "$@" --node-ip-address="10.0.0.$((1 + $1))"
  fi
  "${on[@]}" ray start --block --disable-usage-stats --object-store-memory=200000000 \
    --dashboard-agent-listen-port=$((port + 100 + $1)) "${@:2}" >"$log" 2>&1 &
  nodes+=($!)
  until grep -q "Ray runtime started" "$log"; do
    kill -0 $! 2>/dev/null && [ "$SECONDS" -lt "$last" ] || { cat "$log" >&2; exit 1; }
    sleep 0.2
  done
}

[ -e ~/.ray/auth_token ] || [ -n "${RAY_AUTH_TOKEN:-}${RAY_AUTH_TOKEN_PATH:-}" ] ||
  (umask 077 && mkdir -p ~/.ray && ray get-auth-token --generate >/dev/null)

[ -z "${NETWORKS:-}" ] || address=10.0.0.1
start 0 --head --port="$port" --num-cpus=0 --temp-dir="$folder" --include-dashboard=false \
  --ray-client-server-port=$((port + 99))
for ((number = 1; number <= workers; number++)); do
  start "$number" --address="$address:$port" --num-cpus="$cpus"
done

[ -z "${NETWORKS:-}" ] || on=(ip netns exec "$name-0")
"${on[@]}" evolgrid run "$study" --address "$address:$port" "$@"
