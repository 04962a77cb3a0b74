"""Compares a tokenizer with the embeddings of its model."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from actors.engine import LoadError
from actors.model_folder.weights import first_names

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

UNKNOWN_TEXT = "\ue123 \U0010fffd ☃"  # characters that no vocabulary of words has


def pad_id(tokenizer: PreTrainedTokenizerBase, config: Any) -> int:
    """Return an id for padding that has an embedding. Any id does: padding is neither attended to nor trained on."""
    pad = tokenizer.pad_token_id
    return pad if isinstance(pad, int) and 0 <= pad < embedding_rows(config) else 0


def embedding_rows(config: Any) -> int:
    """Return the number of rows of the embedding matrix; it may be larger than the vocabulary, because of padding."""
    return int(config.get_text_config().vocab_size)


def check_vocabulary(
    model: str, tokenizer: PreTrainedTokenizerBase, config: Any, template_ids: AbstractSet[int]
) -> None:
    """Check that every token that can occur in a text has an embedding. `template_ids` are those of the chat template.

    A special token that nothing uses, such as a padding token, may be outside the embeddings.

    Raises:
        LoadError: Tokens that can occur have no embedding.
    """
    rows = embedding_rows(config)
    outside = {text: token for text, token in tokenizer.get_vocab().items() if token >= rows}
    if not outside:
        return
    special = {token for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
    unknown = set(tokenizer(UNKNOWN_TEXT, split_special_tokens=True)["input_ids"])
    ends = [tokenizer.bos_token_id, tokenizer.eos_token_id]
    missing = [
        text
        for text, token in outside.items()
        if token not in special or token in template_ids or token in unknown or token in ends
    ]
    if missing:
        detail = f"the tokenizer has {len(tokenizer)} tokens, the embeddings {rows}"
        verb = "has" if len(missing) == 1 else "have"
        remedy = "Resize the model's embeddings, or use the tokenizer that it was trained with"
        raise LoadError(model, f"{detail}: {first_names(missing)} {verb} no embedding. {remedy}")
