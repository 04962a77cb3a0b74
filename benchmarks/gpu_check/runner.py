"""Runs stages, each in a process of its own: neither a crash nor a hang of one stops the others."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from actors.matrix_products import strict_mode
from benchmarks.gpu_check.report import Recorder, StageResult, overall, read_checks
from benchmarks.gpu_check.stages import STAGES, Stage
from cluster.errors import error_line

ROOT = Path(__file__).parents[2]
CPU_PATIENCE = 10  # times the limit of a stage
ENVIRONMENT = {
    **strict_mode(),
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
}


def run_stages(names: Iterable[str], on_gpu: bool, logs: Path, seconds: float) -> Iterator[StageResult]:
    """Run stages one after the other, and yield the result of each. Their output goes to `logs`/NAME.log.

    What has not finished after `seconds` is skipped.
    """
    deadline = time.monotonic() + seconds
    for name in names:
        stage, left = STAGES[name], deadline - time.monotonic()
        if why := _why_skipped(stage, on_gpu) or ("no time left" if left <= 0 else ""):
            yield StageResult(name, "SKIP", 0.0, reason=why)
            continue
        limit = stage.limit * (1 if on_gpu else CPU_PATIENCE)
        result = _run_stage(name, stage, min(limit, left), logs / f"{name}.log")
        cut_short = result.seconds >= left and left < limit
        yield replace(result, status="SKIP", reason="no time left to finish it") if cut_short else result


def run_here(function: str, results: Path) -> None:
    """Run a stage's function ("module:function") in this process. What ends it early is the last line of stderr."""
    module, _, name = function.partition(":")
    try:
        getattr(import_module(module), name)(Recorder(results))
    except Exception as error:
        raise SystemExit(error_line(error)) from error


def _why_skipped(stage: Stage, on_gpu: bool) -> str:
    missing = [name for name in stage.packages if find_spec(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "needs a GPU" if stage.needs_gpu and not on_gpu else ""


def _run_stage(name: str, stage: Stage, limit: float, log: Path) -> StageResult:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "checks.jsonl"
        command = [sys.executable, "-m", "benchmarks.gpu_check", "--only", stage.run, str(results)]
        ended = _run_process(command, limit, log)
        checks, seconds = read_checks(results), time.monotonic() - started
    reason = _why_failed(ended, limit, log)
    status = "FAIL" if reason else overall(check.status for check in checks)
    return StageResult(name, status, seconds, checks, reason)


def _why_failed(returncode: int | None, limit: float, log: Path) -> str:
    if returncode == 0:
        return ""
    lines = log.read_text(errors="replace").strip().splitlines()
    how = f"no result after {limit:g} s" if returncode is None else f"exit code {returncode}"
    return f"{how}: {lines[-1] if lines else 'no output'} (see {log})"


def _run_process(command: list[str], limit: float, log: Path) -> int | None:
    """Return the exit code, or None if the process was still running after `limit` seconds. Its children are killed."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, env=ENVIRONMENT | os.environ, start_new_session=True
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
