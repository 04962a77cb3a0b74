"""Models behind servers: what the study file alone shows is reported before anything is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

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
