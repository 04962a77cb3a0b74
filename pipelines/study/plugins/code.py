"""The code of a plug-in: a Python file or a package beside the study file, or an installed package, as a module."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from cluster.errors import error_line
from pipelines.errors import InputError, nearest
from pipelines.study.plugins.packages import (
    digest_of,
    import_package,
    installed_path,
    package_digest,
    package_folder,
)

MAX_BYTES = 1_000_000


class PluginMistake(ValueError):
    """A record of a plug-in is wrong. The message is shown with the file and the line of the record."""


@dataclass(frozen=True, slots=True)
class PluginCode:
    """The code of one plug-in as plain data, so that it can be sent to other processes.

    Attributes:
        name: The file's name without `.py`, or the package's name.
        path: The file as errors show it, or where the package is on the driver: an absolute path.
        digest: The SHA-256 of the content; for a package, of all its files.
        module: The name of the module; for a file, it is different for every content and every place.
        source: The file's text; None for a package, which Ray copies to the nodes of a cluster.
    """

    name: str
    path: str = field(compare=False)
    digest: str
    module: str
    source: str | None = field(repr=False)

    def place(self, error: BaseException) -> tuple[str, int] | None:
        """Return the file and the line of this plug-in in which an error was raised last, or None."""
        frames = traceback.extract_tb(error.__traceback__)
        mine = [(frame.filename, frame.lineno or 1) for frame in frames if self._has(frame.filename)]
        return mine[-1] if mine else None

    def describe(self, error: BaseException) -> str | None:
        """Return an error that this plug-in has raised in one line with its file and line; None for other errors."""
        place = self.place(error)
        return f"{place[0]}:{place[1]}: {error_line(error)}" if place else None

    def _has(self, filename: str) -> bool:
        if self.source is not None or filename == self.path:
            return filename == self.path
        loaded = sys.modules.get(self.module)
        folder = Path(loaded.__file__).parent if loaded and loaded.__file__ else Path(self.path)
        return Path(filename).is_relative_to(folder)


def read_plugin(reference: str, folder: Path) -> PluginCode:
    """Return the code that an entry of a study's `plugins` refers to. `folder` is the study file's.

    Raises:
        InputError: There is no such file or package. The error has no place yet.
    """
    if reference.endswith(".py") or "/" in reference:
        return _read_file(folder / reference, reference)
    return _read_package(reference, folder)


def load_module(code: PluginCode) -> ModuleType:
    """Return the module of a plug-in. Its code runs once in a process.

    Raises:
        InputError: It cannot be compiled or imported, or this node has another version of the package.
    """
    if code.module in sys.modules and code.source is not None:
        return sys.modules[code.module]
    try:
        return _execute(code) if code.source is not None else import_package(code.module, code.path, code.digest)
    except InputError:
        raise
    except SyntaxError as error:
        file = error.filename or code.path
        raise InputError(f"not valid Python: {error.msg}", file=file, line=error.lineno) from None
    except (Exception, SystemExit) as error:
        raise mistake_error(code, error) from error


def mistake_error(code: PluginCode, error: BaseException) -> InputError:
    """Return what a plug-in's code has raised as an error with the file and the line."""
    file, line = code.place(error) or (code.path, None)
    message = str(error) if isinstance(error, PluginMistake) else error_line(error)
    remedy = None
    if isinstance(error, ModuleNotFoundError) and code.source is not None:
        remedy = "A plug-in file is loaded alone: what several files share belongs into a package."
    return InputError(message, file=file, line=line, remedy=remedy)


def _read_file(path: Path, reference: str) -> PluginCode:
    if path.is_dir():
        folder = package_folder(path, reference)
        return PluginCode(folder.name, str(folder), package_digest(folder), folder.name, None)
    if path.suffix != ".py":
        raise InputError(f"'{reference}' is neither a Python file nor the name of a package")
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else "cannot read the file"
        files = [each.name for each in path.parent.glob("*.py")] if path.parent.is_dir() else []
        close = nearest(path.name, files) if get_close_matches(path.name, files, n=1) else "Correct the path."
        raise InputError(f"{reason}: {reference}", remedy=close) from None
    if len(data) > MAX_BYTES:
        raise InputError(f"'{reference}' has more than {MAX_BYTES:,} bytes")
    try:
        source = data.decode()
    except UnicodeDecodeError:
        raise InputError(f"'{reference}' is not UTF-8") from None
    shown = _shown(path)
    module = f"evolgrid_plugin_{path.stem}_{digest_of([data, shown.encode()])}"
    return PluginCode(path.stem, shown, digest_of([data]), module, source)


def _shown(path: Path) -> str:
    """Return a path without `./` and `..`, as errors show it."""
    return str(Path(*Path(path).parts)) if ".." not in path.parts else str(path.resolve())


def _read_package(name: str, folder: Path) -> PluginCode:
    path = installed_path(name)
    if path is None:
        beside = f"the folder './{name}'" if (folder / name).is_dir() else f"a file: './{name}.py'"
        raise InputError(f"no package '{name}' is installed", remedy=f"Install it, or name {beside}.")
    return PluginCode(name, str(path), package_digest(path), name, None)


def _execute(code: PluginCode) -> ModuleType:
    module = ModuleType(code.module)
    module.__file__ = code.path
    compiled = compile(code.source or "", code.path, "exec", dont_inherit=True)
    sys.modules[code.module] = module  # classes find their annotations, and pickle finds classes, by the module's name
    try:
        exec(compiled, module.__dict__)
    except BaseException:
        del sys.modules[code.module]
        raise
    return module
