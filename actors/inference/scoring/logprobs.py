"""Log-probabilities and ranks of given tokens, by forward passes over several texts.

On a CPU, texts are packed one after another, without padding, and each is attended to by itself. Models whose texts
would see each other get texts of the same padded length instead. Both ways, the bits of a text's values depend on the
text alone and not on what shares its pass. On other devices, texts of similar length are padded to the longest one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import torch

from actors.inference.scoring.head import MAX_LOGITS, has_plain_head, head_scores, logits_scores, min_rows
from actors.inference.scoring.packed_attention import (
    UnsupportedAttention,
    has_full_attention,
    register_packed_attention,
)
from actors.model_folder.vocabulary import embedding_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CPU_TOKENS_PER_PASS = 1024  # products of smaller passes are slower; the activations of larger ones leave the cache
CPU_WIDTH_STEP = 8  # tokens; texts that cannot be packed are padded to a multiple of it
CHECKED_LENGTHS = (13, 5)  # tokens of the two texts that are compared with the texts alone
CHECK_TOLERANCES = {torch.float32: 1e-3}  # share of the standard deviation of the hidden states
CHECK_TOLERANCE_16_BITS = 0.1
Row = Sequence[int]
_CAN_PACK: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


class RowScores(NamedTuple):
    """The natural-log probability of each token of a row given those before it, and its rank if asked for.

    The first token has neither (None).
    """

    logprobs: tuple[float | None, ...] = ()
    ranks: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Pass:
    """The inputs of one forward pass, [sequences, width], and the place of each text's first token in it, flattened.

    `row_lengths` are the numbers of tokens of the texts that are packed into its only sequence; none if they are not.
    """

    ids: torch.Tensor
    starts: Sequence[int]
    row_lengths: Sequence[int] = field(default=())

    @property
    def inputs(self) -> dict[str, Any]:
        """The arguments of the model's forward pass."""
        # no attention mask: in a causal model no token attends to the padding on its right
        inputs = {"input_ids": self.ids, "use_cache": False}
        if not self.row_lengths:
            return inputs
        positions = torch.cat([torch.arange(length) for length in self.row_lengths])[None]  # [1, width]
        return inputs | {"position_ids": positions, "row_lengths": self.row_lengths}


@torch.inference_mode()
def score_tokens(
    model: PreTrainedModel, rows: Sequence[Row], pad: int, on_pass: Callable[[], None], ranked: bool = False
) -> list[RowScores]:
    """Return the scores of each row, with ranks if `ranked`.

    Each row has at least one token. `on_pass` is called after each forward pass.
    """
    scored = [RowScores((None,), (None,) if ranked else ())] * len(rows)
    for group in passes(model, [len(row) for row in rows]):
        for index, scores in zip(
            group, _pass_scores(model, [rows[index] for index in group], pad, ranked), strict=True
        ):
            scored[index] = scores
        on_pass()
    return scored


def passes(model: PreTrainedModel, lengths: Sequence[int]) -> list[list[int]]:
    """Return the indices of the rows of each forward pass. Rows without a token to predict are in none."""
    known = sorted((index for index, length in enumerate(lengths) if length > 1), key=lengths.__getitem__)
    on_cpu = model.device.type == "cpu"
    limit = CPU_TOKENS_PER_PASS if on_cpu else None
    if not has_plain_head(model):
        limit = min(limit or MAX_LOGITS, max(1, MAX_LOGITS // embedding_rows(model.config)))
    if on_cpu and can_pack(model):
        return even_groups(known, lengths, limit or 1)
    return padded_groups(known, lengths, limit, one_width=on_cpu)


def even_groups(indices: Sequence[int], lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Return `indices` in groups of about the same number of tokens, at most `tokens` on average."""
    total = sum(lengths[index] for index in indices)
    count = -(-total // tokens)
    groups: list[list[int]] = [[] for _ in range(count)]
    before = 0
    for index in indices:
        groups[(2 * before + lengths[index]) * count // (2 * total)].append(index)
        before += lengths[index]
    return [group for group in groups if group]


def padded_groups(
    indices: Sequence[int], lengths: Sequence[int], max_tokens: int | None, one_width: bool
) -> list[list[int]]:
    """Return `indices`, sorted by length, in groups of at most `max_tokens` tokens with padding (None: no limit).

    A longer row is a group by itself. With `one_width`, a group's rows have the same length after padding.
    """
    groups: list[list[int]] = [[]]
    for index in indices:
        wide = max_tokens is not None and _padded(lengths[index]) * (len(groups[-1]) + 1) > max_tokens
        if groups[-1] and (wide or (one_width and _padded(lengths[index]) != _padded(lengths[groups[-1][0]]))):
            groups.append([])
        groups[-1].append(index)
    return [group for group in groups if group]


def can_pack(model: PreTrainedModel) -> bool:
    """Return whether rows in one sequence get the hidden states that they get alone."""
    if model not in _CAN_PACK:
        _CAN_PACK[model] = has_full_attention(model.config) and _keeps_rows_apart(model)
    return _CAN_PACK[model]


@torch.inference_mode()
def _keeps_rows_apart(model: PreTrainedModel) -> bool:
    generator = torch.Generator().manual_seed(0)
    vocabulary = embedding_rows(model.config)
    ids = [torch.randint(vocabulary, (length,), generator=generator) for length in CHECKED_LENGTHS]
    try:
        packed = _hidden(model, Pass(torch.cat(ids)[None], (), CHECKED_LENGTHS))[-CHECKED_LENGTHS[1] :].float()
    except (UnsupportedAttention, TypeError, ValueError):  # the latter two: it does not take positions or row lengths
        return False
    alone = _hidden(model, Pass(ids[1][None], ())).float()  # [tokens, features]
    tolerance = CHECK_TOLERANCES.get(model.dtype, CHECK_TOLERANCE_16_BITS)
    return float((packed - alone).abs().max()) <= tolerance * float(alone.std())


def _padded(length: int) -> int:
    return -(-length // CPU_WIDTH_STEP) * CPU_WIDTH_STEP


def _pass_scores(model: PreTrainedModel, rows: Sequence[Row], pad: int, ranked: bool) -> list[RowScores]:
    """Return the scores of each row. Each row has at least two tokens."""
    on_cpu = model.device.type == "cpu"
    given = _packed(rows, pad) if on_cpu and can_pack(model) else _side_by_side(rows, pad, model.device)
    places = torch.cat(
        [torch.arange(start, start + len(row) - 1) for start, row in zip(given.starts, rows, strict=True)]
    ).to(model.device)  # [predicted]
    tokens = torch.tensor([token for row in rows for token in row[1:]], device=model.device)  # [predicted]
    if has_plain_head(model):
        scores = head_scores(model.get_output_embeddings(), _hidden(model, given)[places], tokens, ranked)
    else:
        with _attention(model, given):
            logits = model(**given.inputs).logits.flatten(0, 1)[places].float()  # [predicted, vocabulary]
        scores = logits_scores(logits, tokens, ranked)
    lengths = [len(row) - 1 for row in rows]
    logprobs = [(None, *part.tolist()) for part in scores.logprobs.cpu().split(lengths)]
    if scores.ranks is None:
        return [RowScores(values) for values in logprobs]
    ranks = [(None, *part.tolist()) for part in scores.ranks.cpu().split(lengths)]
    return [RowScores(*both) for both in zip(logprobs, ranks, strict=True)]


def _hidden(model: PreTrainedModel, given: Pass) -> torch.Tensor:
    """Return the last hidden states of a pass, [sequences * width, features]."""
    with _attention(model, given):
        return model.base_model(**given.inputs)[0].flatten(0, 1)


def _packed(rows: Sequence[Row], pad: int) -> Pass:
    """Return the rows one after another. Their last tokens predict nothing and are left out."""
    lengths = [len(row) - 1 for row in rows]
    ids = [token for row in rows for token in row[:-1]]
    starts = [sum(lengths[:number]) for number in range(len(rows))]
    if missing := max(0, min_rows() - len(ids)):
        ids, lengths = [*ids, *[pad] * missing], [*lengths, missing]
    return Pass(torch.tensor([ids]), starts, lengths)


def _side_by_side(rows: Sequence[Row], pad: int, device: torch.device) -> Pass:
    """Return the rows as sequences of the same width. On a CPU, sequences without a row fill up a small pass."""
    width = _padded(max(len(row) for row in rows))
    ids = [[*row, *[pad] * (width - len(row))] for row in rows]
    if device.type == "cpu":
        ids += [[pad] * width] * max(0, -(-min_rows() // width) - len(rows))
    return Pass(torch.tensor(ids, device=device), range(0, width * len(rows), width))


@contextmanager
def _attention(model: PreTrainedModel, given: Pass) -> Generator[None]:
    """Let the model attend to packed rows one by one within the block, and as before after it."""
    if not given.row_lengths:
        yield
        return
    config: Any = model.config
    before = config._attn_implementation
    model.set_attn_implementation(register_packed_attention())
    try:
        yield
    finally:
        model.set_attn_implementation(before)
