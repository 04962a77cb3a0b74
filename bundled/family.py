"""The architectures of the bundled models, and how a model is saved as a Hugging Face folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from bundled.tokenizer import ASSISTANT, BOS, CONTEXT, END, PAD, SYSTEM, USER


@dataclass(frozen=True)
class Size:
    """Width, depth, heads and width of the MLP."""

    width: int
    layers: int
    heads: int
    inner: int


SIZES: Final = {
    "tiny-1m": Size(width=128, layers=4, heads=4, inner=384),
    "tiny-4m": Size(width=256, layers=4, heads=8, inner=768),
}


class RowEncoder:
    """Encodes text and control tokens in the same way as the chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        names = {"bos": BOS, "pad": PAD, "user": USER, "assistant": ASSISTANT, "system": SYSTEM, "end": END}
        self._controls = {name: tokenizer.get_vocab()[token] for name, token in names.items()}

    def text(self, content: str) -> list[int]:
        """Return the ids of content. Control tokens written in it stay text."""
        return self._tokenizer.encode(content, add_special_tokens=False, split_special_tokens=True)

    def control(self, name: str) -> int:
        """Return the id of bos, pad, user, assistant, system or end."""
        return self._controls[name]


def new_model(size: Size, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return a newly initialised model in float32."""
    ids = tokenizer.get_vocab()
    tokens = LlamaConfig(vocab_size=len(ids), bos_token_id=ids[BOS], eos_token_id=ids[END], pad_token_id=ids[PAD])
    return _new_model(size, tokens)


def _new_model(size: Size, tokens: LlamaConfig) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=tokens.vocab_size,
        hidden_size=size.width,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
        rms_norm_eps=1e-5,
    )
    return LlamaForCausalLM(config)


def save(
    model: LlamaForCausalLM | LlamaForSequenceClassification, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write the folder with bfloat16 weights, and replace each file atomically. The model itself does not change."""
    copy = type(model)(model.config)
    copy.load_state_dict(model.state_dict())
    if isinstance(copy, LlamaForCausalLM):
        copy.generation_config = GenerationConfig(
            bos_token_id=copy.config.bos_token_id,
            eos_token_id=copy.config.eos_token_id,
            pad_token_id=copy.config.pad_token_id,
        )
    partial = folder.with_name(f".{folder.name}.partial")
    copy.bfloat16().save_pretrained(partial)
    tokenizer.save_pretrained(partial, save_jinja_files=False)
    _name_common_tokenizer_class(partial / "tokenizer_config.json")
    folder.mkdir(parents=True, exist_ok=True)
    for file in partial.iterdir():
        file.chmod(0o644)
        file.replace(folder / file.name)
    partial.rmdir()


def _name_common_tokenizer_class(file: Path) -> None:
    # Only the newest releases of transformers know the class that it writes by default
    config = json.loads(file.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    file.write_text(json.dumps(config, indent=2) + "\n")


def load(folder: Path) -> LlamaForCausalLM:
    """Return the model in a folder, in float32."""
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)


def grow(small: LlamaForCausalLM, size: Size, noise: float = 0.02) -> LlamaForCausalLM:
    """Return a model of twice the width and the same depth that computes the same function as `small`.

    Every hidden unit is duplicated. The weights of the two copies are split unevenly (by noise that cancels out), so
    that training makes the copies different.

    Raises:
        ValueError: If `size` is not twice the width of `small`.
    """
    old = small.config
    doubled = Size(2 * old.hidden_size, old.num_hidden_layers, 2 * old.num_attention_heads, 2 * old.intermediate_size)
    if size != doubled:
        raise ValueError(f"cannot grow to {size}, only to {doubled}")
    large = _new_model(size, old)
    targets = large.state_dict()
    for name, weight in small.state_dict().items():
        targets[name].copy_(_double(name, weight, noise))
    return large


def _double(name: str, weight: Tensor, noise: float) -> Tensor:
    if name == "model.norm.weight":
        # The tied head sums over both copies
        return weight.repeat(2) / 2
    if weight.ndim == 1:
        return weight.repeat(2)
    if name in ("model.embed_tokens.weight", "lm_head.weight"):
        return weight.repeat(1, 2)
    uneven = noise * torch.randn(2 * weight.shape[0], weight.shape[1])  # [2 * out, in]
    half = weight.repeat(2, 1) / 2  # [2 * out, in]
    return torch.cat([half + uneven, half - uneven], dim=1)  # [2 * out, 2 * in]
