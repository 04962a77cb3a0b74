"""More models than fit: phases that can be run, with as few loads as any order of the same steps could have."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import combinations, count

import pytest

from cluster.resources.inventory import Inventory, Node
from cluster.resources.placement import ResourceRequest, check_fits, fit_together
from pipelines.planning.requests import replica_requests
from pipelines.planning.residency.phases import Phase, min_model_loads, model_loads, order_phases
from pipelines.planning.residency.step_groups import MemoryBudget
from pipelines.study.graph.steps.params.measures import ScoreParams
from pipelines.study.graph.steps.step import Step
from tests.support.studies import scripted_study

Sizes = dict[str, ResourceRequest]
WITHIN = 1.05
ONE_NODE, CASES = 600, 700
MORE_THAN_THE_BOUND = 1


def step(name: str, model: str, *inputs: Step) -> Step:
    return Step("score", f"score {name}", name, {}, inputs, ScoreParams(model))


def grid(evolvers: Sequence[str], teachers: Sequence[str], scorer: str, rounds: int = 2) -> list[Step]:
    """The row-wise steps of a study: every teacher answers the seeds and every round, and all answers are scored."""
    steps: list[Step] = []

    def answered(*source: Step) -> None:
        for teacher in teachers:
            answer = step(f"{source[0].key if source else 'seeds'}/{teacher}", teacher, *source)
            steps.extend((answer, step(f"{answer.key}/{scorer}", scorer, answer)))

    answered()
    for evolver in evolvers:
        source: tuple[Step, ...] = ()
        for number in range(rounds):
            source = (step(f"{evolver}{number}", evolver, *source),)
            steps.extend(source)
            answered(*source)
    return steps


def gpus(steps: Sequence[Step], each: float = 1) -> Sizes:
    return {one.params.model: ResourceRequest(one.params.model, 0, each) for one in steps}


def room(*gpus: float, cpus: float = 1) -> Inventory:
    """Return one node per value of `gpus`, with that number of GPUs and `cpus` CPUs."""
    return Inventory(tuple(Node(f"node {number}", cpus, each, 0) for number, each in enumerate(gpus)))


def asking(**gpus: float) -> Sizes:
    """Models by name with the GPUs that they ask for."""
    return {name: ResourceRequest(name, 0, each) for name, each in gpus.items()}


def names(prefix: str, number: int) -> list[str]:
    return [f"{prefix}{one:02}" for one in range(number)]


def check_valid(phases: Sequence[Phase], steps: Sequence[Step], sized: Sizes, have: Inventory) -> None:
    """Check that each step runs once, after its inputs and with its model resident, and that each phase fits."""
    keys = {one.key for one in steps}
    done: set[str] = set()
    before: set[str] = set()
    for phase in phases:
        assert phase.models == tuple(sorted(phase.models))
        assert phase.model_loads == tuple(sorted(set(phase.models) - before))
        assert len(phase.models) == 1 or fit_together([sized[name] for name in phase.models], have)
        for one in phase.steps:
            assert one.key not in done and one.params.model in phase.models
            assert all(needed.key in done for needed in one.inputs if needed.key in keys)
            done.add(one.key)
        before = set(phase.models)
    assert done == keys


def test_what_fits_together_is_one_phase() -> None:
    steps = grid(names("m", 3), names("m", 3), "scorer")
    (phase,) = order_phases(steps, gpus(steps), room(4))
    assert phase.models == phase.model_loads == ("m00", "m01", "m02", "scorer")
    assert phase.steps == tuple(steps), "one stream, in the study's order"


def test_nothing_to_do_is_no_phase() -> None:
    assert order_phases([], {}, room(1)) == ()
    assert min_model_loads([], {}, room(1)) == 0


def test_evolvers_come_before_teachers_and_the_scorer_last() -> None:
    steps = grid(["e1", "e2"], ["t1", "t2"], "scorer")
    phases = order_phases(steps, gpus(steps), room(1))
    assert sorted(phase.models for phase in phases[:2]) == [("e1",), ("e2",)]
    assert sorted(phase.models for phase in phases[2:4]) == [("t1",), ("t2",)]
    assert phases[4].models == ("scorer",)
    assert model_loads(phases) == min_model_loads(steps, gpus(steps), room(1)) == 5


def test_models_that_answer_each_other_come_in_twice_but_for_those_that_stay() -> None:
    steps = grid(names("m", 6), names("m", 6), "scorer")
    phases = order_phases(steps, gpus(steps), room(2))
    check_valid(phases, steps, gpus(steps), room(2))
    assert model_loads(phases) == min_model_loads(steps, gpus(steps), room(2)) == 6 + 4 + 1


def test_a_model_with_work_left_stays_if_there_is_room() -> None:
    first = step("a1", "a")
    second = step("b1", "b", first)
    third = step("c1", "c", second)
    steps = [first, second, third, step("a2", "a", third)]
    phases = order_phases(steps, gpus(steps), room(2))
    assert [phase.models for phase in phases] == [("a", "b"), ("a", "c")]
    assert phases[1].model_loads == ("c",)


def test_of_models_that_answer_each_other_the_small_ones_stay() -> None:
    steps = grid(names("m", 12), names("m", 12), "scorer")
    sized = asking(**{name: (1, 2, 4)[number % 3] for number, name in enumerate([*names("m", 12), "scorer"])})
    phases = order_phases(steps, sized, room(4))
    check_valid(phases, steps, sized, room(4))
    assert model_loads(phases) == min_model_loads(steps, sized, room(4)) == 12 + 8 + 1


def test_steps_whose_inputs_are_finished_already_can_start() -> None:
    finished = step("before", "elsewhere")
    steps = [step("a", "a", finished)]
    assert [phase.models for phase in order_phases(steps, gpus(steps), room(1))] == [("a",)]


def test_a_model_that_never_fits_gets_a_phase_of_its_own() -> None:
    steps = [step("a", "small"), step("b", "huge"), step("c", "small2")]
    sized = asking(small=1, huge=9, small2=1)
    phases = order_phases(steps, sized, room(2))
    check_valid(phases, steps, sized, room(2))
    assert sorted(phase.models for phase in phases) == [("huge",), ("small", "small2")]


def test_cpus_count_as_much_as_gpus() -> None:
    steps = [step(name, name) for name in "abcd"]
    sized = asking(c=1, d=1) | {"a": ResourceRequest("a", 1, 1), "b": ResourceRequest("b", 1, 0)}
    phases = order_phases(steps, sized, room(2, cpus=1.1))
    check_valid(phases, steps, sized, room(2, cpus=1.1))
    assert (len(phases), model_loads(phases)) == (2, 4)


def test_models_that_fit_in_sum_but_not_on_single_nodes_take_turns() -> None:
    steps = [step(name, name) for name in names("m", 20)]
    phases = order_phases(steps, gpus(steps, 3), room(*[8] * 4))
    check_valid(phases, steps, gpus(steps, 3), room(*[8] * 4))
    assert [len(phase.models) for phase in phases] == [8, 8, 4], "two on each of four nodes"


def test_the_lower_bound_knows_of_nodes() -> None:
    steps = grid(names("m", 3), names("m", 3), "m00")
    sized, have = gpus(steps, 2), room(3, 3)
    assert model_loads(order_phases(steps, sized, have)) == min_model_loads(steps, sized, have) == 4
    assert model_loads(order_phases(steps, sized, room(6))) == 3


def test_all_replicas_of_a_model_come_in_together() -> None:
    steps = [step(name, name) for name in "ab"]
    sized = {"a": ResourceRequest("a", 1, 3, replicas=2), "b": ResourceRequest("b", 1, 2)}
    assert len(order_phases(steps, sized, room(4, 4, cpus=4))) == 2
    assert len(order_phases(steps, sized, room(4, 5, cpus=4))) == 1


def test_many_small_shares_add_up_without_rounding() -> None:
    steps = [step(name, name) for name in names("m", 10)]
    assert len(order_phases(steps, gpus(steps, 0.1), room(1))) == 1


def test_no_more_models_fit_side_by_side_than_the_bound_says() -> None:
    for number in range(300):
        rng = random.Random(number)
        have = room(*rng.choices([0, 1, 2, 3, 4], k=rng.randint(1, 4)), cpus=3)
        shares = [(rng.choice([0.5, 1, 2]), rng.choice([0, 0.5, 1, 2, 3, 5])) for _ in range(6)]
        side_by_side = MemoryBudget(
            [ResourceRequest("", *share, rng.randint(1, 2), spread=True) for share in shares], have
        )
        for mask in range(1, 1 << 6):
            fitting = [part for part in range(1, 1 << 6) if not part & ~mask and side_by_side.fits(part)]
            assert side_by_side.max_fitting(mask) >= max(part.bit_count() for part in fitting), f"case {number}"


def test_the_order_does_not_depend_on_chance() -> None:
    steps = grid(names("m", 9), names("m", 9), "m03")
    assert order_phases(steps, gpus(steps), room(3)) == order_phases(steps, gpus(steps), room(3))


def small_case(number: int) -> tuple[list[Step], Sizes, Inventory]:
    """2 to 5 models of size 1 or 2, up to 10 steps with up to 2 inputs, room for 1 to 3; the last ones on two nodes."""
    rng = random.Random(number)
    models, have = names("m", rng.randint(2, 5)), rng.randint(1, 3)
    nodes = (have,) if number < ONE_NODE else (have, rng.randint(1, 2))
    steps: list[Step] = []
    for index in range(rng.randint(1, 10)):
        inputs = rng.sample(steps, min(len(steps), rng.choice([0, 1, 1, 1, 2])))
        steps.append(step(str(index), rng.choice(models), *inputs))
    return steps, asking(**{name: min(have, rng.randint(1, 2)) for name in models}), room(*nodes)


def fewest(steps: Sequence[Step], sized: Sizes, have: Inventory) -> tuple[int, int]:
    """The fewest loads, then phases, of all orders: Dijkstra over (steps done, models resident)."""
    models = sorted({one.params.model for one in steps})
    together = [frozenset(some) for some in _subsets(models) if fit_together([sized[m] for m in some], have)]
    tickets = count()
    heap = [(0, 0, next(tickets), frozenset[str](), frozenset[str]())]
    seen: set[tuple[frozenset[str], frozenset[str]]] = set()
    while True:
        loaded, phases, _, done, resident = heappop(heap)
        if len(done) == len(steps):
            return loaded, phases
        if (done, resident) in seen:
            continue
        seen.add((done, resident))
        for new in together:
            heappush(heap, (loaded + len(new - resident), phases + 1, next(tickets), _ran(steps, done, new), new))


def _subsets(models: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for number in range(1, len(models) + 1):
        yield from combinations(models, number)


def _ran(steps: Sequence[Step], done: frozenset[str], resident: frozenset[str]) -> frozenset[str]:
    ran = set(done)
    for one in steps:
        if one.params.model in resident and all(needed.key in ran for needed in one.inputs):
            ran.add(one.key)
    return frozenset(ran)


def test_small_cases_are_as_good_as_the_best_of_all_orders() -> None:
    more_phases = 0
    for number in range(CASES):
        steps, sized, have = small_case(number)
        phases = order_phases(steps, sized, have)
        check_valid(phases, steps, sized, have)
        best_loads, best_phases = fewest(steps, sized, have)
        assert model_loads(phases) == best_loads, f"case {number}"
        assert min_model_loads(steps, sized, have) <= best_loads, f"case {number}"
        more_phases += len(phases) > best_phases
    assert more_phases <= 3, "phases come second: they may be one too many once in a while"


@pytest.mark.parametrize("have", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("teachers", ["e", "t"], ids=["the evolvers teach", "others teach"])
@pytest.mark.parametrize("scorer", ["scorer", "e03"])
def test_a_large_study_comes_close_to_the_lower_bound(have: int, teachers: str, scorer: str) -> None:
    steps = grid(names("e", 20), names(teachers, 20), scorer, rounds=3)
    sized = gpus(steps)
    started = time.perf_counter()
    phases = order_phases(steps, sized, room(have))
    print(f"{len(steps)} steps, {len(sized)} models, room for {have}: {time.perf_counter() - started:.2f} s")
    check_valid(phases, steps, sized, room(have))
    assert model_loads(phases) <= WITHIN * min_model_loads(steps, sized, room(have))


@pytest.mark.parametrize("number", range(20))
def test_an_interrupted_study_with_models_of_all_sizes_comes_close_too(number: int) -> None:
    rng = random.Random(number)
    models = names("m", rng.randint(6, 16))
    steps = grid(rng.sample(models, 5), rng.sample(models, 5), rng.choice(models))
    left: dict[str, Step] = {}
    for one in steps:
        if rng.random() < 0.6 or any(needed.key in left for needed in one.inputs):
            left[one.key] = one
    have = room(rng.choice([2, 4, 8]))
    sized = asking(**{model: min(have.gpus, rng.choice([1, 1, 2, 4])) for model in models})
    phases = order_phases([*left.values()], sized, have)
    check_valid(phases, [*left.values()], sized, have)
    assert model_loads(phases) <= MORE_THAN_THE_BOUND + min_model_loads([*left.values()], sized, have)


def test_a_model_asks_for_all_its_replicas() -> None:
    study = scripted_study()
    large = study.models["large"].model_copy(update={"replicas": 3, "cpus": 2.0, "gpus": 0.5})
    models = dict(study.models) | {"large": large}
    assert replica_requests(study.model_copy(update={"models": models}))["large"] == ResourceRequest(
        "large", 2.0, 0.5, 3
    )


def test_models_on_servers_fit_beside_a_model_that_takes_the_whole_machine() -> None:
    study = scripted_study()
    remote = {"engine": "http", "cpus": 8.0, "replicas": 3}
    models = {name: model.model_copy(update=remote) for name, model in study.models.items()}
    requests = replica_requests(study.model_copy(update={"models": models})).values()
    assert not check_fits([*requests], room(0))
    assert fit_together([ResourceRequest("own", 1, 0), *requests], room(0))
    budget = MemoryBudget([ResourceRequest("own", 1, 0), *requests], room(0))
    everything = 2 ** (1 + len(requests)) - 1
    assert budget.fits(everything) and budget.max_fitting(everything) == 1 + len(requests)
