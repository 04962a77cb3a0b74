"""Fixtures for tests of evaluation: models with prescribed replies, NLTK's data, a sandbox."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from actors.engine import Classification, ClassifyRequest, GenerateRequest, Generation, LogprobRequest, RequestError
from actors.engine import TokenLogprobs as Logprobs
from actors.sandbox.protocol.job import SandboxError
from actors.sandbox.sandbox import Sandbox


@dataclass
class Told:
    """A model whose replies are a function of the conversation. Where the function returns None, the request fails."""

    says: Callable[[tuple[tuple[str, str], ...]], str | None]
    weighs: Callable[[str, str], float] = lambda context, text: -1.0
    asked: list[GenerateRequest] = field(default_factory=list[GenerateRequest])
    alternatives: Callable[[GenerateRequest], tuple[tuple[str, float], ...]] = lambda request: ()

    async def generate(self, request: GenerateRequest) -> Generation:
        self.asked.append(request)
        text = self.says(request.messages)
        if text is None:
            raise RequestError("too_long", "the prompt does not fit")
        finish = "stop" if text else "length"
        return Generation(request.id, text, finish, 1, 1, alternatives=self.alternatives(request))

    async def logprobs(self, request: LogprobRequest) -> Logprobs:
        return Logprobs(request.id, 1, (None, self.weighs(request.context, request.text)), lengths=(1, 1, 0))

    async def classify(self, request: ClassifyRequest) -> Classification:
        raise NotImplementedError


@pytest.fixture(scope="session")
def nltk_data(shared_data: Path) -> Path:
    """NLTK's sentence splitter, found where the public data sets are."""
    os.environ.setdefault("NLTK_DATA", str(shared_data / "nltk_data"))
    import nltk

    nltk.data.path.insert(0, str(shared_data / "nltk_data"))
    return shared_data / "nltk_data"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        box = Sandbox(workers=2)
    except SandboxError as error:
        pytest.skip(str(error))
    with box:
        yield box
