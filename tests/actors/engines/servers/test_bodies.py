"""The bodies of requests to servers."""

from __future__ import annotations

from typing import Any

import pytest

from actors.engine import GenerateRequest, Sampling
from actors.engines.http.bodies import RequestBodies

REQUEST = GenerateRequest("r", (("user", "Hi"),), Sampling())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"template": {"enable_thinking": False}}, {"chat_template_kwargs": {"enable_thinking": False}}),
        (
            {"template": {"reasoning_effort": "low"}},
            {"chat_template_kwargs": {"reasoning_effort": "low"}, "reasoning_effort": "low"},
        ),
        (
            {"template": {"reasoning_effort": "low"}, "drop": ["chat_template_kwargs"]},
            {"reasoning_effort": "low"},
        ),
        (
            {"template": {"a": 1}, "body": {"chat_template_kwargs": {"b": [2]}}},
            {"chat_template_kwargs": {"a": 1, "b": [2]}},
        ),
    ],
)
def test_arguments_of_the_template_are_sent(options: dict[str, Any], expected: dict[str, Any]) -> None:
    plain = RequestBodies("m").chat(REQUEST)
    bodies = RequestBodies("m", **options)
    assert bodies.chat(REQUEST) == plain | expected
    assert bodies.probe().items() >= expected.items(), "the probe tests them, too"
