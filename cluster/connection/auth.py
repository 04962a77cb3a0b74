"""Ray's token authentication: always on for clusters that we start, demanded from those that we join."""

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
    """Switch this process, and what it starts, to token authentication, or off if not `required`."""
    os.environ["RAY_AUTH_MODE"] = "token" if required else "disabled"
    reload_auth_mode()


def ensure_token() -> None:
    """Make sure that a token exists, in a file that only this user can read.

    Ray would create `~/.ray/auth_token` too, but readable by everyone. A token given by `RAY_AUTH_TOKEN` or
    `RAY_AUTH_TOKEN_PATH` is left as it is. Raises ClusterError if the file can not be written.
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
            f"Ray's token file {path} can not be written ({error.strerror}); name another file in RAY_AUTH_TOKEN_PATH"
        ) from error


def bearer_token() -> tuple[tuple[str, str], ...]:
    """This user's token as gRPC metadata; empty if there is none."""
    token = auth_token()
    return () if token is None else (("authorization", f"Bearer {token}"),)


def _create_private(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        # a link appears complete or not at all: of two processes that start together, both read the same token
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
