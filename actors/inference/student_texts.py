"""The text of a student that shares its base: encoded with the student's own tokenizer and chat template."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from actors.engine import EngineSpec
from actors.inference.chat_template import template_ids
from actors.inference.model_loading import load_tokenizer, usable_length
from actors.inference.text_codec import TextEncoder
from actors.model_folder.adapter import has_tokenizer
from actors.model_folder.vocabulary import check_vocabulary, pad_id


def text_encoder(spec: EngineSpec, config: Any, stops: frozenset[int]) -> TextEncoder:
    """Return the encoder of a model with this config. `stops` are the ids that end a reply by the model's folder.

    Raises:
        LoadError: The tokenizer has tokens that the model has no embeddings of.
    """
    tokenizer = load_tokenizer(spec)
    check_vocabulary(spec.model, tokenizer, config, template_ids(tokenizer))
    return TextEncoder(tokenizer, usable_length(spec.max_length, config), stops, pad_id(tokenizer, config))


def student_encoder(
    folder: str, base: EngineSpec, config: Any, stops: frozenset[int], base_encoder: TextEncoder
) -> TextEncoder:
    """Return the encoder of the student in a folder, or its base's if the folder has no tokenizer.

    Raises:
        LoadError: The tokenizer is not one of this base.
    """
    if not has_tokenizer(folder):
        return base_encoder
    own = replace(base, model=folder, revision=None, chat_template=None, template_args=(), student_template="")
    return text_encoder(own, config, stops)
