"""A store of results, opened for reading."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

from pipelines.api.errors import public_errors
from pipelines.api.loading import DEFAULT_STORE, STORE_VARIABLE

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from pipelines.api.tables import TableFormat
    from pipelines.store.store import Store


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study in a store: its steps, how many of them are finished, whether a driver runs it, and its report's path."""

    name: str
    steps: int
    finished: int
    running: bool
    report: str | None


class ResultStore:
    """A store of results: a folder, or any fsspec URL."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def url(self) -> str:
        """Its absolute URL."""
        return self.store.url

    def __repr__(self) -> str:
        return f"ResultStore({self.url!r})"

    def studies(self) -> tuple[StoredStudy, ...]:
        """Return all studies that ever ran in the store, sorted by name.

        Raises:
            EvolgridError: The store cannot be read.
        """
        from pipelines.results.report.publish import report_path
        from pipelines.store.lease import is_dead, leases
        from pipelines.store.studies.step_index import referenced_keys

        with public_errors():
            done, running = self.store.finished_keys(), {one.study for one in leases(self.store) if not is_dead(one)}
            found = sorted(referenced_keys(self.store).items())
            reports = {name: report_path(self.store, name) for name, _ in found}
            return tuple(
                StoredStudy(
                    name,
                    steps=len(keys),
                    finished=len(keys & done),
                    running=name in running,
                    report=reports[name] if self.store.fs.exists(reports[name]) else None,
                )
                for name, keys in found
            )

    @overload
    def query(self, sql: str, form: Literal["arrow"] = "arrow") -> pa.Table: ...
    @overload
    def query(self, sql: str, form: Literal["pandas"]) -> pd.DataFrame: ...
    def query(self, sql: str, form: TableFormat = "arrow") -> pa.Table | pd.DataFrame:
        """Return the answer to a query in DuckDB's SQL, as `evolgrid query` gives it.

        Tables: `steps`, `reasons`, `members`, `results`, `sets`, `retries`, `rejected`, and one for each kind of rows.

        Args:
            sql: The statement. `DESCRIBE steps` shows the columns of a table.
            form: "arrow", or "pandas" if that is installed.

        Raises:
            EvolgridError: The query fails, or the store cannot be read.
        """
        from pipelines.api.queries import querying
        from pipelines.api.tables import in_format

        with public_errors(), querying(self.store, sql) as answer:
            return in_format(answer.to_arrow_table(), form)


def open_store(url: str | os.PathLike[str] | None = None) -> ResultStore:
    """Open a store of results.

    Args:
        url: A folder or an fsspec URL such as s3://BUCKET/FOLDER (default: the environment's EVOLGRID_STORE, or the
            folder `evolgrid-store` in the current one).

    Raises:
        EvolgridError: The URL cannot be used.
    """
    from pipelines.store.store import Store

    with public_errors():
        return ResultStore(Store(os.fspath(url) if url is not None else os.environ.get(STORE_VARIABLE, DEFAULT_STORE)))
