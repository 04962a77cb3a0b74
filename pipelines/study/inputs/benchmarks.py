"""Checks the benchmarks of a study before a run: files, packages and reference models."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from pipelines.errors import nearest
from pipelines.study.inputs.problem import Problem
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.study import Study

EXAMPLES_MISSING = "the examples of this task are missing: lm-eval takes them from the training split"
EXAMPLES_REMEDY = "Name the training split as 'shots_file', or use no examples: 'shots: 0'."
PUNKT_REMEDY = "Run 'python -m nltk.downloader punkt_tab', or set NLTK_DATA to a folder that contains it."
EVAL_INSTALL_COMMAND = "pip install 'evolgrid[eval]'"


def check_benchmark(study: Study, bench: Benchmark, folder: Path) -> Iterator[Problem]:
    """Yield all problems of a benchmark that would make a run fail. `folder` is the study file's folder."""
    yield from _package_problems(bench)
    yield from _file_problems(study, bench, folder)
    selections = [selection.name for selection in study.selection]
    if bench.rival_selection is not None and bench.rival_selection not in selections:
        message = f"no selection is named '{bench.rival_selection}'"
        yield Problem(("judge", "reference", "selection"), message, nearest(bench.rival_selection, selections))
    if bench.file is None and not bench.world and not _from_hub(bench):
        message = f"{bench.kind} has no data set on the hub that evolgrid can read"
        yield Problem(("task",), message, "Name the file of its items as 'file'.")
    if lacks_examples(bench):
        yield Problem(("task",), EXAMPLES_MISSING, EXAMPLES_REMEDY)


def lacks_examples(bench: Benchmark) -> bool:
    """Return whether lm-eval needs examples from a split for which the benchmark names no file."""
    local = bench.file is not None and bench.harness and "shots_file" in bench.traits.keys
    return local and bench.shots_file is None and bench.shots != 0


def _from_hub(bench: Benchmark) -> bool:
    """Return whether the items can be downloaded, so that no file is needed."""
    return bench.harness or bench.traits.hub is not None


def _package_problems(bench: Benchmark) -> Iterator[Problem]:
    hub = bench.file is None and bench.traits.hub is not None
    if (bench.harness or hub) and (find_spec("lm_eval") is None or find_spec("datasets") is None):
        key = "lm_eval" if bench.lm_eval else "task"
        yield Problem(
            (key,), f"{bench.kind} needs lm-eval, which is not installed", f"Install it: {EVAL_INSTALL_COMMAND}"
        )
    elif bench.traits.splits_sentences and not has_sentences():
        yield Problem(("task",), f"{bench.kind} needs NLTK's data 'punkt_tab'", PUNKT_REMEDY)


def has_sentences() -> bool:
    """Return whether NLTK's data that lm-eval needs to split sentences is installed."""
    import nltk

    try:
        return bool(nltk.data.find("tokenizers/punkt_tab"))
    except LookupError:
        return False


def _file_problems(study: Study, bench: Benchmark, folder: Path) -> Iterator[Problem]:
    judge = bench.judge
    named: dict[tuple[str, ...], str | None] = {("file",): bench.file, ("shots_file",): bench.shots_file}
    if judge:
        named[("judge", "length_control")] = judge.length_control
        if isinstance(judge.reference, str) and judge.reference not in study.models:
            named[("judge", "reference")] = judge.reference
    for loc, name in named.items():
        if name is not None and not (folder / name).exists():
            models = nearest(name, list(study.models)) if loc[-1] == "reference" else None
            what = "neither a model of this study nor a file" if loc[-1] == "reference" else "no such file"
            yield Problem(loc, f"{folder / name}: {what}", models or "Paths are relative to the study file.")
        elif (
            loc == ("file",)
            and name is not None
            and bench.traits.subject_split
            and not _is_folder_or_zip(folder / name)
        ):
            yield Problem(
                loc,
                f"{folder / name}: neither a folder nor a zip file",
                f"It must contain files SUBJECT_{bench.traits.subject_split}.csv and SUBJECT_dev.csv.",
            )


def _is_folder_or_zip(path: Path) -> bool:
    return path.is_dir() or path.suffix == ".zip"


def reference_notes(study: Study) -> Iterator[str]:
    """Yield a line for each benchmark that can be judged without reference answers and is better judged with them."""
    for bench in study.benchmarks:
        judging = bench.traits.judging
        if judging and judging.reference == "optional" and bench.judge and bench.judge.reference is None:
            yield f"benchmarks.{bench.name}: without 'reference', all answers are judged without a reference answer"
