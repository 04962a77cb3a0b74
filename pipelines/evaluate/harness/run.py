"""Runs benchmarks of EleutherAI's lm-eval: its tasks build the prompts, parse the replies and compute the metrics.

lm-eval's own loop is not used, because it would grade requests that the engine could not answer as wrong answers.
"""

from __future__ import annotations

import importlib
import logging
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

from actors.engine import Client
from pipelines.errors import InputError
from pipelines.evaluate.harness.tasks import lm_eval_task, load_tasks
from pipelines.evaluate.items.answers import answer_row, failed_row, with_grade
from pipelines.evaluate.items.item import Grade, Item
from pipelines.rows.ids import row_id
from pipelines.rows.text import with_system
from pipelines.rows.types import AnswerRow, Rejection
from pipelines.study.inputs.benchmarks import EVAL_INSTALL_COMMAND, PUNKT_REMEDY, has_sentences
from pipelines.study.spec.evaluation.benchmarks import Benchmark

SHOT_SEED = 1234
Answers = tuple[list[AnswerRow], list[Rejection]]


def run_harness(client: Client, bench: Benchmark, folder: Path, step_key: str) -> Answers:
    """Have a model answer all documents of a benchmark's lm-eval tasks, and return the graded rows and the failed ones.

    Call it in the main thread, because the time limit for comparing MATH answers uses a signal. `folder` is the study
    file's folder.

    Raises:
        InputError: A package, the data or the task is not available.
    """
    _require_installed(bench)
    from pipelines.evaluate.harness.model import PoolModel

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    tasks, model = load_tasks(bench, folder), PoolModel(client, step_key, bench.max_tokens, bench.system_text)
    choosing = any(task.OUTPUT_TYPE == "multiple_choice" for task in tasks.values())
    for task in tasks.values():
        shots = lm_eval_task(bench).shots if bench.shots is None else bench.shots
        if shots is not None:
            task.set_config(key="num_fewshot", value=shots)
        task.set_fewshot_seed(seed=SHOT_SEED)
        task.build_all_requests(
            limit=bench.limit,
            apply_chat_template=True,
            fewshot_as_multiturn=not choosing,  # where choices are scored, the prompt is one turn of the user
            chat_template=model.apply_chat_template,
        )
    _answer_requests(model, [request for task in tasks.values() for request in task.instances])
    rows, lost = list[AnswerRow](), list[Rejection]()
    for name, task in tasks.items():
        for row in _answer_rows(name, task, model, bench, step_key, len(rows) + len(lost)):
            (rows if isinstance(row, AnswerRow) else lost).append(row)  # pyright: ignore[reportArgumentType]
    return rows, lost


def _require_installed(bench: Benchmark) -> None:
    try:
        importlib.import_module("lm_eval")
    except ImportError as error:
        raise InputError(
            f"benchmark {bench.name} needs lm-eval: {error}", remedy=f"Install it: {EVAL_INSTALL_COMMAND}"
        ) from None
    if bench.traits.splits_sentences and not has_sentences():
        raise InputError(f"benchmark {bench.name} needs NLTK's data 'punkt_tab'", remedy=PUNKT_REMEDY)


def _answer_requests(model: Any, requests: list[Any]) -> None:
    """Answer all requests, each kind in one batch, and append the replies to the requests' `resps`."""
    kinds: dict[str, list[Any]] = defaultdict(list)
    for request in requests:
        kinds[request.request_type] += [request] * request.repeats
    for kind, asked in kinds.items():
        for request, reply in zip(asked, getattr(model, kind)(asked), strict=True):
            request.resps.append(reply)


def _answer_rows(
    name: str, task: Any, model: Any, bench: Benchmark, step_key: str, start: int
) -> Iterator[AnswerRow | Rejection]:
    """Yield one row for each document, with all its metrics. `start` is the index of the first row."""
    from pipelines.evaluate.harness.model import parse_turns

    task.apply_filters()
    requests: dict[int, list[Any]] = defaultdict(list)
    for request in task.instances:
        requests[request.doc_id].append(request)
    for index, (number, doc) in enumerate(task.doc_iterator(limit=bench.limit), start):
        asked = sorted(requests[number], key=lambda request: request.idx)
        answer_id = row_id(f"{name}/{number}", step_key)
        if why := model.errors.get((name, number)):
            yield failed_row(answer_id, index, why)
            continue
        item = Item(
            f"{name}/{number}",
            with_system(parse_turns(asked[0].args[0]), bench.system_text),
            str(task.doc_to_target(doc)),
            _subject(bench, name),
        )
        said = [str(reply) for reply in chain(*(request.resps for request in asked))]
        seed_randomness(number)
        row = answer_row(answer_id, item, index, item.messages, said, model.finish_reasons.get((name, number), "stop"))
        yield with_grade(row, grade(task, doc, asked, lm_eval_task(bench).headline))


def seed_randomness(number: int) -> None:
    """Seed the random generators before grading a document.

    IFEval's checks draw unspecified parameters of an instruction at random, and its language detection is randomised.
    """
    random.seed(number)
    if detect := sys.modules.get("langdetect"):
        detect.DetectorFactory.seed = number


def _subject(bench: Benchmark, task: str) -> str:
    """Return the group of a task's rows: the subject, or the task's name if the benchmark has no subjects."""
    return task.removeprefix(lm_eval_task(bench).name) if bench.traits.subject_split else task


def grade(task: Any, doc: Any, requests: list[Any], headline: str | None = None) -> Grade:
    """Return all metrics of a document under all filters of the task.

    A metric that is a list (one value for each of IFEval's instructions) becomes its mean, weighted by its length. The
    answer is correct if `headline` (default: the first metric) is 1.
    """
    measures: dict[str, tuple[float, float]] = {}
    for filtered in requests[0].filtered_resps:
        replies = [request.filtered_resps[filtered] for request in requests]
        for metric, value in task.process_results(doc, replies).items():
            name = metric if filtered == "none" else f"{metric},{filtered}"
            measures[name] = _metric_value(name, value)
    first = headline or next(iter(measures))
    return Grade(measures[first][0] == 1.0, measures)


def _metric_value(name: str, value: Any) -> tuple[float, float]:
    if isinstance(value, list):
        return fmean(map(float, value)), float(len(value))
    try:
        return float(value), 1.0
    except (TypeError, ValueError):
        message = f"lm-eval's metric {name} is not a number per answer, so it cannot be stored"
        raise InputError(message, remedy="Choose another task.") from None
