"""New instructions are read line by line, and joined with the seeds without repetition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from actors.engine import FinishReason, Generation
from pipelines.operators.autoif.augment import Augment, read_instructions, union
from pipelines.operators.autoif.sampling import RepeatedSampler


@pytest.mark.parametrize(
    ("text", "finish", "items", "outcome"),
    [
        ("- Use no commas\n-  Use ten words -\n", "stop", ("Use no commas", "Use ten words"), "accepted"),
        ("-Use no commas\n\n-\n- ", "stop", ("Use no commas",), "accepted"),
        ("1. Use no commas\n2) Use ten words", "stop", ("Use no commas", "Use ten words"), "repaired:list_marks"),
        ("Here they are:\n- Use no commas", "stop", ("Use no commas",), "repaired:other_lines"),
        ("- Use no commas\n- Use ten wo", "length", ("Use no commas",), "repaired:truncated"),
        ("<think>a\n- b</think>- Use no commas", "stop", ("Use no commas",), "repaired:thinking"),
        ("I can not.", "stop", None, "rejected:no_list"),
        ("- Use no com", "length", None, "rejected:empty"),
        ("- \ud800", "stop", None, "rejected:no_list"),
        ("  ", "stop", None, "rejected:empty"),
    ],
)
def test_the_lines_of_a_list_are_instructions(
    text: str, finish: FinishReason, items: tuple[str, ...] | None, outcome: str
) -> None:
    found = read_instructions(Generation("a", text, finish, 1, 1))
    assert (found.value, found.outcome) == (items, outcome)


def test_every_run_sees_the_seeds_and_draws_with_a_seed_of_its_own(asker: Callable[..., RepeatedSampler]) -> None:
    ask = asker("- Use no commas", "- Use ten words")
    draws = asyncio.run(Augment(ask, runs=3)(["Answer in verse", "Use {braces}"], "a" * 32))
    asked = ask.client.asked  # type: ignore[attr-defined]
    assert all("- Answer in verse\n- Use {braces}" in request.messages[0][1] for request in asked)
    assert len({request.seed for request in asked}) == len({draw.id for draw in draws}) == 3
    assert [draw.raw for draw in draws] == ["- Use no commas", "- Use ten words", "- Use no commas"]


def test_seeds_come_first_and_nothing_comes_twice(asker: Callable[..., RepeatedSampler]) -> None:
    ask = asker("- use  ten words.\n- Use no commas", "no list", "- Use no commas.")
    draws = asyncio.run(Augment(ask, runs=3)(["Use ten words"], "a" * 32))
    assert union(["Use ten words", "", "Use ten words"], draws) == ("Use ten words", "Use no commas")


def test_draws_repeat_with_the_study_seed_and_change_with_it(asker: Callable[..., RepeatedSampler]) -> None:
    def seeds(study_seed: int) -> list[int]:
        ask = asker("- Use no commas", study_seed=study_seed)
        asyncio.run(Augment(ask, runs=2)(["Answer in verse"], "a" * 32))
        return [request.seed for request in ask.client.asked]  # type: ignore[attr-defined]

    assert seeds(1) == seeds(1)
    assert not set(seeds(1)) & set(seeds(2))
