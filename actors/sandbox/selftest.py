"""Self-test of every new zygote before its first job: honest code must work, and a list of attacks must fail."""

from __future__ import annotations

from actors.sandbox.attempt import attempt_cases
from actors.sandbox.equality import matches
from actors.sandbox.protocol.job import Level, Limits, SandboxJob
from actors.sandbox.zygote_process import Zygote, ZygoteLost

_LIMITS = Limits(wall_seconds=20.0)
_HONEST = (
    "import colorsys, hashlib\ndef answer(text): return [text.upper(), len(text), hashlib.sha256(b'').hexdigest()[:4]]"
)
_LEAVE = "def leave(name): open(name, 'w').write(name)"
_ATTACKS = """
import os, socket, ctypes

def succeeded(act):
    try:
        return act() not in (None, -1)
    except OSError:
        return False

def fork():
    child = os.fork()
    return child or os._exit(0)

def answer():
    acts = {
        "socket": lambda: socket.socket(),
        "password file": lambda: open("/etc/passwd"),
        "processes": lambda: os.listdir("/proc"),
        "root folder": lambda: os.listdir("/"),
        "earlier job's file": lambda: os.listdir(".") or None,
        "write to the library": lambda: open(os.__file__, "a"),
        "new program": lambda: os.execv("/bin/true", ["true"]),
        "signal": lambda: os.kill(os.getpid(), 0) or 1,
        "namespace": lambda: ctypes.CDLL(None).unshare(0x10000000),
        "become root": lambda: os.setuid(0) or 1,
    }
    return [name for name, act in acts.items() if succeeded(act)]
"""


def self_test(zygote: Zygote, level: Level) -> None:
    """Run honest code and, above L0, the attacks.

    Raises:
        ZygoteLost: The honest code fails, or an attack succeeds.
    """
    honest = SandboxJob("self-test", _HONEST, "answer", limits=_LIMITS)
    outcome = attempt_cases(zygote, honest, [("ab",)])[0]
    if not matches(outcome, ["AB", 2, "e3b0"]):
        raise ZygoteLost(f"self-test: honest code fails ({outcome.status} {outcome.detail} {outcome.value})")
    if level == "L0":
        return
    attempt_cases(zygote, SandboxJob("canary", _LEAVE, "leave", limits=_LIMITS), [("canary",)])
    outcome = attempt_cases(zygote, SandboxJob("attacks", _ATTACKS, "answer", limits=_LIMITS), [()])[0]
    if not matches(outcome, []):
        raise ZygoteLost(f"self-test: attacks succeed ({outcome.status} {outcome.detail} {outcome.value})")
