"""Asks a bundled model in its chat format without any engine, for benchmarks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

from bundled import family

BATCH: Final = 64
MAX_NEW_TOKENS: Final = 72


class Chat:
    """A model that is loaded from a folder and asked in its chat format."""

    def __init__(self, folder: Path) -> None:
        model: Any = family.load(folder)
        self._generate = model.eval().generate
        self._tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(folder)
        self._encoder = family.RowEncoder(self._tokenizer)

    def replies(self, asked: Sequence[str], temperature: float = 0.0, max_tokens: int = MAX_NEW_TOKENS) -> list[str]:
        """Return one stripped reply per user turn: greedy at temperature 0, or else sampled with top_p 0.95."""
        batches = [asked[start:][:BATCH] for start in range(0, len(asked), BATCH)]
        return [reply for batch in batches for reply in self._batch(batch, temperature, max_tokens)]

    def _batch(self, asked: Sequence[str], temperature: float, max_tokens: int) -> list[str]:
        rows = [self._ids(content) for content in asked]
        width = max(map(len, rows))
        pad = self._encoder.control("pad")
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        how = (
            {"do_sample": True, "temperature": temperature, "top_p": 0.95, "top_k": 0}
            if temperature
            else {"do_sample": False}
        )
        config = GenerationConfig(
            max_new_tokens=max_tokens, eos_token_id=self._encoder.control("end"), pad_token_id=pad, **how
        )
        with torch.no_grad():
            out = self._generate(ids, attention_mask=(ids != pad).long(), generation_config=config)
        return [text.strip() for text in self._tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)]

    def _ids(self, content: str) -> list[int]:
        control = self._encoder.control
        return [control("bos"), control("user"), *self._encoder.text(content), control("end"), control("assistant")]
