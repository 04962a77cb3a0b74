"""The text file of instructions on the format of answers that AutoIF starts from."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import InputError
from pipelines.study.spec.evolution import Evolution

MAX_INSTRUCTION_CHARS = 1000  # characters of one instruction


def read_autoif_instructions(folder: Path, evolution: Evolution) -> tuple[str, ...]:
    """The instructions of a study's evolution, in order, blank lines left out. `folder` is the study file's.

    InputError, with the line, for a file that can not be read, is empty, or holds what is not one line of text.
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
            raise InputError(
                f"is not one instruction of at most {MAX_INSTRUCTION_CHARS} characters", file=str(path), line=number
            )
    if not lines:
        raise InputError("is empty", file=str(path), remedy="Write one instruction on the format of an answer a line.")
    return tuple(line for _, line in lines)
