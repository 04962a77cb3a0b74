"""What stages share: the device, the models, and requests to an engine without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

import bundled
from actors.engine import Engine, Generation, Request

Method = Literal["generate", "logprobs", "classify"]
WORDS = "name three rivers that flow through large cities and say why water stone light matter to them".split()


def on_gpu() -> bool:
    """Return whether torch can use a GPU here."""
    return torch.cuda.is_available()


def device() -> torch.device:
    """Return the first GPU, or the CPU."""
    return torch.device("cuda", 0) if on_gpu() else torch.device("cpu")


def ask(engine: Engine, method: Method, requests: Sequence[Request]) -> list[Any]:
    """Return an engine's answers to concurrent requests, in their order; exceptions are answers, too."""
    return asyncio.run(ask_async(engine, method, requests))


async def ask_async(engine: Engine, method: Method, requests: Sequence[Request]) -> list[Any]:
    """Return the same within an event loop: some engines are tied to the loop of their first request."""
    return await asyncio.gather(*(getattr(engine, method)(request) for request in requests), return_exceptions=True)


def texts(replies: Sequence[Any]) -> list[str]:
    """Return the texts of replies.

    Raises:
        Exception: One of them is this exception.
    """
    for reply in replies:
        if not isinstance(reply, Generation):
            raise reply
    return [reply.text for reply in replies]


def allocated() -> int:
    """Return the bytes of torch's tensors on the GPU; 0 without one."""
    return torch.cuda.memory_allocated() if on_gpu() else 0


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Llama with random weights."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    length: int = 4096


SMALL = Shape(128, 4, 2, 2, 341, 2048, 1024)  # 1.3 million parameters
LARGE = Shape(2048, 16, 16, 8, 5632, 32_000)  # 1.0 billion parameters
ENOUGH_BYTES = 70e9
SCORED = Shape(1024, 16, 16, 8, 2816, 32_000)  # 0.25 billion parameters


def chosen(large: Shape) -> Shape:
    """Return the shape for this machine: `large` on a GPU with enough memory for its training."""
    if not on_gpu():
        return SMALL
    return large if torch.cuda.get_device_properties(0).total_memory > ENOUGH_BYTES else SCORED


def random_model(folder: Path, shape: Shape, dtype: torch.dtype) -> str:
    """Save a model of this shape with a bundled model's tokenizer, which uses few of its vocabulary's entries."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer: Any = AutoTokenizer.from_pretrained(bundled.path("tiny-4m-chat"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model: Any = LlamaForCausalLM(config)
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
