"""vLLM as an engine: it starts without a compiler of CUDA, and does what the engines' interface promises."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import bundled
from actors.engine import EngineSpec, GenerateRequest, LogprobRequest, Sampling, TokenLogprobs
from actors.engines.registry import create
from actors.serving.pool import Pool
from actors.serving.spec import PoolSpec, ReplicaResources
from benchmarks.gpu_check.report import Recorder
from benchmarks.gpu_check.support import WORDS, ask, ask_async, on_gpu, texts
from cluster.connection.session import connect
from cluster.resources.nvml import gpu_uuids, query_gpu_memory

MODEL = str(bundled.path("tiny-4m-chat"))
MAX_LENGTH = 512
SCORE_LIMIT = 0.05  # nats per token, on average
AGREEMENT = 0.8  # share of greedy replies that start as those of transformers
COMPILERS = ("nvcc", "ninja")
SCHEMA = json.dumps({"type": "object", "properties": {"word": {"enum": ["river", "stone"]}}, "required": ["word"]})
READY_SECONDS = 170


def run(record: Recorder) -> None:
    """Start vLLM and go through the features of engines."""
    os.environ.pop("CUDA_HOME", None)
    reference = create(EngineSpec("transformers", MODEL, dtype="float32", max_length=MAX_LENGTH))
    replies, scores = texts(ask(reference, "generate", _greedy())), ask(reference, "logprobs", _scored())
    reference.close()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as programs:
        os.environ["PATH"] = path_without(COMPILERS, Path(programs))
        adapter = make_adapter(Path(folder))
        asyncio.run(_run(record, replies, scores, adapter))


def path_without(programs: Sequence[str], copies: Path) -> str:
    """Return PATH without these programs. A folder that holds one is replaced by one of links to all others."""
    folders: list[str] = []
    for number, folder in enumerate(map(Path, os.environ.get("PATH", "").split(os.pathsep))):
        if any((folder / program).exists() for program in programs):
            copy = copies / str(number)
            copy.mkdir()
            for other in (each for each in folder.iterdir() if each.name not in programs):
                (copy / other.name).symlink_to(other)
            folder = copy
        folders.append(str(folder))
    return os.pathsep.join(folders)


def make_adapter(folder: Path) -> str:
    """Save a LoRA adapter of the bundled model with random weights."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    base: Any = AutoModelForCausalLM.from_pretrained(MODEL)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(str(folder))
    tokenizer: Any = AutoTokenizer.from_pretrained(MODEL)
    tokenizer.save_pretrained(str(folder))
    return str(folder)


def _greedy() -> list[GenerateRequest]:
    return [
        GenerateRequest(
            f"g{i}", (("user", f"tell me something about a {WORDS[i % len(WORDS)]}"),), Sampling(0.0, 1.0, 12)
        )
        for i in range(16)
    ]


def _scored() -> list[LogprobRequest]:
    return [LogprobRequest(f"s{i}", "say it: ", " ".join(WORDS[: i + 2])) for i in range(8)]


async def _run(record: Recorder, replies: list[str], scores: list[Any], adapter: str) -> None:
    """Keep to one event loop: vLLM's engine belongs to that of its first request."""
    started = time.monotonic()
    spec = EngineSpec("vllm", MODEL, max_length=MAX_LENGTH, options=(("lora", True), *_memory(0.5)))
    engine: Any = await asyncio.to_thread(create, spec)
    try:
        compilers = f"without {' and '.join(COMPILERS)}"
        record.check(
            f"vLLM starts {compilers}", True, seconds=time.monotonic() - started, features=sorted(engine.features)
        )
        await _check_replies(record, engine, replies)
        await _check_scores(record, engine, scores)
        await _check_schema(record, engine)
        await _check_adapter(record, engine, adapter)
        await _check_sleep(record, engine)
    finally:
        engine.close()


def _memory(share: float) -> tuple[tuple[str, float], ...]:
    """Return the option for a share of the GPU; vLLM's build for CPUs has its own limit."""
    return (("gpu_memory_utilization", share),) if on_gpu() else ()


async def _check_replies(record: Recorder, engine: Any, expected: list[str]) -> None:
    found = texts(await ask_async(engine, "generate", _greedy()))
    agreeing = sum(a.split()[:1] == b.split()[:1] for a, b in zip(found, expected, strict=True)) / len(found)
    record.check(
        "greedy replies start as those of transformers",
        any(found) and agreeing >= AGREEMENT,
        share=agreeing,
        limit=AGREEMENT,
    )
    drawn = [
        GenerateRequest(f"d{s}", (("user", "tell me something about rivers"),), Sampling(1.0, 1.0, 12), s)
        for s in (1, 2, 3, 4)
    ]
    first, again = [[texts([await engine.generate(one)])[0] for one in drawn] for _ in range(2)]
    record.check("a seed gives the same reply again", first == again)
    record.check("other seeds give other replies", len(set(first)) > 1, different=len(set(first)))


async def _check_scores(record: Recorder, engine: Any, expected: list[Any]) -> None:
    found: list[TokenLogprobs] = await ask_async(engine, "logprobs", _scored())
    differences = [
        abs(a - b)
        for one, other in zip(found, expected, strict=True)
        for a, b in zip(one.logprobs, other.logprobs, strict=True)
        if a is not None and b is not None
    ]
    mean = sum(differences) / len(differences)
    name = "log-probabilities of prompts are near those of transformers in float32"
    record.check(name, mean < SCORE_LIMIT, mean=mean, largest=max(differences), limit=SCORE_LIMIT)


async def _check_schema(record: Recorder, engine: Any) -> None:
    request = GenerateRequest("schema", (("user", "say river"),), Sampling(0.0, 1.0, 32), schema=SCHEMA)
    (reply,) = texts(await ask_async(engine, "generate", [request]))
    record.check("a reply follows its schema", json.loads(reply).get("word") in ("river", "stone"), reply=reply)


async def _check_adapter(record: Recorder, engine: Any, adapter: str) -> None:
    plain = _greedy()[:8]
    adapted = [GenerateRequest(f"a{i}", one.messages, one.sampling, adapter=adapter) for i, one in enumerate(plain)]
    mixed = texts(await ask_async(engine, "generate", [*plain, *adapted]))
    merged = await asyncio.to_thread(
        create, EngineSpec("transformers", adapter, dtype="float32", max_length=MAX_LENGTH)
    )
    expected = texts(await ask_async(merged, "generate", plain))
    merged.close()
    ours, base = mixed[len(plain) :], mixed[: len(plain)]
    agreeing = sum(a.split()[:1] == b.split()[:1] for a, b in zip(ours, expected, strict=True)) / len(ours)
    record.check("a LoRA adapter applies to its own requests", ours != base and agreeing >= AGREEMENT, share=agreeing)


async def _check_sleep(record: Recorder, engine: Any) -> None:
    if "sleep" not in engine.features:
        record.skip("an offloaded model frees the GPU", "vLLM sleeps on GPUs only")
        return
    before, request = _used_mib(), _greedy()[:1]
    said = texts(await ask_async(engine, "generate", request))
    await engine.sleep()
    asleep = _used_mib()
    await engine.wake()
    record.check("an offloaded model frees the GPU", asleep < before / 2, mib=before, asleep_mib=asleep)
    record.check("once back, it replies as before", texts(await ask_async(engine, "generate", request)) == said)


def _used_mib() -> int:
    return sum(each.used for each in query_gpu_memory(gpu_uuids()[:1]))


def halves(record: Recorder) -> None:
    """Start two pools with half a GPU each, and ask both."""
    spec = EngineSpec("vllm", MODEL, max_length=MAX_LENGTH)
    with connect(None, cpus=4):
        pools = [Pool(PoolSpec(spec, f"half-{name}", ReplicaResources(1, 0.5))) for name in "ab"]
        try:
            for pool in pools:
                pool.wait_until_ready(READY_SECONDS)
            clients: list[Any] = [pool.client() for pool in pools]
            one, other = (texts(asyncio.run(ask_async(client, "generate", _greedy()))) for client in clients)
            record.check("two engines share a GPU and reply alike", one == other, used_mib=_used_mib())
        finally:
            for pool in pools:
                pool.close()
