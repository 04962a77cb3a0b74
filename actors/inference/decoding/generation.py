"""Batched generation: every row has its own sampling parameters, seed and length, whatever rows share its batch.

Once half of a batch's rows are finished, they leave it: most replies are much shorter than the longest one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from actors.inference.decoding.cache import empty_cache, rows_may_leave, selected_cache
from actors.inference.decoding.sampled_tokens import SampledTokens, truncate_at_stop
from actors.inference.decoding.sampler import DecodeRequest, GumbelSampler

if TYPE_CHECKING:
    from transformers import PreTrainedModel


MIN_ROWS_TO_LEAVE = 8  # in a batch: a few rows take as long as one


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
    numbers, cache = [*range(len(rows))], empty_cache(model)  # of the rows that are in the batch
    while numbers:
        finish = Finish(limits, width, stops, may_leave=rows_may_leave(model))
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
            cache = selected_cache(model, cache, stay)
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
