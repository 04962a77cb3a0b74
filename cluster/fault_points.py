"""Named points in the code at which a fault can be made to strike. Nothing happens unless the environment names them.

`EVOLGRID_FAULTS` is a list of `POINT=ACTION` between semicolons, `EVOLGRID_FAULTS_FOLDER` a folder for their traces:
`kill` and `stop` end or halt the process there, `kill@3` at the third time that it comes by. Each strikes once,
in whichever process is first. `note` writes down what passes the point, as often as it does.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections import Counter, defaultdict
from pathlib import Path

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_chosen: dict[str, list[str]] = defaultdict(list)
for _each in filter(None, os.environ.get("EVOLGRID_FAULTS", "").split(";")):
    _chosen[_each.partition("=")[0]].append(_each.partition("=")[2])
_folder = Path(os.environ.get("EVOLGRID_FAULTS_FOLDER", "."))
_passed: Counter[str] = Counter()


def reached(point: str, subject: object = None) -> None:
    """The code has come to a point, with the thing that it is about."""
    if _chosen:
        for action in _chosen.get(point, ()):
            _strike(point, action, subject)


def _strike(point: str, action: str, subject: object) -> None:
    if action == "note":
        digest = hashlib.sha256(repr(subject).encode()).hexdigest()[:16]
        with (_folder / f"{point}.{os.getpid()}.notes").open("a") as file:
            file.write(f"{digest}\n")
        return
    kind, _, count = action.partition("@")
    _passed[point] += 1
    if _passed[point] >= int(count or 1) and _first(point):
        os.kill(os.getpid(), _SIGNALS[kind])


def _first(point: str) -> bool:
    """Whether no process was struck at this point before."""
    try:
        (_folder / f"{point}.struck").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
