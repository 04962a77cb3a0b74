"""Small stores with everything that the page shows, made without Ray."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from actors.serving.spec import PoolStats, ReplicaStats
from pipelines.execution.live_recorder import LiveRecorder
from pipelines.execution.runtime.progress import ProgressUpdate
from pipelines.results.report.data.search import search_node
from pipelines.results.report.publish import publish
from pipelines.rows.types import AnswerRow
from pipelines.store.manifest import Account, Manifest
from pipelines.store.shards import write_shard
from pipelines.store.store import Store
from pipelines.store.studies.finished_log import FinishedLog
from pipelines.store.studies.graph_record import load_graph, save_graph
from pipelines.store.studies.step_index import save_step_index
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.step import Step
from pipelines.study.search_grid import SearchGrid
from pipelines.study.spec.study import Study
from pipelines.ui.app import make_app
from pipelines.ui.reading.reader import StoreReader
from tests.support.offline import run_offline
from tests.support.studies import STUDENTS, scripted_study

PORT, TOKEN = 8765, "secret"
HERE = Path()


@dataclass
class PageClient:
    """A client of the page of a store, with the token."""

    client: TestClient
    reader: StoreReader
    study: str = "scripted"

    def get(self, resource: str, **parameters: Any) -> Any:
        """Return a resource of the study."""
        answer = self.client.get(f"/api/studies/{self.study}/{resource}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def error(self, resource: str, **parameters: Any) -> tuple[int, str]:
        """Return the status and the message of a resource that is refused."""
        answer = self.client.get(f"/api/studies/{self.study}/{resource}", params=parameters)
        return answer.status_code, answer.json()["error"]


def answer(item: int, correct: bool) -> AnswerRow:
    return AnswerRow(
        id=f"{item:032x}",
        parent_id="",
        seed_id="",
        index=item,
        task="copy",
        level=0,
        instruction=f"Copy {item}",
        reference=str(item),
        response=str(item if correct else -1),
        correct=correct,
        item=str(item),
        measures=["accuracy"],
        values=[float(correct)],
        weights=[1.0],
    )


def commit(store: Store, step: Step, shards: Any = (), rows: int = 1, **extra: Any) -> Manifest:
    manifest = Manifest(
        key=step.key,
        kind=step.kind,
        label=step.label,
        payload=step.payload,
        inputs=tuple(source.key for source in step.inputs),
        account=Account(rows_in=rows, rows_out=rows),
        shards=tuple(shards),
        seconds=1.5,
        finished="2026-01-01T00:00:00+00:00",
        versions={},
        extra=extra,
    )
    store.commit(manifest)
    return manifest


def train(store: Store, grid: Grid) -> None:
    """Finish all selections, trainings and evaluations but the last one with made-up results."""
    for step in grid.steps.values():
        if step.kind == "select":
            commit(store, step, write_shard(store, step.kind, step.key, 0, [], []))
        if step.kind == "train":
            losses = [(number, 5.0 / number) for number in range(1, 31)]
            commit(store, step, losses=losses, speed={"tokens_per_second": 100.0}, placement={"together": 1})
    for place, step in enumerate([step for step in grid.steps.values() if step.kind == "evaluate"][:-1]):
        rows = [answer(item, item < 3 + place) for item in range(10)]
        commit(store, step, write_shard(store, step.kind, step.key, 0, rows, []), rows=10)


def finish(study: Study, store: Store) -> Grid:
    grid = run_offline(study, store)
    save_step_index(store, study.study, grid.steps)
    return grid


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    store, study = Store(str(folder)), scripted_study(budget={"tokens": 1000}, **STUDENTS)
    grid = finish(study, store)
    train(store, grid)
    publish(study, HERE, grid, store)
    return folder


@pytest.fixture
def store(trained_folder: Path, tmp_path: Path) -> Store:
    """A store of its own with a study whose last evaluation is not finished."""
    return Store(str(shutil.copytree(trained_folder, tmp_path / "store")))


@pytest.fixture
def grid() -> Grid:
    return build(scripted_study(budget={"tokens": 1000}, **STUDENTS), HERE)


def client_of(store: Store) -> TestClient:
    app = make_app(StoreReader(store), TOKEN, PORT)
    return TestClient(app, base_url=f"http://127.0.0.1:{PORT}", cookies={f"evolgrid-{PORT}": TOKEN})


@pytest.fixture
def page(store: Store) -> PageClient:
    reader = StoreReader(store)
    app = make_app(reader, TOKEN, PORT)
    return PageClient(TestClient(app, base_url=f"http://127.0.0.1:{PORT}", cookies={f"evolgrid-{PORT}": TOKEN}), reader)


Record = Callable[[], LiveRecorder]


@pytest.fixture
def recorder(store: Store) -> LiveRecorder:
    """What a driver writes during a run: a step in progress, a training, an engine, a message."""
    return LiveRecorder(store, "scripted")


def progress(recorder: LiveRecorder, step: Step) -> None:
    recorder.observe(ProgressUpdate(step.key, done=3, total=10, per_second=0.5, note="note", loss=1.25))
    recorder.message("[yellow]small[/yellow]: a replica crashed, restarting")
    recorder.observe_pools(
        {"small": PoolStats((1,), 1, 7, 2, ReplicaStats(requests=4, tokens_out=90, crashes=1), frozenset(), (), ())}
    )
    recorder.write()


def unlog(store: Store, step: Step) -> None:
    """Note a step as no longer finished, as its driver does."""
    log = FinishedLog(store, "scripted", {})
    log.invalidated(step.key)
    log.close()


def add_search(store: Store, searched: SearchGrid) -> None:
    """Note in the study's graph that it has this search, as its driver does."""
    graph = load_graph(store, "scripted")
    assert graph
    save_graph(store, graph.model_copy(update={"search": search_node(searched.study, searched.grid)}))
