"""Every field of a study that changes a result is in the keys, also of two entries of one study; no other one is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from pipelines.study.graph.build import build
from pipelines.study.graph.steps.fingerprint import describe
from pipelines.study.graph.steps.params.measures import RewardParams
from pipelines.study.graph.steps.step import Identities
from pipelines.study.spec.study import Study
from tests.pipelines.study.graph.identity_cases import CASES
from tests.pipelines.study.graph.identity_studies import FILES, Case, Entry, scripted

CHANGES = [(name, changed) for name, case in CASES.items() for changed in case.changes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_text(f"[{name}]\n")
    return tmp_path


def keys(content: Entry, kind: str, folder: Path) -> set[str]:
    """The keys of a study's steps of a kind."""
    return {key for key, step in build(Study.model_validate(content), folder).steps.items() if step.kind == kind}


def with_change(case: Case, name: str) -> Entry:
    """The entry with one field changed; None takes a field away."""
    value = case.changes[name]
    merged = case.entry | (value if isinstance(value, dict) and name in value else {name: value})
    return {key: one for key, one in merged.items() if one is not None}


@pytest.mark.parametrize(("name", "changed"), CHANGES)
def test_no_step_is_shared_between_entries_that_differ_in_one_field(name: str, changed: str, folder: Path) -> None:
    case = CASES[name]
    first, second = case.entry, with_change(case, changed)
    for kind in case.alone.get(changed, case.kinds):
        one, other = keys(case.study(first), kind, folder), keys(case.study(second), kind, folder)
        assert one and other and not one & other, f"{kind}: {changed} is in no key"
        if case.several:
            assert keys(case.study(first, second), kind, folder) >= one | other, f"{kind}: two entries share a step"


@pytest.mark.parametrize("name", CASES)
def test_equal_entries_share_their_steps_whatever_they_are_called(name: str, folder: Path) -> None:
    case = CASES[name]
    if case.several:
        for kind in case.kinds:
            assert keys(case.study(case.entry, case.entry), kind, folder) == keys(case.study(case.entry), kind, folder)


def test_every_field_of_every_spec_is_changed_or_said_to_be_in_no_key() -> None:
    def covered(spec: type[BaseModel]) -> Iterator[str]:
        for case in CASES.values():
            if case.spec is spec:
                yield from case.changes

    for case in CASES.values():
        known = {*covered(case.spec), *case.others}
        assert known == case.spec.model_fields.keys(), case.spec.__name__


def test_layouts_and_claims_change_no_step(folder: Path) -> None:
    layout = {"name": "Table 1", "kind": "bars", "only": {"metric": "reward"}, "rows": "evolver"}
    claim = {"claim": "More rounds are better.", "left": {"round": 1}, "right": {"round": 0}}
    shown = Study.model_validate(scripted(layouts=[layout], claims=[claim]))
    plain = Study.model_validate(scripted())
    assert build(shown, folder).steps.keys() == build(plain, folder).steps.keys()


def test_parts_of_an_identity_are_compared_by_value() -> None:
    identify = Identities()
    same = identify(RewardParams, model=describe({"name": "m", "options": [1, 2.0]}))
    assert identify(RewardParams, model=describe({"options": [1, 2], "name": "m"})) is same
    assert identify(RewardParams, model=describe({"name": "m", "options": [1, 2.5]})) != same
    with pytest.raises(TypeError):
        identify(RewardParams, model={"name": "m"})  # type: ignore[arg-type]
