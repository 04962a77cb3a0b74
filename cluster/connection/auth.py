"""Ray's token authentication: always enabled for clusters that we start, and required of clusters that we join."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import tempfile
from pathlib import Path

from cluster.errors import ClusterError
from cluster.ray_internals import auth_token, reload_auth_mode


def use_token(required: bool) -> None:
    """Enable token authentication in this process and its child processes, or disable it if not `required`."""
    os.environ["RAY_AUTH_MODE"] = "token" if required else "disabled"
    reload_auth_mode()


def ensure_token() -> None:
    """Make sure that a token exists, in a file that only this user can read.

    Ray would create `~/.ray/auth_token`, too, but readable by all users. A token that `RAY_AUTH_TOKEN` or
    `RAY_AUTH_TOKEN_PATH` provides is not changed.

    Raises:
        ClusterError: The file cannot be written.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    path = Path.home() / ".ray" / "auth_token"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _create_private(path, secrets.token_hex(32))
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            path.chmod(0o600)
    except OSError as error:
        raise ClusterError(
            f"cannot write Ray's token file {path} ({error.strerror}); set RAY_AUTH_TOKEN_PATH to another file"
        ) from error


def bearer_token() -> tuple[tuple[str, str], ...]:
    """Return this user's token as gRPC metadata, empty if there is none."""
    token = auth_token()
    return () if token is None else (("authorization", f"Bearer {token}"),)


def _create_private(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        # `link` is atomic: if two processes start at the same time, both read the same complete token
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
