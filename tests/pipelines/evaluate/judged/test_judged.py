"""Judged benchmarks: the official code's numbers and parsing, verdicts that cannot be parsed, failures."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.engine import EngineSpec
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.evaluate.items.answers import answer_row, with_grade
from pipelines.evaluate.items.item import Grade, Item
from pipelines.evaluate.judged import alpaca_eval, arena_hard, compare, followbench, mt_bench
from pipelines.evaluate.judged.followbench_rules import has_rule, satisfies
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient, Judgement
from pipelines.evaluate.scores import headline_score, scores
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Benchmark, Judge
from tests.pipelines.evaluate.conftest import Told

CASE = JudgeCase(("Say hello.",), ("Hello.",), other=("Hi.",))


def judged(
    act: Callable[..., Any], replies: Sequence[str], case: JudgeCase = CASE, **judge: Any
) -> tuple[Judgement, Told]:
    """Return the judgement of a case to which the judge gives these replies in turn, and the model used as judge."""
    left = list(replies)
    client = Told(lambda _: left.pop(0))
    by = Judge.model_validate({"model": "judge", "reference": "other", **judge})
    return asyncio.run(act(JudgeClient(client, "row", 64), case, by)), client


def row(item: str, measures: dict[str, tuple[float, float]], level: int = 0, words: Sequence[str] = ()) -> AnswerRow:
    asked = Item(item, (("user", "?"),), level=level)
    return with_grade(answer_row(item, asked, 0, asked.messages, ["!"], "stop"), Grade(False, measures, tuple(words)))


def bench(task: str, **judge: Any) -> Benchmark:
    compared = {} if task == "followbench" else {"reference": "o"}
    content = {"name": "b", "task": task, "file": "f.json", "judge": {"model": "judge", **compared, **judge}}
    return Benchmark.model_validate(content)


OFFICIAL = 3.8283439683079212
WIN, TIE, LOSE = (f"Assistant 1 is {word} Assistant 2" for word in ("better than", "equal to", "worse than"))


@pytest.mark.parametrize(
    ("reply", "verdict", "unparsed"),
    [(WIN, "win", 0), (f"Well.\n{LOSE}", "lose", 0), (TIE, "tie", 0), ("No idea.", "tie", 1), (LOSE + WIN, "win", 0)],
)
def test_win_tie_lose_is_the_first_label_in_the_papers_order(reply: str, verdict: str, unparsed: int) -> None:
    found, client = judged(compare.judge, [reply])
    assert [name for name in ("win", "tie", "lose") if found.grade.measures[name][0]] == [verdict]
    assert found.grade.measures["unparsed"] == (unparsed, 1)
    prompt = client.asked[0].messages[0][1]
    assert prompt.index("Hello.") < prompt.index("Hi."), "one order only, the student's answer first"


@pytest.mark.parametrize(
    ("one", "two", "both"),
    [
        ("win", "win", "win"),
        ("win", "tie", "win"),
        ("win", "lose", "tie"),
        ("tie", "tie", "tie"),
        ("tie", "lose", "lose"),
    ],
)
def test_worked_example_of_both_orders(one: str, two: str, both: str) -> None:
    assert compare.combine_orders(one, two) == compare.combine_orders(two, one) == both


def test_with_swap_the_second_verdict_is_read_from_the_other_side() -> None:
    found, client = judged(compare.judge, [WIN, LOSE], swap=True)
    assert found.grade.correct and found.grade.words == ("win", "lose")
    second = client.asked[1].messages[0][1]
    assert second.index("Hi.") < second.index("Hello.")


def test_worked_example_of_arena_hard() -> None:
    first = row("a", {"score": (0.9, 5.0)}, words=("B>>A", "A>B"))
    assert arena_hard.win_probability([(1.0, 3), (0.5, 1), (1.0, 1)]) == 0.9
    assert arena_hard.win_probability([(1.0, 3), (0.5, 1), (0.0, 1)]) == 0.7
    assert arena_hard.win_probability([(0.0, 3), (0.0, 1)]) == 0.0
    assert headline_score(bench("arena_hard"), [first]) == pytest.approx(90.0)


def test_arena_hards_verdicts_are_the_answers_from_both_sides() -> None:
    found, client = judged(arena_hard.judge, ["My verdict: [[B>>A]]", "[[A=B]]"])
    assert found.grade.measures["score"] == ((3 + 0.5) / 4, 4.0)
    first, second = (request.messages[-1][1] for request in client.asked)
    assert first.index("Hi.") < first.index("Hello.") and second.index("Hello.") < second.index("Hi.")
    assert client.asked[0].messages[0][0] == "system"


@pytest.mark.parametrize("unclear", ["[[A>B]] or [[B>A]]", "[[A<B]]"])
def test_a_game_with_several_labels_is_dropped_and_not_asked_again(unclear: str) -> None:
    found, client = judged(arena_hard.judge, [unclear, "[[A>B]] ... [[A>B]]"])
    assert [len(request.messages) for request in client.asked] == [2, 2]
    assert found.grade.words == ("", "A>B")
    assert found.grade.measures == {"score": (1.0, 1.0), "unparsed": (0.5, 2.0)}


def test_a_game_without_a_label_is_asked_once_more_and_then_dropped() -> None:
    found, client = judged(arena_hard.judge, ["hm", "[[B>A]]", "hm", "Well."])
    assert [len(request.messages) for request in client.asked] == [2, 4, 2, 4]
    assert found.grade.words == ("B>A", "") and found.grade.measures["unparsed"] == (0.5, 2.0)
    nothing, _ = judged(arena_hard.judge, ["?"] * 4)
    assert "score" not in nothing.grade.measures and nothing.grade.measures["unparsed"] == (1.0, 2.0)


def test_arena_hards_interval_is_over_battles() -> None:
    rows = [row(str(n), {"score": (1.0, 2.0)}, words=("B>A", "A>B")) for n in range(20)]
    rows += [row(str(n), {"score": (0.0, 2.0)}, words=("A>B", "B>A")) for n in range(20, 40)]
    low, high = arena_hard.confidence_interval(rows)
    assert 30 < low < 45 and 55 < high < 70
    assert arena_hard.confidence_interval(rows[:20]) == (100.0, 100.0)
    found = scores(bench("arena_hard"), rows)
    assert list(found) == ["score", "low", "high"] and found["score"] == 50.0


def test_worked_example_of_alpaca_evals_win_rate() -> None:
    rows = [row(str(n), {"win rate": (preference - 1, 1.0)}) for n, preference in enumerate((1.2, 1.9, 1.5))]
    assert headline_score(bench("alpaca_eval"), [*rows, row("lost", {"unparsed": (1.0, 1.0)})]) == pytest.approx(
        53.3333, abs=1e-4
    )


def test_worked_example_of_length_control() -> None:
    assert alpaca_eval.controlled_win_rate(-1, 1, [-1, 0, 1]) == pytest.approx(29.60, abs=5e-3)


def test_probabilities_of_the_labels_are_the_preference_whatever_the_order() -> None:
    for question in (f"Question {n}" for n in range(8)):
        first = alpaca_eval.is_shown_first(question)
        mine = "m" if first else "M"
        shares = {"m": 0.2, "M": 0.2} | {mine: 0.6, "Both": 0.1}
        client = Told(lambda _: "m", alternatives=lambda _, shares=shares: logs(shares))
        by = Judge(model="judge", reference="other")
        case = JudgeCase((question,), ("Mine.",), other=("Yours.",))
        found = asyncio.run(alpaca_eval.judge(JudgeClient(client, "row", 1), case, by))
        assert found.grade.measures["win rate"][0] == pytest.approx(0.75)
        (request,) = client.asked
        assert (request.sampling.max_tokens, request.top_logprobs) == (1, 5), "as AlpacaEval asks"
    assert {alpaca_eval.is_shown_first(str(n)) for n in range(20)} == {True, False}


def weighed(alternatives: Sequence[dict[str, float]], replies: Sequence[str] = ("m",)) -> tuple[Judgement, Told]:
    """Return the judgement of CASE by a judge with these first tokens of its replies, one mapping for each request."""
    left = [*zip(replies, alternatives, strict=True)]
    client = Told(lambda _: left[0][0], alternatives=lambda _: logs(left.pop(0)[1]))
    by = Judge(model="judge", reference="other")
    return asyncio.run(alpaca_eval.judge(JudgeClient(client, "row", 64), CASE, by)), client


def logs(shares: dict[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple((token, math.log(share)) for token, share in shares.items())


def test_a_label_among_no_alternatives_is_impossible_and_without_both_there_is_no_verdict() -> None:
    mine = "m" if alpaca_eval.is_shown_first("Say hello.") else "M"
    assert weighed([{mine: 0.5, "The": 0.4}])[0].grade.measures["win rate"][0] == 1.0
    assert weighed([{"mM".replace(mine, ""): 0.5}])[0].grade.measures["win rate"][0] == 0.0
    lost, _ = weighed([{"The": 0.4, " m": 0.3}])
    assert "win rate" not in lost.grade.measures and lost.grade.measures["unparsed"][0] == 1


def test_a_judge_that_thinks_first_is_asked_again_with_its_limit() -> None:
    found, client = weighed([{}, {"m": 0.5, "M": 0.5}], ["", "m"])
    assert [request.sampling.max_tokens for request in client.asked] == [1, 64]
    assert found.grade.measures["win rate"][0] == pytest.approx(0.5) and found.raw == ("", "m")


def test_equal_answers_are_a_tie_and_the_judge_is_not_asked() -> None:
    for verdict in ("probability", "label"):
        found, client = judged(alpaca_eval.judge, [], replace(CASE, other=CASE.answers), verdict=verdict)
        assert found.grade.measures["win rate"][0] == 0.5 and not client.asked


def test_a_label_that_is_none_gives_no_preference_and_is_counted() -> None:
    found, _ = judged(alpaca_eval.judge, ["Both are fine"], verdict="label")
    assert "win rate" not in found.grade.measures and found.grade.measures["unparsed"][0] == 1
    mine = "m" if alpaca_eval.is_shown_first("Say hello.") else "M"
    assert judged(alpaca_eval.judge, [f" {mine}."], verdict="label")[0].grade.correct


def alpaca_rows(shared_data: Path) -> list[AnswerRow]:
    with gzip.open(shared_data / "alpaca_eval/alpaca-7b.annotations.json.gz", "rt") as file:
        found = json.load(file)
    return [
        row(
            str(number),
            {
                "win rate": (one["preference"] - 1, 1.0),
                "characters": (len(one["output_2"]), 1.0),
                "reference characters": (len(one["output_1"]), 1.0),
            },
        )
        for number, one in enumerate(found)
    ]


def test_the_published_win_rate_of_alpaca_7b(shared_data: Path) -> None:
    assert headline_score(bench("alpaca_eval"), alpaca_rows(shared_data)) == pytest.approx(2.591450540223603, abs=1e-9)


def test_length_control_equals_the_official_code(shared_data: Path, tmp_path: Path) -> None:
    """The published verdicts on alpaca-7b with made-up gamed baselines; the number is what `glm_winrate.py` gives."""
    rows = alpaca_rows(shared_data)
    rng = np.random.default_rng(0)
    wins = np.array([each.values[0] for each in rows])
    difficulty = np.log(np.clip(wins, 0.001, 0.999)) / 3 + rng.normal(0, 0.5, size=len(rows))
    lines = ["index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline,model"]
    for model, longer in (("verbose", -1), ("concise", 1)):
        for number, hard in enumerate(difficulty.tolist()):
            preference = float(np.clip(rng.beta(2, 2), 0, 1))
            lines.append(f"{number},{preference!r},{float(rng.normal(longer, 0.5))!r},{hard!r},False,{model}")
    (tmp_path / "df_gamed.csv").write_text("\n".join(lines))
    found = scores(bench("alpaca_eval", length_control="df_gamed.csv"), rows, tmp_path)
    assert found["length-controlled"] == pytest.approx(OFFICIAL, abs=1e-6)


def test_worked_example_of_followbench() -> None:
    levels = dict(zip((1, 2, 3, 4, 5), (60.0, 50.0, 40.0, 30.0, 20.0), strict=True))
    assert followbench.mean_of_levels(levels) == 40.0
    assert followbench.weighted_mean_of_levels(levels) == pytest.approx(33.33, abs=5e-3)


def test_levels_count_alike_and_all_of_their_numbers_are_told() -> None:
    rows = [
        row(f"content/{example}/{level}", {"HSR": (hit, 1.0), "SSR": (0.5, 1.0)}, level)
        for example, level, hit in [(1, 1, 1), (2, 1, 1), (1, 2, 0)]
    ]
    found = scores(bench("followbench"), rows)
    assert found == pytest.approx(
        {
            "HSR": 50.0,
            "HSR weighted": 100 / 3,
            "SSR": 50.0,
            "SSR weighted": 50.0,
            "CSL": 20.0,
            "HSR 1": 100.0,
            "HSR 2": 0.0,
        }
    )


def follow(category: str, hits: Mapping[tuple[int, int], int]) -> list[AnswerRow]:
    """Rows of a category by example and level."""
    return [
        replace(row(f"{category}/{example}/{level}", {"HSR": (hit, 1.0), "SSR": (hit, 1.0)}, level), task=category)
        for (example, level), hit in hits.items()
    ]


def test_categories_count_alike_whatever_their_size() -> None:
    rows = [*follow("style", {(1, 1): 1}), *follow("mixed", {(n, 1): 0 for n in range(9)})]
    assert followbench.mean_by_level(rows, "HSR") == {1: 50.0}


def test_consistent_levels_end_at_the_first_gap() -> None:
    rows = [
        *follow("style", {(1, 1): 1, (1, 2): 1, (1, 3): 0, (1, 4): 1, (1, 5): 1}),  # 2
        *follow("mixed", {(1, level): 1 for level in range(1, 6)}),  # 5
        *follow("mixed", {(2, level): int(level > 1) for level in range(1, 6)}),  # 0
    ]
    assert followbench.consistent_levels(rows) == pytest.approx((2 + (5 + 0) / 2) / 2)


def test_the_mixed_category_is_one_although_its_rows_name_others(shared_data: Path) -> None:
    asked = followbench.items(bench("followbench"), shared_data / "followbench")
    assert len({item.id for item in asked}) == len(asked) == 820
    mixed = [item for item in asked if item.kind == "mixed"]
    assert len(mixed) == 17 * 5
    assert {(item.level, len(item.data["history"])) for item in mixed} == {(n, n + 1) for n in range(1, 6)}


HISTORY = ["Base.", "More.", "Base and more."]
ROW = {"category": "content", "source": "s", "example_id": 1, "level": 2, "history": HISTORY}
FOLLOW = JudgeCase(("Base and more.",), ("Answer.",), 2, "content", data=ROW)


@pytest.mark.parametrize(
    ("reply", "hard", "soft", "unparsed"),
    [
        ("Because.\n['YES', 'YES']", 1, 1.0, 0),
        ('```\n["YES", "NO"]\n```', 0, 0.5, 0),
        ("['YES', 'PARTIAL']", 0, 0.5, 0),
        ("['YES']", 0, 0.0, 1),
        ("['YES', 'PERHAPS']", 0, 0.0, 1),
        ("all are met", 0, 0.0, 1),
        ("['YES', 'YES']\nThat is all.", 0, 0.0, 1),
    ],
)
def test_the_last_lines_list_says_which_constraints_are_met(reply: str, hard: int, soft: float, unparsed: int) -> None:
    found, client = judged(followbench.judge, [reply], FOLLOW)
    values = {name: value for name, (value, _) in found.grade.measures.items()}
    assert values == {"HSR": hard, "SSR": soft, "unparsed": unparsed}
    prompt = client.asked[0].messages[0][1]
    assert "we add one content constraint per time" in prompt
    assert "#Initial Instruction + 1 constraint#\nMore.\n\n#Initial Instruction + 2 constraints#" in prompt


def test_tasks_with_rules_ask_no_judge(shared_data: Path) -> None:
    asked = followbench.items(bench("followbench"), shared_data / "followbench")
    assert len(asked) == 820 and {item.level for item in asked} == {1, 2, 3, 4, 5}
    ruled = [item for item in asked if has_rule(item.data)]
    assert 200 < len(ruled) < 400
    exact = next(item for item in ruled if item.data["source"] == "E2E")
    case = JudgeCase(("?",), (exact.reference,), exact.level, exact.kind, data=exact.data)
    found, client = judged(followbench.judge, [], case)
    assert found.grade.correct and not client.asked


@pytest.mark.parametrize(
    ("source", "level", "answer", "met"),
    [
        ("gigaword", 5, "one two three four five six in seven", True),
        ("gigaword", 4, "one bus three four five six in seven", False),
        ("xsum", 1, "One sentence.", True),
        ("xsum", 5, "The operation is going on.", True),
        ("arxiv", 3, "They show it.", False),
        ("samsum", 4, "Procrastinating stuff", False),
    ],
)
def test_rules_of_followbench(source: str, level: int, answer: str, met: bool) -> None:
    data = {"category": "mixed", "example_id": 1, "source": source, "level": level, "target": ""}
    assert satisfies(data, answer) is met


@pytest.mark.parametrize(
    ("act", "case"),
    [
        (compare.judge, CASE),
        (arena_hard.judge, CASE),
        (mt_bench.judge, JudgeCase(("First?", "Second?"), ("One.", "Two."))),
        (followbench.judge, FOLLOW),
    ],
)
def test_the_scripted_engine_can_judge(act: Callable[..., Any], case: JudgeCase) -> None:
    engine, by = ScriptedEngine(EngineSpec("scripted", "judge")), Judge(model="judge", reference="other")
    cases = [replace(case, answers=(*case.answers[:-1], f"{n}.")) for n in range(20)]
    found = [asyncio.run(act(JudgeClient(engine, str(n), 512), one, by)) for n, one in enumerate(cases)]
    assert sum(one.grade.measures["unparsed"][0] for one in found) / len(found) < 0.3


TALK = JudgeCase(("First?", "Second?"), ("One.", "Two."), kind="writing")


def test_both_turns_are_rated_and_what_can_not_be_read_is_dropped() -> None:
    found, client = judged(mt_bench.judge, ["Good.\nRating: [[8]]", "No number"], TALK)
    assert found.grade.measures == {"score": (8.0, 1.0), "turn 1": (8.0, 1.0), "unparsed": (0.5, 2.0)}
    assert "Second?" not in client.asked[0].messages[-1][1] and "Second?" in client.asked[1].messages[-1][1]
    both, _ = judged(mt_bench.judge, ["[[7.5]]", "[[4]]"], TALK)
    rows = [row("a", dict(both.grade.measures)), row("b", dict(found.grade.measures))]
    assert scores(bench("mt_bench"), rows) == pytest.approx(
        {"score": 6.5, "turn 1": 7.75, "turn 2": 4.0, "unparsed": 25.0}
    )


def test_mathematics_is_rated_against_a_reference() -> None:
    case = JudgeCase(("First?", "Second?"), ("One.", "Two."), kind="math", other=("Gold 1", "Gold 2"))
    _, client = judged(mt_bench.judge, ["[[1]]", "[[1]]"], case)
    assert "Gold 1" in client.asked[0].messages[-1][1] and "Gold 2" in client.asked[1].messages[-1][1]
    writing = JudgeCase(TALK.questions, TALK.answers, kind="writing", other=("Gold",))
    _, client = judged(mt_bench.judge, ["[[1]]", "[[1]]"], writing)
    assert not any("Gold" in request.messages[-1][1] for request in client.asked)
