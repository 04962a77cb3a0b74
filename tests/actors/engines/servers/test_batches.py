"""Batch APIs: requests are collected, results handed to those who asked, and nothing is sent twice after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.engine import (
    EndpointRefused,
    EngineLost,
    EngineSpec,
    GenerateRequest,
    Generation,
    LogprobRequest,
    RequestError,
    Sampling,
)
from actors.engines.http.bodies import CONTROL_TEXT
from actors.engines.http_engine import HttpEngine
from tests.actors.engines.servers.batch_server import BatchServer, batch_server, plain

APIS = pytest.mark.parametrize("api", ["openai", "anthropic"])


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with batch_server() as started:
        yield started


def engine(server: BatchServer, folder: Path, api: str = "openai", **more: Any) -> HttpEngine:
    options = {"url": server.url, "batch": api, "batch_log": str(folder), "batch_wait": 0.05, "batch_poll": 0.02} | more
    return HttpEngine(EngineSpec("http", "m", options=tuple(options.items())))


def request(text: str, seed: int = 0, **more: Any) -> GenerateRequest:
    return GenerateRequest(text, (("system", "Be short."), ("user", text)), Sampling(0.5, 1.0, 20), seed, **more)


def ask(engine: HttpEngine, requests: Sequence[GenerateRequest]) -> list[Generation | BaseException]:
    async def all_of_them() -> list[Generation | BaseException]:
        try:
            return await asyncio.gather(*map(engine.generate, requests), return_exceptions=True)
        finally:
            await engine._exchange.client.aclose()

    return asyncio.run(all_of_them())


def texts(answers: Sequence[Generation | BaseException]) -> list[str]:
    return [answer.text if isinstance(answer, Generation) else repr(answer) for answer in answers]


@APIS
def test_requests_that_arrive_together_are_one_batch_and_each_gets_its_own_reply(
    server: BatchServer, tmp_path: Path, api: str
) -> None:
    answers = ask(engine(server, tmp_path, api), [request(f"row {number}") for number in range(50)])
    assert texts(answers) == [f"ROW {number}" for number in range(50)]
    assert [len(batch) for batch in server.prompts()] == [50]


def test_the_messages_api_gets_its_own_form_and_its_replies_are_read(server: BatchServer, tmp_path: Path) -> None:
    (answer,) = ask(engine(server, tmp_path, "anthropic"), [request("row")])
    assert isinstance(answer, Generation)
    assert (answer.thoughts, answer.finish_reason, answer.tokens_in, answer.tokens_out) == ("Hm.", "length", 5, 6)
    (params,) = server.batches[0].requests.values()
    messages = [{"role": "user", "content": "row"}]
    assert params == {"model": "m", "max_tokens": 20, "temperature": 0.5, "system": "Be short.", "messages": messages}
    assert server.headers[0]["anthropic-version"] == "2023-06-01"


def test_the_messages_api_refuses_what_it_does_not_have(server: BatchServer, tmp_path: Path) -> None:
    its = engine(server, tmp_path, "anthropic")
    (answer,) = ask(its, [request("row", logprobs=True)])
    assert isinstance(answer, RequestError) and answer.reason == "unsupported" and "logprobs" in answer.detail
    with pytest.raises(RequestError, match="unsupported"):
        asyncio.run(its.logprobs(LogprobRequest("a", "b", "c")))


@APIS
def test_equal_requests_are_answered_one_by_one(server: BatchServer, tmp_path: Path, api: str) -> None:
    assert texts(ask(engine(server, tmp_path, api), [request("same")] * 3)) == ["SAME"] * 3
    assert server.prompts() == [["same"] * 3]


@APIS
def test_a_new_process_waits_for_the_batch_of_the_old_one(server: BatchServer, tmp_path: Path, api: str) -> None:
    server.ended = False
    requests = [request(f"row {number}") for number in range(5)]

    async def until_sent() -> None:
        its = engine(server, tmp_path, api)
        tasks = [asyncio.create_task(its.generate(each)) for each in requests]
        while not [*tmp_path.rglob("*.json")]:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await its._exchange.client.aclose()

    asyncio.run(until_sent())
    server.ended = True
    answers = ask(engine(server, tmp_path, api), [*requests[::-1], request("new")])
    assert texts(answers) == [*(f"ROW {number}" for number in (4, 3, 2, 1, 0)), "NEW"]
    assert [sorted(batch) for batch in server.prompts()] == [[f"row {number}" for number in range(5)], ["new"]]


@APIS
def test_a_request_that_is_rejected_is_a_failed_row_and_the_others_are_answered(
    server: BatchServer, tmp_path: Path, api: str
) -> None:
    error = {"type": "invalid_request_error", "message": "I do not like this prompt"}
    server.respond = lambda text: (400, {"error": error}) if text == "bad" else plain(text)
    answers = ask(engine(server, tmp_path, api), [request("good"), request("bad"), request("fine")])
    assert texts([answers[0], answers[2]]) == ["GOOD", "FINE"]
    assert isinstance(answers[1], RequestError) and answers[1].reason == "http_400"
    assert "I do not like this prompt" in answers[1].detail
    assert len(server.batches) == 1


@APIS
def test_a_batch_of_rejected_requests_only_is_no_reason_to_end_the_run(
    server: BatchServer, tmp_path: Path, api: str
) -> None:
    error = {"type": "invalid_request_error", "message": "I do not like this prompt"}
    server.respond = lambda text: (400, {"error": error}) if text.startswith("bad") else plain(text)
    answers = ask(engine(server, tmp_path, api), [request("bad"), request("bad, too")])
    assert all(isinstance(answer, RequestError) and answer.reason == "http_400" for answer in answers)
    assert server.prompts() == [["bad", "bad, too"], [CONTROL_TEXT]]


@APIS
def test_what_failed_for_an_earlier_process_is_sent_again(server: BatchServer, tmp_path: Path, api: str) -> None:
    error = {"type": "invalid_request_error", "message": "no"}
    server.respond = lambda text: (400, {"error": error}) if text == "bad" else plain(text)
    ask(engine(server, tmp_path, api), [request("good"), request("bad")])
    server.respond = plain
    assert texts(ask(engine(server, tmp_path, api), [request("good"), request("bad")])) == ["GOOD", "BAD"]
    assert [sorted(batch) for batch in server.prompts()[:1]] == [["bad", "good"]]


@APIS
def test_a_request_that_expires_is_sent_in_another_batch(server: BatchServer, tmp_path: Path, api: str) -> None:
    server.respond = lambda text: (0, {}) if text == "late" and len(server.batches) < 3 else plain(text)
    its = engine(server, tmp_path, api)
    assert texts(ask(its, [request("early"), request("late")])) == ["EARLY", "LATE"]
    assert server.prompts() == [["early", "late"], ["late"], ["late"]] and its.retry_count == 2


@APIS
def test_an_endpoint_that_answers_nothing_of_a_batch_ends_the_run(
    server: BatchServer, tmp_path: Path, api: str
) -> None:
    error = {"type": "invalid_request_error", "message": "temperature is not supported"}
    server.respond = lambda text: (400, {"error": error})
    for answer in ask(engine(server, tmp_path, api), [request("one"), request("two")]):
        assert isinstance(answer, EndpointRefused) and "drop: [temperature]" in str(answer)
    server.respond = lambda text: (0, {})
    for answer in ask(engine(server, tmp_path / "other", api), [request("one"), request("two")]):
        assert isinstance(answer, EngineLost) and "expired" in str(answer)


def test_a_batch_that_is_too_large_is_sent_in_smaller_ones(server: BatchServer, tmp_path: Path) -> None:
    error = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
    server.reject = lambda batch: error if len(batch.requests) > 3 else None
    answers = ask(engine(server, tmp_path), [request(f"row {number}") for number in range(10)])
    assert texts(answers) == [f"ROW {number}" for number in range(10)]
    sizes = [*map(len, server.prompts())]
    assert sizes[:3] == [10, 5, 5] and max(sizes[3:]) <= 3


def test_a_rejected_batch_is_told_in_the_servers_words_and_is_sent_again_by_the_next_process(
    server: BatchServer, tmp_path: Path
) -> None:
    server.reject = lambda batch: {"code": "model_not_found", "message": "The model is not available for batches"}
    (answer,) = ask(engine(server, tmp_path), [request("row")])
    assert isinstance(answer, EndpointRefused) and "The model is not available for batches" in str(answer)
    server.reject = lambda batch: None
    assert texts(ask(engine(server, tmp_path), [request("row")])) == ["ROW"]


def test_an_unknown_batch_api_is_an_error_at_load(server: BatchServer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be one of openai, anthropic"):
        engine(server, tmp_path, "other")
