"""The transformers engines: order of requests, sleep and wake, memory that is too small, rewards."""

from __future__ import annotations

import asyncio
import math
import weakref
from collections.abc import Sequence
from typing import Any

import torch

import bundled
from actors.engine import Classification, ClassifyRequest, EngineSpec, GenerateRequest, LogprobRequest, Sampling
from actors.engines.registry import create
from actors.engines.torch_engine import run_on_device
from actors.inference.micro_batcher import MicroBatcher
from benchmarks.gpu_check.report import Recorder
from benchmarks.gpu_check.support import allocated, ask, device, on_gpu, texts

MODEL = str(bundled.path("tiny-4m-chat"))
REWARD = str(bundled.path("tiny-1m-reward"))
REPLIES = [
    GenerateRequest(f"g{i}", (("user", f"say the word {i}"),), Sampling(float(i % 2), 0.9, 12), i, logprobs=True)
    for i in range(24)
]
IMPOSSIBLE = 2**50  # bytes, more than any device has
LONG_TEXT_ROWS = 64


def chat_engine(dtype: str = "float32", **options: Any) -> Any:
    """Return the transformers engine with a bundled chat model."""
    spec = EngineSpec("transformers", MODEL, dtype=dtype, max_length=1024, options=tuple(options.items()))
    return create(spec)


def order(record: Recorder) -> None:
    """Ask for greedy and sampled replies in two orders, and one by one."""
    engine = chat_engine()
    there, back = ask(engine, "generate", REPLIES), ask(engine, "generate", REPLIES[::-1])[::-1]
    alone = [ask(engine, "generate", [request])[0] for request in REPLIES[:4]]
    record.check("the engine is on the device", engine._model.device == device(), device=str(engine._model.device))
    record.check("replies do not depend on the order", texts(there) == texts(back), replies=len(there))
    record.check("nor on the batch", texts(alone) == texts(there)[:4], replies=len(alone))
    logprobs = [value for reply in there for value in reply.logprobs]
    record.check("their log-probabilities are at most 0", all(value <= 0 for value in logprobs), tokens=len(logprobs))
    engine.close()


def sleep(record: Recorder) -> None:
    """Offload, load back and close a model, and look at the memory each time."""
    engine = chat_engine()
    before, loaded = texts(ask(engine, "generate", REPLIES[:1])), allocated()
    size = sum(each.nbytes for each in engine._model.parameters())
    asyncio.run(engine.sleep())
    asleep = allocated()
    asyncio.run(engine.wake())
    freed = loaded - asleep  # not all that is left is the model's: libraries keep work spaces
    record.judge("an offloaded model frees its memory", freed >= 0.9 * size, on_gpu(), freed=freed, weights=size)
    record.check("once back, it replies as before", texts(ask(engine, "generate", REPLIES[:1])) == before)
    weights = weakref.ref(next(engine._model.parameters()))
    engine.close()
    record.check("a closed model frees its memory", weights() is None and allocated() <= asleep, left=allocated())


def out_of_memory(record: Recorder) -> None:
    """Run out of memory in a batch: the error is known, and the halves of the batch are tried."""
    try:
        run_on_device(lambda: torch.empty(IMPOSSIBLE, dtype=torch.uint8, device=device()))
        record.check("out of memory is a MemoryError", False)
    except MemoryError as error:
        record.check("out of memory is a MemoryError", True, message=str(error)[:60])
    sizes: list[int] = []

    def compute(rows: Sequence[int]) -> Sequence[int]:
        sizes.append(len(rows))
        if len(rows) > 2:
            run_on_device(lambda: torch.empty(IMPOSSIBLE, dtype=torch.uint8, device=device()))
        return rows

    asyncio.run(_submit_all(compute, 8))
    record.check("a batch of 8 becomes batches of 2", max(sizes) > 2 and sizes.count(2) >= 2, sizes=sizes)
    if on_gpu():
        _exhaust(record)
    else:
        record.skip("texts that do not fit are scored in smaller batches", "needs a GPU whose memory can be limited")


async def _submit_all(compute: Any, count: int) -> None:
    batcher = MicroBatcher(count, 10**9)
    await asyncio.gather(*(batcher.submit(compute, number, None, 1) for number in range(count)))
    batcher.close()


def _exhaust(record: Recorder) -> None:
    """Allow torch little memory, and score texts of which only some fit at once."""
    texts_to_score = [LogprobRequest(f"l{i}", "", "river stone light water " * 150) for i in range(LONG_TEXT_ROWS)]
    engine = chat_engine(max_batch=LONG_TEXT_ROWS, max_batch_tokens=10**9)
    engine._scoring_pace.record(10**9, 0.1)  # so that the pace of passes does not limit the batch
    expected = ask(engine, "logprobs", texts_to_score)
    peak, total = torch.cuda.max_memory_allocated(), torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((allocated() + (peak - allocated()) / 3) / total)
    found = ask(engine, "logprobs", texts_to_score)
    same = all(not isinstance(one, Exception) for one in found) and all(
        abs(a - b) < 1e-3
        for one, other in zip(found, expected, strict=True)
        for a, b in zip(one.logprobs[1:], other.logprobs[1:], strict=True)
    )
    now = engine._batcher._max_size
    record.check("texts that do not fit are scored in smaller batches", same and now < 10**9, tokens_per_batch=now)
    engine.close()


def rewards(record: Recorder) -> None:
    """Classify conversations together and one by one, in both dtypes."""
    conversations = [
        ClassifyRequest(f"c{i}", messages=(("user", "say " * (i + 1)), ("assistant", "word " * (i + 1))))
        for i in range(8)
    ]
    found: dict[str, list[Any]] = {}
    for dtype in ("float32", "bfloat16"):
        engine = create(EngineSpec("classifier", REWARD, dtype=dtype, max_length=256))
        found[dtype] = ask(engine, "classify", conversations)
        numbers = all(isinstance(one, Classification) and math.isfinite(one.logits[0]) for one in found[dtype])
        record.check(
            f"rewards in {dtype} are numbers", numbers, first=str(getattr(found[dtype][0], "logits", found[dtype][0]))
        )
        if numbers:
            alone = [ask(engine, "classify", [one])[0].logits[0] for one in conversations[:3]]
            largest = max(abs(a - b.logits[0]) for a, b in zip(alone, found[dtype], strict=False))
            record.check(
                f"alone they are the same ({dtype})", largest < (1e-3 if dtype == "float32" else 0.1), largest=largest
            )
        engine.close()
