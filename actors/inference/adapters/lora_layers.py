"""Applies LoRA adapters side by side to one model: every row of a batch with its own adapter, or with none.

For the adapters of a batch, all `A` are stacked to one matrix, and all `B` to another one. A mask sets the part of each
row that belongs to the adapters of other rows to zero. So there are two matrix products per layer, whatever the number
of adapters, and no row changes because of the adapters beside it. (LoRA, 2106.09685, eq. 3.)
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from actors.engine import LoadError
from actors.inference.adapters.adapter_weights import Adapter, read_adapter

PROBE_TOKENS = 2


class RowsNotSeparateError(Exception):
    """A layer's input has no dimension of rows, so the rows of a batch cannot have different adapters."""


class LoraLayer(nn.Module):
    """A layer of the base, and the updates that are selected for the current batch; `down` None: none are.

    `down` is [ranks, in], `up` [out, ranks], `mask` [rows, 1, ranks] or None if all rows have the same adapter.
    """

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.down: Tensor | None = None
        self.up: Tensor | None = None
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        if self.down is None or self.up is None:
            return y
        inner = nn.functional.linear(x.to(self.down.dtype), self.down)  # [rows, tokens, ranks]
        if self.mask is not None:
            if inner.dim() != 3 or len(inner) != len(self.mask):
                raise RowsNotSeparateError
            inner = inner * self.mask
        return y + nn.functional.linear(inner, self.up).to(y.dtype)


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

    def move(self, device: torch.device) -> None:
        """Move all adapters to a device."""
        self._loaded = {folder: adapter.to(device) for folder, adapter in self._loaded.items()}

    @contextmanager
    def selected(self, folders: Sequence[str | None]) -> Generator[None]:
        """Apply adapters within the block: that of each row of the batch; None for the base itself.

        Adapters that were dropped are loaded again.
        """
        used = [*dict.fromkeys(folder for folder in folders if folder is not None)]
        adapters = [self._use(folder) for folder in used]
        try:
            if adapters:
                self._select(adapters, [used.index(folder) if folder is not None else -1 for folder in folders])
            yield
        finally:
            for layer in self._layers.values():
                layer.down = layer.up = layer.mask = None

    def keep(self, rows: Sequence[int]) -> None:
        """Apply the selected adapters to these rows of the batch from now on; the others have left it."""
        kept = dict[int, Tensor]()  # by the id of the mask that several layers have
        for layer in self._layers.values():
            if (mask := layer.mask) is not None:
                layer.mask = kept.setdefault(id(mask), mask[rows])

    def _use(self, folder: str) -> Adapter:
        """Return an adapter, which is now the most recently used one."""
        self.load(folder)
        self._loaded[folder] = self._loaded.pop(folder)
        return self._loaded[folder]

    def _select(self, adapters: Sequence[Adapter], rows: Sequence[int]) -> None:
        """Give every layer the updates of these adapters; `rows` are the numbers of the rows' adapters."""
        mixed, masks = len({*rows}) > 1, dict[tuple[tuple[int, int], ...], Tensor]()
        for name, layer in self._layers.items():
            found = [(n, adapter.updates[name]) for n, adapter in enumerate(adapters) if name in adapter.updates]
            if not found:
                continue
            layer.down = torch.cat([down for _, (down, _) in found])  # [ranks, in]
            layer.up = torch.cat([up for _, (_, up) in found], dim=1)  # [out, ranks]
            if mixed:
                ranks = tuple((n, len(down)) for n, (down, _) in found)
                if ranks not in masks:
                    masks[ranks] = _mask(ranks, rows, layer.down)
                layer.mask = masks[ranks]

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


def _mask(ranks: Sequence[tuple[int, int]], rows: Sequence[int], like: Tensor) -> Tensor:
    """Return which of the stacked updates each row has, as numbers [rows, 1, ranks], from (adapter, rank) pairs."""
    owners = torch.tensor([adapter for adapter, rank in ranks for _ in range(rank)])  # [ranks]
    chosen = torch.tensor(rows)[:, None] == owners  # [rows, ranks]
    return chosen[:, None].to(like)
