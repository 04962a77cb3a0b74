"""Asks the hub for the commits of branches and tags."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import InputError, nearest
from pipelines.study.file.load import LoadedStudy, load
from pipelines.study.locking.lock_file import Lock, lock_path, read_lock, write_lock
from pipelines.study.locking.references import HubReference, unpinned


@dataclass(frozen=True, slots=True)
class Pin:
    """The commit of what a study names, and the one that the lock file had before (None: it is new)."""

    reference: HubReference
    commit: str
    before: str | None


def lock_study(path: Path, update: Collection[str] = ()) -> tuple[Path, list[Pin]]:
    """Write the lock file of a study; return its path and its content.

    Commits that it has already are kept, except those of the names in `update`.

    Raises:
        InputError: The study or its lock file is invalid, `update` has a name that the study does not pin, or the hub
            does not know a name or a revision, or cannot be reached.
    """
    loaded = load(path)
    wanted = list(dict.fromkeys(replace_loc(each) for each in unpinned(loaded.study, loaded.folder)))
    names = [reference.name for reference in wanted]
    for name in update:
        if name not in names:
            message = f"the study names no branch or tag of '{name}'"
            raise InputError(message, file=str(path), remedy=nearest(name, names))
    target = lock_path(path)
    pins = list(_pins(loaded, wanted, read_lock(target) or Lock(), update))
    if pins:
        write_lock(target, {pin.reference: pin.commit for pin in pins})
    else:
        target.unlink(missing_ok=True)
    return target, pins


def replace_loc(reference: HubReference) -> HubReference:
    """Return the reference without its place, so that two places with the same name are equal."""
    return HubReference(reference.kind, reference.name, reference.revision, ())


def _pins(loaded: LoadedStudy, wanted: list[HubReference], lock: Lock, update: Collection[str]) -> Iterator[Pin]:
    for reference in wanted:
        before = lock.commit_of(reference)
        keep = before is not None and reference.name not in update
        yield Pin(reference, before if keep and before else _ask_hub(reference, str(loaded.path)), before)


def _ask_hub(reference: HubReference, file: str) -> str:
    """Return the commit that a branch or tag has now."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api: Any = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        found = api.repo_info(reference.name, repo_type=reference.kind, revision=reference.revision, timeout=30)
        return str(found.sha)
    except GatedRepoError:
        remedy = "Accept its terms on its page and run 'hf auth login', or set HF_TOKEN."
        raise InputError(f"'{reference.name}' is gated", file=file, remedy=remedy) from None
    except RevisionNotFoundError:
        raise InputError(f"'{reference.name}' has no branch or tag '{reference.revision}'", file=file) from None
    except RepositoryNotFoundError:
        remedy = "Correct the name; for a private one, run 'hf auth login' or set HF_TOKEN."
        raise InputError(f"the hub has no {reference.kind} '{reference.name}'", file=file, remedy=remedy) from None
    except OfflineModeIsEnabled:
        raise InputError("HF_HUB_OFFLINE is set, and commits are asked from the hub", file=file) from None
    except Exception as error:  # those of its HTTP client, which is another one in each version of the library
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"the hub does not answer for '{reference.name}': {told}", file=file) from None
