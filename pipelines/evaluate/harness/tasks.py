"""lm-eval's tasks, with the study's files in place of the hub's data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import InputError, nearest
from pipelines.evaluate.items.data_files import multiple_choice_records, read_records
from pipelines.study.inputs.benchmarks import EXAMPLES_MISSING, EXAMPLES_REMEDY, lacks_examples
from pipelines.study.spec.benchmarks import Benchmark

SUPPORTED_OUTPUT_TYPES = ("generate_until", "multiple_choice")
MAX_TASKS_FOR_SUGGESTION = 1000  # names that a person may look through
LIST_TASKS_HINT = "'lm-eval ls tasks' lists them."
Row = dict[str, Any]


def _indexed_choices(subject: str, row: Mapping[str, str]) -> Row:
    """A question as MMLU's data set on the hub has it."""
    choices = {"choices": [row[letter] for letter in "ABCD"], "answer": "ABCD".index(row["answer"])}
    return {"question": row["question"], "subject": subject, **choices}


def _lettered_choices(subject: str, row: Mapping[str, str]) -> Row:
    """A question as C-Eval's data set on the hub has it."""
    del subject
    return {key: row[key] for key in ("question", "A", "B", "C", "D", "answer")}


@dataclass(frozen=True, slots=True)
class LmEvalTask:
    """Where lm-eval has a benchmark: the `folder` of its tasks, and the `name` there, before a subject's if there are.

    `hub_name` is that of the data on the hub, if it is another one. `split` is that of a file's rows, `make_row` makes
    them like the hub's for a subject. `shots` are the published ones that lm-eval leaves to its caller. `headline` is
    the metric that an answer is right by; by default the first one.
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
    # on the hub all 5,000 problems, seven tasks
    "math": LmEvalTask("minerva_math", "minerva_math500", hub_name="minerva_math", headline="math_verify"),
    "mmlu": LmEvalTask("mmlu/default", "mmlu_", shots=5),
    "ceval": LmEvalTask("ceval", "ceval-valid_", make_row=_lettered_choices, shots=5),
}


def lm_eval_task(bench: Benchmark) -> LmEvalTask:
    """Return where lm-eval has a benchmark; one that is named by lm-eval's own name has no folder."""
    return LmEvalTask("", bench.lm_eval) if bench.lm_eval else LM_EVAL_TASKS[bench.kind]


def load_tasks(bench: Benchmark, folder: Path) -> dict[str, Any]:
    """The tasks by name. InputError for one that lm-eval has not, or that no chat model can answer."""
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
        raise InputError(f"{bench.name}: tasks that ask for {', '.join(strange)} are not for chat models")
    return dict(found["tasks"])


def _manager(task: LmEvalTask) -> Any:
    """What finds lm-eval's tasks, in their own folder if that is known (all are 14,000)."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    if not task.folder:
        return TaskManager()
    place = Path(lm_eval.__file__).parent / "tasks" / task.folder
    return TaskManager(include_defaults=False, include_path=[place])


def _task_names(bench: Benchmark, task: LmEvalTask, local: Mapping[str, Any], manager: Any) -> list[str]:
    """The names of the tasks: one, or one for each subject."""
    if bench.traits.subject_split:
        known = [name for name in manager.all_subtasks if name.startswith(task.name)]
        return [f"{task.name}{subject}" for subject in bench.subjects or local] or known
    return [task.hub_name] if task.hub_name and not bench.file else [task.name]


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
    path, task = folder / (bench.file or ""), lm_eval_task(bench)
    if split := bench.traits.subject_split:
        asked, shots = multiple_choice_records(path, split), multiple_choice_records(path, "dev")
        missing = sorted(set(bench.subjects or ()) - asked.keys())
        if missing or not asked:
            raise InputError(f"has no subjects {missing}", file=str(path), remedy=f"There are: {', '.join(asked)}")
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
    # where no examples are asked, lm-eval still wants their split
    examples = {"train": read_records(folder / bench.shots_file) if bench.shots_file else rows}
    return {"": _loader((examples if "shots_file" in bench.traits.keys else {}) | {task.split: rows})}


def _loader(splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> Callable[..., Any]:
    def load(**_: Any) -> Any:
        from datasets import Dataset, DatasetDict

        return DatasetDict({name: Dataset.from_list([dict(row) for row in rows]) for name, rows in splits.items()})

    return load
