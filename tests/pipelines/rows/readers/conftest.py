"""Reading corrupt files under both policies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import InputError, InputErrors
from pipelines.rows.readers import BadRow, read_seeds

Refused = Callable[[str, bytes], list[str]]
SetAside = Callable[[str, bytes], list[BadRow]]


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Write a file, read it strictly, and hand out what is complained about, without the file's path."""

    def read(name: str, data: bytes) -> list[str]:
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InputError) as caught:
            read_seeds(path, on_bad_row="refuse")
        found = caught.value.problems if isinstance(caught.value, InputErrors) else [caught.value]
        return [str(problem).removeprefix(str(path)) for problem in found]

    return read


@pytest.fixture
def set_aside(tmp_path: Path) -> SetAside:
    """Write a file, read it with bad rows set aside, and hand these out."""

    def read(name: str, data: bytes) -> list[BadRow]:
        path = tmp_path / name
        path.write_bytes(data)
        return read_seeds(path, on_bad_row="quarantine").bad

    return read
