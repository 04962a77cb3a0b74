"""A fake NVIDIA driver, which replaces the one that this machine may have."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.support.nvml import FakeDriver, install_driver


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeDriver]:
    """A function that installs a driver with the given devices."""
    return partial(install_driver, monkeypatch)
