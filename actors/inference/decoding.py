"""Batched generation: every row has its own sampling parameters, seed and length, whatever rows share its batch.

Once half of a batch's rows are finished, they leave it: most replies are much shorter than the longest one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from actors.engine import Sampling
from actors.inference.text_codec import SampledTokens, truncate_at_stop

if TYPE_CHECKING:
    from transformers import PreTrainedModel


MIN_ROWS_TO_LEAVE = 8  # in a batch: a few rows take as long as one
_PLAIN_CACHE: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


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
    model: PreTrainedModel,
    rows: Sequence[DecodeRequest],
    stops: frozenset[int],
    pad: int,
    on_step: Callable[[], None],
    on_rows: Callable[[Sequence[int]], None] = lambda rows: None,
) -> list[SampledTokens]:
    """Return the sampled tokens of each row, in order.

    Prompts are padded on the left. A row's tokens depend on its batch only through rounding of the logits.

    Args:
        model: A causal LM.
        rows: The prompts, and how each is continued.
        stops: The ids that end a row.
        pad: An id for padding.
        on_step: Called for every token position.
        on_rows: Called when rows leave the batch, with the numbers of those that stay, among those before.
    """
    ids, mask = _left_padded(rows, pad, model.device)  # [rows, width] each
    width = ids.shape[1]
    limits = torch.tensor([row.sampling.max_tokens for row in rows], device=model.device)  # [rows]
    sampler = GumbelSampler(rows, model.device, on_step)
    drawn: list[list[int]] = [[] for _ in rows]
    numbers, cache = [*range(len(rows))], None  # of the rows that are in the batch
    while numbers:
        finish = Finish(limits, width, stops, may_leave=_rows_may_leave(model))
        config = GenerationConfig(
            do_sample=False,
            max_length=width + int(limits.max()),
            eos_token_id=sorted(stops) or None,
            pad_token_id=pad,
            return_dict_in_generate=True,
        )
        output: Any = model.generate(  # pyright: ignore[reportCallIssue]
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            past_key_values=cache,
            logits_processor=LogitsProcessorList([sampler]),
            stopping_criteria=StoppingCriteriaList([finish]),
        )
        ids, cache = output.sequences, output.past_key_values  # ids: [rows, width + new tokens]
        for number, new in zip(numbers, ids[:, width:].tolist(), strict=True):
            drawn[number] = new
        stay = (~finish.finished(ids)).nonzero().flatten()  # [rows that stay]
        if len(stay):
            cache = _selected_cache(model, cache, stay)
            mask = torch.nn.functional.pad(mask, (0, ids.shape[1] - mask.shape[1]), value=1)[stay]
            ids, limits, kept = ids[stay], limits[stay], stay.tolist()
            sampler.keep(kept)
            on_rows(kept)
        numbers = [numbers[row] for row in stay.tolist()]
    return _sampled_tokens(rows, drawn, stops, sampler)


def _sampled_tokens(
    rows: Sequence[DecodeRequest], drawn: Sequence[list[int]], stops: frozenset[int], sampler: GumbelSampler
) -> list[SampledTokens]:
    """Return the tokens of each row up to its limit and before the first token that ends it."""
    return [
        truncate_at_stop(
            new[: row.sampling.max_tokens], stops, logprobs and logprobs[: row.sampling.max_tokens], alternatives
        )
        for row, new, logprobs, alternatives in zip(
            rows, drawn, sampler.logprobs(), sampler.alternatives(), strict=True
        )
    ]


def _left_padded(rows: Sequence[DecodeRequest], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ids of the prompts and their attention mask, both [rows, width]."""
    width = max(len(row.prompt) for row in rows)
    ids = [[pad] * (width - len(row.prompt)) + list(row.prompt) for row in rows]
    mask = [[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


class Finish(StoppingCriteria):
    """Stops each row after its own number of new tokens; with `may_leave`, all rows once half of them are finished."""

    def __init__(self, limits: torch.Tensor, prompt_width: int, stops: frozenset[int], may_leave: bool) -> None:
        self._limits, self._prompt_width, self._may_leave = limits, prompt_width, may_leave
        self._stops = torch.tensor(sorted(stops), dtype=torch.long, device=limits.device)  # [stops]
        self._stopped = torch.zeros_like(limits, dtype=torch.bool)  # [rows]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return which rows end here, as booleans [rows]."""
        self._stopped |= torch.isin(input_ids[:, -1], self._stops)
        finished = self.finished(input_ids)
        leave = self._may_leave and len(finished) >= MIN_ROWS_TO_LEAVE and 2 * int(finished.sum()) >= len(finished)
        return torch.ones_like(finished) if leave else self._at_limit(input_ids)

    def finished(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return which rows are complete, as booleans [rows]."""
        return self._stopped | self._at_limit(input_ids)

    def _at_limit(self, input_ids: torch.Tensor) -> torch.Tensor:
        return input_ids.shape[1] - self._prompt_width >= self._limits  # [rows]


def _rows_may_leave(model: PreTrainedModel) -> bool:
    """Return whether rows can be taken out of the model's cache: not where layers keep a state of another kind."""
    return not getattr(model, "_is_stateful", False) and _PLAIN_CACHE.get(model, True)


def _selected_cache(model: PreTrainedModel, cache: Any, rows: torch.Tensor) -> Any:
    """Return the cache of these rows, or None if it has to be computed again, which is then done only once."""
    from transformers.cache_utils import DynamicCache, DynamicLayer

    if type(cache) is DynamicCache and all(isinstance(layer, DynamicLayer) for layer in cache.layers):
        cache.batch_select_indices(rows)
        return cache
    _PLAIN_CACHE[model] = False
    return None


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
