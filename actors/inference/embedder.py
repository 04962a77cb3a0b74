"""Sentence embeddings: any sentence-transformers model, from an installed package, a folder or the hub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.devices import device_name, dtype_name, exit_if_cuda_failed
from actors.engine import LoadError
from actors.model_folder.files import check_files

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BATCH_SIZE = 32
MODULES_FILE = "modules.json"  # every sentence-transformers model has this file


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """The model that embeds. `source` is an installed package that contains one, a folder or a hub name."""

    source: str
    revision: str | None = None


def packaged_model_folder(source: str) -> Path | None:
    """Return the folder of the model in the installed package of this name; None if there is none."""
    name = source.replace("-", "_")
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / MODULES_FILE).is_file() else None


class Embedder:
    """A loaded model. Texts are truncated to its maximum length.

    Raises:
        LoadError: Files of its folder are missing, truncated or Git LFS pointers.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        from sentence_transformers import SentenceTransformer

        device, source = device_name(), str(packaged_model_folder(spec.source) or spec.source)
        check_files(source)
        self.model: Any = SentenceTransformer(
            source,
            revision=spec.revision,
            device=device,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True} | ({"dtype": dtype_name("auto", device)} if device == "cpu" else {}),
        )

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors [texts, dimensions], in the order of the texts."""
        return self.model.encode(list(texts), batch_size=BATCH_SIZE, normalize_embeddings=True, show_progress_bar=False)


class EmbedderHost:
    """The actor that hosts an embedder. An error in loading is returned as a value and does not crash the actor."""

    def __init__(self, spec: EncoderSpec, on_gpu: bool) -> None:
        """Create a host without a model. Without `on_gpu`, its process sees no GPU; Ray would not hide them."""
        self._spec = spec
        if not on_gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""

    def load_error(self) -> str:
        """Load the model, and return why it cannot be loaded, in one line; empty if it is loaded."""
        try:
            _ = self._embedder
        except LoadError as error:
            return error.detail
        except Exception as error:
            return " ".join(f"{type(error).__name__}: {error}".split())
        return ""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors [texts, dimensions], in the order of the texts."""
        try:
            return self._embedder.embed(texts)
        except RuntimeError as error:
            exit_if_cuda_failed(error)  # Ray restarts the actor, and repeats the call
            raise

    @cached_property
    def _embedder(self) -> Embedder:
        return Embedder(self._spec)
