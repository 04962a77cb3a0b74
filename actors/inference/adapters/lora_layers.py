"""Applies LoRA adapters side by side to one model: every row of a batch with its own adapter, or with none.

The batch is cut into groups: rows in sequence that have the same adapter. For prompts, each group has two matrix
products of its own per layer, and on a CPU also for a step of one token per row, if there are many rows per adapter.
Otherwise such a step has groups that are too small for that: all `A` are stacked to one matrix, and all `B` to another
one, and a mask sets the part of each row that belongs to the adapters of other rows to zero. So there are two matrix
products per layer, whatever the number of adapters. Only adapters of rows in the batch are computed, and no row changes
because of the adapters beside it. (LoRA, 2106.09685, eq. 3.)
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from actors.engine import LoadError
from actors.inference.adapters.adapter_weights import Adapter, read_adapter

PROBE_TOKENS = 2
GROUP_ROWS = 16  # on a CPU, calls for groups of fewer rows cost more than the products that they save


class RowsNotSeparateError(Exception):
    """A layer's input has no dimension of rows, so the rows of a batch cannot have different adapters."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The updates of several adapters as one: `down` [ranks, in], `up` [ranks, out], `mask` [rows, 1, ranks]."""

    down: Tensor
    up: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Selection:
    """The updates of one layer for the current batch: by group of rows, and stacked if there are several groups.

    A group is its number of rows, and `A` [rank, in] and `B` [rank, out] of their adapter; None if that has none here.
    """

    groups: Sequence[tuple[int, tuple[Tensor, Tensor] | None]]
    stack: Stack | None

    def add_to(self, y: Tensor, x: Tensor) -> None:
        """Add the updates for the layer's input `x` [rows, tokens, in] to its output `y` [rows, tokens, out].

        Raises:
            RowsNotSeparateError: There are several groups, but the input has no dimension of rows.
        """
        if self.stack is None:
            self._add_by_group(y[None], x[None], [1])
            return
        if x.dim() != 3 or len(x) != len(self.stack.mask):
            raise RowsNotSeparateError
        large_groups = x.device.type == "cpu" and len(x) >= GROUP_ROWS * len(self.groups)
        if x.shape[1] > 1 or large_groups:
            self._add_by_group(y, x, [rows for rows, _ in self.groups])
            return
        inner = nn.functional.linear(x.to(self.stack.down.dtype), self.stack.down)  # [rows, 1, ranks]
        _add_product(y, inner * self.stack.mask, self.stack.up)

    def _add_by_group(self, y: Tensor, x: Tensor, sizes: list[int]) -> None:
        for part, given, (_, update) in zip(y.split(sizes), x.split(sizes), self.groups, strict=True):
            if update is not None:
                down, up = update
                _add_product(part, nn.functional.linear(given.to(down.dtype), down), up)


def _add_product(y: Tensor, inner: Tensor, up: Tensor) -> None:
    """Add `inner` [..., rank] times `up` [rank, out] to `y` [..., out] in place."""
    if y.dtype == up.dtype:
        y.view(-1, y.shape[-1]).addmm_(inner.reshape(-1, len(up)), up)
    else:
        y += (inner @ up).to(y.dtype)


class LoraLayer(nn.Module):
    """A layer of the base, and the updates that are selected for the current batch, if any."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.selection: Selection | None = None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        if self.selection is not None:
            y = y.contiguous()
            self.selection.add_to(y, x)
        return y


class LoraLayers:
    """The adapters that are loaded over one model. Beyond `limit` of them, the least recently used ones are dropped.

    The adapters of a running batch stay loaded, whatever their number.
    `mixes` is whether rows with different adapters may share a batch, once an adapter is loaded.
    """

    def __init__(self, model: Any, limit: int) -> None:
        self._model, self.limit = model, limit
        self._modules = dict(model.named_modules())
        self._layers: dict[str, LoraLayer] = {}
        self._loaded: dict[str, Adapter] = {}  # by folder, the least recently used one first
        self._rows: list[Adapter | None] = []  # of the current batch
        self.mixes = True

    def load(self, folder: str) -> None:
        """Load the adapter in a folder, unless it is loaded.

        Raises:
            LoadError: It is not an adapter of this model that can be applied beside others, or it gives no numbers.
        """
        if folder in self._loaded:
            return
        adapter = read_adapter(folder, self._modules, self._model)
        for name in adapter.updates.keys() - self._layers.keys():
            self._wrap(name)
        self._loaded[folder] = adapter
        try:
            self._probe(folder)
        except LoadError:
            del self._loaded[folder]
            raise
        while len(self._loaded) > max(1, self.limit):
            del self._loaded[next(iter(self._loaded))]

    def close(self) -> None:
        """Drop the model and all adapters. Nothing can be loaded afterwards."""
        del self._model
        for held in (self._modules, self._layers, self._loaded):
            held.clear()

    def move(self, device: torch.device) -> None:
        """Move all adapters to a device."""
        self._loaded = {folder: adapter.to(device) for folder, adapter in self._loaded.items()}

    @contextmanager
    def selected(self, folders: Sequence[str | None]) -> Generator[None]:
        """Apply adapters within the block: that of each row of the batch; None for the base itself.

        Adapters that were dropped are loaded again.
        """
        used = {folder: self._use(folder) for folder in dict.fromkeys(folders) if folder is not None}
        self._rows = [None if folder is None else used[folder] for folder in folders]
        try:
            self._select()
            yield
        finally:
            self._rows = []
            self._select()

    def keep(self, rows: Sequence[int]) -> None:
        """Apply the selected adapters to these rows of the batch from now on; the others have left it."""
        self._rows = [self._rows[row] for row in rows]
        self._select()

    def _use(self, folder: str) -> Adapter:
        """Return an adapter, which is now the most recently used one."""
        self.load(folder)
        self._loaded[folder] = self._loaded.pop(folder)
        return self._loaded[folder]

    def _select(self) -> None:
        """Give every layer the updates of the batch's adapters."""
        groups = [(rows[0], len(rows)) for rows in ([*group] for _, group in groupby(self._rows, key=id))]
        masks = dict[tuple[int, ...], Tensor]()
        for name, layer in self._layers.items():
            updates = [(rows, adapter.updates.get(name) if adapter else None) for adapter, rows in groups]
            if all(update is None for _, update in updates):
                layer.selection = None
            else:
                layer.selection = Selection(updates, stacked(updates, masks) if len(updates) > 1 else None)

    def _wrap(self, name: str) -> None:
        self._layers[name] = LoraLayer(self._modules[name])
        parent, _, attribute = name.rpartition(".")
        setattr(self._model.get_submodule(parent), attribute, self._layers[name])

    @torch.inference_mode()
    def _probe(self, folder: str) -> None:
        """Check that the model computes numbers with an adapter, and whether rows may have different ones."""
        rows: list[str | None] = [folder, None, folder] if self.mixes else [folder]
        ids = torch.zeros((len(rows), PROBE_TOKENS), dtype=torch.long, device=self._model.device)
        try:
            with self.selected(rows):
                logits = self._model(ids, use_cache=False).logits
        except RowsNotSeparateError:
            self.mixes = False
            self._probe(folder)
            return
        if logits[0].isnan().any():
            raise LoadError(folder, "the adapter's weights give no numbers: its training diverged")


def stacked(updates: Sequence[tuple[int, tuple[Tensor, Tensor] | None]], masks: dict[tuple[int, ...], Tensor]) -> Stack:
    """Return the updates of groups as one. `masks` are those made before, by the ranks of the groups."""
    pairs = [update for _, update in updates if update is not None]
    down, up = torch.cat([down for down, _ in pairs]), torch.cat([up for _, up in pairs])
    ranks = tuple(0 if update is None else len(update[0]) for _, update in updates)
    if ranks not in masks:
        masks[ranks] = _mask([rows for rows, _ in updates], ranks).to(down)
    return Stack(down, up, masks[ranks])


def _mask(rows: Sequence[int], ranks: Sequence[int]) -> Tensor:
    """Return which of the stacked updates each row has, as booleans [rows, 1, ranks], from the numbers by group."""
    numbers = torch.arange(len(rows))
    of_rows = numbers.repeat_interleave(torch.tensor(rows))  # [rows]
    of_ranks = numbers.repeat_interleave(torch.tensor(ranks))  # [ranks]
    return (of_rows[:, None] == of_ranks)[:, None]
