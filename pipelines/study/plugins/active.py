"""Which plug-ins this process has loaded: those of the study that it has loaded last, or that it works for.

Their records are entries of the same tables as evolgrid's own. Loading another study undoes them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipelines.errors import InputError
from pipelines.study.plugins.addition import Addition, Entry
from pipelines.study.plugins.code import PluginCode, PluginMistake, load_module, mistake_error

EXAMPLE = "Assign a record to a name, for example METRIC = Metric(...): see docs/extending.md."


@dataclass
class _State:
    codes: tuple[PluginCode, ...] = ()
    entries: list[Entry] = field(default_factory=list[Entry])
    origins: dict[tuple[str, Hashable], PluginCode] = field(default_factory=dict[tuple[str, Hashable], PluginCode])
    names: dict[str, PluginCode] = field(default_factory=dict[str, PluginCode])
    observers: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])


_state = _State()


def activate(codes: Sequence[PluginCode]) -> None:
    """Put what these plug-ins add into the tables, in place of what others have added.

    Raises:
        InputError: A plug-in has a mistake. Then none is active.
    """
    if _state.codes == tuple(codes):
        return
    _undo()
    try:
        for code in codes:
            _add_all(code)
        _state.codes = tuple(codes)
        _check(codes)
    except BaseException:
        _undo()
        raise
    _notify()


def require(code: PluginCode) -> None:
    """Load one more plug-in, in a process that may have loaded some; one of the same name is replaced."""
    if code not in _state.codes:
        activate([*(other for other in _state.codes if other.name != code.name), code])


def active_plugins() -> tuple[PluginCode, ...]:
    """Return the plug-ins whose records are in the tables."""
    return _state.codes


@contextmanager
def plugin_scope() -> Generator[None]:
    """Restore at the end of the block the plug-ins that were active at its start."""
    before = _state.codes
    try:
        yield
    finally:
        activate(before)


def on_change(forget: Callable[[], object]) -> None:
    """Call `forget` whenever other plug-ins become active: it clears a cache of what tables hold."""
    _state.observers.append(forget)


def origin(what: str, key: Hashable) -> PluginCode | None:
    """Return the plug-in that has added something; None for what evolgrid has itself.

    `what` is that of the record's class, and `key` its name.
    """
    return _state.origins.get((what, key))


def versions(*things: tuple[str, Hashable]) -> dict[str, str]:
    """Return the names and digests of the plug-ins that have added any of these things, as (what, key)."""
    found = (origin(what, key) for what, key in things)
    return {code.name: code.digest for code in found if code}


def additions(code: PluginCode) -> list[Addition]:
    """Return the records of a plug-in: the values of its module's names."""
    values = vars(load_module(code)).values()
    return [*{id(value): value for value in values if isinstance(value, Addition)}.values()]


def plugin_error(error: BaseException) -> str | None:
    """Return the error in one line with the plug-in's file and line, if the code of an active plug-in raised it."""
    return next((told for code in _state.codes if (told := code.describe(error))), None)


def _add_all(code: PluginCode) -> None:
    if code.name in _state.names:
        other = _state.names[code.name]
        raise InputError(f"another plug-in has this name: {other.path}", file=code.path, remedy="Rename one of them.")
    _state.names[code.name] = code
    found = additions(code)
    if not found:
        raise InputError("adds nothing to evolgrid", file=code.path, remedy=EXAMPLE)
    for addition in found:
        try:
            for entry in addition.entries():
                _put(entry, addition)
        except PluginMistake as error:
            raise InputError(str(error), file=addition.file, line=addition.line) from None
        except Exception as error:
            raise mistake_error(code, error) from error
        _state.origins[addition.what, addition.key] = code


def _put(entry: Entry, addition: Addition) -> None:
    if entry.key in entry.table:
        raise PluginMistake(f"a {addition.what} named '{addition.key}' exists already")
    entry.table[entry.key] = entry.value
    _state.entries.append(entry)


def _check(codes: Sequence[PluginCode]) -> None:
    for code in codes:
        for addition in additions(code):
            if problem := addition.problem():
                raise InputError(problem, file=addition.file, line=addition.line)


def _undo() -> None:
    while _state.entries:
        table, key, _ = _state.entries.pop()
        del table[key]
    _state.codes = ()
    _state.origins.clear()
    _state.names.clear()
    _notify()


def _notify() -> None:
    for forget in _state.observers:
        forget()
