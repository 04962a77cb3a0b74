"""A replica with more GPUs than a node has takes them from several, on a simulated cluster of one-GPU nodes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import asyncio, ray
from actors.berth import Share
from actors.engine import GenerateRequest, Sampling
from actors.pool import Pool
from benchmarks.simulated_scale import cluster
from ray.util import placement_group_table
from tests.actors.pools import groups, scripted, until
from actors.seat import Terms

def free():
    return ray.available_resources().get("GPU", 0)

with cluster(2):
    pool = Pool(Terms(scripted(), "wide", Share(1, 2)))
    pool.ready(60)
    (group,) = [each for each in placement_group_table().values() if each["name"].startswith("wide/")]
    request = GenerateRequest("r", (("user", "Why?"),), Sampling(max_tokens=3))
    answer = asyncio.run(pool.client().generate(request))
    nodes = set(group["bundles_to_node_id"].values())
    print("nodes", len(nodes), "tokens", answer.tokens_out, "free", free(), flush=True)
    pool.close()
    until(lambda: free() == 2 and not groups("wide"))
    print("given back", flush=True)
"""


def test_a_replica_may_span_nodes_and_gives_all_of_them_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )
    assert "nodes 2 tokens 3 free 0" in done.stdout, done.stderr[-2000:]
    assert "given back" in done.stdout
