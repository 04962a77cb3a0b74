"""Sentence embeddings: any sentence-transformers model, from an installed package, a folder or the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.inference.model_loading import device_name

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BATCH_SIZE = 32
MODULES_FILE = "modules.json"  # what makes a folder a sentence-transformers model


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Which model embeds. `source` is the name of an installed package that holds one, a folder or a hub name."""

    source: str
    revision: str | None = None


def packaged_model_folder(source: str) -> Path | None:
    """The folder of the model that an installed package of this name holds, if there is one."""
    name = source.replace("-", "_")
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / MODULES_FILE).is_file() else None


class Embedder:
    """A loaded model. Texts are cut at its own maximum length."""

    def __init__(self, spec: EncoderSpec) -> None:
        from sentence_transformers import SentenceTransformer

        self.model: Any = SentenceTransformer(
            str(packaged_model_folder(spec.source) or spec.source),
            revision=spec.revision,
            device=device_name(),
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors [texts, dimensions], made in batches of texts of like lengths."""
        return self.model.encode(list(texts), batch_size=BATCH_SIZE, normalize_embeddings=True, show_progress_bar=False)


class EmbedderHost:
    """The actor that hosts an embedder: that a model can not be loaded comes back as a value, not as a crash."""

    def __init__(self, spec: EncoderSpec) -> None:
        self._spec = spec

    def load_error(self) -> str:
        """Why the model can not be loaded, in one line; empty once it is."""
        try:
            _ = self._embedder
        except Exception as error:
            return " ".join(f"{type(error).__name__}: {error}".split())
        return ""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """As `Embedder` does."""
        return self._embedder.embed(texts)

    @cached_property
    def _embedder(self) -> Embedder:
        return Embedder(self._spec)
