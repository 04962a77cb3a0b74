"""Which tests need Ray or torch, both slow to have: read from the imports in files, without running any."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from itertools import accumulate
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
TORCH = {"torch", "transformers", "vllm", "peft", "trl", "accelerate", "deepspeed", "sentence_transformers", "lm_eval"}
STARTERS = {"ray_local", "zygote"}  # fixtures that start Ray through modules of ours
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def needs_of_file(path: Path) -> set[str]:
    """What every test of a file needs: "ray", "torch", both or neither."""
    return _needs(_shared(path))


@cache
def needs_of_function(path: Path, name: str) -> set[str]:
    """What a test or fixture of a file needs because of its own imports."""
    return _needs(each for each in _tree(path).body if isinstance(each, Function) and each.name == name)


@cache
def needs_of_fixture(path: Path, name: str) -> set[str]:
    """What the fixture `name` of a test file needs: one of the file itself or of a conftest.py above it."""
    files = [path, *(folder / "conftest.py" for folder in path.parents if folder.is_relative_to(ROOT / "tests"))]
    needs = {"ray"} if name in STARTERS else set[str]()
    return needs.union(*(needs_of_function(file, name) for file in files if file.exists()))


def _needs(statements: Iterable[ast.stmt]) -> set[str]:
    """What statements of a test file need.

    torch counts wherever an import loads it. Ray counts only where tests or their helpers name it: many of our
    modules import it, which takes half a second, but few start it.
    """
    named = _reached({name for statement in statements for name in _imported(statement)}, _imports_of_helper)
    loaded = _reached(named, _imports_on_load)
    needs = {"ray"} if named & {"ray"} else set[str]()
    return needs | ({"torch"} if loaded & TORCH else set())


def _reached(names: Iterable[str], imports: Callable[[str], Iterable[str]]) -> set[str]:
    """These modules and all that they import, directly or through others."""
    reached, todo = set[str](), list(names)
    while todo:
        if (name := todo.pop()) not in reached:
            reached.add(name)
            todo += imports(name)
    return reached


@cache
def _imports_of_helper(module: str) -> frozenset[str]:
    """What a helper of the tests imports, also inside functions; nothing for other modules."""
    file = _file(module) if module.startswith("tests.") else None
    return frozenset(name for each in _shared(file) for name in _imported(each)) if file else frozenset()


@cache
def _imports_on_load(module: str) -> frozenset[str]:
    """What a module of ours imports when it is imported."""
    return (
        frozenset(name for node in _run_on_load(_tree(file)) for name in _names(node))
        if (file := _file(module))
        else frozenset()
    )


def _imported(node: ast.AST) -> Iterator[str]:
    """All modules that code imports, also inside functions and in scripts that it holds as text."""
    for each in ast.walk(node):
        yield from _names(each)
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and "import " in each.value:
            yield from _imported(_script(each.value))


def _script(text: str) -> ast.AST:
    """The text as Python, or nothing if it is none."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Pass()


def _run_on_load(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that run when a module is imported: none inside functions, none for type checkers only."""
    for child in ast.iter_child_nodes(node):
        typing = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not typing and not isinstance(child, Function | ast.Lambda):
            yield child
            yield from _run_on_load(child)


def _names(node: ast.AST) -> Iterator[str]:
    """The modules that an import statement names, with the packages around them."""
    modules = []
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and node.module != "ray.exceptions":
        modules = [f"{node.module}.{alias.name}" for alias in node.names]
    for module in modules:
        yield from accumulate(module.split("."), "{}.{}".format)


@cache
def _file(module: str) -> Path | None:
    """The file of a module of ours."""
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _shared(path: Path) -> list[ast.stmt]:
    """A file's statements without its tests and fixtures, which need what they import for themselves alone."""
    return [statement for statement in _tree(path).body if not _is_test_or_fixture(statement)]


def _is_test_or_fixture(statement: ast.stmt) -> bool:
    if not isinstance(statement, Function):
        return False
    return statement.name.startswith("test_") or any("fixture" in ast.unparse(e) for e in statement.decorator_list)


class _Refused(Loader):
    """Loads nothing."""

    def create_module(self, spec: ModuleSpec) -> None:
        raise ImportError(f"{spec.name} must not be loaded by `make check`: mark the test with @pytest.mark.torch")

    def exec_module(self, module: ModuleType) -> None:
        """Never reached."""


class _TorchFinder(MetaPathFinder):
    """Finds torch, and what is built on it, as what cannot be loaded."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, _Refused()) if fullname in TORCH else None


def forbid_torch() -> None:
    """From now on this process can load neither torch nor what is built on it."""
    sys.meta_path.insert(0, _TorchFinder())
