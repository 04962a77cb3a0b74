"""Models behind servers: what the study file alone shows is reported before anything is asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.inputs.endpoints import server_needs
from tests.pipelines.study.test_check import MODEL, problems

WriteStudy = Callable[..., Path]
SERVED = "source: tgi\n    engine: http\n    runtime: {url: 'http://a:1/v1'%s}"


def test_two_servers_that_call_their_model_the_same_are_told(write_study: WriteStudy) -> None:
    two = f"{SERVED % ''}\n  other: {{source: tgi, engine: http, cpus: 2, runtime: {{url: 'http://b:1/v1'}}}}"
    (found,) = problems(write_study({MODEL: two}))
    assert "models.other.runtime.url: 'other' is the same model as 'tiny' at another address" in found


@pytest.mark.parametrize("change", ["revision: v2, runtime: {url: 'http://b:1/v1'}", "options: {url: 'http://b:1/v1'}"])
def test_servers_that_are_told_apart_are_two_models(write_study: WriteStudy, change: str) -> None:
    two = f"{SERVED % ''}\n  other: {{source: tgi, engine: http, {change}}}\nrewards: [x]"
    found = problems(write_study({MODEL: two}))  # the reward model 'x' is the only mistake
    assert len(found) == 1 and "same model" not in found[0]


def test_parameters_belong_under_options(write_study: WriteStudy) -> None:
    (found,) = problems(write_study({MODEL: SERVED % ", drop: [seed]"}))
    assert "models.tiny.runtime.drop: 'drop' changes results" in found and "Move it to 'options'." in found


def test_what_a_served_scorer_cannot_do_is_refused(write_study: WriteStudy) -> None:
    scoring = SERVED % "" + "\nscoring: {scorer: tiny, form: chat, bos: always}"
    found = problems(write_study({MODEL: scoring}))
    assert [line.partition(": ")[2].partition(":")[0] for line in found] == ["scoring.form", "scoring.bos"]


def test_an_unknown_option_is_told_with_the_closest_name(write_study: WriteStudy) -> None:
    (found,) = problems(write_study({MODEL: SERVED % ", key_fil: x"}))
    assert "has no option 'key_fil'" in found and "Did you mean 'key_file'?" in found


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        ("url: 'localhost:8000/v1'", "url", "option 'url' must be only the API's address"),
        ("url: 'http://a:1/v1', key_env: NO_SUCH_KEY", "key_env", "the environment variable NO_SUCH_KEY.*is not set"),
        ("url: 'http://a:1/v1', key_file: /no/such/key", "key_file", "cannot read the key file /no/such/key"),
        ("url: 'https://a:1/v1', ca_file: /no/such.pem", "ca_file", "cannot read certificates from the file"),
        ("url: 'http://a:1/v1', headers: {X-Key: {env: NO_SUCH_KEY}}", "headers", "NO_SUCH_KEY.*is not set"),
    ],
)
def test_addresses_and_keys_are_checked_where_the_models_run(
    write_study: WriteStudy, options: str, place: str, message: str
) -> None:
    path = write_study({MODEL: f"source: tgi\n    engine: http\n    runtime: {{{options}}}"})
    (found,) = problems(path, local=True)
    assert f"models.tiny.runtime.{place}: " in found and re.search(message, found)
    check(load(path))  # the nodes of a cluster have their own keys


@pytest.mark.parametrize(
    ("options", "why"),
    [("batch: anthropic", "Anthropic's batch API has none"), ("drop: [logprobs]", "'drop' leaves out logprobs")],
)
def test_log_probabilities_that_no_server_can_give_are_refused(write_study: WriteStudy, options: str, why: str) -> None:
    scored = f"{SERVED % ''}\n    options: {{{options}}}\nscoring: {{scorer: tiny}}"
    (found,) = problems(write_study({MODEL: scored}))
    assert f"needs log-probabilities of 'tiny' ('scorer'), but {why}" in found


def needed(path: Path) -> tuple[str, ...]:
    return server_needs(load(path).study, "tiny")


def test_the_log_probabilities_of_a_server_follow_from_the_study(write_study: WriteStudy) -> None:
    judged = "\nbenchmarks: [{{name: b, task: alpaca_eval, file: f.json, judge: {{model: tiny, reference: r.json{}}}}}]"
    assert needed(write_study({MODEL: SERVED % "" + "\nscoring: {scorer: tiny}"})) == ("prompt_logprobs",)
    assert needed(write_study({MODEL: SERVED % "" + judged.format("")})) == ("top_logprobs",)
    assert needed(write_study({MODEL: SERVED % "" + judged.format(", verdict: label")})) == ()
    assert needed(write_study({MODEL: SERVED % "", "evolvers: [tiny]": "evolvers: [tiny]\n  probabilities: 5"})) == (
        "reply_logprobs",
    )
    assert needed(write_study({})) == (), "other engines give all of them"
