"""A replaced prompt is in the keys of exactly the steps that use it, and it is what these steps ask."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from actors.engine import EngineSpec, GenerateRequest, Generation
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.cli.views.row import show_chain
from pipelines.evaluate.items.item import template
from pipelines.evaluate.judged.judge_client import JudgeClient
from pipelines.operators.registry import OperatorInputs, make_operator
from pipelines.planning.plan import prompt_notes
from pipelines.results.lineage import Lineage
from pipelines.rows.types import InstructionRow
from pipelines.store.store import Store
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.methods import IN_DEPTH
from pipelines.study.graph.steps.params.students import EvaluateParams
from tests.support.command_line import evolgrid
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

ROW = InstructionRow("a" * 32, "", "s", 0, 0, "", "Name a river.", "In Peru.", "", "", "", 0, 0)
PARTS: dict[str, Any] = {
    "evolution": [
        {"name": "evol", "evolvers": ["small"], "rounds": 2, "breadth": False, "elimination": {"judge": "large"}},
        {"name": "auto", "evolvers": ["small"], "method": "auto-evol-instruct", "rounds": 1},
    ],
    "responses": {"teachers": ["small"]},
    "judging": {"judge": "large", "metrics": ["difficulty", "difficulty_score"]},
    "recipes": {"full": {}},
    "students": [{"model": "small", "recipe": "full"}],
    "benchmarks": [
        {"name": "math", "task": "math", "file": "math.jsonl", "protocol": "opencompass"},
        {"name": "mt", "task": "mt_bench", "file": "mt.jsonl", "judge": {"model": "large"}},
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "math.jsonl").write_text('{"problem": "1 + 1?", "solution": "It is \\\\boxed{2}."}\n')
    (tmp_path / "mt.jsonl").write_text("{}\n")
    for name, text in (("i.md", "{instruction}?"), ("p.md", "Solve {problem}"), ("j.md", "{question} {answer}")):
        (tmp_path / name).write_text(text)
    (tmp_path / "e.md").write_text("{first} {second}")
    return tmp_path


def grid(folder: Path, **prompts: str) -> Grid:
    return build(scripted_study(**PARTS, prompts=prompts), folder)


def changed(folder: Path, **prompts: str) -> set[str]:
    """The kinds of steps whose own description a replaced prompt changes, whatever happens to their inputs."""
    before, after = grid(folder).steps.values(), grid(folder, **prompts).steps.values()
    pairs = zip(before, after, strict=True)
    return {
        f"{one.kind} {one.payload.get('metric', '')}".strip() for one, other in pairs if one.payload != other.payload
    }


@pytest.mark.parametrize(
    ("name", "file", "kinds"),
    [
        ("answer", "bare", {"respond", "evolve"}),  # with elimination, evolvers answer their evolutions
        ("evol_deepen", "i.md", {"evolve"}),
        ("equality", "e.md", {"eliminate"}),
        ("difficulty_score", "i.md", {"judge difficulty_score"}),
        ("bench_math", "p.md", {"evaluate"}),
        ("judge_rate", "j.md", {"verdict"}),
        ("keyword", None, set()),
    ],
)
def test_the_keys_of_the_steps_that_use_it_change(folder: Path, name: str, file: str | None, kinds: set[str]) -> None:
    (folder / "k.md").write_text("{line}")
    assert changed(folder, **{name: file or "k.md"}) == kinds


def test_a_prompt_that_no_step_uses_is_noted_with_its_line(folder: Path) -> None:
    (folder / "k.md").write_text("{line}")
    used = {"answer": "bare", "evol_deepen": "i.md", "equality": "e.md", "bench_math": "p.md", "judge_rate": "j.md"}
    content = scripted_study(**PARTS, prompts=used | {"keyword": "k.md", "category": "i.md"}).model_dump(
        exclude_defaults=True
    )
    (folder / "study.yaml").write_text(json.dumps(content, indent=1))
    lines = (folder / "study.yaml").read_text().splitlines()
    loaded = load(folder / "study.yaml")
    keyword, category = prompt_notes(loaded, build(loaded.study, folder))
    at = next(number for number, line in enumerate(lines, 1) if '"keyword": "k.md"' in line)
    assert keyword == f"study.yaml:{at}: prompts.keyword: no step of the study uses it"
    assert category.startswith(f"study.yaml:{at + 1}: prompts.category: ")


def test_a_run_warns_of_it_as_a_plan_does(tmp_path: Path) -> None:
    study = "study: s\nseeds: [{name: own, file: s.jsonl}]\nmodels: {m: {source: m, engine: scripted}}\n"
    study += "responses: {given: [{name: gold, column: output}]}\nprompts: {keyword: k.md}\n"
    files = {"study.yaml": study, "s.jsonl": '{"instruction": "Say 1.", "output": "1"}\n', "k.md": "{line}"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for command in ("plan", "run"):  # all steps read files, so that a run starts no Ray
        done = evolgrid(command, "study.yaml", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "study.yaml:5: prompts.keyword: no step of the study uses it" in done.stdout


def test_a_key_has_the_content_and_not_the_name_of_the_file(folder: Path) -> None:
    (folder / "copy.md").write_text((folder / "i.md").read_text())
    keys = grid(folder, evol_deepen="i.md").steps.keys()
    assert grid(folder, evol_deepen="copy.md").steps.keys() == keys
    (folder / "copy.md").write_text("{instruction}!")
    assert grid(folder, evol_deepen="copy.md").steps.keys() != keys


class Heard(ScriptedEngine):
    """Keeps the first request."""

    def __init__(self) -> None:
        super().__init__(EngineSpec("scripted", "small"))
        self.asked = ""

    async def generate(self, request: GenerateRequest) -> Generation:
        self.asked = self.asked or request.messages[-1][1]
        return Generation(request.id, "hard", "stop", 1, 1)


def asked(built: Grid, kind: str, metric: str = "") -> str:
    """What the operator of the first step of a kind asks about the row."""
    steps = (step for step in built.steps.values() if step.kind == kind)
    step = next(step for step in steps if step.payload.get("metric", "") == metric)
    engine = Heard()
    asyncio.run(make_operator(OperatorInputs(step, engine, 0))(ROW, "b" * 32))
    return engine.asked


def test_steps_ask_with_it(folder: Path) -> None:
    assert asked(grid(folder, answer="bare"), "respond") == "Name a river.\nIn Peru."
    assert asked(grid(folder, answer="i.md"), "respond") == "Name a river.\nIn Peru.?"
    assert asked(grid(folder, difficulty="i.md"), "judge", "difficulty") == "Name a river.?"
    methods = dict.fromkeys((f"evol_{name}" for name in IN_DEPTH), "i.md")
    assert asked(grid(folder, **methods), "evolve") == "Name a river.?"


def test_benchmarks_and_judges_ask_with_it(folder: Path) -> None:
    built = grid(folder, bench_math="p.md", judge_rate="j.md")
    benches = [step.params.benchmark for step in built.steps.values() if isinstance(step.params, EvaluateParams)]
    math, mt = benches[0], benches[1]
    assert template(math).render(problem="1 + 1?") == "Solve 1 + 1?"
    client = JudgeClient(engine := Heard(), "row", 8, mt.catalog)
    asyncio.run(client.ask_verdict("judge_rate", question="Why?", answer="So."))
    assert engine.asked == "Why? So."


def test_show_prints_the_prompt_that_was_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    store = Store(str(folder / "store"))
    study = scripted_study(evolution=[], responses={"teachers": ["small"]}, prompts={"answer": "i.md"})
    built = run_offline(study, store)
    answers = built.sets[0].responses
    (row, *_) = store.rows(answers.kind, answers.key).column("id").to_pylist()
    shown = io.StringIO()
    show_chain(Console(file=shown, width=200), Lineage(store, built).chain(row), study.seed)
    assert "the study's own:" in shown.getvalue() and "{instruction}?" in shown.getvalue()
