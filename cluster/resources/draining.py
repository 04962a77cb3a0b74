"""Nodes that are about to go: a cloud takes its machine back, Kubernetes moves its pod, or somebody drains it."""

from __future__ import annotations

from cluster.ray_internals import draining_nodes


def draining() -> frozenset[str]:
    """Nodes (by Ray's id) on which nothing new should begin; what Ray Serve and Ray Train ask, too."""
    return draining_nodes()
