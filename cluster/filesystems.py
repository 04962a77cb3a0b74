"""File systems by URL through fsspec, with failures of S3 as Python's own errors, and free disk space."""

from __future__ import annotations

import errno
import os
from importlib import import_module
from pathlib import Path
from typing import Any


def patch_s3fs() -> None:
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


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL (or of a local path), without a cache of listings, and the path on it.

    Credentials and endpoints come from the environment. ImportError if the protocol's package is not installed,
    ValueError for a protocol that fsspec does not know.
    """
    from fsspec.core import url_to_fs

    return url_to_fs(url, use_listings_cache=False, **_options(url))


def move_folder(fs: Any, source: str, target: str) -> None:
    """Move a folder to a free place: one rename on a disk; elsewhere its files are copied first, and then removed.

    fsspec's own `mv` would copy folders as well, which S3 does not have. FileNotFoundError if there is no such folder.
    """
    if "file" in fs.protocol:
        fs.mv(source, target, recursive=True)
        return
    files: list[str] = fs.find(source)
    root = fs._strip_protocol(source)
    fs.copy(files, [target + file.removeprefix(root) for file in files])
    fs.rm(source, recursive=True)


def _options(url: str) -> dict[str, Any]:
    """An S3 client tries again for a moment, as s3fs around it does five times: together less than a minute."""
    if not url.startswith(("s3://", "s3a://")):
        return {}
    patch_s3fs()
    tries = {"mode": "standard", "max_attempts": 2}
    return {"config_kwargs": {"retries": tries, "connect_timeout": 5, "read_timeout": 30}}


def flush_tree(folder: Path) -> None:
    """Have the disk hold all files and folders below a folder, and itself."""
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
