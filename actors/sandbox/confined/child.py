"""Runs inside the confined process: executes the untrusted source and reports results, which nobody may trust."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from actors.sandbox.protocol import extended, wire
from actors.sandbox.protocol.job import EXTRA_BYTES, REQUEST_BYTES

TRUTH_CALL = "truth of an object"


def run_request(task: str, fds: list[int]) -> None:
    """Perform one task: run a job's cases, serve a solution's functions, or run the tests that call them."""
    random.seed(0)  # the same verdict in every run
    request = wire.decode(wire.receive(fds[0], REQUEST_BYTES) or b"null")
    os.close(fds[0])
    {"run": run, "serve": serve, "check": check}[task](request, *fds[1:])


def load(source: str) -> ModuleType:
    """Execute source code as a module called `solution`, and return the module."""
    module = sys.modules["solution"] = ModuleType("solution")
    exec(compile(source, "<solution>", "exec", dont_inherit=True), module.__dict__)
    return module


def capture_outcome(act: Callable[[], Any], encode: Callable[[Any], bytes]) -> bytes:
    """Call `act` and return its outcome as text: the encoded value, or the reason why there is none."""
    status, text = "raised", ""
    try:
        return b'{"status": "returned", "value": ' + encode(act()) + b"}"
    except MemoryError:
        status, text = "memory", "MemoryError"
    except wire.ValueTooLarge as error:
        status, text = "output", str(error)
    except SolutionEnded:
        status = "killed"
    except BaseException as error:  # any exception of the untrusted code is a valid outcome, including SystemExit
        text = describe(error)
    return wire.encode({"status": status, "detail": text}, 1 << 16)


def describe(error: BaseException) -> str:
    """Return the type and text of an exception. The exception's own methods may be untrusted."""
    try:
        return wire.sanitize_text(f"{type(error).__name__}: {error}")
    except BaseException:
        return "an exception that cannot be described"


def run(request: dict[str, Any], results: int) -> None:
    """Load the source, then call the function once per case. The first frame is the outcome of loading the source."""
    limit = request["output_bytes"]
    box: list[ModuleType] = []
    loaded = capture_outcome(lambda: box.append(load(request["source"])), lambda _: b"null")
    wire.send(results, loaded)
    for arguments in request["cases"] if box else ():
        function = (lambda *_: None) if request["call"] is None else getattr(box[0], request["call"], undefined_value)
        wire.send(results, capture_outcome(partial(function, *arguments), lambda value: wire.encode(value, limit)))


def undefined_value(*_: Any) -> None:
    """Raise NameError. Replaces a function that the source does not define."""
    raise NameError("the function to be called is not defined")


def serve(request: dict[str, Any], calls: int, replies: int) -> None:
    """Load a solution and serve calls to its functions until the caller closes the pipe."""
    limit = request["output_bytes"]
    objects: dict[str, Any] = {TRUTH_CALL: bool}

    def begin() -> None:
        objects.update(vars(load(request["source"])))
        exec(compile(request["scene"], "<scene>", "exec"), objects)

    def answer(text: bytes) -> Any:
        name, arguments, named = extended.decode(text, objects.__getitem__)
        return objects[name](*arguments, **named)

    begun = capture_outcome(begin, lambda _: b"null")
    while (text := wire.receive(calls, REQUEST_BYTES)) is not None:
        reply = capture_outcome(partial(answer, text), lambda value: extended.encode(value, limit, objects))
        wire.send(replies, reply if begun.startswith(b'{"status": "returned"') else begun)


class SolutionError(Exception):
    """The solution raised an exception or returned an object that is not a plain value. The message is untrusted."""


class SolutionEnded(BaseException):
    """The solution's process has exited. A BaseException, so that no test catches it."""


class Remote:
    """A reference to an object of the solution. It can only be called, passed as an argument, or tested for truth."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str, ask: Callable[..., Any]) -> None:
        self.name, self.ask = name, ask

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.ask(self.name, arguments, named)

    def __eq__(self, other: object) -> bool:
        raise SolutionError(f"the solution returned {self.name}, which is not a plain value")

    def __bool__(self) -> bool:
        return self.ask(TRUTH_CALL, (self,), {}) is True


def check(request: dict[str, Any], results: int, calls: int, replies: int) -> None:
    """Run tests, and send their calls to the solution's process. This process does not execute the solution."""
    limit = request["output_bytes"]

    def ask(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        try:
            wire.send(calls, extended.encode_call(name, arguments, named, limit))
            text = wire.receive(replies, limit + EXTRA_BYTES)
        except BrokenPipeError:
            raise SolutionEnded from None
        except wire.ValueTooLarge as error:
            raise SolutionError(str(error)) from None
        if text is None:
            raise SolutionEnded
        reply = extended.decode(text, lambda name: Remote(name, ask))
        if reply.get("status") != "returned":
            raise SolutionError(str(reply.get("detail")))
        return reply.get("value")

    def act() -> bool:
        names: dict[str, Any] = {"__name__": "tests"}
        exec(compile(request["setup"], "<setup>", "exec"), names)
        names |= {name: Remote(name, ask) for name in request["remote"]}
        exec(compile(request["tests"], "<tests>", "exec"), names)
        return True

    wire.send(results, capture_outcome(act, lambda value: wire.encode(value, limit)))
