"""Finds the folders of the bundled models."""

import difflib
from importlib import resources
from pathlib import Path

_MODELS = Path(str(resources.files("bundled") / "models"))


def names() -> tuple[str, ...]:
    """Return the names of the bundled models, sorted."""
    return tuple(sorted(folder.name for folder in _MODELS.iterdir() if (folder / "config.json").is_file()))


def path(name: str) -> Path:
    """Return the Hugging Face folder of a bundled model.

    Raises:
        ValueError: If there is no such model. The message suggests the closest name.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1, cutoff=0.0)
        raise ValueError(f"no bundled model {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return _MODELS / name
