"""The parameters of a request, checked."""

from __future__ import annotations

from starlette.datastructures import QueryParams

from pipelines.errors import InputError

MAX_TEXT = 1000


class Parameters:
    """The parameters of a request's URL. Every method raises InputError for a value that is not allowed."""

    def __init__(self, query: QueryParams) -> None:
        self._query = query

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; without a default it is required."""
        value = self._query.get(name, default)
        if value is None:
            raise InputError(f"the parameter '{name}' is missing")
        if len(value) > MAX_TEXT:
            raise InputError(f"the parameter '{name}' is longer than {MAX_TEXT} characters")
        return value

    def texts(self, name: str) -> list[str]:
        """Return all values of a parameter that may be repeated."""
        return self._query.getlist(name)

    def number(self, name: str, default: int, largest: int) -> int:
        """Return a whole number from 0 to `largest`."""
        value = self._query.get(name, "")
        if not value:
            return default
        if not value.isdecimal() or int(value) > largest:
            raise InputError(f"the parameter '{name}' must be a whole number from 0 to {largest:,}")
        return int(value)
