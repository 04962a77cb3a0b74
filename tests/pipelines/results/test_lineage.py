"""From any row back to its seed: what was asked in every round, what came back, what was made of it."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

import prompts
from actors.engine import EngineSpec, GenerateRequest, Generation
from actors.engines.registry import create
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.cli.views.row import show_chain, show_samples
from pipelines.errors import InputError
from pipelines.results.lineage import Lineage
from pipelines.rows.types import InstructionRow, Rejection, ResponseRow, ScoreRow
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

EVOLUTION = {"evolvers": ["small"], "rounds": 2}


class Evolver(ScriptedEngine):
    """Says nothing to some prompts, and puts the rest of its rewrites between quotes."""

    async def generate(self, request: GenerateRequest) -> Generation:
        said = await super().generate(request)
        if "rewriter" not in request.messages[0][1]:
            return said
        text = "" if int(request.id[0], 16) < 4 else f'"{said.text}"'
        return Generation(said.id, text, said.finish_reason, said.tokens_in, said.tokens_out)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Grid]:
    store = Store(str(tmp_path_factory.mktemp("store")))
    study = scripted_study(evolution=EVOLUTION, responses={"teachers": ["large"]})
    return store, run_offline(study, store, {"small": Evolver(EngineSpec("scripted", "small"))})


def ids(ran: tuple[Store, Grid], label: str, file: str = "rows") -> list[str]:
    store, grid = ran
    (step,) = (step for step in grid.steps.values() if step.label == label)
    return Lineage(store, grid).ids_of(step, file)


def shown(ran: tuple[Store, Grid], row: str) -> str:
    output = io.StringIO()
    show_chain(Console(file=output, width=60), Lineage(*ran).chain(row), 0)
    return output.getvalue()


def test_a_score_is_followed_through_its_answer_and_every_round_to_its_seed(ran: tuple[Store, Grid]) -> None:
    links = Lineage(*ran).chain(ids(ran, "score world small r2 / large greedy")[0])
    assert [link.step.kind for link in links] == ["seeds", "evolve", "evolve", "respond", "score"]
    assert [type(link.row) for link in links] == [InstructionRow] * 3 + [ResponseRow, ScoreRow]
    for parent, link in pairwise(links):
        assert link.row.parent_id == parent.row.id and link.row.seed_id == links[0].row.id


def test_the_chain_says_who_was_asked_what_and_what_was_made_of_the_reply(ran: tuple[Store, Grid]) -> None:
    row = ids(ran, "evolve world small r2")[0]
    link = Lineage(*ran).find(row)
    assert isinstance(link.row, InstructionRow)
    told = shown(ran, row)
    digest = prompts.get(f"evol_{link.row.method}").digest[:12]
    assert f"evol_{link.row.method}, sha256 {digest}, parser instruction version {prompts.PARSER_VERSION}" in told
    assert "evolver      small (scripted, small)" in told
    assert "temperature 0.7, top_p 0.95, at most 2048 tokens" in told
    assert told.index("seeds world, row") < told.index("evolve world small r1") < told.index("evolve world small r2")
    assert link.row.instruction in told and link.row.raw in told and link.row.outcome in told


def test_a_rejection_is_followed_like_a_row_and_says_why(ran: tuple[Store, Grid]) -> None:
    row = ids(ran, "evolve world small r1", "rejected")[0]
    link = Lineage(*ran).find(row[:10])
    assert isinstance(link.row, Rejection)
    told = shown(ran, row[:10])
    assert "rejected     empty" in told
    assert "method       " in told and "evolver      small" in told and "instruction" in told


def test_an_unknown_id_says_how_to_find_one(ran: tuple[Store, Grid]) -> None:
    with pytest.raises(InputError, match=r"no row id starts with 'zz' .*Run without --row to list ids to start from"):
        Lineage(*ran).find("zz")


def test_an_ambiguous_id_lists_what_it_could_be(ran: tuple[Store, Grid]) -> None:
    with pytest.raises(InputError, match=r"rows have an id that starts with 'a': a\w{6} \(.*Give a longer prefix"):
        Lineage(*ran).find("a")


def test_control_characters_of_a_reply_do_not_reach_the_terminal(ran: tuple[Store, Grid]) -> None:
    link = Lineage(*ran).find(ids(ran, "evolve world small r1", "rejected")[0])
    assert isinstance(link.row, Rejection)
    output = io.StringIO()
    nasty = type(link.row)(**vars(link.row) | {"raw": "\x1b[2Jgone\x00 [bold]text[/bold]"})
    show_chain(Console(file=output), [type(link)(link.step, nasty)], 0)
    assert "\\x1b[2Jgone\\x00 [bold]text[/bold]" in output.getvalue()


def test_without_an_id_every_finished_step_shows_some(ran: tuple[Store, Grid]) -> None:
    output = io.StringIO()
    show_samples(Console(file=output, width=160), Lineage(*ran))
    assert ids(ran, "seeds world")[0][:12] in output.getvalue()
    assert ids(ran, "evolve world small r1", "rejected")[0][:12] in output.getvalue()


def test_nothing_finished_is_said(tmp_path: Path, ran: tuple[Store, Grid]) -> None:
    output = io.StringIO()
    empty = Lineage(Store(str(tmp_path)), ran[1])
    show_samples(Console(file=output), empty)
    assert "run it first" in output.getvalue()
    with pytest.raises(InputError, match="steps are not finished yet"):
        empty.find("00")


def test_an_undone_evolution_shows_the_verdict_that_undid_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study = scripted_study(
        evolution=EVOLUTION | {"elimination": {"judge": "scorer"}}, responses={"teachers": ["large"]}, scoring=None
    )
    echo = create(EngineSpec("scripted", "scorer", options=(("style", "echo"),)))  # says both labels
    ran = store, run_offline(study, store, {"scorer": echo})
    row = ids(ran, "respond world small r2 / large greedy", "rejected")[0]
    links = Lineage(*ran).chain(row)
    assert [link.step.kind for link in links] == ["seeds", "evolve", "eliminate", "evolve", "eliminate", "respond"]
    told = shown(ran, row)
    assert "judge        scorer (scripted, scorer)" in told and "equality, sha256" in told
    assert "eliminated:no_verdict: the instruction from before is passed on" in told
    assert "not_evolved: eliminated:no_verdict" in told and "own answer" in told


def test_an_optimized_method_is_shown_with_the_row_and_followed_to_where_it_came_from(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    optimization = {"optimizer": "large", "steps": 1, "candidates": 1, "dev": 5, "batch": 2}
    evolution = {"method": "auto-evol-instruct", "evolvers": ["small"], "optimization": optimization}
    study = scripted_study(evolution=evolution, responses={"teachers": ["scorer"]}, scoring=None)
    ran = store, run_offline(study, store, {"small": Evolves(), "large": Improves()})
    told = shown(ran, ids(ran, "evolve world small r1")[0])
    (method,) = (row for row in ids(ran, "optimize world small") if row[:12] in told)
    assert f"method       optimized, row {method[:12]} of optimize world small" in told
    assert "Better.\n" in told and "parser       final_instruction version" in told
    chain = Lineage(*ran).chain(method)
    assert [link.row.parent_id for link in chain] == ["", chain[0].row.id]
    told = shown(ran, method)
    assert "optimizer    large, temperature 0.6" in told and "feedback     It failed." in told
    assert "100.0 % of 5: unqualified 5" in told and "0.0 % of 5\n" in told and "chosen       best of all" in told


class Evolves(ScriptedEngine):
    """Evolves instructions, and answers only those that a better method has evolved."""

    def __init__(self) -> None:
        super().__init__(EngineSpec("scripted", "small"))

    async def generate(self, request: GenerateRequest) -> Generation:
        head, _, instruction = request.messages[0][1].rpartition("Instruction:")
        mark = "Well" if "Better" in head else "More"
        text = f"#Finally Rewritten Instruction#: {instruction} {mark}." if head else "Sure, what?"
        return Generation(request.id, "Done" if "Well." in instruction else text, "stop", 1, 1)


class Improves(ScriptedEngine):
    """Finds a better method."""

    def __init__(self) -> None:
        super().__init__(EngineSpec("scripted", "large"))

    async def generate(self, request: GenerateRequest) -> Generation:
        asked = "Current method:" in request.messages[0][1]
        text = "```Optimized Method\nBetter.\nInstruction: {instruction}\n```" if asked else "It failed."
        return Generation(request.id, text, "stop", 1, 1)
