"""Reads a store for the page. What cannot change is read once; the rest is read again when its file has changed."""

from __future__ import annotations

import posixpath
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipelines.results.report.data.report import Result
from pipelines.store.errors import CorruptStore
from pipelines.store.lease import LEASE_TIMEOUT, LeaseRecord, is_dead, read_heartbeat, read_lease
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.store.studies.finished_log import FinishedStep, finished_steps, read_log
from pipelines.store.studies.graph_record import load_graph
from pipelines.store.studies.live_state import LiveState, load_live
from pipelines.store.studies.run_record import study_folder
from pipelines.store.studies.search_log import SearchDecision, load_decisions
from pipelines.store.studies.step_index import INDEX_FILE, referenced_keys
from pipelines.ui.reading.graph import SavedGraph, graph_of_manifests

FRESH_SECONDS = 1.0  # several clients and requests share what was read within this time
T = TypeVar("T")


class NotFound(Exception):
    """The store has no such study, step or row. The message says what is missing."""


@dataclass(frozen=True, slots=True)
class StudyState:
    """A study at present. `driver` is "running", "stopped" (the driver has exited or is silent) or "" (none)."""

    name: str
    graph: SavedGraph
    finished: dict[str, FinishedStep]
    driver: str
    lease: LeaseRecord | None
    live: LiveState | None

    @property
    def running(self) -> bool:
        """Whether a live driver runs the study."""
        return self.driver == "running"


@dataclass
class StoreReader:
    """Reads a store. All methods may be called from several threads.

    `results` keeps the results of evaluations that were computed, by step key and the cell's place in the graph.
    """

    store: Store
    results: dict[tuple[str, int], list[Result]] = field(default_factory=dict[tuple[str, int], list[Result]])
    _cache: dict[tuple[str, ...], tuple[Any, Any]] = field(default_factory=dict[tuple[str, ...], tuple[Any, Any]])
    _manifests: dict[str, Manifest] = field(default_factory=dict[str, Manifest])
    _heartbeats: dict[str, tuple[bytes, float]] = field(default_factory=dict[str, tuple[bytes, float]])
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def studies(self) -> list[str]:
        """Return the names of the studies that have run in the store, sorted."""
        return sorted(self._listing("studies"))

    def study(self, name: str) -> StudyState:
        """Return the present state of a study.

        Raises:
            NotFound: The store has no such study.
        """
        if name not in self.studies():
            raise NotFound(f"this store has no study '{name}'")
        return self._within_fresh_time(("study", name), lambda: self._read_study(name))

    def manifest(self, state: StudyState, key: str) -> Manifest:
        """Return the manifest of a finished step of a study.

        Raises:
            NotFound: The study has no such step, or it is not finished.
        """
        if key not in state.graph.nodes:
            raise NotFound(f"study {state.name} has no step '{key}'")
        if key not in self._manifests:
            try:
                self._manifests[key] = self.store.manifest(state.graph.kinds[key], key)
            except FileNotFoundError:
                raise NotFound(f"{state.graph.nodes[key].label} is not finished yet") from None
        return self._manifests[key]

    def manifests(self, state: StudyState, kinds: frozenset[str]) -> list[Manifest]:
        """Return the manifests of a study's finished steps of some kinds, in the graph's order."""
        keys = [key for key, kind in state.graph.kinds.items() if kind in kinds and key in state.finished]
        found: list[Manifest] = []
        for key in keys:
            try:
                found.append(self.manifest(state, key))
            except (NotFound, CorruptStore):  # invalidated meanwhile, or damaged: `evolgrid verify` reports it
                continue
        return found

    def decisions(self, state: StudyState) -> list[SearchDecision]:
        """Return the decisions of a study's search in order.

        Raises:
            CorruptStore: A decision is damaged.
        """
        search, stamp = state.graph.record.search, self._entries("studies", state.name, "search")
        digest = search.digest if search else ""
        return self._unless_changed(
            ("decisions", state.name), (digest, stamp), lambda: load_decisions(self.store, state.name, digest)
        )

    def versions(self) -> dict[str, str]:
        """Return a text for each study that changes whenever its files in `studies/` do, or its driver's state."""
        return self._within_fresh_time(("versions",), self._read_versions)

    def file(self, state: StudyState, *parts: str) -> bytes:
        """Return a file in a study's folder.

        Raises:
            FileNotFoundError: There is no such file.
        """
        return self.store.read_bytes(posixpath.join(study_folder(self.store, state.name), *parts))

    def folders(self, state: StudyState) -> list[str]:
        """Return the names of the folders in a study's folder."""
        return self._listing("studies", state.name)

    def _read_versions(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in self.studies():
            driver, _ = self._driver(name)
            entries = [*self._entries("studies", name), *self._entries("studies", name, "finished")]
            entries += [*self._entries("studies", name, "report"), *self._entries("studies", name, "search")]
            found[name] = f"{driver} {sorted(entry for entry in entries if 'lease.json' not in entry)}"
        return found

    def _read_study(self, name: str) -> StudyState:
        driver, lease = self._driver(name)
        live = load_live(self.store, name)
        graph = self._graph(name)
        logged = self._log(name)
        done = self.store.finished_keys() if logged is None or driver != "running" else logged.keys()
        kinds = {key: kind for key, kind in graph.kinds.items() if key in done}
        return StudyState(name, graph, finished_steps(self.store, name, kinds, logged or {}), driver, lease, live)

    def _log(self, name: str) -> dict[str, FinishedStep] | None:
        stamp = self._entries("studies", name, "finished")
        return self._unless_changed(("log", name), stamp, lambda: read_log(self.store, name))

    def _graph(self, name: str) -> SavedGraph:
        stamp = tuple(self._entries("studies", name, only=("graph.json", INDEX_FILE)))
        return self._unless_changed(("graph", name), stamp, lambda: self._read_graph(name))

    def _read_graph(self, name: str) -> SavedGraph:
        if found := load_graph(self.store, name):
            return SavedGraph(found)
        keys = referenced_keys(self.store).get(name, frozenset())
        manifests = {key: self.store.manifest(kind, key) for kind, key in self._finished() if key in keys}
        return SavedGraph(graph_of_manifests(name, keys, manifests))

    def _finished(self) -> list[tuple[str, str]]:
        paths = self.store.fs.glob(posixpath.join(self.store.root, "steps", "*", "*", "manifest.json"))
        return [(parts[-3], parts[-2]) for path in paths if (parts := path.split("/"))]

    def _driver(self, name: str) -> tuple[str, LeaseRecord | None]:
        """Return whether a driver runs the study, and its lease. One on another machine is known by its heartbeat."""
        lease = read_lease(self.store, name)
        if lease is None:
            return "", None
        if is_dead(lease):
            return "stopped", lease
        beat, now = read_heartbeat(self.store, lease), time.monotonic()
        with self._lock:
            before, since = self._heartbeats.get(lease.token, (None, now))
            self._heartbeats[lease.token] = (beat, since if beat == before else now)
        return ("stopped" if beat == before and now - since > LEASE_TIMEOUT else "running"), lease

    def _listing(self, *parts: str) -> list[str]:
        """Return the names of the folders in a folder of the store."""
        try:
            found = self.store.fs.ls(posixpath.join(self.store.root, *parts), detail=True)
        except FileNotFoundError:
            return []
        return [posixpath.basename(one["name"].rstrip("/")) for one in found if one["type"] == "directory"]

    def _entries(self, *parts: str, only: tuple[str, ...] = ()) -> list[str]:
        """Return a text for each file in a folder of the store, which changes when the file does."""
        try:
            found = self.store.fs.ls(posixpath.join(self.store.root, *parts), detail=True)
        except FileNotFoundError:
            return []
        named = [(posixpath.basename(one["name"]), one) for one in found if one["type"] == "file"]
        stamps = ("mtime", "LastModified", "ETag", "updated", "size")
        return [
            f"{name} {[str(one.get(stamp)) for stamp in stamps]}" for name, one in named if not only or name in only
        ]

    def _unless_changed(self, what: tuple[str, ...], stamp: object, read: Callable[[], T]) -> T:
        with self._lock:
            if what in self._cache and self._cache[what][0] == stamp:
                return self._cache[what][1]
            found = read()
            self._cache[what] = (stamp, found)
            return found

    def _within_fresh_time(self, what: tuple[str, ...], read: Callable[[], T]) -> T:
        with self._lock:
            if what in self._cache and time.monotonic() - self._cache[what][0] < FRESH_SECONDS:
                return self._cache[what][1]
            found = read()
            self._cache[what] = (time.monotonic(), found)
            return found
