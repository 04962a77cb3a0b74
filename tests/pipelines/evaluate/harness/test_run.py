"""lm-eval's tasks on local files with a model of ours: its prompts, its verdicts, and no wrong answer for a failure."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest

from benchmarks.replays import gold, ifeval
from pipelines.errors import InputError
from pipelines.evaluate.harness import run as harness
from pipelines.evaluate.harness.model import truncate_at_stop
from pipelines.evaluate.scores import headline_score, scores
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from tests.pipelines.evaluate.conftest import Told

HERE = Path()


def gsm(folder: Path, count: int = 3, **more: object) -> Benchmark:
    rows = [{"question": f"What is {n} + 1?", "answer": f"Count on.\n#### {n + 1}"} for n in range(count)]
    (folder / "gsm.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return Benchmark.model_validate({"name": "gsm8k", "task": "gsm8k", "file": "gsm.jsonl", "shots": 0, **more})


def test_gold_answers_of_gsm8k_are_right(shared_data: Path) -> None:
    found = gold("gsm8k", shared_data / "gsm8k/train.jsonl.gz", 300)
    assert set(found.values()) == {(300, 300)} and len(found) == 3


def test_gold_solutions_of_math_are_right_by_math_verify(shared_data: Path) -> None:
    found = gold("math", shared_data / "math/math500.jsonl.gz", 25)
    assert found["math_verify"] == found["opencompass"] == (25, 25)


@pytest.mark.usefixtures("nltk_data")
def test_verdicts_of_ifeval_are_those_of_lm_evals_own_loop(shared_data: Path) -> None:
    agree, answers, four = ifeval(shared_data, 120)
    assert agree == answers == 120
    assert list(four) == ["Pr(S)", "In(S)", "Pr(L)", "In(L)"]
    assert four["Pr(S)"] <= four["Pr(L)"] and four["In(S)"] <= four["In(L)"]
    assert (four["Pr(S)"] * 120 / 100) == pytest.approx(round(four["Pr(S)"] * 120 / 100))


@pytest.mark.usefixtures("nltk_data")
def test_an_empty_answer_follows_no_instruction(shared_data: Path) -> None:
    bench = Benchmark(name="ifeval", task="ifeval", file=str(shared_data / "ifeval/input_data.jsonl.gz"), limit=10)
    rows, _ = harness.run_harness(Told(lambda _: ""), bench, HERE, "key")
    assert set(scores(bench, rows).values()) == {0.0}


def test_a_request_that_fails_is_a_failed_row_and_no_wrong_answer(tmp_path: Path) -> None:
    client = Told(lambda messages: None if "1 + 1" in messages[-1][1] else "#### 1")
    bench = gsm(tmp_path)
    rows, lost = harness.run_harness(client, bench, tmp_path, "key")
    assert [(row.item, row.correct) for row in rows] == [("gsm8k/0", True), ("gsm8k/2", False)]
    assert [(one.status, one.reason, one.index) for one in lost] == [("failed", "too_long", 1)]
    assert headline_score(bench, rows) == 50.0


def test_rows_keep_prompt_answer_reference_and_all_verdicts(tmp_path: Path) -> None:
    rows, _ = harness.run_harness(Told(lambda _: "I think 1. Question: and then?"), gsm(tmp_path, 1), tmp_path, "key")
    assert json.loads(rows[0].messages) == [["user", "Question: What is 0 + 1?\nAnswer:"]]
    assert rows[0].response == "I think 1. ", "up to the task's stop text"
    assert rows[0].reference == "Count on.\n#### 1"
    verdicts = dict(zip(rows[0].measures, rows[0].values, strict=True))
    assert verdicts == {"exact_match,strict-match": 0.0, "exact_match,flexible-extract": 1.0}


def test_examples_are_turns_before_the_question(tmp_path: Path) -> None:
    bench = gsm(tmp_path, shots=2, shots_file="gsm.jsonl")
    client = Told(lambda _: "#### 1")
    harness.run_harness(client, bench, tmp_path, "key")
    assert [role for role, _ in client.asked[0].messages] == ["user", "assistant", "user", "assistant", "user"]


def test_a_bound_of_the_study_replaces_the_tasks(tmp_path: Path) -> None:
    client = Told(lambda _: "")
    harness.run_harness(client, gsm(tmp_path, 1), tmp_path, "key")
    harness.run_harness(client, gsm(tmp_path, 1, max_tokens=7), tmp_path, "key")
    assert [request.sampling.max_tokens for request in client.asked] == [256, 7]


def mmlu(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "mmlu.zip", "w") as archive:
        for subject, count in (("anatomy", 3), ("astronomy", 1)):
            for split in ("dev", "test"):
                text = io.StringIO()
                csv.writer(text).writerows([f"{subject} {n}?", "p", "q", "r", "s", "B"] for n in range(count))
                archive.writestr(f"data/{split}/{subject}_{split}.csv", text.getvalue())
    return folder / "mmlu.zip"


def test_choices_are_weighed_and_subjects_count_alike(tmp_path: Path) -> None:
    mmlu(tmp_path)
    bench = Benchmark(name="mmlu", task="mmlu", file="mmlu.zip", shots=1, subjects=["anatomy", "astronomy"])
    knows = Told(lambda _: "", lambda context, text: 0.0 if (text == "B") == ("astronomy" in context) else -9.0)
    rows, lost = harness.run_harness(knows, bench, tmp_path, "key")
    assert not lost and [row.task for row in rows] == ["anatomy"] * 3 + ["astronomy"]
    assert [row.correct for row in rows] == [False, False, False, True]
    assert headline_score(bench, rows) == 50.0, "not 25: the mean of the subjects"


def test_unknown_subjects_and_missing_examples_are_told(tmp_path: Path) -> None:
    mmlu(tmp_path)
    bench = Benchmark(name="mmlu", task="mmlu", file="mmlu.zip", subjects=["law"])
    with pytest.raises(InputError, match=r"no questions of the subject\(s\) law.*Subjects found: anatomy, astronomy"):
        harness.run_harness(Told(lambda _: ""), bench, tmp_path, "key")
    with pytest.raises(InputError, match="shots_file"):
        harness.run_harness(Told(lambda _: ""), gsm(tmp_path, shots=5), tmp_path, "key")


def test_a_text_ends_before_the_first_stop() -> None:
    assert truncate_at_stop("one two three", ["three", "two"]) == "one "
    assert truncate_at_stop("one", ["", "x"]) == "one"
