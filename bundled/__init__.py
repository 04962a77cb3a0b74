"""Bundled models: where their folders are."""

import difflib
from importlib import resources
from pathlib import Path

_MODELS = Path(str(resources.files("bundled") / "models"))


def names() -> tuple[str, ...]:
    """The names of the bundled models, sorted."""
    return tuple(sorted(folder.name for folder in _MODELS.iterdir() if (folder / "config.json").is_file()))


def path(name: str) -> Path:
    """The Hugging Face folder of a bundled model; ValueError naming the nearest one if there is none."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1, cutoff=0.0)
        raise ValueError(f"no bundled model {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return _MODELS / name
