"""The tables and figures of the papers, and the studies that make them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from ruamel.yaml import YAML

from pipelines.errors import InputError

PAPERS = Path(str(files("studies"))) / "papers"
LIST_COMMAND = "'evolgrid reproduce' lists all tables."
LEAST_LIKENESS, MAX_SUGGESTED = 0.7, 2
_Found = TypeVar("_Found")
_KINDS = {"t": "table", "tab": "table", "f": "figure", "fig": "figure", "s": "section", "sec": "section"}
_COST_ROW = re.compile(r"\| `(?P<id>[^`]+)` \| (?P<trainings>\d+) \|.*?\|.*?\| (?P<hours>[-\d.]+)")
_NAME = re.compile(r"(?:(?P<paper>\d{4}\.\d{5})[\s/:,]*)?(?:(?P<kind>[a-z]+)[\s._-]*(?P<number>\d+))?")


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table or figure of a paper: the names of its studies, and what it shows."""

    paper: str
    name: str
    studies: tuple[str, ...]
    shows: str

    @property
    def id(self) -> str:
        """Its name on the command line."""
        return f"{self.paper}/{self.name.replace(' ', '-')}"


@dataclass(frozen=True, slots=True)
class PaperStudy:
    """A study of a paper, as it is shipped."""

    paper: str
    name: str

    @property
    def id(self) -> str:
        """Its name on the command line."""
        return f"{self.paper}/{self.name}"

    @property
    def path(self) -> Path:
        """Its file in the package."""
        return PAPERS / self.paper / f"{self.name}.yaml"


@dataclass(frozen=True, slots=True)
class StudyCost:
    """The number of a study's trainings and its GPU-hours on eight H100 as text ("-" where these are too few)."""

    trainings: int
    gpu_hours: str


@cache
def paper_tables() -> tuple[PaperTable, ...]:
    """Return all tables, figures and sections, paper by paper and study by study."""
    return tuple(
        PaperTable(paper["paper"], name, tuple(group["studies"]), shows)
        for paper in YAML(typ="safe").load(Path(__file__).with_name("tables.yaml"))
        for group in paper["tables"]
        for name, shows in group["show"].items()
    )


@cache
def study_costs() -> Mapping[str, StudyCost]:
    """Return what the studies cost, by their ids: the estimates of the README in their folder."""
    text = (PAPERS / "README.md").read_text(encoding="utf-8")
    rows = (_COST_ROW.match(line) for line in text.splitlines())
    return {row["id"]: StudyCost(int(row["trainings"]), row["hours"]) for row in rows if row}


@cache
def paper_studies() -> tuple[PaperStudy, ...]:
    """Return all studies that are shipped, sorted."""
    return tuple(PaperStudy(path.parent.name, path.stem) for path in sorted(PAPERS.glob("*/*.yaml")))


def studies_of(text: str) -> tuple[PaperStudy, ...]:
    """Return the studies of a table, a figure, a section, or the study of this name.

    Names are read in a friendly way: "2412.11231/table-1", "2412.11231 T1", "table 5", "temperatures".

    Raises:
        InputError: Nothing has this name, or things of several papers have it.
    """
    wanted = text.strip().lower().removesuffix(".yaml")
    if named := [one for one in paper_studies() if wanted in (one.id, one.name)]:
        return (_only(text, {one.id: one for one in named}),)
    found = _NAME.fullmatch(wanted)
    if found and found["kind"]:
        kind = _KINDS.get(found["kind"], found["kind"])
        name = f"{kind} {int(found['number'])}"
        tables = [one for one in paper_tables() if one.name == name and found["paper"] in (None, one.paper)]
        if tables:
            table = _only(text, {one.id: one for one in tables})
            return tuple(PaperStudy(table.paper, study) for study in table.studies)
    raise InputError(f"no table, figure or study is named '{text}'", remedy=_suggestion(wanted))


def _only(text: str, found: Mapping[str, _Found]) -> _Found:
    if len(found) > 1:
        remedy = f"Name one of them: {', '.join(found)}."
        raise InputError(f"'{text}' is in several papers", remedy=remedy)
    return next(iter(found.values()))


def _suggestion(wanted: str) -> str:
    plain, known = _plain(wanted), {one.id: _plain(one.id) for one in (*paper_tables(), *paper_studies())}
    without_paper = {name: text.partition(" ")[2] for name, text in known.items()}

    def likeness(name: str) -> float:
        texts = (known[name], without_paper[name])
        return max(difflib.SequenceMatcher(None, plain, text).ratio() for text in texts)

    near = [name for name in sorted(known, key=likeness, reverse=True) if likeness(name) >= LEAST_LIKENESS]
    return f"Did you mean {_alternatives(near[:MAX_SUGGESTED])}? {LIST_COMMAND}" if near else LIST_COMMAND


def _plain(name: str) -> str:
    return re.sub(r"[\s/_-]+", " ", name)


def _alternatives(names: Iterable[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
