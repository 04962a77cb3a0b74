"""What a run asks the cluster's autoscaler for: all that its next phase needs at once, and nothing between phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MIN_CPUS = 0.001  # of a bundle: an empty one is no demand


def request_capacity(bundles: Sequence[Mapping[str, float]]) -> None:
    """Have the cluster grow until all bundles fit at once, and keep it so large until something else is asked for.

    No bundles: it may shrink as far as what is at work there allows. Actors and placement groups are demand too, but
    each only when it is made, and theirs ends with them. A cluster without an autoscaler takes no notice.
    """
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=[_resources_of_bundle(bundle) for bundle in bundles])


def _resources_of_bundle(wanted: Mapping[str, float]) -> dict[str, float]:
    rest = {name: amount for name, amount in wanted.items() if amount and name != "CPU"}
    return {"CPU": max(wanted.get("CPU", 0.0), MIN_CPUS)} | rest
