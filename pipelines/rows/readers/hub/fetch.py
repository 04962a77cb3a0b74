"""Finds and fetches the files of a data set on the hub at a commit, in the cache that all Hugging Face tools share."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import InputError
from pipelines.rows.readers.hub.card import CARD, languages_of, licence_of, read_card
from pipelines.rows.readers.hub.layout import choose_files
from pipelines.rows.readers.rules import HubSet, ReadingRules, SeedSource
from pipelines.rows.readers.seed_rows import FileProblem
from pipelines.rows.readers.sets.locate import find_files


def fetch_source(hub: HubSet, rules: ReadingRules) -> SeedSource:
    """Return the files of a split, fetched unless they are in the local cache.

    Raises:
        InputError: If they cannot be fetched, or there is no such config or split.
    """
    folder = _snapshot(hub, [CARD])
    listed = _listed_files(hub)
    try:
        wanted = choose_files(listed or _local_files(folder), read_card(folder), hub.config, hub.split)
    except FileProblem as problem:
        raise _hub_error(hub, problem, partial=listed is None) from None
    folder = _snapshot(hub, [CARD, *map(glob.escape, wanted)])
    if absent := [name for name in wanted if not (folder / name).is_file()]:
        raise InputError(f"{absent[0]} is not in the local cache", file=hub.name, remedy=_download_remedy(hub))
    return _source(folder, wanted, rules)


def cached_source(hub: HubSet, rules: ReadingRules) -> SeedSource | None:
    """Return the files of a split if all of them are in the local cache, without using the network; else None.

    Raises:
        InputError: If it is known that there is no such config or split.
    """
    from huggingface_hub import constants

    try:
        folder = _snapshot(hub, [CARD], local=True)
    except InputError:
        return None
    listed = _listed_files(hub)
    try:
        wanted = choose_files(listed or _local_files(folder), read_card(folder), hub.config, hub.split)
    except FileProblem as problem:
        if listed is None and not constants.HF_HUB_OFFLINE:  # the cache may have a part of the files only
            return None
        raise _hub_error(hub, problem, partial=listed is None) from None
    return _source(folder, wanted, rules) if all((folder / name).is_file() for name in wanted) else None


def _source(folder: Path, names: Sequence[str], rules: ReadingRules) -> SeedSource:
    card = read_card(folder)
    return SeedSource(find_files([folder / name for name in names]), rules, licence_of(card), languages_of(card))


def _snapshot(hub: HubSet, patterns: Sequence[str], local: bool = False) -> Path:
    """Return the folder of the cached files, after fetching those that match. `local` forbids the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(
            snapshot_download(
                hub.name,
                repo_type="dataset",
                revision=hub.revision,
                allow_patterns=[*patterns],
                local_files_only=local,
            )
        )
    except LocalEntryNotFoundError:
        message = f"commit {hub.revision[:12]} is not in the local cache, and the hub cannot be reached"
        raise InputError(message, file=hub.name, remedy=_download_remedy(hub)) from None
    except RevisionNotFoundError:
        remedy = f"Choose one from https://huggingface.co/datasets/{hub.name}/commits/main."
        raise InputError(f"has no commit {hub.revision}", file=hub.name, remedy=remedy) from None
    except (GatedRepoError, RepositoryNotFoundError):
        raise InputError("does not exist on the hub, or needs a login", file=hub.name, remedy=_login(hub)) from None
    except Exception as error:  # which library sends the requests depends on huggingface_hub's version
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot be fetched: {reason}", file=hub.name, remedy=_download_remedy(hub)) from None


def _login(hub: HubSet) -> str:
    page = f"https://huggingface.co/datasets/{hub.name}"
    return f"Check the name; accept the terms at {page} if there are any, and log in with 'hf auth login' or HF_TOKEN."


def _download_remedy(hub: HubSet) -> str:
    command = f"hf download {hub.name} --repo-type dataset --revision {hub.revision}"
    return f"With a network, run '{command}' (after 'hf auth login' if it is gated), and then set HF_HUB_OFFLINE=1."


def _listed_files(hub: HubSet) -> list[str] | None:
    """Return the names of all files of the commit; None if no earlier download has listed them."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        found = get_cached_repo_tree(hub.name, repo_type="dataset", revision=hub.revision)
    except CachedRepoTreeNotFoundError:
        return None
    return [file.path for file in found]


def _local_files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def _hub_error(hub: HubSet, problem: FileProblem, partial: bool) -> InputError:
    """Return the error of a data set. `partial` says that only the files in the cache are known."""
    message = f"{problem.message}, as far as it is in the local cache" if partial else problem.message
    return InputError(message, file=hub.name, remedy=problem.remedy or _download_remedy(hub))
