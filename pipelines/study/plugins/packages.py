"""Plug-ins that are packages: installed ones, and folders beside the study file. A digest of their files names them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from pipelines.errors import InputError

MAX_PACKAGE_BYTES = 100 * 2**20
_digests: dict[str, str] = {}  # of the packages that this process has imported


def installed_path(name: str) -> Path | None:
    """Return the folder of an installed package, or the file of a module that is a single one; None without it."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or spec.origin in ("built-in", "frozen"):
        return None
    return Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)


def package_folder(path: Path, reference: str) -> Path:
    """Return the absolute path of a folder that is a package.

    Raises:
        InputError: It has no `__init__.py`, its name cannot be imported, or another module has this name.
    """
    found = path.resolve()
    if not (found / "__init__.py").is_file():
        raise InputError(
            f"the folder '{reference}' is not a package: it has no __init__.py",
            remedy="Add one that assigns or imports the records, or name a Python file.",
        )
    if not found.name.isidentifier():
        raise InputError(f"'{found.name}' cannot be the name of a Python package", remedy="Rename the folder.")
    if other := _other_package(found):
        raise InputError(f"another package is named '{found.name}': {other}", remedy="Rename the folder.")
    return found


def package_digest(path: Path) -> str:
    """Return the digest of the files of a package. Bytecode and hidden files do not count.

    Raises:
        InputError: The files are too large to be sent to other machines.
    """
    files = [path] if path.is_file() else sorted(_files(path))
    size = sum(file.stat().st_size for file in files)
    if size > MAX_PACKAGE_BYTES:
        limit = f"the limit is {MAX_PACKAGE_BYTES / 2**20:,.0f} MiB"
        raise InputError(f"the package '{path}' has {size / 2**20:,.0f} MiB; {limit}")
    names = (file.relative_to(path.parent).as_posix().encode() for file in files)
    return digest_of(part for name, file in zip(names, files, strict=True) for part in (name, file.read_bytes()))


def import_package(module: str, path: str, digest: str) -> ModuleType:
    """Return the module of a package whose files have this digest: an installed one, or else the folder `path`.

    Modules of other contents that the process has imported under this name are forgotten.

    Raises:
        InputError: This node has no such package, or one with other files.
    """
    if _digests.get(module) == digest:
        return sys.modules[module]
    found = [each for each in (installed_path(module), Path(path)) if each and each.exists()]
    place = next((each for each in found if package_digest(each) == digest), None)
    if place is None:
        lacks = f"has other files of the package '{module}' than the driver" if found else f"lacks package '{module}'"
        raise InputError(f"this node {lacks}", file=path)
    if module in _digests:
        _forget(module)
    imported = import_module(module) if place == installed_path(module) else _import_folder(module, place)
    _digests[module] = digest
    return imported


def top_path(module: str, path: str) -> Path:
    """Return what has to be on the path of other machines, so that they can import the package."""
    return Path(path).parents[module.count(".") - 1] if "." in module else Path(path)


def digest_of(parts: Iterable[bytes]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of the parts and their lengths."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8) + part)
    return found.hexdigest()[:16]


def _other_package(folder: Path) -> str | None:
    """Return where a package of other content is that `import` finds by a folder's name."""
    if folder.name in sys.stdlib_module_names:
        return "in Python's standard library"
    spec = PathFinder.find_spec(folder.name)
    if spec is None or spec.origin is None:
        return None
    other = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
    same = other.resolve() == folder or package_digest(other) == package_digest(folder)
    return None if same else str(other)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        inner = path.relative_to(folder).parts
        if path.is_file() and "__pycache__" not in inner and not any(part.startswith(".") for part in inner):
            yield path


def _forget(module: str) -> None:
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        del sys.modules[name]
    _digests.pop(module, None)


def _import_folder(module: str, folder: Path) -> ModuleType:
    spec = spec_from_file_location(module, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec and spec.loader
    created = module_from_spec(spec)
    sys.modules[module] = created
    try:
        spec.loader.exec_module(created)
    except BaseException:
        _forget(module)
        raise
    return created
