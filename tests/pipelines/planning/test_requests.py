"""Work that waits for resources starts in order, except that what does not fit lets smaller work pass."""

from __future__ import annotations

from cluster.resources.placement import ResourceRequest
from pipelines.planning.requests import RequestQueue

SMALL, LARGE = ResourceRequest("training", 1, 0), ResourceRequest("training", 3, 0)


def taken(queue: RequestQueue[str], cpus: float) -> list[str]:
    left = [cpus]

    def fits(request: ResourceRequest) -> bool:
        if request.cpus > left[0]:
            return False
        left[0] -= request.cpus
        return True

    return [*queue.take(fits)]


def test_items_start_in_order_as_far_as_they_fit() -> None:
    queue = RequestQueue([(SMALL, "a"), (LARGE, "b"), (SMALL, "c"), (LARGE, "d"), (SMALL, "e")])
    assert taken(queue, 5) == ["a", "b", "c"]
    assert taken(queue, 2) == ["e"]
    assert queue and taken(queue, 3) == ["d"]
    assert not queue


def test_follow_ups_go_first_in_their_order() -> None:
    queue = RequestQueue([(SMALL, "waiting")])
    queue.put_first([(SMALL, "one"), (LARGE, "two"), (SMALL, "three")])
    assert taken(queue, 9) == ["one", "two", "three", "waiting"]


def test_the_length_of_the_queue_does_not_matter() -> None:
    queue, asked = RequestQueue((SMALL, str(number)) for number in range(10_000)), 0

    def never(request: ResourceRequest) -> bool:
        nonlocal asked
        asked += 1
        return False

    assert [*queue.take(never)] == [] and asked == 1
