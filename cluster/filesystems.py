"""fsspec file systems by URL. Failures of S3 are raised as Python's built-in OSErrors."""

from __future__ import annotations

import errno
import os
from importlib import import_module
from pathlib import Path
from typing import Any


def patch_s3fs() -> None:
    """Patch s3fs in this process: it also retries lost connections, and raises OSErrors for botocore's errors.

    A lost connection becomes an OSError with ENETUNREACH, an invalid bucket name a FileNotFoundError, and any other
    error of botocore (most often missing credentials) a PermissionError.

    Raises:
        ImportError: s3fs is not installed.
    """
    core: Any = import_module("s3fs.core")
    translated, known = core.translate_boto_error, core.botocore.exceptions
    if translated.__module__ == __name__:
        return

    def translate(error: Exception, message: str | None = None, set_cause: bool = True, *rest: Any) -> Exception:
        """Translate an error as s3fs does, then the rest. Botocore's error is not kept as the cause."""
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


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL or local path, without a cache of listings, and the path on it.

    Credentials and endpoints are read from the environment.

    Raises:
        ImportError: The package for the protocol is not installed.
        ValueError: fsspec does not know the protocol.
    """
    from fsspec.core import url_to_fs

    return url_to_fs(url, use_listings_cache=False, **_options(url))


def move_folder(fs: Any, source: str, target: str) -> None:
    """Move a folder to a path that does not exist: a rename on a disk; elsewhere the files are copied, then removed.

    fsspec's `mv` would also copy folders, which S3 does not have.

    Raises:
        FileNotFoundError: The folder does not exist.
    """
    if "file" in fs.protocol:
        fs.mv(source, target, recursive=True)
        return
    files: list[str] = fs.find(source)
    root = fs._strip_protocol(source)
    fs.copy(files, [target + file.removeprefix(root) for file in files])
    fs.rm(source, recursive=True)


def _options(url: str) -> dict[str, Any]:
    """Return client options: few retries and short timeouts, as s3fs also retries five times; under a minute in all."""
    if not url.startswith(("s3://", "s3a://")):
        return {}
    patch_s3fs()
    tries = {"mode": "standard", "max_attempts": 2}
    return {"config_kwargs": {"retries": tries, "connect_timeout": 5, "read_timeout": 30}}


def flush_tree(folder: Path) -> None:
    """Flush a folder and all files and folders below it to disk (fsync)."""
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
