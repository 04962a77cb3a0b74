"""Grade answers with known verdicts by the whole evaluation: `python -m benchmarks.replays [--data FOLDER]`.

FOLDER has the public data sets: humaneval, mbpp, gsm8k, math and ifeval. `benchmarks.support.synthetic_answers` lists
their files, and makes the ones that are used without them. All reference solutions must be graded as correct. The
grades of models' answers must be equal to the published ones, or to those of lm-eval's own loop.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from actors.engine import Classification, ClassifyRequest, GenerateRequest, Generation, LogprobRequest, TokenLogprobs
from actors.sandbox.protocol.job import Check, Outcome
from actors.sandbox.sandbox import Sandbox
from benchmarks.support.lab import figure
from benchmarks.support.public_data import data_parser, find_data
from benchmarks.support.synthetic_answers import FILES, ORIGIN, synthetic_answers
from pipelines.errors import InputError
from pipelines.evaluate.harness.run import run_harness, seed_randomness
from pipelines.evaluate.harness.tasks import load_tasks
from pipelines.evaluate.items.answers import answer_row
from pipelines.evaluate.items.data_files import read_records
from pipelines.evaluate.items.item import Item
from pipelines.evaluate.suite import grade_answer, load_items
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Benchmark

WORKERS = 2


@dataclass(frozen=True)
class ReplayModel:
    """A model that returns known replies. `replies` maps the last turn, stripped of white space, to the reply."""

    replies: Mapping[str, str]

    async def generate(self, request: GenerateRequest) -> Generation:
        """Return the known reply."""
        return Generation(request.id, self.replies[request.messages[-1][1].strip()], "stop", 1, 1)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Raise NotImplementedError."""
        raise NotImplementedError

    async def classify(self, request: ClassifyRequest) -> Classification:
        """Raise NotImplementedError."""
        raise NotImplementedError


@dataclass(frozen=True)
class AsyncSandbox:
    """A local sandbox with the asynchronous interface that the evaluation needs. Checks run concurrently."""

    sandbox: Sandbox

    async def check(self, check: Check) -> Outcome:
        """Run a check and return its outcome."""
        return await asyncio.to_thread(self.sandbox.check, check)


def grade_answers(
    bench: Benchmark, items: Sequence[Item], answers: Mapping[str, str], sandbox: Sandbox
) -> dict[str, bool]:
    """Return, for each item's id, whether its answer passes in the sandbox."""

    async def one(item: Item) -> bool:
        row = answer_row("0", item, 0, item.messages, [answers[item.id]], "stop")
        return (await grade_answer(bench, item, row, AsyncSandbox(sandbox))).correct

    async def every() -> list[bool]:
        return list(await asyncio.gather(*(one(item) for item in items)))

    return dict(zip((item.id for item in items), asyncio.run(every()), strict=True))


def references(kind: str, path: Path, sandbox: Sandbox, limit: int | None = None) -> tuple[int, int]:
    """Return the number of reference solutions of a code benchmark that pass, and their total number."""
    bench = Benchmark.model_validate({"name": kind, "task": kind, "file": str(path), "limit": limit})
    items = load_items(bench, Path(), 0)
    passed = grade_answers(bench, items, {item.id: item.reference for item in items}, sandbox)
    return sum(passed.values()), len(passed)


def wizard(folder: Path, sandbox: Sandbox, limit: int | None = None) -> tuple[int, int, int]:
    """Grade WizardCoder-15B's answers to HumanEval. Return the numbers of equal verdicts, of answers, and of passes."""
    problems = folder / "humaneval/HumanEval.jsonl.gz"
    bench = Benchmark(name="humaneval", task="humaneval", file=str(problems), limit=limit)
    known = {row["task_id"]: row for row in read_records(folder / "humaneval/wizardcoder15b_samples.results.jsonl.gz")}
    said = {name: str(row["completion"]) for name, row in known.items()}
    passed = grade_answers(bench, load_items(bench, Path(), 0), said, sandbox)
    agree = sum(passed[name] == known[name]["passed"] for name in passed)
    return agree, len(passed), sum(passed.values())


def gold(task: str, path: Path, limit: int | None = None) -> dict[str, tuple[int, int]]:
    """Return, for each measure, the number of gold answers of GSM8K or MATH that are graded as correct, and the total.

    The measures are those of lm-eval, and "opencompass" for the rules of OpenCompass.
    """
    question, answer = ("question", "answer") if task == "gsm8k" else ("problem", "solution")
    rows = read_records(path)[:limit]
    bench = Benchmark.model_validate({"name": task, "task": task, "file": str(path), "shots": 0, "limit": limit})
    shape = "Question: {}\nAnswer:" if task == "gsm8k" else "Problem:\n{}\n\nSolution:"
    client = ReplayModel({shape.format(row[question]): row[answer] for row in rows})
    found, lost = run_harness(client, bench, Path(), "replay")
    assert not lost
    counts = {name: (int(sum(_values(found, name))), len(found)) for name in found[0].measures}
    own = Benchmark.model_validate({**bench.model_dump(exclude_unset=True), "protocol": "opencompass"})
    items = load_items(own, Path(), 0)
    right = [
        asyncio.run(grade_answer(own, item, answer_row("0", item, 0, item.messages, [row[answer]], "stop"))).correct
        for item, row in zip(items, rows, strict=True)
    ]
    return counts | {"opencompass": (sum(right), len(right))}


def _values(rows: list[AnswerRow], name: str) -> list[float]:
    return [value for row in rows if (value := row.measure(name)) is not None]


def ifeval(folder: Path, limit: int | None = None) -> tuple[int, int, dict[str, float]]:
    """Grade a model's responses to IFEval, and compare the grades with those of lm-eval's own loop.

    Return the number of equal grades, the number of responses, and the four scores.
    """
    path = folder / "ifeval/input_data.jsonl.gz"
    answers = read_records(
        folder / "ifeval/example_en_responses.jsonl.gz"
    )  # in the order of the items; one prompt has a typo
    said = {row["prompt"].strip(): each["response"] for row, each in zip(read_records(path), answers, strict=True)}
    bench = Benchmark(name="ifeval", task="ifeval", file=str(path), limit=limit)
    from pipelines.evaluate.scores import scores

    ours, lost = run_harness(ReplayModel(said), bench, Path(), "replay")
    assert not lost
    theirs = run_lm_eval(bench, said)
    agree = sum(_agrees(row, sample) for row, sample in zip(ours, theirs, strict=True))
    return agree, len(theirs), scores(bench, ours)


def run_lm_eval(bench: Benchmark, replies: Mapping[str, str]) -> list[dict[str, Any]]:
    """Run lm-eval's own loop over the same task with a model that returns the known replies, and return its samples."""
    from lm_eval.api.model import LM
    from lm_eval.evaluator import evaluate

    class Known(LM):
        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            return [replies[request.args[0].strip()] for request in requests]

        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            raise NotImplementedError

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
            raise NotImplementedError

    tasks = load_tasks(bench, Path())
    for task in tasks.values():
        _seed_checks(task)
    found: Any = evaluate(Known(), {"tasks": tasks}, limit=bench.limit, bootstrap_iters=0)
    return found["samples"]["ifeval"]


def _seed_checks(task: Any) -> None:
    """Seed lm-eval's checks as the evaluation does. Some draw unspecified parameters of an instruction at random."""
    process, numbers = task.process_results, count()

    def process_results(doc: Any, results: Any) -> Any:
        seed_randomness(next(numbers))
        return process(doc, results)

    task.process_results = process_results


def _agrees(row: AnswerRow, sample: Mapping[str, Any]) -> bool:
    for name, value, weight in zip(row.measures, row.values, row.weights, strict=True):
        theirs = sample[name]
        number = sum(theirs) / len(theirs) if isinstance(theirs, list) else float(theirs)
        if value != number or (isinstance(theirs, list) and weight != len(theirs)):
            return False
    return row.response == sample["resps"][0][0]


def _time_call(label: str, act: Callable[[], Any]) -> Any:
    started = time.monotonic()
    found = act()
    print(f"{label:<40} {found!s:<60} {time.monotonic() - started:6.1f} s", flush=True)
    return found


def main() -> None:
    """Print a table and the figures."""
    given = data_parser(__doc__, "FOLDER", ORIGIN).parse_args().data
    with tempfile.TemporaryDirectory() as name:
        folder = find_data(given, FILES, ORIGIN, synthetic_answers, Path(name))
        try:
            run(folder)
        except InputError as error:
            raise SystemExit(str(error)) from None


def run(folder: Path) -> None:
    """Grade the answers of a folder, and print a table and the figures."""
    with Sandbox(workers=WORKERS) as sandbox:
        human = _time_call(
            "HumanEval, canonical solutions",
            lambda: references("humaneval", folder / "humaneval/HumanEval.jsonl.gz", sandbox),
        )
        mbpp = _time_call(
            "MBPP test, reference solutions", lambda: references("mbpp", folder / "mbpp/mbpp.jsonl.gz", sandbox)
        )
        coder = _time_call("WizardCoder-15B: agree, answers, pass", lambda: wizard(folder, sandbox))
    gsm = _time_call("GSM8K, gold answers", lambda: gold("gsm8k", folder / "gsm8k/train.jsonl.gz"))
    mathematics = _time_call("MATH-500, gold solutions", lambda: gold("math", folder / "math/math500.jsonl.gz"))
    agree, all_of_it, _ = _time_call("IFEval: agree, answers, scores", lambda: ifeval(folder))
    figure("replays.humaneval_passed", human[0], f">={human[1]}", 0)
    figure("replays.mbpp_passed", mbpp[0], f">={mbpp[1]}", 0)
    figure("replays.wizardcoder_agree", coder[0], f">={coder[1]}", 0)
    figure("replays.gsm8k_gold_percent", 100 * min(got / of for got, of in gsm.values()), ">=100")
    figure("replays.math500_gold_percent", 100 * mathematics["math_verify"][0] / mathematics["math_verify"][1], ">=100")
    figure("replays.ifeval_agree", agree, f">={all_of_it}", 0)


if __name__ == "__main__":
    main()
