"""Converts rows of HumanEval and MBPP to sandbox checks, which separate the benchmark's code from the model's code.

The benchmark's code runs in one process and the model's code in another. Only plain values pass between them. So a
solution can answer calls, but it cannot manipulate the tests, the comparison or the verdict.

Two kinds of tests are weak in the benchmarks themselves: HumanEval/33 compares the solution with itself, and MBPP tests
that use the solution's own classes (367, 601, 927) pass instances of them back to the solution.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from actors.sandbox.protocol.job import Check, Limits


def humaneval_check(row: Mapping[str, Any], completion: str, limits: Limits | None = None) -> Check:
    """Return the check for a completion of a HumanEval prompt. `row` has the fields of openai/human-eval.

    Where the tests use helper functions of the prompt, they get the benchmark's own definition.
    """
    entry = str(row["entry_point"])
    return Check(
        id=str(row["task_id"]),
        solution=f"{row['prompt']}{completion}",
        setup=str(row["prompt"]),
        tests=f"{row['test']}\ncheck({entry})\n",
        remote=(entry,),
        limits=limits or Limits(),
    )


def mbpp_check(row: Mapping[str, Any], solution: str, limits: Limits | None = None) -> Check:
    """Return the check for a solution of an MBPP task. `row` has the fields of google-research/mbpp, sanitized or not.

    The tests take those names from the solution that the row's reference code defines.
    """
    tests: Sequence[str] = row["test_list"]
    fixture = str(row.get("test_setup_code") or "")
    used_names = set[str]().union(*(_names_in(test) for test in tests))
    remote = used_names & (_top_level_names(str(row["code"])) | _top_level_names(fixture))
    modules = sorted(used_names & sys.stdlib_module_names - remote)
    return Check(
        id=str(row["task_id"]),
        solution=solution,
        fixture=fixture,
        setup="\n".join([*row.get("test_imports", ()), *(f"import {name}" for name in modules)]),
        tests="\n".join(tests),
        remote=tuple(sorted(remote)),
        limits=limits or Limits(),
    )


def _names_in(source: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def _top_level_names(source: str) -> set[str]:
    """Return the names that a source binds at its top level."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found
