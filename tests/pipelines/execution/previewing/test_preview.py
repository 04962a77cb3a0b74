"""A preview's rows are those of the run, which asks for none of them again."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from actors.engine import EngineSpec, GenerateRequest, Generation, LogprobRequest, Request, RequestError, TokenLogprobs
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.errors import InputError
from pipelines.execution.previewing import engines
from pipelines.execution.previewing.model import Preview
from pipelines.execution.previewing.preview import preview
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.rows.types import InstructionRow, Rejection, ResponseRow, ScoreRow
from pipelines.store.store import Store
from pipelines.store.studies.spending_log import load_spending
from pipelines.study.file.load import LoadedStudy
from pipelines.study.spec.study import Study
from tests.support.offline import run_offline
from tests.support.studies import STUDENTS, scripted_study


class Asked(ScriptedEngine):
    """A scripted engine that notes the digests of its requests, and refuses those with a text."""

    def __init__(self, name: str, notes: list[str], refuses: str = "") -> None:
        super().__init__(EngineSpec("scripted", name))
        self.notes, self.refuses = notes, refuses

    def note(self, request: Request) -> None:
        self.notes.append(request.digest())

    async def generate(self, request: GenerateRequest) -> Generation:
        self.note(request)
        if self.refuses and self.refuses in str(request.messages):
            raise RequestError("http_400", "not this one")
        return await super().generate(request)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        self.note(request)
        return await super().logprobs(request)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests of the engines that previews load."""
    notes = list[str]()
    monkeypatch.setattr(engines, "create", lambda spec: Asked(spec.model, notes))
    return notes


def previewed(study: Study, store: Store, count: int = 3) -> Preview:
    with ProgressDisplay(Console(file=io.StringIO())) as progress:
        return preview(LoadedStudy(study, None, Path(), {}), store, count, progress)


def run(study: Study, store: Store) -> list[str]:
    """Run the study without Ray; return its requests."""
    notes = list[str]()
    run_offline(study, store, {name: Asked(name, notes) for name in study.models})
    return notes


def rows_of(store: Store, kinds: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The stored rows and rejections of all steps of some kinds, by id."""
    found: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        for key in store.keys(kind):
            for prefix in ("rows", "rejected"):
                found |= {row["id"]: row for row in store.rows(kind, key, prefix).to_pylist()}
    return found


def test_the_run_asks_for_no_row_of_a_preview_again_and_has_the_same_rows(tmp_path: Path, asked: list[str]) -> None:
    study = scripted_study(**STUDENTS)
    previewing, never = Store(str(tmp_path / "previewed")), Store(str(tmp_path / "never"))
    found = previewed(study, previewing)
    rest, whole = run(study, previewing), run(study, never)
    assert 0 < len(asked) == found.asked < len(whole)
    assert sorted([*asked, *rest]) == sorted(whole)
    kinds = ("seeds", "evolve", "respond", "score")
    assert rows_of(previewing, kinds) == rows_of(never, kinds)
    stored = rows_of(never, kinds)
    assert {node.row.id for node in found.nodes()} <= stored.keys()
    for node in found.nodes():
        for name in ("instruction", "response", "ifd", "reason"):
            assert getattr(node.row, name, None) == stored[node.row.id].get(name)


def test_a_preview_has_every_round_answer_and_score_of_its_seeds(tmp_path: Path, asked: list[str]) -> None:
    found = previewed(scripted_study(), Store(str(tmp_path)))
    assert [node.row.index for node in found.seeds] == [0, 6, 13]
    for seed in found.seeds:
        answers = [node for node in seed.children if isinstance(node.row, ResponseRow)]
        evolved = [node for node in seed.children if node.step.kind == "evolve"]
        assert (len(answers), len(evolved)) == (2, 2)
        assert all(isinstance(below.row, ScoreRow | Rejection) for node in answers for below in node.children)
    assert {row.round for row in found.instructions()} == {1, 2}
    assert found.not_shown == ()


def test_a_second_preview_asks_nothing_and_a_larger_one_only_for_its_new_seeds(
    tmp_path: Path, asked: list[str]
) -> None:
    study, store = scripted_study(), Store(str(tmp_path))
    first = previewed(study, store)
    once = [*asked]
    again = previewed(study, store)
    assert asked == once and (again.asked, again.reused) == (0, first.asked)
    previewed(study, store, 20)
    assert len(asked) == len({*asked}) > len(once)


def test_finished_steps_are_read_from_the_store(tmp_path: Path, asked: list[str]) -> None:
    study, store = scripted_study(), Store(str(tmp_path))
    run(study, store)
    longer = scripted_study(evolution={"evolvers": ["small", "large"], "rounds": 3})
    found = previewed(longer, store)
    rounds = {row.round for row in found.instructions()}
    assert rounds == {1, 2, 3}
    assert found.reused == 0 and 0 < found.asked < 3 * 2 * 5 * 3


def test_the_whole_run_is_estimated_from_the_rows_and_has_a_price(tmp_path: Path, asked: list[str]) -> None:
    models = {name: {"source": name, "engine": "scripted"} for name in ("small", "large", "scorer")}
    models["small"]["price"] = {"input": 1.0, "output": 2.0}  # pyright: ignore[reportArgumentType]
    study = scripted_study(models=models)
    found = previewed(study, Store(str(tmp_path / "few")), 20)
    whole = {each.model: each for each in found.whole}
    assert found.total_seeds == 20
    assert sum(each.requests for each in found.whole) == found.asked == len(asked)
    small = whole["small"]
    assert small.dollars == pytest.approx((small.tokens_in + 2 * small.tokens_out) / 1e6)
    assert whole["large"].dollars is None
    nodes = [node for node in found.nodes() if node.step.params.model == "small"]
    assert sum(node.tokens_out for node in nodes) == small.tokens_out
    spent = load_spending(Store(str(tmp_path / "few")), "scripted").models["small"]
    assert (spent.tokens_in, spent.tokens_out) == (small.tokens_in, small.tokens_out)
    third = previewed(study, Store(str(tmp_path / "third")), 10)
    assert sum(each.requests for each in third.whole) == pytest.approx(found.asked, rel=0.3)


def test_what_was_lost_is_in_the_preview_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = list[str]()
    monkeypatch.setattr(engines, "create", lambda spec: Asked(spec.model, notes, refuses="e"))
    found = previewed(scripted_study(), Store(str(tmp_path)))
    lost = [node.rejection for node in found.rejections()]
    assert {(row.status, row.reason) for row in lost if row} == {("failed", "http_400")}


def test_steps_that_need_a_whole_set_are_named(tmp_path: Path, asked: list[str]) -> None:
    evolution = {"method": "auto-evol-instruct", "evolvers": ["small"], "optimization": {"optimizer": "large"}}
    found = previewed(scripted_study(evolution=evolution), Store(str(tmp_path)))
    assert [label.split()[0] for label in found.not_shown] == ["optimize"]
    assert found.answers() and not [row for row in found.instructions() if isinstance(row, InstructionRow)]


def test_a_study_without_seeds_has_no_preview(tmp_path: Path) -> None:
    study = scripted_study(seeds=[], evolution=[], responses={}, scoring=[], **STUDENTS)
    with pytest.raises(InputError, match="has no seeds"):
        previewed(study, Store(str(tmp_path)))


def test_models_with_gpus_or_processes_of_their_own_do_not_run_in_this_process() -> None:
    study = scripted_study(
        models={
            "gpu": {"source": "x", "engine": "scripted", "gpus": 1},
            "small": {"source": "x", "engine": "scripted"},
        },
        evolution={"evolvers": ["gpu"]},
        responses={"teachers": ["small"]},
        scoring=[],
    )
    assert engines.fits_here(study, Path(), ["small"])
    assert not engines.fits_here(study, Path(), ["small", "gpu"])
