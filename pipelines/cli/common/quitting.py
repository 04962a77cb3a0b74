"""Ends the process with a message and an exit code."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from rich.console import Console


def quit_with(message: str, code: int) -> NoReturn:
    """Print a message to standard error and end the process at once."""
    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    sys.stdout.flush()
    # threads that still wait for Ray must not keep the process running
    os._exit(code)
