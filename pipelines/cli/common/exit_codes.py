"""The message and the exit code with which an error ends a command."""

from __future__ import annotations

from pipelines.api.errors import failure_message, without_ray
from pipelines.cli.common.options import EXIT_BAD_INPUT, EXIT_FAILED
from pipelines.errors import InputError


def message_and_code(error: BaseException) -> tuple[str, int]:
    """Return one line for any error, and the exit code. What the line leaves out is in the file that it names."""
    return failure_message(error), _code(error)


def _code(error: BaseException) -> int:
    return EXIT_BAD_INPUT if isinstance(without_ray(error), InputError) else EXIT_FAILED
