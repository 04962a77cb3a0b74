"""The lock file of a study: the commits of branches and tags on the hub, so that a study may name a branch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import InputError
from pipelines.study.file.load import LoadedStudy
from pipelines.study.file.yaml_tree import Loc, parse
from pipelines.study.locking.references import HubReference, RepoType, unpinned, with_revisions

VERSION = 1
_HEADER = "# The commits of what the study takes from the hub. Written by 'evolgrid lock'; keep it with the study.\n"


class Lock(BaseModel):
    """Commits by the name of the model or data set, and the branch or tag that the study names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lock: int = VERSION
    models: dict[str, dict[str, str]] = {}
    datasets: dict[str, dict[str, str]] = {}

    def commit_of(self, reference: HubReference) -> str | None:
        """Return the commit of what a study names; None if the lock does not have it."""
        return self._block(reference.kind).get(reference.name, {}).get(reference.revision)

    def _block(self, kind: RepoType) -> Mapping[str, Mapping[str, str]]:
        return self.models if kind == "model" else self.datasets


def lock_path(study: Path) -> Path:
    """Return the path of a study's lock file, beside its file."""
    return study.with_suffix(".lock")


def read_lock(path: Path) -> Lock | None:
    """Return the content of a lock file; None if there is none.

    Raises:
        InputError: It cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", file=str(path)) from None
    try:
        found = Lock.model_validate(parse(text, str(path)).value)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(map(str, detail["loc"]))
        remedy = "Delete it and run 'evolgrid lock' again."
        raise InputError(f"is not a lock file: {where}: {detail['msg']}", file=str(path), remedy=remedy) from None
    if found.lock != VERSION:
        remedy = f"This evolgrid has version {VERSION}."
        raise InputError(f"there is no version {found.lock} of lock files", file=str(path), remedy=remedy)
    return found


def write_lock(path: Path, commits: Mapping[HubReference, str]) -> None:
    """Write the commits of what a study names, sorted by name."""
    import yaml

    blocks: dict[str, dict[str, dict[str, str]]] = {"models": {}, "datasets": {}}
    for reference, commit in sorted(commits.items(), key=lambda item: (item[0].name, item[0].revision)):
        block = blocks["models" if reference.kind == "model" else "datasets"]
        block.setdefault(reference.name, {})[reference.revision] = commit
    content = {"lock": VERSION, **{name: block for name, block in blocks.items() if block}}
    path.write_text(_HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def with_lock(loaded: LoadedStudy) -> LoadedStudy:
    """Return the study with the commits of its lock file, if it has one, in place of branches and tags.

    Raises:
        InputError: The lock file cannot be read.
    """
    lock = read_lock(lock_path(loaded.folder / loaded.path.name)) if loaded.path else None
    if lock is None:
        return loaded
    pins: dict[str, str] = {}

    def choose(reference: HubReference) -> str:
        commit = None if reference.is_pinned else lock.commit_of(reference)
        if commit:
            pins[reference.requested] = commit
        return commit or reference.revision

    return replace(loaded, study=with_revisions(loaded.study, loaded.folder, choose), pins=pins)


def missing_in_lock(loaded: LoadedStudy) -> Iterator[tuple[Loc, str, str]]:
    """Yield the places of names that the study's lock file does not have, if it has one, with message and remedy."""
    if loaded.pins is None or loaded.path is None:
        return
    for reference in unpinned(loaded.study, loaded.folder):
        message = f"'{reference.name}' at '{reference.revision}' is not in {lock_path(loaded.path).name}"
        yield reference.loc, message, f"Run 'evolgrid lock {loaded.path}'."
