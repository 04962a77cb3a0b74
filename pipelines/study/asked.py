"""Which prompts a step asks, as a part of its identity: their wording, and the version of all parsers."""

from __future__ import annotations

from functools import lru_cache

import prompts

ANSWERING = ("answer", "answer_with_input")
CONSTRAINED = "autoif_answer"
OPTIMIZING = ("auto_evol_analyze", "auto_evol_optimize")


@lru_cache(maxsize=64)
def digests(names: tuple[str, ...]) -> dict[str, str | int]:
    """The digests of prompts by name, and the parsers' version."""
    return {"parser": prompts.PARSER_VERSION, **{name: prompts.get(name).digest for name in names}}
