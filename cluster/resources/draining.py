"""Nodes that are being drained: preempted by the cloud, evicted by Kubernetes, or drained by a user."""

from __future__ import annotations

from cluster.ray_internals import draining_nodes


def draining() -> frozenset[str]:
    """Return the ids of the nodes on which nothing new should start."""
    return draining_nodes()
