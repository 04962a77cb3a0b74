"""Failures of S3 as Python's own: s3fs tries a refused connection once, and raises what botocore does: no OSError."""

from __future__ import annotations

import errno
from importlib import import_module
from typing import Any


def prepare() -> None:
    """Let s3fs try lost connections again as it does a busy server, and raise an OSError in the end, in this process.

    What was lost on the way is ENETUNREACH, a name that no bucket can have is not found, and all else that botocore
    refuses (credentials that are missing, most of all) is a PermissionError. ImportError without s3fs.
    """
    core: Any = import_module("s3fs.core")
    translated, known = core.translate_boto_error, core.botocore.exceptions
    if translated.__module__ == __name__:
        return

    def translate(error: Exception, message: str | None = None, set_cause: bool = True, *rest: Any) -> Exception:
        """As s3fs does, and what it leaves alone. Botocore's own is not the cause: that is what would be told."""
        made = translated(error, message, False, *rest)
        told = " ".join(str(made).split())
        if isinstance(made, OSError) or not isinstance(made, (known.BotoCoreError, *core.S3_RETRYABLE_ERRORS)):
            return made
        if isinstance(made, core.S3_RETRYABLE_ERRORS):
            return OSError(errno.ENETUNREACH, told)
        if isinstance(made, known.ParamValidationError):
            return FileNotFoundError(told)
        return PermissionError(errno.EACCES, told)

    core.add_retryable_error(known.ConnectionError)
    core.translate_boto_error = translate
