"""AutoIF, step 2: verification functions and test cases that a model writes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from actors.sandbox.protocol.job import Plain
from pipelines.operators.autoif.reply_parsing import (
    ParsedReply,
    accepted,
    is_text,
    parse_json,
    reject_truncated,
    rejected,
    repaired,
)

DEFAULT_GENERATIONS = 8
NETWORK_WORDS = ("download", "requests")


@dataclass(frozen=True)
class VerificationCase:
    """A response, and the expected result of the verification function: `label` is JSON, as the model wrote it.

    A function that returns bools can only agree with true and false; the text "true" never equals True.
    """

    response: str
    label: Plain

    @property
    def key(self) -> str:
        """A text that is equal for cases with the same values and types."""
        return json.dumps([self.response, self.label], sort_keys=True)


@dataclass(frozen=True)
class GeneratedTests:
    """The content of one reply: the source of a Python function `evaluate(response)`, and cases."""

    source: str
    cases: tuple[VerificationCase, ...]


def parse_generated_tests(text: str) -> ParsedReply[GeneratedTests]:
    """Read the function and the cases from a reply's JSON object {"func": ..., "cases": [{"input", "output"}, ...]}.

    Repaired: source lines that mention `download` or `requests` are deleted (`network_lines`), and so are cases without
    a text or a label (`malformed_cases`). Rejected: `not_json`, `not_an_object`, `no_function`, `no_cases`.
    """
    parsed = parse_json(text)
    if parsed.value is None:
        return rejected(parsed.reason)
    if not isinstance(parsed.value, dict):
        return rejected("not_an_object")
    return repaired(_parse_object(cast(dict[str, Any], parsed.value)), before=parsed.rules)


read_generated_tests = reject_truncated(parse_generated_tests)


def distinct_cases(cases: Iterable[VerificationCase]) -> tuple[VerificationCase, ...]:
    """Return the distinct cases, in order."""
    kept: dict[str, VerificationCase] = {}
    for case in cases:
        kept.setdefault(case.key, case)
    return tuple(kept.values())


def _parse_object(fields: dict[str, Any]) -> ParsedReply[GeneratedTests]:
    written, listed = fields.get("func"), fields.get("cases")
    if not is_text(written) or not written.strip():
        return rejected("no_function")
    if not isinstance(listed, list):
        return rejected("no_cases")
    entries = cast(list[Any], listed)
    source = _without_network(written.strip())
    cases = tuple(VerificationCase(entry["input"], entry["output"]) for entry in entries if _is_case(entry))
    rules = {"network_lines": source != written.strip(), "malformed_cases": len(cases) < len(entries)}
    return accepted(GeneratedTests(source, cases), *(rule for rule, used in rules.items() if used))


def _is_case(entry: Any) -> bool:
    return isinstance(entry, dict) and is_text(cast(Any, entry).get("input")) and "output" in entry


def _without_network(source: str) -> str:
    return "\n".join(line for line in source.split("\n") if not any(word in line for word in NETWORK_WORDS))
