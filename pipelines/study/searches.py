"""Checks the search of a study: there are arms to compare, and what it needs is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pipelines.errors import nearest
from pipelines.study.inputs.problem import Problem
from pipelines.study.selections import REQUIRED_BLOCKS
from pipelines.study.sparse.unions import set_places
from pipelines.study.spec.common.basics import seed_values
from pipelines.study.spec.evaluation.performance import Formula, plain_name
from pipelines.study.spec.pairs.selection import METRICS
from pipelines.study.spec.search import Search, SearchAxis
from pipelines.study.spec.study import Study

OF_WHOLE_SETS = frozenset({"diversity", "contamination"})
"""The kinds of steps that no probe can run: they compare the rows of a set."""

_VALUES: Mapping[SearchAxis, Callable[[Study], set[object]]] = {
    "teacher": lambda study: {place.teacher for place in set_places(study)},
    "evolver": lambda study: {(place.union, place.method, place.evolver) for place in set_places(study)},
    "round": lambda study: {place.round for place in set_places(study)},
    "selection": lambda study: {selection.name for selection in study.selection},
    "decoding": lambda study: {place.decoding for place in set_places(study)},
    "recipe": lambda study: {student.recipe for student in study.students},
}


def check_search(study: Study) -> Iterator[Problem]:
    """Yield the problems of a study's search, if it has one."""
    search = study.search
    if search is None:
        return
    if not study.students or not study.benchmarks:
        missing = "students" if not study.students else "benchmarks"
        yield Problem((), f"a search compares trained students, but the study has no '{missing}'", f"Add '{missing}'.")
        return
    yield from _lonely_arms(study, search)
    yield from _unknown_benchmarks(study, search)
    yield from _unmeasured_priors(study, search)
    yield from _missing_options(study, search)
    yield from _few_seeds(study, search)


def _lonely_arms(study: Study, search: Search) -> Iterator[Problem]:
    for index, axis in enumerate(search.over):
        if len(_VALUES[axis](study)) < 2:
            others = [name for name, values in _VALUES.items() if len(values(study)) > 1]
            remedy = f"The study has several of: {', '.join(others)}." if others else "Remove 'search'."
            yield Problem(("over", index), f"there is nothing to compare: the study has one {axis}", remedy)


def _unknown_benchmarks(study: Study, search: Search) -> Iterator[Problem]:
    names = [plain_name(bench.name) for bench in study.benchmarks]
    for term in Formula(search.objective).terms() if search.objective else ():
        if names.count(term.benchmark) != 1:
            found = "several benchmarks are" if term.benchmark in names else "no benchmark is"
            remedy = nearest(term.benchmark, names) or f"Benchmarks: {', '.join(names)}."
            yield Problem(("objective",), f"{found} named '{term.benchmark}'", remedy)


def _unmeasured_priors(study: Study, search: Search) -> Iterator[Problem]:
    for index, name in enumerate(search.prior):
        for kind in METRICS[name].needs:
            block = REQUIRED_BLOCKS.get(kind)
            if kind in OF_WHOLE_SETS:
                message = f"'{name}' cannot be measured on a probe, because it compares all rows of a set"
                yield Problem(("prior", index), message, "Use a metric that looks at each row alone.")
            elif block and not getattr(study, block.key):
                message = f"'{name}' needs {block.what}, but the study has no '{block.key}'"
                yield Problem(("prior", index), message, f"Add for example '{block.example}'.")


def _missing_options(study: Study, search: Search) -> Iterator[Problem]:
    for index, name in enumerate(search.prior):
        option = METRICS[name].option
        if option and study.scoring and not any(getattr(scoring, option) for scoring in study.scoring):
            message = f"'{name}' needs the option '{option}' of scores, and no scorer has it"
            yield Problem(("prior", index), message, f"Add '{option}: true' to 'scoring'.")


def _few_seeds(study: Study, search: Search) -> Iterator[Problem]:
    for student in study.students:
        count = len(seed_values(student.seeds, study.seed))
        if search.seeds and count < search.seeds:
            message = f"the finals need {search.seeds} training seeds, but the student '{student.model}' has {count}"
            yield Problem(("seeds",), message, "Give the student more 'seeds', or remove its 'seeds'.")
