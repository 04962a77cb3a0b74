"""Uploads repositories to the hub. What an interrupted push has uploaded is not sent again."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from huggingface_hub import HfApi, constants, get_token

from pipelines.errors import InputError, PushFailed
from pipelines.results.hub.repositories import Repository

_TOKENS_PAGE = "https://huggingface.co/settings/tokens"
_LOGIN = f"Create a token with write permission at {_TOKENS_PAGE}, and set HF_TOKEN or run 'hf auth login'."
_AGAIN = "Run the same command again: what is uploaded is not sent again."


def check_access() -> str:
    """Return the token with which to push.

    Raises:
        InputError: There is none, or this process may not use the network.
    """
    if constants.HF_HUB_OFFLINE:
        raise InputError("HF_HUB_OFFLINE is set, so nothing can be pushed", remedy="Unset it.")
    token = get_token()
    if not token:
        raise InputError("there is no token for the hub", remedy=_LOGIN)
    return token


def push(repository: Repository, token: str, public: bool, study: str) -> str:
    """Create a repository unless it exists, upload its files, and return its address.

    Raises:
        InputError: The token is not accepted or may not write there, or the repository exists, is public, and `public`
            is not set.
        PushFailed: The hub cannot be reached, or does not answer as expected.
    """
    api = HfApi(token=token)
    if repository.stage:
        repository.stage(repository.folder)
    with _told(repository.name):
        url = str(api.create_repo(repository.name, repo_type=repository.kind, private=not public, exist_ok=True))
        if not public and not api.repo_info(repository.name, repo_type=repository.kind).private:
            raise InputError(
                "exists on the hub and is public", file=repository.name, remedy="Pass --public, or give another name."
            )
        api.upload_folder(
            repo_id=repository.name,
            repo_type=repository.kind,
            folder_path=repository.folder,
            commit_message=f"Push the study {study} with evolgrid",
        )
    if repository.stage:  # the weights of one student at a time
        shutil.rmtree(repository.folder)
    return url


@contextmanager
def _told(name: str) -> Generator[None]:
    """Turn errors of the hub's library into one line with a remedy."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # which library sends the requests depends on huggingface_hub's version
        raise _described(name, error) from error


def _described(name: str, error: Exception) -> Exception:
    status = _status(error)
    owner = name.partition("/")[0]
    if status == 401:
        return InputError("the hub does not accept the token", file=name, remedy=_LOGIN)
    if status in (403, 404):
        remedy = f"Check the name; the token at {_TOKENS_PAGE} needs write permission for '{owner}'."
        return InputError(f"the token may not write to '{owner}'", file=name, remedy=remedy)
    if status in (402, 413):
        return PushFailed(f"{name}: the hub refuses the files: {_first_line(error)}")
    if status:
        return PushFailed(f"{name}: the hub answers with status {status}: {_first_line(error)}. {_AGAIN}")
    return PushFailed(f"{name}: cannot upload to {constants.ENDPOINT}: {_first_line(error)}. {_AGAIN}")


def _status(error: BaseException | None) -> int:
    """Return the HTTP status of an error or of its cause; 0 if there was no answer."""
    while error is not None:
        response: Any = getattr(error, "response", None)
        if response is not None:
            return int(response.status_code)
        error = error.__cause__
    return 0


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None and isinstance(error, RuntimeError):
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
