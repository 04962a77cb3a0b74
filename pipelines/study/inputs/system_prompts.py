"""Reads the system prompts that a study gives to the models of a role, as texts or as files."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import InputError
from pipelines.study.spec.common.basics import SystemPrompt


def read_system_prompt(folder: Path, given: SystemPrompt | None) -> str:
    """Return the text of a system prompt, without white space around it; an empty text if none is given.

    `folder` is the study file's folder.

    Raises:
        InputError: The file cannot be read, or the text is empty.
    """
    if given is None:
        return ""
    if isinstance(given, str):
        return _require_text(given, None)
    path = folder / given.file
    try:
        return _require_text(path.read_bytes().decode("utf-8-sig"), path)
    except FileNotFoundError:
        raise InputError("no such file", file=str(path), remedy="Write the system prompt into this file.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: {error.reason}", file=str(path), remedy="Save the file as UTF-8.") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error}", file=str(path)) from None


def _require_text(text: str, path: Path | None) -> str:
    if not text.strip():
        file = str(path) if path else None
        raise InputError("the system prompt is empty", file=file, remedy="Omit 'system', or give it a text.")
    return text.strip()
