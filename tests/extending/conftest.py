"""What a test loads is undone at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.study.plugins.active import plugin_scope


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with plugin_scope():
        yield
