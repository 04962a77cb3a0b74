"""Speed: decoding against vLLM's own benchmark, scoring against the published code, training against the GPU's peak."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from actors.engine import EngineSpec, GenerateRequest, Generation, Sampling, TokenLogprobs
from actors.engines.registry import create
from actors.engines.vllm_arguments import CPU_KV_CACHE_BYTES
from actors.engines.vllm_runtime.environment import set_environment
from actors.engines.vllm_runtime.stderr import failure_cause
from actors.training.batches import collate
from actors.training.learner import Learner
from actors.training.model import load_model
from actors.training.peak_flops import peak_flops
from actors.training.spec import TrainSpec
from benchmarks.gpu_check.report import Recorder
from benchmarks.gpu_check.support import (
    LARGE,
    SCORED,
    WORDS,
    Shape,
    ask,
    ask_async,
    chosen,
    device,
    on_gpu,
    random_model,
)
from benchmarks.support.published_scores import losses
from cluster.resources.inventory import GIB
from cluster.resources.memory_footprint import TrainingConfig, training_memory
from cluster.resources.model_architecture import architecture
from pipelines.operators.score.perplexity import logprob_request
from pipelines.rows.types import ResponseRow
from pipelines.study.spec.pairs.scoring import ScoringOptions

DECODE_GOAL, SCORING_GOAL, MFU_GOAL = 0.9, 20.0, 0.3
PROMPT_WORDS, NEW_TOKENS = 32, 128
# as `vllm bench throughput`, which looks up the version of a package that has another name in the build for CPUs
VLLM_BENCHMARK = """
from vllm.benchmarks.throughput import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""
CPU_ARGUMENTS = [  # those of our engine
    *("--enforce-eager", "--no-enable-chunked-prefill", "--max-num-batched-tokens", "2048"),
    *("--kv-cache-memory-bytes", str(CPU_KV_CACHE_BYTES)),
]
PASS_ROWS, PASS_LENGTH, WARM_UP, STEPS = 4, 2048, 1, 4


def decode(record: Recorder) -> None:
    """Decode the same amount with our engine and with `vllm bench throughput`, one after the other."""
    prompts, tokens = (512, NEW_TOKENS) if on_gpu() else (16, 16)
    with tempfile.TemporaryDirectory() as folder:
        dtype = torch.bfloat16 if on_gpu() else torch.float32
        model = random_model(Path(folder) / "model", chosen(LARGE), dtype)
        theirs, prompt_tokens = _vllm_benchmark(model, prompts, tokens, Path(folder) / "bench.json")
        ours = asyncio.run(_decode_ours(model, prompts, tokens))
    ratio = ours / theirs
    record.check("tokens are decoded", ours > 0, ours=ours, vllm=theirs, prompts=prompts, prompt_tokens=prompt_tokens)
    record.judge("as fast as vLLM's own benchmark", ratio >= DECODE_GOAL, on_gpu(), ratio=ratio, goal=DECODE_GOAL)


def _vllm_benchmark(model: str, prompts: int, tokens: int, output: Path) -> tuple[float, int]:
    """Return the tokens per second that vLLM's benchmark generates, and the tokens of each prompt."""
    lengths = ["--random-input-len", str(PROMPT_WORDS * 2), "--random-output-len", str(tokens)]
    command = [sys.executable, "-c", VLLM_BENCHMARK, "--model", model, "--dataset-name", "random", *lengths]
    command += ["--num-prompts", str(prompts)]
    command += ["--max-model-len", "512", "--output-json", str(output), *([] if on_gpu() else CPU_ARGUMENTS)]
    set_environment(device().type, batch_invariant=False)
    done = subprocess.run(command, capture_output=True, text=True)
    if not output.exists():
        print(done.stderr, file=sys.stderr)
        raise RuntimeError(f"vLLM's benchmark failed: {failure_cause(done.stderr.splitlines())}")
    measured = json.loads(output.read_text())
    return prompts * tokens / measured["elapsed_time"], PROMPT_WORDS * 2


async def _decode_ours(model: str, prompts: int, tokens: int) -> float:
    spec = EngineSpec("vllm", model, max_length=511)
    engine: Any = await asyncio.to_thread(create, spec)
    draw = random.Random(0)
    requests = [
        GenerateRequest(
            f"r{i}", (("user", " ".join(draw.choices(WORDS, k=PROMPT_WORDS))),), Sampling(1.0, 1.0, tokens), i
        )
        for i in range(prompts)
    ]
    try:
        await ask_async(engine, "generate", requests[:4])
        started = time.monotonic()
        replies: list[Generation] = await ask_async(engine, "generate", requests)
        return sum(reply.tokens_out for reply in replies) / (time.monotonic() - started)
    finally:
        engine.close()


def scoring(record: Recorder) -> None:
    """Score pairs with our engine and with the published code, on the same device and in the same dtype."""
    rows, of_published = (1000, 200) if on_gpu() else (48, 24)
    dtype = torch.bfloat16 if on_gpu() else torch.float32
    pairs = _pairs(rows)
    with tempfile.TemporaryDirectory() as folder:
        model = random_model(Path(folder) / "model", chosen(SCORED), dtype)
        ours, found = _score_ours(model, pairs)
        theirs, expected = _score_published(model, pairs[:of_published], dtype)
    difference = max(abs(a - b) for a, b in zip(found, expected, strict=False))
    limit = 0.05 if on_gpu() else 1e-3
    record.check("losses of answers are the published code's", difference < limit, largest=difference, limit=limit)
    record.judge(
        "faster than the published code",
        ours / theirs >= SCORING_GOAL,
        on_gpu(),
        ratio=ours / theirs,
        goal=SCORING_GOAL,
        rows_per_second=ours,
    )


def _pairs(count: int) -> list[dict[str, str]]:
    """Return instructions of 5 to 40 words and answers of 10 to 200."""
    draw = random.Random(0)
    made = [(" ".join(draw.choices(WORDS, k=draw.randint(5, 40))), draw.randint(10, 200)) for _ in range(count)]
    return [{"instruction": text, "input": "", "output": " ".join(draw.choices(WORDS, k=n))} for text, n in made]


def _score_ours(model: str, pairs: Sequence[dict[str, str]]) -> tuple[float, list[float]]:
    """Return the rows per second, and each answer's loss."""
    engine = create(EngineSpec("transformers", model, max_length=1024))
    made = [
        ResponseRow(f"r{i}", "", "", 0, pair["instruction"], "", pair["output"], "stop", 0, 0)
        for i, pair in enumerate(pairs)
    ]
    requests = [logprob_request(row, row.id, ScoringOptions()) for row in made]
    ask(engine, "logprobs", requests[:16])
    started = time.monotonic()
    answers: list[TokenLogprobs] = ask(engine, "logprobs", requests)
    seconds = time.monotonic() - started
    engine.close()
    return len(pairs) / seconds, [_mean_loss(answer.alone) for answer in answers]


def _mean_loss(logprobs: Sequence[float | None]) -> float:
    values = [value for value in logprobs if value is not None]
    return -sum(values) / len(values)


def _score_published(model: str, pairs: Sequence[dict[str, str]], dtype: torch.dtype) -> tuple[float, list[float]]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    auto: Any = AutoModelForCausalLM
    loaded: Any = auto.from_pretrained(model, dtype=dtype).to(device()).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    for pair in pairs[:4]:
        losses(loaded, tokenizer, pair)
    started = time.monotonic()
    alone = [losses(loaded, tokenizer, pair)[2] for pair in pairs]
    return len(pairs) / (time.monotonic() - started), alone


def training(record: Recorder) -> None:
    """Train packed rows of full length in bfloat16, and compare speed and memory with what is expected of them."""
    shape, length = chosen(LARGE), PASS_LENGTH if on_gpu() else 128
    with tempfile.TemporaryDirectory() as folder:
        model = random_model(Path(folder) / "model", shape, torch.float32)
        config = json.loads((Path(folder) / "model" / "config.json").read_text())
        spec = TrainSpec(model, dtype="bfloat16" if on_gpu() else "float32", packing=True)
        base: Any = load_model(spec, torch.float32)
        learner = Learner(base.to(device()), spec, on_gpu(), lambda: load_model(spec, torch.float32))
    seconds = _train_steps(learner, shape, length)
    rate = STEPS * 2 * PASS_ROWS * length / seconds
    peak, source = peak_flops(device(), torch.bfloat16 if on_gpu() else torch.float32, torch.get_num_threads())
    mfu = 6 * learner.parameter_count * rate / peak
    record.check("a model is trained", rate > 0, tokens_per_second=rate, parameters=learner.parameter_count)
    record.judge("MFU", mfu >= MFU_GOAL, on_gpu(), mfu=mfu, goal=MFU_GOAL, peak=source)
    planned = training_memory(
        architecture(config), TrainingConfig(2 if on_gpu() else 4, rows=PASS_ROWS, length=length), on_gpu()
    ).total
    used = torch.cuda.max_memory_reserved() if on_gpu() else 0
    record.judge("memory is as planned", used <= planned, on_gpu(), gib=used / GIB, planned_gib=planned / GIB)


def _train_steps(learner: Learner, shape: Shape, length: int) -> float:
    """Return the seconds of STEPS optimizer steps of two passes each, after warming up."""
    draw = random.Random(0)
    rows = [
        {"input_ids": ids, "labels": ids}
        for ids in ([draw.randrange(shape.vocabulary) for _ in range(length)] for _ in range(PASS_ROWS))
    ]
    started = 0.0
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            _synchronize()
            started = time.monotonic()
        for last in (False, True):
            learner.begin(last)
            learner.backward(learner.losses(collate([rows], 0, True)).sum() / (PASS_ROWS * length))
        learner.step([1e-5])
    _synchronize()
    return time.monotonic() - started


def _synchronize() -> None:
    if on_gpu():
        torch.cuda.synchronize()
