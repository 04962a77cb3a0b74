"""Requests to the cluster's autoscaler: everything that a run's next phase needs, and nothing between phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MIN_CPUS = 0.001  # of a bundle: Ray ignores empty ones


def request_capacity(bundles: Sequence[Mapping[str, float]]) -> None:
    """Scale the cluster so that all bundles fit at the same time, until the next call replaces this request.

    Without bundles, the cluster may remove idle nodes. Actors and placement groups also create demand, but only
    while they exist. Has no effect on a cluster without an autoscaler.
    """
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=[_resources_of_bundle(bundle) for bundle in bundles])


def _resources_of_bundle(wanted: Mapping[str, float]) -> dict[str, float]:
    rest = {name: amount for name, amount in wanted.items() if amount and name != "CPU"}
    return {"CPU": max(wanted.get("CPU", 0.0), MIN_CPUS)} | rest
