"""Fail points: named points in the code at which tests inject faults. Only those that the environment names are active.

`EVOLGRID_FAULTS` is a list of `POINT=ACTION`, separated by semicolons. `EVOLGRID_FAULTS_FOLDER` is a folder for traces.
`kill` and `stop` send SIGKILL or SIGSTOP to the process at the point, `kill@3` at its third hit. Each of them acts only
once, in the first process to reach the point. `note` records the subject of every hit.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections import Counter, defaultdict
from pathlib import Path

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_actions: dict[str, list[str]] = defaultdict(list)
for _entry in filter(None, os.environ.get("EVOLGRID_FAULTS", "").split(";")):
    _actions[_entry.partition("=")[0]].append(_entry.partition("=")[2])
_folder = Path(os.environ.get("EVOLGRID_FAULTS_FOLDER", "."))
_hit_count: Counter[str] = Counter()


def hit(point: str, subject: object = None) -> None:
    """Record a hit of a point, and inject the fault that the environment names for it.

    `subject` is the object that the code works on. Its `repr` identifies it in notes.
    """
    if _actions:
        for action in _actions.get(point, ()):
            _inject(point, action, subject)


def _inject(point: str, action: str, subject: object) -> None:
    if action == "note":
        digest = hashlib.sha256(repr(subject).encode()).hexdigest()[:16]
        with (_folder / f"{point}.{os.getpid()}.notes").open("a") as file:
            file.write(f"{digest}\n")
        return
    kind, _, count = action.partition("@")
    _hit_count[point] += 1
    if _hit_count[point] >= int(count or 1) and _claim_first_hit(point):
        os.kill(os.getpid(), _SIGNALS[kind])


def _claim_first_hit(point: str) -> bool:
    """Return whether this process is the first to inject a fault at this point."""
    try:
        (_folder / f"{point}.struck").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
