"""What all tests share: one local Ray, the public data sets beside the checkout, and an environment without network."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
import pytest
from xdist.remote import Producer

from actors.matrix_products import strict_mode

for name, value in {
    **strict_mode(),
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}.items():
    os.environ.setdefault(name, value)

from cluster.connection.session import Session, connect  # noqa: E402 Ray reads its environment at import
from tests.support.gpus import hide_gpus, why_no_vllm  # noqa: E402
from tests.support.needs import forbid_torch, needs_of_file, needs_of_fixture, needs_of_function  # noqa: E402
from tests.support.parallel import PartScheduling, sort_by_time  # noqa: E402

# started in the background, a shell has us ignore Ctrl-C, and all that we start would do so, too
signal.signal(signal.SIGINT, signal.default_int_handler)

SEEDS = int(os.environ.get("EVOLGRID_FAULT_SEEDS", "1"))  # with which each case of the table of faults is run
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--check", action="store_true", help="only tests that need neither Ray nor torch")


def pytest_configure(config: pytest.Config) -> None:
    """GPUs are hidden before torch is loaded; a test of `make check` that loads it nevertheless fails."""
    hide_gpus(config.option.markexpr)
    if config.option.check:
        forbid_torch()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--check`, files whose tests all need Ray or torch are not imported."""
    is_test = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    return True if config.option.check and is_test and needs_of_file(collection_path) else None


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests are marked `ray` and `torch` by what their file, they themselves and their fixtures import."""
    assert isinstance(item, pytest.Function)
    needs = needs_of_file(item.path) | needs_of_function(item.path, item.originalname)
    needs |= {"ray", "torch"} if item.get_closest_marker("vllm") else set()
    for need in needs.union(*(needs_of_fixture(item.path, name) for name in item.fixturenames)):
        item.add_marker(need)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--check`, only quick tests are kept; what needs vLLM is skipped without vLLM for CPUs."""
    if config.option.check:
        slow = [item for item in items if item.get_closest_marker("ray") or item.get_closest_marker("torch")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    sort_by_time(items)
    if why := why_no_vllm():
        for item in items:
            if item.get_closest_marker("vllm"):
                item.add_marker(pytest.mark.skip(reason=why))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> PartScheduling:
    """With `-n 2`, parts are given out in the order of the tests."""
    config.option.loadscopereorder = False
    return PartScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With `-n 2`, a process that takes long to end is not interrupted by its manager: it has nothing left to do."""
    if hasattr(session.config, "workerinput"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A case of the table of faults runs with several seeds; one that knows none is repeated as often."""
    case = metafunc.definition.get_closest_marker("case")
    if case and SEEDS > 1 and "seed" not in metafunc.fixturenames:
        metafunc.fixturenames.append("seed")
    if case and "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(SEEDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Reports know of which case they are."""
    report = yield
    mark = item.get_closest_marker("case")
    report.case = mark.args[0] if mark else 0
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Cases of the fault table with their results and seconds."""
    seconds, results = defaultdict[int, float](float), defaultdict[int, dict[str, int]](lambda: defaultdict(int))
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if case := getattr(report, "case", 0):
                seconds[case] += report.duration
                results[case][outcome] += 1
    if results:
        terminalreporter.write_line("case  seconds  faults")
    for case in sorted(results):
        told = ", ".join(f"{count} {outcome}" for outcome, count in results[case].items())
        terminalreporter.write_line(f"{case:>4}{seconds[case]:>9.1f}  {told}")


@pytest.fixture(scope="session", autouse=True)
def nothing_left_running() -> Iterator[None]:
    """No process may be left at the end."""
    yield
    end_of(psutil.Process().children(recursive=True))


@pytest.fixture(scope="session")
def ray_local() -> Iterator[Session]:
    """One local Ray with four logical CPUs for all tests; `connect` shares it. No process of it may be left."""
    with connect(None, cpus=4) as session:
        yield session
        processes = psutil.Process().children(recursive=True)
    end_of(processes)


def end_of(processes: list[psutil.Process]) -> None:
    """Wait until processes exit; AssertionError if one does not."""
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive, f"processes left behind: {alive}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets that lies beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no data sets in {SHARED_DATA}")
    return SHARED_DATA
