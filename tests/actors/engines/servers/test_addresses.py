"""How a server is found and asked: addresses, queries, headers, secrets, proxies, and what a probe says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actors.engine import EngineSpec, Feature, GenerateRequest, Sampling
from actors.engines.http import endpoint
from actors.engines.http.endpoint import Endpoint
from actors.engines.http_engine import HttpEngine, probe_model
from tests.actors.engines.servers.odd_server import OddServer, completion, error, json_reply

SECRET = "sk-canary-0123456789"
ECHO = {"tokens": ["Hi", "!"], "text_offset": [0, 2], "token_logprobs": [None, -1.0]}


def spec(url: str, *needs: Feature, **options: Any) -> EngineSpec:
    return EngineSpec("http", "m", options=(("url", url), *options.items()), needs=needs)


def ask(url: str, **options: Any) -> str:
    engine = HttpEngine(spec(url, **options))
    try:
        request = GenerateRequest("r", (("user", "Hello"),), Sampling(), 1)
        return asyncio.run(engine.generate(request)).text
    finally:
        engine.close()


def test_a_pasted_route_and_a_query_are_understood(server: OddServer) -> None:
    assert ask(f"{server.url}/chat/completions?api-version=1")
    assert server.requests[-1].path_qs == "/v1/chat/completions?api-version=1"
    assert ask(f"{server.url}/", query={"api-version": "2024-10-21", "n": 2})
    assert server.requests[-1].path_qs == "/v1/chat/completions?api-version=2024-10-21&n=2"


def test_headers_and_keys_come_from_files_and_variables(
    server: OddServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.write_text(SECRET)
    key.chmod(0o600)
    monkeypatch.setenv("GATEWAY", "token-1")
    headers = {"X-Team": "research", "X-Gateway-Token": {"env": "GATEWAY"}}
    assert ask(server.url, key_file=str(key), key_header="api-key", headers=headers)
    sent = server.requests[-1].headers
    assert (sent["api-key"], sent["X-Team"], sent["X-Gateway-Token"]) == (SECRET, "research", "token-1")
    assert "Authorization" not in sent
    server.respond = lambda number, body, request: error(400, "no token-1 here")
    endpoint = Endpoint(server.url, headers=headers)
    assert endpoint.error_message(b'{"error": "no token-1 here"}') == "no *** here"


@pytest.mark.parametrize("options", [{"headers": {"X-Api-Key": SECRET}}, {"query": {"key": SECRET}}])
def test_a_secret_in_the_study_is_refused_and_not_shown(server: OddServer, options: Any) -> None:
    with pytest.raises(ValueError, match="is a secret, which does not belong into a study") as caught:
        ask(server.url, **options)
    assert SECRET not in str(caught.value)


def test_the_proxy_of_the_environment_is_used(server: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert ask("http://model.example/v1")  # the odd server plays the proxy
    assert server.requests[-1].host == "model.example"
    monkeypatch.setenv("no_proxy", "model.example")
    assert Endpoint("http://model.example/v1").proxy is None


def test_the_environment_is_read_for_a_session_and_not_for_each_request(
    server: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    monkeypatch.setattr(endpoint, "getproxies", lambda: reads.append("proxy") or {})
    engine = HttpEngine(spec(server.url))
    reads.clear()  # the engine has asked the server when it was loaded
    requests = [GenerateRequest(f"r{number}", (("user", "Hello"),), Sampling(), 1) for number in range(3)]

    async def ask_all() -> None:
        await asyncio.gather(*map(engine.generate, requests))

    asyncio.run(ask_all())
    engine.close()
    assert reads == ["proxy"]


def test_no_api_at_an_address_is_said_so(server: OddServer) -> None:
    server.models = lambda: error(404, "Resource not found")
    server.respond = lambda number, body, request: error(404, "Resource not found")
    with pytest.raises(ValueError, match=r"no API at .*: does the address end in /v1\?.*Resource not found"):
        ask(server.url)


def test_a_probe_asks_once_and_says_what_was_found(server: OddServer) -> None:
    echo = {"choices": [{"text": "Hi!", "logprobs": ECHO}], "usage": {"prompt_tokens": 1}}
    server.respond = lambda number, body, request: json_reply(echo if "prompt" in body else completion())
    assert "answers 'm' in" in probe_model(spec(server.url))
    assert len(server.bodies) == 1
    assert probe_model(spec(server.url, "prompt_logprobs")).endswith("gives log-probabilities (prompts)")


def test_a_server_without_log_probabilities_is_told_when_the_model_is_loaded(server: OddServer) -> None:
    server.respond = lambda number, body, request: json_reply(
        {"choices": [{"text": " x", "logprobs": None}]} if "prompt" in body else completion()
    )
    with pytest.raises(ValueError, match="gives no log-probabilities of prompts"):
        HttpEngine(spec(server.url, "prompt_logprobs"))
    with pytest.raises(ValueError, match="gives no log-probabilities of replies"):
        HttpEngine(spec(server.url, "reply_logprobs"))
    with pytest.raises(ValueError, match=r"gives no log-probabilities of a reply's alternatives.*'verdict: label'"):
        HttpEngine(spec(server.url, "top_logprobs"))
    HttpEngine(spec(server.url)).close()


def test_a_server_that_rejects_the_parameter_gives_no_log_probabilities(server: OddServer) -> None:
    server.respond = lambda number, body, request: (
        error(400, "logprobs is not supported") if "logprobs" in body else None
    )
    with pytest.raises(ValueError, match=r"'verdict: label'.*HTTP 400 logprobs is not supported"):
        probe_model(spec(server.url, "top_logprobs"))


def test_log_probabilities_begin_with_the_reply_after_the_thoughts(server: OddServer) -> None:
    tokens = ["<think>", "m?", "</think>", "\n\n", "m", "<|end|>"]
    entries = [{"token": token, "logprob": -float(place), "top_logprobs": []} for place, token in enumerate(tokens)]
    entries[4]["top_logprobs"] = [{"token": "m", "logprob": -4.0}, {"token": "M", "logprob": -5.0}]
    for message in ("<think>m?</think>\n\nm", {"content": "m", "reasoning_content": "m?"}):
        body = completion(message)
        body["choices"][0]["logprobs"] = {"content": entries}
        server.respond = lambda number, _, request, body=body: json_reply(body)
        engine = HttpEngine(spec(server.url))
        request = GenerateRequest("r", (("user", "Hello"),), Sampling(), logprobs=True, top_logprobs=2)
        said = asyncio.run(engine.generate(request))
        engine.close()
        assert (said.text, said.logprobs, said.tokens_out) == ("m", (-4.0,), 5)
        assert said.alternatives == (("m", -4.0), ("M", -5.0))


def test_a_probe_names_the_option_for_a_refused_parameter(server: OddServer) -> None:
    server.respond = lambda number, body, request: (
        error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "max_tokens" in body
        else None
    )
    with pytest.raises(ValueError, match="max_tokens_name: max_completion_tokens"):
        probe_model(spec(server.url))
    assert probe_model(spec(server.url, max_tokens_name="max_completion_tokens"))


@pytest.mark.parametrize("way", ["error in 200", "not JSON", "no choices"])
def test_a_probe_reads_the_answer(server: OddServer, way: str) -> None:
    server.odd_always(way)
    with pytest.raises(ValueError, match=r"Provider returned error|a web page|no choices"):
        probe_model(spec(server.url))
    server.odd_always("null content")
    assert "answers 'm'" in probe_model(spec(server.url))
