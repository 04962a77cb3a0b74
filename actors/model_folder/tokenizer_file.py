"""Loads a tokenizer as its tokenizer.json describes it.

transformers builds some tokenizers from the class that tokenizer_config.json names. For a byte-level
tokenizer.json under the name of Llama's tokenizer, as in many fine-tunes, this loses all spaces.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.engine import LoadError
from actors.model_folder.hub_file import model_file

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

PROBES = (
    "Tell me about rivers.\nNow.",
    "  two spaces,\ttabs\n\n\nand    lines ",
    "naïve café, 你好 мир 🙂",
    "def f(x):\n    return 1234567 + x  # it's",
)


def tokenizer_of(model: str, revision: str | None) -> PreTrainedTokenizerBase:
    """Return the model's tokenizer, which splits and joins text exactly as its tokenizer.json does, if it has one.

    Raises:
        LoadError: transformers cannot load it so.
        OSError: The model has no tokenizer.
    """
    from transformers import AutoTokenizer

    arguments: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(model, **arguments)
    path = model_file(model, revision, "tokenizer.json")
    return loaded if path is None else _as_in_file(loaded, path, model, arguments)


def _as_in_file(
    loaded: PreTrainedTokenizerBase, path: Path, model: str, arguments: dict[str, Any]
) -> PreTrainedTokenizerBase:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    reference = Tokenizer.from_file(str(path))
    reference.no_truncation()
    reference.no_padding()
    if _difference(loaded, reference) is None:
        return loaded
    own: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(model, **arguments)
    if (probe := _difference(own, reference)) is not None:
        detail = f"the tokenizer ({type(loaded).__name__}) encodes {probe!r} in another way than its tokenizer.json"
        raise LoadError(model, f"{detail}. Name the right 'tokenizer_class' in its tokenizer_config.json")
    return own


def _difference(tokenizer: PreTrainedTokenizerBase, reference: Tokenizer) -> str | None:
    """Return a text that the tokenizer encodes or decodes in another way than the file; None if there is none."""
    for probe in PROBES:
        ids = list(reference.encode(probe, add_special_tokens=False).ids)
        decoded = reference.decode(ids, skip_special_tokens=False)
        if list(tokenizer(probe, add_special_tokens=False)["input_ids"]) != ids:
            return probe
        if tokenizer.decode(ids, clean_up_tokenization_spaces=False) != decoded:
            return probe
    return None
