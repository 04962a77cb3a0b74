"""A model that says what a test gives it, and a sandbox that is asked as the pool's client is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest

from actors.engine import FinishReason, GenerateRequest, Generation, LogprobRequest, Sampling, TokenLogprobs
from actors.sandbox.protocol.job import Outcome, Plain, SandboxError, SandboxJob
from actors.sandbox.sandbox import Sandbox
from pipelines.operators.autoif.sampling import RepeatedSampler


class Says:
    """An engine that says one text after the other, over and over, and remembers what it was asked."""

    def __init__(self, texts: Sequence[str], finish: FinishReason) -> None:
        self.texts = texts
        self.finish: FinishReason = finish
        self.asked: list[GenerateRequest] = []

    async def generate(self, request: GenerateRequest) -> Generation:
        self.asked.append(request)
        return Generation(request.id, self.texts[(len(self.asked) - 1) % len(self.texts)], self.finish, 9, 4)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        raise NotImplementedError


class Local:
    """A sandbox of this process, with the methods of the pool's client."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def run(self, job: SandboxJob) -> Outcome:
        return await asyncio.to_thread(self.sandbox.run, job)

    async def run_cases(self, job: SandboxJob, cases: Sequence[tuple[Plain, ...]]) -> list[Outcome]:
        return await asyncio.to_thread(self.sandbox.run_cases, job, cases)


@pytest.fixture(scope="module")
def runner() -> Iterator[Local]:
    try:
        box = Sandbox(workers=2)
    except SandboxError as error:
        pytest.skip(str(error))
    with box:
        yield Local(box)


@pytest.fixture
def asker() -> Callable[..., RepeatedSampler]:
    """An asker of a model that says these texts; the model is its `client`."""

    def made(*texts: str, finish: FinishReason = "stop", study_seed: int = 0) -> RepeatedSampler:
        return RepeatedSampler(Says(texts, finish), Sampling(), study_seed)

    return made
