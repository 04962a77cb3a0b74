"""lm-eval's tasks, with the study's files in place of the hub's data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import InputError, nearest
from pipelines.evaluate.items.data_files import multiple_choice_records, read_records
from pipelines.study.spec.benchmarks import MULTI_SUBJECT_BENCHMARKS, Benchmark

SUPPORTED_OUTPUT_TYPES = ("generate_until", "multiple_choice")
MAX_TASKS_FOR_SUGGESTION = 1000  # names that a person may look through
LIST_TASKS_HINT = "'lm-eval ls tasks' lists them."
# our name -> the folder of lm-eval's tasks that it is in, and its name there, before a subject's
TASK_NAMES: Mapping[str, tuple[str, str]] = {
    "ifeval": ("ifeval", "ifeval"),
    "gsm8k": ("gsm8k", "gsm8k"),
    "math": ("minerva_math", "minerva_math500"),
    "mmlu": ("mmlu/default", "mmlu_"),
    "ceval": ("ceval", "ceval-valid_"),
}
MATH_ON_HUB = "minerva_math"  # all 5,000 problems, seven tasks


def load_tasks(bench: Benchmark, folder: Path) -> dict[str, Any]:
    """The tasks by name. InputError for one that lm-eval has not, or that no chat model can answer."""
    manager, prefix = _manager(bench)
    local = local_data(bench, folder) if bench.file else {}
    names = _task_names(bench, prefix, local, manager)
    if unknown := set(names) - set(manager.all_tasks):
        remedy = nearest(min(unknown), manager.all_tasks) if len(manager.all_tasks) < MAX_TASKS_FOR_SUGGESTION else None
        raise InputError(
            f"benchmark {bench.name}: lm-eval has no task '{min(unknown)}'", remedy=remedy or LIST_TASKS_HINT
        )
    changes = [_custom_dataset(local, name.removeprefix(prefix)) | _revision_options(bench) for name in names]
    found = _load_changed(bench, manager, names, changes) if any(changes) else manager.load(names)
    strange = {str(task.OUTPUT_TYPE) for task in found["tasks"].values()} - {*SUPPORTED_OUTPUT_TYPES}
    if strange:
        raise InputError(f"{bench.name}: tasks that ask for {', '.join(strange)} are not for chat models")
    return dict(found["tasks"])


def _manager(bench: Benchmark) -> tuple[Any, str]:
    """What finds lm-eval's tasks, in their own folder if that is known (all are 14,000), and the name to be found."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    if bench.lm_eval:
        return TaskManager(), bench.lm_eval
    folder, name = TASK_NAMES[bench.kind]
    place = Path(lm_eval.__file__).parent / "tasks" / folder
    return TaskManager(include_defaults=False, include_path=[place]), name


def _task_names(bench: Benchmark, prefix: str, local: Mapping[str, Any], manager: Any) -> list[str]:
    """The names of the tasks: one, or one for each subject."""
    if bench.kind in MULTI_SUBJECT_BENCHMARKS:
        known = [name for name in manager.all_subtasks if name.startswith(prefix)]
        return [f"{prefix}{subject}" for subject in bench.subjects or local] or known
    return [MATH_ON_HUB] if bench.kind == "math" and not bench.file else [prefix]


def _load_changed(bench: Benchmark, manager: Any, names: Sequence[str], changes: Sequence[Mapping[str, Any]]) -> Any:
    """Tasks with other data: only as members of a group do they keep the rest of what they are."""
    if several := set(names) - set(manager.all_subtasks):
        raise InputError(f"benchmark {bench.name}: {min(several)} is a group, and has no one file or revision")
    entries = [{"task": name, **change} for name, change in zip(names, changes, strict=True)]
    return manager.load({"group": bench.name, "task": entries})


def _custom_dataset(local: Mapping[str, Callable[..., Any]], subject: str) -> dict[str, Any]:
    return {"custom_dataset": local.get(subject) or local[""]} if local else {}


def _revision_options(bench: Benchmark) -> dict[str, Any]:
    return {"dataset_kwargs": {"revision": bench.revision}} if bench.revision else {}


def local_data(bench: Benchmark, folder: Path) -> dict[str, Callable[..., Any]]:
    """What loads the splits that lm-eval's task of each subject expects; one, without a name, where there are none."""
    path = folder / (bench.file or "")
    if bench.kind in ("mmlu", "ceval"):
        split = "test" if bench.kind == "mmlu" else "val"
        asked, shots = multiple_choice_records(path, split), multiple_choice_records(path, "dev")
        missing = sorted(set(bench.subjects or ()) - asked.keys())
        if missing or not asked:
            raise InputError(f"has no subjects {missing}", file=str(path), remedy=f"There are: {', '.join(asked)}")
        return {
            name: _loader(
                {split: _hub_rows(name, asked[name], bench), "dev": _hub_rows(name, shots.get(name, []), bench)}
            )
            for name in bench.subjects or asked
        }
    splits = {_SPLITS.get(bench.kind, "test"): read_records(path)}
    if bench.shots_file:
        splits["train"] = read_records(folder / bench.shots_file)
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


def _hub_rows(subject: str, rows: list[dict[str, str]], bench: Benchmark) -> list[dict[str, Any]]:
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
