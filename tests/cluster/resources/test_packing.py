"""Bundles must fit on single nodes and single GPUs; a sufficient sum of resources is not enough."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from cluster.resources.inventory import Inventory, Node
from cluster.resources.packing import Bundle, FreeNode, bundles, fits, free_nodes, max_replicas_that_fit
from cluster.resources.placement import ResourceRequest, fit_together

CASES = 1500


def nodes(*sizes: tuple[float, float]) -> Inventory:
    """Return nodes with these CPUs and GPUs."""
    return Inventory(tuple(Node(f"node {n}", cpus, gpus, 0) for n, (cpus, gpus) in enumerate(sizes)))


def models(*gpus: float, cpus: float = 1) -> list[ResourceRequest]:
    return [ResourceRequest(f"model {n}", cpus, each) for n, each in enumerate(gpus)]


def test_models_of_three_gpus_leave_two_of_eight_idle() -> None:
    here = nodes((64, 8), (64, 8), (64, 8))
    assert fit_together(models(*[3] * 6), here)
    assert not fit_together(models(*[3] * 7), here), "21 of 24 GPUs"
    assert fit_together([*models(*[3] * 6), *models(2, 2, 2)], here)


def test_models_of_five_gpus_need_a_node_each() -> None:
    assert fit_together(models(5, 5), nodes((8, 8), (8, 8)))
    assert not fit_together(models(5, 5, 5), nodes((8, 8), (8, 8)))
    assert not fit_together(models(5, 5), nodes((8, 8), (8, 4)))


def test_parts_of_a_gpu_lie_on_one_gpu() -> None:
    assert fit_together(models(0.6, 0.4, 0.6, 0.4), nodes((8, 2)))
    assert not fit_together(models(0.75, 0.75, 0.5), nodes((8, 2)))
    assert not fit_together(models(1, 0.5, 0.5, 0.1), nodes((8, 2)))
    assert fit_together(models(*[0.1] * 20), nodes((20, 2)))


def test_cpus_and_gpus_must_be_on_the_same_node() -> None:
    assert not fit_together(models(1, cpus=4), nodes((2, 8), (64, 0)))
    assert fit_together([*models(1, cpus=2), *models(0, cpus=64)], nodes((2, 8), (64, 0)))
    assert not fit_together([*models(1, cpus=2), *models(0, cpus=1)], nodes((2, 8)))


def test_models_without_gpus_keep_off_nodes_with_gpus_while_others_have_room() -> None:
    assert fit_together([*models(0, 0, cpus=4), *models(1, cpus=8)], nodes((8, 1), (8, 0)))


def test_all_replicas_count() -> None:
    here = nodes((64, 8), (64, 8))
    assert fit_together([ResourceRequest("wide", 1, 3, replicas=4)], here)
    assert not fit_together([ResourceRequest("wide", 1, 3, replicas=5)], here)


def test_a_spread_replica_takes_what_is_left_of_several_nodes() -> None:
    here = nodes((16, 4), (16, 4))
    wide = ResourceRequest("wide", 5, 5, spread=True)
    assert fit_together([wide, *models(3)], here)
    assert not fit_together([wide, *models(2, 2)], here)
    assert not fit_together([ResourceRequest("narrow", 4, 3, spread=True)] * 3, here), (
        "it spreads only if no node is so large"
    )
    assert bundles(6, 3, max_gpus=2) == [Bundle(2, 1)] * 3


def test_a_replica_that_asks_for_nothing_takes_a_little_all_the_same() -> None:
    assert not fit_together(models(0, 0, cpus=1) + models(0, cpus=0), nodes((2, 0)))


def test_a_kind_of_gpu_is_on_its_own_nodes_only() -> None:
    here = Inventory((Node("small", 8, 4, 0, "L4"), Node("large", 8, 2, 0, "H100")))
    large = ResourceRequest("large", 1, 1, replicas=2, accelerator_type="H100")
    assert fit_together([large, *models(1, 1, 1, 1)], here)
    assert not fit_together([large, ResourceRequest("more", 1, 1, accelerator_type="H100")], here)
    assert ResourceRequest("wide", 1, 4, spread=True, accelerator_type="H100").bundles(here) == {
        Bundle(0.25, 1, "H100"): 4
    }


def test_a_bundle_in_rays_words_is_read_back() -> None:
    for bundle in (Bundle(1, 0), Bundle(0.5, 2), Bundle(1, 0.5, "H100")):
        assert Bundle.from_resources(bundle.resources()) == bundle


def exhaustive(wanted: Sequence[Bundle], left: Sequence[FreeNode]) -> bool:
    """Return whether the bundles fit, by trying every node for each."""
    if not wanted:
        return True
    for place in range(len(left)):
        after = left[place].without(wanted[0])
        if after and exhaustive(wanted[1:], [*left[:place], after, *left[place + 1 :]]):
            return True
    return False


def test_small_cases_agree_with_trying_everything() -> None:
    missed = fitting = 0
    for number in range(CASES):
        rng = random.Random(number)
        here = [FreeNode(rng.randint(0, 4), (), rng.randint(1, 6), rng.choice("ab")) for _ in range(rng.randint(1, 3))]
        wanted = [
            Bundle(rng.choice([0.5, 1, 2]), rng.choice([0, 0.5, 0.75, 1, 2, 3]), rng.choice(["", "", "", "a"]))
            for _ in range(rng.randint(1, 5))
        ]
        found, possible = fits(Counter(wanted), Counter(here)), exhaustive(wanted, here)
        assert possible or not found, f"case {number}"
        fitting, missed = fitting + possible, missed + (possible and not found)
    assert missed <= 0.03 * fitting, f"{missed} of {fitting}"


@pytest.mark.parametrize("gpus", [0.25, 1, 3])
def test_equal_bundles_are_as_many_as_each_node_holds(gpus: float) -> None:
    here = free_nodes(nodes((64, 8), (64, 8), (2, 8)).nodes)
    assert max_replicas_that_fit(Bundle(1, gpus), 100, here) == 2 * int(8 / gpus) + min(2, int(8 / gpus))


def test_hundreds_of_nodes_are_quick() -> None:
    here = free_nodes(nodes(*[(64, 8)] * 400, *[(32, 4)] * 400, *[(96, 0)] * 200).nodes)
    wanted = {Bundle(n % 7 + 1, gpus): 40 for n, gpus in enumerate([0, 0, 0.5, 0.25, 1, 1, 2, 3, 4, 8])}
    started = time.process_time()
    for _ in range(20):
        assert fits(wanted, here)
    assert time.process_time() - started < 5
