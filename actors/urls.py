"""The file systems behind fsspec's URLs, as our stores use them."""

from __future__ import annotations

from typing import Any

from actors.s3 import prepare


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL (or of a local path), without a cache of listings, and the path on it.

    Credentials and endpoints come from the environment. ImportError if the protocol's package is not installed,
    ValueError for a protocol that fsspec does not know.
    """
    from fsspec.core import url_to_fs

    return url_to_fs(url, use_listings_cache=False, **_options(url))


def move(fs: Any, source: str, target: str) -> None:
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
    prepare()
    tries = {"mode": "standard", "max_attempts": 2}
    return {"config_kwargs": {"retries": tries, "connect_timeout": 5, "read_timeout": 30}}
