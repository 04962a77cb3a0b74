"""Reads the text file of instructions on the format of answers that AutoIF starts from."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import InputError
from pipelines.study.spec.instructions.evolution import Evolution

MAX_INSTRUCTION_CHARS = 1000


def read_autoif_instructions(folder: Path, evolution: Evolution) -> tuple[str, ...]:
    """Return the instructions of an evolution's file in order, without blank lines.

    `folder` is the study file's folder.

    Raises:
        InputError: The file cannot be read or is empty, or a line is too long or has unprintable characters.
    """
    assert evolution.autoif is not None
    path = folder / evolution.autoif.instructions
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file", file=str(path)) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: {error.reason}", file=str(path), remedy="Save the file as UTF-8.") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error}", file=str(path)) from None
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, line in lines:
        if len(line) > MAX_INSTRUCTION_CHARS or not line.isprintable():
            message = f"an instruction must be at most {MAX_INSTRUCTION_CHARS} printable characters"
            raise InputError(message, file=str(path), line=number)
    if not lines:
        remedy = "Write one instruction on the format of an answer per line."
        raise InputError("the file is empty", file=str(path), remedy=remedy)
    return tuple(line for _, line in lines)
