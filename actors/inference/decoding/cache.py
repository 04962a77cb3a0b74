"""The keys and values of a batch of rows that are generated, with room for tokens to come.

For each new token, transformers copies the keys and values of all earlier ones into a larger tensor. With small models
on a CPU, that is half of the time of generation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MIN_ROOM = 32  # tokens
ROOM_SHARE = 1 / 4  # of the tokens that are known: few copies, and little memory that stays empty
_PLAIN_CACHE: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


class LayerWithRoom(DynamicLayer):
    """A layer whose keys and values are the first tokens of larger tensors, to which new tokens are written."""

    _rooms: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the keys and values of new tokens, [rows, heads, tokens, width], and return those of all tokens."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None and self.values is not None
        key_room, value_room = self._rooms
        self.keys, key_room = appended(self.keys, key_states, key_room)
        self.values, value_room = appended(self.values, value_states, value_room)
        self._rooms = key_room, value_room
        return self.keys, self.values


def appended(known: torch.Tensor, new: torch.Tensor, room: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return known and new tokens in one tensor, [rows, heads, tokens, width], and the larger one that it is part of.

    That is `room`, unless it has no place for them or `known` (empty at first) is no longer part of it.
    """
    start = known.shape[-2] if known.numel() else 0
    end = start + new.shape[-2]
    if room is None or end > room.shape[-2] or known.data_ptr() != room.data_ptr():
        room = new.new_empty(*new.shape[:-2], end + max(MIN_ROOM, int(end * ROOM_SHARE)), new.shape[-1])
        if start:
            room[..., :start, :] = known
    room[..., start:end, :] = new
    return room[..., :end, :], room


def empty_cache(model: PreTrainedModel) -> DynamicCache | None:
    """Return a new cache whose layers have room; None if the model's own `generate` makes a cache of another kind."""
    own: Any = model
    if not rows_may_leave(model) or not own._supports_default_dynamic_cache():
        return None
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    cache.layers = [LayerWithRoom() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def rows_may_leave(model: PreTrainedModel) -> bool:
    """Return whether rows can be taken out of the model's cache: not where layers keep a state of another kind."""
    return not getattr(model, "_is_stateful", False) and _PLAIN_CACHE.get(model, True)


def selected_cache(model: PreTrainedModel, cache: Any, rows: torch.Tensor) -> Any:
    """Return the cache of these rows, or None if it has to be computed again, which is then done only once."""
    if type(cache) is DynamicCache and all(isinstance(layer, DynamicLayer) for layer in cache.layers):
        cache.batch_select_indices(rows)
        return cache
    _PLAIN_CACHE[model] = False
    return None
