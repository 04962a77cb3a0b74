"""The rules of the house, checked: which way imports go, how long things may be, what must not be in a file."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.timing import children_cpu

ROOT = Path(__file__).parents[1]
PRODUCT = ("evolgrid", "prompts", "cluster", "bundled", "actors", "pipelines", "studies")
OURS = {*PRODUCT, "benchmarks", "scripts", "tests"}
MOST_MODULES = 12
DRAWERS = {"benchmarks"}  # a folder of commands, which nothing imports
# `python -m cluster.notice` stands in launch files: a command beside the modules that all of `cluster` imports
BOTH = {"cluster"}
HEAVY = ("torch", "transformers", "vllm", "matplotlib", "ray", "pyarrow")
DISTRIBUTIONS = {
    "IPython": "ipython",
    "faiss": "faiss_cpu",
    "grpc": "grpcio",
    "pydantic_core": "pydantic",
    "pynvml": "nvidia_ml_py",
    "ruamel": "ruamel.yaml",
    "sklearn": "scikit_learn",
    "xdist": "pytest_xdist",
    "yaml": "pyyaml",
}
BINARY = {".safetensors", ".png", ".parquet", ".gz"}
PERSONAL = re.compile(r"/(?:home|Users|root|tmp)/\w")


@cache
def files() -> tuple[Path, ...]:
    """All files that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    paths = (ROOT / name for name in listed if name)
    return tuple(path for path in paths if path.is_file())


def sources(*packages: str) -> Iterator[Path]:
    for path in files():
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in packages:
            yield path


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported(path: Path) -> set[str]:
    """The top-level names of all absolute imports in a file, also of those inside functions."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


def length(path: Path) -> int:
    return path.read_text().count("\n")


def own_modules(folder: Path) -> list[Path]:
    """The modules that lie directly in a folder; `__init__` and `__main__` are not counted."""
    return [path for path in sources(*OURS) if path.parent == folder and not path.name.startswith("__")]


def modules_imported(path: Path) -> set[str]:
    """The dotted names of all modules of ours that a file imports, and of the names it takes from them."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_imports_keep_their_direction() -> None:
    """The contracts of `.importlinter`; imports for typing and inside functions count."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_folder_holds_more_than_twelve_modules() -> None:
    folders = {path.parent for path in sources(*OURS - {"tests"})}
    counted = {str(folder.relative_to(ROOT)): len(own_modules(folder)) for folder in folders}
    assert not {name: n for name, n in counted.items() if n > MOST_MODULES and name not in DRAWERS}


def test_a_folder_is_a_contract_or_a_face() -> None:
    """Its own modules are imported by those in its sub-folders, or import them: never both."""
    both: list[str] = []
    for folder in {path.parent for path in sources(*PRODUCT)}:
        prefix = ".".join(folder.relative_to(ROOT).parts)
        own = {f"{prefix}.{path.stem}" for path in own_modules(folder)}
        below = [path for path in sources(folder.relative_to(ROOT).parts[0]) if folder in path.parent.parents]
        inside = {f"{prefix}.{path.relative_to(folder).parts[0]}" for path in below}
        contract = any(modules_imported(path) & own for path in below)
        face = any(
            name == room or name.startswith(f"{room}.")
            for path in own_modules(folder)
            for name in modules_imported(path)
            for room in inside
        )
        if contract and face and prefix not in BOTH:
            both.append(prefix)
    assert not both


def test_no_relative_imports() -> None:
    found = {
        path.relative_to(ROOT)
        for path in sources(*OURS)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.level
    }
    assert not found


def test_no_module_lies_beside_an_import_of_the_same_name() -> None:
    # type checkers look beside the importing file for a library that is not installed
    beside = {folder: {near.stem for near in folder.iterdir()} for folder in {path.parent for path in sources(*OURS)}}
    assert [path for path in sources(*OURS) if (imported(path) - OURS) & beside[path.parent]] == []


def test_no_source_file_is_long() -> None:
    assert not {path.relative_to(ROOT): n for path in sources(*OURS) if (n := length(path)) > 400}


def test_median_source_file_is_short() -> None:
    assert statistics.median(length(path) for path in sources(*PRODUCT)) < 150


def test_no_function_is_long() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.name}": lines
        for path in sources(*OURS)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > 60
    }
    assert not long


@pytest.mark.parametrize("package", PRODUCT)
def test_package_is_typed_and_a_package(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
    folders = {path.parent for path in sources(package)}
    assert not [folder.relative_to(ROOT) for folder in folders if not (folder / "__init__.py").exists()]


def test_every_imported_library_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = [*project["dependencies"], *(need for extra in project["optional-dependencies"].values() for need in extra)]
    declared = {re.split(r"[\[<>=~! ]", need)[0].replace("-", "_") for need in needs}
    used = {name for path in sources(*OURS) for name in imported(path)} - OURS - sys.stdlib_module_names
    assert {DISTRIBUTIONS.get(name, name) for name in used} <= declared


def test_every_data_file_is_packaged() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["*"]
    data = [path for path in files() if path.relative_to(ROOT).parts[0] in PRODUCT and path.suffix != ".py"]
    assert not [path.relative_to(ROOT) for path in data if not any(path.match(pattern) for pattern in patterns)]


def test_no_path_of_somebodys_machine_in_any_file() -> None:
    here = Path(__file__).resolve()
    found = {
        f"{path.relative_to(ROOT)}:{number}": line.strip()[:80]
        for path in files()
        if path.resolve() != here and path.suffix not in BINARY
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if PERSONAL.search(line)
    }
    assert not found


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    script = (
        "import sys, contextlib\n"
        "sys.argv = ['evolgrid', '--help']\n"
        "from pipelines.cli.app import main\n"
        "with contextlib.suppress(SystemExit): main()\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    # against the CPU seconds of importing what every command line like it needs, the least of several each: the
    # machine may be slow or busy, the files cold
    help_seconds, outputs = zip(*(cpu_and_output(script) for _ in range(3)), strict=True)
    assert all("heavy: []" in output for output in outputs)
    import_seconds, _ = zip(*(cpu_and_output("import typer, rich.table, pydantic") for _ in range(3)), strict=True)
    assert min(help_seconds) < 8 * min(import_seconds)


def test_the_python_package_loads_nothing_heavy() -> None:
    script = f"import sys, evolgrid; print([name for name in {(*HEAVY, 'pandas', 'duckdb')} if name in sys.modules])"
    seconds, outputs = zip(*(cpu_and_output(script) for _ in range(3)), strict=True)
    import_seconds, _ = zip(*(cpu_and_output("import typer, rich.table, pydantic") for _ in range(3)), strict=True)
    assert {output.strip() for output in outputs} == {"[]"} and min(seconds) < 8 * min(import_seconds)


@pytest.mark.parametrize("command", ["plan", "status"])
def test_looking_at_a_study_loads_no_slow_library(tmp_path: Path, command: str) -> None:
    slow = {"torch", "transformers", "vllm", "matplotlib", "ray", "scipy", "pandas", "duckdb"}
    script = (
        "import sys, contextlib\n"
        f"sys.argv = ['evolgrid', '{command}', 'studies/quickstart.yaml', '--store', '{tmp_path}']\n"
        "from pipelines.cli.app import main\n"
        "with contextlib.suppress(SystemExit): main()\n"
        f"print('slow:', sorted({slow} & set(sys.modules)))"
    )
    assert "slow: []" in cpu_and_output(script)[1]


def cpu_and_output(script: str) -> tuple[float, str]:
    """The CPU seconds of a script, and what it prints."""
    before = children_cpu()
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return children_cpu() - before, done.stdout
