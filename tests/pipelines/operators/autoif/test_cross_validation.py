"""Functions and cases check each other: the worked example, its edges, and what runs in the sandbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

import pytest

from actors.sandbox.protocol.job import Outcome, Plain, SandboxError, SandboxJob
from pipelines.operators.autoif.cross_validation import CrossValidation, apply_thresholds, cross_validate
from pipelines.operators.autoif.function_runs import Runner, pass_rates, run_function
from pipelines.operators.autoif.sampling import RepeatedSampler
from pipelines.operators.autoif.test_generation import GeneratedTests, VerificationCase
from pipelines.operators.autoif.thresholds import THRESHOLDS
from pipelines.operators.autoif.verify import Verify
from pipelines.rows.operator import Rejected

WORKED = ("11110", "11100", "01000")
NO_E = "def evaluate(response):\n    return 'e' not in response"


def truth(*rows: str) -> CrossValidation:
    cases = tuple(VerificationCase(f"c{number + 1}", True) for number in range(len(rows[0])))
    sources = tuple(f"f{number + 1}" for number in range(len(rows)))
    return CrossValidation(sources, cases, tuple(tuple(mark == "1" for mark in row) for row in rows))


def kept(rows: Sequence[str], rules: str) -> tuple[dict[str, float], list[str]]:
    found = apply_thresholds(truth(*rows), THRESHOLDS[rules])
    accuracies = {function.source: round(function.accuracy, 3) for function in found.functions}
    return accuracies, [case.response for case in found.cases]


def material(source: str, *cases: VerificationCase) -> GeneratedTests:
    return GeneratedTests(source, cases)


def test_case_accuracy_of_the_worked_example() -> None:
    assert [round(truth(*WORKED).case_accuracy(case), 3) for case in range(5)] == [0.667, 1, 0.667, 0.333, 0]


def test_function_accuracy_of_the_worked_example() -> None:
    by_paper = [round(truth(*WORKED).function_accuracy(function, [0, 1, 2]), 3) for function in range(3)]
    by_code = [round(truth(*WORKED).function_accuracy(function, [0, 1, 2, 3]), 3) for function in range(3)]
    assert (by_paper, by_code) == ([1.0, 1.0, 0.333], [1.0, 0.75, 0.25])


def test_the_papers_rule_keeps_two_functions_and_three_cases_of_the_worked_example() -> None:
    assert kept(WORKED, "paper") == ({"f1": 1.0, "f2": 1.0}, ["c1", "c2", "c3"])


def test_the_rule_of_the_code_keeps_one_function_and_four_cases_of_the_worked_example() -> None:
    assert kept(WORKED, "port") == ({"f1": 1.0}, ["c1", "c2", "c3", "c4"])
    assert kept([row * 2 for row in WORKED], "code")[0] == {"f1": 1.0}


def test_the_code_drops_the_worked_example_for_its_five_cases_before_any_test() -> None:
    with pytest.raises(Rejected, match="too_few_cases"):
        apply_thresholds(truth(*WORKED), THRESHOLDS["code"])
    with pytest.raises(Rejected, match="too_few_functions"):
        apply_thresholds(truth(*WORKED[:2]), THRESHOLDS["code"])


def test_exactly_four_of_five_passes_in_the_code() -> None:
    assert kept(["11110", "11111"], "port")[0] == {"f1": 0.8, "f2": 1.0}


def test_exactly_half_fails_in_the_paper_for_cases_and_for_functions() -> None:
    assert kept(["11", "10"], "paper") == ({"f1": 1.0, "f2": 1.0}, ["c1"])
    assert kept(["11", "11", "10"], "paper")[0] == {"f1": 1.0, "f2": 1.0}


def test_functions_without_a_surviving_case_have_accuracy_zero() -> None:
    assert truth("00").function_accuracy(0, []) == 0.0
    with pytest.raises(Rejected, match="no_function_survives"):
        apply_thresholds(truth("00", "00"), THRESHOLDS["paper"])


def test_verdicts_are_compared_as_python_does(runner: Runner) -> None:
    labels: list[Plain] = [True, 1, "true", "True", False]
    for said, expected in [("True", [0, 1]), ("1", [0, 1]), ("'true'", [2]), ("None", [])]:
        source = f"def evaluate(response):\n    return {said}"
        found = asyncio.run(run_function(runner, "a", source, ["x"] * len(labels), labels))
        assert [place for place, agreed in enumerate(found) if agreed] == expected


def test_a_function_that_raises_says_too_much_or_ends_its_process_agrees_with_nothing(runner: Runner) -> None:
    for body in ("return response.x", "import os; os._exit(0)", "raise SystemExit(0)", "return 'x' * 10 ** 7"):
        source = f"def evaluate(response):\n    {body}"
        assert asyncio.run(run_function(runner, "a", source, ["a", "b"], [True, False])) == (False, False)


def test_functions_that_raise_have_no_part_in_the_pass_rate(runner: Runner) -> None:
    sources = [
        f"def evaluate(response):\n    {body}" for body in ("return True", "return 0", "return response.x", "return 1")
    ]
    assert asyncio.run(pass_rates(runner, "a", sources, ["x"])) == [pytest.approx(2 / 3)]
    assert asyncio.run(pass_rates(runner, "a", sources[2:3], ["x"])) == [0.0]


def test_functions_that_do_not_load_are_left_out_with_their_cases(runner: Runner) -> None:
    materials = [
        material(NO_E, VerificationCase("sky", True), VerificationCase("tree", False)),
        material(NO_E, VerificationCase("sky", True), VerificationCase("sea", "False")),
        material("def evaluate(response)\n    return True", VerificationCase("syntax", True)),
        material("def check(response):\n    return True", VerificationCase("name", True)),
        material("import no_such_module\n" + NO_E, VerificationCase("import", True)),
    ]
    found = asyncio.run(cross_validate(runner, "a", materials))
    assert found.sources == (NO_E,)
    assert [(case.response, case.label) for case in found.cases] == [("sky", True), ("tree", False), ("sea", "False")]
    assert found.agreement == ((True, True, False),)


class Broken:
    """A sandbox that fails by itself after the first of each function's cases."""

    async def run(self, job: SandboxJob) -> Outcome:
        return Outcome(job.id, "returned")

    async def run_cases(self, job: SandboxJob, cases: Sequence[tuple[Plain, ...]]) -> list[Outcome]:
        lost = [Outcome(job.id, "infrastructure", detail="the machine has gone")] * (len(cases) - 1)
        return [Outcome(job.id, "returned", True), *lost]


def test_a_failure_of_the_sandbox_itself_is_no_wrong_answer_but_an_error() -> None:
    materials = [material(NO_E, VerificationCase("sky", True), VerificationCase("tree", False))]
    with pytest.raises(SandboxError, match="could not run a verification function: the machine has gone"):
        asyncio.run(cross_validate(Broken(), "a", materials))


def reply(source: str, **cases: bool) -> str:
    listed = [{"input": text, "output": label} for text, label in cases.items()]
    return "```json\n" + json.dumps({"func": source, "cases": listed}) + "\n```"


def test_an_instruction_is_verified_by_what_survives_of_eight_replies(
    runner: Runner, asker: Callable[..., RepeatedSampler]
) -> None:
    other = NO_E.replace("'e' not in response", "response.count('e') == 0")
    lax = NO_E.replace("'e' not in response", "True")
    texts = [reply(NO_E, sky=True, tree=False), "no", reply(other, me=False), reply(lax, bee=True)]
    ask = asker(*texts)
    found = asyncio.run(Verify(ask, runner)("Use no 'e'.", "a" * 32))
    assert [function.source for function in found.accepted.functions] == [NO_E, other]
    assert [case.response for case in found.accepted.cases] == ["sky", "tree", "me"]
    assert [draw.outcome for draw in found.samples[:3]] == ["accepted", "rejected:not_json", "accepted"]
    assert len(found.samples) == 8
    assert "Use no 'e'." in ask.client.asked[0].messages[0][1]  # type: ignore[attr-defined]


def test_an_instruction_whose_replies_can_not_be_read_is_rejected_with_what_was_said(
    runner: Runner, asker: Callable[..., RepeatedSampler]
) -> None:
    with pytest.raises(Rejected) as caught:
        asyncio.run(Verify(asker("I can not."), runner, generations=2)("Use no 'e'.", "a" * 32))
    said = {"outcome": "rejected:not_json", "reply": "I can not."}
    assert (caught.value.reason, json.loads(caught.value.raw)) == ("too_few_functions", [said, said])
