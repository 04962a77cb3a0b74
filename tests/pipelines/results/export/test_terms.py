"""What a card says of licences that limit what is made of the data, or that conflict."""

from __future__ import annotations

import pytest

from pipelines.results.export.files import Origin
from pipelines.results.export.terms import terms_notes


@pytest.mark.parametrize(
    ("seeds", "models", "note"),
    [
        ("cc-by-nc-4.0", "apache-2.0", "No commercial use: seeds (cc-by-nc-4.0)."),
        ("cc-by-nd-4.0", "mit", "Conflict: seeds (cc-by-nd-4.0) does not allow changed versions, such as these data,"),
        ("cc-by-sa-4.0", "gpl-3.0", "Conflict: each of seeds (cc-by-sa-4.0) and model (gpl-3.0) asks for its own"),
        ("cc-by-sa-4.0", "mit", "What is made of seeds (cc-by-sa-4.0) must have the same licence."),
        ("mit", "Llama3.1", "The licence of the model model (llama3.1) asks that models trained on its outputs have"),
        ("mit", "", "Unknown licence: model. Ask the owner before you pass the data on."),
    ],
)
def test_a_limit_or_a_conflict_is_named(seeds: str, models: str, note: str) -> None:
    notes = terms_notes([Origin("seeds", "", "", (seeds,))], [Origin("model", "", "", (models,) if models else ())])
    assert any(each.startswith(note) for each in notes), notes


def test_sources_of_one_permissive_licence_need_no_note() -> None:
    assert terms_notes([Origin("a", "", "", ("mit",))], [Origin("b", "", "", ("apache-2.0",))]) == []
    assert terms_notes([Origin("a", "", "", ("gpl-3.0",))], [Origin("b", "", "", ("gpl-3.0",))]) == []
