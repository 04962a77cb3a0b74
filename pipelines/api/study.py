"""A study as an object: its plan, its runs and its results."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from pipelines.api.errors import public_errors
from pipelines.api.loading import Source, check_study, load_study
from pipelines.api.stores import ResultStore, open_store
from pipelines.study.file.load import LoadedStudy
from pipelines.study.file.python_values import plain_block
from pipelines.study.file.write import to_yaml
from pipelines.study.plugins.active import activate, active_plugins
from pipelines.study.spec.study import Study as StudySpec

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from datasets import Dataset

    from cluster.launch.description import Cloud
    from pipelines.api.plans import StudyPlan
    from pipelines.api.previews import StudyPreview
    from pipelines.api.runs import RunSummary
    from pipelines.api.tables import TableFormat
    from pipelines.results.export import Format


class Study:
    """A valid study and the store of its results. `load` makes one.

    It stays as it was loaded: to run a changed study file, load it again.
    """

    def __init__(self, loaded: LoadedStudy, store: ResultStore) -> None:
        self.loaded, self.store = loaded, store
        self._plugins = active_plugins()
        self._content = _content(loaded)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.spec.study

    @property
    def spec(self) -> StudySpec:
        """The study's content, as frozen and validated types."""
        return self.loaded.study

    @property
    def folder(self) -> Path:
        """The folder of the relative paths in the study."""
        return self.loaded.folder

    def __repr__(self) -> str:
        source = f"from {str(self.loaded.path)!r}, " if self.loaded.path else ""
        return f"<Study {self.name!r} {source}with the store {self.store.url!r}>"

    def plan(
        self,
        *,
        cpus: int | None = None,
        gpus: int | None = None,
        cluster: str | Path | None = None,
        cloud: Cloud = "aws",
    ) -> StudyPlan:
        """Return which steps are done, which a run would execute, and what they are expected to cost.

        Args:
            cpus: CPUs to plan for (default: this machine's).
            gpus: GPUs to plan for (default: this machine's).
            cluster: A cluster description to plan for, with prices: a file, or "default".
            cloud: The cloud whose prices apply to the cluster.

        Raises:
            EvolgridError: The study cannot be planned.
        """
        from pipelines.api.plans import plan_study

        with self._working():
            return plan_study(self.loaded, self.store.store, cpus=cpus, gpus=gpus, cluster=cluster, cloud=cloud)

    def preview(self, count: int = 5, *, address: str | None = None, quiet: bool = False) -> StudyPreview:
        """Return a few rows of everything up to the scores, and what the whole run will need. Nothing is trained.

        The rows are real: a run does not ask for them again.

        Args:
            count: Seeds of each seed set.
            address: Ray cluster that runs the models, as host:port or "auto" (default: this machine).
            quiet: Whether to show nothing meanwhile.

        Raises:
            EvolgridError: The study cannot run or has failed.
        """
        from pipelines.api.previews import preview_study
        from pipelines.api.views.notebook import shown_progress

        with self._working():
            check_study(self.loaded, local=address is None)
            with shown_progress(quiet) as (console, observers):
                return preview_study(self.loaded, self.store.store, count, address, console, observers)

    def run(
        self, address: str | None = None, *, retry_failed: bool = False, log: str | None = None, quiet: bool = False
    ) -> RunSummary:
        """Run all steps that are not in the store yet, and show the progress. Students that fail do not stop it.

        An interrupted run (KeyboardInterrupt, an error) keeps what is finished: call it again to continue.

        Args:
            address: Ray cluster to connect to, as host:port or "auto". By default the one to which this process is
                connected is used or, if there is none, one is started for the run.
            retry_failed: Whether to ask the failed rows of finished steps again.
            log: A file to which events are appended as JSON lines, or "store".
            quiet: Whether to show nothing.

        Raises:
            EvolgridError: The study cannot run or has failed.
        """
        from pipelines.api.runs import run_study
        from pipelines.api.views.notebook import shown_progress

        with self._working():
            check_study(self.loaded, local=address is None)
            with shown_progress(quiet) as (console, observers):
                return run_study(
                    self.loaded,
                    self.store.store,
                    address,
                    console,
                    retry_failed=retry_failed,
                    log=log,
                    observers=observers,
                )

    @overload
    def results(self, form: Literal["arrow"] = "arrow") -> pa.Table: ...
    @overload
    def results(self, form: Literal["pandas"]) -> pd.DataFrame: ...
    def results(self, form: TableFormat = "arrow") -> pa.Table | pd.DataFrame:
        """Return the scores of the students that are evaluated: a row for each student, benchmark and metric.

        `value`, `low` and `high` (95 % interval) are percentages. Unfinished evaluations are missing.

        Args:
            form: "arrow", or "pandas" if that is installed.

        Raises:
            EvolgridError: The store cannot be read, or pandas is not installed.
        """
        from pipelines.api.tables import in_format, results_table

        with self._working():
            return in_format(results_table(self.loaded, self.store.store), form)

    @overload
    def sets(self, form: Literal["arrow"] = "arrow") -> pa.Table: ...
    @overload
    def sets(self, form: Literal["pandas"]) -> pd.DataFrame: ...
    def sets(self, form: TableFormat = "arrow") -> pa.Table | pd.DataFrame:
        """Return the mean scores of the finished data sets, one row for each.

        Args:
            form: "arrow", or "pandas" if that is installed.

        Raises:
            EvolgridError: The store cannot be read, or pandas is not installed.
        """
        from pipelines.api.tables import in_format, sets_table

        with self._working():
            return in_format(sets_table(self.loaded, self.store.store), form)

    @overload
    def rows(
        self, kind: str, *, columns: Sequence[str] | None = None, form: Literal["arrow"] = "arrow"
    ) -> pa.Table: ...
    @overload
    def rows(self, kind: str, *, columns: Sequence[str] | None = None, form: Literal["pandas"]) -> pd.DataFrame: ...
    def rows(
        self, kind: str, *, columns: Sequence[str] | None = None, form: TableFormat = "arrow"
    ) -> pa.Table | pd.DataFrame:
        """Return the rows of all finished steps of a kind, in memory, with the key and the label of each one's step.

        Args:
            kind: A kind of step, such as "seeds", "evolve", "respond", "score" or "evaluate", or "rejected": the rows
                that were lost, with the reason.
            columns: The columns to read (default: all).
            form: "arrow", or "pandas" if that is installed.

        Raises:
            EvolgridError: There is no such kind or column, or the store cannot be read.
        """
        from pipelines.api.tables import in_format, rows_table

        with self._working():
            return in_format(rows_table(self.loaded, self.store.store, kind, columns), form)

    def dataset_names(self) -> tuple[str, ...]:
        """Return the names of the finished data sets, and of the selections that drop rows.

        Raises:
            EvolgridError: The store cannot be read.
        """
        from pipelines.api.data_sets import data_set_names

        with self._working():
            return data_set_names(self.loaded, self.store.store)

    def dataset(self, name: str | None = None, *, form: Format = "messages") -> Dataset:
        """Return a finished data set for training. It needs `pip install 'evolgrid[datasets]'`.

        Args:
            name: One of `dataset_names`. It can be left out if there is only one.
            form: The columns: "messages", "alpaca", "sharegpt", or "parquet" (messages with their provenance).

        Raises:
            EvolgridError: There is no such data set, or `datasets` is not installed.
        """
        from pipelines.api.data_sets import load_data_set

        with self._working():
            return load_data_set(self.loaded, self.store.store, name, form)

    def report(self) -> str:
        """Write the report again from all finished steps; return the path or URL of its page.

        Raises:
            EvolgridError: The store cannot be read or written.
        """
        from pipelines.results.report.publish import publish
        from pipelines.study.graph.build import build

        with self._working():
            grid = build(self.spec, self.folder)
            return publish(self.spec, self.folder, grid, self.store.store)

    def to_yaml(self) -> str:
        """Return the text of a study file that says the same, without keys that have their default values."""
        return to_yaml(self.spec)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the study as plain values, to change and load again with `folder=study.folder`."""
        return plain_block(self.spec)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the study to a file, which has the same steps when it is loaded; return the file's path.

        Args:
            path: The file, in the folder of the study's relative paths if it has any.
            overwrite: Whether an existing file may be replaced.

        Raises:
            EvolgridError: The file exists, or relative paths would not be found from its folder.
        """
        from pipelines.api.saving import save_study

        with self._working():
            return save_study(self.loaded, Path(path), overwrite)

    @contextmanager
    def _working(self) -> Generator[None]:
        """Have the study's plug-ins active in the block, and let only errors for users leave it."""
        if _content(self.loaded) != self._content:
            message = f"{self.loaded.path} has changed since it was loaded; this is still the study from before"
            warnings.warn(message, stacklevel=4)
        with public_errors():
            activate(self._plugins)
            yield


def load(
    source: Source,
    *,
    store: str | os.PathLike[str] | ResultStore | None = None,
    folder: str | Path | None = None,
    seeds: str | Path | None = None,
) -> Study:
    """Load and check a study.

    Args:
        source: The path of a study file, or its content: a dict, or a `StudySpec`.
        store: Where results are kept: a folder, an fsspec URL or an open store (default: the environment's
            EVOLGRID_STORE, or the folder `evolgrid-store` in the current one).
        folder: The folder of the relative paths in a study that has no file (default: the current one).
        seeds: A seed file that replaces the one that the study names.

    Raises:
        InputError: The study is invalid, or a file that it names is missing. The message says where, and what to do.
    """
    with public_errors():
        loaded = load_study(
            source, Path(folder) if folder is not None else None, Path(seeds) if seeds is not None else None
        )
        check_study(loaded, local=False)
        return Study(loaded, store if isinstance(store, ResultStore) else open_store(store))


def _content(loaded: LoadedStudy) -> bytes | None:
    """Return the content of a study's file; None without a file."""
    try:
        return loaded.path and loaded.folder.joinpath(loaded.path.name).read_bytes()
    except OSError:
        return None
