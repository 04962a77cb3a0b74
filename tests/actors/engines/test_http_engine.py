"""The HTTP engine against the stub endpoint: replies, refusals, retries, pace, and a key that shows nowhere."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import time
import traceback
from dataclasses import replace

import psutil
import pytest

from actors.engine import (
    EndpointRefused,
    EngineLost,
    EngineSpec,
    GenerateRequest,
    LogprobRequest,
    RequestError,
    Sampling,
)
from actors.engines.http import exchange
from actors.engines.http.completions import read_completion
from actors.engines.http.exchange import backoff_seconds
from actors.engines.http.rate_limit import RateLimiter
from actors.engines.registry import create
from tests.support.ports import free_port

KEY = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(exchange, "INITIAL_DELAY", 0.02)


def engine(url, model="stub", **options):
    return create(EngineSpec("http", model, options=(("url", url), *options.items())))


def request(i, text="Name a river", **changes):
    return replace(GenerateRequest(f"r{i}", (("user", f"{text} {i}"),), Sampling(1.0, 1.0, 64), i), **changes)


def ask(engine, requests):
    async def gather():
        return await asyncio.gather(*map(engine.generate, requests), return_exceptions=True)

    try:
        return asyncio.run(gather())
    finally:
        engine.close()


def test_the_url_is_required_and_must_be_one():
    with pytest.raises(ValueError, match="needs the option 'url'"):
        create(EngineSpec("http", "stub"))
    for wrong in ("localhost:8000", "ftp://host/v1", "http://user:secret@host/v1"):
        with pytest.raises(ValueError, match="option 'url'") as caught:
            engine(wrong)
        assert "secret" not in str(caught.value)


def test_nobody_there_is_a_clear_error_within_seconds():
    start = time.monotonic()
    with pytest.raises(ConnectionError, match="does not answer: ConnectionRefusedError"):
        engine(f"http://127.0.0.1:{free_port()}/v1")
    assert time.monotonic() - start < 30


def test_a_model_that_is_not_served_is_told_at_load(stub):
    with pytest.raises(ValueError, match=r"does not serve the model 'other': HTTP 404 .*; it serves stub"):
        engine(stub(), "other")


def test_faults_are_retried_until_every_request_is_answered(stub):
    requests = [request(i) for i in range(60)]
    undisturbed = ask(engine(stub()), requests)
    assert [got.id for got in undisturbed] == [f"r{i}" for i in range(60)]
    assert ask(engine(stub("--fail-every", "4")), requests) == undisturbed
    assert ask(engine(stub("--drop-every", "5")), requests) == undisturbed


def test_an_endpoint_that_only_fails_is_a_lost_engine(stub):
    (lost,) = ask(engine(stub("--fail-every", "1"), retries=2), [request(0)])
    assert isinstance(lost, EngineLost)
    assert str(lost).endswith("gave no answer in 3 attempts: HTTP 503 overloaded")
    assert isinstance(pickle.loads(pickle.dumps(lost)), EngineLost)


def test_a_slow_answer_is_a_lost_engine_in_the_end(stub):
    slow = engine(stub("--latency", "3"), retries=1, timeout=0.1)
    (lost,) = ask(slow, [request(0)])
    assert isinstance(lost, EngineLost) and "no answer within 0.1 s" in str(lost)


def test_retry_after_is_kept(stub):
    start = time.monotonic()
    replies = ask(engine(stub("--rate-limit", "15")), [request(i) for i in range(40)])
    assert [got.id for got in replies] == [f"r{i}" for i in range(40)]
    assert time.monotonic() - start >= 1.9


def test_delays_grow_and_are_no_shorter_than_the_server_asks(monkeypatch):
    monkeypatch.setattr(exchange, "INITIAL_DELAY", 0.5)
    assert all(0.25 * 2**i <= backoff_seconds(i, "") <= 0.5 * 2**i for i in range(6))
    assert backoff_seconds(30, "") <= 60
    assert 7 <= backoff_seconds(0, "7") <= 8
    assert backoff_seconds(0, "Fri, 01 Jan 2100 00:00:00 GMT") > 1000
    assert backoff_seconds(0, "soon") <= 0.5


def test_a_pace_spaces_its_units():
    async def scene():
        pace = RateLimiter(per_minute=6000)
        start = time.monotonic()
        await asyncio.gather(*(pace.acquire() for _ in range(21)))
        assert 0.2 <= time.monotonic() - start < 5  # at 60 a minute: 20 s
        pace.adjust(30)
        await pace.acquire()
        assert time.monotonic() - start >= 0.5

    asyncio.run(scene())


@pytest.mark.parametrize("bound", [{"requests_per_minute": 1200}, {"tokens_per_minute": 12000}])
def test_no_more_is_asked_in_a_minute_than_allowed(stub, bound):
    # about 10 tokens of a prompt of 40 letters, and as many words of a reply, which are counted afterwards
    start = time.monotonic()
    ask(engine(stub(), in_flight=2, **bound), [request(i, "Name " + "a river " * 4) for i in range(13)])
    assert time.monotonic() - start >= 0.6


def test_requests_in_flight_are_bounded(stub):
    start = time.monotonic()
    ask(engine(stub("--latency", "0.1"), in_flight=2), [request(i) for i in range(8)])
    assert time.monotonic() - start >= 0.4


def test_refusals_belong_to_their_request(stub):
    requests = [request(0), request(1, "a bomb"), request(2, "word " * 50), request(3)]
    got = ask(engine(stub("--refuse", "bomb", "--max-length", "40")), requests)
    assert [isinstance(one, RequestError) for one in got] == [False, True, True, False]
    assert (got[1].reason, got[2].reason) == ("refused", "too_long")
    assert "maximum context length is 40" in got[2].detail


def test_a_withheld_reply_is_refused():
    usage = {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}
    for message, reason in (({"content": ""}, "content_filter"), ({"content": None, "refusal": "I can't."}, "stop")):
        with pytest.raises(RequestError, match="refused"):
            read_completion(request(0), {"choices": [{"message": message, "finish_reason": reason}], "usage": usage})


def test_the_end_token_is_not_among_a_replys_logprobs(stub):
    (got,) = ask(engine(stub()), [request(0, logprobs=True)])
    assert got.finish_reason == "stop"
    assert got.tokens_out == len(got.logprobs) == len(got.text.split())


def test_a_schema_is_passed_on(stub):
    schema = json.dumps({"type": "object", "properties": {"river": {"type": "string"}}})
    got, broken = ask(engine(stub()), [request(0, schema=schema), request(0, schema="{")])
    assert list(json.loads(got.text)) == ["river"]
    assert isinstance(broken, RequestError) and broken.reason == "schema"


def test_the_boundary_counts_a_start_token_that_the_server_adds(stub):
    scorer = engine(stub())
    try:
        scored = asyncio.run(scorer.logprobs(LogprobRequest("s", "one two", " three four")))
        alone = asyncio.run(scorer.logprobs(LogprobRequest("s", "", "one two")))
        empty = asyncio.run(scorer.logprobs(LogprobRequest("s", "", "")))
    finally:
        scorer.close()
    assert (scored.boundary, len(scored.logprobs), scored.logprobs[0]) == (3, 5, None)
    assert (alone.boundary, len(alone.logprobs), empty.logprobs) == (0, 3, ())
    assert scored.logprobs[1:3] == alone.logprobs[1:]


def test_a_missing_key_is_told_at_load_by_its_variables_name(stub, monkeypatch):
    monkeypatch.delenv("TEST_KEY", raising=False)
    with pytest.raises(ValueError, match=r"environment variable TEST_KEY.*is not set"):
        engine(stub(), key_env="TEST_KEY")


def test_a_wrong_or_missing_key_is_told_at_load(stub, monkeypatch):
    url = stub("--key", "sk-right")
    with pytest.raises(ValueError, match="rejects requests without a key"):
        engine(url)
    for wrong in (KEY, f"{KEY}\u2026", f"{KEY}\nX-Evil: 1"):
        monkeypatch.setenv("TEST_KEY", wrong)
        with pytest.raises(ValueError, match="TEST_KEY") as caught:
            engine(url, key_env="TEST_KEY")
        assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_the_key_shows_nowhere(stub, monkeypatch, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TEST_KEY", KEY)
    keyed = engine(stub("--key", KEY), key_env="TEST_KEY")
    fields = [keyed, keyed._exchange, keyed._exchange._endpoint]
    assert KEY not in repr(fields) and not any(KEY in repr(getattr(one, "__dict__", "")) for one in fields)
    assert ask(keyed, [request(0)])[0].text
    monkeypatch.setenv("TEST_KEY", f"{KEY}-other")
    # the stub quotes the key that it expects, as some servers do
    message = keyed._exchange._endpoint.error_message(json.dumps({"error": {"message": f"not {KEY}-other"}}).encode())
    assert message == "not ***"
    written = capfd.readouterr()
    assert KEY not in written.out + written.err + caplog.text


def test_a_key_that_is_withdrawn_loses_the_engine_and_blames_no_row(stub, monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)
    keyed = engine(stub("--key", KEY), key_env="TEST_KEY")
    client = keyed._exchange.client
    client._endpoint = replace(client._endpoint, key_env="")
    (error,) = ask(keyed, [request(0)])
    assert isinstance(error, EndpointRefused) and "HTTP 401" in str(error)


def test_a_key_in_a_file_opens_the_endpoint_and_shows_nowhere(stub, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    keyed = engine(stub("--key", KEY), key_file=str(file))
    assert ask(keyed, [request(0)])[0].text
    written = capfd.readouterr()
    assert KEY not in written.out + written.err + caplog.text + repr(keyed._exchange._endpoint)


def test_a_key_file_that_others_can_read_is_not_there_or_empty_is_refused(stub, tmp_path):
    url, file = stub("--key", KEY), tmp_path / "key"
    with pytest.raises(ValueError, match=f"cannot read the key file {file}: FileNotFoundError"):
        engine(url, key_file=str(file))
    file.write_text(KEY)
    file.chmod(0o640)
    with pytest.raises(ValueError, match="readable by other users: run 'chmod 600'"):
        engine(url, key_file=str(file))
    file.write_text("\n")
    file.chmod(0o600)
    with pytest.raises(ValueError, match=f"the file {file}, which option 'key_file' names, is empty"):
        engine(url, key_file=str(file))
    with pytest.raises(ValueError, match="'key_file' and 'key_env' are both set"):
        engine(url, key_file=str(file), key_env="TEST_KEY")


def test_closing_leaves_no_connection(stub):
    here = psutil.Process()
    before = len(here.net_connections())
    open_engine = engine(stub())

    async def scene():
        await asyncio.gather(*(open_engine.generate(request(i)) for i in range(8)))
        assert len(here.net_connections()) > before
        await asyncio.to_thread(open_engine.close)
        assert len(here.net_connections()) == before

    asyncio.run(scene())
    ask(open_engine, [request(0)])  # an event loop that ends takes its connections along
    assert len(here.net_connections()) == before


def test_half_a_character_in_a_reply_is_an_error_of_its_row():
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    message = json.loads('{"content": "\\ud83d"}')
    with pytest.raises(RequestError, match="not_unicode"):
        read_completion(request(0), {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})
