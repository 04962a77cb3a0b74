"""Odd replies: they cost one row at most, trouble of all requests ends the run with the server's own sentence."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from actors.engine import EndpointRefused, EngineLost, EngineSpec, GenerateRequest, Generation, RequestError, Sampling
from actors.engines.http import self_limit
from actors.engines.http_engine import HttpEngine
from tests.actors.engines.servers.odd_server import (
    MARK,
    ODD,
    READABLE,
    TEXT,
    UNREADABLE,
    OddServer,
    completion,
    error,
    json_reply,
)

WAYS = sorted(ODD)
IN_FLIGHT = 8  # the number of a request is then nearly the order in which it was made


def make(server: OddServer, **options: Any) -> HttpEngine:
    given = {"url": server.url, "retries": 2, "timeout": 10.0, "in_flight": IN_FLIGHT} | options
    return HttpEngine(EngineSpec("http", "m", options=tuple(given.items())))


def ask(engine: HttpEngine, count: int, marked: frozenset[int] = frozenset(), **request: Any) -> list[Any]:
    requests = [
        GenerateRequest(
            str(i), (("user", f"Tell me {i} {MARK if i in marked else ''}"),), Sampling(0.0, 1.0, 64), i, **request
        )
        for i in range(count)
    ]

    async def gather() -> list[Any]:
        return await asyncio.gather(*map(engine.generate, requests), return_exceptions=True)

    try:
        return asyncio.run(gather())
    finally:
        engine.close()


@pytest.mark.parametrize("way", WAYS)
def test_every_20th_reply_is_odd_and_no_run_ends(server: OddServer, way: str) -> None:
    server.odd_every(way, 20)
    got = ask(make(server), 100)
    assert len(got) == 100
    assert all(isinstance(one, Generation | RequestError) for one in got)
    failed = [one for one in got if isinstance(one, RequestError)]
    assert len(failed) <= (5 if way in UNREADABLE else 0)
    assert all(one.text.strip("\0") in (TEXT, "") for one in got if isinstance(one, Generation))


THINKING = {"parts", "null content", "thinking blocks", "thoughts in the text"} | {
    w for w in READABLE if "reasoning" in w
}


@pytest.mark.parametrize("way", sorted(READABLE))
def test_a_readable_reply_is_read(server: OddServer, way: str) -> None:
    server.odd_always(way)
    (got,) = ask(make(server), 1)
    assert isinstance(got, Generation)
    empty = way in ("no content", "null content")
    assert got.text == ("" if empty else f"{TEXT}\0" if way == "nul" else TEXT)
    assert got.finish_reason == ("length" if empty or "cut" in way else "stop")
    assert got.thoughts.startswith("Let me") == (way in THINKING)
    assert (got.tokens_in, got.tokens_out) == (3, 4) or not way.startswith("counts") or way == "counts that are none"
    assert got.tokens_in > 0
    assert (got.tokens_out > 0) or empty


@pytest.mark.parametrize("way", sorted(UNREADABLE))
def test_what_one_prompt_cannot_get_is_its_rows_failure(server: OddServer, way: str) -> None:
    server.odd_for_mark(way)
    got = ask(make(server), 6, frozenset({3}))
    assert [isinstance(one, Generation) for one in got] == [i != 3 for i in range(6)]
    assert isinstance(got[3], RequestError) and got[3].reason == UNREADABLE[way][0]


@pytest.mark.parametrize("way", sorted(UNREADABLE))
def test_the_last_row_alone_is_no_reason_to_end_the_run(server: OddServer, way: str) -> None:
    server.odd_for_mark(way)
    (got,) = ask(make(server), 1, frozenset({0}))
    assert isinstance(got, RequestError) and got.reason == UNREADABLE[way][0]


OF_ALL = sorted(
    way
    for way in set(UNREADABLE) - {"a tool", "withheld", "safety", "refusal", "surrogate", "filter"}
    if not way.startswith("too long")
)


@pytest.mark.parametrize("way", OF_ALL)
def test_trouble_of_all_requests_ends_the_run(server: OddServer, way: str) -> None:
    server.odd_always(way)
    got = ask(make(server), 3)
    assert all(isinstance(one, EngineLost) for one in got), got


ACCOUNT = {
    "402": error(402, "Insufficient credits. Add more"),
    "quota": error(429, "You exceeded your current quota, check your plan and billing", code="insufficient_quota"),
    "expired": error(400, "API key expired. Please renew the API key."),
    "invalid": error(400, "API key not valid. Please pass a valid API key."),
    "revoked": error(401, "Incorrect API key provided"),
    "spending limit": error(429, "Your team has reached its monthly spending limit. Purchase more credits."),
    "suspended": error(412, "Account is suspended, possibly due to failure to pay past invoices."),
    "arrears": error(400, "Access denied, please make sure your account is in good standing.", code="Arrearage"),
    "too low": error(400, "Your credit balance is too low to access the API."),
    "in 200": error(200, "Provider returned error: insufficient balance", code=402),
}


@pytest.mark.parametrize("name", sorted(ACCOUNT))
def test_money_or_keys_that_run_out_end_the_run_at_once(server: OddServer, name: str) -> None:
    engine = make(server)
    told = json.loads(ACCOUNT[name].text or "")["error"]["message"]

    def respond(number: int, body: Any, request: Any) -> Any:
        source = ACCOUNT[name]
        return json_reply(json.loads(source.text or ""), source.status) if number > 3 else None

    server.respond = respond
    got = ask(engine, 6)
    assert sum(isinstance(one, Generation) for one in got) == 3
    lost = [one for one in got if not isinstance(one, Generation)]
    assert all(isinstance(one, EndpointRefused) and told in str(one) for one in lost)
    assert len(server.bodies) == 6  # nothing was asked twice


def test_a_limit_per_minute_is_not_a_lack_of_money(server: OddServer) -> None:
    message = "You exceeded your current quota, please check your plan and billing details."

    def respond(number: int, body: Any, request: Any) -> Any:
        return json_reply({"error": {"message": message}}, 429, **{"Retry-After": "0.05"}) if number < 3 else None

    server.respond = respond
    (got,) = ask(make(server), 1)
    assert isinstance(got, Generation)


REFUSED_PARAMETERS = {
    "max_tokens": ({"max_tokens_name": "max_completion_tokens"}, "Use 'max_completion_tokens' instead."),
    "temperature": ({"drop": ["temperature"]}, "'temperature' does not support 0 with this model."),
    "seed": ({"drop": ["seed"]}, "seed: Extra inputs are not permitted"),
    "top_p": ({"drop": ["top_p"]}, "`temperature` and `top_p` cannot both be specified"),
}


@pytest.mark.parametrize("name", sorted(REFUSED_PARAMETERS))
def test_a_refused_parameter_ends_the_run_and_names_the_option(server: OddServer, name: str) -> None:
    options, message = REFUSED_PARAMETERS[name]
    server.respond = lambda number, body, request: error(400, f"Unsupported: {message}") if name in body else None
    got = ask(make(server), 4)
    ((option, value),) = options.items()
    remedy = f"{option}: [{value[0]}]" if isinstance(value, list) else f"{option}: {value}"
    assert all(isinstance(one, EndpointRefused) and message in str(one) and remedy in str(one) for one in got)
    assert all(isinstance(one, Generation) for one in ask(make(server, **options), 4))


def test_the_body_is_merged_and_seeds_have_31_bits(server: OddServer) -> None:
    extra = {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}}
    engine = make(server, body=extra, drop=["top_p"], max_tokens_name="max_completion_tokens")
    request = GenerateRequest("r", (("user", "Hello"),), Sampling(0.5, 0.9, 7), 2**62 + 5)
    asyncio.run(engine.generate(request))
    engine.close()
    assert server.bodies[-1] == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_completion_tokens": 7,
        "temperature": 0.5,
        "seed": 5,
        **extra,
    }


def test_uncounted_tokens_are_estimated_and_told_once(server: OddServer) -> None:
    server.odd_always("no usage")
    engine = make(server)
    got = ask(engine, 3)
    assert [one.tokens_out for one in got] == [5, 5, 5]
    assert len(engine.take_notices()) == 1 and not engine.take_notices()


def test_log_probabilities_that_a_server_does_not_give_end_the_run_in_words(server: OddServer) -> None:
    server.respond = lambda number, body, request: json_reply(completion())
    got = ask(make(server), 2, logprobs=True)
    assert all(isinstance(one, EndpointRefused) and "gives no log-probabilities" in str(one) for one in got)


def test_errors_that_quote_other_errors_are_told_in_words(server: OddServer) -> None:
    inner = json.dumps({"error": {"message": "temperature must be in (0, 1]"}})
    for body in ({"error": {"message": inner}}, {"errors": [{"message": inner}]}, {"Message": inner}):
        server.respond = lambda number, asked, request, body=body: json_reply(body, 400)
        (got,) = ask(make(server), 1)
        assert "HTTP 400 temperature must be in (0, 1]: set 'options: {drop: [temperature]}'" in str(got)


def test_a_server_that_only_asks_for_fewer_requests_is_given_up(
    server: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_limit, "MIN_RATE", 100.0)
    server.respond = lambda number, body, request: error(429, "Come back tomorrow")
    got = ask(make(server, retries=6, in_flight=2), 50)
    assert all(isinstance(one, EngineLost) and "Come back tomorrow" in str(one) for one in got)
    assert len(server.bodies) < 150  # not seven requests for each of the fifty
