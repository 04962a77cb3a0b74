"""Loads lm-eval's tasks, with the study's files in place of the data sets on the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import InputError, nearest
from pipelines.evaluate.items.data_files import multiple_choice_records, read_records
from pipelines.study.inputs.benchmarks import EXAMPLES_MISSING, EXAMPLES_REMEDY, lacks_examples
from pipelines.study.spec.evaluation.benchmarks import Benchmark

SUPPORTED_OUTPUT_TYPES = ("generate_until", "multiple_choice")
MAX_TASKS_FOR_SUGGESTION = 1000  # an error does not list more names than that
LIST_TASKS_HINT = "'lm-eval ls tasks' lists them."
Row = dict[str, Any]


def _indexed_choices(subject: str, row: Mapping[str, str]) -> Row:
    """Return a question in the format of MMLU's data set on the hub."""
    choices = {"choices": [row[letter] for letter in "ABCD"], "answer": "ABCD".index(row["answer"])}
    return {"question": row["question"], "subject": subject, **choices}


def _lettered_choices(subject: str, row: Mapping[str, str]) -> Row:
    """Return a question in the format of C-Eval's data set on the hub."""
    del subject
    return {key: row[key] for key in ("question", "A", "B", "C", "D", "answer")}


@dataclass(frozen=True, slots=True)
class LmEvalTask:
    """How to find and set up a benchmark in lm-eval.

    Attributes:
        folder: The folder of lm-eval's `tasks/` that defines the benchmark's tasks, or "" if unknown.
        name: The name of the task. If the benchmark has subjects, the prefix of their tasks' names.
        hub_name: The name of the task that reads the data on the hub, if it differs from `name`.
        split: The split that the rows of a file become.
        make_row: Converts a multiple-choice question of a subject to the format of the data set on the hub.
        shots: The published number of examples, where lm-eval leaves it to the caller.
        headline: The metric that decides whether an answer is correct (default: the first metric).
    """

    folder: str
    name: str
    hub_name: str | None = None
    split: str = "test"
    make_row: Callable[[str, Mapping[str, str]], Row] = _indexed_choices
    shots: int | None = None
    headline: str | None = None


LM_EVAL_TASKS: Mapping[str, LmEvalTask] = {
    "ifeval": LmEvalTask("ifeval", "ifeval", split="train"),
    "gsm8k": LmEvalTask("gsm8k", "gsm8k"),
    # the hub has all 5,000 problems, as seven tasks
    "math": LmEvalTask("minerva_math", "minerva_math500", hub_name="minerva_math", headline="math_verify"),
    "mmlu": LmEvalTask("mmlu/default", "mmlu_", shots=5),
    "ceval": LmEvalTask("ceval", "ceval-valid_", make_row=_lettered_choices, shots=5),
}


def lm_eval_task(bench: Benchmark) -> LmEvalTask:
    """Return how to find a benchmark in lm-eval. The folder is unknown if the study uses lm-eval's task name."""
    return LmEvalTask("", bench.lm_eval) if bench.lm_eval else LM_EVAL_TASKS[bench.kind]


def load_tasks(bench: Benchmark, folder: Path) -> dict[str, Any]:
    """Return a benchmark's lm-eval tasks by name. `folder` is the study file's folder.

    Raises:
        InputError: lm-eval does not have the task, chat models cannot answer it, or a file is missing or invalid.
    """
    task = lm_eval_task(bench)
    manager, prefix = _manager(task), task.name
    local = local_data(bench, folder) if bench.file else {}
    names = _task_names(bench, task, local, manager)
    if unknown := set(names) - set(manager.all_tasks):
        remedy = nearest(min(unknown), manager.all_tasks) if len(manager.all_tasks) < MAX_TASKS_FOR_SUGGESTION else None
        raise InputError(
            f"benchmark {bench.name}: lm-eval has no task '{min(unknown)}'", remedy=remedy or LIST_TASKS_HINT
        )
    changes = [_custom_dataset(local, name.removeprefix(prefix)) | _revision_options(bench) for name in names]
    found = _load_changed(bench, manager, names, changes) if any(changes) else manager.load(names)
    strange = {str(task.OUTPUT_TYPE) for task in found["tasks"].values()} - {*SUPPORTED_OUTPUT_TYPES}
    if strange:
        message = f"benchmark {bench.name}: chat models cannot answer lm-eval tasks of the type {', '.join(strange)}"
        raise InputError(message, remedy=f"Choose a task of the type {' or '.join(SUPPORTED_OUTPUT_TYPES)}.")
    return dict(found["tasks"])


def _manager(task: LmEvalTask) -> Any:
    """Return lm-eval's task manager, limited to the benchmark's folder if it is known (in total there are 14,000)."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    if not task.folder:
        return TaskManager()
    place = Path(lm_eval.__file__).parent / "tasks" / task.folder
    return TaskManager(include_defaults=False, include_path=[place])


def _task_names(bench: Benchmark, task: LmEvalTask, local: Mapping[str, Any], manager: Any) -> list[str]:
    """Return the names of the tasks: one, or one for each subject."""
    if bench.traits.subject_split:
        known = [name for name in manager.all_subtasks if name.startswith(task.name)]
        return [f"{task.name}{subject}" for subject in bench.subjects or local] or known
    return [task.hub_name] if task.hub_name and not bench.file else [task.name]


def _load_changed(bench: Benchmark, manager: Any, names: Sequence[str], changes: Sequence[Mapping[str, Any]]) -> Any:
    """Load tasks with other data. They are loaded as a group, because only then do they keep their other settings."""
    if several := set(names) - set(manager.all_subtasks):
        message = f"benchmark {bench.name}: lm-eval's '{min(several)}' is a group of tasks with different data"
        raise InputError(message, remedy="Omit 'file' and 'revision', or choose a single task.")
    entries = [{"task": name, **change} for name, change in zip(names, changes, strict=True)]
    return manager.load({"group": bench.name, "task": entries})


def _custom_dataset(local: Mapping[str, Callable[..., Any]], subject: str) -> dict[str, Any]:
    return {"custom_dataset": local.get(subject) or local[""]} if local else {}


def _revision_options(bench: Benchmark) -> dict[str, Any]:
    return {"dataset_kwargs": {"revision": bench.revision}} if bench.revision else {}


def local_data(bench: Benchmark, folder: Path) -> dict[str, Callable[..., Any]]:
    """Return, for each subject, a function that loads the splits which lm-eval's task expects.

    A benchmark without subjects has one entry, under the name "".

    Raises:
        InputError: A file is missing or invalid, or has no questions of a subject.
    """
    path, task = folder / (bench.file or ""), lm_eval_task(bench)
    if split := bench.traits.subject_split:
        asked, shots = multiple_choice_records(path, split), multiple_choice_records(path, "dev")
        missing = sorted(set(bench.subjects or ()) - asked.keys())
        if missing or not asked:
            message = f"no questions of the subject(s) {', '.join(missing) or 'that the benchmark has'}"
            raise InputError(message, file=str(path), remedy=f"Subjects found: {', '.join(asked) or 'none'}.")
        return {
            name: _loader(
                {
                    split: [task.make_row(name, row) for row in asked[name]],
                    "dev": [task.make_row(name, row) for row in shots.get(name, [])],
                }
            )
            for name in bench.subjects or asked
        }
    if lacks_examples(bench):
        raise InputError(f"{bench.name}: {EXAMPLES_MISSING}", remedy=EXAMPLES_REMEDY)
    rows = read_records(path)
    # lm-eval requires the split of the examples even if none are used
    examples = {"train": read_records(folder / bench.shots_file) if bench.shots_file else rows}
    return {"": _loader((examples if "shots_file" in bench.traits.keys else {}) | {task.split: rows})}


def _loader(splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> Callable[..., Any]:
    def load(**_: Any) -> Any:
        from datasets import Dataset, DatasetDict

        return DatasetDict({name: Dataset.from_list([dict(row) for row in rows]) for name, rows in splits.items()})

    return load
