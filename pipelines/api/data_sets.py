"""Finished data sets of a study as data sets of the library `datasets`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from pipelines.errors import InputError, nearest
from pipelines.results.export import Format
from pipelines.results.export.datasets import SupervisedSet, supervised_sets
from pipelines.results.export.formats import RECORDS, same_columns
from pipelines.store.store import Store
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.build import build

if TYPE_CHECKING:
    from datasets import Dataset


def data_set_names(loaded: LoadedStudy, store: Store) -> tuple[str, ...]:
    """Return the names of the finished data sets and selections, as `evolgrid export` names their files."""
    return tuple(_sets(loaded, store))


def load_data_set(loaded: LoadedStudy, store: Store, name: str | None, form: Format) -> Dataset:
    """Return a finished data set. Without a name, it is the only one.

    Raises:
        InputError: There is no such set or format, there are several and no name, or `datasets` is not installed.
    """
    if find_spec("datasets") is None:
        raise InputError("the library datasets is not installed", remedy="Run \"pip install 'evolgrid[datasets]'\".")
    if form not in RECORDS:
        raise InputError(f"there is no format '{form}'", remedy=nearest(form, [*RECORDS]))
    from datasets import Dataset

    found = _chosen(_sets(loaded, store), name)
    return Dataset.from_list(same_columns([*found.records(store, loaded.study, form)]))


def _sets(loaded: LoadedStudy, store: Store) -> dict[str, SupervisedSet]:
    return {each.name: each for each in supervised_sets(store, build(loaded.study, loaded.folder))}


def _chosen(sets: dict[str, SupervisedSet], name: str | None) -> SupervisedSet:
    if not sets:
        raise InputError("no data set of this study is finished", remedy="Run the study first.")
    if name is None and len(sets) == 1:
        return next(iter(sets.values()))
    if name is None:
        raise InputError("the study has several data sets", remedy=f"Name one of: {', '.join(sets)}.")
    if name not in sets:
        raise InputError(f"no finished data set is named '{name}'", remedy=nearest(name, [*sets]))
    return sets[name]
