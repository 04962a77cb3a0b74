"""Benchmarks as EleutherAI's lm-eval has them: its tasks make the prompts, read the replies and compute the metrics.

Only the loop around them is ours, as lm-eval's own would count what an engine could not answer as wrong.
"""

from __future__ import annotations

import importlib
import logging
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

from actors.engine import Client
from pipelines.errors import InputError
from pipelines.evaluate.asking import answer_row, failed, graded
from pipelines.evaluate.data import choices, records
from pipelines.evaluate.items import Grade, Item
from pipelines.rows import AnswerRow, Rejection, row_id
from pipelines.study.benchmark_check import EXTRA, SENTENCES, has_sentences
from pipelines.study.benchmarks import Benchmark

OUTPUTS = ("generate_until", "multiple_choice")
SHOT_SEED = 1234
SHOTS = {"mmlu": 5, "ceval": 5}  # as published; lm-eval leaves them to its caller
# our name -> the folder of lm-eval's tasks that it is in, and its name there
NAMES: Mapping[str, tuple[str, str]] = {
    "ifeval": ("ifeval", "ifeval"),
    "gsm8k": ("gsm8k", "gsm8k"),
    "math": ("minerva_math", "minerva_math500"),
    "mmlu": ("mmlu/default", "mmlu_{}"),
    "ceval": ("ceval", "ceval-valid_{}"),
}
MATH_ON_HUB = "minerva_math"  # all 5,000 problems, seven tasks
HEADLINES = {"math": "math_verify"}

Answers = tuple[list[AnswerRow], list[Rejection]]


def run(client: Client, bench: Benchmark, folder: Path, key: str) -> Answers:
    """Ask a model everything that lm-eval's tasks ask. `folder` is the study file's.

    To be called in the main thread: MATH's answers are compared under a time limit that is a signal. InputError where
    a package, the data or the task is not to be had.
    """
    _installed(bench)
    from pipelines.evaluate.pool_model import PoolModel

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    tasks, model = load_tasks(bench, folder), PoolModel(client, key, bench.max_tokens)
    choosing = any(task.OUTPUT_TYPE == "multiple_choice" for task in tasks.values())
    for task in tasks.values():
        shots = SHOTS.get(bench.kind) if bench.shots is None else bench.shots
        if shots is not None:
            task.set_config(key="num_fewshot", value=shots)
        task.set_fewshot_seed(seed=SHOT_SEED)
        task.build_all_requests(
            limit=bench.limit,
            apply_chat_template=True,
            fewshot_as_multiturn=not choosing,  # what is scored after a conversation has one turn of the user
            chat_template=model.apply_chat_template,
        )
    _answer(model, [request for task in tasks.values() for request in task.instances])
    rows, lost = list[AnswerRow](), list[Rejection]()
    for name, task in tasks.items():
        for row in _rows(name, task, model, bench, key, len(rows) + len(lost)):
            (rows if isinstance(row, AnswerRow) else lost).append(row)  # pyright: ignore[reportArgumentType]
    return rows, lost


def _installed(bench: Benchmark) -> None:
    try:
        importlib.import_module("lm_eval")
    except ImportError as error:
        raise InputError(f"benchmark {bench.name} needs lm-eval: {error}", remedy=f"Install it: {EXTRA}") from None
    if bench.kind == "ifeval" and not has_sentences():
        raise InputError(f"benchmark {bench.name} needs NLTK's data 'punkt_tab'", remedy=SENTENCES)


def load_tasks(bench: Benchmark, folder: Path) -> dict[str, Any]:
    """lm-eval's tasks by name, with the study's data instead of the hub's where it names a file."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    own, name = NAMES.get(bench.kind, ("", bench.lm_eval or ""))
    place = Path(lm_eval.__file__).parent / "tasks" / own
    manager = TaskManager(include_defaults=not own, include_path=[place] if own else None)
    wanted = [name.format(subject) for subject in bench.subjects or [""]] if bench.subjects else [name]
    local = local_data(bench, folder) if bench.file else {}
    if own and "{}" in name and not bench.subjects:
        wanted = [name.format(subject) for subject in local] or [name.removesuffix("_{}")]
    if bench.kind == "math" and not bench.file:
        wanted = [MATH_ON_HUB]
    overrides = [{"task": one, **_data(local, name, one), **_revision(bench)} for one in wanted]
    try:
        found = manager.load({"group": bench.name, "task": overrides})["tasks"]
    except KeyError as error:
        raise InputError(f"lm-eval has no task {error}", field=bench.name) from None
    strange = {str(task.OUTPUT_TYPE) for task in found.values()} - {*OUTPUTS}
    if strange:
        raise InputError(f"{bench.name}: tasks that ask for {', '.join(strange)} are not for chat models")
    return dict(found)


def _data(local: Mapping[str, Callable[..., Any]], pattern: str, task: str) -> dict[str, Any]:
    if not local:
        return {}
    before, _, _ = pattern.partition("{}")
    return {"custom_dataset": local.get(task.removeprefix(before)) or local[""]}


def _revision(bench: Benchmark) -> dict[str, Any]:
    return {"dataset_kwargs": {"revision": bench.revision}} if bench.revision else {}


def local_data(bench: Benchmark, folder: Path) -> dict[str, Callable[..., Any]]:
    """What loads the splits that lm-eval's task of each subject expects; one, without a name, where there are none."""
    path = folder / (bench.file or "")
    if bench.kind in ("mmlu", "ceval"):
        split = "test" if bench.kind == "mmlu" else "val"
        asked, shots = choices(path, split), choices(path, "dev")
        missing = sorted(set(bench.subjects or ()) - asked.keys())
        if missing or not asked:
            raise InputError(f"has no subjects {missing}", file=str(path), remedy=f"There are: {', '.join(asked)}")
        return {
            name: _loader(
                {split: _of_mmlu(name, asked[name], bench), "dev": _of_mmlu(name, shots.get(name, []), bench)}
            )
            for name in bench.subjects or asked
        }
    splits = {_SPLITS.get(bench.kind, "test"): records(path)}
    if bench.shots_file:
        splits["train"] = records(folder / bench.shots_file)
    elif bench.kind == "gsm8k" and bench.shots != 0:
        message = f"{bench.name}: lm-eval takes GSM8K's examples from its training split"
        raise InputError(message, remedy="Name it as 'shots_file', or ask without examples: 'shots: 0'.")
    if bench.kind == "gsm8k" and "train" not in splits:
        splits["train"] = splits["test"]
    return {"": _loader(splits)}


_SPLITS = {"ifeval": "train"}


def _loader(splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> Callable[..., Any]:
    def load(**_: Any) -> Any:
        from datasets import Dataset, DatasetDict

        return DatasetDict({name: Dataset.from_list([dict(row) for row in rows]) for name, rows in splits.items()})

    return load


def _of_mmlu(subject: str, rows: list[dict[str, str]], bench: Benchmark) -> list[dict[str, Any]]:
    """Rows as the hub's data sets have them."""
    if bench.kind == "ceval":
        return [{key: row[key] for key in ("question", "A", "B", "C", "D", "answer")} for row in rows]
    return [
        {
            "question": row["question"],
            "subject": subject,
            "choices": [row[letter] for letter in "ABCD"],
            "answer": "ABCD".index(row["answer"]),
        }
        for row in rows
    ]


def _answer(model: Any, requests: list[Any]) -> None:
    """Have all requests answered, each kind in one batch."""
    kinds: dict[str, list[Any]] = defaultdict(list)
    for request in requests:
        kinds[request.request_type] += [request] * request.repeats
    for kind, asked in kinds.items():
        for request, reply in zip(asked, getattr(model, kind)(asked), strict=True):
            request.resps.append(reply)


def _rows(name: str, task: Any, model: Any, bench: Benchmark, key: str, start: int) -> Iterator[AnswerRow | Rejection]:
    """One row for each document, with all of its metrics."""
    from pipelines.evaluate.pool_model import turns

    task.apply_filters()
    requests: dict[int, list[Any]] = defaultdict(list)
    for request in task.instances:
        requests[request.doc_id].append(request)
    for index, (number, doc) in enumerate(task.doc_iterator(limit=bench.limit), start):
        asked = sorted(requests[number], key=lambda request: request.idx)
        made = row_id(f"{name}/{number}", key)
        if why := model.failed.get((name, number)):
            yield failed(made, index, why)
            continue
        item = Item(f"{name}/{number}", turns(asked[0].args[0]), str(task.doc_to_target(doc)), _subject(bench, name))
        said = [str(reply) for reply in chain(*(request.resps for request in asked))]
        seed_checks(number)
        row = answer_row(made, item, index, item.messages, said, model.ended.get((name, number), "stop"))
        yield graded(row, grade(task, doc, asked, HEADLINES.get(bench.kind)))


def seed_checks(number: int) -> None:
    """Before the checks of a document: IFEval's draw what an instruction leaves open, and guess languages by chance."""
    random.seed(number)
    if detect := sys.modules.get("langdetect"):
        detect.DetectorFactory.seed = number


def _subject(bench: Benchmark, task: str) -> str:
    """What groups rows: the subject, or the task's name."""
    before, mark, _ = NAMES.get(bench.kind, ("", ""))[1].partition("{}")
    return task.removeprefix(before) if mark else task


def grade(task: Any, doc: Any, requests: list[Any], headline: str | None = None) -> Grade:
    """All metrics of a document by all of the task's filters; a list (of IFEval's instructions) weighs its length."""
    measures: dict[str, tuple[float, float]] = {}
    for filtered in requests[0].filtered_resps:
        replies = [request.filtered_resps[filtered] for request in requests]
        for metric, value in task.process_results(doc, replies).items():
            name = metric if filtered == "none" else f"{metric},{filtered}"
            measures[name] = _number(name, value)
    first = headline or next(iter(measures))
    return Grade(measures[first][0] == 1.0, measures)


def _number(name: str, value: Any) -> tuple[float, float]:
    if isinstance(value, list):
        return fmean(map(float, value)), float(len(value))
    try:
        return float(value), 1.0
    except (TypeError, ValueError):
        raise InputError(f"lm-eval's metric {name} is no number of a single answer") from None
