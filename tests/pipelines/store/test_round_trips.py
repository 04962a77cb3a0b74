"""Rows survive the store whatever they hold, and keys change with every field and with nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rows.arrow import from_table, to_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import Rejection, Row
from pipelines.store.partitions import partition_of
from pipelines.store.store import Store
from pipelines.study.graph.steps.fingerprint import canonical, fingerprint
from pipelines.study.spec.common.basics import SamplingSpec
from pipelines.study.spec.training.recipes import Recipe

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
INT = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: INT,
    float: FLOAT,
    bool: st.booleans(),
    bytes: st.binary(max_size=20),
}
BY_TYPE = PLAIN | {list[kind]: st.lists(values, max_size=4) for kind, values in PLAIN.items()}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def rows_of(row_type: type[Row]) -> st.SearchStrategy[list[Row]]:
    hints = get_type_hints(row_type)
    one = st.builds(row_type, **{field.name: BY_TYPE[hints[field.name]] for field in fields(row_type)})
    return st.lists(one, max_size=5)


@pytest.mark.parametrize("row_type", sorted({*ROW_TYPES.values(), Rejection}, key=lambda kind: kind.__name__))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_rows_come_out_of_a_shard_as_they_went_in(row_type: type[Row], data: st.DataObject) -> None:
    rows = data.draw(rows_of(row_type))
    store = Store("memory://round-trips")
    first = store.write_table(store.root, "rows.parquet", to_table(row_type, rows))
    assert from_table(row_type, store.read_table(f"{store.root}/rows.parquet")) == rows
    again = store.write_table(store.root, "rows.parquet", to_table(row_type, rows))
    assert (again, first.rows) == (first, len(rows))


@given(index=st.integers(0, 2**40))
def test_every_row_belongs_to_one_unit_in_the_order_of_rows(index: int) -> None:
    assert partition_of(index) <= partition_of(index + 1) <= partition_of(index) + 1


def turned(value: Any) -> Any:
    """The same description with its fields the other way round."""
    if isinstance(value, dict):
        return {key: turned(item) for key, item in reversed(value.items())}
    return [turned(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=50, deadline=None)
@given(description=st.dictionaries(TEXT, JSON, max_size=4))
def test_the_order_of_fields_does_not_change_a_key(description: dict[str, Any]) -> None:
    assert fingerprint(description) == fingerprint(turned(description))


@settings(max_examples=50, deadline=None)
@given(description=st.dictionaries(TEXT, JSON, max_size=3), name=TEXT, one=JSON, other=JSON)
def test_any_changed_added_or_missing_field_changes_a_key(
    description: dict[str, Any], name: str, one: Any, other: Any
) -> None:
    without = {key: value for key, value in description.items() if key != name}
    keys = {fingerprint(without), fingerprint({**without, name: one})}
    assert len(keys) == 2
    # repr, because Python holds True and 1 for equal
    same = repr(canonical(turned_to_one_order(one))) == repr(canonical(turned_to_one_order(other)))
    assert (fingerprint({name: one}) == fingerprint({name: other})) == same


def turned_to_one_order(value: Any) -> Any:
    """The same description with its fields in the order of their names."""
    if isinstance(value, dict):
        return {key: turned_to_one_order(value[key]) for key in sorted(value)}
    return [turned_to_one_order(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=30), changes=st.integers(1, 10**6))
def test_a_type_that_a_key_is_made_of_counts_with_every_field(text: str, changes: int) -> None:
    row = Rejection(text, "p", "s", 0, "rejected", "empty", text, "")
    keys = {fingerprint(row)}
    for field in fields(Rejection):
        value = getattr(row, field.name)
        keys.add(
            fingerprint(replace(row, **{field.name: value + (str(changes) if isinstance(value, str) else changes)}))
        )
    assert len(keys) == 1 + len(fields(Rejection))


@settings(max_examples=50, deadline=None)
@given(
    epochs=st.integers(1, 50),
    rate=st.floats(1e-9, 1.0),
    rank=st.integers(1, 256),
    temperature=st.floats(0, 1),
    tokens=st.integers(1, 10**5),
)
def test_recipes_and_samplings_have_one_key_each(
    epochs: int, rate: float, rank: int, temperature: float, tokens: int
) -> None:
    recipe = {"epochs": epochs, "learning_rate": rate, "lora_rank": rank}
    sampling = {"temperature": temperature, "max_tokens": tokens}
    for model, content in ((Recipe, recipe), (SamplingSpec, sampling)):
        made = model.model_validate(content)
        assert fingerprint(made) == fingerprint(model.model_validate(made.model_dump()))
        for name, value in content.items():
            changed = model.model_validate({**content, name: value * 2 if value else 1.0})
            assert fingerprint(changed) != fingerprint(made)
