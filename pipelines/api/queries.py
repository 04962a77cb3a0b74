"""SQL over a store."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import duckdb

from pipelines.errors import InputError
from pipelines.results.sql import open_sql_tables, table_names
from pipelines.store.errors import CorruptStore
from pipelines.store.store import Store


@contextmanager
def querying(store: Store, sql: str) -> Generator[duckdb.DuckDBPyRelation]:
    """Yield the answer to a query, whose rows are fetched within the block.

    Raises:
        InputError: The query fails, in the block too.
        CorruptStore: A file of the store is damaged.
    """
    try:
        connection = open_sql_tables(store)
    except duckdb.Error as error:
        raise CorruptStore(f"cannot read the store: {error}: run 'evolgrid verify' to find damaged files") from None
    with connection:
        try:
            answer = connection.sql(sql)
            if answer is None:  # pyright: ignore[reportUnnecessaryComparison]
                message = f"the query '{sql}' returns no table"
                raise InputError(message, remedy="Try 'SELECT * FROM steps' or 'DESCRIBE steps'.")
            yield answer
        except duckdb.Error as error:
            remedy = f"Tables: {', '.join(table_names(connection))}. 'DESCRIBE steps' shows the columns of a table."
            raise InputError(f"the query failed: {' '.join(str(error).split())}", remedy=remedy) from None
