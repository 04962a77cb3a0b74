"""Batched generation: every row has its own sampling parameters, seed and length, whatever rows share its batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from actors.engine import Sampling
from actors.inference.text_codec import SampledTokens, truncate_at_stop

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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


@torch.inference_mode()
def generate_rows(
    model: PreTrainedModel, rows: Sequence[DecodeRequest], stops: frozenset[int], pad: int, on_step: Callable[[], None]
) -> list[SampledTokens]:
    """Return the sampled tokens of each row, in order; call `on_step` for every token position.

    Prompts are padded on the left. A row's tokens depend on its batch only through rounding of the logits.
    """
    width = max(len(row.prompt) for row in rows)
    ids = torch.tensor(
        [[pad] * (width - len(row.prompt)) + list(row.prompt) for row in rows], device=model.device
    )  # [rows, width]
    mask = torch.tensor(
        [[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in rows], device=model.device
    )  # [rows, width]
    limits = torch.tensor([row.sampling.max_tokens for row in rows], device=model.device)  # [rows]
    config = GenerationConfig(
        do_sample=False, max_new_tokens=int(limits.max()), eos_token_id=sorted(stops) or None, pad_token_id=pad
    )
    sampler = GumbelSampler(rows, model.device, on_step)
    output = model.generate(  # pyright: ignore[reportCallIssue]
        input_ids=ids,
        attention_mask=mask,
        generation_config=config,
        logits_processor=LogitsProcessorList([sampler]),
        stopping_criteria=StoppingCriteriaList([TokenLimits(limits, width)]),
    )  # [rows, width + new tokens]
    drawn: list[list[int]] = output[:, width:].tolist()
    return [
        truncate_at_stop(
            new[: row.sampling.max_tokens], stops, logprobs and logprobs[: row.sampling.max_tokens], alternatives
        )
        for row, new, logprobs, alternatives in zip(
            rows, drawn, sampler.logprobs(), sampler.alternatives(), strict=True
        )
    ]


class TokenLimits(StoppingCriteria):
    """Stops each row after its own number of new tokens."""

    def __init__(self, limits: torch.Tensor, prompt_width: int) -> None:
        self._limits, self._prompt_width = limits, prompt_width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return which rows are at their limit, as booleans [rows]."""
        return input_ids.shape[1] - self._prompt_width >= self._limits  # [rows]


class GumbelSampler(LogitsProcessor):
    """Turns greedy search into sampling: the argmax of log-probabilities plus Gumbel noise is an exact sample.

    Each row has its own generator of noise, so its tokens depend on its own seed and step alone.
    """

    def __init__(self, rows: Sequence[DecodeRequest], device: torch.device, on_step: Callable[[], None]) -> None:
        self._on_step, self._row_count = on_step, len(rows)
        self._logprob_rows = [i for i, row in enumerate(rows) if row.logprobs]
        self._logprobs: list[torch.Tensor] = []  # one per step: [rows with logprobs]
        self._top = {i: row.top_logprobs for i, row in enumerate(rows) if row.top_logprobs}
        self._alternatives: list[list[list[tuple[int, float]]]] = [[] for _ in rows]  # by row and step
        sampled = [i for i, row in enumerate(rows) if row.sampling.temperature > 0]
        self._sampled_rows = torch.tensor(sampled, dtype=torch.long, device=device)  # [sampled]
        self._temperature = torch.tensor(
            [[rows[i].sampling.temperature] for i in sampled], device=device
        )  # [sampled, 1]
        self._top_p = torch.tensor([[rows[i].sampling.top_p] for i in sampled], device=device)  # [sampled, 1]
        self._generators = [torch.Generator(device).manual_seed(rows[i].seed % 2**63) for i in sampled]

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
            self._logprobs.append(-torch.nn.functional.cross_entropy(raw, chosen, reduction="none"))
        return scores

    def logprobs(self) -> list[list[float] | None]:
        """Return for each row the log-probabilities of all tokens so far under the model; None if not requested."""
        rows: list[list[float] | None] = [None] * self._row_count
        if self._logprob_rows:
            for i, values in zip(self._logprob_rows, torch.stack(self._logprobs, dim=1).tolist(), strict=True):
                rows[i] = values
        return rows

    def alternatives(self) -> list[list[list[tuple[int, float]]]]:
        """Return for each row the most likely tokens at all positions so far; an empty list if not requested."""
        return self._alternatives

    def _keep_alternatives(self, scores: torch.Tensor) -> None:
        for row, count in self._top.items():
            values, tokens = scores[row].float().log_softmax(dim=-1).topk(min(count, scores.shape[1]))
            self._alternatives[row].append(list(zip(tokens.tolist(), values.tolist(), strict=True)))

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
