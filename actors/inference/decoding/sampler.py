"""Sampling of the next tokens: every row has its own temperature, nucleus and noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import LogitsProcessor

from actors.engine import Sampling


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """One prompt as token ids, the sampling of its continuation, and whether to return log-probabilities.

    `top_logprobs` is the number of tokens whose log-probabilities to return at each position.
    """

    prompt: tuple[int, ...]
    sampling: Sampling
    seed: int
    logprobs: bool = False
    top_logprobs: int = 0


class GumbelSampler(LogitsProcessor):
    """Turns greedy search into sampling: the argmax of log-probabilities plus Gumbel noise is an exact sample.

    Each row has its own generator of noise, so its tokens depend on its own seed and step alone.
    """

    def __init__(self, rows: Sequence[DecodeRequest], device: torch.device, on_step: Callable[[], None]) -> None:
        self._on_step, self._device, self._all_rows = on_step, device, rows
        self._pending: list[torch.Tensor] = []  # log-probabilities of steps: [rows with logprobs]
        self._logprobs: list[list[float] | None] = [[] if row.logprobs else None for row in rows]
        self._alternatives: list[list[list[tuple[int, float]]]] = [[] for _ in rows]  # by row and step
        self._noise_of = {
            i: torch.Generator(device).manual_seed(row.seed % 2**63)
            for i, row in enumerate(rows)
            if row.sampling.temperature > 0
        }
        self._use([*range(len(rows))])

    def keep(self, rows: Sequence[int]) -> None:
        """Continue with these rows of the current ones."""
        self._collect_logprobs()
        self._use([self._numbers[row] for row in rows])

    def _use(self, numbers: list[int]) -> None:
        """Sample from now on for the rows with these numbers among all rows."""
        rows, self._numbers = [self._all_rows[number] for number in numbers], numbers
        self._logprob_rows = [i for i, row in enumerate(rows) if row.logprobs]
        self._top = {i: row.top_logprobs for i, row in enumerate(rows) if row.top_logprobs}
        sampled = [i for i, row in enumerate(rows) if row.sampling.temperature > 0]
        self._sampled_rows = torch.tensor(sampled, dtype=torch.long, device=self._device)  # [sampled]
        temperatures = [[rows[i].sampling.temperature] for i in sampled]
        self._temperature = torch.tensor(temperatures, device=self._device)  # [sampled, 1]
        self._top_p = torch.tensor([[rows[i].sampling.top_p] for i in sampled], device=self._device)  # [sampled, 1]
        self._generators = [self._noise_of[numbers[i]] for i in sampled]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return scores [rows, vocabulary] whose argmax is the next token."""
        self._on_step()
        self._keep_alternatives(scores)
        raw = scores[self._logprob_rows].float() if self._logprob_rows else None  # [rows with logprobs, vocabulary]
        if self._generators:
            scores = scores.float()
            scores[self._sampled_rows] = nucleus(
                scores[self._sampled_rows] / self._temperature, self._top_p
            ) + self._noise(scores)
        if raw is not None:
            chosen = scores[self._logprob_rows].argmax(dim=-1)  # [rows with logprobs]
            self._pending.append(-torch.nn.functional.cross_entropy(raw, chosen, reduction="none"))
        return scores

    def logprobs(self) -> list[list[float] | None]:
        """Return for each row the log-probabilities of all tokens so far under the model; None if not requested."""
        self._collect_logprobs()
        return self._logprobs

    def _collect_logprobs(self) -> None:
        if self._pending:
            for i, values in zip(self._logprob_rows, torch.stack(self._pending, dim=1).tolist(), strict=True):
                known = self._logprobs[self._numbers[i]]
                assert known is not None
                known += values
        self._pending = []

    def alternatives(self) -> list[list[list[tuple[int, float]]]]:
        """Return for each row the most likely tokens at all positions so far; an empty list if not requested."""
        return self._alternatives

    def _keep_alternatives(self, scores: torch.Tensor) -> None:
        for row, count in self._top.items():
            values, tokens = scores[row].float().log_softmax(dim=-1).topk(min(count, scores.shape[1]))
            self._alternatives[self._numbers[row]].append(list(zip(tokens.tolist(), values.tolist(), strict=True)))

    def _noise(self, scores: torch.Tensor) -> torch.Tensor:
        noise = torch.empty(len(self._generators), scores.shape[1], device=scores.device)  # [sampled, vocabulary]
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return -noise.clamp_min_(torch.finfo(noise.dtype).tiny).log_()


def nucleus(logits: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Return logits [rows, vocabulary], -inf outside the smallest set of tokens of probability `top_p` [rows, 1]."""
    if bool((top_p >= 1).all()):
        return logits
    ordered, indices = logits.sort(dim=-1, descending=True)  # [rows, vocabulary]
    probabilities = ordered.softmax(dim=-1)  # [rows, vocabulary]
    before = probabilities.cumsum(dim=-1) - probabilities  # [rows, vocabulary]: of all more likely tokens
    outside = torch.zeros_like(logits, dtype=torch.bool).scatter(1, indices, (before >= top_p) & (top_p < 1))
    return logits.masked_fill(outside, -torch.inf)
