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
_actions: dict[str, list[str]] = defaultdict(list)
for _entry in filter(None, os.environ.get("EVOLGRID_FAULTS", "").split(";")):
    _actions[_entry.partition("=")[0]].append(_entry.partition("=")[2])
_folder = Path(os.environ.get("EVOLGRID_FAULTS_FOLDER", "."))
_hit_count: Counter[str] = Counter()


def hit(point: str, subject: object = None) -> None:
    """The code has come to a point, with the thing that it is about."""
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
    """Whether no process was struck at this point before."""
    try:
        (_folder / f"{point}.struck").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
