"""How a study says that it is the miniature of a paper's study, and what its report says of that."""

from __future__ import annotations

IN_MINIATURE = "In miniature: "
"""What the description of a miniature starts with."""
NOTE = "A miniature: it says nothing about the paper's models."


def miniature_note(description: str) -> str:
    """Return what to show beside the layouts and claims of a miniature; empty for other studies."""
    return NOTE if description.startswith(IN_MINIATURE) else ""
