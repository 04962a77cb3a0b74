"""The generation settings of a model's folder: evolgrid reads the ids that end a reply, and nothing else.

A study says how its models are sampled. Penalties, beams and limits in a generation_config.json would change replies
and their log-probabilities on some engines only.
"""

from __future__ import annotations

import json
from typing import Any

from actors.model_folder.hub_file import model_file


def folder_stop_ids(model: str, revision: str | None, config: Any) -> frozenset[int]:
    """Return the EOS ids of the model's generation_config.json or, if it names none, those of its config."""
    path = model_file(model, revision, "generation_config.json")
    try:
        settings = json.loads(path.read_bytes()) if path else {}
    except ValueError:  # transformers ignores a file that is not JSON, too
        settings = {}
    named = _ids(settings.get("eos_token_id")) if isinstance(settings, dict) else frozenset[int]()
    return named or _ids(getattr(config, "eos_token_id", None)) or _ids(config.get_text_config().eos_token_id)


def remove_settings(model: Any, stops: frozenset[int]) -> None:
    """Replace a model's generation settings, so that `save_pretrained` writes only the ids that end a reply."""
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(eos_token_id=sorted(stops) or None)


def _ids(named: object) -> frozenset[int]:
    entries: list[object] = named if isinstance(named, list) else [named]
    return frozenset(entry for entry in entries if isinstance(entry, int) and not isinstance(entry, bool))
