"""Checks made of rows of HumanEval and MBPP: which code is the benchmark's, which the model's, and who calls whom.

The benchmark's code runs in one process, the model's in another, and only plain values pass between them. So a solution
can not touch the tests, the comparison or the verdict; what it can do is answer calls, which is what is asked of it.

Two tests are weak in themselves and stay so: HumanEval/33 compares the solution with itself, and MBPP tests that were
written for a solution's own classes (367, 601, 927) pass these back to it as they are.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from actors.sandbox.protocol.job import Check, Limits


def humaneval_check(row: Mapping[str, Any], completion: str, limits: Limits | None = None) -> Check:
    """The check of a completion of a HumanEval prompt (openai/human-eval, fields as there).

    Helper functions that the prompt defines are the benchmark's own where the tests use them.
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
    """The check of a solution of an MBPP row (google-research/mbpp, fields as there, sanitized or not).

    The names that the tests take from the solution are those that the row's reference code defines.
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
    """Names that a source binds at its top level."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found
