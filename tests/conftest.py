"""What all tests share: one local Ray, the public data sets beside the checkout, and an environment without network."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

for name, value in {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}.items():
    os.environ.setdefault(name, value)

from cluster.session import Session, connect  # noqa: E402 Ray reads its environment at import

# started in the background, a shell has us ignore Ctrl-C, and all that we start would do so, too
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs vLLM comes last, as its one engine then keeps a CPU until the end; it is skipped without vLLM."""
    items.sort(key=lambda item: item.get_closest_marker("vllm") is not None)
    if find_spec("vllm") is None:
        for item in items:
            if item.get_closest_marker("vllm"):
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed"))


@pytest.fixture(scope="session")
def ray_local() -> Iterator[Session]:
    """One local Ray with four logical CPUs for all tests; `connect` shares it. No process may be left at the end."""
    with connect(None, cpus=4) as session:
        yield session
        processes = psutil.Process().children(recursive=True)
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive, f"processes left behind: {alive}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets that lies beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no data sets in {SHARED_DATA}")
    return SHARED_DATA
