"""What a stage reports: checks with their numbers, each written to a file as soon as it is known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["PASS", "FAIL", "SKIP"]


@dataclass(frozen=True, slots=True)
class Check:
    """One statement, whether it holds, and the numbers behind it. `reason` says why it was skipped or failed."""

    name: str
    status: Status
    numbers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reason: str = ""

    def line(self) -> str:
        """Return the check as a line of text."""
        numbers = ", ".join(f"{name} {_text(value)}" for name, value in self.numbers.items())
        return f"{self.status}  {': '.join(filter(None, (self.name, self.reason, numbers)))}"


@dataclass(frozen=True, slots=True)
class StageResult:
    """The result of one stage. `reason` says why it was skipped, or what ended it before its last check."""

    name: str
    status: Status
    seconds: float
    checks: tuple[Check, ...] = ()
    reason: str = ""

    def text(self) -> str:
        """Return the stage and its checks as lines of text."""
        head = f"{self.name:<16}{self.status}  {self.seconds:6.1f} s  {self.reason}".rstrip()
        return "\n".join([head, *(f"    {check.line()}" for check in self.checks)])


class Recorder:
    """Appends the checks of one stage to a file, from which another process reads them."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def check(self, name: str, holds: bool, **numbers: Any) -> None:
        """Record whether a statement holds."""
        self._append(Check(name, "PASS" if holds else "FAIL", numbers))

    def skip(self, name: str, why: str, **numbers: Any) -> None:
        """Record a statement that cannot be judged here."""
        self._append(Check(name, "SKIP", numbers, why))

    def judge(self, name: str, holds: bool, on_gpu: bool, **numbers: Any) -> None:
        """Record a statement about speed or memory, which is judged on GPUs only."""
        if on_gpu:
            self.check(name, holds, **numbers)
        else:
            self.skip(name, "judged on GPUs only", **numbers)

    def _append(self, check: Check) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(check)) + "\n")


def read_checks(file: Path) -> tuple[Check, ...]:
    """Return the checks that a stage has recorded so far."""
    lines = file.read_text().splitlines() if file.exists() else []
    return tuple(Check(**json.loads(line)) for line in lines)


def overall(statuses: Iterable[Status]) -> Status:
    """Return FAIL if anything failed, PASS if anything passed, else SKIP."""
    found = set(statuses)
    return "FAIL" if "FAIL" in found else "PASS" if "PASS" in found else "SKIP"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
